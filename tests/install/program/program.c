/* What an installed dqclient must do for a program in plain C: load, tell its version, and answer
 * a connection to a closed port with an error object. The argument is the expected version. */
#include <dqclient/dqclient.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
  /* Port 1 is reserved, nobody listens there. */
  static const char dsn[] = "dqlite://127.0.0.1:1/app?timeout=2s";
  dqc_conn *conn = NULL;
  dqc_error *error = NULL;

  if (argc > 1 && strcmp(dqc_version(), argv[1]) != 0) {
    fprintf(stderr, "version %s, expected %s\n", dqc_version(), argv[1]);
    return 1;
  }
  if (dqc_conn_open(dsn, sizeof dsn - 1, &conn, &error) == DQC_OK || error == NULL) {
    fprintf(stderr, "a connection to a closed port did not fail\n");
    return 1;
  }
  printf("dqclient %s: %s\n", dqc_version(), dqc_error_message(error));
  dqc_error_free(error);
  return 0;
}

/* SPDX-License-Identifier: MIT */
#include <dqclient/dqclient.h>
#include <stdio.h>

int main(int argc, char **argv) { /* argv[1]: "dqlite://10.0.0.1:9001,10.0.0.2:9001/app" */
  dqc_error *err = NULL;
  dqc_client *db = NULL;
  dqc_rows *rows = NULL;
  const char *create = "CREATE TABLE IF NOT EXISTS person(name TEXT, born INTEGER)";
  const char *insert = "INSERT INTO person VALUES (?, ?)";
  const char *select = "SELECT name, born FROM person WHERE born > ?";
  dqc_value person[] = {DQC_STR("Ada"), DQC_INT(1815)}, after[] = {DQC_INT(1800)};

  if (dqc_client_open(argc > 1 ? argv[1] : "", DQC_CSTR, &db, &err) != DQC_OK) goto done;
  if (dqc_client_exec(db, create, DQC_CSTR, NULL, 0, NULL, NULL, &err) != DQC_OK) goto done;
  if (dqc_client_exec(db, insert, DQC_CSTR, person, 2, NULL, NULL, &err) != DQC_OK) goto done;
  if (dqc_client_query(db, select, DQC_CSTR, after, 1, NULL, &rows, &err) != DQC_OK) goto done;
  while (dqc_rows_step(rows, &err) == DQC_ROW)
    printf("%s %lld\n", dqc_rows_text(rows, 0, NULL), (long long)dqc_rows_int64(rows, 1));
done:
  if (err != NULL) printf("error: %s\n", dqc_error_message(err));
  const int failed = err != NULL;
  dqc_rows_free(rows), dqc_client_free(db), dqc_error_free(err);
  return failed;
}

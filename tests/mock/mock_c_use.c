/* SPDX-License-Identifier: MIT */
/* The C wrapper as a test in C uses it; 0 or the line that failed. */
#include <string.h>
#include <unistd.h>

#include "mock/mock_server_c.h"

int mock_c_use(void);

static const unsigned char kHelloAndPing[] = {1,  0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
                                              10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
static const unsigned char kEmpty[] = {1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};

static int Talk(mock_server *mock) {
  unsigned char reply[sizeof(kEmpty)];
  size_t got = 0;
  const int fd = mock_server_connect(mock);
  if (write(fd, kHelloAndPing, sizeof(kHelloAndPing)) != (ssize_t)sizeof(kHelloAndPing)) {
    return __LINE__;
  }
  if (!mock_server_wait_requests(mock, 10, 1, 5000)) return __LINE__;
  mock_server_release(mock);
  while (got < sizeof(reply)) {
    const ssize_t n = read(fd, reply + got, sizeof(reply) - got);
    if (n <= 0) return __LINE__;
    got += (size_t)n;
  }
  if (memcmp(reply, kEmpty, sizeof(reply)) != 0) return __LINE__;
  close(fd);
  if (!mock_server_wait_gone(mock, 1, 5000)) return __LINE__;
  return 0;
}

int mock_c_use(void) {
  int failed;
  mock_server *mock = mock_server_start('D', "stall", 0);
  if (mock == NULL || mock_server_port(mock) == 0) return __LINE__;
  failed = Talk(mock);
  if (failed == 0 && mock_server_connections(mock) != 1) failed = __LINE__;
  if (failed == 0 && mock_server_requests(mock, -1) != 1) failed = __LINE__;
  if (failed == 0 && mock_server_violations(mock) != 0) failed = __LINE__;
  if (failed == 0 && mock_server_violation(mock, 0) != NULL) failed = __LINE__;
  if (failed == 0 && mock_server_wait_gone(mock, 2, 1) != 0) failed = __LINE__;
  mock_server_stop(mock);
  mock_server_stop(NULL);
  return failed;
}

/* SPDX-License-Identifier: MIT */
/* References every function of tests/abi/symbols.txt: one that no header declares, or that the
 * library lacks, fails the build. */
#include <dqclient/dqclient_uv.h>
#include <stdio.h>

#define F(name) {#name, (void (*)(void))(name)},

static const struct {
  const char *name;
  void (*function)(void);
} kFunctions[] = {
#include "symbols.inc"
};

int main(void) {
  const size_t count = sizeof(kFunctions) / sizeof(kFunctions[0]);
  for (size_t i = 0; i < count; ++i) {
    if (kFunctions[i].function == NULL) {
      fprintf(stderr, "%s is missing\n", kFunctions[i].name);
      return 1;
    }
  }
  return count > 100 ? 0 : 1;
}

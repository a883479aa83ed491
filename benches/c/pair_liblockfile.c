/* pair_liblockfile FILE: Debian's lockfile_create and lockfile_remove, with the PID in the lock. */

#include <lockfile.h>
#include "meter.h"

static const char *path;

static void pair(void) {
  if (lockfile_create(path, 0, L_PID) != L_SUCCESS) fail("lockfile_create");
  if (lockfile_remove(path) != L_SUCCESS) fail("lockfile_remove");
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  path = argv[1];
  return meter(pair);
}

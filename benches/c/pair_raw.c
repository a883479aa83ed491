/* pair_raw FILE: open(O_EXCL), write, unlink, close. */

#include "meter.h"
#include "raw.h"

static const char *path;

static void pair(void) { raw_unlock(path, raw_lock(path)); }

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  path = argv[1];
  return meter(pair);
}

/* append_jlock DIR: appends one entry. */

#include "lock.h"
#include "meter.h"

static struct jlock *lock;

static void append_one(void) { append(lock); }

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  lock = open_lock(argv[1], 0);
  int rc = meter(append_one);
  good(NULL, jlock_close(lock));
  return rc;
}

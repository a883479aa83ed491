/* pair_jlock DIR: acquire and release. */

#include "lock.h"
#include "meter.h"

static struct jlock *lock;

static void pair(void) {
  good(lock, jlock_acquire(lock));
  good(lock, jlock_release(lock));
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  lock = open_lock(argv[1], 0);
  int rc = meter(pair);
  good(NULL, jlock_close(lock));
  return rc;
}

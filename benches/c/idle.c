/* idle DIR HANDLES: opens this many handles, lets each acquire once, and keeps them until standard input ends. */

#include "lock.h"

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  for (long left = strtol(argv[2], NULL, 10); left > 0; left--) {
    struct jlock *lock = open_lock(argv[1], 0);
    good(lock, jlock_acquire(lock));
    good(lock, jlock_release(lock));
  }
  puts("ready");
  fflush(stdout);
  while (getchar() != EOF) {
  }
  return 0; /* the handles end with the process */
}

/* loop DIR: acquires and releases without a pause, until standard input ends. */

#include <poll.h>
#include "lock.h"

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  struct jlock *lock = open_lock(argv[1], 0);
  struct pollfd input = {.fd = 0, .events = POLLIN};
  puts("ready");
  fflush(stdout);
  while (poll(&input, 1, 0) == 0) {
    for (int times = 0; times < 100; times++) {
      good(lock, jlock_acquire(lock));
      good(lock, jlock_release(lock));
    }
  }
  good(NULL, jlock_close(lock));
  return 0;
}

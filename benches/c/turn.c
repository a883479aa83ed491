/* turn DIR: for each number on standard input, acquires and releases that many times, with a millisecond in between. Prints how
 * many, and the median, the 99th percentile and the longest of the acquires' times, in nanoseconds. */

#include <unistd.h>
#include "lock.h"
#include "times.h"

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  struct jlock *lock = open_lock(argv[1], 0);
  struct times times = {0};
  for (long left; scanf("%ld", &left) == 1; times.count = 0) {
    for (; left > 0; left--) {
      const int64_t begun = now_ns();
      good(lock, jlock_acquire(lock));
      note(&times, now_ns() - begun);
      good(lock, jlock_release(lock));
      usleep(1000);
    }
    report(&times);
    fflush(stdout);
  }
  good(NULL, jlock_close(lock));
  return 0;
}

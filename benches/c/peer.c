/* peer DIR: does what standard input says, one letter at a time, and prints the monotonic clock and its own CPU time in
 * nanoseconds:
 *   a  acquires, and says when it had the lock
 *   p  the same by trying every 25 ms, as programs do that cannot wait
 *   r  releases, and says when it began to */

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>
#include "clock.h"
#include "lock.h"

static int64_t cpu_ns(void) {
  struct timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return used.tv_sec * INT64_C(1000000000) + used.tv_nsec;
}

static void poll_for(struct jlock *lock) {
  int rc;
  while ((rc = jlock_try_acquire(lock)) == -EAGAIN) usleep(25000);
  good(lock, rc);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  struct jlock *lock = open_lock(argv[1], 0);
  for (int told; (told = getchar()) != EOF;) {
    int64_t cpu = cpu_ns(), at = now_ns();
    if (told == 'r') good(lock, jlock_release(lock));
    if (told == 'a') good(lock, jlock_acquire(lock));
    if (told == 'p') poll_for(lock);
    if (told != 'r') at = now_ns();
    printf("%" PRId64 " %" PRId64 "\n", at, cpu_ns() - cpu);
    fflush(stdout);
  }
  good(NULL, jlock_close(lock));
  return 0;
}

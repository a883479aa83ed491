/* writer DIR FLAGS THINK_US: one of a crowd.
 *
 * Reads `BEGIN END MOST` (monotonic nanoseconds; a number), then appends one entry after another from BEGIN to END, at most MOST
 * of them, or until SIGTERM, pausing for THINK_US in between. Prints how many, and the median, the 99th percentile and the
 * longest of the calls' times, in nanoseconds. */

#include <inttypes.h>
#include <signal.h>
#include <unistd.h>
#include "clock.h"
#include "lock.h"
#include "times.h"

static volatile sig_atomic_t told_to_end;

static void end(int signal) {
  (void)signal;
  told_to_end = 1;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  const struct sigaction on_term = {.sa_handler = end, .sa_flags = SA_RESTART};
  check(sigaction(SIGTERM, &on_term, NULL), "sigaction");
  struct jlock *lock = open_lock(argv[1], strtoul(argv[2], NULL, 10));
  const useconds_t think_us = strtoul(argv[3], NULL, 10);
  struct times times = {0};
  int64_t begin, until;
  size_t most;
  puts("ready");
  fflush(stdout);
  if (scanf("%" SCNd64 " %" SCNd64 " %zu", &begin, &until, &most) != 3) return 2;
  while (now_ns() < begin) usleep(100);
  for (int64_t at; !told_to_end && times.count < most && (at = now_ns()) < until;) {
    append(lock);
    note(&times, now_ns() - at);
    if (think_us) usleep(think_us);
  }
  report(&times);
  good(NULL, jlock_close(lock));
  return 0;
}

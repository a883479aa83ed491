/* waiters DIR COUNT HOLD_MS: COUNT threads of one process, each with its own handle, wait for a lock that is held for HOLD_MS,
 * and then get it one after the other.
 *
 * Prints the CPU time that the process used while the lock was held and the time from the release until all had been served,
 * both in nanoseconds; the number of voluntary context switches meanwhile; and how many threads were served before one that had
 * begun to wait earlier. */

#include <inttypes.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>
#include "clock.h"
#include "lock.h"

struct waiter {
  struct jlock *lock;
  pthread_t thread;
  pid_t id;
  long served;
};

static long served;

static void *wait_and_leave(void *given) {
  struct waiter *waiter = given;
  __atomic_store_n(&waiter->id, gettid(), __ATOMIC_SEQ_CST);
  good(waiter->lock, jlock_acquire(waiter->lock));
  waiter->served = __atomic_add_fetch(&served, 1, __ATOMIC_SEQ_CST);
  good(waiter->lock, jlock_release(waiter->lock));
  return NULL;
}

/* Returns once the thread sleeps in its acquire, and so has its place in line. */
static void wait_until_it_waits(struct waiter *waiter) {
  for (;; usleep(100)) {
    const pid_t id = __atomic_load_n(&waiter->id, __ATOMIC_SEQ_CST);
    char path[64], state;
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", id);
    FILE *stat = id ? fopen(path, "r") : NULL;
    if (!stat) continue;
    const int found = fscanf(stat, "%*d (%*[^)]) %c", &state);
    fclose(stat);
    if (found == 1 && state == 'S') return;
  }
}

static int64_t cpu_ns(void) {
  struct timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return used.tv_sec * INT64_C(1000000000) + used.tv_nsec;
}

static long switches(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return used.ru_nvcsw;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  const long count = strtol(argv[2], NULL, 10);
  const useconds_t hold_us = strtoul(argv[3], NULL, 10) * 1000;
  struct waiter *waiters = calloc(count, sizeof *waiters);
  struct jlock *holder = open_lock(argv[1], 0);
  if (!waiters) fail("calloc");
  good(holder, jlock_acquire(holder));
  for (long i = 0; i < count; i++) {
    waiters[i].lock = open_lock(argv[1], 0);
    if (pthread_create(&waiters[i].thread, NULL, wait_and_leave, &waiters[i])) fail("pthread_create");
    wait_until_it_waits(&waiters[i]);
  }
  const int64_t cpu = cpu_ns();
  usleep(hold_us);
  const int64_t used = cpu_ns() - cpu;
  const long before = switches();
  const int64_t released = now_ns();
  good(holder, jlock_release(holder));
  for (long i = 0; i < count; i++) pthread_join(waiters[i].thread, NULL);
  const int64_t took = now_ns() - released;
  long overtaken = 0;
  for (long i = 1; i < count; i++) overtaken += waiters[i].served < waiters[i - 1].served;
  printf("%" PRId64 " %" PRId64 " %ld %ld\n", used, took, switches() - before, overtaken);
  return 0;
}

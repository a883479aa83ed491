/* One process in a place: what tests/places/places.py starts and kills.
 *
 *     worker storm  ORACLE NAME FIRST COUNT DIR    holds and appends by turns
 *     worker hold   DIR                            holds until it is killed
 *     worker take   DIR TIMEOUT_MS                 acquires once, says when, and releases
 *     worker fill   ORACLE NAME COUNT DIR          appends until it fails, or so often
 *
 * The oracle is a directory on another file system. The descriptor of its lock is lower than all of the library's: when
 * a process is killed, the kernel closes it first, so a survivor never sees the lock free and the oracle's still taken.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <jlock.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

static int said = -1;

/* One write for a line: whoever reads never sees half of it, whenever this process is killed. */
static void say(const char *format, ...) {
  char line[512];
  va_list rest;
  va_start(rest, format);
  int length = vsnprintf(line, sizeof line, format, rest);
  va_end(rest);
  if (length < 0 || (size_t)length >= sizeof line || write(said, line, (size_t)length) != length) abort();
}

static int64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

static void rest_us(long us) {
  struct timespec left = {us / 1000000, us % 1000000 * 1000};
  while (nanosleep(&left, &left) == -1 && errno == EINTR) continue;
}

static void failed(struct jlock *lock, const char *what, int rc) {
  char why[256];
  if (jlock_message(lock, why, sizeof why) < 0) why[0] = 0;
  say("failed %s %d %s\n", what, rc, why);
}

static int open_in(const char *dir, const char *name, int flags) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  int fd = open(path, flags | O_CLOEXEC, 0666);
  if (fd == -1) {
    perror(path);
    exit(2);
  }
  return fd;
}

static struct jlock *open_lock(const char *dir, int32_t timeout_ms) {
  struct jlock_options options;
  jlock_options_init(&options, sizeof options);
  options.timeout_ms = timeout_ms;
  struct jlock *lock;
  int rc = jlock_open(dir, &options, sizeof options, &lock);
  if (rc) {
    say("failed open %d %s\n", rc, jlock_strerror(rc));
    exit(1);
  }
  return lock;
}

/* A hold, judged by the oracle; the tenth is so long that others give up waiting for a report and look by themselves. */
static void hold(struct jlock *lock, int oracle, long turn) {
  int rc = jlock_acquire(lock);
  if (rc) {
    failed(lock, "acquire", rc);
    return;
  }
  int alone = flock(oracle, LOCK_EX | LOCK_NB) == 0;
  if (alone) {
    rest_us(turn % 20 == 0 ? 60000 : 300);
    flock(oracle, LOCK_UN);
  }
  rc = jlock_release(lock);
  const char *told = rc == 0 ? "kept" : rc == JLOCK_ELOST ? "lost" : "failed";
  say("held %s %s\n", alone ? "alone" : "overlap", told);
  if (rc && rc != JLOCK_ELOST) failed(lock, "release", rc);
}

static int append(struct jlock *lock, const char *name, long turn) {
  char path[128];
  snprintf(path, sizeof path, "of/%s/%06ld/whole", name, turn);
  struct jlock_entry entry = {path, SIZE_MAX, JLOCK_CHANGED, 0};
  say("try %s\n", path);
  int rc = jlock_append(lock, &entry, 1);
  if (rc == 0) say("ack %s\n", path);
  else failed(lock, "append", rc);
  return rc;
}

static int storm(const char *at, const char *name, long first, long count, const char *dir) {
  int oracle = open_in(at, "held", O_RDWR | O_CREAT);
  said = open_in(at, name, O_WRONLY | O_APPEND | O_CREAT);
  struct jlock *lock = open_lock(dir, 20000);
  for (long turn = first; turn < first + count; turn++) {
    if (turn % 2) hold(lock, oracle, turn);
    else append(lock, name, turn);
  }
  int rc = jlock_close(lock);
  if (rc) say("failed close %d %s\n", rc, jlock_strerror(rc));
  say("done\n");
  return 0;
}

static int fill(const char *at, const char *name, long count, const char *dir) {
  said = open_in(at, name, O_WRONLY | O_APPEND | O_CREAT);
  struct jlock *lock = open_lock(dir, 5000);
  int rc = 0;
  for (long turn = 0; turn < count && rc == 0; turn++) rc = append(lock, name, turn);
  jlock_close(lock);
  say("done\n");
  return 0;
}

static int hold_until_killed(const char *dir) {
  said = 1;
  struct jlock *lock = open_lock(dir, 20000);
  int rc = jlock_acquire(lock);
  if (rc) return failed(lock, "acquire", rc), 1;
  say("held\n");
  for (;;) pause();
}

static int take(const char *dir, int32_t timeout_ms) {
  said = 1;
  struct jlock *lock = open_lock(dir, timeout_ms);
  say("ready\n");
  int64_t begun = now_us();
  int rc = jlock_acquire(lock);
  int64_t taken = now_us();
  if (rc) {
    failed(lock, "acquire", rc);
  } else {
    say("taken %lld %lld\n", (long long)(taken - begun), (long long)taken);
    rest_us(1000);
    rc = jlock_release(lock);
    if (rc) failed(lock, "release", rc);
  }
  jlock_close(lock);
  return rc != 0;
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  if (argc == 7 && !strcmp(what, "storm")) return storm(argv[2], argv[3], atol(argv[4]), atol(argv[5]), argv[6]);
  if (argc == 6 && !strcmp(what, "fill")) return fill(argv[2], argv[3], atol(argv[4]), argv[5]);
  if (argc == 3 && !strcmp(what, "hold")) return hold_until_killed(argv[2]);
  if (argc == 4 && !strcmp(what, "take")) return take(argv[2], atoi(argv[3]));
  fputs("usage: worker storm|fill|hold|take ...\n", stderr);
  return 2;
}

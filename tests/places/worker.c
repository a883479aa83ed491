/* One process in a place, started and killed by tests/places/places.py.
 *
 *     worker storm  ORACLE NAME FIRST COUNT DIR    holds and appends by turns
 *     worker hold   DIR                            holds until it is killed
 *     worker take   DIR TIMEOUT_MS                 acquires once, says when, and releases
 *     worker fill   ORACLE NAME COUNT DIR          appends until it fails, at most COUNT times
 *     worker sync   ORACLE NAME COUNT DIR          the same, with JLOCK_SYNC; each 25th append stamps as well
 *
 * The oracle is a directory on another file system. NAME is a letter and a number. If the directory has a file
 * `memory`, which several machines can share, NAME's slot in it says who holds. Otherwise the lock of the file `held`
 * does. Its descriptor is lower than all of the library's, so when a process is killed, the kernel closes it first,
 * and no survivor ever sees the lock free and the oracle's still taken.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <jlock.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int said = -1;

/* One write for each line, so that a reader never sees half of it, whenever this process is killed. */
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

static struct jlock *open_with(const char *dir, int32_t timeout_ms, uint32_t flags) {
  struct jlock_options options;
  jlock_options_init(&options, sizeof options);
  options.timeout_ms = timeout_ms;
  options.flags = flags;
  struct jlock *lock;
  int rc = jlock_open(dir, &options, sizeof options, &lock);
  if (rc) {
    say("failed open %d %s\n", rc, jlock_strerror(rc));
    exit(1);
  }
  return lock;
}

static struct jlock *open_lock(const char *dir, int32_t timeout_ms) { return open_with(dir, timeout_ms, 0); }

/* Who holds. If a process is about to be killed, its killer says so in its slot first, and clears both when it is
 * gone. */
struct slot {
  _Atomic uint32_t in, dying;
  char own_cache_line[56];
};
enum { SLOTS = 64 };
static struct slot *slots, *own;
static int held = -1;

static void open_oracle(const char *at, const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/memory", at);
  if (access(path, F_OK) == -1) {
    held = open_in(at, "held", O_RDWR | O_CREAT);
    return;
  }
  int fd = open_in(at, "memory", O_RDWR);
  slots = mmap(NULL, SLOTS * sizeof *slots, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (slots == MAP_FAILED) {
    perror(path);
    exit(2);
  }
  own = &slots[(unsigned)atoi(name + 1) % SLOTS];
  close(fd);
}

static int is_alone(void) {
  for (struct slot *slot = slots; slot < slots + SLOTS; slot++)
    if (slot != own && slot->in && !slot->dying) return 0;
  return 1;
}

/* Whether nobody else held when this process came, nor when it left. If two hold at once, at least one sees the
 * other. */
static int alone_for(long us) {
  int alone;
  if (slots) {
    own->in = 1;
    alone = is_alone();
    rest_us(us);
    alone &= is_alone();
    own->in = 0;
  } else if ((alone = flock(held, LOCK_EX | LOCK_NB) == 0)) {
    rest_us(us);
    flock(held, LOCK_UN);
  }
  return alone;
}

/* A hold, judged by the oracle. Each tenth is so long that others stop waiting for a wake-up and look by themselves. */
static void hold(struct jlock *lock, long turn) {
  int rc = jlock_acquire(lock);
  if (rc) {
    failed(lock, "acquire", rc);
    return;
  }
  int alone = alone_for(turn % 20 == 1 ? 60000 : 300);
  rc = jlock_release(lock);
  const char *told = rc == 0 ? "kept" : rc == JLOCK_ELOST ? "lost" : "failed";
  say("held %s %s\n", alone ? "alone" : "overlap", told);
  if (rc && rc != JLOCK_ELOST) failed(lock, "release", rc);
}

static int append(struct jlock *lock, const char *name, long turn, int64_t stamp_ms) {
  char path[128];
  snprintf(path, sizeof path, "of/%s/%06ld/whole", name, turn);
  struct jlock_entry entry = {path, SIZE_MAX, JLOCK_CHANGED, 0};
  say("try %s\n", path);
  int rc = stamp_ms ? jlock_append_stamped(lock, &entry, 1, stamp_ms) : jlock_append(lock, &entry, 1);
  if (rc == 0) say("ack %s\n", path);
  else failed(lock, "append", rc);
  return rc;
}

/* Longer than a takeover takes where only its age shows that a holder is dead. */
enum { PATIENCE_MS = 90000 };

static int storm(const char *at, const char *name, long first, long count, const char *dir) {
  open_oracle(at, name);
  said = open_in(at, name, O_WRONLY | O_APPEND | O_CREAT);
  struct jlock *lock = open_lock(dir, PATIENCE_MS);
  for (long turn = first; turn < first + count; turn++) {
    if (turn % 2) hold(lock, turn);
    else append(lock, name, turn, 0);
  }
  int rc = jlock_close(lock);
  if (rc) say("failed close %d %s\n", rc, jlock_strerror(rc));
  say("done\n");
  return 0;
}

static int fill(const char *at, const char *name, long count, const char *dir, uint32_t flags) {
  said = open_in(at, name, O_WRONLY | O_APPEND | O_CREAT);
  struct jlock *lock = open_with(dir, PATIENCE_MS, flags);
  int rc = 0;
  for (long turn = 0; turn < count && rc == 0; turn++)
    rc = append(lock, name, turn, flags & JLOCK_SYNC && turn % 25 == 24 ? 1700000000000 + turn : 0);
  jlock_close(lock);
  say("done\n");
  return 0;
}

static int hold_until_killed(const char *dir) {
  said = 1;
  struct jlock *lock = open_lock(dir, PATIENCE_MS);
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
  if (argc == 6 && !strcmp(what, "fill")) return fill(argv[2], argv[3], atol(argv[4]), argv[5], 0);
  if (argc == 6 && !strcmp(what, "sync")) return fill(argv[2], argv[3], atol(argv[4]), argv[5], JLOCK_SYNC);
  if (argc == 3 && !strcmp(what, "hold")) return hold_until_killed(argv[2]);
  if (argc == 4 && !strcmp(what, "take")) return take(argv[2], atoi(argv[3]));
  fputs("usage: worker storm|fill|sync|hold|take ...\n", stderr);
  return 2;
}

/* Random calls, sensible and senseless, from 8 threads on a few handles, while the ground is pulled from under them:
 *
 *     misuse SEED CALLS DIR
 *     misuse closed DIR      instead, the program closes the library's own descriptors
 *
 * Every call returns success or an error; there is no crash, no panic, no hang and no descriptor leak. Afterwards the
 * directory works as if nothing had happened. What C itself forbids (a wild pointer, a handle that was closed) is
 * left out. The same seed makes the same calls in each thread; how the threads interleave is up to the scheduler. */
#define _GNU_SOURCE

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jlock.h>

enum { THREADS = 8, HANDLES = 4 };

#define CHECK(condition) ((condition) ? (void)0 : fail(__LINE__, #condition))
#define SYSTEM(call) ((call) != -1 ? (void)0 : fail(__LINE__, #call))
#define LENGTH(array) (sizeof(array) / sizeof *(array))

static uint64_t seed;
static char base[PATH_MAX - 256];

_Noreturn static void fail(int line, const char *what) {
  fprintf(stderr, "misuse.c:%d: %s (errno: %s); seed %llu\n", line, what, strerror(errno), (unsigned long long)seed);
  abort();
}

/* ------------------------------------------------------------------------------------------------------- chance */

static uint64_t next(uint64_t *chance) { /* SplitMix64 */
  uint64_t mixed = *chance += 0x9e3779b97f4a7c15;
  mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
  return mixed ^ mixed >> 31;
}

static unsigned below(uint64_t *chance, size_t bound) { return (unsigned)(next(chance) % bound); }
static int one_in(uint64_t *chance, unsigned count) { return below(chance, count) == 0; }

/* ------------------------------------------------------------------------------------------------------ handles */

/* Many threads call at once, but only one may close, and it must be alone. */
static struct slot {
  pthread_rwlock_t users;
  struct jlock *lock; /* NULL if it could not be opened */
} slots[HANDLES];

/* The size is misused, not the room: there is always as much as any version reads or writes. */
union sized {
  struct jlock_options options;
  struct jlock_holder holder;
  struct jlock_place place;
  char bytes[4096];
};

static size_t any_size(uint64_t *chance, size_t right) {
  const size_t sizes[] = {0, 4, 19, 20, 21, 151, 152, 153, 168, 295, 296, 297, 4095, 4096, 4097, SIZE_MAX / 2, SIZE_MAX};
  return one_in(chance, 2) ? right : sizes[below(chance, LENGTH(sizes))];
}

static const struct jlock_options *any_options(uint64_t *chance, union sized *room) {
  if (one_in(chance, 8)) return NULL;
  memset(room, one_in(chance, 16) ? 0xff : 0, sizeof *room);
  jlock_options_init(&room->options, any_size(chance, sizeof room->options));
  room->options.flags = one_in(chance, 16) ? (uint32_t)next(chance) : below(chance, 8);
  room->options.timeout_ms = (int32_t)below(chance, 4);
  room->options.retry_ms = below(chance, 4);
  room->options.stale_ms = one_in(chance, 2) ? 30000 : below(chance, 50);
  room->options.settle_ms = below(chance, 3);
  return &room->options;
}

static struct jlock *open_any(uint64_t *chance) {
  union sized room;
  const struct jlock_options *options = any_options(chance, &room);
  size_t size = any_size(chance, sizeof room.options);
  struct jlock *lock = (void *)&room;
  int rc;
  if (one_in(chance, 2)) {
    rc = jlock_open(one_in(chance, 16) ? NULL : base, options, size, &lock);
  } else {
    const char *names[] = {"changes.journal", "changes.journal", "other", "", ".", "..", "a/b", NULL, base};
    int dir = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int dirs[] = {dir, dir, dir, AT_FDCWD, -1, INT_MAX, STDERR_FILENO};
    /* With AT_FDCWD, a plain name is in the working directory, which is base's parent. */
    rc = jlock_open_at(dirs[below(chance, LENGTH(dirs))], names[below(chance, LENGTH(names))], options, size, &lock);
    if (dir >= 0) close(dir); /* the library has its own descriptor */
  }
  CHECK(rc <= 0 && rc != JLOCK_EPANIC && (rc == 0) == (lock != NULL));
  return lock;
}

static void reopen(uint64_t *chance) {
  struct slot *slot = &slots[below(chance, HANDLES)];
  pthread_rwlock_wrlock(&slot->users);
  int rc = jlock_close(slot->lock);
  CHECK(rc <= 0 && rc != JLOCK_EPANIC && rc != JLOCK_EFORKED);
  slot->lock = open_any(chance);
  pthread_rwlock_unlock(&slot->users);
}

/* -------------------------------------------------------------------------------------------------------- calls */

static int append_any(uint64_t *chance, struct jlock *lock) {
  char longest[5000];
  memset(longest, 'x', sizeof longest);
  const char *paths[] = {"a", "src/b.c", "", " a", "#a", "DELETED a", "a\nb", "\xff", NULL, longest};
  const size_t lengths[] = {0, 1, 2, 5000, SIZE_MAX, SIZE_MAX - 1, (size_t)SSIZE_MAX + 1};
  struct jlock_entry entries[4];
  size_t count = below(chance, LENGTH(entries) + 1);
  for (size_t at = 0; at < count; at++) {
    const char *path = paths[one_in(chance, 2) ? below(chance, 2) : below(chance, LENGTH(paths))];
    size_t length = path == longest ? sizeof longest : SIZE_MAX;
    if (one_in(chance, 4)) length = lengths[below(chance, LENGTH(lengths))];
    if (path && path != longest && length <= 5000 && length > strlen(path)) length = strlen(path);
    if (path == longest && length == SIZE_MAX) length = 7; /* it has no NUL at its end */
    uint32_t kind = one_in(chance, 16) ? (uint32_t)next(chance) : below(chance, 2);
    entries[at] = (struct jlock_entry){path, length, kind, one_in(chance, 32)};
  }
  const struct jlock_entry *given = one_in(chance, 32) ? NULL : entries;
  if (one_in(chance, 32)) count = given ? SIZE_MAX - below(chance, 9) : SIZE_MAX; /* more than fits anywhere */
  if (one_in(chance, 2)) return jlock_append(lock, given, count);
  return jlock_append_stamped(lock, given, count, one_in(chance, 8) ? (int64_t)next(chance) : 1700000000000);
}

static void look_at(uint64_t *chance, const struct jlock_snapshot *snapshot) {
  double timestamp = jlock_snapshot_timestamp(snapshot);
  CHECK(snapshot ? timestamp > 0 : timestamp == 0);
  uint32_t kind = one_in(chance, 4) ? (uint32_t)next(chance) : below(chance, 2);
  size_t count = jlock_snapshot_count(snapshot, kind);
  size_t index = one_in(chance, 4) ? (size_t)next(chance) : below(chance, count + 1);
  struct jlock_entry entry;
  int rc = jlock_snapshot_entry(snapshot, kind, index, one_in(chance, 16) ? NULL : &entry);
  CHECK(rc == -EINVAL || (rc == 0 && index < count && entry.path[entry.path_len] == 0));
}

static int read_any(uint64_t *chance, struct jlock *lock) {
  struct jlock_snapshot *snapshot = (void *)&snapshot;
  int rc = jlock_read(lock, &snapshot);
  CHECK((rc == 0) == (snapshot != NULL));
  look_at(chance, snapshot);
  if (one_in(chance, 2)) {
    int checkpoint = jlock_checkpoint(lock, snapshot, one_in(chance, 8) ? (int64_t)next(chance) : 1700000000001);
    CHECK(checkpoint != JLOCK_EPANIC && checkpoint <= 1 && (snapshot || checkpoint < 0));
  }
  jlock_snapshot_free(snapshot);
  return rc;
}

static int inspect_any(uint64_t *chance, struct jlock *lock) {
  union sized room;
  size_t size = any_size(chance, sizeof room.holder);
  return jlock_inspect(lock, one_in(chance, 16) ? NULL : &room.holder, size);
}

/* An event loop without any order: whatever the result is, another thread may go on with the acquire or cancel it. */
static int go_on(uint64_t *chance, struct jlock *lock) {
  int rc = one_in(chance, 2) ? jlock_acquire_poll(lock) : jlock_acquire_start(lock, (int32_t)below(chance, 6) - 1);
  int fd = rc == -EINPROGRESS ? jlock_wait_fd(lock) : -1;
  if (fd >= 0) poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, (int)below(chance, 3)); /* or the call failed */
  return rc;
}

static void probe_any(uint64_t *chance) {
  union sized room;
  const char *dirs[] = {base, base, "", "/dev/null", "none", NULL};
  size_t size = any_size(chance, sizeof room.place);
  int rc = jlock_probe(dirs[below(chance, LENGTH(dirs))], one_in(chance, 16) ? NULL : &room.place, size);
  CHECK(rc <= 0 && rc != JLOCK_EPANIC);
}

static int message_any(uint64_t *chance, struct jlock *lock) {
  char text[300];
  size_t size = below(chance, sizeof text + 1);
  int rc = jlock_message(lock, one_in(chance, 16) ? NULL : text, size);
  CHECK(*jlock_strerror((int)next(chance)));
  return rc < 0 ? rc : 0;
}

static int call(uint64_t *chance, struct jlock *lock) {
  switch (below(chance, 18)) {
    case 0: return jlock_acquire(lock);
    case 1: return jlock_acquire_for(lock, (int32_t)below(chance, 6) - 1); /* also forever */
    case 2: return jlock_try_acquire(lock);
    case 3: case 4: case 5: return jlock_release(lock);
    case 6: return jlock_refresh(lock);
    case 7: return jlock_recovered(lock);
    case 8: return jlock_cancel(lock);
    case 9: return jlock_wait_fd(lock);
    case 10: return inspect_any(chance, lock);
    case 11: return jlock_write_header(lock, one_in(chance, 4) ? (int64_t)next(chance) : 1700000000000);
    case 12: return read_any(chance, lock);
    case 13: return message_any(chance, lock);
    case 14: case 15: return go_on(chance, lock);
    default: return append_any(chance, lock);
  }
}

static void call_any(uint64_t *chance) {
  struct slot *slot = &slots[below(chance, HANDLES)];
  pthread_rwlock_rdlock(&slot->users);
  struct jlock *lock = one_in(chance, 32) ? NULL : slot->lock;
  int rc = call(chance, lock);
  CHECK(rc != JLOCK_EPANIC && rc != JLOCK_EFORKED && (lock || rc == -EINVAL));
  pthread_rwlock_unlock(&slot->users);
}

/* ------------------------------------------------------------------------------------------------------ weather */

/* What other programs may do to the directory. Each step may fail, because other threads do the same. */
static void disturb(uint64_t *chance) {
  const char *names[] = {"changes.journal", "changes.journal.lock", "other.lock"};
  const char *contents[] = {"", "1\n", "1\n1-0123456789abcdef\n", "notes\n", "# codegraph-journal v1 7\na\n"};
  char path[PATH_MAX], moved[PATH_MAX];
  snprintf(path, sizeof path, "%s/%s", base, names[below(chance, LENGTH(names))]);
  snprintf(moved, sizeof moved, "%s.moved", base);
  FILE *file;
  switch (below(chance, 6)) {
    case 0: unlink(path); break;
    case 1:
      if ((file = fopen(path, "w"))) {
        fputs(contents[below(chance, LENGTH(contents))], file);
        fclose(file);
      }
      break;
    case 2: mkdir(path, 0777); break;
    case 3: rmdir(path); break;
    case 4:
      if ((file = fopen(path, "a"))) {
        fputs("torn", file);
        fclose(file);
      }
      break;
    case 5: /* the directory is replaced, and handles still have the old one open, which is removed */
      if (one_in(chance, 8) && rename(base, moved) == 0) {
        mkdir(base, 0777);
        DIR *entries = opendir(moved);
        for (struct dirent *entry; entries && (entry = readdir(entries));)
          if (unlinkat(dirfd(entries), entry->d_name, 0)) unlinkat(dirfd(entries), entry->d_name, AT_REMOVEDIR);
        if (entries) closedir(entries);
        rmdir(moved);
      }
      break;
  }
}

/* A child may close the handles, and nothing else. */
static void in_a_child(uint64_t *chance) {
  for (int at = 0; at < HANDLES; at++) pthread_rwlock_rdlock(&slots[at].users); /* nobody is closing one */
  pid_t pid = fork();
  SYSTEM(pid);
  if (pid == 0) {
    alarm(60);
    for (int round = 0; round < 20; round++) {
      struct jlock *lock = slots[below(chance, HANDLES)].lock;
      int rc = call(chance, lock);
      CHECK(rc == -EINVAL || (lock && (rc == JLOCK_EFORKED || rc == -ENOMEM || rc == -E2BIG))); /* a bad argument may be seen first */
    }
    for (int at = 0; at < HANDLES; at++) CHECK(jlock_close(slots[at].lock) == 0);
    _exit(0);
  }
  for (int at = 0; at < HANDLES; at++) pthread_rwlock_unlock(&slots[at].users);
  int status;
  SYSTEM(waitpid(pid, &status, 0));
  if (status != 0) fprintf(stderr, "misuse.c: the child ended with status %#x\n", (unsigned)status);
  CHECK(status == 0);
}

/* -------------------------------------------------------------------------------------------------------- world */

static unsigned long calls;
static atomic_uint finished;

static void *misuse(void *number) {
  uint64_t chance = seed * THREADS + (uintptr_t)number;
  for (unsigned long at = 0; at < calls / THREADS; at++) {
    unsigned what = below(&chance, 1000);
    if (what < 15) reopen(&chance);
    else if (what < 30) disturb(&chance);
    else if (what < 32) in_a_child(&chance);
    else if (what < 36) probe_any(&chance);
    else call_any(&chance);
  }
  finished++;
  return NULL;
}

/* Ends every wait that would last forever, and never waits itself. */
static void *cancel(void *nothing) {
  while (finished < THREADS) {
    for (int at = 0; at < HANDLES; at++) {
      if (pthread_rwlock_tryrdlock(&slots[at].users)) continue;
      int rc = jlock_cancel(slots[at].lock);
      CHECK(rc == 0 || (rc == -EINVAL && !slots[at].lock));
      pthread_rwlock_unlock(&slots[at].users);
    }
    usleep(2000);
  }
  return nothing;
}

static int descriptors(void) {
  DIR *open_ones = opendir("/proc/self/fd");
  CHECK(open_ones);
  int count = 0;
  while (readdir(open_ones)) count++;
  closedir(open_ones);
  return count;
}

/* A program that closes descriptors that are not its own gets errors, and harms only itself. (This is not for debug
 * builds: there Rust's own checks end the process.) */
static void descriptors_closed_under_a_handle(void) {
  int first = open("/dev/null", O_RDONLY | O_CLOEXEC);
  SYSTEM(first);
  struct jlock *lock;
  CHECK(jlock_open(base, NULL, 0, &lock) == 0 && jlock_acquire(lock) == 0);
  for (int fd = first; fd < first + 16; fd++) close(fd);
  uint64_t chance = 1;
  for (int round = 0; round < 200; round++) CHECK(call(&chance, lock) != JLOCK_EPANIC);
  CHECK(jlock_close(lock) != JLOCK_EPANIC);
}

static void serves(void) {
  struct jlock *lock;
  struct jlock_snapshot *snapshot;
  struct jlock_entry entry = {"after all", SIZE_MAX, JLOCK_CHANGED, 0};
  CHECK(jlock_open(base, NULL, 0, &lock) == 0);
  CHECK(jlock_append_stamped(lock, &entry, 1, 1) == 0);
  CHECK(jlock_read(lock, &snapshot) == 0 && jlock_snapshot_count(snapshot, JLOCK_CHANGED) > 0);
  jlock_snapshot_free(snapshot);
  CHECK(jlock_close(lock) == 0);
}

static void clear(const char *name) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/%s", base, name);
  if (rmdir(path)) unlink(path);
}

static void random_calls(void) {
  pthread_t threads[THREADS], canceller;
  int before = descriptors();
  uint64_t chance = seed;
  for (int at = 0; at < HANDLES; at++) {
    CHECK(pthread_rwlock_init(&slots[at].users, NULL) == 0);
    slots[at].lock = open_any(&chance);
  }
  for (uintptr_t at = 0; at < THREADS; at++) CHECK(pthread_create(&threads[at], NULL, misuse, (void *)at) == 0);
  CHECK(pthread_create(&canceller, NULL, cancel, NULL) == 0);
  for (int at = 0; at < THREADS; at++) pthread_join(threads[at], NULL);
  pthread_join(canceller, NULL);
  for (int at = 0; at < HANDLES; at++) CHECK(jlock_close(slots[at].lock) <= 0);
  CHECK(descriptors() <= before + 4); /* the process keeps the queues of a few waits that are over */
  clear("changes.journal");
  clear("changes.journal.lock");
  serves();
}

int main(int argc, char **argv) {
  CHECK(argc == 3 || argc == 4);
  snprintf(base, sizeof base, "%s/journal", argv[argc - 1]);
  SYSTEM(chdir(argv[argc - 1]));
  SYSTEM(mkdir(base, 0777));
  if (argc == 3) {
    descriptors_closed_under_a_handle();
  } else {
    seed = strtoull(argv[1], NULL, 10);
    calls = strtoul(argv[2], NULL, 10);
    random_calls();
  }
  return 0;
}

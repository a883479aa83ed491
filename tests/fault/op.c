/* One operation of the library, between two marks that a tracer sees. Afterwards it checks what must hold whatever
 * happened in the operation: the handle is usable, and no descriptor has leaked.
 *
 *     op OPERATION DIR [COPY]     the operations are in the table below
 *
 * A copy of the journal as the operation left it goes to COPY. Prints one line of KEY=VALUE pairs. */

#define _GNU_SOURCE /* syscall */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "jlock.h"

static const int64_t stamp = INT64_C(1700000000001);

struct trial {
  const char *dir;
  struct jlock_options options;
  struct jlock *lock;
  struct jlock_snapshot *snapshot;
};

/* ------------------------------------------------------------------------------------------------ tools */

static void die(const char *what, int rc) {
  fprintf(stderr, "op: %s: %s\n", what, jlock_strerror(rc));
  exit(2);
}

/* A call that the library never makes, with a name that no file has. */
static void mark(const char *name) {
  syscall(SYS_faccessat, AT_FDCWD, name, F_OK);
}

static long milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000L + now.tv_nsec / 1000000L;
}

/* A process keeps the queue of a wait that is over for its next wait, so one queue is no leak. */
static int count_descriptors(void) {
  DIR *fds = opendir("/proc/self/fd");
  if (fds == NULL) {
    perror("op: /proc/self/fd");
    exit(2);
  }
  int count = 0, queues = 0;
  for (struct dirent *fd; (fd = readdir(fds)) != NULL; count++) {
    char target[64] = "";
    ssize_t length = readlinkat(dirfd(fds), fd->d_name, target, sizeof target - 1);
    queues += length > 0 && strcmp(target, "anon_inode:inotify") == 0;
  }
  closedir(fds);
  return queues > 0 ? count - 1 : count;
}

static void copy_journal(const char *dir, const char *to) {
  char path[4096];
  snprintf(path, sizeof path, "%s/changes.journal", dir);
  FILE *in = fopen(path, "rb");
  if (in == NULL)
    return; /* no journal, so no copy */
  FILE *out = fopen(to, "wb");
  char buf[4096];
  size_t len = fread(buf, 1, sizeof buf, in);
  if (out == NULL || fwrite(buf, 1, len, out) != len || fclose(out) != 0) {
    perror("op: copy");
    exit(2);
  }
  fclose(in);
}

static int append(struct trial *t, const char *path) {
  struct jlock_entry entry = { path, SIZE_MAX, JLOCK_CHANGED, 0 };
  return jlock_append(t->lock, &entry, 1);
}

/* ------------------------------------------------------------------------------------------- before the mark */

static void nothing(struct trial *t) {
  (void)t;
}

static void opened(struct trial *t) {
  int rc = jlock_open(t->dir, &t->options, sizeof t->options, &t->lock);
  if (rc)
    die("open", rc);
}

static void opened_to_sync(struct trial *t) {
  t->options.flags |= JLOCK_SYNC;
  opened(t);
}

static void used(struct trial *t) {
  opened(t);
  int rc = append(t, "before");
  if (rc)
    die("append", rc);
}

static void held(struct trial *t) {
  opened(t);
  int rc = jlock_acquire(t->lock);
  if (rc)
    die("acquire", rc);
}

static void snapshot_read(struct trial *t) {
  opened(t);
  int rc = jlock_read(t->lock, &t->snapshot);
  if (rc)
    die("read", rc);
  rc = append(t, "late");
  if (rc)
    die("append", rc);
}

/* -------------------------------------------------------------------------------------- between the marks */

static int open_it(struct trial *t) {
  return jlock_open(t->dir, &t->options, sizeof t->options, &t->lock);
}

static int acquire(struct trial *t) {
  return jlock_acquire(t->lock);
}

static int release(struct trial *t) {
  return jlock_release(t->lock);
}

static int refresh(struct trial *t) {
  return jlock_refresh(t->lock);
}

static int append_new(struct trial *t) {
  return append(t, "new");
}

static int append_stamped(struct trial *t) {
  struct jlock_entry entry = { "new", SIZE_MAX, JLOCK_CHANGED, 0 };
  return jlock_append_stamped(t->lock, &entry, 1, stamp);
}

static int write_header(struct trial *t) {
  return jlock_write_header(t->lock, stamp);
}

static int checkpoint(struct trial *t) {
  int rc = jlock_checkpoint(t->lock, t->snapshot, stamp);
  return rc < 0 ? rc : 0; /* the journal shows whether it dropped anything */
}

static int read_journal(struct trial *t) {
  return jlock_read(t->lock, &t->snapshot);
}

static int inspect(struct trial *t) {
  struct jlock_holder holder;
  return jlock_inspect(t->lock, &holder, sizeof holder);
}

/* Does what an event loop does: starts, then waits for the descriptor and polls until the acquire is over. */
static int wait_for_turn(struct trial *t) {
  int fd = jlock_wait_fd(t->lock);
  if (fd < 0)
    return fd;
  int rc = jlock_acquire_start(t->lock, t->options.timeout_ms);
  while (rc == -EINPROGRESS) {
    struct pollfd loop = { .fd = fd, .events = POLLIN };
    poll(&loop, 1, t->options.timeout_ms); /* if the event loop's own call fails, the loop just goes on */
    rc = jlock_acquire_poll(t->lock);
  }
  return rc;
}

static int probe(struct trial *t) {
  struct jlock_place place;
  return jlock_probe(t->dir, &place, sizeof place);
}

static int close_it(struct trial *t) {
  int rc = jlock_close(t->lock);
  t->lock = NULL;
  return rc;
}

/* Dies as the holder, and leaves a corpse for others to claim. */
static int leave_a_corpse(struct trial *t) {
  int rc = jlock_acquire(t->lock);
  if (rc)
    die("acquire", rc);
  _exit(0);
}

static int append_next(struct trial *t) {
  return append(t, "next");
}

static const struct operation {
  const char *name;
  void (*before)(struct trial *);
  int (*run)(struct trial *);
} operations[] = {
  { "open", nothing, open_it },
  { "acquire", opened, acquire },
  { "refresh", held, refresh },
  { "release", held, release },
  { "append", opened, append_new },
  { "append-again", used, append_new },
  { "append-held", held, append_new },
  { "append-sync", opened_to_sync, append_new },
  { "stamp", opened, append_stamped },
  { "header", opened, write_header },
  { "checkpoint", snapshot_read, checkpoint },
  { "read", opened, read_journal },
  { "inspect", held, inspect },
  { "wait-fd", opened, wait_for_turn },
  { "probe", opened, probe },
  { "close", used, close_it },
  { "close-held", held, close_it },
  { "corpse", opened, leave_a_corpse },
  { "next", opened, append_next },
};

/* ------------------------------------------------------------------------------------------------- after it */

/* Releases a hold that the operation left behind; then the handle appends. */
static int use(struct trial *t) {
  int rc = t->lock == NULL ? open_it(t) : 0;
  if (rc)
    return rc;
  struct jlock_holder holder;
  rc = jlock_inspect(t->lock, &holder, sizeof holder);
  if (rc == 0 && holder.state == JLOCK_MINE)
    rc = jlock_release(t->lock);
  return rc ? rc : append(t, "usable");
}

static const struct operation *find(const char *name) {
  for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
    if (strcmp(operations[i].name, name) == 0)
      return &operations[i];
  return NULL;
}

int main(int argc, char **argv) {
  const struct operation *operation = argc >= 3 ? find(argv[1]) : NULL;
  if (operation == NULL || argc > 4) {
    fprintf(stderr, "usage: op OPERATION DIR [COPY]\n");
    return 2;
  }
  struct trial t = { .dir = argv[2] };
  jlock_options_init(&t.options, sizeof t.options);
  t.options.timeout_ms = 3000;
  t.options.retry_ms = 200; /* long, so that a wait is a single wait */

  int descriptors = count_descriptors();
  operation->before(&t);
  long begun = milliseconds();
  mark("jlock:begin");
  int rc = operation->run(&t);
  mark("jlock:end");
  long took = milliseconds() - begun;

  int usable = 0;
  if (argc == 4) {
    copy_journal(t.dir, argv[3]);
    usable = use(&t);
  }
  jlock_snapshot_free(t.snapshot);
  int closed = jlock_close(t.lock);
  if (argc == 4 && usable == 0)
    usable = closed;
  printf("rc=%d usable=%d leaked=%d ms=%ld\n", rc, usable, count_descriptors() - descriptors, took);
  return 0;
}

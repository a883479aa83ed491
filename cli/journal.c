/* jlock append, delete, stamp, read and checkpoint. */
#include "cli.h"

#include <linux/memfd.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Opens the lock, does one thing with it, and says what went wrong. */
static int with_lock(const struct arguments *arguments, int (*act)(struct jlock *, const struct arguments *, void *),
                     void *context) {
  struct jlock *lock;
  int code = open_lock(arguments, &lock);
  if (code) return code;
  int rc = act(lock, arguments, context);
  if (rc) code = complain(arguments, lock, rc);
  return close_lock(arguments, lock, code);
}

static int64_t timestamp(const struct arguments *arguments) {
  return arguments->timestamp_ms < 0 ? now_ms() : arguments->timestamp_ms;
}

/* -------------------------------------------------------------------------------------- append, delete and stamp */

static int append(struct jlock *lock, const struct arguments *arguments, void *context) {
  const struct paths *paths = context;
  (void)arguments;
  return jlock_append(lock, paths->entries, paths->count);
}

static int stamp(struct jlock *lock, const struct arguments *arguments, void *context) {
  const struct paths *paths = context;
  if (arguments->reset) return jlock_write_header(lock, timestamp(arguments));
  return jlock_append_stamped(lock, paths->entries, paths->count, timestamp(arguments));
}

static int write_paths(const struct arguments *arguments, uint32_t kind,
                       int (*act)(struct jlock *, const struct arguments *, void *)) {
  struct paths paths;
  int code = read_paths(arguments, kind, &paths);
  if (!code) code = with_lock(arguments, act, &paths);
  free_paths(&paths);
  return code;
}

int do_append(const struct arguments *arguments) {
  return write_paths(arguments, JLOCK_CHANGED, append);
}

int do_delete(const struct arguments *arguments) {
  return write_paths(arguments, JLOCK_DELETED, append);
}

int do_stamp(const struct arguments *arguments) {
  return write_paths(arguments, arguments->deleted ? JLOCK_DELETED : JLOCK_CHANGED, stamp);
}

/* ----------------------------------------------------------------------------------------------------------- read */

static int read_and_print(struct jlock *lock, const struct arguments *arguments, void *context) {
  struct jlock_snapshot *snapshot;
  (void)context;
  int rc = jlock_read(lock, &snapshot);
  if (!rc) print_snapshot(stdout, snapshot, arguments);
  jlock_snapshot_free(snapshot);
  return rc;
}

int do_read(const struct arguments *arguments) {
  return with_lock(arguments, read_and_print, NULL);
}

/* ----------------------------------------------------------------------------------------------------- checkpoint */

/* Runs the command with the snapshot as its standard input. That is a file, so the command may stop reading at any time. */
static int feed(const struct jlock_snapshot *snapshot, const struct arguments *arguments) {
  int memory = (int)syscall(SYS_memfd_create, "jlock snapshot", MFD_CLOEXEC); /* glibc has a function only since 2.27 */
  FILE *file = memory < 0 ? NULL : fdopen(memory, "w+");
  if (!file) return complain_errno("snapshot", EXIT_OS);
  print_snapshot(file, snapshot, arguments);
  int code;
  if (fflush(file) || ferror(file) || fseek(file, 0, SEEK_SET)) {
    code = complain_errno("snapshot", EXIT_OS);
  } else {
    struct child child = {.argv = arguments->operands, .input = memory};
    code = run_child(&child);
  }
  fclose(file); /* cannot fail: it was flushed */
  return code;
}

static int process(const struct jlock_snapshot *snapshot, const struct arguments *arguments) {
  if (arguments->operand_count) return feed(snapshot, arguments);
  print_snapshot(stdout, snapshot, arguments);
  return flush_output(0);
}

/* Leaves the journal alone unless its entries have been processed. If anything fails, they are seen again. */
static int checkpoint(struct jlock *lock, const struct arguments *arguments, void *context) {
  int *code = context;
  int64_t before = timestamp(arguments); /* so that a change during the processing is later than the header says */
  struct jlock_snapshot *snapshot;
  int rc = jlock_read(lock, &snapshot);
  if (!rc) {
    *code = process(snapshot, arguments);
    if (!*code) rc = jlock_checkpoint(lock, snapshot, before);
    if (!*code && !rc)
      fprintf(stderr, "jlock: %s: the journal was replaced meanwhile: nothing was dropped, and all of it will be seen again\n",
              arguments->dir);
  }
  jlock_snapshot_free(snapshot);
  return rc < 0 ? rc : 0;
}

int do_checkpoint(const struct arguments *arguments) {
  int processed = 0;
  int code = with_lock(arguments, checkpoint, &processed);
  return code ? code : processed;
}

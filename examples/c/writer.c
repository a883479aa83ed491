/* Appends each path on its standard input, one per line, to a journal that others write to at the same time:
 *
 *     writer DIR PREFIX < paths
 *
 * Each entry is PREFIX/path; every tenth also stamps the journal's header. Prints "ack <entry>" as soon as an entry is in
 * the journal, and at the end "wait <milliseconds>", the time that the longest call took. */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

#include <jlock.h>

static double milliseconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now); /* cannot fail: both clocks exist everywhere */
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Appends one entry, stamped or not. If it took longer than *longest, that becomes its time. */
static int append(struct jlock *lock, const char *path, int stamp, double *longest) {
  struct jlock_entry entry = {path, SIZE_MAX, JLOCK_CHANGED, 0};
  double begun = milliseconds(CLOCK_MONOTONIC);
  int rc = stamp ? jlock_append_stamped(lock, &entry, 1, (int64_t)milliseconds(CLOCK_REALTIME))
                 : jlock_append(lock, &entry, 1);
  double took = milliseconds(CLOCK_MONOTONIC) - begun;
  if (took > *longest) *longest = took;
  return rc;
}

/* Returns PREFIX/line without the line's newline, for the caller to free; NULL if memory ran out. */
static char *entry_of(const char *prefix, const char *line, size_t length) {
  size_t prefix_length = strlen(prefix);
  char *entry = malloc(prefix_length + 1 + length + 1);
  if (!entry) return NULL;
  if (length > 0 && line[length - 1] == '\n') length--;
  memcpy(entry, prefix, prefix_length);
  entry[prefix_length] = '/';
  memcpy(entry + prefix_length + 1, line, length);
  entry[prefix_length + 1 + length] = '\0';
  return entry;
}

static int complain(struct jlock *lock, const char *entry) {
  char why[512];
  jlock_message(lock, why, sizeof why);
  fprintf(stderr, "writer: %s: %s\n", entry, why);
  return 1;
}

static int write_all(struct jlock *lock, const char *prefix) {
  char *line = NULL, *entry = NULL;
  size_t size = 0;
  ssize_t length;
  double longest = 0;
  int failed = 0;
  for (unsigned long count = 1; !failed && (length = getline(&line, &size, stdin)) >= 0; count++) {
    entry = entry_of(prefix, line, (size_t)length);
    if (!entry) {
      perror("writer");
      failed = 1;
    } else if (append(lock, entry, count % 10 == 0, &longest)) {
      failed = complain(lock, entry);
    } else if (printf("ack %s\n", entry) < 0 || fflush(stdout)) { /* flushed, so that whoever counts the entries sees each at once */
      perror("writer: standard output");
      failed = 1;
    }
    free(entry);
  }
  free(line);
  if (!failed && ferror(stdin)) {
    perror("writer: standard input");
    failed = 1;
  }
  if (!failed && (printf("wait %.3f\n", longest) < 0 || fflush(stdout))) {
    perror("writer: standard output");
    failed = 1;
  }
  return failed;
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fputs("usage: writer DIR PREFIX < paths\n", stderr);
    return 1;
  }
  struct jlock *lock;
  int rc = jlock_open(argv[1], NULL, 0, &lock);
  if (rc) {
    fprintf(stderr, "writer: %s: %s\n", argv[1], jlock_strerror(rc));
    return 1;
  }
  int failed = write_all(lock, argv[2]);
  rc = jlock_close(lock);
  if (rc) fprintf(stderr, "writer: close: %s\n", jlock_strerror(rc));
  return failed || rc;
}

/* The test vectors in C. It carries out the commands on its standard input, one a line, and answers each with a line.
 *
 *     vectors DIR TIMEOUT_MS SETTLE_MS
 *
 * `inspect`: state, peer, PID, nonce and host, separated by tabs. `read`: the timestamp, and lines `changed HEX` and
 * `deleted HEX`, up to `end`. `changed HEX` and `deleted HEX` add an entry to the next `append` or `stamp MS`; they are
 * not answered. `acquire`, `release`. A failure is `timed out`, `no header`, `no entry` or `refused`. */
#define _GNU_SOURCE

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jlock.h>

enum { MOST_ENTRIES = 8 };

static struct jlock_entry entries[MOST_ENTRIES];
static size_t count;

static void answer(int rc) {
  if (rc && rc != -ETIMEDOUT) fprintf(stderr, "vectors: %s\n", jlock_strerror(rc));
  puts(rc == 0                  ? "ok"
       : rc == -ETIMEDOUT       ? "timed out"
       : rc == JLOCK_EHEADER    ? "no header"
       : rc == JLOCK_EUNSTAMPED ? "no header" /* to the shipped reader there is none */
       : rc == JLOCK_EENTRY     ? "no entry"
                                : "refused");
}

static void inspect(struct jlock *lock) {
  static const char *const states[] = {"free", "held", "mine", "abandoned"};
  static const char *const peers[] = {"none", "library", "shipped", "unknown"};
  struct jlock_holder holder;
  int rc = jlock_inspect(lock, &holder, sizeof holder);
  if (rc) answer(rc);
  else
    printf("%s\t%s\t%" PRId32 "\t%s\t%s\n", states[holder.state], peers[holder.peer], holder.pid, holder.nonce,
           holder.host);
}

static void print_paths(const struct jlock_snapshot *snapshot, uint32_t kind, const char *word) {
  struct jlock_entry entry;
  for (size_t i = 0; !jlock_snapshot_entry(snapshot, kind, i, &entry); i++) {
    printf("%s ", word);
    for (size_t at = 0; at < entry.path_len; at++) printf("%02x", (unsigned char)entry.path[at]);
    putchar('\n');
  }
}

static void read_journal(struct jlock *lock) {
  struct jlock_snapshot *snapshot;
  int rc = jlock_read(lock, &snapshot);
  if (rc) {
    answer(rc);
    return;
  }
  printf("%.17g\n", jlock_snapshot_timestamp(snapshot));
  print_paths(snapshot, JLOCK_CHANGED, "changed");
  print_paths(snapshot, JLOCK_DELETED, "deleted");
  puts("end");
  jlock_snapshot_free(snapshot);
}

static void add_entry(uint32_t kind, const char *hex) {
  size_t length = strlen(hex) / 2;
  char *path = malloc(length + 1); /* never 0 bytes, for which malloc may return NULL */
  if (!path || count == MOST_ENTRIES) abort();
  for (size_t at = 0; at < length; at++) {
    unsigned byte;
    if (sscanf(hex + 2 * at, "%2x", &byte) != 1) abort();
    path[at] = (char)byte;
  }
  entries[count++] = (struct jlock_entry){.path = path, .path_len = length, .kind = kind};
}

static void appended(int rc) {
  for (; count > 0; count--) free((char *)entries[count - 1].path);
  answer(rc);
}

static void obey(struct jlock *lock, const char *line) {
  if (!strcmp(line, "inspect")) inspect(lock);
  else if (!strcmp(line, "read")) read_journal(lock);
  else if (!strncmp(line, "changed ", 8)) add_entry(JLOCK_CHANGED, line + 8);
  else if (!strncmp(line, "deleted ", 8)) add_entry(JLOCK_DELETED, line + 8);
  else if (!strcmp(line, "append")) appended(jlock_append(lock, entries, count));
  else if (!strncmp(line, "stamp ", 6)) appended(jlock_append_stamped(lock, entries, count, atoll(line + 6)));
  else if (!strcmp(line, "acquire")) answer(jlock_acquire(lock));
  else if (!strcmp(line, "release")) answer(jlock_release(lock));
  else abort();
  fflush(stdout);
}

int main(int argc, char **argv) {
  struct jlock_options options;
  struct jlock *lock;
  char *line = NULL;
  size_t size = 0;
  if (argc != 4) abort();
  jlock_options_init(&options, sizeof options);
  options.timeout_ms = atoi(argv[2]);
  options.settle_ms = (uint32_t)atoi(argv[3]);
  answer(jlock_open(argv[1], &options, sizeof options, &lock));
  fflush(stdout);
  for (ssize_t length; (length = getline(&line, &size, stdin)) > 0;) {
    line[length - 1] = '\0';
    obey(lock, line);
  }
  free(line);
  return jlock_close(lock) != 0;
}

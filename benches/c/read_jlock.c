/* read_jlock DIR COUNT: reads the journal, in which there must be COUNT distinct entries. */

#include "lock.h"
#include "meter.h"

static struct jlock *lock;
static size_t expected;

static void read_all(void) {
  struct jlock_snapshot *snapshot;
  good(lock, jlock_read(lock, &snapshot));
  size_t count = jlock_snapshot_count(snapshot, JLOCK_CHANGED);
  if (count != expected) {
    fprintf(stderr, "%zu entries, not %zu\n", count, expected);
    exit(1);
  }
  jlock_snapshot_free(snapshot);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  lock = open_lock(argv[1], 0);
  expected = strtoul(argv[2], NULL, 10);
  int rc = meter(read_all);
  good(NULL, jlock_close(lock));
  return rc;
}

/* stamp_jlock DIR: appends one entry and stamps the header. */

#include "lock.h"
#include "meter.h"

static struct jlock *lock;
static int64_t timestamp_ms = 1700000000000;

static void stamp(void) {
  const struct jlock_entry entry = {ENTRY, sizeof ENTRY - 1, JLOCK_CHANGED, 0};
  good(lock, jlock_append_stamped(lock, &entry, 1, ++timestamp_ms));
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  lock = open_lock(argv[1], 0);
  int rc = meter(stamp);
  good(NULL, jlock_close(lock));
  return rc;
}

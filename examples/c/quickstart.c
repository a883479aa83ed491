#include <stdio.h>
#include <time.h>
#include <jlock.h>

int main(int argc, char **argv) {
  struct jlock *lock;
  int rc = jlock_open(argc > 1 ? argv[1] : ".", NULL, 0, &lock);
  if (rc) return fprintf(stderr, "%s\n", jlock_strerror(rc)), 1;
  struct jlock_entry entries[] = {{"src/main.c", SIZE_MAX, JLOCK_CHANGED, 0},
                                  {"src/old.c", SIZE_MAX, JLOCK_DELETED, 0}};
  char why[256];
  /* Adds both or none; takes the lock and releases it. A new journal can be read once it has been stamped. */
  rc = jlock_append_stamped(lock, entries, 2, (int64_t)time(NULL) * 1000);
  if (rc && jlock_message(lock, why, sizeof why) >= 0) fprintf(stderr, "%s\n", why);
  int closed = jlock_close(lock);
  return rc || closed;
}

#include <stdio.h>
#include <jlock.h>

int main(int argc, char **argv) {
  struct jlock *lock;
  int rc = jlock_open(argc > 1 ? argv[1] : ".", NULL, &lock);
  if (rc) return fprintf(stderr, "%s\n", jlock_strerror(rc)), 1;
  struct jlock_entry entries[] = {{"src/main.c", SIZE_MAX, JLOCK_CHANGED, 0},
                                  {"src/old.c", SIZE_MAX, JLOCK_DELETED, 0}};
  char why[256];
  rc = jlock_append(lock, entries, 2); /* both or none; takes the lock and lets it go */
  if (rc && jlock_message(lock, why, sizeof why) >= 0) fprintf(stderr, "%s\n", why);
  jlock_close(lock);
  return rc != 0;
}

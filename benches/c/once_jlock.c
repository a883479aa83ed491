/* once_jlock DIR: opens, appends one entry, and closes, as a command-line tool does once in its life. */

#include "lock.h"
#include "meter.h"

static const char *dir;

static void once(void) {
  struct jlock *lock = open_lock(dir, 0);
  append(lock);
  good(NULL, jlock_close(lock));
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  dir = argv[1];
  return meter(once);
}

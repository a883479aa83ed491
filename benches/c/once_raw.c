/* once_raw DIR: does what a tool without any library does: an append under a naive lockfile. */

#include "lock.h"
#include "meter.h"
#include "raw.h"

static void once(void) {
  int lock = raw_lock("changes.journal.lock");
  int journal = check(open("changes.journal", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666), "changes.journal");
  check(write(journal, ENTRY "\n", sizeof ENTRY), "write");
  check(close(journal), "close");
  raw_unlock("changes.journal.lock", lock);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  check(chdir(argv[1]), argv[1]);
  return meter(once);
}

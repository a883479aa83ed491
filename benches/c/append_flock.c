/* append_flock FILE: one write under flock, to a file that stays open. No lockfile, no check, no recovery. */

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>
#include "lock.h"
#include "meter.h"

static int fd;

static void append_one(void) {
  check(flock(fd, LOCK_EX), "flock");
  check(write(fd, ENTRY "\n", sizeof ENTRY), "write");
  check(flock(fd, LOCK_UN), "flock");
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  fd = check(open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666), argv[1]);
  return meter(append_one);
}

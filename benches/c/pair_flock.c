/* pair_flock FILE: flock and unlock, on a file that stays open and is never removed. */

#include <fcntl.h>
#include <sys/file.h>
#include "meter.h"

static int fd;

static void pair(void) {
  check(flock(fd, LOCK_EX), "flock");
  check(flock(fd, LOCK_UN), "flock");
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  fd = check(open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0666), argv[1]);
  return meter(pair);
}

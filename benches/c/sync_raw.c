/* sync_raw FILE: write and fdatasync, one writer, no lock: what the disk allows. */

#include <fcntl.h>
#include <unistd.h>
#include "lock.h"
#include "meter.h"

static int fd;

static void append_one(void) {
  check(write(fd, ENTRY "\n", sizeof ENTRY), "write");
  check(fdatasync(fd), "fdatasync");
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  fd = check(open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666), argv[1]);
  return meter(append_one);
}

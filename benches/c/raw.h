/* The yardstick: a naive lockfile, with as few file operations as possible. */

#ifndef RAW_H
#define RAW_H

#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "clock.h"

static inline int raw_lock(const char *path) {
  static const char stamp[] = "4711\n4711-0123456789abcdef\n";
  int fd = check(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666), path);
  check(write(fd, stamp, sizeof stamp - 1), "write");
  return fd;
}

static inline void raw_unlock(const char *path, int fd) {
  check(unlink(path), path);
  check(close(fd), "close");
}

#endif

/* Opens what a command line names. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

int open_named(const struct arguments *arguments, struct jlock **out) {
  if (!arguments->journal) return jlock_open(arguments->dir, &arguments->options, sizeof arguments->options, out);
  int dir = open(arguments->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return -errno;
  int rc = jlock_open_at(dir, arguments->journal, &arguments->options, sizeof arguments->options, out);
  close(dir); /* read only: nothing can have been lost */
  return rc;
}

int open_lock(const struct arguments *arguments, struct jlock **out) {
  *out = NULL;
  int rc = open_named(arguments, out);
  return rc ? complain(arguments, NULL, rc) : 0;
}

int close_lock(const struct arguments *arguments, struct jlock *lock, int exit_code) {
  int rc = jlock_close(lock);
  return rc && !exit_code ? complain(arguments, NULL, rc) : exit_code;
}

int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now); /* cannot fail: this clock exists everywhere */
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

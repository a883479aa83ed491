/* Says what went wrong, and chooses the exit code. */
#include "cli.h"

#include <errno.h>
#include <string.h>

static int exit_code_for(int rc) {
  switch (rc) {
    case JLOCK_ELOST: return EXIT_LOST;
    case JLOCK_EHEADER:
    case JLOCK_EUNSTAMPED:
    case JLOCK_EENTRY:
    case JLOCK_ENOTLOCK:
    case -ELOOP: return EXIT_DATA;
    case JLOCK_EPANIC: return EXIT_SOFTWARE;
    case -EINVAL:
    case -ENAMETOOLONG: return EXIT_USAGE;
    case -ENOENT:
    case -ENOTDIR: return EXIT_NO_INPUT;
    case -EROFS: return EXIT_CANNOT_CREATE;
    case -EACCES:
    case -EPERM: return EXIT_NO_PERMISSION;
    case -EIO:
    case -ENOSPC:
    case -EDQUOT:
    case -EFBIG: return EXIT_IO;
    default: return EXIT_OS;
  }
}

int complain(const struct arguments *arguments, struct jlock *lock, int rc) {
  char message[1024] = "";
  if (lock && jlock_message(lock, message, sizeof message) < 0) *message = '\0'; /* then the code's own text is used */
  const char *advice = rc == JLOCK_EUNSTAMPED ? " (jlock stamp does)" : "";
  fprintf(stderr, "jlock: %s: %s%s\n", arguments->dir, *message ? message : jlock_strerror(rc), advice);
  return lock && (rc == -ETIMEDOUT || rc == -EAGAIN) ? arguments->conflict : exit_code_for(rc);
}

int complain_errno(const char *what, int exit_code) {
  fprintf(stderr, "jlock: %s: %s\n", what, strerror(errno));
  return exit_code;
}

int flush_output(int exit_code) {
  if (!fflush(stdout) && !ferror(stdout)) return exit_code;
  return complain_errno("standard output", EXIT_IO);
}

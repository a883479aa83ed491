/* jlock run: a command under the lock. */
#include "cli.h"

#include <stdlib.h>

/* What a dead holder left half done is the command's to mend: it is told, and so is who watches. */
static int tell_recovery(const struct arguments *arguments, struct jlock *lock) {
  bool recovered = jlock_recovered(lock) == 1;
  if (recovered)
    fprintf(stderr, "jlock: %s: taken over from a dead holder: what it was doing may be half done\n", arguments->dir);
  if (recovered ? setenv("JLOCK_RECOVERED", "1", 1) : unsetenv("JLOCK_RECOVERED"))
    return complain_errno("JLOCK_RECOVERED", EXIT_OS);
  return 0;
}

static int run_holding(const struct arguments *arguments, struct jlock *lock) {
  int code = tell_recovery(arguments, lock);
  if (code) return code;
  struct child child = {.argv = arguments->operands, .input = -1, .dies_with_us = true};
  code = run_child(&child);
  int rc = jlock_release(lock);
  if (!rc) return code;
  int failure = complain(arguments, lock, rc);
  return code ? code : failure; /* the command's own failure is the better news */
}

int do_run(const struct arguments *arguments) {
  struct jlock *lock;
  int code = open_lock(arguments, &lock);
  if (code) return code;
  int rc = jlock_acquire(lock);
  code = rc ? complain(arguments, lock, rc) : run_holding(arguments, lock);
  jlock_close(lock);
  return code;
}

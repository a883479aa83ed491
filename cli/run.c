/* jlock run: runs a command under the lock. */
#include "cli.h"

#include <stdlib.h>

/* The command must repair what a dead holder left half done, so we let it know, and the person at the terminal, too. */
static int announce_recovery(const struct arguments *arguments, struct jlock *lock) {
  bool recovered = jlock_recovered(lock) == 1;
  if (recovered)
    fprintf(stderr, "jlock: %s: taken over from a dead holder: what it was doing may be half done\n", arguments->dir);
  if (recovered ? setenv("JLOCK_RECOVERED", "1", 1) : unsetenv("JLOCK_RECOVERED"))
    return complain_errno("JLOCK_RECOVERED", EXIT_OS);
  return 0;
}

static int run_holding(const struct arguments *arguments, struct jlock *lock) {
  int code = announce_recovery(arguments, lock);
  if (code) return code;
  struct child child = {.argv = arguments->operands, .input = -1, .dies_with_us = true};
  code = run_child(&child);
  int rc = jlock_release(lock);
  if (!rc) return code;
  int failure = complain(arguments, lock, rc);
  return code ? code : failure; /* the command's own failure says more */
}

int do_run(const struct arguments *arguments) {
  struct jlock *lock;
  int code = open_lock(arguments, &lock);
  if (code) return code;
  int rc = jlock_acquire(lock);
  code = rc ? complain(arguments, lock, rc) : run_holding(arguments, lock);
  return close_lock(arguments, lock, code);
}

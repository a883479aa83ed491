/* The library's calls, as these programs make them: after a failure, the program says why, and ends. */

#ifndef LOCK_H
#define LOCK_H

#include <stdio.h>
#include <stdlib.h>
#include "jlock.h"

/* An entry of the journals' average length: 35 bytes with its newline. */
#define ENTRY "src/module-000017/component-004711"

static inline void good(struct jlock *lock, int rc) {
  char why[512] = "";
  if (rc == 0) return;
  if (lock) jlock_message(lock, why, sizeof why);
  fprintf(stderr, "%s (%s)\n", why, jlock_strerror(rc));
  exit(1);
}

static inline struct jlock *open_lock(const char *dir, unsigned flags) {
  struct jlock_options options;
  struct jlock *lock = NULL;
  jlock_options_init(&options, sizeof options);
  options.flags = flags;
  options.timeout_ms = -1;
  good(lock, jlock_open(dir, &options, sizeof options, &lock));
  return lock;
}

static inline void append(struct jlock *lock) {
  const struct jlock_entry entry = {ENTRY, sizeof ENTRY - 1, JLOCK_CHANGED, 0};
  good(lock, jlock_append(lock, &entry, 1));
}

#endif

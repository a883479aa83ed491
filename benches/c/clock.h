/* The clock, and how a program ends that cannot measure. */

#ifndef CLOCK_H
#define CLOCK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline int64_t now_ns(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

static inline _Noreturn void fail(const char *what) {
  perror(what);
  exit(1);
}

static inline long long check(long long rc, const char *what) {
  if (rc < 0) fail(what);
  return rc;
}

#endif

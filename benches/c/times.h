/* The times of many calls, and what the programs print about them: how many, the median, the 99th percentile and the longest. */

#ifndef TIMES_H
#define TIMES_H

#include <inttypes.h>
#include <stddef.h>
#include "clock.h"

struct times {
  int64_t *at;
  size_t count, room;
};

static inline void note(struct times *times, int64_t took) {
  if (times->count == times->room) {
    times->room = times->room ? times->room * 2 : 1 << 16;
    times->at = realloc(times->at, times->room * sizeof *times->at);
    if (!times->at) fail("realloc");
  }
  times->at[times->count++] = took;
}

static inline int ascending(const void *a, const void *b) {
  int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
  return (left > right) - (left < right);
}

static inline void report(struct times *times) {
  size_t count = times->count;
  if (count == 0) note(times, 0); /* it came too late, and has no times */
  qsort(times->at, times->count, sizeof *times->at, ascending);
  printf("%zu %" PRId64 " %" PRId64 " %" PRId64 "\n", count, times->at[times->count / 2],
         times->at[times->count * 99 / 100], times->at[times->count - 1]);
}

#endif

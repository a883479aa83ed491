/* A meter: for each number on its standard input it does its operation that many times, and prints the nanoseconds that
 * they took together. So one driver can let programs of any language take turns, their start-up not counted. */

#ifndef METER_H
#define METER_H

#include <inttypes.h>
#include "clock.h"

static inline int meter(void (*operation)(void)) {
  long times;
  while (scanf("%ld", &times) == 1) {
    int64_t begun = now_ns();
    for (long done = 0; done < times; done++) operation();
    printf("%" PRId64 "\n", now_ns() - begun);
    fflush(stdout);
  }
  return 0;
}

#endif

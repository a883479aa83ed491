/* A meter: for each number on standard input, it does its operation that many times, and prints how many nanoseconds that took
 * in total. So one driver can let programs in any language take turns, without counting their start-up. */

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

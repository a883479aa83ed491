// A meter like c/meter.h: for each number on standard input, it does the operation that many times.

import { createInterface } from 'node:readline';

export async function meter(operation) {
  for await (const line of createInterface({ input: process.stdin })) {
    const times = Number(line);
    const begun = process.hrtime.bigint();
    for (let done = 0; done < times; done++) operation();
    process.stdout.write(`${process.hrtime.bigint() - begun}\n`);
  }
}

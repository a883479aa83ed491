// turn.mjs DIR: does what c/turn.c does, in Node's event loop.

import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { Lock } from '../../examples/node/lib/index.js';

const lock = await Lock.open(process.argv[2], { timeoutMs: Infinity });
for await (const line of createInterface({ input: process.stdin })) {
  const count = Number(line);
  const times = [];
  for (let done = 0; done < count; done++) {
    const begun = process.hrtime.bigint();
    await lock.acquire();
    times.push(process.hrtime.bigint() - begun);
    await lock.release();
    await setTimeout(1);
  }
  times.sort((a, b) => Number(a - b));
  process.stdout.write(`${count} ${times[count >> 1]} ${times[Math.trunc((count * 99) / 100)]} ${times[count - 1]}\n`);
}
await lock.close();

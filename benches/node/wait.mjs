// wait.mjs ROOT: for each line on standard input, waits for the lock as the shipped peer does, and gives up as it does. Prints
// the CPU time and the elapsed time, in nanoseconds.

import { createInterface } from 'node:readline';
import { appendJournalEntries } from '../../tests/interop/peer.mjs';

const [root] = process.argv.slice(2);
for await (const _ of createInterface({ input: process.stdin })) {
  const [cpu, begun] = [process.cpuUsage(), process.hrtime.bigint()];
  try {
    appendJournalEntries(root, [{ file: 'a' }]);
  } catch (error) {
    if (!error.message.startsWith('Failed to acquire')) throw error;
  }
  const { user, system } = process.cpuUsage(cpu);
  process.stdout.write(`${(user + system) * 1000} ${process.hrtime.bigint() - begun}\n`);
}

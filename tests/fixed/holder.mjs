// holder.mjs MODULE DIRECTORY ROOT COUNT  enters the critical section COUNT times, with the lock of this journal module
// holder.mjs MODULE DIRECTORY             acquires, says so, and holds until its standard input ends
//
// There it does and prints the same as the storms' workers (tests/storm/worker.rs).

import fs from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [module, directory, root, count] = process.argv.slice(2);
const { acquireJournalLock, releaseJournalLock } = await import(pathToFileURL(module));
const lockPath = join(directory, 'changes.journal.lock');

/** Counts one hold. Returns false if somebody else is in the critical section. */
function criticalSection() {
  const [marker, counter] = [join(root, 'marker'), join(root, 'counter')];
  let alone = true;
  try {
    fs.closeSync(fs.openSync(marker, 'wx'));
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    alone = false;
  }
  const counted = Number(fs.readFileSync(counter, 'utf8'));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 0.05); // gives others a chance to come in
  fs.writeFileSync(counter, String(counted + 1));
  if (alone) fs.unlinkSync(marker);
  return alone;
}

/** Acquires, however long it takes: in such a crowd, the 5 s that codegraph waits may be too short. */
function acquire() {
  for (;;) {
    try {
      return acquireJournalLock(lockPath);
    } catch (error) {
      if (!error.message.startsWith('Failed to acquire')) throw error;
    }
  }
}

function hold() {
  const lock = acquire();
  const start = process.hrtime.bigint();
  if (!criticalSection()) console.log('clash');
  console.log(`held ${start} ${process.hrtime.bigint()}`);
  if (releaseJournalLock(lockPath, lock) === false) throw new Error('the lock was lost');
}

if (root === undefined) {
  acquire();
  console.log('acquired');
  fs.readFileSync(0);
} else {
  for (let n = 0; n < Number(count); n++) hold();
}

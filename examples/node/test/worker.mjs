// A worker thread that uses the lock as it is asked to, says so, and ends or carries on.

import { parentPort, workerData } from 'node:worker_threads';
import { Lock } from 'jlock';

const { dir, does } = workerData;
const lock = await Lock.open(dir, { timeoutMs: Infinity, keepalive: does === 'keep' });

const deeds = {
  end: () => lock.acquire(),
  open: () => {},
  hold: () => lock.acquire(),
  keep: () => lock.acquire(),
  async wait() {
    lock.acquire().then(() => parentPort.postMessage('acquired'));
  },
  async read() {
    globalThis.snapshot = await lock.snapshot();
  },
  look() {
    for (let n = 0; n < 200; n++) Promise.all([lock.inspect(), lock.read(), lock.snapshot()]);
  },
  call() {
    for (let n = 0; n < 200; n++) lock.appendStamped([{ file: 'x' }], n + 1);
  },
};
await deeds[does]();
parentPort.postMessage(does);
if (does !== 'end') setInterval(() => {}, 1000);

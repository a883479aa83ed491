// A worker thread that acquires the lock, says what it sees, and ends.

import { parentPort, workerData } from 'node:worker_threads';
import { Lock } from 'jlock';

const lock = await Lock.open(workerData);
await lock.acquire();
parentPort.postMessage((await lock.inspect()).state);

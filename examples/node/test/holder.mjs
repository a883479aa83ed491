// holder.mjs DIR: acquires the lock, says so, and holds the lock until standard input ends.

import { once } from 'node:events';
import { Lock } from 'jlock';

const lock = await Lock.open(process.argv[2]);
await lock.acquire();
console.log('held');
process.stdin.resume();
await once(process.stdin, 'end');
await lock.close();

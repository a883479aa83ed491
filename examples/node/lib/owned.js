/**
 * What belongs to the library and must be freed by it: handles and snapshots. They are freed when somebody closes them, when
 * nobody refers to them any more, and when the thread or the process ends.
 */

import { isMainThread } from 'node:worker_threads';
import { freeAtEnd, jlock_close, jlock_snapshot_free, keepAtEnd } from './native.js';
import { inUse, offload } from './pool.js';

/** @typedef {import('./native.js').NativeFunction} NativeFunction */

/**
 * Everything that this thread owns, with the function that frees it.
 *
 * @type {Map<bigint, NativeFunction>}
 */
const owned = new Map();

/** @param {bigint} pointer */
export const ownHandle = (pointer) => own(pointer, jlock_close);

/** @param {bigint} pointer */
export const ownSnapshot = (pointer) => own(pointer, jlock_snapshot_free);

/**
 * @param {bigint} pointer
 * @param {NativeFunction} free
 */
function own(pointer, free) {
  owned.set(pointer, free);
  freeAtEnd(pointer, free);
}

/**
 * Ends the ownership. The caller must then free the pointer.
 *
 * @param {bigint} pointer
 * @returns {boolean} whether it was owned; if not, it is already free
 */
export function disown(pointer) {
  const free = owned.get(pointer);
  if (free === undefined) return false;
  owned.delete(pointer);
  keepAtEnd(pointer, free);
  return true;
}

/**
 * Frees the objects that nobody closed before the garbage collector found them. A `Lock` that holds is never among them.
 *
 * @type {FinalizationRegistry<bigint>}
 */
export const forgotten = new FinalizationRegistry((pointer) => {
  const free = owned.get(pointer);
  if (free === undefined || !disown(pointer)) return;
  // It is a snapshot, or a lock that is not held: freeing it cannot fail, and there is nobody to report to.
  offload(free, pointer).catch(() => {});
});

// In the main thread, process.exit() runs no clean-up hooks.
if (isMainThread) {
  process.on('exit', () => {
    for (const [pointer, free] of owned) {
      // A handle that a thread of the pool is using cannot be closed. It leaves behind what a crash would, and the next peer
      // clears that away.
      if (!inUse.has(pointer) && disown(pointer)) free(pointer);
    }
  });
}

/**
 * What belongs to the library and must be given back to it: handles and snapshots. They are given back when somebody
 * closes them, when nobody refers to them any more, and when the thread or the process ends.
 */

import { isMainThread } from 'node:worker_threads';
import { freeAtEnd, jlock_close, jlock_snapshot_free, keepAtEnd } from './native.js';
import { inUse, offload } from './pool.js';

/** @typedef {import('./native.js').NativeFunction} NativeFunction */

/**
 * Everything that this thread owns, and what frees it.
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
 * Ends the ownership: the caller of this frees the pointer next.
 *
 * @param {bigint} pointer
 * @returns {boolean} whether it was owned, and not freed already
 */
export function disown(pointer) {
  const free = owned.get(pointer);
  if (free === undefined) return false;
  owned.delete(pointer);
  keepAtEnd(pointer, free);
  return true;
}

/**
 * The objects that nobody closed before the garbage collector came. A `Lock` that holds is never among them.
 *
 * @type {FinalizationRegistry<bigint>}
 */
export const forgotten = new FinalizationRegistry((pointer) => {
  const free = owned.get(pointer);
  if (free === undefined || !disown(pointer)) return;
  // Of a snapshot or of a lock that is not held, so there is nothing that could fail; and nobody who could be told.
  offload(free, pointer).catch(() => {});
});

// In the main thread, process.exit() runs no clean-up hooks.
if (isMainThread) {
  process.on('exit', () => {
    for (const [pointer, free] of owned) {
      // A handle that a thread of the pool is using cannot be closed. It leaves what a crash leaves, and the next peer
      // clears that away.
      if (!inUse.has(pointer) && disown(pointer)) free(pointer);
    }
  });
}

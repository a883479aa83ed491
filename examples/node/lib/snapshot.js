/**
 * A journal that was read, and what the library keeps of it for a checkpoint.
 */

import { fromNativeSnapshot } from './format.js';
import { jlock_snapshot_free } from './native.js';

/** @typedef {import('./native.js').SnapshotPointer} SnapshotPointer */
/** @typedef {import('./format.js').ValidJournal} ValidJournal */

/** @type {WeakMap<ValidJournal, SnapshotPointer>} */
const pointers = new WeakMap();
/** It is memory alone, so there is no harm in leaving it to the collector. */
const registry = new FinalizationRegistry(jlock_snapshot_free);

/**
 * @param {SnapshotPointer} pointer
 * @returns {ValidJournal}
 */
export function adoptSnapshot(pointer) {
  const snapshot = fromNativeSnapshot(pointer);
  pointers.set(snapshot, pointer);
  registry.register(snapshot, pointer);
  return snapshot;
}

/**
 * @param {ValidJournal} snapshot
 * @returns {SnapshotPointer}
 */
export function snapshotPointer(snapshot) {
  const pointer = pointers.get(snapshot);
  if (pointer === undefined) throw new TypeError('the snapshot is not one that Lock.read gave');
  return pointer;
}

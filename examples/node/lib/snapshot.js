/**
 * A journal that was read in order to be processed and then begun anew.
 */

import { fromNativeSnapshot } from './format.js';
import { jlock_snapshot_free } from './native.js';

/** @typedef {import('./native.js').SnapshotPointer} SnapshotPointer */

/** For the snapshot that nobody closed: it keeps a descriptor open. */
const forgotten = new FinalizationRegistry(jlock_snapshot_free);

/**
 * Makes a snapshot of the library's own.
 *
 * @type {(pointer: SnapshotPointer) => Snapshot}
 */
export let adopt;

/**
 * Lets the library use a snapshot, which cannot be freed before it has.
 *
 * @type {<T>(snapshot: Snapshot, use: (pointer: SnapshotPointer) => Promise<T>) => Promise<T>}
 */
export let lend;

/**
 * What the journal held at one moment. It keeps the file that it was read from open, so that `Lock.checkpoint` knows what
 * was appended since; `Lock.checkpoint` closes it, and who does not come so far calls `close`, or declares it with `using`.
 */
export class Snapshot {
  #pointer;
  #lent = 0;
  #closed = false;

  /**
   * @private
   * @param {SnapshotPointer} pointer
   */
  constructor(pointer) {
    const { timestamp, changed, removed } = fromNativeSnapshot(pointer);
    this.#pointer = pointer;
    this.timestamp = timestamp;
    this.changed = changed;
    this.removed = removed;
    forgotten.register(this, pointer, this);
  }

  /** Lets go of the file; the lists stay. */
  close() {
    this.#closed = true;
    this.#free();
  }

  [Symbol.dispose]() {
    this.close();
  }

  #free() {
    if (!this.#closed || this.#lent > 0 || !forgotten.unregister(this)) return;
    jlock_snapshot_free(this.#pointer);
  }

  static {
    adopt = (pointer) => new Snapshot(pointer);
    lend = async (snapshot, use) => {
      if (snapshot.#closed) throw new TypeError('the snapshot is closed');
      snapshot.#lent++;
      try {
        return await use(snapshot.#pointer);
      } finally {
        snapshot.#lent--;
        snapshot.#free();
      }
    };
  }
}

/**
 * A journal that was read in order to process its entries and then drop them.
 */

import { fromNativeSnapshot } from './format.js';
import { jlock_snapshot_free } from './native.js';
import { disown, forgotten, ownSnapshot } from './owned.js';

/** @typedef {import('./native.js').SnapshotPointer} SnapshotPointer */

/**
 * Makes a `Snapshot` from one of the library's.
 *
 * @type {(pointer: SnapshotPointer, encoding: 'utf8' | 'buffer') => Snapshot<any>}
 */
export let adopt;

/**
 * Lets the library use a snapshot, which is not freed before that is over.
 *
 * @type {<T>(snapshot: Snapshot<any>, use: (pointer: SnapshotPointer) => Promise<T>) => Promise<T>}
 */
export let lend;

/**
 * What the journal held at one moment. It keeps the file that it was read from open, so that `Lock.checkpoint` knows
 * what was appended since. `Lock.checkpoint` closes it; without a checkpoint, call `close`, or declare it with `using`.
 *
 * @template [Path=string]
 */
export class Snapshot {
  #pointer;
  #lent = 0;
  #closed = false;

  /**
   * @private
   * @param {SnapshotPointer} pointer
   * @param {'utf8' | 'buffer'} encoding
   */
  constructor(pointer, encoding) {
    ownSnapshot(pointer);
    this.#pointer = pointer;
    forgotten.register(this, pointer, this);
    const { timestamp, changed, removed } = fromNativeSnapshot(pointer, encoding);
    this.timestamp = timestamp;
    /** @type {Path[]} */
    this.changed = changed;
    /** @type {Path[]} */
    this.removed = removed;
  }

  /** Closes the file; the lists stay. */
  close() {
    this.#closed = true;
    this.#free();
  }

  [Symbol.dispose]() {
    this.close();
  }

  #free() {
    if (!this.#closed || this.#lent > 0 || !disown(this.#pointer)) return;
    forgotten.unregister(this);
    jlock_snapshot_free(this.#pointer);
  }

  static {
    adopt = (pointer, encoding) => new Snapshot(pointer, encoding);
    lend = async (snapshot, use) => {
      if (!(#pointer in snapshot)) throw new TypeError('the snapshot was not taken from a lock');
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

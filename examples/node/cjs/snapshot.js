"use strict";
/**
 * A journal that was read in order to process its entries and then drop them.
 */
Object.defineProperty(exports, "__esModule", { value: true });
exports.Snapshot = exports.lend = exports.adopt = void 0;
const format_js_1 = require("./format.js");
const native_js_1 = require("./native.js");
const owned_js_1 = require("./owned.js");
/**
 * What the journal held at one moment. It keeps the file that it was read from open, so that `Lock.checkpoint` knows
 * what was appended since. `Lock.checkpoint` closes it; without a checkpoint, call `close`, or declare it with `using`.
 *
 * @template [Path=string]
 */
class Snapshot {
    #pointer;
    #lent = 0;
    #closed = false;
    /**
     * @private
     * @param {SnapshotPointer} pointer
     * @param {'utf8' | 'buffer'} encoding
     */
    constructor(pointer, encoding) {
        (0, owned_js_1.ownSnapshot)(pointer);
        this.#pointer = pointer;
        owned_js_1.forgotten.register(this, pointer, this);
        const { timestamp, changed, removed } = (0, format_js_1.fromNativeSnapshot)(pointer, encoding);
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
        if (!this.#closed || this.#lent > 0 || !(0, owned_js_1.disown)(this.#pointer))
            return;
        owned_js_1.forgotten.unregister(this);
        (0, native_js_1.jlock_snapshot_free)(this.#pointer);
    }
    static {
        exports.adopt = (pointer, encoding) => new Snapshot(pointer, encoding);
        exports.lend = async (snapshot, use) => {
            if (!(#pointer in snapshot))
                throw new TypeError('the snapshot was not taken from a lock');
            if (snapshot.#closed)
                throw new TypeError('the snapshot is closed');
            snapshot.#lent++;
            try {
                return await use(snapshot.#pointer);
            }
            finally {
                snapshot.#lent--;
                snapshot.#free();
            }
        };
    }
}
exports.Snapshot = Snapshot;

"use strict";
/**
 * What belongs to the library and must be freed by it: handles and snapshots. They are freed when somebody closes them, when
 * nobody refers to them any more, and when the thread or the process ends.
 */
Object.defineProperty(exports, "__esModule", { value: true });
exports.forgotten = exports.ownSnapshot = exports.ownHandle = void 0;
exports.disown = disown;
const node_worker_threads_1 = require("node:worker_threads");
const native_js_1 = require("./native.js");
const pool_js_1 = require("./pool.js");
/** @typedef {import('./native.js').NativeFunction} NativeFunction */
/**
 * Everything that this thread owns, with the function that frees it.
 *
 * @type {Map<bigint, NativeFunction>}
 */
const owned = new Map();
/** @param {bigint} pointer */
const ownHandle = (pointer) => own(pointer, native_js_1.jlock_close);
exports.ownHandle = ownHandle;
/** @param {bigint} pointer */
const ownSnapshot = (pointer) => own(pointer, native_js_1.jlock_snapshot_free);
exports.ownSnapshot = ownSnapshot;
/**
 * @param {bigint} pointer
 * @param {NativeFunction} free
 */
function own(pointer, free) {
    owned.set(pointer, free);
    (0, native_js_1.freeAtEnd)(pointer, free);
}
/**
 * Ends the ownership. The caller must then free the pointer.
 *
 * @param {bigint} pointer
 * @returns {boolean} whether it was owned; if not, it is already free
 */
function disown(pointer) {
    const free = owned.get(pointer);
    if (free === undefined)
        return false;
    owned.delete(pointer);
    (0, native_js_1.keepAtEnd)(pointer, free);
    return true;
}
/**
 * Frees the objects that nobody closed before the garbage collector found them. A `Lock` that holds is never among them.
 *
 * @type {FinalizationRegistry<bigint>}
 */
exports.forgotten = new FinalizationRegistry((pointer) => {
    const free = owned.get(pointer);
    if (free === undefined || !disown(pointer))
        return;
    // It is a snapshot, or a lock that is not held: freeing it cannot fail, and there is nobody to report to.
    (0, pool_js_1.offload)(free, pointer).catch(() => { });
});
// In the main thread, process.exit() runs no clean-up hooks.
if (node_worker_threads_1.isMainThread) {
    process.on('exit', () => {
        for (const [pointer, free] of owned) {
            // A handle that a thread of the pool is using cannot be closed. It leaves behind what a crash would, and the next peer
            // clears that away.
            if (!pool_js_1.inUse.has(pointer) && disown(pointer))
                free(pointer);
        }
    });
}

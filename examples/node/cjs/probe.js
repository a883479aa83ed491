"use strict";
/**
 * What a directory can promise.
 */
Object.defineProperty(exports, "__esModule", { value: true });
exports.missing = void 0;
exports.probe = probe;
const arguments_js_1 = require("./arguments.js");
const error_js_1 = require("./error.js");
const native_js_1 = require("./native.js");
const pool_js_1 = require("./pool.js");
/** The bits of jlock_place.promises, from the lowest. */
const PROMISES = /** @type {const} */ ([
    'processesOfMount',
    'processesOfMachine',
    'otherMachines',
    'takeover',
    'durable',
    'order',
]);
/** The bits of jlock_place.missing and of jlock_holder.fallback, from the lowest. */
const MISSING = /** @type {const} */ (['link', 'flock', 'lease', 'inotify', 'noreplace']);
/** @typedef {MISSING[number]} Missing */
/**
 * What a directory can promise, found out by trying.
 *
 * @typedef {object} Place
 * @property {Record<PROMISES[number], boolean>} promises `processesOfMount`, `processesOfMachine`, `otherMachines`:
 *   which processes exclude each other; `takeover`: a dead peer's lock is taken over at once; `durable`: with `sync`,
 *   what was acknowledged survives a power cut; `order`: waiters are served in the order in which they came
 * @property {Missing[]} missing what the file system lacks; if nothing, this is the full protocol
 * @property {string} fileSystem its name, such as `ext4`
 * @property {string} reason why something is not promised; empty if everything is
 */
/**
 * Which of these are missing.
 *
 * @param {number} bits
 * @returns {Missing[]}
 */
const missing = (bits) => MISSING.filter((_, index) => bits & (1 << index));
exports.missing = missing;
/**
 * Finds out by trying what a directory can promise. It takes a second at most, takes no lock and leaves nothing behind.
 *
 * @param {import('./arguments.js').PathLike} dir it must exist, and be writable
 * @returns {Promise<Place>}
 */
async function probe(dir) {
    const path = (0, arguments_js_1.toPath)(dir, 'dir');
    const out = { promises: 0, missing: 0, file_system: '', reason: '' };
    const rc = await (0, pool_js_1.offload)(native_js_1.jlock_probe, path.bytes, out, native_js_1.PLACE_SIZE);
    if (rc < 0)
        throw (0, error_js_1.failureWithoutHandle)(rc, path.text);
    const promises = Object.fromEntries(PROMISES.map((name, index) => [name, (out.promises & (1 << index)) !== 0]));
    return {
        promises: /** @type {Place['promises']} */ (promises),
        missing: (0, exports.missing)(out.missing),
        fileSystem: out.file_system,
        reason: out.reason,
    };
}

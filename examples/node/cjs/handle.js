"use strict";
/**
 * Opens handles, for both the synchronous functions and the `Lock`.
 */
Object.defineProperty(exports, "__esModule", { value: true });
exports.resolveOptions = resolveOptions;
exports.openHere = openHere;
exports.openInPool = openInPool;
const node_fs_1 = require("node:fs");
const promises_1 = require("node:fs/promises");
const arguments_js_1 = require("./arguments.js");
const error_js_1 = require("./error.js");
const native_js_1 = require("./native.js");
const owned_js_1 = require("./owned.js");
const pool_js_1 = require("./pool.js");
/** @typedef {import('./arguments.js').Path} Path */
/** @typedef {import('./native.js').Handle} Handle */
const JLOCK_NO_CREATE = 1;
const JLOCK_SYNC = 2;
const JLOCK_KEEPALIVE = 4;
/** Opens a directory without the right to read it, which its mode may deny. Node has no name for this flag. */
const O_PATH = 0o10000000;
/**
 * How a lock behaves.
 *
 * @typedef {object} Options
 * @property {number} [timeoutMs] how long to wait for the lock (default: 5000); `Infinity`: forever; 0: do not wait
 * @property {number} [retryMs] longest pause between two looks at the lock; longer behind other waiters (default: 25)
 * @property {number} [staleMs] silence after which a lock counts as dead if the kernel cannot tell (default: 30000)
 * @property {number} [settleMs] pause after taking over a dead holder's lock (default: 100); 0 only where every peer uses
 *   jlock
 * @property {boolean} [create] create a missing directory (default: true)
 * @property {boolean} [sync] a journal call succeeds only once its data is on disk (default: false)
 * @property {boolean} [keepalive] refresh the lock automatically while it is held (default: false)
 * @property {string | Uint8Array} [journal] the journal's file name in the directory (default: `changes.journal`); the
 *   lock's name is the same with `.lock` after it. If the directory is renamed, a lock that was opened with a name stays
 *   with it; without one, it follows the path
 */
/**
 * The options in C's form, and how long to wait.
 *
 * @param {Options} options
 */
function resolveOptions(options) {
    if (typeof options !== 'object' || options === null) {
        throw (0, arguments_js_1.argumentError)('options', 'is not an object', options, 'ERR_INVALID_ARG_TYPE');
    }
    const native = { flags: 0, timeout_ms: 0, retry_ms: 0, stale_ms: 0, settle_ms: 0 };
    (0, native_js_1.jlock_options_init)(native, native_js_1.OPTIONS_SIZE);
    const timeoutMs = (0, arguments_js_1.milliseconds)('timeoutMs', options.timeoutMs, native.timeout_ms);
    native.retry_ms = (0, arguments_js_1.milliseconds)('retryMs', options.retryMs, native.retry_ms);
    native.stale_ms = (0, arguments_js_1.milliseconds)('staleMs', options.staleMs, native.stale_ms);
    native.settle_ms = (0, arguments_js_1.milliseconds)('settleMs', options.settleMs, native.settle_ms);
    if (options.create === false)
        native.flags |= JLOCK_NO_CREATE;
    if (options.sync)
        native.flags |= JLOCK_SYNC;
    if (options.keepalive)
        native.flags |= JLOCK_KEEPALIVE;
    return { native, timeoutMs };
}
/**
 * Opens a handle here and now, for a single call.
 *
 * @param {Path} dir
 * @param {Options} options
 * @returns {Handle}
 */
function openHere(dir, options) {
    const { native } = resolveOptions(options);
    const out = [0n];
    return opened((0, native_js_1.jlock_open)(dir.bytes, native, native_js_1.OPTIONS_SIZE, out), dir, out);
}
/**
 * Opens a handle for a `Lock`, on a thread of the pool.
 *
 * @param {Path} dir
 * @param {Options} options
 * @returns {Promise<{ handle: Handle, timeoutMs: number }>}
 */
async function openInPool(dir, options) {
    const { native, timeoutMs } = resolveOptions(options);
    const out = [0n];
    const rc = await (options.journal === undefined
        ? (0, pool_js_1.offload)(native_js_1.jlock_open, dir.bytes, native, native_js_1.OPTIONS_SIZE, out)
        : openNamed(dir, (0, arguments_js_1.toPath)(options.journal, 'journal'), native, out));
    return { handle: opened(rc, dir, out), timeoutMs };
}
/**
 * @param {Path} dir
 * @param {Path} journal
 * @param {{ flags: number }} native
 * @param {bigint[]} out
 */
async function openNamed(dir, journal, native, out) {
    const bytes = dir.bytes.subarray(0, -1);
    const path = Buffer.from(dir.text).equals(bytes) ? dir.text : bytes; // Bun and Deno want a string
    const flags = O_PATH | node_fs_1.constants.O_DIRECTORY;
    try {
        const directory = await (0, promises_1.open)(path, flags).catch(async (error) => {
            if (error.code !== 'ENOENT' || native.flags & JLOCK_NO_CREATE || path.length === 0)
                throw error;
            await (0, promises_1.mkdir)(path, { recursive: true });
            return (0, promises_1.open)(path, flags);
        });
        try {
            return await (0, pool_js_1.offload)(native_js_1.jlock_open_at, directory.fd, journal.bytes, native, native_js_1.OPTIONS_SIZE, out);
        }
        finally {
            await directory.close();
        }
    }
    catch (error) {
        const errno = /** @type {NodeJS.ErrnoException} */ (error).errno;
        if (errno === undefined)
            throw error;
        return errno; // negative, like the library's own
    }
}
/**
 * @param {number} rc
 * @param {Path} dir
 * @param {bigint[]} out
 */
function opened(rc, dir, [handle]) {
    if (rc < 0)
        throw (0, error_js_1.failureWithoutHandle)(rc, dir.text);
    (0, owned_js_1.ownHandle)(handle);
    return handle;
}

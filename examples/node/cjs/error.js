"use strict";
/**
 * What can go wrong: the library's errors, with their code, its name and the full message; and the abort of a wait.
 */
var _a;
Object.defineProperty(exports, "__esModule", { value: true });
exports.AbortError = exports.JlockError = exports.codeOf = exports.EUNSTAMPED = exports.EHEADER = exports.ENOTHELD = exports.ELOST = exports.ETIMEDOUT = exports.ENOTDIR = exports.ENOENT = exports.EINPROGRESS = exports.ECANCELED = exports.EBADF = void 0;
exports.failure = failure;
exports.failureWithoutHandle = failureWithoutHandle;
const node_os_1 = require("node:os");
const native_js_1 = require("./native.js");
/** @type {Map<number, string>} */
const NAMES = new Map([
    [-4097, 'ELOST'],
    [-4098, 'ENOTHELD'],
    [-4099, 'EFORKED'],
    [-4100, 'EHEADER'],
    [-4101, 'EENTRY'],
    [-4102, 'ENOTLOCK'],
    [-4103, 'EPANIC'],
    [-4104, 'EUNSTAMPED'],
]);
// If a number has two names (EAGAIN, EWOULDBLOCK), the first is the one that Node uses.
for (const [name, number] of Object.entries(node_os_1.constants.errno)) {
    if (!NAMES.has(-number))
        NAMES.set(-number, name);
}
_a = node_os_1.constants.errno, exports.EBADF = _a.EBADF, exports.ECANCELED = _a.ECANCELED, exports.EINPROGRESS = _a.EINPROGRESS, exports.ENOENT = _a.ENOENT, exports.ENOTDIR = _a.ENOTDIR, exports.ETIMEDOUT = _a.ETIMEDOUT;
exports.ELOST = 4097;
exports.ENOTHELD = 4098;
exports.EHEADER = 4100;
exports.EUNSTAMPED = 4104;
/**
 * The name of a return value of the library.
 *
 * @param {number} rc
 */
const codeOf = (rc) => NAMES.get(rc) ?? `E${-rc}`;
exports.codeOf = codeOf;
/**
 * A failure of the library or of a system call that it made, shaped like Node's own system errors.
 */
class JlockError extends Error {
    /**
     * @param {number} rc what the library's function returned
     * @param {string} dir the directory that holds the journal
     * @param {string} message
     */
    constructor(rc, dir, message) {
        super(message);
        this.name = 'JlockError';
        /** The name of the error: `'ENOSPC'`, `'ETIMEDOUT'`, `'ELOST'`, … */
        this.code = (0, exports.codeOf)(rc);
        /** What the library returned: a negated errno, or one of its own states, below -4096. */
        this.errno = rc;
        /** The directory that holds the journal. */
        this.path = dir;
    }
}
exports.JlockError = JlockError;
/**
 * The abort of a wait by its signal, as Node's own functions report it. The signal's reason is the `cause`.
 */
class AbortError extends Error {
    /** @param {AbortSignal | undefined} signal */
    constructor(signal) {
        super('The operation was aborted', { cause: signal?.reason });
        this.name = 'AbortError';
        this.code = 'ABORT_ERR';
    }
}
exports.AbortError = AbortError;
/**
 * The error of a call on a handle that has just failed.
 *
 * @param {number} rc
 * @param {string} dir
 * @param {import('./native.js').Handle} handle
 */
function failure(rc, dir, handle) {
    const text = Buffer.alloc(4096);
    const length = Math.min((0, native_js_1.jlock_message)(handle, text, text.length), text.length - 1);
    return length > 0 ? new JlockError(rc, dir, text.toString('utf8', 0, length)) : failureWithoutHandle(rc, dir);
}
/**
 * The error of a call that had no handle, or no longer has one.
 *
 * @param {number} rc
 * @param {string} dir
 */
function failureWithoutHandle(rc, dir) {
    return new JlockError(rc, dir, `${dir}: ${(0, native_js_1.jlock_strerror)(rc)}`);
}

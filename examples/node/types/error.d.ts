/**
 * The error of a call on a handle that has just failed.
 *
 * @param {number} rc
 * @param {string} dir
 * @param {import('./native.js').Handle} handle
 */
export function failure(rc: number, dir: string, handle: import("./native.js").Handle): JlockError;
export const EAGAIN: number;
export const EBADF: number;
export const ENOENT: number;
export const ENOTDIR: number;
export const ETIMEDOUT: number;
export const EHEADER: 4100;
/**
 * A failure of the library or of a system call it made, shaped as Node's own system errors are.
 */
export class JlockError extends Error {
    /**
     * @param {number} rc what the library's function returned
     * @param {string} dir the directory that holds the journal
     * @param {string} message
     */
    constructor(rc: number, dir: string, message: string);
    /** The name of the error: `'ENOSPC'`, `'ETIMEDOUT'`, `'ELOST'`, … */
    code: string;
    /** What the library returned: a negated errno, or one of its own states, below -4096. */
    errno: number;
    /** The directory that holds the journal. */
    path: string;
}

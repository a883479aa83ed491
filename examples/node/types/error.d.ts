/**
 * The error of a call on a handle that has just failed.
 *
 * @param {number} rc
 * @param {string} dir
 * @param {import('./native.js').Handle} handle
 */
export function failure(rc: number, dir: string, handle: import("./native.js").Handle): JlockError;
/**
 * The error of a call that had no handle, or no longer has one.
 *
 * @param {number} rc
 * @param {string} dir
 */
export function failureWithoutHandle(rc: number, dir: string): JlockError;
export const EBADF: number;
export const ECANCELED: number;
export const EINPROGRESS: number;
export const ENOENT: number;
export const ENOTDIR: number;
export const ETIMEDOUT: number;
export const ELOST: 4097;
export const ENOTHELD: 4098;
export const EHEADER: 4100;
export const EUNSTAMPED: 4104;
export function codeOf(rc: number): string;
/**
 * A failure of the library or of a system call that it made, shaped like Node's own system errors.
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
/**
 * The abort of a wait by its signal, as Node's own functions report it. The signal's reason is the `cause`.
 */
export class AbortError extends Error {
    /** @param {AbortSignal | undefined} signal */
    constructor(signal: AbortSignal | undefined);
    code: string;
}

/**
 * What can go wrong: the library's errors, with their code, its name and the full message; and the abort of a wait.
 */

import { constants } from 'node:os';
import { jlock_message, jlock_strerror } from './native.js';

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
for (const [name, number] of Object.entries(constants.errno)) {
  if (!NAMES.has(-number)) NAMES.set(-number, name);
}

export const { EBADF, ECANCELED, EINPROGRESS, ENOENT, ENOTDIR, ETIMEDOUT } = constants.errno;
export const ELOST = 4097;
export const ENOTHELD = 4098;
export const EHEADER = 4100;
export const EUNSTAMPED = 4104;

/**
 * The name of a return value of the library.
 *
 * @param {number} rc
 */
export const codeOf = (rc) => NAMES.get(rc) ?? `E${-rc}`;

/**
 * A failure of the library or of a system call that it made, shaped like Node's own system errors.
 */
export class JlockError extends Error {
  /**
   * @param {number} rc what the library's function returned
   * @param {string} dir the directory that holds the journal
   * @param {string} message
   */
  constructor(rc, dir, message) {
    super(message);
    this.name = 'JlockError';
    /** The name of the error: `'ENOSPC'`, `'ETIMEDOUT'`, `'ELOST'`, … */
    this.code = codeOf(rc);
    /** What the library returned: a negated errno, or one of its own states, below -4096. */
    this.errno = rc;
    /** The directory that holds the journal. */
    this.path = dir;
  }
}

/**
 * The abort of a wait by its signal, as Node's own functions report it. The signal's reason is the `cause`.
 */
export class AbortError extends Error {
  /** @param {AbortSignal | undefined} signal */
  constructor(signal) {
    super('The operation was aborted', { cause: signal?.reason });
    this.name = 'AbortError';
    this.code = 'ABORT_ERR';
  }
}

/**
 * The error of a call on a handle that has just failed.
 *
 * @param {number} rc
 * @param {string} dir
 * @param {import('./native.js').Handle} handle
 */
export function failure(rc, dir, handle) {
  const text = Buffer.alloc(4096);
  const length = Math.min(jlock_message(handle, text, text.length), text.length - 1);
  return length > 0 ? new JlockError(rc, dir, text.toString('utf8', 0, length)) : failureWithoutHandle(rc, dir);
}

/**
 * The error of a call that had no handle, or no longer has one.
 *
 * @param {number} rc
 * @param {string} dir
 */
export function failureWithoutHandle(rc, dir) {
  return new JlockError(rc, dir, `${dir}: ${jlock_strerror(rc)}`);
}

/**
 * One kind of error: the library's code, its name, and the library's full message.
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
]);
// Where a number has two names (EAGAIN, EWOULDBLOCK) the first is the one that Node uses.
for (const [name, number] of Object.entries(constants.errno)) {
  if (!NAMES.has(-number)) NAMES.set(-number, name);
}

export const { EAGAIN, EBADF, ENOENT, ENOTDIR, ETIMEDOUT } = constants.errno;
export const EHEADER = 4100;

/**
 * A failure of the library or of a system call it made, shaped as Node's own system errors are.
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
    this.code = NAMES.get(rc) ?? `E${-rc}`;
    /** What the library returned: a negated errno, or one of its own states, below -4096. */
    this.errno = rc;
    /** The directory that holds the journal. */
    this.path = dir;
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
  return new JlockError(rc, dir, length > 0 ? text.toString('utf8', 0, length) : jlock_strerror(rc));
}

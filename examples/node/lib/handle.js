/**
 * What both faces of this package, the synchronous functions and the `Lock`, do with a handle.
 */

import { JlockError } from './error.js';
import { jlock_options_init, jlock_strerror } from './native.js';

const JLOCK_NO_CREATE = 1;
const JLOCK_SYNC = 2;
const JLOCK_KEEPALIVE = 4;

/**
 * How a lock behaves.
 *
 * @typedef {object} Options
 * @property {number} [timeoutMs] how long to wait for the lock: 5000; `Infinity`: for ever; 0: do not wait
 * @property {number} [retryMs] longest pause between two looks at the lock: 25
 * @property {number} [staleMs] silence after which a lock that the kernel knows nothing of counts as dead: 30000
 * @property {number} [settleMs] pause after taking over a dead holder's lock: 100; 0 only where every peer uses jlock
 * @property {boolean} [create] create a missing directory: true
 * @property {boolean} [sync] a journal call succeeds once its data is on disk: false
 * @property {boolean} [keepalive] renew the lock by itself while it is held: false
 */

/** @typedef {{ timeoutMs: number, retryMs: number }} Waiting */

/**
 * The options as C has them, and how long to wait.
 *
 * @param {Options} options
 */
export function resolveOptions(options) {
  const native = { size: 0, flags: 0, timeout_ms: 0, retry_ms: 0, stale_ms: 0, settle_ms: 0 };
  jlock_options_init(native);
  const timeoutMs = milliseconds('timeoutMs', options.timeoutMs, native.timeout_ms);
  native.timeout_ms = timeoutMs === Infinity ? -1 : Math.min(timeoutMs, 2 ** 31 - 1);
  native.retry_ms = milliseconds('retryMs', options.retryMs, native.retry_ms);
  native.stale_ms = milliseconds('staleMs', options.staleMs, native.stale_ms);
  native.settle_ms = milliseconds('settleMs', options.settleMs, native.settle_ms);
  if (options.create === false) native.flags |= JLOCK_NO_CREATE;
  if (options.sync) native.flags |= JLOCK_SYNC;
  if (options.keepalive) native.flags |= JLOCK_KEEPALIVE;
  return { native, timeoutMs, retryMs: native.retry_ms };
}

/**
 * @param {string} name
 * @param {number | undefined} value
 * @param {number} byDefault
 */
export function milliseconds(name, value, byDefault) {
  if (value === undefined) return byDefault;
  const most = name === 'timeoutMs' ? Infinity : 2 ** 32 - 1;
  if (typeof value === 'number' && value >= 0 && value <= most) return Math.ceil(value);
  throw new RangeError(`${name}: ${value} is not a number of milliseconds`);
}

/**
 * The error of a `jlock_open` that failed: there is no handle yet that could tell more.
 *
 * @param {number} rc
 * @param {string} dir
 */
export function openFailure(rc, dir) {
  return new JlockError(rc, dir, `${dir}: ${jlock_strerror(rc)}`);
}

/**
 * Checks what callers pass: some values would make koffi end the process, and to C a name would end at its first NUL.
 */

import { URL, fileURLToPath } from 'node:url';
import { types } from 'node:util';

/**
 * The path of a directory. Bytes are used as they are, so a name need not be UTF-8.
 *
 * @typedef {string | Uint8Array | URL} PathLike
 */

/** @typedef {{ bytes: Buffer, text: string }} Path the bytes end with a NUL, the text is for messages */

/**
 * @param {unknown} value
 * @param {string} name the parameter's name
 * @returns {Path}
 */
export function toPath(value, name) {
  const given = value instanceof URL ? fileURLToPath(value) : value;
  if (typeof given !== 'string' && !types.isUint8Array(given)) {
    throw argumentError(name, 'is not a string, a Uint8Array or a URL', given, 'ERR_INVALID_ARG_TYPE');
  }
  // A copy: the caller may change the original during the call.
  const bytes = typeof given === 'string' ? Buffer.from(given) : Buffer.from(given);
  if (bytes.includes(0)) throw argumentError(name, 'contains a NUL', given, 'ERR_INVALID_ARG_VALUE');
  return { bytes: Buffer.concat([bytes, Buffer.alloc(1)]), text: bytes.toString() };
}

/**
 * @param {string} name
 * @param {string} what
 * @param {unknown} value
 * @param {string} code one of those that Node's own functions use
 */
export function argumentError(name, what, value, code) {
  const isObject = typeof value === 'object' && value !== null;
  const shown = typeof value === 'string' ? JSON.stringify(value) : isObject ? 'the object' : String(value);
  return Object.assign(new TypeError(`${name}: ${shown} ${what}`), { code });
}

/**
 * @param {string} name
 * @param {unknown} value
 * @param {number} byDefault
 */
export function milliseconds(name, value, byDefault) {
  if (value === undefined) return byDefault;
  const most = name === 'timeoutMs' ? Infinity : 2 ** 32 - 1;
  if (typeof value === 'number' && value >= 0 && value <= most) return Math.ceil(value);
  throw new RangeError(`${name}: ${String(value)} is not a number of milliseconds`);
}

const LATEST = 2n ** 63n - 1n;

/**
 * A timestamp in the form that C takes.
 *
 * @param {unknown} value
 * @returns {bigint}
 */
export function toNativeTimestamp(value) {
  if (typeof value !== 'number' && typeof value !== 'bigint') {
    throw argumentError('timestamp', 'is neither a number nor a bigint', value, 'ERR_INVALID_ARG_TYPE');
  }
  const exact = typeof value === 'bigint' || Number.isSafeInteger(value);
  const timestamp = exact ? BigInt(value) : -1n;
  if (timestamp >= 0n && timestamp <= LATEST) return timestamp;
  throw new RangeError(`timestamp: ${value} is not a whole number of milliseconds since 1970`);
}

/**
 * @param {unknown} value
 * @returns {AbortSignal | undefined}
 */
export function toSignal(value) {
  // Not instanceof: there are other realms, and other implementations.
  const isSignal = typeof value === 'object' && value !== null && 'aborted' in value && 'addEventListener' in value;
  if (value === undefined || isSignal) return /** @type {AbortSignal | undefined} */ (value);
  throw argumentError('signal', 'is not an AbortSignal', value, 'ERR_INVALID_ARG_TYPE');
}

/**
 * @param {{ encoding?: unknown } | undefined} options
 * @returns {'utf8' | 'buffer'}
 */
export function toEncoding(options) {
  const encoding = options?.encoding ?? 'utf8';
  if (encoding === 'utf8' || encoding === 'buffer') return encoding;
  throw argumentError('encoding', "is neither 'utf8' nor 'buffer'", encoding, 'ERR_INVALID_ARG_VALUE');
}

/**
 * Entries and snapshots between JavaScript and C.
 */

import { EHEADER, ENOENT, ENOTDIR } from './error.js';
import { decodeString, jlock_snapshot_count, jlock_snapshot_entry, jlock_snapshot_timestamp } from './native.js';

const JLOCK_CHANGED = 0;
const JLOCK_DELETED = 1;

/** The answers of `jlock_read` that make a journal invalid, as opposed to unreadable. */
export const INVALID = new Set([-ENOENT, -ENOTDIR, -EHEADER]);

/**
 * @typedef {object} JournalEntry
 * @property {string} file
 * @property {boolean} [deleted]
 */

/**
 * A journal that was read.
 *
 * @typedef {object} ValidJournal
 * @property {true} valid
 * @property {number} timestamp
 * @property {string[]} changed
 * @property {string[]} removed
 */

/**
 * A journal that is missing, or whose header is malformed or was never stamped.
 *
 * @typedef {object} InvalidJournal
 * @property {false} valid
 * @property {undefined} [timestamp]
 * @property {undefined} [changed]
 * @property {undefined} [removed]
 */

/** @typedef {ValidJournal | InvalidJournal} JournalResult */

/**
 * @param {readonly JournalEntry[]} entries
 */
export function toNativeEntries(entries) {
  return entries.map(({ file, deleted }) => {
    if (typeof file !== 'string') throw new TypeError(`file: ${file} is not a string`);
    // With its length, so that a NUL within is seen, and refused, instead of ending the path.
    const path_len = Buffer.byteLength(file);
    return { path: file, path_len, kind: deleted ? JLOCK_DELETED : JLOCK_CHANGED, reserved: 0 };
  });
}

/**
 * Whole milliseconds, rounded down: an earlier timestamp is the cautious one.
 *
 * @param {number} timestamp
 */
export function toNativeTimestamp(timestamp) {
  const whole = Math.floor(timestamp);
  if (!Number.isSafeInteger(whole)) throw new RangeError(`timestamp: ${timestamp} is not a number of milliseconds`);
  return whole;
}

/**
 * @param {import('./native.js').SnapshotPointer} snapshot
 * @returns {ValidJournal}
 */
export function fromNativeSnapshot(snapshot) {
  return {
    valid: true,
    timestamp: jlock_snapshot_timestamp(snapshot),
    changed: paths(snapshot, JLOCK_CHANGED),
    removed: paths(snapshot, JLOCK_DELETED),
  };
}

/**
 * @param {import('./native.js').SnapshotPointer} snapshot
 * @param {number} kind
 */
function paths(snapshot, kind) {
  const entry = new BigUint64Array(3); // path; path_len; kind and reserved
  return Array.from({ length: jlock_snapshot_count(snapshot, kind) }, (_, index) => {
    jlock_snapshot_entry(snapshot, kind, index, entry);
    return decodeString(entry[0], Number(entry[1]));
  });
}

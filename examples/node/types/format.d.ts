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
export function toNativeEntries(entries: readonly JournalEntry[]): {
    path: string;
    path_len: number;
    kind: number;
    reserved: number;
}[];
/**
 * Whole milliseconds, rounded down: an earlier timestamp is the cautious one.
 *
 * @param {number} timestamp
 */
export function toNativeTimestamp(timestamp: number): number;
/**
 * @param {import('./native.js').SnapshotPointer} snapshot
 * @returns {ValidJournal}
 */
export function fromNativeSnapshot(snapshot: import("./native.js").SnapshotPointer): ValidJournal;
/** The answers of `jlock_read` that make a journal invalid, as opposed to unreadable. */
export const INVALID: Set<number>;
export type JournalEntry = {
    file: string;
    deleted?: boolean | undefined;
};
/**
 * A journal that was read.
 */
export type ValidJournal = {
    valid: true;
    timestamp: number;
    changed: string[];
    removed: string[];
};
/**
 * A journal that is missing, or whose header is malformed or was never stamped.
 */
export type InvalidJournal = {
    valid: false;
    timestamp?: undefined;
    changed?: undefined;
    removed?: undefined;
};
export type JournalResult = ValidJournal | InvalidJournal;

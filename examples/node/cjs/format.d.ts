/**
 * @typedef {object} JournalEntry
 * @property {string | Uint8Array} file bytes are used as they are: a name need not be UTF-8
 * @property {boolean} [deleted]
 */
/**
 * A journal that was read.
 *
 * @template [Path=string]
 * @typedef {object} ValidJournal
 * @property {true} valid
 * @property {number} timestamp
 * @property {Path[]} changed
 * @property {Path[]} removed
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
/**
 * @template [Path=string]
 * @typedef {ValidJournal<Path> | InvalidJournal} JournalResult
 */
/** @typedef {{ memory: Uint8Array, count: number }} NativeEntries */
/**
 * An array of `struct jlock_entry`, followed by their paths in the same piece of memory, so that only this one has to outlive
 * the call.
 *
 * @param {readonly JournalEntry[]} entries
 * @returns {NativeEntries}
 */
export function toNativeEntries(entries: readonly JournalEntry[]): NativeEntries;
/**
 * @param {import('./native.js').SnapshotPointer} snapshot
 * @param {'utf8' | 'buffer'} encoding
 * @returns {ValidJournal<any>}
 */
export function fromNativeSnapshot(snapshot: import("./native.js").SnapshotPointer, encoding: "utf8" | "buffer"): ValidJournal<any>;
/** What `jlock_read` returns for a journal that is invalid, as opposed to unreadable. */
export const INVALID: Set<number>;
export type JournalEntry = {
    /**
     * bytes are used as they are: a name need not be UTF-8
     */
    file: string | Uint8Array;
    deleted?: boolean | undefined;
};
/**
 * A journal that was read.
 */
export type ValidJournal<Path = string> = {
    valid: true;
    timestamp: number;
    changed: Path[];
    removed: Path[];
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
export type JournalResult<Path = string> = ValidJournal<Path> | InvalidJournal;
export type NativeEntries = {
    memory: Uint8Array;
    count: number;
};

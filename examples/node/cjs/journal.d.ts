/**
 * Reads the journal, without taking the lock.
 *
 * @overload
 * @param {PathLike} dir the directory that holds the journal
 * @param {{ encoding?: 'utf8' }} [options] `'buffer'` returns the paths as they are; in a string, U+FFFD replaces what is
 *   not UTF-8
 * @returns {JournalResult} `{ valid: false }` if the journal is missing, malformed or was never stamped
 * @throws {import('./error.js').JlockError} it is there but cannot be read
 */
export function readJournal(dir: PathLike, options?: {
    encoding?: "utf8";
} | undefined): JournalResult;
/**
 * @overload
 * @param {PathLike} dir
 * @param {{ encoding: 'buffer' }} options
 * @returns {JournalResult<Buffer>}
 */
export function readJournal(dir: PathLike, options: {
    encoding: "buffer";
}): JournalResult<Buffer>;
/**
 * Appends entries: all of them, or none.
 *
 * @param {PathLike} dir the directory that holds the journal; created if it is missing
 * @param {readonly JournalEntry[]} entries
 * @throws {import('./error.js').JlockError}
 */
export function appendJournalEntries(dir: PathLike, entries: readonly JournalEntry[]): void;
/**
 * Replaces the journal with nothing but a header. Entries that another process has appended since it was read are lost, as
 * with codegraph's own; `Lock.checkpoint` keeps them.
 *
 * @param {PathLike} dir the directory that holds the journal; created if it is missing
 * @param {number | bigint} timestamp whole milliseconds since 1970
 * @throws {import('./error.js').JlockError}
 */
export function writeJournalHeader(dir: PathLike, timestamp: number | bigint): void;
/**
 * Appends entries, all of them or none, and sets the header's timestamp.
 *
 * @param {PathLike} dir the directory that holds the journal; created if it is missing
 * @param {readonly JournalEntry[]} entries
 * @param {number | bigint} timestamp whole milliseconds since 1970
 * @throws {import('./error.js').JlockError}
 */
export function appendJournalEntriesAndStampHeader(dir: PathLike, entries: readonly JournalEntry[], timestamp: number | bigint): void;
/** @typedef {import('./arguments.js').PathLike} PathLike */
/** @typedef {import('./format.js').JournalEntry} JournalEntry */
/**
 * @template [Path=string]
 * @typedef {import('./format.js').JournalResult<Path>} JournalResult
 */
export const JOURNAL_FILENAME: "changes.journal";
export type PathLike = import("./arguments.js").PathLike;
export type JournalEntry = import("./format.js").JournalEntry;
export type JournalResult<Path = string> = import("./format.js").JournalResult<Path>;

/**
 * Reads the journal, without taking the lock.
 *
 * @param {string} dir the directory that holds the journal
 * @returns {JournalResult} `{ valid: false }` when the journal is missing, malformed or was never stamped
 * @throws {import('./error.js').JlockError} it is there but cannot be read
 */
export function readJournal(dir: string): JournalResult;
/**
 * Appends entries: all of them, or none.
 *
 * @param {string} dir the directory that holds the journal; created when missing
 * @param {readonly JournalEntry[]} entries
 * @throws {import('./error.js').JlockError}
 */
export function appendJournalEntries(dir: string, entries: readonly JournalEntry[]): void;
/**
 * Replaces the journal by a header alone. Entries that another process appended since it was read are lost, as with
 * codegraph's own; `Lock.checkpoint` keeps them.
 *
 * @param {string} dir the directory that holds the journal; created when missing
 * @param {number} timestamp milliseconds since 1970
 * @throws {import('./error.js').JlockError}
 */
export function writeJournalHeader(dir: string, timestamp: number): void;
/**
 * Appends entries, all of them or none, and moves the header's timestamp.
 *
 * @param {string} dir the directory that holds the journal; created when missing
 * @param {readonly JournalEntry[]} entries
 * @param {number} timestamp milliseconds since 1970
 * @throws {import('./error.js').JlockError}
 */
export function appendJournalEntriesAndStampHeader(dir: string, entries: readonly JournalEntry[], timestamp: number): void;
/** @typedef {import('./format.js').JournalEntry} JournalEntry */
/** @typedef {import('./format.js').JournalResult} JournalResult */
export const JOURNAL_FILENAME: "changes.journal";
export type JournalEntry = import("./format.js").JournalEntry;
export type JournalResult = import("./format.js").JournalResult;

/**
 * Reads the journal, without taking the lock.
 *
 * @param {string} rootDir
 * @returns {JournalResult} `{ valid: false }` if there is no valid journal or, as in codegraph, it cannot be read
 */
export function readJournal(rootDir: string): JournalResult;
/**
 * Appends entries: all of them, or none.
 *
 * @param {string} rootDir
 * @param {readonly JournalEntry[]} entries
 * @throws {import('./error.js').JlockError}
 */
export function appendJournalEntries(rootDir: string, entries: readonly JournalEntry[]): void;
/**
 * Replaces the journal with nothing but a header.
 *
 * @param {string} rootDir
 * @param {number} timestamp milliseconds since 1970
 * @throws {import('./error.js').JlockError}
 */
export function writeJournalHeader(rootDir: string, timestamp: number): void;
/**
 * Appends entries, all of them or none, and sets the header's timestamp.
 *
 * @param {string} rootDir
 * @param {readonly JournalEntry[]} entries
 * @param {number} timestamp milliseconds since 1970
 * @throws {import('./error.js').JlockError}
 */
export function appendJournalEntriesAndStampHeader(rootDir: string, entries: readonly JournalEntry[], timestamp: number): void;
export { JOURNAL_FILENAME } from "./journal.js";
export type JournalEntry = import("./journal.js").JournalEntry;
export type JournalResult = import("./journal.js").JournalResult;

export { JlockError } from "./error.js";
export { Lock } from "./lock.js";
export { Snapshot } from "./snapshot.js";
/**
 * The version of the library in use.
 *
 * @type {string}
 */
export const version: string;
export type JournalEntry = import("./format.js").JournalEntry;
export type JournalResult = import("./format.js").JournalResult;
export type ValidJournal = import("./format.js").ValidJournal;
export type InvalidJournal = import("./format.js").InvalidJournal;
export type Options = import("./handle.js").Options;
export type Holder = import("./lock.js").Holder;
export type Wait = import("./lock.js").Wait;
export { JOURNAL_FILENAME, appendJournalEntries, appendJournalEntriesAndStampHeader, readJournal, writeJournalHeader } from "./journal.js";

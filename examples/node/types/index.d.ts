export { Lock } from "./lock.js";
export { probe } from "./probe.js";
export { Snapshot } from "./snapshot.js";
/**
 * The version of the library that is in use.
 *
 * @type {string}
 */
export const version: string;
export type PathLike = import("./arguments.js").PathLike;
export type JournalEntry = import("./format.js").JournalEntry;
export type JournalResult<Path = string> = import("./format.js").JournalResult<Path>;
export type ValidJournal<Path = string> = import("./format.js").ValidJournal<Path>;
export type InvalidJournal = import("./format.js").InvalidJournal;
export type Options = import("./handle.js").Options;
export type Holder = import("./lock.js").Holder;
export type Wait = import("./lock.js").Wait;
export type Place = import("./probe.js").Place;
export { JOURNAL_FILENAME, appendJournalEntries, appendJournalEntriesAndStampHeader, readJournal, writeJournalHeader } from "./journal.js";
export { AbortError, JlockError } from "./error.js";

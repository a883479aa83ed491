/**
 * codegraph's journal module (`dist/domain/graph/journal.js` of 3.11.2), for its own callers, who need not change: the
 * same names, the same arguments, the same results. The journal is `ROOT/.codegraph/changes.journal`.
 *
 * Two things differ, both where codegraph's own would lose entries without a word. A write that fails always throws:
 * there, `writeJournalHeader` and `appendJournalEntriesAndStampHeader` print a warning and return. And an entry that a
 * line of the journal cannot carry (empty, with a newline, …) is refused with `EENTRY` instead of written.
 */

import { join } from 'node:path';
import { JlockError } from './error.js';
import * as journal from './journal.js';

/** @typedef {import('./journal.js').JournalEntry} JournalEntry */
/** @typedef {import('./journal.js').JournalResult} JournalResult */

export { JOURNAL_FILENAME } from './journal.js';

/** @param {string} rootDir */
const journalDir = (rootDir) => join(rootDir, '.codegraph');

/**
 * There, a fraction of a millisecond goes into the header as it is. The library's timestamps are whole; an earlier one
 * is the cautious one.
 *
 * @param {number} timestamp
 */
const whole = (timestamp) => (typeof timestamp === 'number' ? Math.floor(timestamp) : timestamp);

/**
 * Reads the journal, without taking the lock.
 *
 * @param {string} rootDir
 * @returns {JournalResult} `{ valid: false }` when there is no valid journal or, as in codegraph, it cannot be read
 */
export function readJournal(rootDir) {
  const dir = journalDir(rootDir);
  try {
    return journal.readJournal(dir);
  } catch (error) {
    // Its callers read `valid: false` as "look at every file", which is right whatever the reason.
    if (error instanceof JlockError) return { valid: false };
    throw error;
  }
}

/**
 * Appends entries: all of them, or none.
 *
 * @param {string} rootDir
 * @param {readonly JournalEntry[]} entries
 * @throws {import('./error.js').JlockError}
 */
export function appendJournalEntries(rootDir, entries) {
  journal.appendJournalEntries(journalDir(rootDir), entries);
}

/**
 * Replaces the journal by a header alone.
 *
 * @param {string} rootDir
 * @param {number} timestamp milliseconds since 1970
 * @throws {import('./error.js').JlockError}
 */
export function writeJournalHeader(rootDir, timestamp) {
  journal.writeJournalHeader(journalDir(rootDir), whole(timestamp));
}

/**
 * Appends entries, all of them or none, and moves the header's timestamp.
 *
 * @param {string} rootDir
 * @param {readonly JournalEntry[]} entries
 * @param {number} timestamp milliseconds since 1970
 * @throws {import('./error.js').JlockError}
 */
export function appendJournalEntriesAndStampHeader(rootDir, entries, timestamp) {
  journal.appendJournalEntriesAndStampHeader(journalDir(rootDir), entries, whole(timestamp));
}

/**
 * codegraph's journal module (`dist/domain/graph/journal.js` of 3.11.2), for its own callers, which need not change: the
 * same names, the same arguments, the same results. The journal is `ROOT/.codegraph/changes.journal`.
 *
 * Two things differ, both where codegraph's own module would silently lose entries. A write that fails always throws;
 * there, `writeJournalHeader` and `appendJournalEntriesAndStampHeader` print a warning and return. And an entry that does
 * not fit into a line of the journal (empty, with a newline, …) is refused with `EENTRY` instead of written.
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
 * codegraph writes a fraction of a millisecond into the header as it is. The library's timestamps are whole, and to round
 * down is cautious.
 *
 * @param {number} timestamp
 */
const whole = (timestamp) => (typeof timestamp === 'number' ? Math.floor(timestamp) : timestamp);

/**
 * Reads the journal, without taking the lock.
 *
 * @param {string} rootDir
 * @returns {JournalResult} `{ valid: false }` if there is no valid journal or, as in codegraph, it cannot be read
 */
export function readJournal(rootDir) {
  const dir = journalDir(rootDir);
  try {
    return journal.readJournal(dir);
  } catch (error) {
    // To the callers, `valid: false` means "look at every file", which is right whatever the reason.
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
 * Replaces the journal with nothing but a header.
 *
 * @param {string} rootDir
 * @param {number} timestamp milliseconds since 1970
 * @throws {import('./error.js').JlockError}
 */
export function writeJournalHeader(rootDir, timestamp) {
  journal.writeJournalHeader(journalDir(rootDir), whole(timestamp));
}

/**
 * Appends entries, all of them or none, and sets the header's timestamp.
 *
 * @param {string} rootDir
 * @param {readonly JournalEntry[]} entries
 * @param {number} timestamp milliseconds since 1970
 * @throws {import('./error.js').JlockError}
 */
export function appendJournalEntriesAndStampHeader(rootDir, entries, timestamp) {
  journal.appendJournalEntriesAndStampHeader(journalDir(rootDir), entries, whole(timestamp));
}

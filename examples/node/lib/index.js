import { jlock_version_string } from './native.js';

export {
  JOURNAL_FILENAME,
  appendJournalEntries,
  appendJournalEntriesAndStampHeader,
  readJournal,
  writeJournalHeader,
} from './journal.js';
export { AbortError, JlockError } from './error.js';
export { Lock } from './lock.js';
export { probe } from './probe.js';
export { Snapshot } from './snapshot.js';

/**
 * The version of the library that is in use.
 *
 * @type {string}
 */
export const version = jlock_version_string();

/** @typedef {import('./arguments.js').PathLike} PathLike */
/** @typedef {import('./format.js').JournalEntry} JournalEntry */
/**
 * @template [Path=string]
 * @typedef {import('./format.js').JournalResult<Path>} JournalResult
 */
/**
 * @template [Path=string]
 * @typedef {import('./format.js').ValidJournal<Path>} ValidJournal
 */
/** @typedef {import('./format.js').InvalidJournal} InvalidJournal */
/** @typedef {import('./handle.js').Options} Options */
/** @typedef {import('./lock.js').Holder} Holder */
/** @typedef {import('./lock.js').Wait} Wait */
/** @typedef {import('./probe.js').Place} Place */

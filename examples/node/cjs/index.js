"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
exports.version = exports.Snapshot = exports.probe = exports.Lock = exports.JlockError = exports.AbortError = exports.writeJournalHeader = exports.readJournal = exports.appendJournalEntriesAndStampHeader = exports.appendJournalEntries = exports.JOURNAL_FILENAME = void 0;
const native_js_1 = require("./native.js");
var journal_js_1 = require("./journal.js");
Object.defineProperty(exports, "JOURNAL_FILENAME", { enumerable: true, get: function () { return journal_js_1.JOURNAL_FILENAME; } });
Object.defineProperty(exports, "appendJournalEntries", { enumerable: true, get: function () { return journal_js_1.appendJournalEntries; } });
Object.defineProperty(exports, "appendJournalEntriesAndStampHeader", { enumerable: true, get: function () { return journal_js_1.appendJournalEntriesAndStampHeader; } });
Object.defineProperty(exports, "readJournal", { enumerable: true, get: function () { return journal_js_1.readJournal; } });
Object.defineProperty(exports, "writeJournalHeader", { enumerable: true, get: function () { return journal_js_1.writeJournalHeader; } });
var error_js_1 = require("./error.js");
Object.defineProperty(exports, "AbortError", { enumerable: true, get: function () { return error_js_1.AbortError; } });
Object.defineProperty(exports, "JlockError", { enumerable: true, get: function () { return error_js_1.JlockError; } });
var lock_js_1 = require("./lock.js");
Object.defineProperty(exports, "Lock", { enumerable: true, get: function () { return lock_js_1.Lock; } });
var probe_js_1 = require("./probe.js");
Object.defineProperty(exports, "probe", { enumerable: true, get: function () { return probe_js_1.probe; } });
var snapshot_js_1 = require("./snapshot.js");
Object.defineProperty(exports, "Snapshot", { enumerable: true, get: function () { return snapshot_js_1.Snapshot; } });
/**
 * The version of the library that is in use.
 *
 * @type {string}
 */
exports.version = (0, native_js_1.jlock_version_string)();
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

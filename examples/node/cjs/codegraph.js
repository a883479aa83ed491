"use strict";
/**
 * codegraph's journal module (`dist/domain/graph/journal.js` of 3.11.2), for its own callers, which need not change: the
 * same names, the same arguments, the same results. The journal is `ROOT/.codegraph/changes.journal`.
 *
 * Two things differ, both where codegraph's own module would silently lose entries. A write that fails always throws;
 * there, `writeJournalHeader` and `appendJournalEntriesAndStampHeader` print a warning and return. And an entry that does
 * not fit into a line of the journal (empty, with a newline, …) is refused with `EENTRY` instead of written.
 */
var __createBinding = (this && this.__createBinding) || (Object.create ? (function(o, m, k, k2) {
    if (k2 === undefined) k2 = k;
    var desc = Object.getOwnPropertyDescriptor(m, k);
    if (!desc || ("get" in desc ? !m.__esModule : desc.writable || desc.configurable)) {
      desc = { enumerable: true, get: function() { return m[k]; } };
    }
    Object.defineProperty(o, k2, desc);
}) : (function(o, m, k, k2) {
    if (k2 === undefined) k2 = k;
    o[k2] = m[k];
}));
var __setModuleDefault = (this && this.__setModuleDefault) || (Object.create ? (function(o, v) {
    Object.defineProperty(o, "default", { enumerable: true, value: v });
}) : function(o, v) {
    o["default"] = v;
});
var __importStar = (this && this.__importStar) || (function () {
    var ownKeys = function(o) {
        ownKeys = Object.getOwnPropertyNames || function (o) {
            var ar = [];
            for (var k in o) if (Object.prototype.hasOwnProperty.call(o, k)) ar[ar.length] = k;
            return ar;
        };
        return ownKeys(o);
    };
    return function (mod) {
        if (mod && mod.__esModule) return mod;
        var result = {};
        if (mod != null) for (var k = ownKeys(mod), i = 0; i < k.length; i++) if (k[i] !== "default") __createBinding(result, mod, k[i]);
        __setModuleDefault(result, mod);
        return result;
    };
})();
Object.defineProperty(exports, "__esModule", { value: true });
exports.JOURNAL_FILENAME = void 0;
exports.readJournal = readJournal;
exports.appendJournalEntries = appendJournalEntries;
exports.writeJournalHeader = writeJournalHeader;
exports.appendJournalEntriesAndStampHeader = appendJournalEntriesAndStampHeader;
const node_path_1 = require("node:path");
const error_js_1 = require("./error.js");
const journal = __importStar(require("./journal.js"));
/** @typedef {import('./journal.js').JournalEntry} JournalEntry */
/** @typedef {import('./journal.js').JournalResult} JournalResult */
var journal_js_1 = require("./journal.js");
Object.defineProperty(exports, "JOURNAL_FILENAME", { enumerable: true, get: function () { return journal_js_1.JOURNAL_FILENAME; } });
/** @param {string} rootDir */
const journalDir = (rootDir) => (0, node_path_1.join)(rootDir, '.codegraph');
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
function readJournal(rootDir) {
    const dir = journalDir(rootDir);
    try {
        return journal.readJournal(dir);
    }
    catch (error) {
        // To the callers, `valid: false` means "look at every file", which is right whatever the reason.
        if (error instanceof error_js_1.JlockError)
            return { valid: false };
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
function appendJournalEntries(rootDir, entries) {
    journal.appendJournalEntries(journalDir(rootDir), entries);
}
/**
 * Replaces the journal with nothing but a header.
 *
 * @param {string} rootDir
 * @param {number} timestamp milliseconds since 1970
 * @throws {import('./error.js').JlockError}
 */
function writeJournalHeader(rootDir, timestamp) {
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
function appendJournalEntriesAndStampHeader(rootDir, entries, timestamp) {
    journal.appendJournalEntriesAndStampHeader(journalDir(rootDir), entries, whole(timestamp));
}

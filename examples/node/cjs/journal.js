"use strict";
/**
 * The journal module of codegraph, name for name, on top of the shared library. Here the first argument is the directory
 * that holds `changes.journal` itself; `jlock/codegraph` takes the project's root, as codegraph's own module does.
 *
 * Every call opens its own handle and closes it again, because the calls of codegraph's module are independent, too. So
 * there is nothing to close at exit, a directory that is removed and created again is found again, and a process that is
 * killed leaves at most the traces of the call that it was in. A program that must not block while it waits uses a `Lock`.
 */
Object.defineProperty(exports, "__esModule", { value: true });
exports.JOURNAL_FILENAME = void 0;
exports.readJournal = readJournal;
exports.appendJournalEntries = appendJournalEntries;
exports.writeJournalHeader = writeJournalHeader;
exports.appendJournalEntriesAndStampHeader = appendJournalEntriesAndStampHeader;
const arguments_js_1 = require("./arguments.js");
const error_js_1 = require("./error.js");
const format_js_1 = require("./format.js");
const handle_js_1 = require("./handle.js");
const native_js_1 = require("./native.js");
const owned_js_1 = require("./owned.js");
/** @typedef {import('./arguments.js').PathLike} PathLike */
/** @typedef {import('./format.js').JournalEntry} JournalEntry */
/**
 * @template [Path=string]
 * @typedef {import('./format.js').JournalResult<Path>} JournalResult
 */
exports.JOURNAL_FILENAME = 'changes.journal';
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
/**
 * @overload
 * @param {PathLike} dir
 * @param {{ encoding: 'buffer' }} options
 * @returns {JournalResult<Buffer>}
 */
/**
 * @param {PathLike} dir
 * @param {{ encoding?: 'utf8' | 'buffer' }} options
 * @returns {JournalResult<any>}
 */
function readJournal(dir, options = {}) {
    const encoding = (0, arguments_js_1.toEncoding)(options);
    try {
        return withHandle(dir, { create: false }, (handle, check) => {
            const out = [0n];
            check((0, native_js_1.jlock_read)(handle, out));
            try {
                return (0, format_js_1.fromNativeSnapshot)(out[0], encoding);
            }
            finally {
                (0, native_js_1.jlock_snapshot_free)(out[0]);
            }
        });
    }
    catch (error) {
        if (error instanceof error_js_1.JlockError && format_js_1.INVALID.has(error.errno))
            return { valid: false };
        throw error;
    }
}
/**
 * Appends entries: all of them, or none.
 *
 * @param {PathLike} dir the directory that holds the journal; created if it is missing
 * @param {readonly JournalEntry[]} entries
 * @throws {import('./error.js').JlockError}
 */
function appendJournalEntries(dir, entries) {
    const { memory, count } = (0, format_js_1.toNativeEntries)(entries);
    withHandle(dir, {}, (handle, check) => check((0, native_js_1.jlock_append)(handle, memory, count)));
}
/**
 * Replaces the journal with nothing but a header. Entries that another process has appended since it was read are lost, as
 * with codegraph's own; `Lock.checkpoint` keeps them.
 *
 * @param {PathLike} dir the directory that holds the journal; created if it is missing
 * @param {number | bigint} timestamp whole milliseconds since 1970
 * @throws {import('./error.js').JlockError}
 */
function writeJournalHeader(dir, timestamp) {
    const stamp = (0, arguments_js_1.toNativeTimestamp)(timestamp);
    withHandle(dir, {}, (handle, check) => check((0, native_js_1.jlock_write_header)(handle, stamp)));
}
/**
 * Appends entries, all of them or none, and sets the header's timestamp.
 *
 * @param {PathLike} dir the directory that holds the journal; created if it is missing
 * @param {readonly JournalEntry[]} entries
 * @param {number | bigint} timestamp whole milliseconds since 1970
 * @throws {import('./error.js').JlockError}
 */
function appendJournalEntriesAndStampHeader(dir, entries, timestamp) {
    const { memory, count } = (0, format_js_1.toNativeEntries)(entries);
    const stamp = (0, arguments_js_1.toNativeTimestamp)(timestamp);
    withHandle(dir, {}, (handle, check) => check((0, native_js_1.jlock_append_stamped)(handle, memory, count, stamp)));
}
/**
 * @template T
 * @param {PathLike} dir
 * @param {import('./handle.js').Options} options
 * @param {(handle: import('./native.js').Handle, check: (rc: number) => void) => T} use
 * @returns {T}
 */
function withHandle(dir, options, use) {
    const path = (0, arguments_js_1.toPath)(dir, 'dir');
    const handle = (0, handle_js_1.openHere)(path, options);
    try {
        return use(handle, (rc) => {
            if (rc < 0)
                throw (0, error_js_1.failure)(rc, path.text, handle);
        });
    }
    finally {
        (0, owned_js_1.disown)(handle);
        (0, native_js_1.jlock_close)(handle); // nothing is held: each call has released what it acquired, or has reported that it could not
    }
}

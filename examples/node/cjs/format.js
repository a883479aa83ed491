"use strict";
/**
 * Converts entries and snapshots between JavaScript and C.
 */
Object.defineProperty(exports, "__esModule", { value: true });
exports.INVALID = void 0;
exports.toNativeEntries = toNativeEntries;
exports.fromNativeSnapshot = fromNativeSnapshot;
const node_util_1 = require("node:util");
const arguments_js_1 = require("./arguments.js");
const error_js_1 = require("./error.js");
const native_js_1 = require("./native.js");
const JLOCK_CHANGED = 0;
const JLOCK_DELETED = 1;
/** The size of a struct jlock_entry: path; path_len; kind and reserved. */
const ENTRY_SIZE = 24;
/** What `jlock_read` returns for a journal that is invalid, as opposed to unreadable. */
exports.INVALID = new Set([-error_js_1.ENOENT, -error_js_1.ENOTDIR, -error_js_1.EHEADER, -error_js_1.EUNSTAMPED]);
/**
 * @typedef {object} JournalEntry
 * @property {string | Uint8Array} file bytes are used as they are: a name need not be UTF-8
 * @property {boolean} [deleted]
 */
/**
 * A journal that was read.
 *
 * @template [Path=string]
 * @typedef {object} ValidJournal
 * @property {true} valid
 * @property {number} timestamp
 * @property {Path[]} changed
 * @property {Path[]} removed
 */
/**
 * A journal that is missing, or whose header is malformed or was never stamped.
 *
 * @typedef {object} InvalidJournal
 * @property {false} valid
 * @property {undefined} [timestamp]
 * @property {undefined} [changed]
 * @property {undefined} [removed]
 */
/**
 * @template [Path=string]
 * @typedef {ValidJournal<Path> | InvalidJournal} JournalResult
 */
/** @typedef {{ memory: Uint8Array, count: number }} NativeEntries */
/**
 * An array of `struct jlock_entry`, followed by their paths in the same piece of memory, so that only this one has to outlive
 * the call.
 *
 * @param {readonly JournalEntry[]} entries
 * @returns {NativeEntries}
 */
function toNativeEntries(entries) {
    if (!Array.isArray(entries))
        throw (0, arguments_js_1.argumentError)('entries', 'is not an array', entries, 'ERR_INVALID_ARG_TYPE');
    const paths = entries.map((entry) => toBytes(entry?.file));
    const table = entries.length * ENTRY_SIZE;
    const memory = new Uint8Array(paths.reduce((size, path) => size + path.length, Math.max(table, ENTRY_SIZE)));
    const words = new BigUint64Array(memory.buffer, 0, entries.length * 3);
    const kinds = new Uint32Array(memory.buffer, 0, entries.length * 6);
    const address = (0, native_js_1.addressOf)(memory);
    let end = table;
    entries.forEach(({ deleted }, index) => {
        const path = paths[index];
        memory.set(path, end);
        words[3 * index] = address + BigInt(end);
        words[3 * index + 1] = BigInt(path.length);
        kinds[6 * index + 4] = deleted ? JLOCK_DELETED : JLOCK_CHANGED;
        end += path.length;
    });
    return { memory, count: entries.length };
}
/**
 * @param {unknown} file
 * @returns {Uint8Array}
 */
function toBytes(file) {
    if (typeof file === 'string')
        return Buffer.from(file);
    if (node_util_1.types.isUint8Array(file))
        return file;
    throw (0, arguments_js_1.argumentError)('file', 'is neither a string nor a Uint8Array', file, 'ERR_INVALID_ARG_TYPE');
}
/**
 * @param {import('./native.js').SnapshotPointer} snapshot
 * @param {'utf8' | 'buffer'} encoding
 * @returns {ValidJournal<any>}
 */
function fromNativeSnapshot(snapshot, encoding) {
    /** @type {(pointer: bigint, length: number) => string | Buffer} */
    const decode = encoding === 'buffer' ? native_js_1.decodeBytes : native_js_1.decodeString;
    return {
        valid: true,
        timestamp: (0, native_js_1.jlock_snapshot_timestamp)(snapshot),
        changed: paths(snapshot, JLOCK_CHANGED, decode),
        removed: paths(snapshot, JLOCK_DELETED, decode),
    };
}
/**
 * @template Path
 * @param {import('./native.js').SnapshotPointer} snapshot
 * @param {number} kind
 * @param {(pointer: bigint, length: number) => Path} decode
 */
function paths(snapshot, kind, decode) {
    const entry = new BigUint64Array(3);
    return Array.from({ length: (0, native_js_1.jlock_snapshot_count)(snapshot, kind) }, (_, index) => {
        (0, native_js_1.jlock_snapshot_entry)(snapshot, kind, index, entry); // the index exists, so it cannot fail
        return decode(entry[0], Number(entry[1]));
    });
}

"use strict";
/**
 * Makes calls on the threads of Node's pool, for what may be slow: the disk, a large journal, a directory. Nothing that waits
 * for the lock goes there, because there are only four of these threads, and all of Node's own file access needs them.
 */
Object.defineProperty(exports, "__esModule", { value: true });
exports.inUse = void 0;
exports.offload = offload;
/** @typedef {import('./native.js').NativeFunction} NativeFunction */
/**
 * @typedef {object} Job
 * @property {NativeFunction} f
 * @property {unknown[]} args
 * @property {(rc: number) => void} resolve
 * @property {(error: unknown) => void} reject
 */
/**
 * How many calls we give koffi at a time. It refuses more than 256 for the whole thread, and each takes more memory.
 */
const MOST = 64;
/** @type {Job[]} */
const waiting = [];
let running = 0;
/**
 * The pointers that are the first argument of calls under way, and the number of those calls.
 *
 * @type {Map<unknown, number>}
 */
exports.inUse = new Map();
/**
 * Calls a function of the library on a thread of the pool, in turn.
 *
 * @param {NativeFunction} f
 * @param {unknown[]} args
 * @returns {Promise<number>}
 */
function offload(f, ...args) {
    return new Promise((resolve, reject) => {
        waiting.push({ f, args, resolve, reject });
        startSome();
    });
}
function startSome() {
    while (running < MOST) {
        const job = waiting.shift();
        if (job === undefined)
            return;
        start(job);
    }
}
/** @param {Job} job */
function start({ f, args, resolve, reject }) {
    const [pointer] = args;
    const done = (/** @type {Error | null} */ error, /** @type {number} */ rc) => {
        running--;
        const others = (exports.inUse.get(pointer) ?? 1) - 1;
        if (others > 0)
            exports.inUse.set(pointer, others);
        else
            exports.inUse.delete(pointer);
        if (error)
            reject(error);
        else
            resolve(rc);
        startSome();
        void args; // keeps the memory that they point to until the call is over, because koffi keeps no reference to it
    };
    running++;
    exports.inUse.set(pointer, (exports.inUse.get(pointer) ?? 0) + 1);
    try {
        f.async(...args, done);
    }
    catch {
        // Somebody else's calls have used up koffi's limit. Blocking for one call is better than not making it.
        try {
            done(null, f(...args));
        }
        catch (error) {
            done(/** @type {Error} */ (error), 0);
        }
    }
}

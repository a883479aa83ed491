"use strict";
/**
 * Node's timers and its clock, as they were when this module was loaded: fake timers, which tests put in their place, must not
 * stop a program from getting the lock.
 */
Object.defineProperty(exports, "__esModule", { value: true });
exports.now = exports.clearTimeout = exports.setTimeout = exports.setImmediate = void 0;
exports.setImmediate = globalThis.setImmediate, exports.setTimeout = globalThis.setTimeout, exports.clearTimeout = globalThis.clearTimeout;
/** Milliseconds on a clock that nobody sets. */
exports.now = performance.now.bind(performance);

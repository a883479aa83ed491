/**
 * Node's timers and its clock, as they were when this module was loaded: fake timers, which tests put in their place, must not
 * stop a program from getting the lock.
 */

export const { setImmediate, setTimeout, clearTimeout } = globalThis;

/** Milliseconds on a clock that nobody sets. */
export const now = performance.now.bind(performance);

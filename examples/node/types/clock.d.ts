export const setImmediate: typeof globalThis.setImmediate;
export const setTimeout: typeof globalThis.setTimeout;
export const clearTimeout: typeof globalThis.clearTimeout;
/** Milliseconds on a clock that nobody sets. */
export const now: () => number;

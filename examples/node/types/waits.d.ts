/**
 * Calls back whenever a descriptor is readable, until `unwatch`. It keeps the process alive.
 *
 * @param {number} fd
 * @param {() => void} ready must not throw
 * @returns {number} 0 or a negative errno
 */
export function watch(fd: number, ready: () => void): number;
/** @param {number} fd need not be watched */
export function unwatch(fd: number): void;

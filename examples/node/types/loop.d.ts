/**
 * Lets the event loop turn if calls have been made for a while without. The calls that do not wait succeed without a
 * turn, so a program that does nothing but acquire and release would starve its timers and its other locks.
 *
 * @returns {Promise<void> | undefined}
 */
export function breathe(): Promise<void> | undefined;

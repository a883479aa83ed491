/**
 * Lets the event loop turn if calls have gone on for a while without a turn. Calls that do not wait succeed without one, so a
 * program that does nothing but acquire and release would starve its timers and its other locks.
 *
 * @returns {Promise<void> | undefined}
 */
export function breathe(): Promise<void> | undefined;

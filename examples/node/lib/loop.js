/**
 * Keeps the event loop turning.
 */

import { now, setImmediate } from './clock.js';

/** How long calls may follow each other without a turn of the event loop, in milliseconds. */
const LONGEST = 1;

/**
 * When the first call of this turn of the event loop was made.
 *
 * @type {number | undefined}
 */
let since;

/**
 * Lets the event loop turn if calls have gone on for a while without a turn. Calls that do not wait succeed without one, so a
 * program that does nothing but acquire and release would starve its timers and its other locks.
 *
 * @returns {Promise<void> | undefined}
 */
export function breathe() {
  const time = now();
  if (since !== undefined && time - since > LONGEST) {
    return new Promise((resolve) => {
      setImmediate(() => {
        since = undefined;
        resolve();
      });
    });
  }
  if (since === undefined) {
    since = time;
    setImmediate(() => (since = undefined)).unref();
  }
  return undefined;
}

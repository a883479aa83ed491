/**
 * Whose turn it is: a line of calls on one lock, first come, first served. A call can leave it at any time.
 */

import { clearTimeout, now, setTimeout } from './clock.js';

/** How one call waits: until when, and what can end it earlier. */
export class Patience {
  #begun = now();
  #timeoutMs;

  /**
   * @param {number} timeoutMs
   * @param {AbortSignal} [signal]
   */
  constructor(timeoutMs, signal) {
    this.#timeoutMs = timeoutMs;
    this.signal = signal;
  }

  /** Milliseconds since it began. */
  get waited() {
    return now() - this.#begun;
  }

  /** Milliseconds left, never below 0. */
  get left() {
    return Math.max(0, Math.ceil(this.#timeoutMs - this.waited));
  }
}

/** The most that `setTimeout` takes: 24 days. */
export const LONGEST_MS = 2 ** 31 - 1;

/** @typedef {'turn' | 'timeout' | 'abort' | 'closed'} Outcome */

export class Turns {
  #taken = false;
  #closed = false;
  /**
   * The calls in line, in the order in which they came.
   *
   * @type {Set<(outcome: Outcome) => void>}
   */
  #line = new Set();
  /** @type {(() => void) | undefined} */
  #idle;

  /**
   * Waits for a turn. After `'turn'` it is the caller's turn until `leave`; after anything else it is not.
   *
   * @param {Patience} [patience] if it is missing, the wait ends only with the caller's turn
   * @returns {Promise<Outcome>}
   */
  async enter(patience) {
    if (this.#closed) return 'closed';
    if (patience?.signal?.aborted) return 'abort';
    if (!this.#taken) {
      this.#taken = true;
      return 'turn';
    }
    if (patience?.left === 0) return 'timeout';
    return this.#lineUp(patience);
  }

  leave() {
    const [next] = this.#line;
    if (next) return next('turn');
    this.#taken = false;
    this.#idle?.();
  }

  /**
   * Ends the wait of all calls in line, and lets no more in.
   *
   * @returns {Promise<void>} fulfilled once the call whose turn it is has left
   */
  async close() {
    this.#closed = true;
    for (const end of this.#line) end('closed');
    if (this.#taken) await new Promise((resolve) => (this.#idle = () => resolve(undefined)));
  }

  /**
   * @param {Patience} [patience]
   * @returns {Promise<Outcome>}
   */
  #lineUp(patience) {
    return new Promise((resolve) => {
      const ms = patience?.left ?? Infinity;
      const timer = ms <= LONGEST_MS ? setTimeout(() => end('timeout'), ms) : undefined;
      const abort = () => end('abort');
      const end = (/** @type {Outcome} */ outcome) => {
        this.#line.delete(end);
        clearTimeout(timer);
        patience?.signal?.removeEventListener('abort', abort);
        resolve(outcome);
      };
      patience?.signal?.addEventListener('abort', abort);
      this.#line.add(end);
    });
  }
}

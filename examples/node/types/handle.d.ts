/**
 * How a lock behaves.
 *
 * @typedef {object} Options
 * @property {number} [timeoutMs] how long to wait for the lock: 5000; `Infinity`: for ever; 0: do not wait
 * @property {number} [retryMs] longest pause between two looks at the lock: 25
 * @property {number} [staleMs] silence after which a lock that the kernel knows nothing of counts as dead: 30000
 * @property {number} [settleMs] pause after taking over a dead holder's lock: 100; 0 only where every peer uses jlock
 * @property {boolean} [create] create a missing directory: true
 * @property {boolean} [sync] a journal call succeeds once its data is on disk: false
 * @property {boolean} [keepalive] renew the lock by itself while it is held: false
 */
/** @typedef {{ timeoutMs: number, retryMs: number }} Waiting */
/**
 * The options as C has them, and how long to wait.
 *
 * @param {Options} options
 */
export function resolveOptions(options: Options): {
    native: {
        size: number;
        flags: number;
        timeout_ms: number;
        retry_ms: number;
        stale_ms: number;
        settle_ms: number;
    };
    timeoutMs: number;
    retryMs: number;
};
/**
 * @param {string} name
 * @param {number | undefined} value
 * @param {number} byDefault
 */
export function milliseconds(name: string, value: number | undefined, byDefault: number): number;
/**
 * The error of a `jlock_open` that failed: there is no handle yet that could tell more.
 *
 * @param {number} rc
 * @param {string} dir
 */
export function openFailure(rc: number, dir: string): JlockError;
/**
 * How a lock behaves.
 */
export type Options = {
    /**
     * how long to wait for the lock: 5000; `Infinity`: for ever; 0: do not wait
     */
    timeoutMs?: number | undefined;
    /**
     * longest pause between two looks at the lock: 25
     */
    retryMs?: number | undefined;
    /**
     * silence after which a lock that the kernel knows nothing of counts as dead: 30000
     */
    staleMs?: number | undefined;
    /**
     * pause after taking over a dead holder's lock: 100; 0 only where every peer uses jlock
     */
    settleMs?: number | undefined;
    /**
     * create a missing directory: true
     */
    create?: boolean | undefined;
    /**
     * a journal call succeeds once its data is on disk: false
     */
    sync?: boolean | undefined;
    /**
     * renew the lock by itself while it is held: false
     */
    keepalive?: boolean | undefined;
};
export type Waiting = {
    timeoutMs: number;
    retryMs: number;
};
import { JlockError } from './error.js';

/**
 * How a lock behaves.
 *
 * @typedef {object} Options
 * @property {number} [timeoutMs] how long to wait for the lock (default: 5000); `Infinity`: forever; 0: do not wait
 * @property {number} [retryMs] longest pause between two looks at the lock; longer behind other waiters (default: 25)
 * @property {number} [staleMs] silence after which a lock counts as dead if the kernel cannot tell (default: 30000)
 * @property {number} [settleMs] pause after taking over a dead holder's lock (default: 100); 0 only where every peer uses
 *   jlock
 * @property {boolean} [create] create a missing directory (default: true)
 * @property {boolean} [sync] a journal call succeeds only once its data is on disk (default: false)
 * @property {boolean} [keepalive] refresh the lock automatically while it is held (default: false)
 * @property {string | Uint8Array} [journal] the journal's file name in the directory (default: `changes.journal`); the
 *   lock's name is the same with `.lock` after it. If the directory is renamed, a lock that was opened with a name stays
 *   with it; without one, it follows the path
 */
/**
 * The options in C's form, and how long to wait.
 *
 * @param {Options} options
 */
export function resolveOptions(options: Options): {
    native: {
        flags: number;
        timeout_ms: number;
        retry_ms: number;
        stale_ms: number;
        settle_ms: number;
    };
    timeoutMs: number;
};
/**
 * Opens a handle here and now, for a single call.
 *
 * @param {Path} dir
 * @param {Options} options
 * @returns {Handle}
 */
export function openHere(dir: Path, options: Options): Handle;
/**
 * Opens a handle for a `Lock`, on a thread of the pool.
 *
 * @param {Path} dir
 * @param {Options} options
 * @returns {Promise<{ handle: Handle, timeoutMs: number }>}
 */
export function openInPool(dir: Path, options: Options): Promise<{
    handle: Handle;
    timeoutMs: number;
}>;
/**
 * How a lock behaves.
 */
export type Options = {
    /**
     * how long to wait for the lock (default: 5000); `Infinity`: forever; 0: do not wait
     */
    timeoutMs?: number | undefined;
    /**
     * longest pause between two looks at the lock; longer behind other waiters (default: 25)
     */
    retryMs?: number | undefined;
    /**
     * silence after which a lock counts as dead if the kernel cannot tell (default: 30000)
     */
    staleMs?: number | undefined;
    /**
     * pause after taking over a dead holder's lock (default: 100); 0 only where every peer uses
     * jlock
     */
    settleMs?: number | undefined;
    /**
     * create a missing directory (default: true)
     */
    create?: boolean | undefined;
    /**
     * a journal call succeeds only once its data is on disk (default: false)
     */
    sync?: boolean | undefined;
    /**
     * refresh the lock automatically while it is held (default: false)
     */
    keepalive?: boolean | undefined;
    /**
     * the journal's file name in the directory (default: `changes.journal`); the
     * lock's name is the same with `.lock` after it. If the directory is renamed, a lock that was opened with a name stays
     * with it; without one, it follows the path
     */
    journal?: string | Uint8Array<ArrayBufferLike> | undefined;
};
export type Path = import("./arguments.js").Path;
export type Handle = import("./native.js").Handle;

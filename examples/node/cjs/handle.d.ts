/**
 * How a lock behaves.
 *
 * @typedef {object} Options
 * @property {number} [timeoutMs] how long to wait for the lock: 5000; `Infinity`: forever; 0: do not wait
 * @property {number} [retryMs] longest pause between two looks at the lock: 25
 * @property {number} [staleMs] silence after which a lock counts as dead if the kernel cannot tell: 30000
 * @property {number} [settleMs] pause after taking over a dead holder's lock: 100; 0 only where every peer uses jlock
 * @property {boolean} [create] create a missing directory: true
 * @property {boolean} [sync] a journal call succeeds once its data is on disk: false
 * @property {boolean} [keepalive] refresh the lock by itself while it is held: false
 * @property {string | Uint8Array} [journal] the journal's file name in the directory, `changes.journal`; the lock's is
 *   the same with `.lock` after it. A lock that was opened with a name stays with its directory if that is renamed;
 *   without one, it follows the path
 */
/**
 * The options as C has them, and how long to wait.
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
 * Opens a handle here and now, for a call that stands for itself.
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
     * how long to wait for the lock: 5000; `Infinity`: forever; 0: do not wait
     */
    timeoutMs?: number | undefined;
    /**
     * longest pause between two looks at the lock: 25
     */
    retryMs?: number | undefined;
    /**
     * silence after which a lock counts as dead if the kernel cannot tell: 30000
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
     * refresh the lock by itself while it is held: false
     */
    keepalive?: boolean | undefined;
    /**
     * the journal's file name in the directory, `changes.journal`; the lock's is
     * the same with `.lock` after it. A lock that was opened with a name stays with its directory if that is renamed;
     * without one, it follows the path
     */
    journal?: string | Uint8Array<ArrayBufferLike> | undefined;
};
export type Path = import("./arguments.js").Path;
export type Handle = import("./native.js").Handle;

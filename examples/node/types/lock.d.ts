/**
 * The lock of one journal, and the journal beneath it. One `Lock` is one participant: what it is asked for, it does in
 * turn, and two on one journal exclude each other like two processes.
 */
export class Lock {
    /**
     * @param {string} dir the directory that holds `changes.journal`
     * @param {Options} [options]
     * @returns {Promise<Lock>}
     */
    static open(dir: string, options?: Options): Promise<Lock>;
    /**
     * @private
     * @param {import('./native.js').Handle} handle
     * @param {string} dir
     * @param {import('./handle.js').Waiting} waiting
     */
    private constructor();
    /** Whether the last acquire took over from a holder that had died: then look after what it left half done. */
    get recovered(): boolean;
    /**
     * Acquires the lock; rejected with `ETIMEDOUT` and a message that names the holder, or with the signal's reason.
     *
     * @param {Wait} [wait]
     * @returns {Promise<void>}
     */
    acquire(wait?: Wait): Promise<void>;
    /**
     * Releases the lock; rejected with `ELOST` when it was taken away meanwhile.
     *
     * @returns {Promise<void>}
     */
    release(): Promise<void>;
    /**
     * Acquires, does the work and releases, whether the work succeeds or fails.
     *
     * @template T
     * @param {() => T | Promise<T>} work
     * @param {Wait} [wait]
     * @returns {Promise<T>}
     */
    hold<T>(work: () => T | Promise<T>, wait?: Wait): Promise<T>;
    /**
     * Renews a held lock, as is to be done every few seconds of a long hold; rejected with `ELOST` when it was taken away.
     *
     * @returns {Promise<void>}
     */
    refresh(): Promise<void>;
    /**
     * Looks who holds the lock; takes and changes nothing.
     *
     * @returns {Promise<Holder>}
     */
    inspect(): Promise<Holder>;
    /**
     * Appends entries: all of them, or none. Like the other calls that write, it takes the lock and lets it go, unless it
     * is held already.
     *
     * @param {readonly JournalEntry[]} entries
     * @param {Wait} [wait]
     * @returns {Promise<void>}
     */
    append(entries: readonly JournalEntry[], wait?: Wait): Promise<void>;
    /**
     * Appends entries, all of them or none, and moves the header's timestamp.
     *
     * @param {readonly JournalEntry[]} entries
     * @param {number} timestamp milliseconds since 1970
     * @param {Wait} [wait]
     * @returns {Promise<void>}
     */
    appendStamped(entries: readonly JournalEntry[], timestamp: number, wait?: Wait): Promise<void>;
    /**
     * Replaces the journal by a header alone.
     *
     * @param {number} timestamp milliseconds since 1970
     * @param {Wait} [wait]
     * @returns {Promise<void>}
     */
    writeHeader(timestamp: number, wait?: Wait): Promise<void>;
    /**
     * Reads the journal, without taking the lock.
     *
     * @returns {Promise<JournalResult>} `{ valid: false }` when the journal is missing, malformed or was never stamped
     */
    read(): Promise<JournalResult>;
    /**
     * Reads the journal in order to process it, without taking the lock.
     *
     * @returns {Promise<Snapshot | undefined>} undefined when the journal is missing, malformed or was never stamped
     */
    snapshot(): Promise<Snapshot | undefined>;
    /**
     * Begins a new journal after a snapshot was processed, keeps every entry that was appended since it was taken, and
     * closes it.
     *
     * @param {Snapshot} snapshot
     * @param {number} timestamp milliseconds since 1970
     * @param {Wait} [wait]
     * @returns {Promise<void>}
     */
    checkpoint(snapshot: Snapshot, timestamp: number, wait?: Wait): Promise<void>;
    /**
     * Releases the lock if it is held, and closes. Calls that are waiting are rejected with `EBADF`.
     *
     * @returns {Promise<void>}
     */
    close(): Promise<void>;
    /** @returns {Promise<void>} */
    [Symbol.asyncDispose](): Promise<void>;
    #private;
}
export type Options = import("./handle.js").Options;
export type JournalEntry = import("./format.js").JournalEntry;
export type JournalResult = import("./format.js").JournalResult;
export type Snapshot = import("./snapshot.js").Snapshot;
/**
 * How long one call waits for the lock.
 */
export type Wait = {
    /**
     * instead of the lock's own; `Infinity`: for ever; 0: do not wait
     */
    timeoutMs?: number | undefined;
    /**
     * ends the wait; the call is rejected with the signal's reason
     */
    signal?: AbortSignal | undefined;
};
/**
 * Who holds the lock.
 */
export type Holder = {
    /**
     * abandoned: the next acquire takes it over
     */
    state: "free" | "held" | "mine" | "abandoned";
    /**
     * shipped: a program that does without this library
     */
    peer: "none" | "library" | "shipped" | "unknown";
    /**
     * 0: unknown
     */
    pid: number;
    /**
     * since the lock's last sign of life
     */
    ageMs: number;
    nonce: string;
    host: string;
};

/**
 * The lock of one journal, and that journal. One `Lock` is one participant: it serves its calls one after another, and two
 * `Lock`s on one journal exclude each other like two processes.
 */
export class Lock {
    /**
     * @param {PathLike} dir the directory that holds the journal
     * @param {Options} [options]
     * @returns {Promise<Lock>}
     */
    static open(dir: PathLike, options?: Options): Promise<Lock>;
    /**
     * @private
     * @param {import('./native.js').Handle} handle
     * @param {string} dir
     * @param {{ timeoutMs: number, sync: boolean }} options
     */
    private constructor();
    /** Whether the last acquire took over from a dead holder. Then check what that holder may have left half done. */
    get recovered(): boolean;
    /**
     * Acquires the lock. Rejects with `ETIMEDOUT` and a message that names the holder, or with an `AbortError`.
     *
     * @param {Wait} [wait]
     * @returns {Promise<void>}
     */
    acquire(wait?: Wait): Promise<void>;
    /**
     * Releases the lock. Rejects with `ELOST` if it was taken away meanwhile.
     *
     * @returns {Promise<void>}
     */
    release(): Promise<void>;
    /**
     * Acquires, does the work and releases, whether the work succeeds or fails. Several `hold`s at once on one `Lock` take turns
     * in the order of the calls; a `hold` inside another's work would wait for itself.
     *
     * @template T
     * @param {() => T | Promise<T>} work
     * @param {Wait} [wait]
     * @returns {Promise<T>}
     */
    hold<T>(work: () => T | Promise<T>, wait?: Wait): Promise<T>;
    /**
     * Renews the sign of life of a held lock, which a hold of more than a few seconds needs. Rejects with `ELOST` if the lock
     * was taken away.
     *
     * @returns {Promise<void>}
     */
    refresh(): Promise<void>;
    /**
     * Finds out who holds the lock. Takes and changes nothing.
     *
     * @returns {Promise<Holder>}
     */
    inspect(): Promise<Holder>;
    /**
     * Appends entries: all of them, or none. Like the other calls that write, it takes the lock and releases it, unless the lock
     * is already held.
     *
     * @param {readonly JournalEntry[]} entries
     * @param {Wait} [wait]
     * @returns {Promise<void>}
     */
    append(entries: readonly JournalEntry[], wait?: Wait): Promise<void>;
    /**
     * Appends entries, all of them or none, and sets the header's timestamp.
     *
     * @param {readonly JournalEntry[]} entries
     * @param {number | bigint} timestamp whole milliseconds since 1970
     * @param {Wait} [wait]
     * @returns {Promise<void>}
     */
    appendStamped(entries: readonly JournalEntry[], timestamp: number | bigint, wait?: Wait): Promise<void>;
    /**
     * Replaces the journal with nothing but a header.
     *
     * @param {number | bigint} timestamp whole milliseconds since 1970
     * @param {Wait} [wait]
     * @returns {Promise<void>}
     */
    writeHeader(timestamp: number | bigint, wait?: Wait): Promise<void>;
    /**
     * Reads the journal, without taking the lock.
     *
     * @overload
     * @param {{ encoding?: 'utf8' }} [options] `'buffer'` returns the paths as they are; in a string, U+FFFD replaces what is
     *   not UTF-8
     * @returns {Promise<ValidJournal | NoJournal>} `{ valid: false, code }` if the journal is missing (`'ENOENT'`), malformed
     *   (`'EHEADER'`) or was never stamped (`'EUNSTAMPED'`)
     */
    read(options?: {
        encoding?: "utf8";
    } | undefined): Promise<ValidJournal | NoJournal>;
    /**
     * @overload
     * @param {{ encoding: 'buffer' }} options
     * @returns {Promise<ValidJournal<Buffer> | NoJournal>}
     */
    read(options: {
        encoding: "buffer";
    }): Promise<ValidJournal<Buffer> | NoJournal>;
    /**
     * Reads the journal in order to process it, without taking the lock.
     *
     * @overload
     * @param {{ encoding?: 'utf8' }} [options] as for `read`
     * @returns {Promise<Snapshot | undefined>} undefined if the journal is missing, malformed or was never stamped
     */
    snapshot(options?: {
        encoding?: "utf8";
    } | undefined): Promise<Snapshot | undefined>;
    /**
     * @overload
     * @param {{ encoding: 'buffer' }} options
     * @returns {Promise<Snapshot<Buffer> | undefined>}
     */
    snapshot(options: {
        encoding: "buffer";
    }): Promise<Snapshot<Buffer> | undefined>;
    /**
     * Drops what a snapshot held, once that has been processed, keeps every entry that was appended since it was taken, and
     * closes the snapshot.
     *
     * @param {Snapshot<any>} snapshot
     * @param {number | bigint} timestamp whole milliseconds since 1970
     * @param {Wait} [wait]
     * @returns {Promise<boolean>} whether it dropped what the snapshot held. If somebody had replaced the journal in between,
     *   it keeps everything, and what has been processed may be seen again
     */
    checkpoint(snapshot: Snapshot<any>, timestamp: number | bigint, wait?: Wait): Promise<boolean>;
    /**
     * Releases the lock if it is held, and closes. Calls that are waiting reject with `EBADF`. The lock is closed in any case.
     * Rejects if the release failed: with `ELOST` if the lock had been taken away.
     *
     * @returns {Promise<void>}
     */
    close(): Promise<void>;
    /** @returns {Promise<void>} */
    [Symbol.asyncDispose](): Promise<void>;
    #private;
}
export type PathLike = import("./arguments.js").PathLike;
export type Options = import("./handle.js").Options;
export type JournalEntry = import("./format.js").JournalEntry;
export type InvalidJournal = import("./format.js").InvalidJournal;
export type ValidJournal<Path = string> = import("./format.js").ValidJournal<Path>;
export type Snapshot<Path = string> = import("./snapshot.js").Snapshot<Path>;
/**
 * How long one call waits for the lock.
 */
export type Wait = {
    /**
     * replaces the lock's own timeout; `Infinity`: forever; 0: do not wait
     */
    timeoutMs?: number | undefined;
    /**
     * ends the wait at once, with an `AbortError` whose `cause` is the signal's reason
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
     * shipped: a program that does not use this library
     */
    peer: "none" | "library" | "shipped" | "unknown";
    /**
     * 0 if it is unknown
     */
    pid: number;
    /**
     * since the lock's last sign of life
     */
    ageMs: number;
    /**
     * since the holder acquired it; undefined if that is unknown, or nobody holds it
     */
    heldMs: number | undefined;
    nonce: string;
    host: string;
    /**
     * what this lock does without here, as far as it has found out by acquiring; if
     * nothing, this is the full protocol
     */
    fallback: ("link" | "flock")[];
};
/**
 * and why there is none
 */
export type NoJournal = InvalidJournal & {
    code: "ENOENT" | "ENOTDIR" | "EHEADER" | "EUNSTAMPED";
};

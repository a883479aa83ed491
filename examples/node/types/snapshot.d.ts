/**
 * Makes a snapshot of the library's own.
 *
 * @type {(pointer: SnapshotPointer) => Snapshot}
 */
export let adopt: (pointer: SnapshotPointer) => Snapshot;
/**
 * Lets the library use a snapshot, which cannot be freed before it has.
 *
 * @type {<T>(snapshot: Snapshot, use: (pointer: SnapshotPointer) => Promise<T>) => Promise<T>}
 */
export let lend: <T>(snapshot: Snapshot, use: (pointer: SnapshotPointer) => Promise<T>) => Promise<T>;
/**
 * What the journal held at one moment. It keeps the file that it was read from open, so that `Lock.checkpoint` knows what
 * was appended since; `Lock.checkpoint` closes it, and who does not come so far calls `close`, or declares it with `using`.
 */
export class Snapshot {
    /**
     * @private
     * @param {SnapshotPointer} pointer
     */
    private constructor();
    timestamp: number;
    changed: string[];
    removed: string[];
    /** Lets go of the file; the lists stay. */
    close(): void;
    [Symbol.dispose](): void;
    #private;
}
export type SnapshotPointer = import("./native.js").SnapshotPointer;

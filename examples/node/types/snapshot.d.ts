/** @typedef {import('./native.js').SnapshotPointer} SnapshotPointer */
/**
 * Makes a `Snapshot` from one of the library's.
 *
 * @type {(pointer: SnapshotPointer, encoding: 'utf8' | 'buffer') => Snapshot<any>}
 */
export let adopt: (pointer: SnapshotPointer, encoding: "utf8" | "buffer") => Snapshot<any>;
/**
 * Lets the library use a snapshot, which is not freed before that is over.
 *
 * @type {<T>(snapshot: Snapshot<any>, use: (pointer: SnapshotPointer) => Promise<T>) => Promise<T>}
 */
export let lend: <T>(snapshot: Snapshot<any>, use: (pointer: SnapshotPointer) => Promise<T>) => Promise<T>;
/**
 * What the journal held at one moment. It keeps the file that it was read from open, so that `Lock.checkpoint` knows
 * what was appended since. `Lock.checkpoint` closes it; without a checkpoint, call `close`, or declare it with `using`.
 *
 * @template [Path=string]
 */
export class Snapshot<Path = string> {
    /**
     * @private
     * @param {SnapshotPointer} pointer
     * @param {'utf8' | 'buffer'} encoding
     */
    private constructor();
    timestamp: number;
    /** @type {Path[]} */
    changed: Path[];
    /** @type {Path[]} */
    removed: Path[];
    /** Closes the file; the lists stay. */
    close(): void;
    [Symbol.dispose](): void;
    #private;
}
export type SnapshotPointer = import("./native.js").SnapshotPointer;

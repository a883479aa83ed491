/**
 * @param {SnapshotPointer} pointer
 * @returns {ValidJournal}
 */
export function adoptSnapshot(pointer: SnapshotPointer): ValidJournal;
/**
 * @param {ValidJournal} snapshot
 * @returns {SnapshotPointer}
 */
export function snapshotPointer(snapshot: ValidJournal): SnapshotPointer;
export type SnapshotPointer = import("./native.js").SnapshotPointer;
export type ValidJournal = import("./format.js").ValidJournal;

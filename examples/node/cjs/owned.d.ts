/**
 * Ends the ownership: the caller of this frees the pointer next.
 *
 * @param {bigint} pointer
 * @returns {boolean} whether it was owned, and not freed already
 */
export function disown(pointer: bigint): boolean;
export function ownHandle(pointer: bigint): void;
export function ownSnapshot(pointer: bigint): void;
/**
 * The objects that nobody closed before the garbage collector came. A `Lock` that holds is never among them.
 *
 * @type {FinalizationRegistry<bigint>}
 */
export const forgotten: FinalizationRegistry<bigint>;
export type NativeFunction = import("./native.js").NativeFunction;

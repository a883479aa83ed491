/**
 * Ends the ownership. The caller must then free the pointer.
 *
 * @param {bigint} pointer
 * @returns {boolean} whether it was owned; if not, it is already free
 */
export function disown(pointer: bigint): boolean;
export function ownHandle(pointer: bigint): void;
export function ownSnapshot(pointer: bigint): void;
/**
 * Frees the objects that nobody closed before the garbage collector found them. A `Lock` that holds is never among them.
 *
 * @type {FinalizationRegistry<bigint>}
 */
export const forgotten: FinalizationRegistry<bigint>;
export type NativeFunction = import("./native.js").NativeFunction;

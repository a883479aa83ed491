/**
 * Calls a function of the library on a thread of the pool, in turn.
 *
 * @param {NativeFunction} f
 * @param {unknown[]} args
 * @returns {Promise<number>}
 */
export function offload(f: NativeFunction, ...args: unknown[]): Promise<number>;
/**
 * The pointers that are the first argument of calls under way, and the number of those calls.
 *
 * @type {Map<unknown, number>}
 */
export const inUse: Map<unknown, number>;
export type NativeFunction = import("./native.js").NativeFunction;
export type Job = {
    f: NativeFunction;
    args: unknown[];
    resolve: (rc: number) => void;
    reject: (error: unknown) => void;
};

/**
 * Calls a function of the library on a thread of the pool, in turn.
 *
 * @param {NativeFunction} f
 * @param {unknown[]} args
 * @returns {Promise<number>}
 */
export function offload(f: NativeFunction, ...args: unknown[]): Promise<number>;
/**
 * The pointers that calls under way have as their first argument, and by how many of them.
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

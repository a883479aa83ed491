/**
 * Waits until a descriptor is readable, or `ms` have passed, or a signal aborts; the caller looks which.
 *
 * @param {number} fd negative: there is none, wait for the time only
 * @param {number} ms
 * @param {(AbortSignal | undefined)[]} signals
 * @returns {Promise<void>}
 */
export function readable(fd: number, ms: number, signals: (AbortSignal | undefined)[]): Promise<void>;
export const HOLDER_SIZE: number;
export const jlock_options_init: NativeFunction;
export const jlock_open: NativeFunction;
export const jlock_close: NativeFunction;
export const jlock_try_acquire: NativeFunction;
export const jlock_release: NativeFunction;
export const jlock_refresh: NativeFunction;
export const jlock_recovered: NativeFunction;
export const jlock_wait_fd: NativeFunction;
export const jlock_inspect: NativeFunction;
export const jlock_append: NativeFunction;
export const jlock_append_stamped: NativeFunction;
export const jlock_write_header: NativeFunction;
export const jlock_checkpoint: NativeFunction;
export const jlock_read: NativeFunction;
export const jlock_snapshot_timestamp: NativeFunction;
export const jlock_snapshot_count: NativeFunction;
export const jlock_snapshot_entry: NativeFunction;
export const jlock_snapshot_free: NativeFunction;
export const jlock_strerror: NativeFunction;
export const jlock_message: NativeFunction;
export const jlock_version_string: NativeFunction;
export function offload(f: NativeFunction, ...args: unknown[]): Promise<number>;
export function decodeString(pointer: bigint, length: number): string;
/**
 * `struct jlock *`
 */
export type Handle = bigint;
/**
 * `struct jlock_snapshot *`
 */
export type SnapshotPointer = bigint;
export type NativeFunction = {
    (...args: any[]): any;
    async: Function;
};

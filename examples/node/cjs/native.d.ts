/**
 * Has a pointer freed when this thread ends, however it ends.
 *
 * @param {bigint} pointer
 * @param {NativeFunction} free `jlock_close` or `jlock_snapshot_free`
 */
export function freeAtEnd(pointer: bigint, free: NativeFunction): void;
/**
 * Takes `freeAtEnd` back, which must come before the pointer is freed: another one may get its number.
 *
 * @param {bigint} pointer
 * @param {NativeFunction} free
 */
export function keepAtEnd(pointer: bigint, free: NativeFunction): void;
export const OPTIONS_SIZE: number;
export const PLACE_SIZE: number;
export const HOLDER_SIZE: number;
export const jlock_options_init: NativeFunction;
export const jlock_open: NativeFunction;
export const jlock_open_at: NativeFunction;
export const jlock_close: NativeFunction;
export const jlock_probe: NativeFunction;
export const jlock_acquire_start: NativeFunction;
export const jlock_acquire_poll: NativeFunction;
export const jlock_cancel: NativeFunction;
export const jlock_wait_fd: NativeFunction;
export const jlock_release: NativeFunction;
export const jlock_refresh: NativeFunction;
export const jlock_recovered: NativeFunction;
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
export function decodeString(pointer: bigint, length: number): string;
export function decodeBytes(pointer: bigint, length: number): Buffer;
export function addressOf(memory: Uint8Array): bigint;
export function watch(fd: number, ready: () => void): {
    close(): void;
};
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

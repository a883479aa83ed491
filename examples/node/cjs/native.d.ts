/**
 * Makes a `uv_poll_t` on a descriptor, in this thread's event loop. koffi makes it, and closes it at the thread's end. But
 * koffi's callback aborts the process if an event comes between `worker.terminate()` and that end, when JavaScript can no
 * longer be called. So the `uv_poll_t` gets another callback, which is not JavaScript: see `startOnce`.
 *
 * @param {number} fd
 * @returns {{ handle: unknown, pointer: bigint }}
 */
export function pollOn(fd: number): {
    handle: unknown;
    pointer: bigint;
};
/**
 * Makes sure that a pointer is freed when this thread ends, however it ends.
 *
 * @param {bigint} pointer
 * @param {NativeFunction} free `jlock_close` or `jlock_snapshot_free`
 */
export function freeAtEnd(pointer: bigint, free: NativeFunction): void;
/**
 * Undoes `freeAtEnd`. Call it before the pointer is freed, because another one may then get its number.
 *
 * @param {bigint} pointer
 * @param {NativeFunction} free
 */
export function keepAtEnd(pointer: bigint, free: NativeFunction): void;
/**
 * Makes sure that a descriptor is closed when this thread ends.
 *
 * @param {number} fd
 */
export function closeAtEnd(fd: number): void;
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
/**
 * Node's program exports Node-API and libuv. We call both for what must still happen when no JavaScript can run any more.
 * Bun and Deno have Node-API, but event loops of their own: there, nothing that begins with `uv_` can be called.
 */
export const hasLibuv: boolean;
export const uv_poll_stop: NativeFunction;
export const uv_is_active: NativeFunction;
/** @type {NativeFunction} */
export const epoll_create1: NativeFunction;
/** @type {NativeFunction} */
export const epoll_ctl: NativeFunction;
/** @type {NativeFunction} */
export const epoll_wait: NativeFunction;
export function errno(): number;
export function startOnce(poll: bigint): number;
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

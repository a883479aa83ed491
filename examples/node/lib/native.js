/**
 * The library, found and described: the one file that knows koffi. Names and types are those of `include/jlock.h`.
 */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import koffi from 'koffi';

/** @typedef {bigint} Handle `struct jlock *` */
/** @typedef {bigint} SnapshotPointer `struct jlock_snapshot *` */
/** @typedef {{ (...args: any[]): any, async: Function }} NativeFunction */

/** Where a build in this checkout leaves the library: cargo's, then the Makefile's. */
const BUILT = ['release/libjlock.so', 'dist/libjlock.so.0'];

function libraryPath() {
  if (process.env.JLOCK_LIBRARY) return process.env.JLOCK_LIBRARY;
  const built = BUILT.map((name) => fileURLToPath(new URL(`../../../target/${name}`, import.meta.url)));
  return built.find((path) => existsSync(path)) ?? 'libjlock.so.0';
}

function loadLibrary() {
  const path = libraryPath();
  try {
    return koffi.load(path);
  } catch (error) {
    const advice = 'build it with cargo build --release, install it, or name it in JLOCK_LIBRARY';
    throw new Error(`the library ${path} cannot be loaded: ${advice}`, { cause: error });
  }
}

const library = loadLibrary();

// The types stay anonymous: koffi's names are global, and would clash where two copies of this module are loaded.
const Lock = koffi.pointer(koffi.opaque());
const Snapshot = koffi.pointer(koffi.opaque());
const Options = koffi.struct({
  size: 'uint32_t',
  flags: 'uint32_t',
  timeout_ms: 'int32_t',
  retry_ms: 'uint32_t',
  stale_ms: 'uint32_t',
  settle_ms: 'uint32_t',
});
const Holder = koffi.struct({
  size: 'uint32_t',
  state: 'int32_t',
  peer: 'int32_t',
  pid: 'int32_t',
  age_ms: 'int64_t',
  nonce: koffi.array('char', 64),
  host: koffi.array('char', 64),
});
// The path is a string, which koffi copies for the length of the call, an asynchronous one too; of a Buffer within a
// struct it keeps only the address.
const Entry = koffi.struct({ path: 'str', path_len: 'size_t', kind: 'uint32_t', reserved: 'uint32_t' });

export const HOLDER_SIZE = koffi.sizeof(Holder);

/** @param {import('koffi').TypeObject} type */
const out = (type) => koffi.out(koffi.pointer(type));
/** @param {import('koffi').TypeObject} type */
const inout = (type) => koffi.inout(koffi.pointer(type));

const Entries = koffi.pointer(Entry);

/**
 * @param {string} name
 * @param {string} result
 * @param {(string | import('koffi').TypeObject | ReturnType<typeof koffi.out>)[]} parameters
 * @returns {NativeFunction}
 */
const declare = (name, result, parameters) => library.func(name, result, parameters);

export const jlock_options_init = declare('jlock_options_init', 'void', [out(Options)]);
export const jlock_open = declare('jlock_open', 'int', ['str', koffi.pointer(Options), out(Lock)]);
export const jlock_close = declare('jlock_close', 'void', [Lock]);

export const jlock_try_acquire = declare('jlock_try_acquire', 'int', [Lock]);
export const jlock_release = declare('jlock_release', 'int', [Lock]);
export const jlock_refresh = declare('jlock_refresh', 'int', [Lock]);
export const jlock_recovered = declare('jlock_recovered', 'int', [Lock]);
export const jlock_wait_fd = declare('jlock_wait_fd', 'int', [Lock]);
export const jlock_inspect = declare('jlock_inspect', 'int', [Lock, inout(Holder)]);

export const jlock_append = declare('jlock_append', 'int', [Lock, Entries, 'size_t']);
export const jlock_append_stamped = declare('jlock_append_stamped', 'int', [Lock, Entries, 'size_t', 'int64_t']);
export const jlock_write_header = declare('jlock_write_header', 'int', [Lock, 'int64_t']);
export const jlock_checkpoint = declare('jlock_checkpoint', 'int', [Lock, Snapshot, 'int64_t']);

export const jlock_read = declare('jlock_read', 'int', [Lock, out(Snapshot)]);
export const jlock_snapshot_timestamp = declare('jlock_snapshot_timestamp', 'double', [Snapshot]);
export const jlock_snapshot_count = declare('jlock_snapshot_count', 'size_t', [Snapshot, 'uint32_t']);
// Into the three words of a struct jlock_entry: that koffi makes an object of it would take ten times as long.
export const jlock_snapshot_entry = declare('jlock_snapshot_entry', 'int', [Snapshot, 'uint32_t', 'size_t', 'void *']);
export const jlock_snapshot_free = declare('jlock_snapshot_free', 'void', [Snapshot]);

export const jlock_strerror = declare('jlock_strerror', 'str', ['int']);
export const jlock_message = declare('jlock_message', 'int', [Lock, 'void *', 'size_t']);
export const jlock_version_string = declare('jlock_version_string', 'str', []);

/**
 * Calls a function of the library on a worker thread.
 *
 * @param {NativeFunction} f
 * @param {unknown[]} args
 * @returns {Promise<number>}
 */
export const offload = (f, ...args) => promisify(f.async)(...args);

/**
 * @param {bigint} pointer
 * @param {number} length in bytes
 * @returns {string}
 */
export const decodeString = (pointer, length) => koffi.decode.string(pointer, length);

/**
 * Waits until a descriptor is readable, or `ms` have passed, or a signal aborts; the caller looks which.
 *
 * @param {number} fd negative: there is none, wait for the time only
 * @param {number} ms
 * @param {(AbortSignal | undefined)[]} signals
 * @returns {Promise<void>}
 */
export function readable(fd, ms, signals) {
  return new Promise((resolve) => {
    const poll = fd >= 0 ? koffi.node.poll(fd, { readable: true }, done) : undefined;
    const timer = setTimeout(done, ms);
    for (const signal of signals) signal?.addEventListener('abort', done);

    function done() {
      poll?.close();
      clearTimeout(timer);
      for (const signal of signals) signal?.removeEventListener('abort', done);
      resolve();
    }
  });
}

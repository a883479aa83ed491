/**
 * Finds and describes the library: the only file that knows koffi. Names and types are those of `include/jlock.h`.
 */

import { existsSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import koffi from 'koffi';

/** @typedef {bigint} Handle `struct jlock *` */
/** @typedef {bigint} SnapshotPointer `struct jlock_snapshot *` */
/** @typedef {{ (...args: any[]): any, async: Function }} NativeFunction */

const SONAME = 'libjlock.so.0';
/** Where a build in this checkout leaves the library: cargo's, then the Makefile's. */
const BUILT = ['release/libjlock.so', `dist/${SONAME}`];

/** This file, or the bundle that contains it. (In a bundle for `require`, only `__filename` names it.) */
const here = typeof __filename === 'string' ? pathToFileURL(__filename).href : import.meta.url;

/** The program itself, with the libraries that it has loaded. */
const node = koffi.load(null);

/** The name of this platform's directory in `native/`. Of the two C libraries, only glibc has this function. */
function platform() {
  let libc = 'glibc';
  try {
    node.symbol('gnu_get_libc_version');
  } catch {
    libc = 'musl';
  }
  return `${process.platform}-${process.arch}-${libc}`;
}

/**
 * The package's own library. For a bundle, it is beside the bundle, or in a package that is installed above it.
 *
 * @returns {string[]} where it may be
 */
function brought() {
  const name = `${platform()}/${SONAME}`;
  const paths = [fileURLToPath(new URL(`../native/${name}`, here)), fileURLToPath(new URL(SONAME, here))];
  try {
    paths.push(join(dirname(createRequire(here).resolve('jlock/package.json')), 'native', name));
  } catch {
    // Not installed there.
  }
  return paths;
}

function libraryPath() {
  if (process.env.JLOCK_LIBRARY) return process.env.JLOCK_LIBRARY;
  return [...brought(), ...built()].find((path) => existsSync(path)) ?? SONAME;
}

/** @returns {string[]} in this checkout, the newest first */
function built() {
  const checkout = new URL('../../../', here);
  if (!existsSync(new URL('include/jlock.h', checkout))) return [];
  const paths = BUILT.map((name) => fileURLToPath(new URL(`target/${name}`, checkout)));
  const age = (/** @type {string} */ path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return paths.sort((one, other) => age(other) - age(one));
}

function loadLibrary() {
  const path = libraryPath();
  try {
    return koffi.load(path);
  } catch (error) {
    const none = path === SONAME ? `this package has none for ${platform()}, and none is installed` : 'it cannot be loaded';
    const advice = 'install jlock, or name the library in JLOCK_LIBRARY';
    throw new Error(`the library ${path}: ${none}; ${advice}`, { cause: error });
  }
}

const library = loadLibrary();

// The types stay anonymous: koffi's names are global, and would clash if two copies of this module were loaded.
const Lock = koffi.pointer(koffi.opaque());
const Snapshot = koffi.pointer(koffi.opaque());
const Options = koffi.struct({
  flags: 'uint32_t',
  timeout_ms: 'int32_t',
  retry_ms: 'uint32_t',
  stale_ms: 'uint32_t',
  settle_ms: 'uint32_t',
});
const Place = koffi.struct({
  promises: 'uint32_t',
  missing: 'uint32_t',
  file_system: koffi.array('char', 32),
  reason: koffi.array('char', 256),
});
const Holder = koffi.struct({
  state: 'int32_t',
  peer: 'int32_t',
  pid: 'int32_t',
  age_ms: 'int64_t',
  nonce: koffi.array('char', 64),
  host: koffi.array('char', 64),
  held_ms: 'int64_t',
  fallback: 'uint32_t',
  reserved: 'uint32_t',
});
// Only for documentation: format.js lays out entries itself, in one piece of memory with their paths.
const Entry = koffi.struct({ path: 'str', path_len: 'size_t', kind: 'uint32_t', reserved: 'uint32_t' });

export const OPTIONS_SIZE = koffi.sizeof(Options);
export const PLACE_SIZE = koffi.sizeof(Place);
export const HOLDER_SIZE = koffi.sizeof(Holder);

/** @param {import('koffi').TypeObject} type */
const out = (type) => koffi.out(koffi.pointer(type));

const Entries = koffi.pointer(Entry);

/**
 * @param {string} name
 * @param {string} result
 * @param {(string | import('koffi').TypeObject | ReturnType<typeof koffi.out>)[]} parameters
 * @returns {NativeFunction}
 */
const declare = (name, result, parameters) => library.func(name, result, parameters);

export const jlock_options_init = declare('jlock_options_init', 'void', [out(Options), 'size_t']);
export const jlock_open = declare('jlock_open', 'int', ['str', koffi.pointer(Options), 'size_t', out(Lock)]);
export const jlock_open_at = declare('jlock_open_at', 'int', [
  'int',
  'str',
  koffi.pointer(Options),
  'size_t',
  out(Lock),
]);
export const jlock_close = declare('jlock_close', 'int', [Lock]);
export const jlock_probe = declare('jlock_probe', 'int', ['str', out(Place), 'size_t']);

export const jlock_acquire_start = declare('jlock_acquire_start', 'int', [Lock, 'int32_t']);
export const jlock_acquire_poll = declare('jlock_acquire_poll', 'int', [Lock]);
export const jlock_cancel = declare('jlock_cancel', 'int', [Lock]);
export const jlock_wait_fd = declare('jlock_wait_fd', 'int', [Lock]);
export const jlock_release = declare('jlock_release', 'int', [Lock]);
export const jlock_refresh = declare('jlock_refresh', 'int', [Lock]);
export const jlock_recovered = declare('jlock_recovered', 'int', [Lock]);
export const jlock_inspect = declare('jlock_inspect', 'int', [Lock, out(Holder), 'size_t']);

export const jlock_append = declare('jlock_append', 'int', [Lock, Entries, 'size_t']);
export const jlock_append_stamped = declare('jlock_append_stamped', 'int', [Lock, Entries, 'size_t', 'int64_t']);
export const jlock_write_header = declare('jlock_write_header', 'int', [Lock, 'int64_t']);
export const jlock_checkpoint = declare('jlock_checkpoint', 'int', [Lock, Snapshot, 'int64_t']);

export const jlock_read = declare('jlock_read', 'int', [Lock, out(Snapshot)]);
export const jlock_snapshot_timestamp = declare('jlock_snapshot_timestamp', 'double', [Snapshot]);
export const jlock_snapshot_count = declare('jlock_snapshot_count', 'size_t', [Snapshot, 'uint32_t']);
// It fills the three words of a struct jlock_entry: if koffi made an object of it, that would take ten times as long.
export const jlock_snapshot_entry = declare('jlock_snapshot_entry', 'int', [Snapshot, 'uint32_t', 'size_t', 'void *']);
export const jlock_snapshot_free = declare('jlock_snapshot_free', 'void', [Snapshot]);

export const jlock_strerror = declare('jlock_strerror', 'str', ['int']);
export const jlock_message = declare('jlock_message', 'int', [Lock, 'void *', 'size_t']);
export const jlock_version_string = declare('jlock_version_string', 'str', []);

/**
 * @param {bigint} pointer
 * @param {number} length in bytes
 * @returns {string} with U+FFFD in place of what is not UTF-8
 */
export const decodeString = (pointer, length) => koffi.decode.string(pointer, length);

/**
 * @param {bigint} pointer
 * @param {number} length in bytes
 * @returns {Buffer} a copy
 */
export const decodeBytes = (pointer, length) => Buffer.from(new Uint8Array(koffi.view(pointer, length)));

/**
 * @param {Uint8Array} memory
 * @returns {bigint}
 */
export const addressOf = (memory) => koffi.address(memory);

/**
 * Node's program exports Node-API and libuv. We call both for what must still happen when no JavaScript can run any more.
 * Bun and Deno have Node-API, but event loops of their own: there, nothing that begins with `uv_` can be called.
 */
export const hasLibuv = !process.versions.bun && !process.versions.deno;

/**
 * @param {string} name
 * @param {(string | import('koffi').TypeObject | ReturnType<typeof koffi.out>)[]} parameters
 * @returns {NativeFunction} undefined if there is no libuv
 */
const libuv = (name, parameters) => (hasLibuv ? node.func(name, 'int', parameters) : /** @type {any} */ (undefined));

const UvPoll = koffi.pointer(koffi.opaque());
const Visit = koffi.pointer(koffi.proto('void', ['void *', 'void *']));

const napi_get_uv_event_loop = libuv('napi_get_uv_event_loop', ['void *', koffi.out('void **')]);
const uv_walk = libuv('uv_walk', ['void *', Visit, 'void *']);
const uv_fileno = libuv('uv_fileno', ['void *', koffi.out('int *')]);
const uv_poll_start = libuv('uv_poll_start', [UvPoll, 'int', 'void *']);
const UV_READABLE = 1;

export const uv_poll_stop = libuv('uv_poll_stop', [UvPoll]);
export const uv_is_active = libuv('uv_is_active', [UvPoll]);
/** @type {NativeFunction} */
export const epoll_create1 = node.func('epoll_create1', 'int', ['int']);
/** @type {NativeFunction} */
export const epoll_ctl = node.func('epoll_ctl', 'int', ['int', 'int', 'int', 'void *']);
/** @type {NativeFunction} */
export const epoll_wait = node.func('epoll_wait', 'int', ['int', 'void *', 'int', 'int']);

/** The error of the last function of the C library that was called here: negative, like the library's own. */
export const errno = () => -koffi.errno();

/**
 * Makes a `uv_poll_t` on a descriptor, in this thread's event loop. koffi makes it, and closes it at the thread's end. But
 * koffi's callback aborts the process if an event comes between `worker.terminate()` and that end, when JavaScript can no
 * longer be called. So the `uv_poll_t` gets another callback, which is not JavaScript: see `startOnce`.
 *
 * @param {number} fd
 * @returns {{ handle: unknown, pointer: bigint }}
 */
export function pollOn(fd) {
  const handle = koffi.node.poll(fd, { readable: true }, () => {});
  const [loop] = outOf(napi_get_uv_event_loop, koffi.node.env);
  let pointer = 0n;
  uv_walk(loop, (/** @type {bigint} */ each) => (outOf(uv_fileno, each)[0] === fd ? (pointer = each) : 0), null);
  if (pointer !== 0n) uv_poll_stop(pointer);
  return { handle, pointer };
}

/**
 * @param {NativeFunction} f
 * @param {unknown} argument
 * @returns {any[]}
 */
function outOf(f, argument) {
  const out = [0];
  return f(argument, out) === 0 ? out : [];
}

const stopItself = hasLibuv ? node.symbol('uv_poll_stop') : undefined;

/**
 * Starts a `uv_poll_t`. Once its descriptor is readable, it stops itself, and the event loop turns.
 *
 * @param {bigint} poll
 * @returns {number} 0 or a negative errno
 */
export const startOnce = (poll) => uv_poll_start(poll, UV_READABLE, stopItself);

/**
 * Node runs native clean-up hooks at the end of a thread even if it can run no more JavaScript, that is, after `terminate()`.
 * A hook is a C function with one argument, such as `jlock_close` with a handle. The hooks run in the reverse order of their
 * registration, so before koffi's own, and only once the calls in Node's pool are over.
 */
const HOOK = ['void *', 'void *', 'void *'];
const napi_add_env_cleanup_hook = node.func('napi_add_env_cleanup_hook', 'int', HOOK);
const napi_remove_env_cleanup_hook = node.func('napi_remove_env_cleanup_hook', 'int', HOOK);

const FREE = new Map([
  [jlock_close, library.symbol('jlock_close')],
  [jlock_snapshot_free, library.symbol('jlock_snapshot_free')],
]);

/**
 * Makes sure that a pointer is freed when this thread ends, however it ends.
 *
 * @param {bigint} pointer
 * @param {NativeFunction} free `jlock_close` or `jlock_snapshot_free`
 */
export function freeAtEnd(pointer, free) {
  napi_add_env_cleanup_hook(koffi.node.env, FREE.get(free), pointer);
}

/**
 * Undoes `freeAtEnd`. Call it before the pointer is freed, because another one may then get its number.
 *
 * @param {bigint} pointer
 * @param {NativeFunction} free
 */
export function keepAtEnd(pointer, free) {
  napi_remove_env_cleanup_hook(koffi.node.env, FREE.get(free), pointer);
}

/**
 * Makes sure that a descriptor is closed when this thread ends.
 *
 * @param {number} fd
 */
export function closeAtEnd(fd) {
  napi_add_env_cleanup_hook(koffi.node.env, node.symbol('close'), BigInt(fd));
}

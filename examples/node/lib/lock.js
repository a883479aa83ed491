/**
 * The lock and its journal for programs that must not stand still.
 *
 * Nothing here blocks the event loop, and nothing waits on a worker thread either: there are four of these, all of
 * Node's own file access goes through them, and four waiting locks would stop it. So a call goes to a worker for one
 * look at the lock, a matter of microseconds (of `settleMs` where it takes over from a dead holder), and the waiting in
 * between is done by the event loop, on the descriptor that the library offers for it.
 */

import { EAGAIN, EBADF, ETIMEDOUT, JlockError, failure } from './error.js';
import { INVALID, fromNativeSnapshot, toNativeEntries, toNativeTimestamp } from './format.js';
import { milliseconds, openFailure, resolveOptions } from './handle.js';
import {
  HOLDER_SIZE,
  jlock_append,
  jlock_append_stamped,
  jlock_checkpoint,
  jlock_close,
  jlock_inspect,
  jlock_open,
  jlock_read,
  jlock_recovered,
  jlock_refresh,
  jlock_release,
  jlock_snapshot_free,
  jlock_try_acquire,
  jlock_wait_fd,
  jlock_write_header,
  offload,
  readable,
} from './native.js';
import { adopt, lend } from './snapshot.js';

/** @typedef {import('./handle.js').Options} Options */
/** @typedef {import('./format.js').JournalEntry} JournalEntry */
/** @typedef {import('./format.js').JournalResult} JournalResult */
/** @typedef {import('./snapshot.js').Snapshot} Snapshot */

/**
 * How long one call waits for the lock.
 *
 * @typedef {object} Wait
 * @property {number} [timeoutMs] instead of the lock's own; `Infinity`: for ever; 0: do not wait
 * @property {AbortSignal} [signal] ends the wait; the call is rejected with the signal's reason
 */

/**
 * Who holds the lock.
 *
 * @typedef {object} Holder
 * @property {'free' | 'held' | 'mine' | 'abandoned'} state abandoned: the next acquire takes it over
 * @property {'none' | 'library' | 'shipped' | 'unknown'} peer shipped: a program that does without this library
 * @property {number} pid 0: unknown
 * @property {number} ageMs since the lock's last sign of life
 * @property {string} nonce
 * @property {string} host
 */

/** @type {readonly Holder['state'][]} */
const STATES = ['free', 'held', 'mine', 'abandoned'];
/** @type {readonly Holder['peer'][]} */
const PEERS = ['none', 'library', 'shipped', 'unknown'];

/** What a call that was not to wait says when it would have had to: `jlock_try_acquire`, and the calls that write. */
const BUSY = new Set([-EAGAIN, -ETIMEDOUT]);

/**
 * The locks that are open, to be closed when the process exits.
 *
 * @type {Set<Lock>}
 */
const open = new Set();

/**
 * The lock of one journal, and the journal beneath it. One `Lock` is one participant: what it is asked for, it does in
 * turn, and two on one journal exclude each other like two processes.
 */
export class Lock {
  #handle;
  #dir;
  #timeoutMs;
  #retryMs;
  #recovered = false;
  /** The last of the calls that may have to wait for the lock; they go one after the other. */
  #turn = Promise.resolve();
  /**
   * The calls that are with a worker.
   *
   * @type {Set<Promise<number>>}
   */
  #running = new Set();
  /** @type {Promise<void> | undefined} */
  #closed;
  #closing = new AbortController();

  /**
   * @private
   * @param {import('./native.js').Handle} handle
   * @param {string} dir
   * @param {import('./handle.js').Waiting} waiting
   */
  constructor(handle, dir, { timeoutMs, retryMs }) {
    this.#handle = handle;
    this.#dir = dir;
    this.#timeoutMs = timeoutMs;
    this.#retryMs = retryMs;
    open.add(this);
  }

  /**
   * @param {string} dir the directory that holds `changes.journal`
   * @param {Options} [options]
   * @returns {Promise<Lock>}
   */
  static async open(dir, options = {}) {
    const { native, ...waiting } = resolveOptions(options);
    // The library itself is never to wait.
    native.timeout_ms = 0;
    const out = [0n];
    const rc = await offload(jlock_open, dir, native, out);
    if (rc < 0) throw openFailure(rc, dir);
    return new Lock(out[0], dir, waiting);
  }

  /** Whether the last acquire took over from a holder that had died: then look after what it left half done. */
  get recovered() {
    return this.#recovered;
  }

  /**
   * Acquires the lock; rejected with `ETIMEDOUT` and a message that names the holder, or with the signal's reason.
   *
   * @param {Wait} [wait]
   * @returns {Promise<void>}
   */
  acquire(wait = {}) {
    return this.#inTurn(async () => {
      await this.#whenFree(() => this.#call(jlock_try_acquire), wait);
      if (wait.signal?.aborted) {
        // It came while the call that succeeded was under way; nobody is going to release what it acquired.
        this.#check(await this.#call(jlock_release));
        wait.signal.throwIfAborted();
      }
      this.#recovered = this.#now(jlock_recovered) === 1;
    });
  }

  /**
   * Releases the lock; rejected with `ELOST` when it was taken away meanwhile.
   *
   * @returns {Promise<void>}
   */
  release() {
    return this.#inTurn(async () => this.#check(await this.#call(jlock_release)));
  }

  /**
   * Acquires, does the work and releases, whether the work succeeds or fails.
   *
   * @template T
   * @param {() => T | Promise<T>} work
   * @param {Wait} [wait]
   * @returns {Promise<T>}
   */
  async hold(work, wait) {
    await this.acquire(wait);
    try {
      return await work();
    } finally {
      await this.release();
    }
  }

  /**
   * Renews a held lock, as is to be done every few seconds of a long hold; rejected with `ELOST` when it was taken away.
   *
   * @returns {Promise<void>}
   */
  async refresh() {
    this.#check(await this.#call(jlock_refresh));
  }

  /**
   * Looks who holds the lock; takes and changes nothing.
   *
   * @returns {Promise<Holder>}
   */
  async inspect() {
    const out = { size: HOLDER_SIZE, state: 0, peer: 0, pid: 0, age_ms: 0, nonce: '', host: '' };
    this.#check(await this.#call(jlock_inspect, out));
    const { pid, nonce, host } = out;
    return { state: STATES[out.state], peer: PEERS[out.peer], pid, ageMs: out.age_ms, nonce, host };
  }

  /**
   * Appends entries: all of them, or none. Like the other calls that write, it takes the lock and lets it go, unless it
   * is held already.
   *
   * @param {readonly JournalEntry[]} entries
   * @param {Wait} [wait]
   * @returns {Promise<void>}
   */
  append(entries, wait) {
    const native = toNativeEntries(entries);
    return this.#write(wait, jlock_append, native, native.length);
  }

  /**
   * Appends entries, all of them or none, and moves the header's timestamp.
   *
   * @param {readonly JournalEntry[]} entries
   * @param {number} timestamp milliseconds since 1970
   * @param {Wait} [wait]
   * @returns {Promise<void>}
   */
  appendStamped(entries, timestamp, wait) {
    const native = toNativeEntries(entries);
    return this.#write(wait, jlock_append_stamped, native, native.length, toNativeTimestamp(timestamp));
  }

  /**
   * Replaces the journal by a header alone.
   *
   * @param {number} timestamp milliseconds since 1970
   * @param {Wait} [wait]
   * @returns {Promise<void>}
   */
  writeHeader(timestamp, wait) {
    return this.#write(wait, jlock_write_header, toNativeTimestamp(timestamp));
  }

  /**
   * Reads the journal, without taking the lock.
   *
   * @returns {Promise<JournalResult>} `{ valid: false }` when the journal is missing, malformed or was never stamped
   */
  async read() {
    const pointer = await this.#read();
    if (pointer === undefined) return { valid: false };
    try {
      return fromNativeSnapshot(pointer);
    } finally {
      jlock_snapshot_free(pointer);
    }
  }

  /**
   * Reads the journal in order to process it, without taking the lock.
   *
   * @returns {Promise<Snapshot | undefined>} undefined when the journal is missing, malformed or was never stamped
   */
  async snapshot() {
    const pointer = await this.#read();
    return pointer === undefined ? undefined : adopt(pointer);
  }

  /**
   * Begins a new journal after a snapshot was processed, keeps every entry that was appended since it was taken, and
   * closes it.
   *
   * @param {Snapshot} snapshot
   * @param {number} timestamp milliseconds since 1970
   * @param {Wait} [wait]
   * @returns {Promise<void>}
   */
  async checkpoint(snapshot, timestamp, wait) {
    const stamp = toNativeTimestamp(timestamp);
    await lend(snapshot, (pointer) => this.#write(wait, jlock_checkpoint, pointer, stamp));
    snapshot.close();
  }

  /**
   * Releases the lock if it is held, and closes. Calls that are waiting are rejected with `EBADF`.
   *
   * @returns {Promise<void>}
   */
  close() {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** @returns {Promise<void>} */
  [Symbol.asyncDispose]() {
    return this.close();
  }

  /**
   * Does the work when everything that was asked for before is done.
   *
   * @template T
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  #inTurn(work) {
    const done = this.#turn.then(work);
    const ignore = () => {}; // it is told to whoever asked for it
    this.#turn = done.then(ignore, ignore);
    return done;
  }

  /** @returns {Promise<import('./native.js').SnapshotPointer | undefined>} undefined: there is no valid journal */
  async #read() {
    const out = [0n];
    const rc = await this.#call(jlock_read, out);
    if (INVALID.has(rc)) return undefined;
    this.#check(rc);
    return out[0];
  }

  /**
   * @param {Wait | undefined} wait
   * @param {import('./native.js').NativeFunction} f
   * @param {unknown[]} args
   */
  #write(wait, f, ...args) {
    return this.#inTurn(() => this.#whenFree(() => this.#call(f, ...args), wait));
  }

  /**
   * Looks again whenever the lock may be free, until it is, or the time is over, or the signal aborts.
   *
   * @param {() => Promise<number>} look
   * @param {Wait} [wait]
   */
  async #whenFree(look, wait = {}) {
    const timeoutMs = milliseconds('timeoutMs', wait.timeoutMs, this.#timeoutMs);
    const begun = performance.now();
    for (;;) {
      wait.signal?.throwIfAborted();
      const rc = await look();
      if (!BUSY.has(rc)) return this.#check(rc);
      const waited = performance.now() - begun;
      if (waited >= timeoutMs) throw this.#timedOut(rc, waited);
      const pause = Math.min(timeoutMs - waited, this.#retryMs);
      await readable(this.#now(jlock_wait_fd), pause, [this.#closing.signal, wait.signal]);
    }
  }

  /**
   * Calls the library on a worker thread.
   *
   * @param {import('./native.js').NativeFunction} f
   * @param {unknown[]} args
   * @returns {Promise<number>}
   */
  async #call(f, ...args) {
    this.#checkOpen();
    const call = offload(f, this.#handle, ...args);
    this.#running.add(call);
    try {
      return await call;
    } finally {
      this.#running.delete(call);
    }
  }

  /**
   * Calls the library here: only for what neither waits nor takes long.
   *
   * @param {import('./native.js').NativeFunction} f
   * @returns {number}
   */
  #now(f) {
    this.#checkOpen();
    return f(this.#handle);
  }

  #checkOpen() {
    if (this.#closed) throw new JlockError(-EBADF, this.#dir, `${this.#dir}: the lock is closed`);
  }

  /** @param {number} rc */
  #check(rc) {
    if (rc < 0) throw this.#failure(rc);
  }

  /** @param {number} rc */
  #failure(rc) {
    this.#checkOpen();
    return failure(rc, this.#dir, this.#handle);
  }

  /**
   * @param {number} rc
   * @param {number} waited
   */
  #timedOut(rc, waited) {
    // The library names the holder; how long was waited it cannot know.
    const message = this.#failure(rc).message.replace(/; gave up after [0-9.]+ s$/, '');
    return new JlockError(-ETIMEDOUT, this.#dir, `${message}; gave up after ${(waited / 1000).toFixed(1)} s`);
  }

  async #close() {
    this.#closing.abort();
    // Nothing may use the handle any more, nor watch its descriptor.
    await Promise.allSettled([this.#turn, ...this.#running]);
    open.delete(this);
    await offload(jlock_close, this.#handle);
  }

  static {
    process.on('exit', () => {
      for (const lock of open) {
        // A handle that a worker is using cannot be closed. It then leaves what a crash leaves, and the next to come
        // clears that away.
        if (lock.#running.size === 0) jlock_close(lock.#handle);
      }
    });
  }
}

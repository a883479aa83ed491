/**
 * The lock and its journal, for programs that must not block.
 *
 * Waiting takes no thread. `jlock_acquire_start` and `jlock_acquire_poll` never sleep, so they are called here, and in
 * between the event loop watches the descriptor that says when it is worth looking again (`waits.js`). The place in line is
 * kept from the first look to the last. What may be slow (the disk, a journal to be rewritten, a directory) goes to Node's
 * pool of threads, but never before the lock is held.
 */

import { milliseconds, toEncoding, toNativeTimestamp, toPath, toSignal } from './arguments.js';
import { AbortError, EBADF, EINPROGRESS, ELOST, ENOTHELD, ETIMEDOUT } from './error.js';
import { JlockError, codeOf, failure, failureWithoutHandle } from './error.js';
import { INVALID, fromNativeSnapshot, toNativeEntries } from './format.js';
import { openInPool } from './handle.js';
import { breathe } from './loop.js';
import {
  HOLDER_SIZE,
  jlock_acquire_poll,
  jlock_acquire_start,
  jlock_append,
  jlock_append_stamped,
  jlock_cancel,
  jlock_checkpoint,
  jlock_close,
  jlock_inspect,
  jlock_read,
  jlock_recovered,
  jlock_refresh,
  jlock_release,
  jlock_snapshot_free,
  jlock_wait_fd,
  jlock_write_header,
} from './native.js';
import { disown, forgotten } from './owned.js';
import { offload } from './pool.js';
import { missing } from './probe.js';
import { adopt, lend } from './snapshot.js';
import { LONGEST_MS, Patience, Turns } from './turns.js';
import { unwatch, watch } from './waits.js';

/** @typedef {import('./arguments.js').PathLike} PathLike */
/** @typedef {import('./handle.js').Options} Options */
/** @typedef {import('./format.js').JournalEntry} JournalEntry */
/** @typedef {import('./format.js').InvalidJournal} InvalidJournal */
/**
 * @template [Path=string]
 * @typedef {import('./format.js').ValidJournal<Path>} ValidJournal
 */
/**
 * @template [Path=string]
 * @typedef {import('./snapshot.js').Snapshot<Path>} Snapshot
 */

/**
 * How long one call waits for the lock.
 *
 * @typedef {object} Wait
 * @property {number} [timeoutMs] replaces the lock's own timeout; `Infinity`: forever; 0: do not wait
 * @property {AbortSignal} [signal] ends the wait at once, with an `AbortError` whose `cause` is the signal's reason
 */

/**
 * Who holds the lock.
 *
 * @typedef {object} Holder
 * @property {'free' | 'held' | 'mine' | 'abandoned'} state abandoned: the next acquire takes it over
 * @property {'none' | 'library' | 'shipped' | 'unknown'} peer shipped: a program that does not use this library
 * @property {number} pid 0 if it is unknown
 * @property {number} ageMs since the lock's last sign of life
 * @property {number | undefined} heldMs since the holder acquired it; undefined if that is unknown, or nobody holds it
 * @property {string} nonce
 * @property {string} host
 * @property {('link' | 'flock')[]} fallback what this lock does without here, as far as it has found out by acquiring; if
 *   nothing, this is the full protocol
 */

/** @typedef {InvalidJournal & { code: 'ENOENT' | 'ENOTDIR' | 'EHEADER' | 'EUNSTAMPED' }} NoJournal and why there is none */

/** @type {readonly Holder['state'][]} */
const STATES = ['free', 'held', 'mine', 'abandoned'];
/** @type {readonly Holder['peer'][]} */
const PEERS = ['none', 'library', 'shipped', 'unknown'];

/** How often a write that lost its lock to a thief is repeated. As in the library itself. */
const OVERTAKEN = 3;

/** An append of at most this many bytes gets to the page cache faster than to another thread. */
const SMALL = 65_536;

/**
 * Until the lock's sign of life is this old, a release or a refresh is three system calls. At 29 s it settles first, which
 * is a sleep.
 */
const PROMPT_MS = 10_000;

/**
 * The locks that are held. The garbage collector must not end a hold just because its owner no longer uses the `Lock`
 * object.
 *
 * @type {Set<Lock>}
 */
const holding = new Set();

/**
 * The lock of one journal, and that journal. One `Lock` is one participant: it serves its calls one after another, and two
 * `Lock`s on one journal exclude each other like two processes.
 */
export class Lock {
  #handle;
  #dir;
  #timeoutMs;
  #sync;
  #recovered = false;
  #held = false;
  /** Whether a hold that its owner has ended could not be released. Then the next acquire first tries again. */
  #owesRelease = false;
  /** The wall clock at the last sign of life that this object gave. */
  #signOfLife = 0;
  /** The turns of the calls that may have to wait for the lock, one after the other. */
  #turns = new Turns();
  /** The turns of the `hold`s, each of which spans several of these calls. */
  #holds = new Turns();
  /**
   * Ends the wait in progress.
   *
   * @type {(() => void) | undefined}
   */
  #endWait;
  /**
   * The calls that are in the pool.
   *
   * @type {Set<Promise<number>>}
   */
  #running = new Set();
  #open = true;
  /** @type {Promise<void> | undefined} */
  #closed;

  /**
   * @private
   * @param {import('./native.js').Handle} handle
   * @param {string} dir
   * @param {{ timeoutMs: number, sync: boolean }} options
   */
  constructor(handle, dir, { timeoutMs, sync }) {
    this.#handle = handle;
    this.#dir = dir;
    this.#timeoutMs = timeoutMs;
    this.#sync = sync;
    forgotten.register(this, handle, this);
  }

  /**
   * @param {PathLike} dir the directory that holds the journal
   * @param {Options} [options]
   * @returns {Promise<Lock>}
   */
  static async open(dir, options = {}) {
    const path = toPath(dir, 'dir');
    const { handle, timeoutMs } = await openInPool(path, options);
    return new Lock(handle, path.text, { timeoutMs, sync: Boolean(options.sync) });
  }

  /** Whether the last acquire took over from a dead holder. Then check what that holder may have left half done. */
  get recovered() {
    return this.#recovered;
  }

  /**
   * Acquires the lock. Rejects with `ETIMEDOUT` and a message that names the holder, or with an `AbortError`.
   *
   * @param {Wait} [wait]
   * @returns {Promise<void>}
   */
  async acquire(wait) {
    await this.#acquire(this.#patience(wait));
  }

  /**
   * Releases the lock. Rejects with `ELOST` if it was taken away meanwhile.
   *
   * @returns {Promise<void>}
   */
  async release() {
    await this.#inTurn(undefined, async () => this.#check(await this.#letGo()));
  }

  /**
   * Acquires, does the work and releases, whether the work succeeds or fails. Several `hold`s at once on one `Lock` take turns
   * in the order of the calls; a `hold` inside another's work would wait for itself.
   *
   * @template T
   * @param {() => T | Promise<T>} work
   * @param {Wait} [wait]
   * @returns {Promise<T>}
   */
  async hold(work, wait) {
    const patience = this.#patience(wait);
    await this.#enter(this.#holds, patience, 'another hold() of this Lock');
    try {
      await this.#acquire(patience);
      return await this.#during(work);
    } finally {
      this.#holds.leave();
    }
  }

  /**
   * Renews the sign of life of a held lock, which a hold of more than a few seconds needs. Rejects with `ELOST` if the lock
   * was taken away.
   *
   * @returns {Promise<void>}
   */
  async refresh() {
    await this.#inTurn(undefined, async () => {
      const now = Date.now();
      this.#check(await this.#promptly(jlock_refresh));
      this.#signOfLife = now;
    });
  }

  /**
   * Finds out who holds the lock. Takes and changes nothing.
   *
   * @returns {Promise<Holder>}
   */
  async inspect() {
    const out = { state: 0, peer: 0, pid: 0, age_ms: 0, nonce: '', host: '', held_ms: 0, fallback: 0 };
    this.#check(await this.#call(jlock_inspect, out, HOLDER_SIZE));
    const { pid, nonce, host } = out;
    return {
      state: STATES[out.state],
      peer: PEERS[out.peer],
      pid,
      ageMs: Number(out.age_ms),
      heldMs: out.held_ms < 0 ? undefined : Number(out.held_ms),
      nonce,
      host,
      fallback: /** @type {Holder['fallback']} */ (missing(out.fallback)),
    };
  }

  /**
   * Appends entries: all of them, or none. Like the other calls that write, it takes the lock and releases it, unless the lock
   * is already held.
   *
   * @param {readonly JournalEntry[]} entries
   * @param {Wait} [wait]
   * @returns {Promise<void>}
   */
  async append(entries, wait) {
    const { memory, count } = toNativeEntries(entries);
    const small = memory.length <= SMALL && !this.#sync;
    await this.#write(wait, () =>
      small ? this.#now(jlock_append, memory, count) : this.#call(jlock_append, memory, count),
    );
  }

  /**
   * Appends entries, all of them or none, and sets the header's timestamp.
   *
   * @param {readonly JournalEntry[]} entries
   * @param {number | bigint} timestamp whole milliseconds since 1970
   * @param {Wait} [wait]
   * @returns {Promise<void>}
   */
  async appendStamped(entries, timestamp, wait) {
    const { memory, count } = toNativeEntries(entries);
    const stamp = toNativeTimestamp(timestamp);
    await this.#write(wait, () => this.#call(jlock_append_stamped, memory, count, stamp));
  }

  /**
   * Replaces the journal with nothing but a header.
   *
   * @param {number | bigint} timestamp whole milliseconds since 1970
   * @param {Wait} [wait]
   * @returns {Promise<void>}
   */
  async writeHeader(timestamp, wait) {
    const stamp = toNativeTimestamp(timestamp);
    await this.#write(wait, () => this.#call(jlock_write_header, stamp));
  }

  /**
   * Reads the journal, without taking the lock.
   *
   * @overload
   * @param {{ encoding?: 'utf8' }} [options] `'buffer'` returns the paths as they are; in a string, U+FFFD replaces what is
   *   not UTF-8
   * @returns {Promise<ValidJournal | NoJournal>} `{ valid: false, code }` if the journal is missing (`'ENOENT'`), malformed
   *   (`'EHEADER'`) or was never stamped (`'EUNSTAMPED'`)
   */
  /**
   * @overload
   * @param {{ encoding: 'buffer' }} options
   * @returns {Promise<ValidJournal<Buffer> | NoJournal>}
   */
  /**
   * @param {{ encoding?: 'utf8' | 'buffer' }} [options]
   * @returns {Promise<ValidJournal<any> | NoJournal>}
   */
  async read(options) {
    const encoding = toEncoding(options);
    const { rc, pointer } = await this.#read();
    if (rc < 0) return { valid: false, code: /** @type {NoJournal['code']} */ (codeOf(rc)) };
    try {
      return fromNativeSnapshot(pointer, encoding);
    } finally {
      jlock_snapshot_free(pointer);
    }
  }

  /**
   * Reads the journal in order to process it, without taking the lock.
   *
   * @overload
   * @param {{ encoding?: 'utf8' }} [options] as for `read`
   * @returns {Promise<Snapshot | undefined>} undefined if the journal is missing, malformed or was never stamped
   */
  /**
   * @overload
   * @param {{ encoding: 'buffer' }} options
   * @returns {Promise<Snapshot<Buffer> | undefined>}
   */
  /**
   * @param {{ encoding?: 'utf8' | 'buffer' }} [options]
   * @returns {Promise<Snapshot<any> | undefined>}
   */
  async snapshot(options) {
    const encoding = toEncoding(options);
    const { rc, pointer } = await this.#read();
    return rc < 0 ? undefined : adopt(pointer, encoding);
  }

  /**
   * Drops what a snapshot held, once that has been processed, keeps every entry that was appended since it was taken, and
   * closes the snapshot.
   *
   * @param {Snapshot<any>} snapshot
   * @param {number | bigint} timestamp whole milliseconds since 1970
   * @param {Wait} [wait]
   * @returns {Promise<boolean>} whether it dropped what the snapshot held. If somebody had replaced the journal in between,
   *   it keeps everything, and what has been processed may be seen again
   */
  async checkpoint(snapshot, timestamp, wait) {
    const stamp = toNativeTimestamp(timestamp);
    const dropped = await lend(snapshot, (pointer) =>
      this.#write(wait, () => this.#call(jlock_checkpoint, pointer, stamp)),
    );
    snapshot.close();
    return dropped === 1;
  }

  /**
   * Releases the lock if it is held, and closes. Calls that are waiting reject with `EBADF`. The lock is closed in any case.
   * Rejects if the release failed: with `ELOST` if the lock had been taken away.
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

  /** @param {Patience} patience */
  #acquire(patience) {
    return this.#inTurn(patience, async () => {
      await this.#hold(patience);
      this.#recovered = this.#now(jlock_recovered) === 1;
    });
  }

  /**
   * @template T
   * @param {() => T | Promise<T>} work
   * @returns {Promise<T>}
   */
  async #during(work) {
    let result;
    try {
      result = await work();
    } catch (error) {
      // The error of the work says more than that of the release; if the work failed, nothing can be promised for it anyway.
      await this.#end().catch(() => {});
      throw error;
    }
    await this.#end();
    return result;
  }

  /** Ends a hold that its owner will not try to release again. */
  async #end() {
    await this.#inTurn(undefined, async () => {
      const rc = await this.#letGo();
      this.#owesRelease = this.#held;
      this.#check(rc);
    });
  }

  /**
   * Does the work once all earlier calls are done.
   *
   * @template T
   * @param {Patience | undefined} patience
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  async #inTurn(patience, work) {
    await this.#enter(this.#turns, patience, 'an earlier call on this Lock');
    try {
      await breathe();
      this.#checkOpen();
      return await work();
    } finally {
      this.#turns.leave();
    }
  }

  /**
   * @param {Turns} turns
   * @param {Patience | undefined} patience
   * @param {string} before whose turn is before
   */
  async #enter(turns, patience, before) {
    const outcome = await turns.enter(patience);
    if (outcome === 'abort') throw new AbortError(patience?.signal);
    if (outcome === 'closed') throw this.#isClosed();
    if (outcome === 'timeout' && patience) throw this.#timedOut(`${this.#dir}: ${before} is not over`, patience);
  }

  /**
   * Writes under the caller's hold if there is one, otherwise under its own.
   *
   * @param {Wait | undefined} wait
   * @param {() => number | Promise<number>} call
   * @returns {Promise<number>}
   */
  #write(wait, call) {
    const patience = this.#patience(wait);
    return this.#inTurn(patience, async () => {
      if (!this.#held || this.#owesRelease) return this.#writeAlone(patience, call);
      const rc = await call();
      this.#check(rc);
      return rc;
    });
  }

  /**
   * @param {Patience} patience
   * @param {() => number | Promise<number>} call
   * @returns {Promise<number>}
   */
  async #writeAlone(patience, call) {
    for (let overtaken = 0; ; overtaken++) {
      await this.#hold(patience);
      const rc = await call();
      const failed = rc < 0 ? this.#failure(rc) : undefined;
      const released = await this.#letGo();
      this.#owesRelease = this.#held;
      // Not written; or written, but perhaps to a journal that a thief has replaced by an older copy. So write again: an
      // entry that is there twice is read once.
      const lost = rc === -ELOST || (rc >= 0 && released === -ELOST);
      if (lost && overtaken < OVERTAKEN) continue;
      if (failed) throw failed;
      if (released >= 0) return rc;
      const { message } = this.#failure(released);
      const written = 'the journal was written, but the lock could not be released';
      throw new JlockError(released, this.#dir, `${message}; ${written}`);
    }
  }

  /**
   * Acquires the lock, in turn.
   *
   * @param {Patience} patience
   */
  async #hold(patience) {
    const { signal } = patience;
    if (this.#owesRelease) await this.#releaseOwed();
    if (signal?.aborted) throw new AbortError(signal);
    const now = Date.now();
    let failed = this.#outcome(this.#now(jlock_acquire_start, toTimeout(patience.left)));
    if (failed === 'wait') failed = await this.#wait(signal);
    this.#checkOpen();
    if (failed === undefined) {
      this.#held = true;
      this.#signOfLife = now;
      holding.add(this);
      if (!signal?.aborted) return;
      // It was acquired just as it was aborted, and nobody else will release it.
      await this.#letGo();
      this.#owesRelease = this.#held;
    }
    if (signal?.aborted) throw new AbortError(signal);
    if (failed?.errno === -ETIMEDOUT) throw this.#timedOut(failed.message, patience);
    throw failed;
  }

  async #releaseOwed() {
    const rc = await this.#letGo();
    if (this.#held) this.#check(rc);
    this.#owesRelease = false;
  }

  /**
   * The outcome of an acquire; undefined if the lock is held.
   *
   * @param {number} rc
   * @returns {JlockError | 'wait' | undefined}
   */
  #outcome(rc) {
    if (rc === -EINPROGRESS) return 'wait';
    return rc < 0 ? failure(rc, this.#dir, this.#handle) : undefined;
  }

  /**
   * Waits until an acquire that was started is over.
   *
   * @param {AbortSignal | undefined} signal
   * @returns {Promise<JlockError | undefined>}
   */
  #wait(signal) {
    return new Promise((resolve) => {
      const fd = jlock_wait_fd(this.#handle);
      /** @type {JlockError | undefined} */
      let unwatched;
      const look = () => {
        const outcome = this.#outcome(jlock_acquire_poll(this.#handle));
        if (outcome === 'wait') return;
        unwatch(fd);
        signal?.removeEventListener('abort', cancel);
        this.#endWait = undefined;
        resolve(outcome && (unwatched ?? outcome));
      };
      const cancel = () => {
        jlock_cancel(this.#handle); // fails only if the look after it also fails
        look();
      };
      this.#endWait = cancel;
      signal?.addEventListener('abort', cancel);
      const rc = fd < 0 ? fd : watch(fd, look);
      if (rc < 0) {
        unwatched = failureWithoutHandle(rc, this.#dir); // the system has no descriptor to spare
        cancel();
      }
    });
  }

  /** Releases the lock, in turn, and returns the library's result. */
  async #letGo() {
    const rc = await this.#promptly(jlock_release);
    // With any other error it is still held.
    if (rc === 0 || rc === -ELOST || rc === -ENOTHELD) {
      this.#held = false;
      holding.delete(this);
    }
    return rc;
  }

  /** @returns {Promise<{ rc: number, pointer: import('./native.js').SnapshotPointer }>} an rc below 0 means that there is no valid journal */
  async #read() {
    const out = [0n];
    const rc = await this.#call(jlock_read, out);
    if (!INVALID.has(rc)) this.#check(rc);
    return { rc, pointer: out[0] };
  }

  /** @param {Wait} [wait] */
  #patience(wait = {}) {
    return new Patience(milliseconds('timeoutMs', wait.timeoutMs, this.#timeoutMs), toSignal(wait.signal));
  }

  /**
   * Calls the library here if that takes only three system calls, otherwise in the pool.
   *
   * @param {import('./native.js').NativeFunction} f `jlock_release` or `jlock_refresh`
   */
  #promptly(f) {
    const age = Date.now() - this.#signOfLife;
    return age >= 0 && age < PROMPT_MS ? this.#now(f) : this.#call(f);
  }

  /**
   * Calls the library on a thread of the pool.
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
   * Calls the library here. Only for what neither waits nor takes long.
   *
   * @param {import('./native.js').NativeFunction} f
   * @param {unknown[]} args
   * @returns {number}
   */
  #now(f, ...args) {
    this.#checkOpen();
    return f(this.#handle, ...args);
  }

  #checkOpen() {
    if (!this.#open) throw this.#isClosed();
  }

  #isClosed() {
    return new JlockError(-EBADF, this.#dir, `${this.#dir}: the lock is closed`);
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
   * The error of a call that gave up. The library names the holder, but cannot know the whole time, which includes the wait
   * for this lock's own calls.
   *
   * @param {string} why
   * @param {Patience} patience
   */
  #timedOut(why, patience) {
    const waited = (patience.waited / 1000).toFixed(1);
    const message = `${why.replace(/; gave up after [0-9.]+ s$/, '')}; gave up after ${waited} s`;
    return new JlockError(-ETIMEDOUT, this.#dir, message);
  }

  async #close() {
    this.#open = false;
    void this.#holds.close(); // the work of a hold may continue
    const idle = this.#turns.close();
    this.#endWait?.();
    // Nothing may use the handle any more.
    await idle;
    await Promise.allSettled(this.#running);
    forgotten.unregister(this);
    holding.delete(this);
    disown(this.#handle);
    const rc = await offload(jlock_close, this.#handle);
    if (rc < 0) throw failureWithoutHandle(rc, this.#dir);
  }
}

/** @param {number} ms */
const toTimeout = (ms) => (ms === Infinity ? -1 : Math.min(ms, LONGEST_MS));

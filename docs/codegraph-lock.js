// The lock of codegraph's journal, fixed. It replaces acquireJournalLock, releaseJournalLock, and what only they use, in
// domain/graph/journal of @optave/codegraph 3.11.2. There withJournalLock then calls runUnderLock. docs/codegraph.md says what
// each step is for.

import { spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';

const LOCK_TIMEOUT_MS = 5_000;
const LOCK_RETRY_MS = 5;
/** A holder that is silent for this long counts as dead: it is stopped, or its PID belongs to another process by now. */
const LOCK_STALE_MS = 30_000;
/** No process that creates a lock takes this long to stamp it. */
const LOCK_UNSTAMPED_MS = 5_000;
/** No process takes this long from reading a lock to replacing, overwriting or removing it. */
const LOCK_SETTLE_MS = 100;
/** How often to run `fn` if the lock is lost each time. */
const LOCK_LOST_TRIES = 4;

/** Stops this thread. It blocks the event loop no more than a busy loop does, and leaves the CPU to the holder. */
function sleepSync(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function isPidAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (e) {
    return e.code === 'EPERM';
  }
}

// ------------------------------------------------------------------------------------------------------ one's own

/** A private file with a stamp in it, which becomes the lock all at once. */
function park(lockPath) {
  const nonce = `${process.pid}-${crypto.randomBytes(8).toString('hex')}`;
  const own = { nonce, stamp: `${process.pid}\n${nonce}\n\n`, path: `${lockPath}.${nonce}.tmp`, alive: Date.now() };
  own.fd = fs.openSync(own.path, 'wx+');
  try {
    fs.writeSync(own.fd, own.stamp, 0);
    return own;
  } catch (e) {
    unpark(own);
    throw e;
  }
}

function removePrivateName(own) {
  try {
    fs.unlinkSync(own.path);
  } catch {
    /* it was swept, or a sweep will remove it */
  }
}

function unpark(own) {
  removePrivateName(own);
  fs.closeSync(own.fd);
}

/** Whether the lock's name names this open file. */
function names(lockPath, fd) {
  const opened = fs.fstatSync(fd, { bigint: true });
  const named = fs.statSync(lockPath, { bigint: true, throwIfNoEntry: false });
  return named !== undefined && named.ino === opened.ino && named.dev === opened.dev;
}

/** Whether the lock is this file, with our stamp in it: somebody who took us for dead may have claimed the very file. */
function isOurs(lockPath, { fd, stamp }) {
  return names(lockPath, fd) && readLock(fd).startsWith(stamp);
}

/** Whether it is still ours once everybody has done what they had decided to do before it became ours. */
function settles(lockPath, lock) {
  sleepSync(LOCK_SETTLE_MS);
  return isOurs(lockPath, lock);
}

/** One call: the lock is never seen without its stamp. */
function tryLink(lockPath, own) {
  try {
    fs.linkSync(own.path, lockPath);
    return true;
  } catch (e) {
    if (e.code === 'EEXIST') return false;
    throw e;
  }
}

/** A sign of life. The clock is read first, so that it is never younger than the file. */
function renew(lock) {
  lock.alive = Date.now();
  const now = new Date(lock.alive);
  fs.futimesSync(lock.fd, now, now);
}

/** If a process was stopped before its link, or as it settled, its lock looked dead when it appeared. */
function staysOurs(lockPath, own) {
  while (Date.now() - own.alive >= LOCK_STALE_MS / 2) {
    renew(own);
    if (!settles(lockPath, own)) return false;
  }
  return true;
}

// ------------------------------------------------------------------------------------------------ somebody else's

function readLock(fd) {
  const buffer = Buffer.alloc(4096);
  return buffer.toString('latin1', 0, fs.readSync(fd, buffer, 0, buffer.length, 0));
}

/** The verdict on the holder of an open lock: `alive`, `silent` or `dead`. */
function judge(fd) {
  const content = readLock(fd);
  const age = Date.now() - fs.fstatSync(fd).mtimeMs;
  const stamp = /^\s*0*([1-9]\d*)\s*\n\d+-[0-9a-f]{16}\n(jlock\/1 )?/.exec(content);
  if (stamp === null) {
    const limit = content === '' ? LOCK_UNSTAMPED_MS : LOCK_STALE_MS; // empty: it is being stamped, not stale
    return { content, verdict: age > limit ? 'dead' : 'alive' };
  }
  if (!isPidAlive(Number(stamp[1]))) return { content, verdict: 'dead' };
  return { content, verdict: age > LOCK_STALE_MS ? 'silent' : 'alive', library: stamp[2] !== undefined };
}

/**
 * Takes the kernel's lock on an open file, which this process keeps until it closes the file or dies. Node has no call for it,
 * but flock(1) takes it on a file that it inherits. Returns `undefined` if there is no flock(1).
 */
function tryFlock(fd) {
  const { status } = spawnSync('flock', ['-n', '3'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
  return { 0: true, 1: false }[status];
}

/** A live library peer has the flock, however silent it is; if we cannot check that, we never take its lock. */
function mayClaim({ verdict, library }, flock) {
  if (flock === false || verdict === 'alive') return false;
  return verdict === 'dead' || flock === true || !library;
}

function openLock(lockPath, flags) {
  try {
    return fs.openSync(lockPath, flags);
  } catch (e) {
    if (e.code === 'ENOENT' || e.code === 'EACCES') return undefined;
    throw e;
  }
}

/** Opens for reading only: closing a file that was open for writing wakes everybody that waits for it. */
function isClaimable(lockPath) {
  const fd = openLock(lockPath, 'r');
  if (fd === undefined) return false;
  try {
    return judge(fd).verdict !== 'alive';
  } finally {
    fs.closeSync(fd);
  }
}

/** Writes our stamp into a dead holder's lock. Never replaces or removes it, because the name may name a live lock by now. */
function tryClaim(lockPath, own) {
  const fd = isClaimable(lockPath) ? openLock(lockPath, 'r+') : undefined;
  if (fd === undefined) return null;
  const lock = { fd, nonce: own.nonce, stamp: own.stamp, alive: Date.now() };
  let holds = false;
  try {
    const flock = tryFlock(fd);
    const judged = judge(fd); // again: only what is read with the flock counts
    if (!names(lockPath, fd) || !mayClaim(judged, flock)) return null;
    const note = /^(?:.*\n){3}(append=\d+:\d+:\d+\n)/.exec(judged.content)?.[1] ?? '';
    overwrite(fd, lock.stamp + note, judged.content);
    holds = settles(lockPath, lock);
    if (holds && note) {
      mendJournal(lockPath, note);
      overwrite(fd, lock.stamp, lock.stamp + note);
    }
    return holds ? lock : null;
  } finally {
    if (!holds) fs.closeSync(fd);
  }
}

/** Writes in one call, with blank lines over the rest of a longer content, so that everybody sees a whole stamp. */
function overwrite(fd, text, old) {
  fs.writeSync(fd, text.padEnd(old.length, '\n'), 0, 'latin1');
}

/** Takes back the append in which a library peer was killed, according to the note in its lock. */
function mendJournal(lockPath, note) {
  const journalPath = lockPath.replace(/\.lock$/, '');
  const [inode, before, after] = note.match(/\d+/g).map(BigInt);
  const found = fs.statSync(journalPath, { bigint: true, throwIfNoEntry: false });
  if (found?.ino === inode && before < found.size && found.size < after) fs.truncateSync(journalPath, Number(before));
}

// ------------------------------------------------------------------------------------------- acquire and release

export function acquireJournalLock(lockPath) {
  const deadline = performance.now() + LOCK_TIMEOUT_MS;
  let own = park(lockPath);
  for (;;) {
    try {
      if (tryLink(lockPath, own)) {
        if (staysOurs(lockPath, own)) {
          removePrivateName(own);
          return own;
        }
        unpark(own);
        own = park(lockPath);
      }
      const claimed = tryClaim(lockPath, own);
      if (claimed) {
        unpark(own);
        return claimed;
      }
    } catch (e) {
      unpark(own);
      if (e.code !== 'ENOENT') throw e;
      own = park(lockPath); // somebody swept it
    }
    if (performance.now() > deadline) {
      unpark(own);
      throw new Error(`Failed to acquire journal lock at ${lockPath} within ${LOCK_TIMEOUT_MS}ms`);
    }
    sleepSync(1 + Math.random() * LOCK_RETRY_MS);
  }
}

/** Returns whether the lock was ours until the end. If not, what was done under it may be lost. */
export function releaseJournalLock(lockPath, lock) {
  try {
    if (Date.now() - lock.alive > LOCK_STALE_MS - 1_000) {
      // Somebody may have judged it silent, and be about to take it, so we must not make room for a live lock.
      renew(lock);
      sleepSync(LOCK_SETTLE_MS);
    }
    if (!isOurs(lockPath, lock)) return false;
    fs.unlinkSync(lockPath);
    return true;
  } catch (e) {
    if (e.code === 'ENOENT') return false;
    throw e;
  } finally {
    fs.closeSync(lock.fd); // last: as long as it is open, no other file can get its inode number
  }
}

/**
 * Runs `fn` under the lock, and again if the lock was lost before it was released: then what `fn` did may also be lost. `fn` gets
 * a function that says whether the lock is still held; call that immediately before anything is replaced.
 */
export function runUnderLock(lockPath, fn) {
  for (let tries = LOCK_LOST_TRIES; tries > 0; tries--) {
    const lock = acquireJournalLock(lockPath);
    let result;
    try {
      result = fn(() => isOurs(lockPath, lock));
    } catch (e) {
      try {
        releaseJournalLock(lockPath, lock);
      } catch {
        /* fn's own error says more */
      }
      throw e;
    }
    if (releaseJournalLock(lockPath, lock)) return result;
  }
  throw new Error(`Lost the journal lock at ${lockPath} ${LOCK_LOST_TRIES} times`);
}

/**
 * Waits until descriptors are readable, on this thread's event loop and on no other thread.
 *
 * All descriptors that are waited for are in one epoll descriptor, and a `uv_poll_t` watches that one. Its callback must not
 * be JavaScript (see `pollOn`), so it is libuv's own `uv_poll_stop`. Thus an event ends the sleep of the event loop and stops
 * the `uv_poll_t`. After each sleep Node runs what `setImmediate` was given, even if that is unreferenced and would not have
 * ended the sleep, but only if JavaScript can still be called. There we check whether the `uv_poll_t` has stopped.
 *
 * Bun and Deno have no libuv, and no other way to watch a descriptor that is not theirs. There, a timer makes the waiting calls
 * look again, soon at first, then every 25 ms.
 */

import { isMainThread } from 'node:worker_threads';
import { setImmediate, setTimeout } from './clock.js';
import { closeAtEnd, epoll_create1, epoll_ctl, epoll_wait, errno, pollOn, startOnce } from './native.js';
import { hasLibuv, uv_is_active, uv_poll_stop } from './native.js';

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;

// A struct epoll_event in words of four bytes: the events first, then the descriptor. Only x86 packs it.
const [WORDS, FD] = ['x64', 'ia32'].includes(process.arch) ? [3, 1] : [4, 2];
/** How many events we take at a time. Any more stay for the next time. */
const MOST = 64;
const events = new Int32Array(WORDS * MOST);

/** @type {Map<number, () => void>} */
const watched = new Map();
/** @type {{ epoll: number, handle: unknown, poll: bigint } | undefined} */
let loop;
/** Whether `turn` is scheduled to run after the next sleep of the event loop. */
let turning = false;

/** @returns {typeof loop} undefined if the system has no descriptor to spare */
function prepare() {
  const epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return undefined;
  closeAtEnd(epoll);
  const { handle, pointer } = pollOn(epoll);
  if (pointer === 0n) throw new Error('this is not the libuv that Node has'); // never: the handle has just been made
  return { epoll, handle, poll: pointer }; // with the handle, so that it is not collected
}

// If a thread is terminated while koffi makes an object, the process aborts. That is less likely while modules load.
if (hasLibuv && !isMainThread) loop = prepare();

/**
 * Calls back whenever a descriptor is readable, until `unwatch`. It keeps the process alive.
 *
 * @param {number} fd
 * @param {() => void} ready must not throw
 * @returns {number} 0 or a negative errno
 */
export function watch(fd, ready) {
  if (!hasLibuv) return lookAgain(fd, ready);
  loop ??= prepare();
  if (loop === undefined) return errno();
  events[0] = EPOLLIN;
  events[FD] = fd;
  if (epoll_ctl(loop.epoll, EPOLL_CTL_ADD, fd, events) < 0) return errno();
  watched.set(fd, ready);
  const rc = uv_is_active(loop.poll) ? 0 : startOnce(loop.poll);
  if (rc < 0) unwatch(fd);
  else turnAfterSleep();
  return rc;
}

/** @param {number} fd need not be watched */
export function unwatch(fd) {
  if (!watched.delete(fd) || loop === undefined) return;
  epoll_ctl(loop.epoll, EPOLL_CTL_DEL, fd, null); // cannot fail: it is in there, and still open
  if (watched.size === 0) uv_poll_stop(loop.poll);
}

function turnAfterSleep() {
  if (turning) return;
  turning = true;
  setImmediate(turn).unref();
}

function turn() {
  turning = false;
  if (loop === undefined || watched.size === 0) return;
  if (!uv_is_active(loop.poll)) {
    const count = epoll_wait(loop.epoll, events, MOST, 0);
    const ready = Array.from({ length: Math.max(count, 0) }, (_, index) => events[index * WORDS + FD]);
    for (const fd of ready) watched.get(fd)?.();
    // It has been started once, on its own descriptor, so it can be started again.
    if (watched.size > 0) startOnce(loop.poll);
  }
  turnAfterSleep();
}

/** The longest pause between two looks: the library's default. */
const LONGEST_PAUSE_MS = 25;

/**
 * @param {number} fd
 * @param {() => void} ready
 * @returns {0}
 */
function lookAgain(fd, ready) {
  watched.set(fd, ready);
  let pause = 1;
  const look = () => {
    if (watched.get(fd) !== ready) return;
    ready();
    pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    setTimeout(look, pause);
  };
  setTimeout(look, pause);
  return 0;
}

/**
 * Waiting until descriptors are readable, on the event loop of this thread, and on no other thread.
 *
 * All descriptors that are waited for are in one epoll descriptor, and that one is watched by a `uv_poll_t`. Its callback
 * must not be JavaScript (see `pollOn`), so it is libuv's own `uv_poll_stop`. An event thus ends the sleep of the event loop
 * and stops the `uv_poll_t`. After each sleep Node runs what `setImmediate` was given, even if that is unreferenced and
 * would not have ended the sleep; and only where JavaScript can still be called. There it shows whether the `uv_poll_t` has
 * stopped.
 */

import { constants } from 'node:os';
import { closeAtEnd, epoll_create1, epoll_ctl, epoll_wait, errno, pollOn, startOnce, uv_is_active } from './native.js';

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;

// A struct epoll_event in words of four bytes: the events first, and the descriptor behind them. Only x86 packs it.
const [WORDS, FD] = ['x64', 'ia32'].includes(process.arch) ? [3, 1] : [4, 2];
/** How many events are taken at a time. What is more stays for the next time. */
const MOST = 64;
const events = new Int32Array(WORDS * MOST);

/** @type {Map<number, () => void>} */
const watched = new Map();
/** @type {{ epoll: number, handle: { stop(): void }, poll: bigint } | undefined} */
let loop;
/** Whether `turn` is to run after the next sleep of the event loop. */
let turning = false;

/**
 * Calls back whenever a descriptor is readable, until `unwatch`. It keeps the process alive.
 *
 * @param {number} fd
 * @param {() => void} ready must not throw
 * @returns {number} 0 or a negative errno
 */
export function watch(fd, ready) {
  if (loop === undefined) {
    const epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) return errno();
    closeAtEnd(epoll);
    const { handle, pointer } = pollOn(epoll);
    if (pointer === 0n) return -constants.errno.ENOSYS; // a libuv of another kind
    loop = { epoll, handle, poll: pointer };
  }
  events[0] = EPOLLIN;
  events[FD] = fd;
  if (epoll_ctl(loop.epoll, EPOLL_CTL_ADD, fd, events) < 0) return errno();
  watched.set(fd, ready);
  const rc = uv_is_active(loop.poll) ? 0 : startOnce(loop.poll);
  if (rc < 0) unwatch(fd);
  else turnAfterSleep();
  return rc;
}

/** @param {number} fd which may not be watched at all */
export function unwatch(fd) {
  if (loop === undefined || !watched.delete(fd)) return;
  epoll_ctl(loop.epoll, EPOLL_CTL_DEL, fd, null); // it is in there, and still open
  if (watched.size === 0) loop.handle.stop();
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
    // It has been started once, on a descriptor of its own, so it can be started again.
    if (watched.size > 0) startOnce(loop.poll);
  }
  turnAfterSleep();
}

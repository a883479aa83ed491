//! The lock.

use std::ffi::c_int;
use std::time::Duration;

use super::guard::{Room, chars, jlock, with};
use crate::abi::{self, jlock_holder};
use crate::error::EINPROGRESS;
use crate::lock::acquire::Patience;
use crate::lock::{Holder, Peer, State};
use crate::options::timeout_from_ms;

/// The size of the first version's holder: up to and including `host`.
const HOLDER_SIZE: usize = 152;

/// Acquires the lock. It waits for as long as the options' timeout_ms says, and up to settle_ms longer if it takes over from
/// a dead holder. It sleeps while it waits, and needs no signal and no thread for that. The time includes the wait for
/// another thread's call that acquires on the same handle.
///
/// Returns 0: this handle holds the lock, until jlock_release() or jlock_close().
/// Errors: -ETIMEDOUT (jlock_message() names the holder); -ECANCELED (jlock_cancel()); -EDEADLK (this handle holds it
/// already); JLOCK_ENOTLOCK, -ELOOP (no regular file at the lock's name); -EACCES, -EROFS, -ENOSPC, -EMFILE, -ENOENT, …
/// (errors of system calls). The handle stays usable, and nothing is held.
///
/// # Safety
/// `lock` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_acquire(lock: *mut jlock) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { with(lock, |lock| lock.hold(None).map(|()| 0)) }
}

/// As jlock_acquire(), but waits for `timeout_ms` milliseconds; negative: forever; 0: not at all.
///
/// # Safety
/// `lock` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_acquire_for(lock: *mut jlock, timeout_ms: i32) -> c_int {
    let patience = Patience::For(timeout_from_ms(timeout_ms));
    // SAFETY: as the caller promises.
    unsafe { with(lock, |lock| lock.hold(Some(patience)).map(|()| 0)) }
}

/// Acquires the lock if nobody holds it. It takes up to settle_ms if the holder is dead, and otherwise never waits.
///
/// Returns 0.
/// Errors: -EAGAIN (held by somebody else); otherwise as jlock_acquire().
///
/// # Safety
/// `lock` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_try_acquire(lock: *mut jlock) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { with(lock, |lock| lock.hold(Some(Patience::Try)).map(|()| 0)) }
}

/// Starts to acquire the lock, for event loops and for languages that must stay interruptible. It never sleeps. While it
/// returns -EINPROGRESS, wait until the descriptor of jlock_wait_fd() polls readable, and call jlock_acquire_poll(). The
/// handle keeps its place in line from here to the end. `timeout_ms` is as in jlock_acquire_for(); with 0 the acquire ends
/// in this very call, unless the holder is dead, or the lock is just changing hands.
///
/// Until the acquire is over, other calls that acquire on this handle (jlock_acquire(), jlock_append() and so on) wait for
/// their turn. jlock_cancel() and jlock_close() end it.
///
/// Returns 0: this handle holds the lock, as after jlock_acquire(); or -EINPROGRESS.
/// Errors: -EALREADY (an acquire that was started on this handle is not over, or another thread's call has the handle just
/// now: use a handle for each); otherwise as jlock_acquire().
///
/// # Safety
/// `lock` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_acquire_start(lock: *mut jlock, timeout_ms: i32) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { with(lock, |lock| lock.start(timeout_from_ms(timeout_ms)).map(progress)) }
}

/// Goes on with the acquire that jlock_acquire_start() began, from any thread. It never sleeps, and may be called at any
/// time; call it when jlock_wait_fd() polls readable. After 0 the hold is like any other: end it with jlock_release() or
/// jlock_close().
///
/// Returns 0: this handle holds the lock; or -EINPROGRESS: wait on.
/// Errors, after which the acquire is over and nothing is held: -ETIMEDOUT (at the latest settle_ms after its time, if it
/// was about to take over from a dead holder); -ECANCELED (jlock_cancel()); otherwise as jlock_acquire(). -EINVAL (no acquire
/// is in progress on this handle; or it ended in another call, which returned -ENOMEM).
///
/// # Safety
/// `lock` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_acquire_poll(lock: *mut jlock) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { with(lock, |lock| lock.poll().map(progress)) }
}

fn progress(held: bool) -> c_int {
    if held { 0 } else { -EINPROGRESS }
}

/// Releases the lock.
///
/// Returns 0: it was held all the time.
/// Errors: JLOCK_ELOST (it was taken away and is not held any more; nothing that belongs to the new holder was removed);
/// JLOCK_ENOTHELD; any errno of the system calls: then it is still held, and you can try again to release it.
///
/// # Safety
/// `lock` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_release(lock: *mut jlock) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { with(lock, |lock| lock.let_go().map(|()| 0)) }
}

/// Renews the sign of life by which shipped peers judge. Call it at least every 30 seconds under a long hold, or open the
/// handle with JLOCK_KEEPALIVE. If it comes later than that, it takes settle_ms, to find out whether the lock was taken
/// meanwhile.
///
/// Returns 0: it is still held.
/// Errors: JLOCK_ELOST, JLOCK_ENOTHELD, any errno.
///
/// # Safety
/// `lock` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_refresh(lock: *mut jlock) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { with(lock, |lock| lock.refresh().map(|()| 0)) }
}

/// Whether the last acquire took over from a dead holder: then what the lock protects may be half done. (The journal is not:
/// the acquire has taken back what was half done there.)
///
/// Returns 1 or 0.
/// Errors: -EINVAL, JLOCK_EFORKED, JLOCK_EPANIC.
///
/// # Safety
/// `lock` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_recovered(lock: *const jlock) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { with(lock, |lock| lock.recovered().map(i32::from)) }
}

/// Ends the wait in progress on this handle, if there is one: the call that waits returns -ECANCELED. For an acquire that
/// was started, jlock_wait_fd() becomes readable and the next jlock_acquire_poll() returns -ECANCELED. Without a wait it
/// does nothing; it does not end one that begins later, nor the wait for a file server's lease on the journal. Any thread
/// may call it, and it never waits. (Do not call it from a signal handler.)
///
/// Returns 0.
/// Errors: -EINVAL, JLOCK_EFORKED, JLOCK_EPANIC.
///
/// # Safety
/// `lock` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_cancel(lock: *mut jlock) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { with(lock, |lock| lock.cancel().map(|()| 0)) }
}

/// A descriptor that polls readable when it is time to call jlock_acquire_poll(): the lock has changed, the time is over, or
/// somebody called jlock_cancel(). It contains a timer, so an event loop needs no other. While no acquire is in progress it
/// is not readable. Do not read from it, write to it or close it.
///
/// Returns the descriptor. It belongs to the handle, is the same for the handle's life, and is closed with it.
/// Errors: -EMFILE, -ENFILE, -ENOMEM, … (the descriptor could not be made); JLOCK_EFORKED.
///
/// # Safety
/// `lock` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_wait_fd(lock: *mut jlock) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { with(lock, |lock| lock.wait_fd()) }
}

/// Finds out who holds the lock. It takes and changes nothing, and never waits for another thread's call. What it says may be
/// out of date when it returns. `size` is sizeof(struct jlock_holder).
///
/// Returns 0.
/// Errors: -EINVAL (NULL; a size below 152), -E2BIG (a size above 4096), JLOCK_ENOTLOCK, -ELOOP, any errno. `*out` is left
/// alone then.
///
/// # Safety
/// `lock` is NULL or an open handle; `out` points to `size` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_inspect(lock: *mut jlock, out: *mut jlock_holder, size: usize) -> c_int {
    // SAFETY: as the caller promises.
    unsafe {
        with(lock, |lock| {
            let room = Room::new(out, size, HOLDER_SIZE)?;
            room.fill(&to_abi(&lock.inspect()?));
            Ok(0)
        })
    }
}

fn to_abi(holder: &Holder) -> jlock_holder {
    let mut fallback = 0;
    if holder.without_link {
        fallback |= abi::JLOCK_WITHOUT_LINK;
    }
    if holder.without_flock {
        fallback |= abi::JLOCK_WITHOUT_FLOCK;
    }
    jlock_holder {
        state: match holder.state {
            State::Free => abi::JLOCK_FREE,
            State::Held => abi::JLOCK_HELD,
            State::Mine => abi::JLOCK_MINE,
            State::Abandoned => abi::JLOCK_ABANDONED,
        },
        peer: match holder.peer {
            Peer::None => abi::JLOCK_PEER_NONE,
            Peer::Library => abi::JLOCK_PEER_LIBRARY,
            Peer::Shipped => abi::JLOCK_PEER_SHIPPED,
            Peer::Unknown => abi::JLOCK_PEER_UNKNOWN,
        },
        pid: holder.pid,
        age_ms: milliseconds(holder.age),
        nonce: chars(&holder.nonce),
        host: chars(&holder.host),
        held_ms: holder.held.map_or(-1, milliseconds),
        fallback,
        reserved: 0,
    }
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_means_that_a_handle_works_without_has_its_bit() {
        for (without_link, without_flock, fallback) in [
            (false, false, 0),
            (true, false, abi::JLOCK_WITHOUT_LINK),
            (false, true, abi::JLOCK_WITHOUT_FLOCK),
            (true, true, abi::JLOCK_WITHOUT_LINK | abi::JLOCK_WITHOUT_FLOCK),
        ] {
            let holder = Holder {
                without_link,
                without_flock,
                ..Holder::none()
            };
            assert_eq!(to_abi(&holder).fallback, fallback);
        }
    }
}

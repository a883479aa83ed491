//! The lock.

use std::ffi::{c_char, c_int};

use super::guard::{jlock, with, write_sized};
use crate::abi::{self, jlock_holder};
use crate::lock::core::Patience;
use crate::lock::{Holder, Peer, State};
use crate::options::timeout_from_ms;

/// The size of the first version's holder: up to and including `host`.
const HOLDER_SIZE: usize = 152;

/// Acquires the lock, waiting as long as the options' timeout_ms says, and up to settle_ms longer when it takes over
/// from a dead holder. Waiting sleeps; it needs no signal and no thread.
///
/// Returns 0: this handle holds the lock, until jlock_release() or jlock_close().
/// Errors: -ETIMEDOUT (jlock_message() names the holder); -ECANCELED (jlock_cancel()); -EDEADLK (this handle holds it
/// already); JLOCK_ENOTLOCK, -ELOOP (no regular file at the lock's name); -EACCES, -EROFS, -ENOSPC, -EMFILE, -ENOENT, …
/// (the system call's own). The handle stays usable, and nothing is held.
///
/// # Safety
/// `lock` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_acquire(lock: *mut jlock) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { with(lock, |lock| lock.hold(None).map(|()| 0)) }
}

/// As jlock_acquire(), but waits `timeout_ms` milliseconds; negative: for ever; 0: not at all.
///
/// # Safety
/// `lock` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_acquire_for(lock: *mut jlock, timeout_ms: i32) -> c_int {
    let patience = Patience::For(timeout_from_ms(timeout_ms));
    // SAFETY: as the caller promises.
    unsafe { with(lock, |lock| lock.hold(Some(patience)).map(|()| 0)) }
}

/// Acquires the lock if nobody holds it. Takes up to settle_ms when the holder is dead, else never waits.
///
/// Returns 0.
/// Errors: -EAGAIN (held by somebody else); else as jlock_acquire().
///
/// # Safety
/// `lock` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_try_acquire(lock: *mut jlock) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { with(lock, |lock| lock.hold(Some(Patience::Try)).map(|()| 0)) }
}

/// Releases the lock.
///
/// Returns 0: it was held all the time.
/// Errors: JLOCK_ELOST (it was taken away; it is not held any more, and nothing of the new holder was removed);
/// JLOCK_ENOTHELD; any errno of the system calls: then it is still held, and may be released again.
///
/// # Safety
/// `lock` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_release(lock: *mut jlock) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { with(lock, |lock| lock.let_go().map(|()| 0)) }
}

/// Renews the sign of life by which shipped peers judge. Call it at least every 30 seconds under a long hold, or open the
/// handle with JLOCK_KEEPALIVE. Later than that it takes settle_ms, to learn whether the lock was taken meanwhile.
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

/// Whether the last acquire took over from a dead holder: what the lock protects may be half done. (The journal is
/// not: it is repaired by the next append.)
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

/// Ends the wait in progress on this handle, if there is one: it answers -ECANCELED. Without one it does nothing; it
/// does not end a wait that begins later. From any thread; never waits. (Not from a signal handler.)
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

/// For event loops: a descriptor that polls readable when trying again is worth it, after jlock_try_acquire() said
/// -EAGAIN. Try again then, and at the latest after retry_ms: not everything can be watched. Each failed try makes it
/// unreadable again. Do not read from it.
///
/// Returns the descriptor. It is the handle's and is closed with it.
/// Errors: -EMFILE, -ENFILE, -ENOMEM, … (no inotify to be had: retry by time alone); JLOCK_EFORKED.
///
/// # Safety
/// `lock` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_wait_fd(lock: *mut jlock) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { with(lock, |lock| lock.wait_fd()) }
}

/// Says who holds the lock. Looks only: takes and changes nothing. What it says may be out of date as it returns.
///
/// Set `out->size` first.
///
/// Returns 0.
/// Errors: -EINVAL (NULL, or the size is too small), -E2BIG (or too large), JLOCK_ENOTLOCK, -ELOOP, any errno.
///
/// # Safety
/// `lock` is NULL or an open handle; `out` points to as many writable bytes as `out->size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_inspect(lock: *mut jlock, out: *mut jlock_holder) -> c_int {
    // SAFETY: as the caller promises.
    unsafe {
        with(lock, |lock| {
            write_sized(&to_abi(&lock.inspect()?), out, HOLDER_SIZE)?;
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
        size: size_of::<jlock_holder>() as u32,
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
        age_ms: i64::try_from(holder.age.as_millis()).unwrap_or(i64::MAX),
        nonce: chars(&holder.nonce),
        host: chars(&holder.host),
        fallback,
        reserved: 0,
    }
}

/// NUL-terminated, cut to fit.
fn chars(text: &str) -> [c_char; 64] {
    let mut chars = [0; 64];
    for (to, from) in chars[..63].iter_mut().zip(text.bytes()) {
        *to = from as c_char;
    }
    chars
}

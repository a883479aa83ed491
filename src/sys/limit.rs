//! The limit on a file's size (`RLIMIT_FSIZE`, setrlimit(2)). A write beyond it causes a signal, which ends a process that
//! does not handle it; callers of this library get `EFBIG` instead.

use std::mem::MaybeUninit;

use super::errno::preserving_errno;

/// Runs `run`, a write of this thread, without the signal. One system call more where there is no limit, as usual; the
/// program may set one at any time.
pub(super) fn without_size_signal<T>(run: impl FnOnce() -> T) -> T {
    match size_limit() {
        Some(u64::MAX) => run(),
        _ => preserving_errno(|| blocking_size_signal(run)),
    }
}

/// The limit; `u64::MAX`: there is none. `None`: a sandbox refuses the question.
///
/// By the C library: `rustix` takes this call for one that cannot be refused.
pub(super) fn size_limit() -> Option<u64> {
    let mut limit = MaybeUninit::<libc::rlimit64>::uninit();
    // SAFETY: the C library fills the struct if it returns 0.
    preserving_errno(|| unsafe {
        match libc::getrlimit64(libc::RLIMIT_FSIZE, limit.as_mut_ptr()) {
            0 => Some(limit.assume_init().rlim_cur),
            _ => None,
        }
    })
}

/// The kernel sends it to the thread that writes, where it waits as long as it is blocked, and is taken away.
fn blocking_size_signal<T>(run: impl FnOnce() -> T) -> T {
    let signal = only(libc::SIGXFSZ);
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are initialised; the mask is this thread's own.
    let failed = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &signal, before.as_mut_ptr()) };
    // One that waited before is the program's own.
    let was_pending = is_pending(libc::SIGXFSZ);
    let result = run();
    if !was_pending && is_pending(libc::SIGXFSZ) {
        let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the set and the time are initialised. If it is gone by itself, all the better.
        unsafe { libc::sigtimedwait(&signal, std::ptr::null_mut(), &now) };
    }
    if failed == 0 {
        // SAFETY: the mask as it was, which the first call stored.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    }
    result
}

fn only(signal: libc::c_int) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        set.assume_init()
    }
}

fn is_pending(signal: libc::c_int) -> bool {
    let mut pending = MaybeUninit::uninit();
    // SAFETY: `sigpending` initialises the set, unless it fails.
    unsafe { libc::sigpending(pending.as_mut_ptr()) == 0 && libc::sigismember(pending.as_ptr(), signal) == 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::tests::{Scratch, ends_in_a_child};

    #[test]
    fn a_write_beyond_the_limit_is_an_error_and_no_signal() {
        let scratch = Scratch::new();
        let path = scratch.path("file");
        // The limit is the whole process's.
        let child = || {
            let file = std::fs::File::create_new(&path).unwrap();
            let none = libc::rlimit64 {
                rlim_cur: 0,
                rlim_max: 0,
            };
            // SAFETY: the struct is initialised.
            assert_eq!(unsafe { libc::setrlimit64(libc::RLIMIT_FSIZE, &none) }, 0);
            let write = || rustix::io::write(&file, b"x");
            assert_eq!(without_size_signal(write), Err(rustix::io::Errno::FBIG));
            assert!(!is_pending(libc::SIGXFSZ));
        };
        assert!(ends_in_a_child(child));
    }
}

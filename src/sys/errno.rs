//! The errno numbers that the library gives by itself, and a static text for each that Linux has.

use std::cell::Cell;
use std::ffi::CStr;

use super::{Errno, Result};

pub(crate) use libc::{
    E2BIG, EACCES, EAGAIN, EALREADY, ECANCELED, EDEADLK, EINPROGRESS, EINVAL, EIO, ENAMETOOLONG, ENOENT, ENOMEM, EPERM,
    ESTALE, ETIMEDOUT,
};

/// This thread's `errno` of the C library.
pub(super) fn last_errno() -> Errno {
    Errno::from_raw_os_error(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
}

/// Runs `run` and leaves the C library's `errno` as it was: this library reports nothing through it, and a caller may rely
/// on its old value.
pub(crate) fn preserving_errno<T>(run: impl FnOnce() -> T) -> T {
    #[cfg(target_os = "android")]
    use libc::__errno as errno_location;
    #[cfg(not(target_os = "android"))]
    use libc::__errno_location as errno_location;
    // SAFETY: this thread's own, as long as it lives.
    let place = unsafe { errno_location() };
    // SAFETY: as above.
    let before = unsafe { place.read() };
    let result = run();
    // SAFETY: as above.
    unsafe { place.write(before) };
    result
}

thread_local! {
    /// The last call of this thread that was refused, and how.
    static REFUSED: Cell<Option<(&'static str, Errno)>> = const { Cell::new(None) };
}

/// Remembers which call said that it is not allowed, or not there: what a sandbox forbids cannot be told from the errno.
pub(super) fn noting_refusal<T>(call: &'static str, result: Result<T>) -> Result<T> {
    if let Err(errno @ (Errno::PERM | Errno::ACCESS | Errno::NOSYS)) = result {
        note_refusal(call, errno);
    }
    result
}

#[cold]
#[inline(never)]
fn note_refusal(call: &'static str, errno: Errno) {
    REFUSED.set(Some((call, errno)));
}

/// The call that was refused with this errno, if it was the last one that was refused at all.
pub(crate) fn refused_call(errno: Errno) -> Option<&'static str> {
    let (call, how) = REFUSED.take()?;
    (how == errno).then_some(call)
}

/// The text of an errno. `strerror` is not thread-safe everywhere and speaks the locale's language.
pub(crate) fn text(errno: i32) -> &'static CStr {
    TEXTS
        .iter()
        .find(|(number, _)| *number == errno)
        .map_or(c"unknown error", |(_, text)| text)
}

/// The errors that system calls report about file systems, descriptors and processes; those of networks come from network
/// file systems. These are plain texts: what an errno means for the lock is said where it is raised.
const TEXTS: &[(i32, &CStr)] = &[
    (libc::EPERM, c"operation not permitted"),
    (libc::ENOENT, c"no such file or directory"),
    (libc::ESRCH, c"no such process"),
    (libc::EINTR, c"interrupted by a signal"),
    (libc::EIO, c"input/output error"),
    (libc::ENXIO, c"no such device or address"),
    (libc::E2BIG, c"argument list too long"),
    (libc::EBADF, c"bad file descriptor"),
    (libc::EAGAIN, c"resource temporarily unavailable"),
    (libc::ENOMEM, c"out of memory"),
    (libc::EACCES, c"permission denied"),
    (libc::EFAULT, c"bad address"),
    (libc::EBUSY, c"device or resource busy"),
    (libc::EEXIST, c"file exists"),
    (libc::EXDEV, c"cross-device link"),
    (libc::ENODEV, c"no such device"),
    (libc::ENOTDIR, c"not a directory"),
    (libc::EISDIR, c"is a directory"),
    (libc::EINVAL, c"invalid argument"),
    (libc::ENFILE, c"too many open files in the system"),
    (libc::EMFILE, c"too many open files"),
    (libc::ENOTTY, c"not supported by this descriptor"),
    (libc::ETXTBSY, c"text file busy"),
    (libc::EFBIG, c"file too large"),
    (libc::ENOSPC, c"no space left on device"),
    (libc::ESPIPE, c"illegal seek"),
    (libc::EROFS, c"read-only file system"),
    (libc::EMLINK, c"too many links"),
    (libc::EPIPE, c"broken pipe"),
    (libc::ERANGE, c"result out of range"),
    (libc::EDEADLK, c"resource deadlock avoided"),
    (libc::ENAMETOOLONG, c"file name too long"),
    (libc::ENOLCK, c"no locks available"),
    (libc::ENOSYS, c"function not implemented"),
    (libc::ENOTEMPTY, c"directory not empty"),
    (libc::ELOOP, c"a symbolic link, or too many of them"),
    (libc::ENODATA, c"no data available"),
    (libc::ETIME, c"timer expired"),
    (libc::ENOLINK, c"link has been severed"),
    (libc::EPROTO, c"protocol error"),
    (libc::EOVERFLOW, c"value too large"),
    (libc::EOPNOTSUPP, c"operation not supported"),
    (libc::ENETDOWN, c"network is down"),
    (libc::ENETUNREACH, c"network is unreachable"),
    (libc::ECONNRESET, c"connection reset"),
    (libc::ENOBUFS, c"no buffer space available"),
    (libc::ENOTCONN, c"not connected"),
    (libc::ETIMEDOUT, c"timed out"),
    (libc::ECONNREFUSED, c"connection refused"),
    (libc::EHOSTDOWN, c"host is down"),
    (libc::EHOSTUNREACH, c"no route to host"),
    (libc::ESTALE, c"stale file handle"),
    (libc::EDQUOT, c"disk quota exceeded"),
    (libc::EALREADY, c"operation already in progress"),
    (libc::EINPROGRESS, c"operation in progress"),
    (libc::ECANCELED, c"operation cancelled"),
    (libc::EOWNERDEAD, c"owner died"),
];

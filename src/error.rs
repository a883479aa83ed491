//! One error type: a code that C sees verbatim, and a message that says who, what, how long and what to do.

use std::borrow::Cow;
use std::fmt;

use crate::abi;
use crate::memory::OutOfMemory;
use crate::sys::Errno;
use crate::sys::errno::refused_call;

/// The result of every fallible call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed.
///
/// The code is the errno of a system call, negated and never replaced by another, or one of the library's own
/// states, which are below -4096 and so cannot be mistaken for an errno.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    code: i32,
    message: Cow<'static, str>,
}

/// What a failure means to a program; [`Error::kind`] gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Not acquired in time (`-ETIMEDOUT`).
    TimedOut,
    /// Held by somebody else, and the call does not wait (`-EAGAIN`).
    WouldBlock,
    /// Another thread called [`cancel`](crate::Lock::cancel) (`-ECANCELED`).
    Cancelled,
    /// Acquire on a lock that is already held (`-EDEADLK`).
    Deadlock,
    /// The lock was taken away from this holder (`JLOCK_ELOST`).
    Lost,
    /// Release or refresh without holding (`JLOCK_ENOTHELD`).
    NotHeld,
    /// The lock was inherited through `fork` (`JLOCK_EFORKED`).
    Forked,
    /// The journal's header is missing or malformed (`JLOCK_EHEADER`).
    Header,
    /// The journal has never been stamped: its header says 0 (`JLOCK_EUNSTAMPED`).
    Unstamped,
    /// An entry that the journal's format cannot carry (`JLOCK_EENTRY`).
    Entry,
    /// Not a regular file where the lock or the journal should be (`JLOCK_ENOTLOCK`).
    NotLock,
    /// A bug in the library, contained (`JLOCK_EPANIC`).
    Panic,
    /// A system call's own errno.
    Os(i32),
}

impl Error {
    pub(crate) fn new(code: i32, message: impl Into<Cow<'static, str>>) -> Self {
        debug_assert!(code < 0);
        Error {
            code,
            message: message.into(),
        }
    }

    /// With only the code's own text, which allocates nothing.
    pub(crate) fn plain(code: i32) -> Self {
        Error::new(code, text(code))
    }

    /// With what it is about, and the code's own text.
    pub(crate) fn about(what: impl fmt::Display, code: i32) -> Self {
        Error::new(code, format!("{what}: {}", text(code)))
    }

    /// A system call's errno, with what was being done to what. The text is the errno's own, because `EAGAIN` from a system
    /// call does not mean that somebody holds the lock.
    pub(crate) fn os(errno: Errno, doing: impl fmt::Display) -> Self {
        Error::of_errno(errno, &doing)
    }

    /// Compiled once, for everything that may be done.
    #[cold]
    #[inline(never)]
    fn of_errno(errno: Errno, doing: &dyn fmt::Display) -> Self {
        let code = errno.raw_os_error();
        let meaning = text(code);
        let message = match refused_call(errno) {
            Some(call) => format!("{doing}: {meaning} ({call})"),
            None => format!("{doing}: {meaning}"),
        };
        Error::new(-code, message)
    }

    /// The code as the C interface returns it: a negated errno, or one of the `JLOCK_E…` constants.
    pub fn code(&self) -> i32 {
        self.code
    }

    /// What the code means.
    pub fn kind(&self) -> ErrorKind {
        match self.code {
            abi::JLOCK_ELOST => ErrorKind::Lost,
            abi::JLOCK_ENOTHELD => ErrorKind::NotHeld,
            abi::JLOCK_EFORKED => ErrorKind::Forked,
            abi::JLOCK_EHEADER => ErrorKind::Header,
            abi::JLOCK_EUNSTAMPED => ErrorKind::Unstamped,
            abi::JLOCK_EENTRY => ErrorKind::Entry,
            abi::JLOCK_ENOTLOCK => ErrorKind::NotLock,
            abi::JLOCK_EPANIC => ErrorKind::Panic,
            code if code == -ETIMEDOUT => ErrorKind::TimedOut,
            code if code == -EAGAIN => ErrorKind::WouldBlock,
            code if code == -ECANCELED => ErrorKind::Cancelled,
            code if code == -EDEADLK => ErrorKind::Deadlock,
            code => ErrorKind::Os(-code),
        }
    }

    /// The message in full.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The message, without a copy.
    pub(crate) fn into_message(self) -> Cow<'static, str> {
        self.message
    }
}

impl From<OutOfMemory> for Error {
    fn from(_: OutOfMemory) -> Error {
        Error::plain(-ENOMEM)
    }
}

pub(crate) use crate::sys::errno::{
    E2BIG, EACCES, EAGAIN, EALREADY, ECANCELED, EDEADLK, EINPROGRESS, EINVAL, EIO, ENOMEM, EPERM, ESTALE, ETIMEDOUT,
};

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({}, {:?})", self.code, self.message)
    }
}

impl std::error::Error for Error {}

impl From<Error> for std::io::Error {
    /// An errno becomes that OS error, whose `raw_os_error` returns it; `std` has no room for the message beside it.
    /// The library's own states become [`std::io::ErrorKind::Other`], which carries this error.
    fn from(error: Error) -> Self {
        match error.code > abi::JLOCK_ELOST {
            true => std::io::Error::from_raw_os_error(-error.code),
            false => std::io::Error::other(error),
        }
    }
}

/// The static text of any code, with its terminating NUL: what `jlock_strerror` returns. A negative errno has the meaning
/// that it has for the lock, a positive one its own.
pub(crate) fn text_c(code: i32) -> &'static std::ffi::CStr {
    match code {
        abi::JLOCK_ELOST => c"the lock was taken away from this holder",
        abi::JLOCK_ENOTHELD => c"the lock is not held by this handle",
        abi::JLOCK_EFORKED => c"the handle was inherited through fork; only jlock_close works on it",
        abi::JLOCK_EHEADER => c"the journal's header is missing or malformed",
        abi::JLOCK_EENTRY => c"an entry that the journal's format cannot carry",
        abi::JLOCK_ENOTLOCK => c"not a regular file where the lock or the journal should be",
        abi::JLOCK_EPANIC => c"a bug in the library, contained; only jlock_close works on this handle",
        abi::JLOCK_EUNSTAMPED => {
            c"the journal has never been stamped (its header says 0): append with a timestamp, or write a header"
        }
        0 => c"success",
        code if code == -EAGAIN => c"held by somebody else",
        code if code == -EDEADLK => c"this handle holds the lock already",
        code if code == -EINPROGRESS => c"the acquire is still in progress",
        code if code == -EALREADY => c"an acquire is in progress on this handle already",
        code if code == -E2BIG => c"structure from a newer version of the library",
        code => crate::sys::errno::text(code.checked_abs().unwrap_or(i32::MAX)),
    }
}

/// The same as a string slice.
pub(crate) fn text(code: i32) -> &'static str {
    text_c(code).to_str().unwrap_or("unknown error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_text_and_a_kind_of_its_own() {
        let own = -4104..=-4097;
        for code in own.clone() {
            assert_ne!(text(code), "unknown error", "{code}");
            assert!(!matches!(Error::new(code, "").kind(), ErrorKind::Os(_)), "{code}");
        }
        assert_eq!(text(-2), "no such file or directory");
        assert_eq!(text(-4000), "unknown error");
        assert_eq!(text(i32::MIN), "unknown error");
        assert_eq!(text(0), "success");
        assert_eq!(text(13), "permission denied");
        assert_eq!(text(i32::MAX), "unknown error");
        assert_eq!(text(-EAGAIN), "held by somebody else");
        assert_eq!(text(EAGAIN), "resource temporarily unavailable");
        assert_eq!(Error::new(-2, "").kind(), ErrorKind::Os(2));
        assert_eq!(Error::new(-ETIMEDOUT, "").kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn an_io_error_keeps_the_errno_or_carries_the_state() {
        use std::io::Error as IoError;
        for errno in [EACCES, EAGAIN, ETIMEDOUT, ECANCELED] {
            assert_eq!(IoError::from(Error::new(-errno, "")).raw_os_error(), Some(errno));
        }
        let lost = IoError::from(Error::new(abi::JLOCK_ELOST, "gone"));
        let inner = lost.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        assert_eq!(inner.map(Error::kind), Some(ErrorKind::Lost));
    }

    #[test]
    fn an_error_is_printed_with_its_code() {
        assert_eq!(format!("{:?}", Error::new(-2, "gone")), "Error(-2, \"gone\")");
    }
}

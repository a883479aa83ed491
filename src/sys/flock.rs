//! Finds out who has a file: `flock`, and leases.

use std::os::fd::AsRawFd;

use rustix::fs::FlockOperation;

use super::errno::{last_errno, preserving_errno};
use super::{Errno, Fd, Result, around, uninterrupted};

/// Takes the `flock` of this open file. `Ok(false)`: somebody else has it.
pub(crate) fn flock_exclusive(file: &Fd) -> Result<bool> {
    flock(file, FlockOperation::NonBlockingLockExclusive)
}

/// As [`flock_exclusive`], but shared: enough to learn whether a holder lives.
pub(crate) fn flock_shared(file: &Fd) -> Result<bool> {
    flock(file, FlockOperation::NonBlockingLockShared)
}

/// Whether a file that another open file has the `flock` of cannot be read: a file server may lock so.
pub(crate) fn is_locked_against_reading(file: &Fd) -> bool {
    let mut byte = [std::mem::MaybeUninit::uninit()];
    super::read_at(file, &mut byte, 0) == Err(Errno::ACCESS)
}

/// Gives up the `flock` of this open file.
pub(crate) fn unlock(file: &Fd) -> Result<()> {
    flock(file, FlockOperation::NonBlockingUnlock).map(drop)
}

fn flock(file: &Fd, operation: FlockOperation) -> Result<bool> {
    match uninterrupted("flock", || rustix::fs::flock(file.verified()?, operation)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Whether a failed `flock` means that the file system has none.
pub(crate) fn means_no_flock(errno: Errno) -> bool {
    matches!(errno, Errno::OPNOTSUPP | Errno::NOSYS)
}

/// Whether anybody has a file open for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lease {
    /// Nobody has.
    Granted,
    /// Somebody has.
    Refused,
    /// Another user's file, or a file system without leases.
    Unknown,
}

/// Asks for a read lease (fcntl(2)) on a file that is open for reading only, and gives it back at once: the kernel
/// refuses it if anybody has the file open for writing.
pub(crate) fn read_lease(file: &Fd) -> Lease {
    match around("fcntl", || borrow_lease(file)) {
        Ok(()) => Lease::Granted,
        Err(Errno::AGAIN) => Lease::Refused,
        Err(_) => Lease::Unknown,
    }
}

/// linux/fcntl.h; not in every version of the `libc` crate.
pub(super) const F_SETSIG: i32 = 10;
pub(super) const F_GETSIG: i32 = 11;

#[allow(clippy::unnecessary_cast)] // the types of the constants differ between C libraries
fn borrow_lease(file: &Fd) -> Result<()> {
    let fd = file.verified()?;
    let set = |command: i32, argument: i32| {
        // SAFETY: three commands that take an int.
        match unsafe { libc::fcntl(fd.as_raw_fd(), command, argument) } {
            -1 => Err(last_errno()),
            _ => Ok(()),
        }
    };
    preserving_errno(|| {
        // If somebody opens the file for writing meanwhile, the kernel sends us a signal: by default SIGIO, which ends a
        // process. SIGURG goes unnoticed unless a process handles it.
        set(F_SETSIG, libc::SIGURG)?;
        set(libc::F_SETLEASE, libc::F_RDLCK as i32)?;
        let given_back = set(libc::F_SETLEASE, libc::F_UNLCK as i32);
        // Giving the lease back clears the signal number, by which an `Fd` knows its open file.
        set(F_SETSIG, libc::SIGURG)?;
        given_back
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Open, open};
    use super::*;
    use crate::sys::tests::Scratch;

    #[test]
    fn a_read_lease_says_whether_somebody_could_write() {
        let scratch = Scratch::new();
        let writer = open(&scratch.dir, c"file", Open::CreateNew).unwrap();
        let reader = open(&scratch.dir, c"file", Open::Read).unwrap();
        let other = open(&scratch.dir, c"file", Open::Read).unwrap();
        assert_eq!(read_lease(&reader), Lease::Refused);
        drop(writer);
        assert_eq!(read_lease(&reader), Lease::Granted);
        assert_eq!(read_lease(&other), Lease::Granted);
        assert!(open(&scratch.dir, c"file", Open::Write).is_ok(), "both were given back");
        assert!(reader.own().is_ok(), "and it is known as ours still");
        assert_eq!(read_lease(&scratch.dir), Lease::Unknown, "no regular file");
    }
}

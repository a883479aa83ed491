//! Who has a file: `flock`.

use rustix::fs::FlockOperation;

use super::{Errno, Fd, Result, uninterrupted};

/// The `flock` of this open file, if nobody else has it. `Ok(false)`: somebody has.
pub(crate) fn flock_exclusive(file: &Fd) -> Result<bool> {
    flock(file, FlockOperation::NonBlockingLockExclusive)
}

/// As [`flock_exclusive`], but shared: enough to learn whether a holder lives.
pub(crate) fn flock_shared(file: &Fd) -> Result<bool> {
    flock(file, FlockOperation::NonBlockingLockShared)
}

fn flock(file: &Fd, operation: FlockOperation) -> Result<bool> {
    match uninterrupted("flock", || rustix::fs::flock(file.borrow()?, operation)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Whether a failed `flock` means that the file system has none.
pub(crate) fn means_no_flock(errno: Errno) -> bool {
    matches!(errno, Errno::OPNOTSUPP | Errno::NOSYS)
}

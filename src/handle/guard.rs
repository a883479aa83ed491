//! The guard of a hold.

use std::fmt;
use std::sync::Arc;

use super::Lock;
use crate::abi;
use crate::error::{Error, Result};

/// The lock is held as long as this lives.
///
/// Dropping it releases. [`release`](Guard::release) does so too, and says whether the lock was held until then.
#[derive(Debug)]
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct Guard<'l> {
    /// `None`: it was released.
    lock: Option<Handle<'l>>,
}

/// A release that failed. Unless the lock was lost, it is still held, by the guard in here.
#[derive(Debug)]
pub struct Unreleased<'l> {
    /// Why.
    pub error: Error,
    /// The guard, to try again with; `None` if the lock is not held any more.
    pub guard: Option<Guard<'l>>,
}

/// A borrowed lock, or a share of one.
#[derive(Clone, Debug)]
pub(super) enum Handle<'l> {
    Borrowed(&'l Lock),
    Owned(Arc<Lock>),
}

impl Handle<'_> {
    pub(super) fn lock(&self) -> &Lock {
        match self {
            Handle::Borrowed(lock) => lock,
            Handle::Owned(lock) => lock,
        }
    }
}

impl<'l> Guard<'l> {
    pub(super) fn of(lock: Handle<'l>) -> Guard<'l> {
        Guard { lock: Some(lock) }
    }

    /// Releases the lock, and says whether it was held all the time.
    ///
    /// # Errors
    /// [`Lost`](crate::ErrorKind::Lost): it was taken away, and nothing that belongs to the new holder was removed; any errno:
    /// the lock is still held, and the error returns the guard, to try again with. `?` turns it into an [`Error`] and drops the
    /// guard.
    pub fn release(mut self) -> std::result::Result<(), Unreleased<'l>> {
        let Some(handle) = self.lock.take() else { return Ok(()) };
        handle.lock().let_go().map_err(|error| {
            let is_over = [abi::JLOCK_ELOST, abi::JLOCK_ENOTHELD].contains(&error.code());
            let guard = (!is_over).then(|| Guard::of(handle));
            Unreleased { error, guard }
        })
    }

    /// As [`Lock::refresh`].
    ///
    /// # Errors
    /// As [`Lock::refresh`].
    pub fn refresh(&self) -> Result<()> {
        self.lock.as_ref().map_or(Ok(()), |handle| handle.lock().refresh())
    }

    /// As [`Lock::recovered`].
    ///
    /// # Errors
    /// As [`Lock::recovered`].
    pub fn recovered(&self) -> Result<bool> {
        self.lock.as_ref().map_or(Ok(false), |handle| handle.lock().recovered())
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if let Some(handle) = self.lock.take() {
            // A hold that was lost is over either way. If it cannot be released now, dropping the handle tries again. To learn
            // of an error, call `release`.
            let _ = handle.lock().let_go();
        }
    }
}

impl From<Unreleased<'_>> for Error {
    fn from(unreleased: Unreleased<'_>) -> Error {
        unreleased.error.clone()
    }
}

impl fmt::Display for Unreleased<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Unreleased<'_> {}

//! Opening a handle.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use super::turn::Turns;
use super::whereabouts::Whereabouts;
use super::{Inner, Lock};
use crate::error::{EINVAL, Error, Result};
use crate::journal::Durable;
use crate::lock::Participant;
use crate::lock::bell::Bell;
use crate::lock::site::Seat;
use crate::options::Options;
use crate::sys::fork::Generation;

impl Options {
    /// Opens the lock of the journal `changes.journal` in `dir`.
    ///
    /// # Errors
    /// As [`Lock::open`].
    pub fn open(&self, dir: impl AsRef<Path>) -> Result<Lock> {
        let path = c_string(dir.as_ref().as_os_str(), "directory")?;
        Lock::open_dir(&path, self)
    }

    /// Opens the lock of the journal `name` in an open directory; the lock is called `name.lock`.
    ///
    /// # Errors
    /// `EINVAL`, `ENAMETOOLONG`: not a file name; otherwise as [`Lock::open`].
    pub fn open_at(&self, dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<Lock> {
        let name = c_string(name.as_ref(), "journal name")?;
        Lock::open_at_raw(dir.as_fd(), &name, self)
    }
}

impl Lock {
    /// Opens the lock of the journal `changes.journal` in `dir`, the directory that holds it, with the default
    /// [`Options`]. A missing directory is created.
    ///
    /// # Errors
    /// What the system says about the directory: `ENOENT`, `ENOTDIR`, `EACCES`, `EROFS`, `EMFILE`, …
    pub fn open(dir: impl AsRef<Path>) -> Result<Lock> {
        Options::new().open(dir)
    }

    pub(crate) fn open_dir(path: &CStr, options: &Options) -> Result<Lock> {
        Lock::new(Whereabouts::of_path(path, options)?, options)
    }

    pub(crate) fn open_at_raw(from: BorrowedFd<'_>, name: &CStr, options: &Options) -> Result<Lock> {
        Lock::new(Whereabouts::beneath(from, name)?, options)
    }

    fn new(whereabouts: Whereabouts, options: &Options) -> Result<Lock> {
        let bell = Arc::new(Bell::default());
        let dir = whereabouts.known();
        let seat = Seat::new(&dir, &bell);
        let inner = Inner {
            participant: Participant::new(dir, options.clone(), seat)?,
            durable: Durable::default(),
            started: None,
        };
        Ok(Lock {
            inner: Mutex::new(Some(inner)),
            seen: Mutex::default(),
            whereabouts,
            turns: Turns::default(),
            bell,
            wait_fd: OnceLock::new(),
            options: options.clone(),
            generation: Generation::current(),
        })
    }
}

fn c_string(text: &OsStr, what: &str) -> Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| Error::new(-EINVAL, format!("{what}: contains a NUL byte")))
}

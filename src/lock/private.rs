//! A private file: this peer alone makes it, it is `flock`ed before it has any content, and every sweep knows it by its name.

use std::ffi::CString;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::lock::dir::{Dir, Name};
use crate::lock::stamp::OwnStamp;
use crate::sys::{self, Fd, Open};

/// How often a new name is tried if a sweep locks the file before its owner does.
const ATTEMPTS: usize = 16;

#[derive(Debug)]
pub(crate) struct Private {
    pub file: Arc<Fd>,
    pub name: CString,
    /// It has the same nonce as the name.
    pub stamp: OwnStamp,
    /// Whether the kernel vouches for us.
    pub flock: bool,
}

impl Private {
    /// An empty file. Nothing is left behind on failure.
    pub(crate) fn create(dir: &Dir) -> Result<Private> {
        for _ in 0..ATTEMPTS {
            if let Some(private) = Private::try_create(dir)? {
                return Ok(private);
            }
        }
        Err(Error::os(
            sys::Errno::BUSY,
            "create a private file: somebody locks every new one",
        ))
    }

    /// `None`: the name is taken, or a sweep looks at the file just now.
    fn try_create(dir: &Dir) -> Result<Option<Private>> {
        let stamp = OwnStamp::new()?;
        let name = dir.private_name(stamp.nonce());
        let os = |e| Error::os(e, format_args!("create {}", Name(&name)));
        let file = match sys::open(&dir.fd, &name, Open::CreateNew) {
            Ok(file) => file,
            Err(sys::Errno::EXIST) => return Ok(None),
            Err(errno) => return Err(os(errno)),
        };
        // Before there is any content: if a library peer has written a file, and no flock is held on it, then its writer is
        // dead, and a sweep or, once the file is the lock, a contender takes it (P1).
        let flock = match sys::flock_exclusive(&file) {
            // We know an open file by its inode number.
            Err(sys::Errno::BADF) if !dir.local => {
                let _ = sys::unlink(&dir.fd, &name); // as below
                return Err(dir.refuse("gives one file another number at each look"));
            }
            Ok(true) => true,
            Err(errno) if dir.means_no_flock(errno) => false,
            other => {
                let _ = sys::unlink(&dir.fd, &name); // nobody else knows it; if it stays, a sweep takes it
                return other.map(|_| None).map_err(os);
            }
        };
        Ok(Some(Private {
            file: Arc::new(file),
            name,
            stamp,
            flock,
        }))
    }
}

//! The directory that a journal stands in, and the names beneath it.

use std::ffi::{CStr, CString};

use crate::error::{EINVAL, Error, Result};
use crate::lock::stamp;
use crate::sys::{self, Fd, FileId, FileKind, Meta};

/// The longest file name that Linux takes.
const NAME_MAX: usize = 255;
/// What a private file's name adds to the lock's: `.<10 digits>-<16 digits>.tmp`.
const PRIVATE_EXTRA: usize = 1 + 10 + 1 + 16 + 4;

/// All names are resolved beneath the descriptor that was opened first, wherever its path has gone since.
#[derive(Debug)]
pub(crate) struct Dir {
    pub fd: Fd,
    pub journal: CString,
    pub lock: CString,
    /// Whether the file system's locks are this machine's alone.
    pub local: bool,
}

impl Dir {
    pub(crate) fn new(fd: Fd, journal: &CStr) -> Result<Dir> {
        let name = journal.to_bytes();
        if name.is_empty() || name.contains(&b'/') || name == b"." || name == b".." {
            return Err(Error::new(-EINVAL, format!("\"{}\": not a file name", Name(journal))));
        }
        if name.len() + ".lock".len() + PRIVATE_EXTRA > NAME_MAX {
            let code = -sys::errno::ENAMETOOLONG;
            return Err(Error::new(
                code,
                format!("{}: too long beside the names of its lock", Name(journal)),
            ));
        }
        let local = sys::is_local(&fd).map_err(|e| Error::os(e, "look at the file system"))?;
        Ok(Dir {
            fd,
            journal: journal.to_owned(),
            lock: suffixed(journal, ".lock"),
            local,
        })
    }

    /// The name of a private file: of the stamp with this nonce, or of a new journal on its way.
    pub(crate) fn private_name(&self, nonce: &str) -> CString {
        suffixed(&self.lock, &format!(".{nonce}.tmp"))
    }

    /// Whether a name is that of some peer's private file.
    pub(crate) fn is_private_name(&self, name: &[u8]) -> bool {
        name.strip_prefix(self.lock.to_bytes())
            .is_some_and(|rest| rest.len() > ".tmp".len() && rest.starts_with(b".") && rest.ends_with(b".tmp"))
    }

    /// The PID in a private file's name.
    pub(crate) fn private_owner(&self, name: &CStr) -> Option<i32> {
        let rest = name.to_bytes().strip_prefix(self.lock.to_bytes())?.strip_prefix(b".")?;
        std::str::from_utf8(rest).ok()?.split_once('-')?.0.parse().ok()
    }

    /// Whether `name` still names this file.
    pub(crate) fn names(&self, name: &CStr, id: FileId) -> sys::Result<bool> {
        Ok(sys::stat(&self.fd, name)?.is_some_and(|meta| meta.id == id))
    }

    /// Refuses what is not a regular file.
    pub(crate) fn expect_regular(&self, name: &CStr, meta: &Meta) -> Result<()> {
        match meta.kind {
            FileKind::Regular => Ok(()),
            FileKind::Symlink => Err(Error::os(sys::Errno::LOOP, Name(name))),
            FileKind::Other => {
                let what = crate::error::text(crate::abi::JLOCK_ENOTLOCK);
                Err(Error::new(
                    crate::abi::JLOCK_ENOTLOCK,
                    format!("{}: {what}", Name(name)),
                ))
            }
        }
    }
}

/// A file's name in a message.
pub(crate) struct Name<'a>(pub &'a CStr);

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.to_string_lossy())
    }
}

fn suffixed(name: &CStr, suffix: &str) -> CString {
    let mut bytes = name.to_bytes().to_vec();
    bytes.extend_from_slice(suffix.as_bytes());
    // Neither part contains a NUL: one comes from a C string, the other is our own.
    CString::new(bytes).unwrap_or_default()
}

/// The beginning of a lock or of a parked stamp, as much as is ever read.
pub(crate) fn read_stamp(file: &Fd) -> sys::Result<Vec<u8>> {
    let mut buf = [std::mem::MaybeUninit::uninit(); stamp::MAX_LEN];
    Ok(sys::read_at(file, &mut buf, 0)?.to_vec())
}

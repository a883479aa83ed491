//! The parked stamp: a private file, complete and `flock`ed before anyone can see it as the lock. To acquire is to link
//! it to the lock's name, so the lock is never seen empty (P1, P2), and costs no write.

use std::ffi::CString;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::lock::dir::{Dir, Name};
use crate::lock::stamp::OwnStamp;
use crate::sys::{self, Fd, FileId, Open};

/// As many times is a new name tried, when a sweep gets at the file before its owner has locked it.
const ATTEMPTS: usize = 16;

#[derive(Debug)]
pub(crate) struct Parked {
    pub file: Arc<Fd>,
    pub name: CString,
    pub id: FileId,
    pub stamp: OwnStamp,
    /// The wall clock when the mtime was last renewed: shipped peers compare the two.
    pub touched_ms: i64,
    /// Whether the kernel vouches for us.
    pub flock: bool,
}

impl Parked {
    /// Parks a stamp. Nothing is left behind on failure.
    pub(crate) fn new(dir: &Dir) -> Result<Parked> {
        for _ in 0..ATTEMPTS {
            if let Some(parked) = Parked::try_new(dir)? {
                return Ok(parked);
            }
        }
        let why = "park a stamp: somebody locks every new file of ours";
        Err(Error::os(sys::Errno::BUSY, why))
    }

    fn try_new(dir: &Dir) -> Result<Option<Parked>> {
        let mut stamp = OwnStamp::new().map_err(|e| Error::os(e, "make a nonce"))?;
        let name = dir.parked_name(&stamp.nonce);
        let file = match sys::open(&dir.fd, &name, Open::CreateNew) {
            Ok(file) => file,
            Err(sys::Errno::EXIST) => return Ok(None),
            Err(errno) => return Err(Error::os(errno, format_args!("create {}", Name(&name)))),
        };
        match Parked::stamp(&file, &mut stamp) {
            Ok(Some((id, flock))) => Ok(Some(Parked {
                file: Arc::new(file),
                name,
                id,
                stamp,
                touched_ms: sys::realtime_ms(),
                flock,
            })),
            other => {
                // Ours alone, and of no use. If it stays, a sweep takes it.
                let _ = sys::unlink(&dir.fd, &name);
                match other {
                    Err(errno) => Err(Error::os(errno, format_args!("stamp {}", Name(&name)))),
                    Ok(_) => Ok(None),
                }
            }
        }
    }

    /// The `flock` comes first: a stamped file that nobody has locked belongs to the dead (P1), and a sweep or, once
    /// it is linked, a contender would take it.
    fn stamp(file: &Fd, stamp: &mut OwnStamp) -> sys::Result<Option<(FileId, bool)>> {
        let flock = match sys::flock_exclusive(file) {
            Ok(true) => true,
            Ok(false) => return Ok(None),
            Err(errno) if sys::means_no_flock(errno) => false,
            Err(errno) => return Err(errno),
        };
        if !flock {
            stamp.without_flock();
        }
        sys::write_at(file, stamp.text.as_bytes(), 0)?;
        Ok(Some((sys::fstat(file)?.id, flock)))
    }

    /// Gives the mtime a new life, unless it is fresh.
    pub(crate) fn freshen(&mut self, fresh_ms: i64) -> sys::Result<()> {
        let now = sys::realtime_ms();
        if !(0..=fresh_ms).contains(&(now - self.touched_ms)) {
            sys::touch(&self.file)?;
            self.touched_ms = now;
        }
        Ok(())
    }
}

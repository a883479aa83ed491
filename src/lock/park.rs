//! The parked stamp: a private file that is complete before anyone can see it as the lock. To acquire is to link it to the
//! lock's name. So nobody ever sees the lock empty (P1, P2), and an acquire costs no write.

use std::ffi::CString;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::lock::dir::{Dir, Name};
use crate::lock::hold::{Hold, Life};
use crate::lock::private::Private;
use crate::lock::stamp::OwnStamp;
use crate::lock::time::SignOfLife;
use crate::sys::{self, FileId};

#[derive(Debug)]
pub(crate) struct Parked {
    pub name: CString,
    pub id: FileId,
    pub life: Arc<Life>,
    /// Whose it is.
    pub user: u32,
    /// Who parked it; on some file systems it is somebody else's nevertheless.
    pub parker: u32,
    pub stamp: OwnStamp,
    /// Whether the kernel vouches for us.
    pub flock: bool,
}

impl Parked {
    /// Parks a stamp. `flock`: false if it is known not to keep others out. Nothing is left behind on failure.
    pub(crate) fn new(dir: &Dir, flock: bool) -> Result<Parked> {
        let mut private = Private::create(dir)?;
        private.flock &= flock;
        private.stamp.say_flock(private.flock, dir.local);
        // Before the write, so that the sign we remember is never younger than the mtime, however long the process stands still.
        let sign = SignOfLife::now();
        let stamped = sys::write_at(&private.file, private.stamp.text.as_bytes(), 0);
        match stamped.and_then(|()| sys::fstat(&private.file)) {
            Ok(meta) => Ok(Parked {
                name: private.name,
                id: meta.id,
                user: meta.uid,
                parker: sys::process::effective_uid(),
                life: Arc::new(Life::new(private.file, dir.local, sign)),
                stamp: private.stamp,
                flock: private.flock,
            }),
            Err(errno) => {
                let _ = sys::unlink(&dir.fd, &private.name); // ours alone; if it stays, a sweep takes it
                Err(Error::os(errno, format_args!("stamp {}", Name(&private.name))))
            }
        }
    }

    /// The hold that begins with this stamp, now that it is at the lock's name.
    pub(crate) fn hold(&self) -> Hold {
        let flocked = Arc::clone(&self.life.file);
        Hold::new(self.id, flocked, Arc::clone(&self.life), self.stamp.clone())
    }
}

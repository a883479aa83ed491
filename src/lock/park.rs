//! The parked stamp: a private file, complete before anyone can see it as the lock. Acquiring means to link it to the lock's
//! name, so the lock is never seen empty (P1, P2), and that costs no write.

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
    pub stamp: OwnStamp,
    /// Whether the kernel vouches for us.
    pub flock: bool,
}

impl Parked {
    /// Parks a stamp. `flock`: whether it is known to keep others out, or not known yet. Nothing is left behind on failure.
    pub(crate) fn new(dir: &Dir, flock: bool) -> Result<Parked> {
        let mut private = Private::create(dir)?;
        private.flock &= flock;
        private.stamp.say_flock(private.flock, dir.local);
        // Before the write: the sign that we remember is never younger than the mtime, however long the process stands still.
        let sign = SignOfLife::now();
        let stamped = sys::write_at(&private.file, private.stamp.text.as_bytes(), 0);
        match stamped.and_then(|()| sys::fstat(&private.file)) {
            Ok(meta) => Ok(Parked {
                name: private.name,
                id: meta.id,
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

    /// The hold that this stamp gives, now that it stands at the lock's name.
    pub(crate) fn hold(&self) -> Hold {
        let flocked = Arc::clone(&self.life.file);
        Hold::new(self.id, flocked, Arc::clone(&self.life), self.stamp.clone())
    }

    /// Whether it is another user's than this process is now.
    pub(crate) fn is_anothers(&self) -> bool {
        sys::fstat(&self.life.file).is_ok_and(|meta| meta.uid != sys::process::effective_uid())
    }
}

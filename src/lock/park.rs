//! The parked stamp: a private file, complete before anyone can see it as the lock. To acquire is to link it to the lock's
//! name, so the lock is never seen empty (P1, P2), and costs no write.

use std::cell::Cell;
use std::ffi::CString;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::lock::core::Hold;
use crate::lock::dir::{Dir, Name};
use crate::lock::private::Private;
use crate::lock::stamp::OwnStamp;
use crate::sys::{self, Fd, FileId};

#[derive(Debug)]
pub(crate) struct Parked {
    pub file: Arc<Fd>,
    pub name: CString,
    pub id: FileId,
    pub stamp: OwnStamp,
    /// The wall clock just before the mtime was last renewed: shipped peers compare the two.
    pub touched_ms: Cell<i64>,
    /// Whether the kernel vouches for us.
    pub flock: bool,
}

impl Parked {
    /// Parks a stamp. Nothing is left behind on failure.
    pub(crate) fn new(dir: &Dir) -> Result<Parked> {
        let private = Private::create(dir)?;
        // Before the write, that our note is never younger than the mtime, however long the process stands still.
        let touched_ms = sys::realtime_ms();
        let stamped = sys::write_at(&private.file, private.stamp.text.as_bytes(), 0);
        match stamped.and_then(|()| sys::fstat(&private.file)) {
            Ok(meta) => Ok(Parked {
                file: private.file,
                name: private.name,
                id: meta.id,
                stamp: private.stamp,
                touched_ms: Cell::new(touched_ms),
                flock: private.flock,
            }),
            Err(errno) => {
                let _ = sys::unlink(&dir.fd, &private.name); // ours alone; if it stays, a sweep takes it
                Err(Error::os(errno, format_args!("stamp {}", Name(&private.name))))
            }
        }
    }

    /// The hold that this stamp gives, now that it stands at the lock's name.
    pub(crate) fn hold(&self, touched_ms: i64) -> Hold {
        Hold {
            file: Arc::clone(&self.file),
            writer: None,
            id: self.id,
            stamp: Arc::clone(&self.stamp.text),
            noted: Cell::new(false),
            touched_ms: Cell::new(touched_ms),
        }
    }

    /// Gives the mtime a new life, unless it is fresh; a ticket stays.
    pub(crate) fn freshen(&self, fresh_ms: i64) -> sys::Result<()> {
        let now = sys::realtime_ms();
        if !(0..=fresh_ms).contains(&now.saturating_sub(self.touched_ms.get())) {
            sys::touch_modified(&self.file)?;
            self.touched_ms.set(now);
        }
        Ok(())
    }
}

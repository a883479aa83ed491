//! The journal that the lock guards.
//!
//! | step | file |
//! | --- | --- |
//! | what the lines are | `format.rs` |
//! | add entries, stamp the header in place | `append.rs` |
//! | what a kill may cut, and how it is taken back | `note.rs` |
//! | replace the file: new header, checkpoint | `rewrite.rs`, `new.rs`, `pieces.rs` |
//! | who owns the new file | `inherit.rs` |
//! | read it, without the lock | `reading.rs`, `snapshot.rs`, `distinct.rs` |
//! | what a power cut leaves at its end | `tail.rs` |
//! | memory for all of that | `room.rs` |
//! | wait until it is on disk | `durable.rs` |
//!
//! The journal is built on the lock, which knows nothing about it: what a journal call needs from a hold, it gets from a
//! `Participant`.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::lock::Participant;
use crate::lock::dir::{Dir, Name, not_opened};
use crate::sys::{self, Errno, Fd, FileId, Meta, Open};

mod append;
mod distinct;
mod durable;
mod format;
mod inherit;
mod new;
pub(crate) mod note;
mod pieces;
mod reading;
mod rewrite;
mod room;
mod snapshot;
mod tail;

pub(crate) use append::{append, append_stamped};
pub(crate) use durable::Durable;
pub(crate) use format::encode;
pub use format::{Entry, Kind};
pub(crate) use rewrite::{checkpoint, write_header};
pub(crate) use room::no_memory;
pub use snapshot::Snapshot;

/// How often a write is repeated if somebody who takes no lock replaces the journal meanwhile.
const REPLACED: usize = 16;
/// The journal that stands, open to read and to append to.
struct Standing {
    file: Arc<Fd>,
    meta: Meta,
}

impl Standing {
    /// `None`: there is none.
    fn open(dir: &Dir) -> Result<Option<Standing>> {
        let file = match sys::open(&dir.fd, &dir.journal, Open::Append) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(open_error(dir, errno)),
        };
        let meta = dir.fstat(&file).map_err(|e| Error::os(e, Name(&dir.journal)))?;
        dir.expect_regular(&dir.journal, &meta)?;
        if !dir.local {
            // Where another client has written, this machine's cache may still show NUL bytes, which an append would cut off.
            // (If a sandbox refuses this, the file was at least opened anew.)
            let _ = sys::forget_cached(&file);
        }
        let file = Arc::new(file);
        Ok(Some(Standing { file, meta }))
    }

    /// Whether it is still the journal.
    fn stands(&self, dir: &Dir) -> sys::Result<bool> {
        dir.names(&dir.journal, self.meta.id)
    }

    fn written(&self) -> Written {
        Written::new(Arc::clone(&self.file), self.meta.id)
    }
}

fn replaced(dir: &Dir) -> Error {
    let what = format!(
        "{}: replaced {REPLACED} times while it was written to",
        Name(&dir.journal)
    );
    Error::os(Errno::BUSY, what)
}

/// A file that a commit wrote.
#[derive(Debug)]
pub(crate) struct Written {
    file: Arc<Fd>,
    id: FileId,
}

impl Written {
    /// Makes sure that everybody who shares the file system sees it.
    pub(crate) fn arrive(&self, dir: &Dir) -> Result<()> {
        let what = format_args!("{} was written, but may not have arrived", Name(&dir.journal));
        sys::sync_data(&self.file).map_err(|e| Error::os(e, what))
    }

    fn new(file: Arc<Fd>, id: FileId) -> Written {
        Written { file, id }
    }
}

/// Why the journal could not be opened: because it is no regular file, or what the system says.
fn open_error(dir: &Dir, errno: Errno) -> Error {
    let regular = match sys::stat(&dir.fd, &dir.journal) {
        Ok(Some(meta)) => dir.expect_regular(&dir.journal, &meta),
        _ => Ok(()),
    };
    regular.err().unwrap_or_else(|| not_opened(errno, &dir.journal))
}

//! Makes sure that what was written is on disk, and so is the name of the file that it was written to.

use crate::error::{Error, Result};
use crate::journal::{Standing, Written};
use crate::lock::dir::{Dir, Name};
use crate::sys;

/// What is known to be on disk.
#[derive(Debug, Default)]
pub(crate) struct Durable {
    /// The journal whose directory entry is on disk. It stays open, so that no other file gets its inode number.
    known: Option<Written>,
}

const UNCERTAIN: &str = "was written, but may not be on disk";

fn uncertain(dir: &Dir, error: &Error) -> Error {
    Error::new(error.code(), format!("{} {UNCERTAIN}: {error}", Name(&dir.journal)))
}

impl Durable {
    /// Waits until what was written is on disk. Needs no lock, so that several writers' waits overlap.
    pub(crate) fn make(&mut self, dir: &Dir, written: Written) -> Result<()> {
        let os = |e| Error::os(e, format_args!("{} {UNCERTAIN}", Name(&dir.journal)));
        let mut written = written;
        loop {
            sys::sync_data(&written.file).map_err(os)?;
            // The file's name, once: the program that made the file may not have synced it.
            if self.known.as_ref().is_none_or(|known| known.id != written.id) {
                sys::sync_dir(&dir.fd).map_err(os)?;
            }
            // Has somebody replaced it meanwhile, and copied our entries into a file that may not be on disk yet?
            if dir.names(&dir.journal, written.id).map_err(os)? {
                self.known = Some(written);
                return Ok(());
            }
            match Standing::open(dir).map_err(|error| uncertain(dir, &error))? {
                Some(journal) => written = journal.written(),
                None => return Ok(()),
            }
        }
    }
}

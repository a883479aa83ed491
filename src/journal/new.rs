//! The file that becomes the journal.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::journal::pieces::Pieces;
use crate::journal::{Participant, Standing, Written, inherit};
use crate::lock::dir::{Dir, Name};
use crate::lock::private::Private;
use crate::sys::{self, Errno, Meta, Rename};

/// What the new file is to contain.
pub(super) struct Content<'c> {
    pub header: &'c [u8],
    /// A part of the old journal.
    pub carried: Range<u64>,
    pub newline: &'static [u8],
    pub then: &'c [u8],
}

impl Content<'_> {
    fn size(&self) -> u64 {
        let carried = self.carried.end - self.carried.start;
        carried + (self.header.len() + self.newline.len() + self.then.len()) as u64
    }
}

/// Its name is not the shipped peer's (`changes.journal.tmp`): if a shipped peer writes at the same time, against all rules,
/// nobody must change its file.
pub(super) struct New {
    private: Private,
    meta: Meta,
}

impl New {
    pub(super) fn create(dir: &Dir) -> Result<New> {
        let private = Private::create(dir)?;
        match sys::fstat(&private.file) {
            Ok(meta) => Ok(New { private, meta }),
            Err(errno) => {
                let _ = sys::unlink(&dir.fd, &private.name); // if it stays, a sweep takes it
                Err(Error::os(errno, Name(&private.name)))
            }
        }
    }

    /// Fills the file, and puts it into place if the journal is still `old`. `None`: it is not. Unless the file was put into
    /// place, nothing is left behind.
    pub(super) fn put(
        &self,
        by: &Participant,
        old: Option<&Standing>,
        content: &Content<'_>,
        durable: bool,
        pieces: &mut Pieces,
    ) -> Result<Option<Written>> {
        let dir = by.dir();
        let placed = self
            .fill(dir, old, content, durable, pieces)
            .and_then(|()| Ok(self.is_due(dir, old)? && self.place(by, old.is_none())?));
        if !matches!(placed, Ok(true)) {
            let _ = sys::unlink(&dir.fd, &self.private.name); // if it stays, a sweep takes it
        }
        if !placed? {
            return Ok(None);
        }
        // Only now: without the flock, a sweep could have removed the file before the rename. On the journal it would be in
        // the way of programs that flock that. If this fails, it ends when the file is closed.
        let _ = sys::unlock(&self.private.file);
        Ok(Some(Written::new(Arc::clone(&self.private.file), self.meta.id)))
    }

    fn fill(
        &self,
        dir: &Dir,
        old: Option<&Standing>,
        content: &Content<'_>,
        durable: bool,
        pieces: &mut Pieces,
    ) -> Result<()> {
        let file = &self.private.file;
        let name = Name(&self.private.name);
        let os = |e| Error::os(e, format_args!("write {name}"));
        // If the write itself hit the limit, a signal would end the program.
        if content.size() > sys::capacity::file_size_limit() {
            return Err(os(Errno::FBIG));
        }
        // Before there is any content that others should not read.
        match old {
            Some(old) => inherit::from_old(dir, file, &old.file, &old.meta)?,
            None => inherit::from_directory(dir, file)?,
        }
        sys::write_at(file, content.header, 0).map_err(os)?;
        let mut end = content.header.len() as u64;
        if let Some(old) = old {
            let range = content.carried.clone();
            pieces.each(&old.file, range, &Name(&dir.journal), |piece, _| {
                sys::write_at(file, piece, end).map_err(os)?;
                end += piece.len() as u64;
                Ok(true)
            })?;
        }
        for part in [content.newline, content.then] {
            sys::write_at(file, part, end).map_err(os)?;
            end += part.len() as u64;
        }
        match durable {
            // Before the rename, because after a power cut the name must not lead to an empty file.
            true => sys::sync_data(file).map_err(os),
            false => Ok(()),
        }
    }

    /// Whether the journal is as it was when it was read.
    fn is_due(&self, dir: &Dir, old: Option<&Standing>) -> Result<bool> {
        let now = dir.stat(&dir.journal).map_err(|e| Error::os(e, Name(&dir.journal)))?;
        Ok(match (old, now) {
            (Some(old), Some(now)) => (old.meta.id, old.meta.size) == (now.id, now.size),
            (old, now) => old.is_none() && now.is_none(),
        })
    }

    fn place(&self, by: &Participant, is_first: bool) -> Result<bool> {
        // This is the last moment at which nothing has been done yet (P3).
        by.surely_held()?;
        let dir = by.dir();
        let rename = |how| sys::rename(&dir.fd, &self.private.name, &dir.journal, how);
        let renamed = match is_first.then(|| rename(Rename::NoReplace)) {
            // This file system cannot rename so. But there was no journal a moment ago, and we hold the lock.
            Some(Err(errno)) if sys::means_no_rename_flag(errno) => rename(Rename::Replace),
            Some(renamed) => renamed,
            None => rename(Rename::Replace),
        };
        match renamed {
            Ok(()) => Ok(true),
            // Somebody has made a journal; or our file was swept, by somebody who cannot see that we live.
            Err(Errno::EXIST | Errno::NOENT) => Ok(false),
            Err(errno) => Err(Error::os(errno, format_args!("replace {}", Name(&dir.journal)))),
        }
    }
}

//! A new journal in place of the old, or of none: for a new header, and for a checkpoint.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::journal::format;
use crate::journal::snapshot::{Snapshot, read_all};
use crate::journal::{Participant, REPLACED, Standing, Written, replaced};
use crate::lock::dir::{Dir, Name};
use crate::lock::private::Private;
use crate::sys::{self, Errno, Meta, Rename};

/// What the new journal holds below its header.
#[derive(Clone, Copy)]
pub(crate) enum Body<'b> {
    /// Nothing.
    Empty,
    /// All entries of the old one, and these lines.
    All { then: &'b [u8] },
    /// What was appended to the old one after the snapshot.
    Since(&'b Snapshot),
}

pub(crate) fn write_header(by: &Participant, timestamp_ms: i64) -> Result<Written> {
    rewrite(by, &format::header(timestamp_ms)?, Body::Empty)
}

pub(crate) fn checkpoint(by: &Participant, snapshot: &Snapshot, timestamp_ms: i64) -> Result<Written> {
    rewrite(by, &format::header(timestamp_ms)?, Body::Since(snapshot))
}

/// Writes the new journal beside the old one and renames it over.
pub(crate) fn rewrite(by: &Participant, header: &[u8], body: Body<'_>) -> Result<Written> {
    let dir = by.dir();
    let then = match body {
        Body::All { then } => then,
        Body::Empty | Body::Since(_) => b"",
    };
    for _ in 0..REPLACED {
        let written = match Standing::open(dir)? {
            Some(old) => replace(by, &old, header, body, then)?,
            None => create(by, &[header, then])?,
        };
        if let Some(written) = written {
            return Ok(written);
        }
    }
    Err(replaced(dir))
}

/// A journal where there is none. Nobody sees it before it is complete: a shipped peer appends to an empty journal without
/// a header, and drops its first line when it stamps. `None`: somebody else made one.
pub(crate) fn create(by: &Participant, parts: &[&[u8]]) -> Result<Option<Written>> {
    let dir = by.dir();
    let new = New::create(dir)?;
    new.put(by, parts, None, by.options().sync, || {
        match new.rename(dir, Rename::NoReplace) {
            // This file system cannot say so: there was none a moment ago, and we hold the lock.
            Err(errno) if sys::means_no_rename_flag(errno) => new.rename(dir, Rename::Replace),
            other => other,
        }
    })
}

/// `None`: the old journal is another by now, or has grown.
fn replace(by: &Participant, old: &Standing, header: &[u8], body: Body<'_>, then: &[u8]) -> Result<Option<Written>> {
    let dir = by.dir();
    let carries = !matches!(body, Body::Empty);
    let content = match carries {
        true => read_all(&old.file, old.meta.size, &Name(&dir.journal))?,
        false => Vec::new(),
    };
    // Only in the very file that was read is it known what came after. A journal that was rewritten meanwhile keeps all it
    // has: to process an entry twice does no harm, to lose one does.
    let kept = match body {
        Body::Since(snapshot) => snapshot.since(&content, old.meta.id),
        Body::All { .. } | Body::Empty => None,
    };
    let kept = kept.unwrap_or_else(|| entries(&content));
    let newline: &[u8] = if matches!(kept.last(), None | Some(b'\n')) {
        b""
    } else {
        b"\n"
    };
    let parts = [header, kept, newline, then];
    let new = New::create(dir)?;
    // Entries that live on must be no less durable than they were.
    let written = new.put(by, &parts, Some(&old.meta), by.options().sync || carries, || {
        new.rename(dir, Rename::Replace)
    })?;
    if written.is_some() && carries {
        new.bring_late(dir, old)?;
    }
    Ok(written)
}

/// What follows the first line; or all, where the first line is an entry.
fn entries(content: &[u8]) -> &[u8] {
    if !content.starts_with(b"#") {
        return content;
    }
    sys::find_byte(b'\n', content).map_or(b"", |end| &content[end + 1..])
}

/// The file that becomes the journal. Its name is not the shipped peer's (`changes.journal.tmp`): a peer that should write
/// at the same time, against all rules, must not find its file changed under its hands.
struct New {
    private: Private,
    meta: Meta,
}

impl New {
    fn create(dir: &Dir) -> Result<New> {
        let private = Private::create(dir)?;
        match sys::fstat(&private.file) {
            Ok(meta) => Ok(New { private, meta }),
            Err(errno) => {
                let _ = sys::unlink(&dir.fd, &private.name); // if it stays, a sweep takes it
                Err(Error::os(errno, Name(&private.name)))
            }
        }
    }

    /// Writes the parts, and gives the file its place with `rename`, if the journal is `old` still. Nothing is left
    /// behind otherwise.
    fn put(
        &self,
        by: &Participant,
        parts: &[&[u8]],
        old: Option<&Meta>,
        durable: bool,
        rename: impl FnOnce() -> sys::Result<()>,
    ) -> Result<Option<Written>> {
        let dir = by.dir();
        let placed = self
            .fill(parts, old, durable)
            .and_then(|()| Ok(self.is_due(dir, old)? && self.place(by, rename)?));
        if !matches!(placed, Ok(true)) {
            let _ = sys::unlink(&dir.fd, &self.private.name); // if it stays, a sweep takes it
        }
        Ok(placed?.then(|| Written::new(Arc::clone(&self.private.file), self.meta.id)))
    }

    fn fill(&self, parts: &[&[u8]], old: Option<&Meta>, durable: bool) -> Result<()> {
        let file = &self.private.file;
        let filled = (|| {
            if let Some(old) = old.filter(|old| old.mode != self.meta.mode) {
                sys::chmod(file, old.mode)?;
            }
            let mut at = 0;
            for part in parts {
                sys::write_at(file, part, at)?;
                at += part.len() as u64;
            }
            if durable {
                // Before the rename: after a power cut the name must not lead to an empty file.
                sys::sync_data(file)?;
            }
            Ok(())
        })();
        filled.map_err(|e| Error::os(e, format_args!("write {}", Name(&self.private.name))))
    }

    /// Whether the journal is as it was when it was read.
    fn is_due(&self, dir: &Dir, old: Option<&Meta>) -> Result<bool> {
        let now = sys::stat(&dir.fd, &dir.journal).map_err(|e| Error::os(e, Name(&dir.journal)))?;
        Ok(match (old, now) {
            (Some(old), Some(now)) => (old.id, old.size) == (now.id, now.size),
            (old, now) => old.is_none() && now.is_none(),
        })
    }

    fn place(&self, by: &Participant, rename: impl FnOnce() -> sys::Result<()>) -> Result<bool> {
        // The last moment at which nothing is done yet (P3).
        by.surely_held()?;
        match rename() {
            Ok(()) => Ok(true),
            // A journal has come; or our file was swept, by one who cannot see that we live.
            Err(Errno::EXIST | Errno::NOENT) => Ok(false),
            Err(errno) => Err(Error::os(errno, format_args!("replace {}", Name(&by.dir().journal)))),
        }
    }

    fn rename(&self, dir: &Dir, how: Rename) -> sys::Result<()> {
        sys::rename(&dir.fd, &self.private.name, &dir.journal, how)
    }

    /// Brings over what somebody who holds no lock appended to the old journal in the last instant.
    fn bring_late(&self, dir: &Dir, old: &Standing) -> Result<()> {
        let os = |e| Error::os(e, Name(&dir.journal));
        let size = sys::fstat(&old.file).map_err(os)?.size;
        if size > old.meta.size {
            let all = read_all(&old.file, size, &Name(&dir.journal))?;
            let late = all.get(old.meta.size as usize..).unwrap_or(b"");
            let end = sys::fstat(&self.private.file).map_err(os)?.size;
            sys::write_at(&self.private.file, late, end).map_err(os)?;
        }
        Ok(())
    }
}

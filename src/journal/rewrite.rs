//! A new journal in place of the old: for a new header, and for a checkpoint.

use std::ffi::CString;

use crate::error::{Error, Result};
use crate::journal::snapshot::{Snapshot, read_all};
use crate::journal::{REPLACED, Standing, Written, format, replaced};
use crate::lock::core::Core;
use crate::lock::dir::{Dir, Name};
use crate::lock::stamp::OwnStamp;
use crate::sys::{self, Fd, Meta, Open, Rename};

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

pub(crate) fn write_header(core: &Core, timestamp_ms: i64) -> Result<Written> {
    rewrite(core, &format::header(timestamp_ms)?, Body::Empty)
}

pub(crate) fn checkpoint(core: &Core, snapshot: &Snapshot, timestamp_ms: i64) -> Result<Written> {
    rewrite(core, &format::header(timestamp_ms)?, Body::Since(snapshot))
}

/// Writes the new journal beside the old one and renames it over.
pub(crate) fn rewrite(core: &Core, header: &[u8], body: Body<'_>) -> Result<Written> {
    let dir = &core.dir;
    for _ in 0..REPLACED {
        let old = Standing::open(dir)?;
        let content = match &old {
            Some(old) => carried(old, dir, header, body)?,
            None => [header, body.then()].concat(),
        };
        let new = New::create(dir)?;
        let renamed = new
            .fill(&content, old.as_ref(), core.options.sync || body.carries())
            .and_then(|()| new.put_in_place(core, old.as_ref()));
        if !matches!(renamed, Ok(true)) {
            let _ = sys::unlink(&dir.fd, &new.name); // if it stays, a sweep takes it
        }
        if renamed? {
            let late = old.as_ref().filter(|_| body.carries());
            return new.with_late(dir, late);
        }
    }
    Err(replaced(dir))
}

impl<'b> Body<'b> {
    fn then(self) -> &'b [u8] {
        match self {
            Body::All { then } => then,
            Body::Empty | Body::Since(_) => b"",
        }
    }

    /// Whether entries of the old journal live on in the new one: then it must be no less durable.
    fn carries(self) -> bool {
        !matches!(self, Body::Empty)
    }
}

/// The new journal's content.
fn carried(old: &Standing, dir: &Dir, header: &[u8], body: Body<'_>) -> Result<Vec<u8>> {
    if !body.carries() {
        return Ok(header.to_vec());
    }
    let content = read_all(&old.file, old.meta.size, &Name(&dir.journal))?;
    // Only in the very file that was read is it known what came after. A journal that was rewritten meanwhile
    // keeps all it has: to process an entry twice does no harm, to lose one does.
    let kept = match body {
        Body::Since(snapshot) if snapshot.was_read_from(old.meta.id) => content
            .get(snapshot.end as usize..)
            .unwrap_or_else(|| entries(&content)),
        _ => entries(&content),
    };
    let newline: &[u8] = if kept.last().is_none_or(|last| *last == b'\n') {
        b""
    } else {
        b"\n"
    };
    Ok([header, kept, newline, body.then()].concat())
}

/// What follows the first line; or all, where the first line is an entry.
fn entries(content: &[u8]) -> &[u8] {
    if !content.starts_with(b"#") {
        return content;
    }
    sys::find_byte(b'\n', content).map_or(b"", |end| &content[end + 1..])
}

/// The file that becomes the journal: private, and `flock`ed before it has any content, so that a sweep can tell a dead
/// writer's from a living one's. The name is not the shipped peer's (`changes.journal.tmp`): a peer that should write at
/// the same time, against all rules, must not find its file changed under its hands.
struct New {
    file: Fd,
    meta: Meta,
    name: CString,
}

impl New {
    fn create(dir: &Dir) -> Result<New> {
        let nonce = OwnStamp::new().map_err(|e| Error::os(e, "make a nonce"))?.nonce;
        let name = dir.parked_name(&nonce);
        let os = |e| Error::os(e, format_args!("create {}", Name(&name)));
        let file = sys::open(&dir.fd, &name, Open::CreateNew).map_err(os)?;
        // Without it (no flock here, or a sweep that looks just now) the file is a leftover only once it is old.
        let _ = sys::flock_exclusive(&file);
        match sys::fstat(&file) {
            Ok(meta) => Ok(New { file, meta, name }),
            Err(errno) => {
                let _ = sys::unlink(&dir.fd, &name); // if it stays, a sweep takes it
                Err(os(errno))
            }
        }
    }

    fn fill(&self, content: &[u8], old: Option<&Standing>, durable: bool) -> Result<()> {
        let filled = (|| {
            if let Some(old) = old.filter(|old| old.meta.mode != self.meta.mode) {
                sys::chmod(&self.file, old.meta.mode)?;
            }
            sys::write_at(&self.file, content, 0)?;
            if durable {
                // Before the rename: after a power cut the name must not lead to an empty file.
                sys::sync_data(&self.file)?;
            }
            Ok(())
        })();
        filled.map_err(|e| Error::os(e, format_args!("write {}", Name(&self.name))))
    }

    /// `Ok(false)`: the old journal is another by now, or has grown.
    fn put_in_place(&self, core: &Core, old: Option<&Standing>) -> Result<bool> {
        let dir = &core.dir;
        let os = |e| Error::os(e, format_args!("replace {}", Name(&dir.journal)));
        let now = sys::stat(&dir.fd, &dir.journal).map_err(os)?;
        let as_read = |now: &Meta| old.is_some_and(|old| (old.meta.id, old.meta.size) == (now.id, now.size));
        if !now.as_ref().map_or(old.is_none(), as_read) {
            return Ok(false);
        }
        // The last moment at which nothing is done yet (P3).
        core.still_held()?;
        sys::rename(&dir.fd, &self.name, &dir.journal, Rename::Replace).map_err(os)?;
        Ok(true)
    }

    /// Brings over what somebody who holds no lock appended to the old journal in the last instant.
    fn with_late(self, dir: &Dir, old: Option<&Standing>) -> Result<Written> {
        if let Some(old) = old {
            let os = |e| Error::os(e, Name(&dir.journal));
            let size = sys::fstat(&old.file).map_err(os)?.size;
            if size > old.meta.size {
                let all = read_all(&old.file, size, &Name(&dir.journal))?;
                let late = all.get(old.meta.size as usize..).unwrap_or(b"");
                let end = sys::fstat(&self.file).map_err(os)?.size;
                sys::write_at(&self.file, late, end).map_err(os)?;
            }
        }
        Ok(Written {
            file: self.file,
            id: self.meta.id,
        })
    }
}

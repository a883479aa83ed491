//! A new journal in place of the old, or of none: for a new header, and for a checkpoint. It is copied piece by piece, and
//! may be larger than memory.

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::journal::append::append;
use crate::journal::format;
use crate::journal::new::{Content, New};
use crate::journal::pieces::Pieces;
use crate::journal::room::Room;
use crate::journal::snapshot::Snapshot;
use crate::journal::tail::{sound_size, whole_lines};
use crate::journal::{Participant, REPLACED, Standing, Written, replaced};
use crate::lock::dir::Name;
use crate::sys;

/// What the new journal holds below its header.
#[derive(Clone, Copy)]
pub(super) enum Body<'b> {
    /// Nothing.
    Empty,
    /// All entries of the old one, and these lines.
    All { then: &'b [u8] },
    /// What was appended to the old one after the snapshot.
    Since(&'b Snapshot),
}

pub(crate) fn write_header(by: &Participant, timestamp_ms: i64) -> Result<Written> {
    rewrite(by, &format::header(timestamp_ms)?, Body::Empty).map(|(written, _)| written)
}

/// Also whether what the snapshot held is dropped. It is not if somebody has replaced the journal since.
pub(crate) fn checkpoint(by: &Participant, snapshot: &Snapshot, timestamp_ms: i64) -> Result<(Written, bool)> {
    rewrite(by, &format::header(timestamp_ms)?, Body::Since(snapshot))
}

/// Writes the new journal beside the old one and renames it over. Also whether a snapshot's part was dropped.
pub(super) fn rewrite(by: &Participant, header: &[u8], body: Body<'_>) -> Result<(Written, bool)> {
    let then = match body {
        Body::All { then } => then,
        Body::Empty | Body::Since(_) => b"",
    };
    for _ in 0..REPLACED {
        let written = match Standing::open(by.dir())? {
            Some(old) => replace(by, &old, header, body, then)?,
            None => create(by, header, then)?.map(|written| (written, false)),
        };
        if let Some(written) = written {
            return Ok(written);
        }
    }
    Err(replaced(by.dir()))
}

/// A journal where there is none. Nobody sees it before it is complete: a shipped peer appends to an empty journal without
/// a header, and drops its first line when it stamps. `None`: somebody else made one.
pub(super) fn create(by: &Participant, header: &[u8], then: &[u8]) -> Result<Option<Written>> {
    let content = Content {
        header,
        carried: 0..0,
        newline: b"",
        then,
    };
    let new = New::create(by.dir())?;
    new.put(by, None, &content, by.options().sync, &mut Pieces::new()?)
}

/// `None`: the old journal is another by now, or has grown.
fn replace(
    by: &Participant,
    old: &Standing,
    header: &[u8],
    body: Body<'_>,
    then: &[u8],
) -> Result<Option<(Written, bool)>> {
    let name = Name(&by.dir().journal);
    let mut pieces = Pieces::new()?;
    let carries = !matches!(body, Body::Empty);
    let end = match carries {
        true => sound_size(&old.file, old.meta.size).map_err(|e| Error::os(e, &name))?,
        false => 0,
    };
    // Only in the very file that was read is it known what came after. A journal that was rewritten meanwhile keeps all it
    // has: to process an entry twice does no harm, to lose one does.
    let seen = match body {
        Body::Since(snapshot) => snapshot.end_in(old, end, &mut pieces, &name)?,
        Body::All { .. } | Body::Empty => None,
    };
    let start = match seen {
        Some(seen) => seen,
        None => pieces.entries(&old.file, end, &name)?,
    };
    let content = Content {
        header,
        newline: newline_behind(old, start..end).map_err(|e| Error::os(e, &name))?,
        carried: start..end,
        then,
    };
    // Entries that live on must be no less durable than they were.
    let durable = by.options().sync || carries;
    let written = New::create(by.dir())?.put(by, Some(old), &content, durable, &mut pieces)?;
    let Some(written) = written else { return Ok(None) };
    let late = if carries { bring_late(by, old)? } else { None };
    Ok(Some((late.unwrap_or(written), seen.is_some())))
}

/// What the last line lacks.
fn newline_behind(journal: &Standing, range: Range<u64>) -> sys::Result<&'static [u8]> {
    let mut byte = [MaybeUninit::uninit()];
    let is_cut = !range.is_empty() && sys::read_at(&journal.file, &mut byte, range.end - 1)? != b"\n";
    Ok(if is_cut { b"\n" } else { b"" })
}

/// Brings over what somebody who holds no lock appended to the old journal in the last instant: as any other append, with
/// its note, so that it writes over nobody and a kill leaves all of it or nothing. A crash before it leaves nothing of it;
/// there is no lock under which it would have been acknowledged.
fn bring_late(by: &Participant, old: &Standing) -> Result<Option<Written>> {
    let name = Name(&by.dir().journal);
    let told = |error: Error| {
        let what = "was replaced, but what was appended without the lock meanwhile is lost";
        Error::new(error.code(), format!("{name} {what}: {error}"))
    };
    let (mut from, mut written, mut late, mut was) = (old.meta.size, None, Vec::new(), 0);
    for _ in 0..REPLACED {
        let size = by.dir().fstat(&old.file).map_err(|e| told(Error::os(e, &name)))?.size;
        if size <= from {
            break;
        }
        late.clear();
        let length = usize::try_from(size - from).unwrap_or(usize::MAX);
        Room::default().reserve(&mut late, length).map_err(told)?;
        sys::read_behind(&old.file, &mut late, from, length).map_err(|e| told(Error::os(e, &name)))?;
        // A line that has not been finished yet: look again, once it does not grow any more, it is the last.
        let lines = if size == was { late.len() } else { whole_lines(&late) };
        was = size;
        if lines > 0 {
            written = Some(append(by, &late[..lines]).map_err(told)?);
            from += lines as u64;
        }
    }
    Ok(written)
}

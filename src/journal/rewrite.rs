//! A new journal in place of the old one, or where there is none: for a new header, and for a checkpoint. It is copied piece
//! by piece, so it may be larger than memory.

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::journal::append::append;
use crate::journal::format;
use crate::journal::new::{Content, New};
use crate::journal::pieces::Pieces;
use crate::journal::room::Room;
use crate::journal::snapshot::Snapshot;
use crate::journal::tail::{not_found, sound_size, whole_lines};
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

/// Also returns whether it dropped what the snapshot held. It does not if somebody has replaced the journal since.
pub(crate) fn checkpoint(by: &Participant, snapshot: &Snapshot, timestamp_ms: i64) -> Result<(Written, bool)> {
    rewrite(by, &format::header(timestamp_ms)?, Body::Since(snapshot))
}

/// Writes the new journal beside the old one, and renames it over that. Also returns whether a snapshot's part was dropped.
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

/// Makes a journal where there is none. Nobody sees it before it is complete, because a shipped peer appends to an empty
/// journal without a header, and drops the first line when it stamps. `None`: somebody else made one.
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

/// `None`: the old journal has been replaced, or has grown.
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
        true => sound_size(&old.file, old.meta.size).map_err(|errno| not_found(errno, &name))?,
        false => 0,
    };
    // We know what came after the snapshot only if this is the very file that was read. A journal that was rewritten meanwhile
    // keeps everything: to process an entry twice does no harm, to lose one does.
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
    // Entries that are carried over must be no less durable than they were.
    let durable = by.options().sync || carries;
    let written = New::create(by.dir())?.put(by, Some(old), &content, durable, &mut pieces)?;
    let Some(written) = written else { return Ok(None) };
    let late = if carries { bring_late(by, old)? } else { None };
    Ok(Some((late.unwrap_or(written), seen.is_some())))
}

/// The newline that the last line lacks, if it does.
fn newline_behind(journal: &Standing, range: Range<u64>) -> sys::Result<&'static [u8]> {
    let mut byte = [MaybeUninit::uninit()];
    let is_cut = !range.is_empty() && sys::read_at(&journal.file, &mut byte, range.end - 1)? != b"\n";
    Ok(if is_cut { b"\n" } else { b"" })
}

/// Brings over what somebody without the lock appended to the old journal in the last instant. It does so by an append like any
/// other, with its note, so that it overwrites nothing, and a kill leaves all of it or none. A crash before that loses it; but
/// nothing that was written without the lock counts as acknowledged.
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
        // The last line may not be finished yet: look again. If it does not grow any more, it is.
        let lines = if size == was { late.len() } else { whole_lines(&late) };
        was = size;
        if lines > 0 {
            written = Some(append(by, &late[..lines]).map_err(told)?);
            from += lines as u64;
        }
    }
    Ok(written)
}

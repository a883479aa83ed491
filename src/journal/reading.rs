//! The journal's bytes as they were at one moment, without what is not finished.
//!
//! If a journal ends with a newline, all its lines are whole. If it does not, it may have been read in the middle of an
//! append, which the kernel makes page by page, and half a path is another path; or it is **at rest**, and its last line
//! counts, as for the shipped reader. After the bytes were read, the lock, which is not taken, tells which:
//!
//! | the lock | the last line |
//! | --- | --- |
//! | has a note of an append to this journal that is not finished | is left out, with all of that append: from the noted size on |
//! | is free, or its holder cannot be in the middle of an append: a library peer without a note, a lock without a whole stamp, a shipped peer that is dead | counts if the journal's size is still the same: if an append was in progress when the bytes were read, it has ended by now, and has changed the size |
//! | anything else, such as a living shipped peer's | is left out: the next reader finds it, and a checkpoint keeps it |
//!
//! If the size has changed, everything is read again. NUL bytes at the end are not written yet (`tail.rs`).

use crate::error::{Error, Result};
use crate::journal::note::Note;
use crate::journal::room::Room;
use crate::journal::tail::{sound_part, whole_lines};
use crate::lock::dir::{Dir, Name, read_stamp};
use crate::lock::stamp::{Stamp, postscript_of};
use crate::sys::{self, Errno, Fd, FileId, FileKind, Open, process::is_alive};

/// How often a journal that keeps changing is read before its unfinished line is left out.
const LOOKS: usize = 8;

/// The bytes, with room for one more.
pub(super) fn read(dir: &Dir, file: &Fd, id: FileId, mut size: u64, room: &Room) -> Result<Vec<u8>> {
    let name = Name(&dir.journal);
    let os = |e| Error::os(e, &name);
    let mut content = Vec::new();
    for _ in 0..LOOKS {
        read_at_most(file, &mut content, size, &name, room)?;
        if matches!(content.last(), None | Some(b'\n' | 0)) {
            content.truncate(sound_part(&content));
            return Ok(content);
        }
        match unfinished(dir, id, content.len() as u64) {
            Unfinished::From(at) => {
                content.truncate(at);
                return Ok(content);
            }
            Unfinished::Perhaps => break,
            Unfinished::No => {}
        }
        size = dir.fstat(file).map_err(os)?.size;
        if size == content.len() as u64 {
            return Ok(content);
        }
    }
    content.truncate(whole_lines(&content));
    Ok(content)
}

/// Reads no more than was there at first: what is added meanwhile may not be whole.
fn read_at_most(file: &Fd, content: &mut Vec<u8>, size: u64, name: &Name<'_>, room: &Room) -> Result<()> {
    let wanted = usize::try_from(size).unwrap_or(usize::MAX);
    content.clear();
    if content.capacity() <= wanted {
        room.reserve(content, wanted.saturating_add(1))
            .map_err(|error| Error::new(error.code(), format!("read {name}: {error}")))?;
        sys::expect_much(content);
    }
    sys::read_behind(file, content, 0, wanted).map_err(|e| Error::os(e, name))
}

/// Whether the last line of what was read belongs to an append in progress.
enum Unfinished {
    No,
    Perhaps,
    /// Its append began here.
    From(usize),
}

fn unfinished(dir: &Dir, journal: FileId, size: u64) -> Unfinished {
    match dir.stat(&dir.lock) {
        Ok(None) => return Unfinished::No,
        // To open a device or a FIFO can have side effects.
        Ok(Some(meta)) if meta.kind == FileKind::Regular => {}
        _ => return Unfinished::Perhaps,
    }
    let content = match sys::open(&dir.fd, &dir.lock, Open::Read).and_then(|lock| read_stamp(&lock)) {
        Ok(content) => content,
        Err(Errno::NOENT) => return Unfinished::No,
        Err(_) => return Unfinished::Perhaps, // another user's
    };
    match Stamp::parse(&content) {
        Stamp::Library(_) => {
            let note = Note::parse(postscript_of(&content));
            match note.and_then(|note| note.cut(journal, size)).map(usize::try_from) {
                Some(Ok(from)) => Unfinished::From(from),
                _ => Unfinished::No,
            }
        }
        // A peer that creates a lock stamps it before it appends.
        Stamp::Cut { .. } => Unfinished::No,
        Stamp::Shipped { pid, .. } if !is_alive(pid) => Unfinished::No,
        Stamp::Shipped { .. } | Stamp::Foreign => Unfinished::Perhaps,
    }
}

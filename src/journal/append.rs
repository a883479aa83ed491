//! Adding entries, all or none.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use crate::error::{Error, Result};
use crate::journal::format::{HEADER_PREFIX, concat, header};
use crate::journal::note::Note;
use crate::journal::rewrite::{Body, create, rewrite};
use crate::journal::tail::{not_found, sound_size};
use crate::journal::{Participant, REPLACED, Standing, Written, replaced};
use crate::lock::dir::Name;
use crate::sys::{self, Errno, Fd};

/// The header of a journal that nobody has stamped yet.
const UNSTAMPED: &[u8] = b"# codegraph-journal v1 0\n";

/// Adds `lines` to the end.
pub(crate) fn append(by: &Participant, lines: &[u8]) -> Result<Written> {
    for _ in 0..REPLACED {
        let written = match Standing::open(by.dir())? {
            Some(journal) => append_to(by, journal, lines, None)?,
            None => create(by, UNSTAMPED, lines)?,
        };
        if let Some(written) = written {
            return Ok(written);
        }
    }
    Err(replaced(by.dir()))
}

/// Adds `lines` to the end, then advances the header: a crash in between leaves the entries under the older, more
/// cautious timestamp.
pub(crate) fn append_stamped(by: &Participant, lines: &[u8], timestamp_ms: i64) -> Result<Written> {
    let header = header(timestamp_ms)?;
    for _ in 0..REPLACED {
        let written = match Standing::open(by.dir())? {
            Some(journal) => match header_to_stamp(by, &journal, &header)? {
                Some(old) => append_to(by, journal, lines, Some(Stamp { old, new: &header }))?,
                None => return Ok(rewrite(by, &header, Body::All { then: lines })?.0),
            },
            None => create(by, &header, lines)?,
        };
        if let Some(written) = written {
            return Ok(written);
        }
    }
    Err(replaced(by.dir()))
}

/// A header that is to be overwritten in place, and the new one.
struct Stamp<'h> {
    old: Vec<u8>,
    new: &'h [u8],
}

/// `None`: the journal was replaced; try again. On failure the journal is as it was, or the message says what is not.
fn append_to(
    by: &Participant,
    mut journal: Standing,
    lines: &[u8],
    stamp: Option<Stamp<'_>>,
) -> Result<Option<Written>> {
    let dir = by.dir();
    let missing = missing(by, &mut journal)?;
    let bytes = match missing {
        b"" => Cow::Borrowed(lines),
        missing => Cow::Owned(concat(&[missing, lines])?), // one write, as without it
    };
    let os = |what, e| Error::os(e, format_args!("{what} {}", Name(&dir.journal)));
    refuse(&journal, bytes.len(), stamp.is_some()).map_err(|(what, e)| os(what, e))?;
    let note = Note::of(&journal, bytes.len());
    match &note {
        Some(note) => by.put_postscript(&note.line())?,
        None => by.clear_postscript()?, // if an earlier one could not be removed, it would cut this append
    }
    let mut done = 0;
    let mut stamped = None;
    let appended = (|| {
        sys::append(&journal.file, &bytes, &mut done).map_err(|e| ("append to", e))?;
        if let Some(stamp) = &stamp {
            stamp.put(&journal.file).map_err(|e| ("stamp", e))?;
            stamped = Some(stamp);
        }
        // codegraph's native engine replaces the journal without the lock; then what was written to the old one is gone.
        journal.stands(dir).map_err(|e| ("look at", e))
    })();
    // Before a message is made of the failure, because there may be no memory for that.
    let undone = appended.is_ok() || undo(by, &journal, done as u64, stamped);
    let _ = by.clear_postscript(); // all is done or undone, so it does no harm until the next append clears it
    match appended {
        Ok(stands) => Ok(stands.then(|| journal.written())),
        Err((what, errno)) if undone => Err(os(what, errno)),
        Err((what, errno)) => Err(stays(&os(what, errno))),
    }
}

fn stays(error: &Error) -> Error {
    let message = format!("{error}; what was appended could not be taken back and stands in the journal");
    Error::new(error.code(), message)
}

/// Refuses what would fail halfway, or end the program.
fn refuse(journal: &Standing, len: usize, stamps: bool) -> std::result::Result<(), (&'static str, Errno)> {
    // A write beyond the limit sends SIGXFSZ, and one up to it leaves half an entry.
    if journal.meta.size.saturating_add(len as u64) > sys::capacity::file_size_limit() {
        return Err(("append to", Errno::FBIG));
    }
    if stamps {
        // A file that may only be appended to (`chattr +a`) keeps this flag. Then the entries would stay without their stamp,
        // and nobody could take them back.
        sys::stop_appending(&journal.file)
            .and_then(|()| sys::go_on_appending(&journal.file))
            .map_err(|e| ("stamp", e))?;
    }
    Ok(())
}

/// What must be written before the first line: a header if the file is empty, a newline if the last line has none. First it
/// removes NUL bytes from the end, which a power cut has left.
fn missing(by: &Participant, journal: &mut Standing) -> Result<&'static [u8]> {
    let os = |e| Error::os(e, Name(&by.dir().journal));
    let Some(last) = journal.meta.size.checked_sub(1) else {
        return Ok(UNSTAMPED);
    };
    let mut byte = [MaybeUninit::uninit()];
    match sys::read_at(&journal.file, &mut byte, last).map_err(os)? {
        [b'\n'] => Ok(b""),
        [0] => {
            let sound = sound_size(&journal.file, journal.meta.size)
                .map_err(|errno| not_found(errno, &Name(&by.dir().journal)))?;
            by.surely_held()?;
            sys::truncate(&journal.file, sound).map_err(os)?;
            journal.meta.size = sound;
            Ok(if sound == 0 { UNSTAMPED } else { b"" })
        }
        _ => Ok(b"\n"),
    }
}

/// Restores the journal, unless the lock is another's by now, or somebody who takes no lock has added to the file: then what
/// was appended stays. It also stays if this fails as well, on a broken disk for example; the next append completes the last
/// line. `false`: it stays.
fn undo(by: &Participant, journal: &Standing, done: u64, stamped: Option<&Stamp<'_>>) -> bool {
    let before = journal.meta.size;
    let ours_alone = || by.still_held().is_ok() && sys::fstat(&journal.file).is_ok_and(|now| now.size == before + done);
    let take_back = || {
        // In this order: the header must not promise entries that are gone.
        let taken_back = stamped.map_or(Ok(()), |stamp| stamp.take_back(&journal.file));
        taken_back.and_then(|()| sys::truncate(&journal.file, before)).is_ok()
    };
    done == 0 || ours_alone() && take_back()
}

/// The current header, if it consists of plain digits, as many as in `new`.
fn header_to_stamp(by: &Participant, journal: &Standing, new: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut buf = [MaybeUninit::uninit(); 64];
    let os = |e| Error::os(e, Name(&by.dir().journal));
    let old = sys::read_at(&journal.file, &mut buf[..new.len()], 0).map_err(os)?;
    let digits = old
        .strip_prefix(HEADER_PREFIX)
        .and_then(|rest| rest.strip_suffix(b"\n"));
    let fits = digits.is_some_and(|digits| old.len() == new.len() && digits.iter().all(u8::is_ascii_digit));
    Ok(fits.then(|| old.to_vec()))
}

impl Stamp<'_> {
    const AT: usize = HEADER_PREFIX.len();

    /// Overwrites the header's digits, after the entries were appended.
    fn put(&self, file: &Fd) -> sys::Result<()> {
        sys::stop_appending(file)?;
        let written = sys::write_at(file, &self.new[Self::AT..], Self::AT as u64);
        if written.is_err() {
            let _ = self.take_back(file); // restore it, if possible
        }
        written
    }

    fn take_back(&self, file: &Fd) -> sys::Result<()> {
        sys::write_at(file, &self.old[Self::AT..], Self::AT as u64)
    }
}

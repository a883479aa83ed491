//! Adding entries, all or none.

use std::mem::MaybeUninit;

use crate::error::{Error, Result};
use crate::journal::format::{HEADER_PREFIX, concat, header};
use crate::journal::rewrite::{Body, create, rewrite};
use crate::journal::{REPLACED, Standing, Written, replaced};
use crate::lock::core::Core;
use crate::lock::dir::Name;
use crate::sys;

/// The header of a journal that nobody has stamped.
const UNSTAMPED: &[u8] = b"# codegraph-journal v1 0\n";

/// Adds `lines` to the end.
pub(crate) fn append(core: &Core, lines: &[u8]) -> Result<Written> {
    for _ in 0..REPLACED {
        let written = match Standing::open(&core.dir)? {
            Some(journal) => append_to(core, journal, lines, None)?,
            None => create(core, &[UNSTAMPED, lines])?,
        };
        if let Some(written) = written {
            return Ok(written);
        }
    }
    Err(replaced(&core.dir))
}

/// Adds `lines` to the end, then advances the header: a crash in between leaves the entries under the older, more
/// cautious timestamp.
pub(crate) fn append_stamped(core: &Core, lines: &[u8], timestamp_ms: i64) -> Result<Written> {
    let header = header(timestamp_ms)?;
    for _ in 0..REPLACED {
        let written = match Standing::open(&core.dir)? {
            Some(journal) if takes_stamp(core, &journal, &header)? => append_to(core, journal, lines, Some(&header))?,
            Some(_) => return rewrite(core, &header, Body::All { then: lines }),
            None => create(core, &[&header, lines])?,
        };
        if let Some(written) = written {
            return Ok(written);
        }
    }
    Err(replaced(&core.dir))
}

/// `None`: the journal was replaced; again. On failure it is as it was.
fn append_to(core: &Core, journal: Standing, lines: &[u8], header: Option<&[u8]>) -> Result<Option<Written>> {
    let dir = &core.dir;
    let missing = missing(&journal).map_err(|e| Error::os(e, Name(&dir.journal)))?;
    let whole;
    let bytes = match missing {
        b"" => lines,
        missing => {
            whole = concat(&[missing, lines])?; // one write, as without it
            &whole
        }
    };
    let mut done = 0;
    let appended = sys::append(&journal.file, bytes, &mut done)
        .map_err(|e| Error::os(e, format_args!("append to {}", Name(&dir.journal))))
        .and_then(|()| header.map_or(Ok(()), |header| stamp(core, &journal, header)))
        // codegraph's native engine replaces the journal without taking the lock: what went into the old one is gone.
        .and_then(|()| journal.stands(dir));
    match appended {
        Ok(stands) => Ok(stands.then(|| journal.written())),
        Err(error) => {
            undo(core, &journal, done as u64);
            Err(error)
        }
    }
}

/// What must come before the first line: a header where there is nothing, a newline after a tail that was cut.
fn missing(journal: &Standing) -> sys::Result<&'static [u8]> {
    let Some(last) = journal.meta.size.checked_sub(1) else {
        return Ok(UNSTAMPED);
    };
    let mut byte = [MaybeUninit::uninit()];
    match sys::read_at(&journal.file, &mut byte, last)? {
        [b'\n'] => Ok(b""),
        _ => Ok(b"\n"),
    }
}

/// As it was; unless the lock is another's by now, or somebody who takes no lock has added to the file: then what was
/// added stays. So it does when this fails too, on a broken disk say; the next append completes its last line.
fn undo(core: &Core, journal: &Standing, done: u64) {
    let before = journal.meta.size;
    let ours_alone =
        || core.still_held().is_ok() && sys::fstat(&journal.file).is_ok_and(|now| now.size == before + done);
    if done > 0 && ours_alone() {
        let _ = sys::truncate(&journal.file, before);
    }
}

/// Whether the header that stands is plain digits, as many as in `header`.
fn takes_stamp(core: &Core, journal: &Standing, header: &[u8]) -> Result<bool> {
    let mut buf = [MaybeUninit::uninit(); 64];
    let os = |e| Error::os(e, Name(&core.dir.journal));
    let old = sys::read_at(&journal.file, &mut buf[..header.len()], 0).map_err(os)?;
    let digits = old
        .strip_prefix(HEADER_PREFIX)
        .and_then(|rest| rest.strip_suffix(b"\n"));
    Ok(digits.is_some_and(|digits| old.len() == header.len() && digits.iter().all(u8::is_ascii_digit)))
}

/// Overwrites the header's digits, after the entries were appended.
fn stamp(core: &Core, journal: &Standing, header: &[u8]) -> Result<()> {
    let file = &journal.file;
    let at = HEADER_PREFIX.len();
    let mut buf = [MaybeUninit::uninit(); 64];
    let stamped = (|| {
        let old = sys::read_at(file, &mut buf[..header.len()], 0)?;
        sys::stop_appending(file)?;
        let written = sys::write_at(file, &header[at..], at as u64);
        if written.is_err() {
            let _ = sys::write_at(file, &old[at..], at as u64); // as it was, as far as that can be had
        }
        written
    })();
    stamped.map_err(|e| Error::os(e, format_args!("stamp {}", Name(&core.dir.journal))))
}

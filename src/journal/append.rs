//! Adding entries, all or none.

use std::mem::MaybeUninit;

use crate::error::{Error, Result};
use crate::journal::format::{HEADER_PREFIX, header};
use crate::journal::rewrite::{Body, rewrite};
use crate::journal::{Written, open_error};
use crate::lock::core::Core;
use crate::lock::dir::{Dir, Name};
use crate::sys::{self, Errno, Fd, FileId, Open};

/// How often a journal that is replaced under our hands, by somebody who takes no lock, is written to again.
pub(crate) const REPLACED: usize = 16;

/// What an append did, and how to undo it.
struct Appended {
    file: Fd,
    id: FileId,
    size_before: u64,
    created: bool,
}

/// Adds `lines` to the end.
pub(crate) fn append(core: &Core, lines: &[u8]) -> Result<Written> {
    let dir = &core.dir;
    for _ in 0..REPLACED {
        let appended = match append_once(dir, lines)? {
            Some(appended) => appended,
            None => continue,
        };
        // codegraph's native engine replaces the journal without taking the lock: what went into the old one is gone.
        if is_journal(dir, appended.id)? {
            return Ok(appended.written());
        }
    }
    Err(replaced(dir))
}

/// Adds `lines` to the end, then advances the header: a crash in between leaves the entries under the older, more
/// cautious timestamp.
pub(crate) fn append_stamped(core: &Core, lines: &[u8], timestamp_ms: i64) -> Result<Written> {
    let dir = &core.dir;
    let header = header(timestamp_ms)?;
    for _ in 0..REPLACED {
        if !can_stamp_in_place(dir, &header)? {
            return rewrite(core, &header, Body::All { then: lines });
        }
        let Some(appended) = append_once(dir, lines)? else {
            continue;
        };
        if let Err(error) = stamp_in_place(dir, &appended.file, &header) {
            appended.undo(dir);
            return Err(error);
        }
        if is_journal(dir, appended.id)? {
            return Ok(appended.written());
        }
    }
    Err(replaced(dir))
}

/// `None`: the journal came or went between two calls; again.
fn append_once(dir: &Dir, lines: &[u8]) -> Result<Option<Appended>> {
    let os = |e| Error::os(e, format_args!("append to {}", Name(&dir.journal)));
    let (file, created) = match open_journal(dir)? {
        Some(file) => (file, false),
        None => match sys::open(&dir.fd, &dir.journal, Open::CreateNewAppend) {
            Ok(file) => (file, true),
            Err(Errno::EXIST) => return Ok(None),
            Err(errno) => return Err(os(errno)),
        },
    };
    let meta = sys::fstat(&file).map_err(os)?;
    let appended = Appended {
        file,
        id: meta.id,
        size_before: meta.size,
        created,
    };
    let written = appended.missing(meta.size).and_then(|missing| match missing {
        b"" => sys::append(&appended.file, lines),
        missing => sys::append(&appended.file, &[missing, lines].concat()), // one write, as without it
    });
    match written {
        Ok(()) => Ok(Some(appended)),
        Err(errno) => {
            appended.undo(dir);
            Err(os(errno))
        }
    }
}

impl Appended {
    /// What must come before the first line: a header where there is nothing, a newline after a tail that was cut.
    fn missing(&self, size: u64) -> sys::Result<&'static [u8]> {
        let Some(last) = size.checked_sub(1) else {
            return Ok(b"# codegraph-journal v1 0\n");
        };
        let mut byte = [MaybeUninit::uninit()];
        match sys::read_at(&self.file, &mut byte, last)? {
            [b'\n'] => Ok(b""),
            _ => Ok(b"\n"),
        }
    }

    /// As it was. If that fails too, on a broken disk say, a part of the entries stays; the next append completes its
    /// last line.
    fn undo(&self, dir: &Dir) {
        if self.created && is_journal(dir, self.id).unwrap_or(false) {
            let _ = sys::unlink(&dir.fd, &dir.journal);
        } else {
            let _ = sys::truncate(&self.file, self.size_before);
        }
    }

    fn written(self) -> Written {
        Written {
            file: self.file,
            id: self.id,
        }
    }
}

/// Whether the header is plain digits, as many as in `header`.
fn can_stamp_in_place(dir: &Dir, header: &[u8]) -> Result<bool> {
    let Some(file) = open_journal(dir)? else {
        return Ok(false);
    };
    let mut buf = [MaybeUninit::uninit(); 64];
    let start = sys::read_at(&file, &mut buf, 0).map_err(|e| Error::os(e, Name(&dir.journal)))?;
    let Some(old) = start.get(..header.len()) else {
        return Ok(false);
    };
    let digits = old
        .strip_prefix(HEADER_PREFIX)
        .and_then(|rest| rest.strip_suffix(b"\n"));
    Ok(digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_digit)))
}

fn stamp_in_place(dir: &Dir, file: &Fd, header: &[u8]) -> Result<()> {
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
    stamped.map_err(|e| Error::os(e, format_args!("stamp {}", Name(&dir.journal))))
}

/// The journal, to read and to append to. `None`: there is none.
pub(crate) fn open_journal(dir: &Dir) -> Result<Option<Fd>> {
    let file = match sys::open(&dir.fd, &dir.journal, Open::Append) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(open_error(dir, errno)),
    };
    let meta = sys::fstat(&file).map_err(|e| Error::os(e, Name(&dir.journal)))?;
    dir.expect_regular(&dir.journal, &meta)?;
    Ok(Some(file))
}

fn is_journal(dir: &Dir, id: FileId) -> Result<bool> {
    dir.names(&dir.journal, id)
        .map_err(|e| Error::os(e, Name(&dir.journal)))
}

pub(crate) fn replaced(dir: &Dir) -> Error {
    let what = format!(
        "{}: replaced {REPLACED} times while it was written to",
        Name(&dir.journal)
    );
    Error::os(Errno::BUSY, what)
}

//! Adding entries, all or none.

use std::mem::MaybeUninit;

use crate::error::{Error, Result};
use crate::journal::format::{HEADER_PREFIX, header};
use crate::journal::rewrite::{Body, rewrite};
use crate::journal::{REPLACED, Standing, Written, replaced};
use crate::lock::core::Core;
use crate::lock::dir::{Dir, Name};
use crate::sys::{self, Errno, Open};

/// Adds `lines` to the end.
pub(crate) fn append(core: &Core, lines: &[u8]) -> Result<Written> {
    let dir = &core.dir;
    for _ in 0..REPLACED {
        let Some(target) = Target::open_or_create(dir)? else {
            continue;
        };
        target.append(dir, lines)?;
        // codegraph's native engine replaces the journal without taking the lock: what went into the old one is gone.
        if target.journal.stands(dir)? {
            return Ok(target.journal.written());
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
        let target = match Target::open(dir)? {
            Some(target) if target.takes_stamp(dir, &header)? => target,
            _ => return rewrite(core, &header, Body::All { then: lines }),
        };
        target.append(dir, lines)?;
        target.stamp(dir, &header)?;
        if target.journal.stands(dir)? {
            return Ok(target.journal.written());
        }
    }
    Err(replaced(dir))
}

/// The journal that an append goes to.
struct Target {
    journal: Standing,
    /// By this append.
    created: bool,
}

impl Target {
    fn open(dir: &Dir) -> Result<Option<Target>> {
        let existing = Standing::open(dir)?.map(|journal| Target {
            journal,
            created: false,
        });
        Ok(existing)
    }

    /// `None`: the journal came between two calls; again.
    fn open_or_create(dir: &Dir) -> Result<Option<Target>> {
        if let Some(target) = Target::open(dir)? {
            return Ok(Some(target));
        }
        let os = |e| Error::os(e, format_args!("create {}", Name(&dir.journal)));
        let file = match sys::open(&dir.fd, &dir.journal, Open::CreateNewAppend) {
            Ok(file) => file,
            Err(Errno::EXIST) => return Ok(None),
            Err(errno) => return Err(os(errno)),
        };
        match sys::fstat(&file) {
            Ok(meta) => Ok(Some(Target {
                journal: Standing { file, meta },
                created: true,
            })),
            Err(errno) => {
                let _ = sys::unlink(&dir.fd, &dir.journal); // if it stays, it is empty, and gets a header later
                Err(os(errno))
            }
        }
    }

    fn append(&self, dir: &Dir, lines: &[u8]) -> Result<()> {
        let file = &self.journal.file;
        let written = self.missing().and_then(|missing| match missing {
            b"" => sys::append(file, lines),
            missing => sys::append(file, &[missing, lines].concat()), // one write, as without it
        });
        written.map_err(|errno| {
            self.undo(dir);
            Error::os(errno, format_args!("append to {}", Name(&dir.journal)))
        })
    }

    /// What must come before the first line: a header where there is nothing, a newline after a tail that was cut.
    fn missing(&self) -> sys::Result<&'static [u8]> {
        let Some(last) = self.journal.meta.size.checked_sub(1) else {
            return Ok(b"# codegraph-journal v1 0\n");
        };
        let mut byte = [MaybeUninit::uninit()];
        match sys::read_at(&self.journal.file, &mut byte, last)? {
            [b'\n'] => Ok(b""),
            _ => Ok(b"\n"),
        }
    }

    /// As it was. If that fails too, on a broken disk say, a part of the entries stays; the next append completes its
    /// last line.
    fn undo(&self, dir: &Dir) {
        if self.created && self.journal.stands(dir).unwrap_or(false) {
            let _ = sys::unlink(&dir.fd, &dir.journal);
        } else {
            let _ = sys::truncate(&self.journal.file, self.journal.meta.size);
        }
    }

    /// Whether the header that stands is plain digits, as many as in `header`.
    fn takes_stamp(&self, dir: &Dir, header: &[u8]) -> Result<bool> {
        let mut buf = [MaybeUninit::uninit(); 64];
        let os = |e| Error::os(e, Name(&dir.journal));
        let old = sys::read_at(&self.journal.file, &mut buf[..header.len()], 0).map_err(os)?;
        let digits = old
            .strip_prefix(HEADER_PREFIX)
            .and_then(|rest| rest.strip_suffix(b"\n"));
        Ok(digits.is_some_and(|digits| old.len() == header.len() && digits.iter().all(u8::is_ascii_digit)))
    }

    /// Overwrites the header's digits, after the entries were appended. On failure those go again.
    fn stamp(&self, dir: &Dir, header: &[u8]) -> Result<()> {
        let file = &self.journal.file;
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
        stamped.map_err(|errno| {
            self.undo(dir);
            Error::os(errno, format_args!("stamp {}", Name(&dir.journal)))
        })
    }
}

//! Reading: the whole journal as it was at one moment, without the lock.

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::abi;
use crate::error::{ENOMEM, Error, Result};
use crate::journal::distinct::Distinct;
use crate::journal::format::{DELETED_PREFIX, Entry, Kind, is_unstamped, no_memory, parse_header, trim};
use crate::journal::open_error;
use crate::lock::dir::{Dir, Name};
use crate::sys::{self, Fd, FileId, Open};

/// The header is shorter than this, where it can be stamped in place.
const HEADER_ROOM: usize = 64;
/// Of how many bytes a line is taken to be, when room is made for all of them: fewer than most are of.
const LINE: usize = 32;
/// How often the header is read until it is the same twice.
const HEADER_READS: usize = 16;

/// What the journal held when it was read: each path once, in the order of its first mention, changed and deleted ones
/// apart.
///
/// It stands by itself, whatever happens to the lock or the file; but while it lives, it keeps the file that it was
/// read from open, so that a [`checkpoint`](crate::Journal::checkpoint) knows what was appended since.
#[derive(Debug)]
pub struct Snapshot {
    content: Vec<u8>,
    timestamp: f64,
    changed: Vec<Range<usize>>,
    deleted: Vec<Range<usize>>,
    /// The whole lines of entries, the newline of the header before them included.
    seen: Range<usize>,
    file: Fd,
    id: FileId,
}

impl Snapshot {
    pub(crate) fn read(dir: &Dir) -> Result<Snapshot> {
        let name = Name(&dir.journal);
        let os = |e| Error::os(e, &name);
        let file = sys::open(&dir.fd, &dir.journal, Open::Read).map_err(|e| open_error(dir, e))?;
        let meta = sys::fstat(&file).map_err(os)?;
        dir.expect_regular(&dir.journal, &meta)?;
        let header = stable_header(&file).map_err(os)?;
        let mut content = read_all(&file, meta.size, &name)?;
        // The header of before the entries: it promises no more than they hold.
        if content.len() >= header.len() {
            content[..header.len()].copy_from_slice(&header);
        }
        // The first line alone: what follows it can be much, and is about to be given away.
        let first = &content[..sys::find_byte(b'\n', &content).unwrap_or(content.len())];
        let code = match is_unstamped(first) {
            true => abi::JLOCK_EUNSTAMPED,
            false => abi::JLOCK_EHEADER,
        };
        Snapshot::parse(content, file, meta.id)?
            .ok_or_else(|| Error::new(code, format!("{name}: {}", crate::error::text(code))))
    }

    fn parse(mut content: Vec<u8>, file: Fd, id: FileId) -> Result<Option<Snapshot>> {
        let first = sys::find_byte(b'\n', &content).unwrap_or(content.len());
        let Some(timestamp) = parse_header(&content[..first]) else {
            return Ok(None);
        };
        let (mut changed, mut deleted) = (Distinct::with_room(content.len() / LINE), Distinct::with_room(0));
        let mut start = (first + 1).min(content.len());
        let mut end = start;
        while start < content.len() {
            let length = sys::find_byte(b'\n', &content[start..]);
            let line = start..length.map_or(content.len(), |length| start + length);
            if length.is_some() {
                end = line.end + 1;
            }
            start = line.end + 1;
            let line = trim_range(&content, line);
            match content[line.clone()].first() {
                None | Some(b'#') => {}
                Some(_) if content[line.clone()].starts_with(DELETED_PREFIX) => {
                    let path = line.start + DELETED_PREFIX.len()..line.end;
                    deleted.add(&content, path).map_err(no_memory)?;
                }
                Some(_) => changed.add(&content, line).map_err(no_memory)?,
            }
        }
        let changed = changed.into_ranges(&content).map_err(no_memory)?;
        let deleted = deleted.into_ranges(&content).map_err(no_memory)?;
        // For C: what follows a path is white space, or nothing. Now it is a NUL.
        content.try_reserve_exact(1).map_err(no_memory)?;
        content.push(0);
        for range in changed.iter().chain(&deleted) {
            content[range.end] = 0;
        }
        Ok(Some(Snapshot {
            content,
            timestamp,
            changed,
            deleted,
            seen: first..end.max(first),
            file,
            id,
        }))
    }

    /// The header's timestamp, in milliseconds since 1970, as the shipped reader gives it.
    pub fn timestamp(&self) -> f64 {
        self.timestamp
    }

    /// The paths that were changed.
    pub fn changed(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.changed.iter().map(|range| &self.content[range.clone()])
    }

    /// The paths that were deleted.
    pub fn deleted(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.deleted.iter().map(|range| &self.content[range.clone()])
    }

    /// How many paths of this kind.
    pub fn count(&self, kind: Kind) -> usize {
        self.ranges(kind).len()
    }

    /// One path of this kind, by its place in the order of first mention. In memory, a NUL follows it.
    pub fn get(&self, kind: Kind, index: usize) -> Option<Entry<'_>> {
        let range = self.ranges(kind).get(index)?.clone();
        Some(Entry {
            path: &self.content[range],
            kind,
        })
    }

    fn ranges(&self, kind: Kind) -> &[Range<usize>] {
        match kind {
            Kind::Changed => &self.changed,
            Kind::Deleted => &self.deleted,
        }
    }

    /// What stands in a journal after all that was read. `None`: it is not the journal that was read; another file, or
    /// one of which a part was taken back.
    pub(crate) fn since<'c>(&self, content: &'c [u8], id: FileId) -> Option<&'c [u8]> {
        // Its number alone could be another file's by now; but not while ours is open, as it is, save in a forked child.
        let same_file = self.id == id && self.file.number().is_ok();
        let (then, now) = (&self.content[self.seen.clone()], content.get(self.seen.clone())?);
        // What follows a path has become a NUL here; nearly always it was the newline. If not, it is not the same.
        let same = |(then, now): (&u8, &u8)| then == now || (*then == 0 && *now == b'\n');
        (same_file && then.iter().zip(now).all(same)).then(|| &content[self.seen.end..])
    }
}

fn trim_range(content: &[u8], line: Range<usize>) -> Range<usize> {
    let bytes = &content[line.clone()];
    // Nearly every line: nothing to trim.
    if let (Some(b'!'..=b'~'), Some(b'!'..=b'~')) = (bytes.first(), bytes.last()) {
        return line;
    }
    let trimmed = trim(bytes);
    let start = line.start + (trimmed.as_ptr() as usize - bytes.as_ptr() as usize);
    start..start + trimmed.len()
}

/// The first line, with its newline, read twice alike: a stamp in place can be seen half done. Empty: it is no header
/// that is ever stamped in place.
fn stable_header(file: &Fd) -> sys::Result<Vec<u8>> {
    let read = || -> sys::Result<Vec<u8>> {
        let mut buf = [MaybeUninit::uninit(); HEADER_ROOM];
        let bytes = sys::read_at(file, &mut buf, 0)?;
        let end = bytes.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1);
        Ok(bytes[..end].to_vec())
    };
    let mut header = read()?;
    for _ in 1..HEADER_READS {
        let again = read()?;
        if again == header {
            break;
        }
        header = again;
    }
    Ok(header)
}

/// As much as there is, with room for one byte more.
pub(crate) fn read_all(file: &Fd, size: u64, name: &Name<'_>) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    let mut wanted = usize::try_from(size).unwrap_or(usize::MAX).saturating_add(1);
    loop {
        if content.try_reserve_exact(wanted).is_err() {
            return Err(Error::new(
                -ENOMEM,
                format!("{name}: {wanted} bytes do not fit into memory"),
            ));
        }
        sys::expect_much(&mut content);
        sys::read_onto(file, &mut content).map_err(|e| Error::os(e, name))?;
        if content.len() < content.capacity() {
            return Ok(content);
        }
        wanted = content.len() / 2 + 1; // it has grown meanwhile
    }
}

//! Reading: the whole journal as it was at one moment, without the lock.

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::abi;
use crate::error::{Error, Result};
use crate::journal::distinct::Distinct;
use crate::journal::format::{DELETED_PREFIX, Entry, Kind, is_unstamped, parse_header, trim};
use crate::journal::pieces::Pieces;
use crate::journal::room::{Room, no_memory};
use crate::journal::{Standing, open_error, reading};
use crate::lock::dir::{Dir, Name};
use crate::sys::{self, Fd, FileId, Open};

/// A header that can be stamped in place is shorter than this.
const HEADER_ROOM: usize = 64;
/// The length that is assumed for a line when room is made for all of them; most are longer.
const LINE: usize = 32;
/// How often the header is read at most, until it is the same twice.
const HEADER_READS: usize = 16;

/// What the journal held when it was read: each path once, in the order of its first mention, with the changed ones and the
/// deleted ones apart.
///
/// It does not change, whatever happens to the lock or the file. While it lives, it keeps the file that it was read from
/// open, so that a [`checkpoint`](crate::Journal::checkpoint) knows what was appended since.
#[derive(Debug)]
pub struct Snapshot {
    content: Vec<u8>,
    timestamp: f64,
    changed: Vec<Range<usize>>,
    deleted: Vec<Range<usize>>,
    /// The whole lines of entries, and the newline of the header before them.
    seen: Range<usize>,
    /// The byte that stood behind each path, where a NUL stands now, in the order of their offsets. Empty: all were newlines.
    behind: Vec<u8>,
    file: Fd,
    id: FileId,
}

impl Snapshot {
    pub(crate) fn read(dir: &Dir) -> Result<Snapshot> {
        let name = Name(&dir.journal);
        let os = |e| Error::os(e, &name);
        let file = sys::open(&dir.fd, &dir.journal, Open::Read).map_err(|e| open_error(dir, e))?;
        let meta = dir.fstat(&file).map_err(os)?;
        dir.expect_regular(&dir.journal, &meta)?;
        let header = stable_header(&file).map_err(os)?;
        let room = Room::default();
        let mut content = reading::read(dir, &file, meta.id, meta.size, &room)?;
        // The header as it was before the entries were read: it promises no more than they hold.
        if content.len() >= header.len() {
            content[..header.len()].copy_from_slice(&header);
        }
        let first = sys::find_byte(b'\n', &content).unwrap_or(content.len());
        let Some(timestamp) = parse_header(&content[..first]) else {
            let code = match is_unstamped(&content[..first]) {
                true => abi::JLOCK_EUNSTAMPED,
                false => abi::JLOCK_EHEADER,
            };
            return Err(Error::about(name, code));
        };
        if content.len() == content.capacity() {
            room.reserve(&mut content, 1)?; // never: the reader leaves room for it
        }
        content.push(0);
        let (changed, deleted, end) = parse(&content, first, &name, &room)?;
        let behind = terminate(&mut content, &changed, &deleted, &room)?;
        Ok(Snapshot {
            content,
            timestamp,
            changed,
            deleted,
            seen: first..end.max(first),
            behind,
            file,
            id: meta.id,
        })
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

    /// One path of this kind, by its index in the order of first mention. In memory, a NUL follows it.
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

    /// Where what was read ends in a journal of this size. `None`: it is not the journal that was read, but another file, or
    /// a part of it was taken back.
    pub(super) fn end_in(
        &self,
        journal: &Standing,
        size: u64,
        pieces: &mut Pieces,
        name: &Name<'_>,
    ) -> Result<Option<u64>> {
        // The inode number alone could be another file's by now; but not while ours is open, which it is, except in a forked
        // child.
        let same_file = self.id == journal.meta.id && self.file.number().is_ok();
        let range = self.seen.start as u64..self.seen.end as u64;
        if !same_file || range.end > size {
            return Ok(None);
        }
        let (mut nuls, end) = (0, range.end);
        let same = pieces.each(&journal.file, range, name, |now, at| {
            let at = at as usize; // within `seen`
            Ok(self.is_same(&self.content[at..at + now.len()], now, &mut nuls))
        })?;
        Ok(same.then_some(end))
    }

    /// Whether a part of the file is now what it was then. `nuls` counts the NUL bytes of the parts before it.
    fn is_same(&self, mut then: &[u8], mut now: &[u8], nuls: &mut usize) -> bool {
        while let Some(at) = sys::find_byte(0, then) {
            let behind = self.behind.get(*nuls).copied().unwrap_or(b'\n');
            if then[..at] != now[..at] || now[at] != behind {
                return false;
            }
            (then, now) = (&then[at + 1..], &now[at + 1..]);
            *nuls += 1;
        }
        then == now
    }
}

type Ranges = Vec<Range<usize>>;

/// The changed and the deleted paths in `content`, whose first line ends at `first`, and which ends with a NUL; and where the
/// last whole line ends.
fn parse(content: &[u8], first: usize, name: &Name<'_>, room: &Room) -> Result<(Ranges, Ranges, usize)> {
    let length = content.len() - 1;
    let mut changed = Distinct::with_room(length / LINE, room);
    let mut deleted = Distinct::with_room(0, room);
    let mut start = (first + 1).min(length);
    let mut end = start;
    while start < length {
        let line = start..start + sys::find_byte_or_nul(b'\n', &content[start..]);
        if content[line.end] == b'\n' {
            end = line.end + 1;
        } else if line.end < length {
            return Err(damaged(name, &content[..length], line.end));
        }
        start = line.end + 1;
        let line = trim_range(content, line);
        match content[line.clone()].first() {
            None | Some(b'#') => {}
            Some(_) if content[line.clone()].starts_with(DELETED_PREFIX) => {
                deleted.add(content, line.start + DELETED_PREFIX.len()..line.end)?;
            }
            Some(_) => changed.add(content, line)?,
        }
    }
    Ok((changed.into_ranges(content)?, deleted.into_ranges(content)?, end))
}

/// Makes a NUL follow each path, for C. Nearly always it replaces a newline; if it always does, the result is empty. Otherwise
/// the result is what stood there, in the order of the paths' offsets.
fn terminate(content: &mut [u8], changed: &[Range<usize>], deleted: &[Range<usize>], room: &Room) -> Result<Vec<u8>> {
    let ends = || changed.iter().chain(deleted).map(|range| range.end);
    let mut odd = Vec::new();
    for end in ends() {
        let was = std::mem::replace(&mut content[end], 0);
        // The end may follow the last path, which is not compared then.
        if !matches!(was, b'\n' | 0) {
            odd.try_reserve(1).map_err(no_memory)?;
            odd.push((end, was));
        }
    }
    let mut behind = Vec::new();
    if !odd.is_empty() {
        let mut places = Vec::new();
        room.reserve(&mut places, changed.len() + deleted.len())?;
        places.extend(ends());
        places.sort_unstable();
        odd.sort_unstable();
        room.reserve(&mut behind, places.len())?;
        let mut odd = odd.into_iter().peekable();
        let was = |end| odd.next_if(|(odd, _)| *odd == end).map_or(b'\n', |(_, was)| was);
        behind.extend(places.into_iter().map(was));
    }
    Ok(behind)
}

/// For a reader, this is the same as a missing header: the journal cannot be relied on, and must be made anew.
fn damaged(name: &Name<'_>, content: &[u8], at: usize) -> Error {
    let count = content[at..].iter().take_while(|byte| **byte == 0).count();
    let what = format!(
        "{name}: damaged: {count} NUL bytes from byte {at} on, where a power cut or a failed write has left a hole; take \
         everything for changed, and write a new header"
    );
    Error::new(abi::JLOCK_EHEADER, what)
}

fn trim_range(content: &[u8], line: Range<usize>) -> Range<usize> {
    let bytes = &content[line.clone()];
    // True of nearly every line: there is nothing to trim.
    if let (Some(b'!'..=b'~'), Some(b'!'..=b'~')) = (bytes.first(), bytes.last()) {
        return line;
    }
    let trimmed = trim(bytes);
    let start = line.start + (trimmed.as_ptr() as usize - bytes.as_ptr() as usize);
    start..start + trimmed.len()
}

/// The first line, with its newline, once it was read twice alike: a reader can see a stamp in place half done. Empty: it is
/// no header that is ever stamped in place.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_lines_for_which_there_is_no_memory_are_refused() {
        let many = vec![0..1; 1 << 20];
        let told = terminate(&mut b"a \n".to_vec(), &many, &[], &Room::of(0)).unwrap_err();
        assert_eq!(told.code(), -libc::ENOMEM);
    }
}

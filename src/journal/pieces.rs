//! Reads a file piece by piece, so that a journal larger than memory can be compared and copied.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::journal::room::no_memory;
use crate::lock::dir::Name;
use crate::sys::{self, Fd};

/// Large enough that the cost of the system calls does not matter, small enough to stay in the cache.
const PIECE: usize = 256 << 10;

/// Reads files by pieces, into one buffer.
pub(super) struct Pieces {
    buffer: Vec<u8>,
}

impl Pieces {
    pub(super) fn new() -> Result<Pieces> {
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(PIECE).map_err(no_memory)?;
        Ok(Pieces { buffer })
    }

    /// Calls `each` with the bytes of the range, piece by piece, with their offsets, as long as it returns `true` and the
    /// file goes on. `Ok(false)`: it did not get to the end of the range.
    pub(super) fn each(
        &mut self,
        file: &Fd,
        range: Range<u64>,
        name: &Name<'_>,
        mut each: impl FnMut(&[u8], u64) -> Result<bool>,
    ) -> Result<bool> {
        let mut at = range.start;
        while at < range.end {
            let room = self.buffer.spare_capacity_mut();
            let most = usize::try_from(range.end - at).map_or(room.len(), |left| left.min(room.len()));
            let piece = sys::read_at(file, &mut room[..most], at).map_err(|e| Error::os(e, name))?;
            if piece.is_empty() || !each(piece, at)? {
                return Ok(false);
            }
            at += piece.len() as u64;
        }
        Ok(true)
    }

    /// Where the entries begin: behind the first line, or at 0 if the first line is an entry.
    pub(super) fn entries(&mut self, file: &Fd, size: u64, name: &Name<'_>) -> Result<u64> {
        let mut begin = size;
        self.each(file, 0..size, name, |piece, at| {
            let is_entry = at == 0 && piece.first() != Some(&b'#');
            let end = match is_entry {
                true => Some(0),
                false => sys::find_byte(b'\n', piece).map(|end| at + end as u64 + 1),
            };
            begin = end.unwrap_or(begin);
            Ok(end.is_none())
        })?;
        Ok(begin)
    }
}

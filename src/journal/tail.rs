//! The end of a journal, where a power cut can leave NUL bytes: the file has grown on disk, but the data have not arrived. No
//! entry contains a NUL, so they come from nowhere else. They count as not written yet, and so does the line that they cut,
//! because half a path is another path.

use std::mem::MaybeUninit;

use crate::error::Error;
use crate::lock::dir::Name;
use crate::sys::{self, Errno, Fd};

/// How much is read at once, from the end backwards.
const PIECE: usize = 4096;
/// How much is read for one byte: more than a power cut leaves, and little enough for a call that has a timeout and holds
/// the lock meanwhile.
const MOST: u64 = 64 << 20;

/// How much of `content` comes before such a tail.
pub(super) fn sound_part(content: &[u8]) -> usize {
    match content.last() {
        Some(0) => {}
        _ => return content.len(),
    }
    let written = content.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
    whole_lines(&content[..written])
}

/// The length of the lines that have their newline.
pub(super) fn whole_lines(content: &[u8]) -> usize {
    content.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}

/// As [`sound_part`], for a file of this size. `EFBIG`: its tail is longer than it may be.
pub(super) fn sound_size(file: &Fd, size: u64) -> sys::Result<u64> {
    let written = last(file, size, |byte| byte != 0)?;
    match written == size {
        true => Ok(size),
        false => last(file, written, |byte| byte == b'\n'),
    }
}

/// Why the end of a journal could not be found.
pub(super) fn not_found(errno: Errno, journal: &Name<'_>) -> Error {
    let why = "ends with more than 64 MiB of NUL bytes, or of one line that they cut: write a new header";
    match errno {
        Errno::FBIG => Error::os(errno, format_args!("{journal} {why}")),
        _ => Error::os(errno, journal),
    }
}

/// The offset behind the last wanted byte before `end`; 0 if there is none.
fn last(file: &Fd, mut end: u64, is_wanted: impl Fn(u8) -> bool) -> sys::Result<u64> {
    let least = end.saturating_sub(MOST);
    let mut buf = [MaybeUninit::uninit(); PIECE];
    let mut most = 1; // nearly always it is the last byte
    while end > 0 {
        if end < least {
            return Err(Errno::FBIG);
        }
        let length = end.min(most);
        let start = end - length;
        let piece = sys::read_at(file, &mut buf[..length as usize], start)?;
        if let Some(at) = piece.iter().rposition(|byte| is_wanted(*byte)) {
            return Ok(start + at as u64 + 1);
        }
        (end, most) = (start, PIECE as u64);
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_of_nul_bytes_takes_the_line_that_it_cuts_with_it() {
        let sound: [(&[u8], usize); 7] = [
            (b"", 0),
            (b"a\nb", 3),
            (b"a\nb\n", 4),
            (b"a\nb\n\0\0", 4),
            (b"a\nb\0", 2),
            (b"\0\0\0", 0),
            (b"a\0b", 3),
        ];
        for (content, size) in sound {
            assert_eq!(sound_part(content), size, "{}", content.escape_ascii());
        }
    }
}

//! The journal's lines, byte for byte: what is written, and how the shipped reader understands it.
//!
//! ```text
//! # codegraph-journal v1 <timestamp in ms>
//! path/of/a/changed/file
//! DELETED path/of/a/removed/file
//! ```

use std::ffi::CString;

use crate::abi;
use crate::error::{EINVAL, Error, Result};
use crate::journal::room::no_memory;
use crate::sys;

pub(crate) const HEADER_PREFIX: &[u8] = b"# codegraph-journal v1 ";
pub(crate) const DELETED_PREFIX: &[u8] = b"DELETED ";

/// Whether a path was changed or deleted.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Changed, or new.
    Changed,
    /// Deleted.
    Deleted,
}

/// One line of the journal. Paths are bytes; no encoding is assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry<'p> {
    /// The path, as the writer named it.
    pub path: &'p [u8],
    /// What happened to it.
    pub kind: Kind,
}

impl<'p> Entry<'p> {
    /// The path was changed, or is new.
    pub fn changed(path: &'p (impl AsRef<[u8]> + ?Sized)) -> Self {
        Entry {
            path: path.as_ref(),
            kind: Kind::Changed,
        }
    }

    /// The path was deleted.
    pub fn deleted(path: &'p (impl AsRef<[u8]> + ?Sized)) -> Self {
        Entry {
            path: path.as_ref(),
            kind: Kind::Deleted,
        }
    }

    /// Why the format cannot carry this entry: it would not read back as it was written.
    fn fault(&self) -> Option<&'static str> {
        let path = self.path;
        if path.is_empty() {
            Some("is empty")
        } else if path.iter().any(|b| matches!(b, b'\n' | b'\r' | 0)) {
            Some("contains a newline, carriage return or NUL")
        } else if trim(path).len() != path.len() {
            Some("starts or ends with white space")
        } else if path[0] == b'#' {
            Some("starts with '#', as a comment does")
        } else if self.kind == Kind::Changed && path.starts_with(DELETED_PREFIX) {
            Some("is a changed path that starts with 'DELETED '")
        } else {
            None
        }
    }
}

/// The entries' lines, each with its newline. All are checked before anything is written.
pub(crate) fn encode<'e>(entries: impl IntoIterator<Item = Entry<'e>>) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        if let Some(fault) = entry.fault() {
            let path = entry.path[..entry.path.len().min(200)].escape_ascii();
            let message = format!("entry {index} (\"{path}\") {fault}; nothing was written");
            return Err(Error::new(abi::JLOCK_EENTRY, message));
        }
        lines
            .try_reserve(DELETED_PREFIX.len() + entry.path.len() + 1)
            .map_err(no_memory)?;
        if entry.kind == Kind::Deleted {
            lines.extend_from_slice(DELETED_PREFIX);
        }
        lines.extend_from_slice(entry.path);
        lines.push(b'\n');
    }
    Ok(lines)
}

/// The parts in one piece.
pub(crate) fn concat(parts: &[&[u8]]) -> Result<Vec<u8>> {
    let mut whole = Vec::new();
    whole
        .try_reserve_exact(parts.iter().map(|part| part.len()).sum())
        .map_err(no_memory)?;
    parts.iter().for_each(|part| whole.extend_from_slice(part));
    Ok(whole)
}

/// The header's line.
pub(crate) fn header(timestamp_ms: i64) -> Result<Vec<u8>> {
    if timestamp_ms < 0 {
        let message = format!("timestamp {timestamp_ms}: before 1970");
        return Err(Error::new(-EINVAL, message));
    }
    Ok([HEADER_PREFIX, timestamp_ms.to_string().as_bytes(), b"\n"].concat())
}

/// The timestamp in a first line: a finite number above 0, in any form that JavaScript's `Number()` takes.
pub(crate) fn parse_header(line: &[u8]) -> Option<f64> {
    let number = number(trim(line.strip_prefix(HEADER_PREFIX)?))?;
    (number.is_finite() && number > 0.0).then_some(number)
}

/// Whether a first line is the header of a journal that was never stamped: its timestamp is 0.
pub(crate) fn is_unstamped(line: &[u8]) -> bool {
    let rest = line.strip_prefix(HEADER_PREFIX);
    rest.and_then(|rest| number(trim(rest))) == Some(0.0)
}

/// The shipped reader's `String.prototype.trim`, on bytes.
pub(crate) fn trim(mut line: &[u8]) -> &[u8] {
    while let Some(len) = white_space_at_start(line) {
        line = &line[len..];
    }
    while let Some(len) = white_space_at_end(line) {
        line = &line[..line.len() - len];
    }
    line
}

/// The white space and line terminators of ECMA-262 beyond ASCII, in UTF-8.
const WIDE_SPACES: [&[u8]; 18] = [
    b"\xc2\xa0",
    b"\xe1\x9a\x80",
    b"\xe2\x80\x80",
    b"\xe2\x80\x81",
    b"\xe2\x80\x82",
    b"\xe2\x80\x83",
    b"\xe2\x80\x84",
    b"\xe2\x80\x85",
    b"\xe2\x80\x86",
    b"\xe2\x80\x87",
    b"\xe2\x80\x88",
    b"\xe2\x80\x89",
    b"\xe2\x80\x8a",
    b"\xe2\x80\xa8",
    b"\xe2\x80\xa9",
    b"\xe2\x80\xaf",
    b"\xe2\x81\x9f",
    b"\xe3\x80\x80",
];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn is_narrow_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x0b | 0x0c | b'\r' | b' ')
}

#[inline]
fn white_space_at_start(line: &[u8]) -> Option<usize> {
    let first = *line.first()?;
    if first < 0x80 {
        return is_narrow_space(first).then_some(1);
    }
    wide_space(|space| line.starts_with(space))
}

#[inline]
fn white_space_at_end(line: &[u8]) -> Option<usize> {
    let last = *line.last()?;
    if last < 0x80 {
        return is_narrow_space(last).then_some(1);
    }
    wide_space(|space| line.ends_with(space))
}

fn wide_space(is: impl Fn(&[u8]) -> bool) -> Option<usize> {
    let spaces = WIDE_SPACES.iter().copied().chain([BYTE_ORDER_MARK]);
    spaces.filter(|space| is(space)).map(<[u8]>::len).next()
}

/// ECMA-262's StringNumericLiteral, its white space already trimmed. `None`: NaN.
fn number(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    if text.is_empty() {
        return Some(0.0);
    }
    let radix = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => Some(16),
        [b'0', b'o' | b'O', ..] => Some(8),
        [b'0', b'b' | b'B', ..] => Some(2),
        _ => None,
    };
    match radix {
        Some(radix) => whole_number(&text[2..], radix),
        None if is_decimal(text.as_bytes()) => sys::decimal(&CString::new(text).ok()?),
        None => None, // this includes Infinity, which is not finite
    }
}

/// `[+-] digits [. digits] [e [+-] digits]`, with digits before or after the point. For these, the C library and JavaScript
/// agree: both round to nearest.
fn is_decimal(text: &[u8]) -> bool {
    let unsigned = text
        .strip_prefix(b"+")
        .or_else(|| text.strip_prefix(b"-"))
        .unwrap_or(text);
    let (mantissa, exponent) = match unsigned.iter().position(|b| matches!(b, b'e' | b'E')) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.iter().position(|b| *b == b'.') {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, &[][..]),
    };
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    let exponent_ok = exponent.is_none_or(|exponent| {
        let exponent = exponent
            .strip_prefix(b"+")
            .or_else(|| exponent.strip_prefix(b"-"))
            .unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_ok
}

/// A whole number in a power-of-two radix, rounded to the nearest double, ties to even.
fn whole_number(digits: &str, radix: u32) -> Option<f64> {
    if digits.is_empty() {
        return None;
    }
    let bits = radix.trailing_zeros();
    let (mut head, mut dropped, mut sticky) = (0u128, 0i32, false);
    for digit in digits.chars() {
        let digit = digit.to_digit(radix)?;
        if head >> 100 == 0 {
            head = (head << bits) | u128::from(digit);
        } else {
            dropped = dropped.saturating_add(i32::try_from(bits).ok()?);
            sticky |= digit != 0;
        }
    }
    // Once anything was dropped, `head` has more than 53 bits, so one more bit decides a tie.
    let head = (head << 1) | u128::from(sticky);
    Some(head as f64 * 2f64.powi(dropped.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_takes_every_form_of_number_that_javascript_takes() {
        let takes = [
            ("1", 1.0),
            ("  1700000000000\t\r", 1.7e12),
            ("1.5e12", 1.5e12),
            ("+5", 5.0),
            (".5", 0.5),
            ("12.", 12.0),
            ("0x10", 16.0),
            ("0X1f", 31.0),
            ("0b101", 5.0),
            ("0o17", 15.0),
            ("0x20000000000001", 9_007_199_254_740_992.0),
            ("0x20000000000003", 9_007_199_254_740_996.0),
            ("\u{feff}7\u{3000}", 7.0),
            ("00012", 12.0),
            ("1e-3", 0.001),
        ];
        for (text, value) in takes {
            let line = [HEADER_PREFIX, text.as_bytes()].concat();
            assert_eq!(parse_header(&line), Some(value), "{text:?}");
        }
        for text in [
            "", "0", "-1", "x", "1_000", "Infinity", "1e999", "0x", "-0x10", "1 2", "NaN", "1e", "e5", ".", "0b2",
            "inf", "nan", "1n", "١",
        ] {
            let line = [HEADER_PREFIX, text.as_bytes()].concat();
            assert_eq!(parse_header(&line), None, "{text:?}");
        }
        assert_eq!(parse_header(b"# codegraph-journal v2 1"), None);
        assert_eq!(parse_header(b" # codegraph-journal v1 1"), None);
    }

    #[test]
    fn only_a_header_that_says_0_was_never_stamped() {
        let says = |number: &str| is_unstamped(&[HEADER_PREFIX, number.as_bytes()].concat());
        assert!(says("0") && says(" 0.0\r") && says(""));
        assert!(!says("x") && !says("-1") && !says("Infinity"));
        assert!(!is_unstamped(b"# codegraph-journal v2 0") && !is_unstamped(b"0"));
    }

    #[test]
    fn a_long_hexadecimal_number_is_rounded_once() {
        // 2^200 + 2^147 lies between two doubles, and ties to the even one; a bit far below breaks the tie upwards.
        let tie = format!("0x1{}8{}", "0".repeat(13), "0".repeat(36));
        let above = format!("0x1{}8{}1", "0".repeat(13), "0".repeat(35));
        assert_eq!(number(tie.as_bytes()), Some(2f64.powi(200)));
        assert_eq!(number(above.as_bytes()), Some(2f64.powi(200) + 2f64.powi(148)));
    }

    #[test]
    fn what_reads_back_otherwise_is_refused() {
        let refused: [&[u8]; 12] = [
            b"",
            b"a\nb",
            b"a\rb",
            b"a\0b",
            b" a",
            b"a ",
            b"\ta",
            b"#a",
            b"DELETED a",
            b"a\xc2\xa0",
            b"\xef\xbb\xbfa",
            b"\xe3\x80\x80",
        ];
        for path in refused {
            let error = encode([Entry::changed(path)]).unwrap_err();
            assert_eq!(error.code(), abi::JLOCK_EENTRY, "{:?}", path.escape_ascii());
        }
        assert!(encode([Entry::deleted("#a")]).is_err());
        let carried = encode([
            Entry::changed("a b"),
            Entry::deleted("DELETED x"),
            Entry::changed("DELETED"),
            Entry::changed(b"\xff\xc2"),
        ]);
        assert_eq!(carried.unwrap(), b"a b\nDELETED DELETED x\nDELETED\n\xff\xc2\n");
    }

    #[test]
    fn one_bad_entry_among_good_ones_is_named_and_nothing_is_encoded() {
        let error = encode([Entry::changed("good"), Entry::changed("bad\n")]).unwrap_err();
        assert!(error.message().starts_with("entry 1 (\"bad\\n\")"), "{error}");
    }
}

//! The shipped reader in Rust, line by line as it is in codegraph 3.11.2, without regard to speed. Only NUL bytes are read as
//! the library reads them.

#[path = "../../tests/differential/sound.rs"]
mod sound;

use std::collections::HashSet;

use sound::sound;

#[derive(Debug, PartialEq)]
pub struct Reading {
    pub timestamp: f64,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
}

/// `None` if it is not valid.
pub fn read(content: &[u8]) -> Option<Reading> {
    let content = String::from_utf8_lossy(sound(content)?);
    let mut lines = content.split('\n');
    let header = lines.next()?.strip_prefix("# codegraph-journal v1 ")?;
    let timestamp = number(trim(header))?;
    if !timestamp.is_finite() || timestamp <= 0.0 {
        return None;
    }
    let (mut changed, mut removed) = (Vec::new(), Vec::new());
    for line in lines.map(trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.strip_prefix("DELETED ") {
            Some(path) => removed.push(path.to_owned()),
            None => changed.push(line.to_owned()),
        }
    }
    Some(Reading {
        timestamp,
        changed: distinct(changed),
        removed: distinct(removed),
    })
}

pub fn distinct(paths: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    paths.into_iter().filter(|path| seen.insert(path.clone())).collect()
}

/// `String.prototype.trim`: Unicode's white space without U+0085, and U+FEFF.
pub fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c == '\u{feff}' || (c.is_whitespace() && c != '\u{85}'))
}

/// `Number`; `None` is NaN.
fn number(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    for (prefix, bits) in [("0x", 4), ("0o", 3), ("0b", 1)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            return binary(digits, bits);
        }
    }
    if text.is_empty() {
        return Some(0.0);
    }
    // What only Rust accepts, and what the two spell differently, are words.
    let words = text
        .bytes()
        .any(|b| b.is_ascii_alphabetic() && !matches!(b, b'e' | b'E'));
    if words {
        return (text.trim_start_matches(['+', '-']) == "Infinity").then_some(f64::INFINITY);
    }
    text.parse().ok()
}

/// Reads a whole number bit by bit; each digit has `bits` bits.
fn binary(digits: &str, bits: u32) -> Option<f64> {
    let mut all = Vec::new();
    for digit in digits.chars() {
        let value = digit.to_digit(1 << bits)?;
        all.extend((0..bits).rev().map(|bit| value >> bit & 1 == 1));
    }
    if digits.is_empty() {
        return None;
    }
    let significant: Vec<bool> = all.into_iter().skip_while(|bit| !bit).collect();
    let (head, tail) = significant.split_at(significant.len().min(53));
    let mantissa = head.iter().fold(0u64, |sum, bit| sum << 1 | u64::from(*bit));
    // To nearest, ties to even.
    let up = match tail.split_first() {
        Some((true, rest)) => rest.contains(&true) || mantissa & 1 == 1,
        _ => false,
    };
    let exponent = i32::try_from(tail.len()).ok()?;
    Some((mantissa + u64::from(up)) as f64 * 2f64.powi(exponent))
}

/// Whether the format can carry an entry: it reads back as it was written, and so would a changed path of this name, unless that
/// would be taken for the line of a deleted path.
pub fn carries(path: &[u8], deleted: bool) -> bool {
    reads_back(path, deleted) && (reads_back(path, false) || path.starts_with(b"DELETED "))
}

fn reads_back(path: &[u8], deleted: bool) -> bool {
    if path.iter().any(|b| matches!(b, b'\n' | b'\r' | 0)) {
        return false;
    }
    let content = [b"# codegraph-journal v1 1\n", line(path, deleted).as_slice()].concat();
    let written = vec![String::from_utf8_lossy(path).into_owned()];
    read(&content).is_some_and(|reading| match deleted {
        true => reading.removed == written && reading.changed.is_empty(),
        false => reading.changed == written && reading.removed.is_empty(),
    })
}

/// An entry's line.
pub fn line(path: &[u8], deleted: bool) -> Vec<u8> {
    let prefix: &[u8] = if deleted { b"DELETED " } else { b"" };
    [prefix, path, b"\n"].concat()
}

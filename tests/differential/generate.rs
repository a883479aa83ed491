//! Journals and numbers that a reader might meet, and many that it might not understand.

use crate::random::Random;

/// ECMA-262's white space and line terminators, and a few that only look like it: U+0085, U+180E, U+200B, NUL, U+001C.
const SPACES: [&str; 30] = [
    " ", " ", " ", "\t", "\r", "\x0b", "\x0c", "\u{a0}", "\u{1680}", "\u{2000}", "\u{2001}", "\u{2002}", "\u{2003}",
    "\u{2004}", "\u{2005}", "\u{2006}", "\u{2007}", "\u{2008}", "\u{2009}", "\u{200a}", "\u{2028}", "\u{2029}",
    "\u{202f}", "\u{205f}", "\u{3000}", "\u{feff}", "\u{85}", "\u{180e}", "\u{200b}", "\x1c",
];

const NUMBERS: [&str; 44] = [
    "",
    "0",
    "-0",
    "+0",
    "1",
    "-1",
    "0.5",
    ".5",
    "5.",
    ".",
    "+.5",
    "-.5e1",
    "1e",
    "e1",
    "1e+",
    "1e400",
    "1e-400",
    "0e999999999999999999999",
    "1e99999999999999999999",
    "1e-99999999999999999999",
    "Infinity",
    "-Infinity",
    "+Infinity",
    "infinity",
    "inf",
    "NaN",
    "nan",
    "0x",
    "0b",
    "0o",
    "0xg",
    "0b2",
    "0o8",
    "+0x1",
    "-0x1",
    "0x1.8",
    "0x1p3",
    "1_000",
    "1n",
    "1,5",
    "١٢",
    "017",
    "08",
    "9007199254740993",
];

/// Numbers at which rounding is decided: the largest and smallest doubles, what lies just beyond them, and ties.
const BORDERS: [&str; 12] = [
    "1.7976931348623157e308",
    "1.7976931348623158e308",
    "1.797693134862315807e308",
    "1.7976931348623159e308",
    "4.9406564584124654e-324",
    "2.4703282292062327e-324",
    "2.4703282292062328e-324",
    "2.2250738585072011e-308",
    "9007199254740992.99999999999999999999",
    "9007199254740993.00000000000000000000000000000000000001",
    "0.1000000000000000055511151231257827021181583404541015625",
    "9223372036854775807",
];

/// A journal, sound or not.
pub fn journal(random: &mut Random) -> Vec<u8> {
    if random.one_in(50) {
        return random.bytes(200);
    }
    let mut journal = header(random);
    for _ in 0..random.below(12) {
        line(random, &mut journal);
        line_end(random, &mut journal);
    }
    if random.one_in(6) {
        journal.truncate(random.below(journal.len() + 1)); // torn
    }
    if random.one_in(8) && !journal.is_empty() {
        let at = random.below(journal.len());
        journal[at] = random.next() as u8;
    }
    // NULs are the one thing that the two read differently, and here they would be damage; most journals should be
    // readable.
    if !random.one_in(6) {
        journal.retain(|byte| *byte != 0);
    }
    if random.one_in(12) {
        journal.resize(journal.len() + random.below(5), 0); // as after a power cut
    }
    journal
}

fn header(random: &mut Random) -> Vec<u8> {
    let mut header = Vec::new();
    if random.one_in(30) {
        spaces(random, &mut header); // nothing may come before the header
    }
    let prefix: &[u8] = match random.below(40) {
        0 => b"# codegraph-journal v2 ",
        1 => b"#codegraph-journal v1 ",
        2 => b"# codegraph-journal v1\t",
        3 => b"# codegraph-journal v1",
        4 => b"# Codegraph-Journal v1 ",
        5 => b"",
        _ => b"# codegraph-journal v1 ",
    };
    header.extend_from_slice(prefix);
    if random.one_in(4) {
        spaces(random, &mut header);
    }
    header.extend_from_slice(number(random).as_bytes());
    if random.one_in(4) {
        spaces(random, &mut header);
    }
    if random.one_in(40) {
        header.extend(random.bytes(3));
    }
    line_end(random, &mut header);
    header
}

/// What stands in place of the timestamp.
fn number(random: &mut Random) -> String {
    match random.below(14) {
        0..8 => format!("{}", 1_600_000_000_000 + random.below(400_000_000_000)),
        8 => random.pick(&NUMBERS).to_owned(),
        9 => random.pick(&BORDERS).to_owned(),
        10 | 11 => decimal(random),
        12 => radix(random),
        _ => random.text("0123456789abfxXoObBeE+-._nI ", 12),
    }
}

fn decimal(random: &mut Random) -> String {
    let mut text = random.pick(&["", "", "", "+", "-"]).to_owned();
    let length = random.pick(&[3, 16, 20, 400, 900]);
    text += &random.text("0123456789", length);
    if random.one_in(2) {
        text += ".";
        text += &random.text("0000123456789", length);
    }
    if random.one_in(2) {
        text += random.pick(&["e", "E"]);
        text += random.pick(&["", "+", "-"]);
        let digits = random.pick(&[1, 2, 3, 3, 3, 25]);
        text += &random.text("0123456789", digits);
    }
    text
}

fn radix(random: &mut Random) -> String {
    let (prefixes, digits) = random.pick(&[
        (["0x", "0X"], "0123456789abcdefABCDEF"),
        (["0o", "0O"], "01234567"),
        (["0b", "0B"], "01"),
    ]);
    let prefix = random.pick(&prefixes);
    if random.one_in(2) {
        return format!("{prefix}{}", near_tie(random, digits));
    }
    let length = random.pick(&[1, 14, 60, 300, 1100]);
    format!("{prefix}{}", random.text(digits, length))
}

/// The digits of a number halfway between two doubles, or slightly off it.
fn near_tie(random: &mut Random, digits: &str) -> String {
    let bits_each = if digits.len() > 8 {
        4
    } else {
        digits.len().ilog2() as usize
    };
    let mut bits = vec![1];
    bits.extend((0..52).map(|_| random.below(2)));
    bits.push(1); // one half
    bits.extend(std::iter::repeat_n(0, random.below(120)));
    bits.push(random.below(2)); // perhaps slightly more
    bits.resize(bits.len().next_multiple_of(bits_each), 0);
    let digit = |bits: &[usize]| bits.iter().fold(0, |sum, bit| sum << 1 | bit);
    let digits = digits.as_bytes();
    bits.chunks(bits_each)
        .map(|bits| char::from(digits[digit(bits)]))
        .collect()
}

fn line(random: &mut Random, out: &mut Vec<u8>) {
    if random.one_in(5) {
        spaces(random, out);
    }
    match random.below(32) {
        0 | 1 => {}
        2 | 3 => out.extend_from_slice(b"# a comment"),
        4 => out.extend(random.bytes(24)), // hardly ever UTF-8
        5 | 6 => out.extend_from_slice(random.wide_text(24).as_bytes()),
        7 => {
            let length = random.below(20_000);
            out.extend_from_slice(random.text("abc/ ", length).as_bytes());
        }
        8..16 => {
            let deleted = [
                "DELETED ",
                "DELETED ",
                "DELETED ",
                "DELETED",
                "DELETED  ",
                "DELETED\t",
                "DELETED\u{a0}",
                "deleted ",
            ];
            out.extend_from_slice(random.pick(&deleted).as_bytes());
            path(random, out);
        }
        _ => path(random, out),
    }
    if random.one_in(5) {
        spaces(random, out);
    }
}

/// One of a few paths, so that some are named more than once.
fn path(random: &mut Random, out: &mut Vec<u8>) {
    let plain = [
        "a",
        "b",
        "src/main.rs",
        "src/a b.rs",
        "DELETED a",
        "#a",
        "a\0b",
        "é/日本語/🦀",
    ];
    let not_utf8: [&[u8]; 4] = [b"\xff", b"\xfe", b"\xe2\x80", b"\xed\xa0\x80"];
    if random.one_in(10) {
        out.extend_from_slice(random.pick(&not_utf8));
    } else {
        out.extend_from_slice(random.pick(&plain).as_bytes());
    }
}

fn spaces(random: &mut Random, out: &mut Vec<u8>) {
    for _ in 0..=random.below(3) {
        out.extend_from_slice(random.pick(&SPACES).as_bytes());
    }
}

fn line_end(random: &mut Random, out: &mut Vec<u8>) {
    let ends = [
        "\n", "\n", "\n", "\n", "\n", "\n", "\n", "\n", "\n", "\r\n", "\r\n", "\r\n", "\n\n", "\r", "\u{2028}", "\0\n",
    ];
    out.extend_from_slice(random.pick(&ends).as_bytes());
}

/// A path that the format can carry, with all kinds of characters in it.
pub fn carried_path(random: &mut Random) -> String {
    let middle = match random.below(4) {
        0 => String::new(),
        1 => random.text("abc/. #\\\"'", 20),
        2 => format!("{}DELETED {}", random.pick(&SPACES).replace('\r', ""), random.below(9)),
        _ => random.wide_text(12).replace(['\n', '\r', '\0'], ""),
    };
    format!("{}{middle}{}", random.text("abcdefgh", 3), random.below(10))
}

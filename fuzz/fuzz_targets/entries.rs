//! Entries that are appended to some journal are in it as they were given, or nothing is written at all.
//!
//! The first byte says how to append; then each entry has a byte for its kind and length, and its path.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use jlock::{Entry, ErrorKind, Guard, Kind, Lock};
use jlock_fuzz::journal::{carries, line, read};
use jlock_fuzz::{directory, split};
use libfuzzer_sys::fuzz_target;

struct Scene {
    lock: &'static Lock,
    /// One handle holds its lock all the time; the other journal is free.
    _held: Guard<'static>,
    journal: PathBuf,
    free_lock: Lock,
    free_journal: PathBuf,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let (held, free) = (directory(), directory().join("free"));
    let lock: &'static Lock = Box::leak(Box::new(Lock::open(&held).expect("the lock opens")));
    Scene {
        lock,
        _held: lock.acquire().expect("nobody else is here"),
        journal: held.join("changes.journal"),
        free_lock: Lock::open(&free).expect("the lock opens"),
        free_journal: free.join("changes.journal"),
    }
});

const BASES: [&[u8]; 4] = [
    b"# codegraph-journal v1 1700000000000\nfirst\n",
    b"# codegraph-journal v1 1700000000000\ntorn",
    b"# codegraph-journal v1 5\n",
    b"",
];
const STAMP: i64 = 1_800_000_000_000;

fuzz_target!(|data: &[u8]| {
    let (how, rest) = split(data);
    let entries = entries(rest);
    let base = BASES[usize::from(how & 3)];
    let stamped = how & 4 != 0;
    let (lock, path) = match how & 0x70 {
        0 => (&SCENE.free_lock, &SCENE.free_journal),
        _ => (SCENE.lock, &SCENE.journal),
    };
    std::fs::write(path, base).expect("a journal");
    let written = match stamped {
        true => lock.journal().append_stamped(entries.iter().copied(), STAMP),
        false => lock.journal().append(entries.iter().copied()),
    };
    let now = std::fs::read(path).expect("a journal");
    let deleted = |entry: &Entry<'_>| entry.kind == Kind::Deleted;
    if entries.iter().all(|entry| carries(entry.path, deleted(entry))) {
        written.expect("written");
        let lines: Vec<u8> = entries
            .iter()
            .flat_map(|entry| line(entry.path, deleted(entry)))
            .collect();
        let expected = expected(base, &lines, stamped);
        assert!(
            now == expected,
            "{}\nnot\n{}",
            now.escape_ascii(),
            expected.escape_ascii()
        );
        assert_eq!(read(&now).is_some(), lock.journal().read().is_ok());
    } else {
        assert_eq!(written.expect_err("refused").kind(), ErrorKind::Entry);
        assert!(now == base);
    }
});

fn entries(mut rest: &[u8]) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        let (path, after) = after.split_at(usize::from(first & 0x3f).min(after.len()));
        entries.push(match first & 0x40 {
            0 => Entry::changed(path),
            _ => Entry::deleted(path),
        });
        rest = after;
    }
    entries
}

fn expected(base: &[u8], lines: &[u8], stamped: bool) -> Vec<u8> {
    let end = base.iter().position(|b| *b == b'\n').map_or(0, |at| at + 1);
    let (header, body) = base.split_at(end);
    let header = match (stamped, header) {
        (true, _) => format!("# codegraph-journal v1 {STAMP}\n").into_bytes(),
        (false, b"") => b"# codegraph-journal v1 0\n".to_vec(),
        (false, header) => header.to_vec(),
    };
    // A torn line is completed; a file to which nothing is added is left alone.
    let newline: &[u8] = match body.last() {
        None | Some(b'\n') => b"",
        Some(_) => b"\n",
    };
    [&header, body, newline, lines].concat()
}

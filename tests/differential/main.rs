//! This library against the shipped peer's own code: whatever a journal contains, both readers find the same in it, and
//! each reads what the other writes.
//!
//! The cases are drawn from a seed, which is always the same unless `JLOCK_SEED` names another. `JLOCK_PROVE=1` runs
//! more.

#[path = "../fault/scratch.rs"]
mod scratch;

mod generate;
mod history;
mod random;
mod shipped;
mod sound;

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use jlock::{ErrorKind, Lock};

use history::History;
use random::Random;
use scratch::Scratch;
use shipped::{Reading, Shipped};
use sound::sound;

fn proving() -> bool {
    std::env::var_os("JLOCK_PROVE").is_some()
}

/// Prints a line past the test harness, which swallows the output of tests that succeed.
fn say(line: &str) {
    let line = format!("{line}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("stderr");
}

fn random() -> Random {
    let seed = std::env::var("JLOCK_SEED").map_or(1, |seed| seed.parse().expect("JLOCK_SEED: a number"));
    say(&format!("JLOCK_SEED={seed}"));
    Random::new(seed)
}

/// One directory that both use.
struct Both {
    shipped: Shipped,
    lock: Lock,
    journal: PathBuf,
    _root: Scratch,
}

impl Both {
    fn new(name: &str) -> Both {
        let root = Scratch::new(name);
        let dir = root.path().join(".codegraph");
        Both {
            shipped: Shipped::new(root.path()),
            lock: Lock::open(&dir).expect("the lock opens"),
            journal: dir.join("changes.journal"),
            _root: root,
        }
    }

    /// What each of the two reads in the journal as it is.
    fn read(&mut self) -> (Reading, Reading) {
        (library_read(&self.lock, &self.journal), self.shipped.read())
    }
}

fn library_read(lock: &Lock, journal: &Path) -> Reading {
    let snapshot = match lock.journal().read() {
        Ok(snapshot) => snapshot,
        Err(error) => {
            assert!(
                matches!(error.kind(), ErrorKind::Header | ErrorKind::Unstamped) || !journal.exists(),
                "{error}"
            );
            return Reading::Invalid;
        }
    };
    Reading::Valid {
        timestamp: snapshot.timestamp().to_bits(),
        changed: snapshot.changed().map(as_javascript_reads).collect(),
        removed: snapshot.deleted().map(as_javascript_reads).collect(),
    }
}

/// A path that is not UTF-8: this library keeps it as it is, and the shipped reader puts U+FFFD in place of the bytes
/// that are not. This is the one difference.
fn as_javascript_reads(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// To the shipped reader, paths that differ only in what is replaced are one path.
fn merged(reading: Reading) -> Reading {
    let distinct = |paths: Vec<String>| {
        let mut seen = HashSet::new();
        paths.into_iter().filter(|path| seen.insert(path.clone())).collect()
    };
    match reading {
        Reading::Invalid => Reading::Invalid,
        Reading::Valid {
            timestamp,
            changed,
            removed,
        } => Reading::Valid {
            timestamp,
            changed: distinct(changed),
            removed: distinct(removed),
        },
    }
}

#[derive(Debug, Default)]
struct Tally {
    valid: usize,
    invalid: usize,
    entries: usize,
    not_utf8: usize,
}

impl Tally {
    fn add(&mut self, content: &[u8], reading: &Reading) {
        self.not_utf8 += usize::from(std::str::from_utf8(content).is_err());
        match reading {
            Reading::Invalid => self.invalid += 1,
            Reading::Valid { changed, removed, .. } => {
                self.valid += 1;
                self.entries += changed.len() + removed.len();
            }
        }
    }
}

#[test]
fn both_readers_find_the_same_in_any_journal() {
    let (mut both, mut random) = (Both::new("read"), random());
    let count = if proving() { 50_000 } else { 6_000 };
    let mut tally = Tally::default();
    for number in 0..count {
        let content = generate::journal(&mut random);
        std::fs::write(&both.journal, &content).expect("a journal");
        let ours = library_read(&both.lock, &both.journal);
        let theirs = match sound(&content) {
            Some(sound) => {
                std::fs::write(&both.journal, sound).expect("a journal");
                both.shipped.read()
            }
            None => Reading::Invalid,
        };
        let ours = match std::str::from_utf8(&content) {
            Ok(_) => ours,
            Err(_) => merged(ours),
        };
        assert!(
            ours == theirs,
            "journal {number}: \"{}\"\nhere    {ours:?}\nshipped {theirs:?}",
            content.escape_ascii()
        );
        tally.add(&content, &theirs);
    }
    say(&format!("{tally:?}"));
    say(&format!(
        "figure: journals read by the shipped reader and by this one = {count}"
    ));
    // Otherwise the comparison would not show much.
    let least = count / 10;
    assert!(tally.valid > 3 * least && tally.invalid > least && tally.not_utf8 > least && tally.entries > count);
}

#[test]
fn what_either_writes_the_other_reads() {
    let (mut both, mut random) = (Both::new("write"), random());
    let (histories, mut writes) = (if proving() { 5_000 } else { 200 }, 0);
    for number in 0..histories {
        let mut history = History::new(&mut both);
        for _ in 0..=random.below(8) {
            let expected = history.write(&mut both, &mut random);
            let (ours, theirs) = both.read();
            let told = || format!("history {number}: {:?}", history.told);
            assert!(ours == expected, "{}\nhere     {ours:?}\nexpected {expected:?}", told());
            assert!(
                theirs == expected,
                "{}\nshipped  {theirs:?}\nexpected {expected:?}",
                told()
            );
            writes += 1;
        }
    }
    say(&format!("figure: writes by either, read by both = {writes}"));
}

//! A checkpoint drops what the snapshot contained, whatever the lines look like, and returns whether it did.

use std::fs::{self, File};
use std::os::fd::AsFd;

use jlock::seam::Verdict;
use jlock::{Entry, Options};

use crate::scratch::{Scratch, append_raw, changed};
use crate::script::script;

const ODD_LINES: [&str; 9] = [
    "foo \n",
    "foo\r\nbar\r\n",
    "foo\t\n\tbar\n",
    "foo\u{a0}\nbar\u{3000}\r\nDELETED foo \n",
    "foo\u{2000}\nfoo\nfoo \n",
    "DELETED foo \nfoo \nDELETED bar\nbar\n",
    "  foo  \n\n# foo \n \nfoo\n",
    "\u{feff}foo\u{feff}\n",
    "foo\nbar\n",
];

#[test]
fn it_drops_what_was_seen_whatever_follows_the_paths() {
    for lines in ODD_LINES {
        let scratch = Scratch::with(lines);
        let lock = scratch.open();
        let snapshot = lock.journal().read().unwrap();
        lock.journal().append([Entry::changed("later")]).unwrap();
        assert!(lock.journal().checkpoint(&snapshot, 1).unwrap(), "{lines:?}");
        assert_eq!(scratch.entries(), "later\n", "{lines:?}");
    }
}

#[test]
fn it_notices_a_change_of_any_byte_that_was_seen() {
    for lines in ODD_LINES {
        let header = Scratch::with("").content().len();
        for at in 0..lines.len() {
            let scratch = Scratch::with(lines);
            let lock = scratch.open();
            let snapshot = lock.journal().read().unwrap();
            let mut content = fs::read(scratch.journal()).unwrap();
            content[header + at] ^= 1;
            fs::write(scratch.journal(), &content).unwrap(); // still the same file
            let told = format!("byte {at} of {lines:?}");
            assert!(!lock.journal().checkpoint(&snapshot, 1).unwrap(), "{told}");
            let kept = fs::read(scratch.journal()).unwrap();
            let kept = kept.strip_suffix(b"\n").unwrap_or(&kept); // the last line was completed
            let all = content.strip_suffix(b"\n").unwrap_or(&content);
            assert!(kept.ends_with(&all[header..]), "{told}");
        }
    }
}

#[test]
fn it_keeps_all_of_a_journal_that_was_replaced() {
    let scratch = Scratch::with("seen\n");
    let lock = scratch.open();
    let snapshot = lock.journal().read().unwrap();
    let copy = scratch.0.join("copy");
    fs::copy(scratch.journal(), &copy).unwrap();
    fs::rename(copy, scratch.journal()).unwrap();
    assert!(!lock.journal().checkpoint(&snapshot, 1).unwrap());
    assert_eq!(scratch.entries(), "seen\n");
}

#[test]
fn it_leaves_nul_bytes_at_the_end_behind() {
    let scratch = Scratch::with("seen\n");
    let lock = scratch.open();
    let snapshot = lock.journal().read().unwrap();
    append_raw(&scratch.journal(), "later\nhalf\0\0\0");
    assert!(lock.journal().checkpoint(&snapshot, 1).unwrap());
    assert_eq!(scratch.entries(), "later\n");
}

#[test]
fn a_new_journal_has_no_flock() {
    let scratch = Scratch::new();
    let lock = Options::new().sync(true).open(&scratch.0).unwrap(); // it keeps open what it wrote
    let is_free = || {
        let journal = File::open(scratch.journal()).unwrap();
        rustix::fs::flock(journal.as_fd(), rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok()
    };
    lock.journal().append([Entry::changed("a")]).unwrap();
    assert!(is_free(), "made");
    lock.journal().write_header(1).unwrap();
    assert!(is_free(), "replaced");
}

#[test]
fn what_is_brought_over_late_overwrites_nobodys_entry() {
    let scratch = Scratch::with("seen\n");
    let lock = scratch.open();
    lock.acquire().unwrap().release().unwrap(); // parks
    let snapshot = lock.journal().read().unwrap();
    let (journal, old) = (scratch.journal(), scratch.0.join("old"));
    fs::hard_link(&journal, &old).unwrap();
    let (mut renamed, mut others) = (false, 0);
    let without_the_lock = move |call: &'static str| {
        match call {
            "renameat" => {
                renamed = true;
                append_raw(&old, "late\n");
            }
            "pwrite64" | "write" if renamed && others == 0 => {
                others += 1;
                append_raw(&journal, "other\n");
            }
            _ => {}
        }
        Verdict::Proceed
    };
    assert!(script(without_the_lock, || lock.journal().checkpoint(&snapshot, 1)).unwrap());
    let mut found = changed(&lock.journal().read().unwrap());
    found.sort_unstable();
    assert_eq!(found, ["late", "other"]);
}

#[test]
fn a_kill_while_it_brings_something_over_leaves_no_half_path() {
    let late: String = (0..2000)
        .map(|number| format!("a/rather/long/path/{number:04}\n"))
        .collect();
    let scratch = Scratch::with("seen\n");
    let lock = scratch.open();
    lock.acquire().unwrap().release().unwrap(); // parks
    let snapshot = lock.journal().read().unwrap();
    let (journal, old) = (scratch.journal(), scratch.0.join("old"));
    fs::hard_link(&journal, &old).unwrap();
    let (mut renamed, text) = (false, late.clone());
    // The kernel completes the first page of the write that brings it over.
    let killed_within = move |call: &'static str| match call {
        "renameat" => {
            renamed = true;
            append_raw(&old, &text);
            Verdict::Proceed
        }
        "write" if renamed => {
            append_raw(&journal, &text[..4050]);
            Verdict::Die
        }
        _ => Verdict::Proceed,
    };
    let killed = script(killed_within, || {
        let done = lock.journal().checkpoint(&snapshot, 1);
        drop(lock);
        done
    });
    assert!(killed.is_err());
    let next = scratch.open();
    next.acquire().unwrap().release().unwrap();
    let paths = changed(&next.journal().read().unwrap());
    assert!(
        paths.iter().all(|path| late.lines().any(|line| line == path)),
        "{paths:?}"
    );
}

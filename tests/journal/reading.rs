//! A reader never sees half a path of an append in progress, but it sees the last line of a journal at rest.

use std::fs::{self, File};
use std::process::Command;

use jlock::seam::Verdict;
use jlock::{Entry, ErrorKind, Kind};

use crate::scratch::{HEADER, Scratch, append_raw, changed};
use crate::script::{at, script};

const NONCE: &str = "0123456789abcdef";

fn library_lock(note: &str) -> String {
    let pid = std::process::id();
    format!("{pid}\n{pid}-{NONCE}\njlock/1 boot= pidns=0 start=0 host=\n{note}")
}

fn shipped_lock(pid: u32) -> String {
    format!("{pid}\n{pid}-{NONCE}\n")
}

fn dead_pid() -> u32 {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

/// What a reader finds in a journal whose last line lacks its newline, beside this lock.
fn read_beside(lock: Option<String>) -> Vec<String> {
    let scratch = Scratch::with("whole\nsrc/ma");
    if let Some(lock) = lock {
        fs::write(scratch.lock(), lock).unwrap();
    }
    changed(&scratch.open().journal().read().unwrap())
}

#[test]
fn a_last_line_at_rest_counts() {
    assert_eq!(read_beside(None), ["whole", "src/ma"], "free");
    assert_eq!(
        read_beside(Some(library_lock(""))),
        ["whole", "src/ma"],
        "a library peer without a note"
    );
    assert_eq!(
        read_beside(Some(String::new())),
        ["whole", "src/ma"],
        "a shipped peer that has yet to stamp"
    );
    assert_eq!(
        read_beside(Some(shipped_lock(dead_pid()))),
        ["whole", "src/ma"],
        "a dead shipped peer"
    );
}

#[test]
fn a_last_line_beside_a_living_shipped_peer_does_not() {
    assert_eq!(read_beside(Some(shipped_lock(std::process::id()))), ["whole"]);
    assert_eq!(read_beside(Some("what is this?\n".to_owned())), ["whole"]);
}

/// A reader that was told of the lock, and what happens as it opens it.
fn read_while(becomes: impl FnOnce() -> Verdict + 'static, scratch: &Scratch) -> Vec<String> {
    let lock = scratch.open();
    let (mut told, mut becomes) = (false, Some(becomes));
    let opens = move |call| {
        told |= call == "newfstatat";
        match told && call == "openat" {
            true => becomes.take().map_or(Verdict::Proceed, |becomes| becomes()),
            false => Verdict::Proceed,
        }
    };
    changed(&script(opens, || lock.journal().read()).unwrap())
}

#[test]
fn a_last_line_beside_a_lock_that_cannot_be_read_does_not() {
    let scratch = Scratch::with("whole\nsrc/ma");
    fs::create_dir(scratch.lock()).unwrap();
    let opened = || unreachable!("if it were a device, to open it could do something");
    assert_eq!(read_while(opened, &scratch), ["whole"]);

    let scratch = Scratch::with("whole\nsrc/ma");
    fs::write(scratch.lock(), library_lock("")).unwrap();
    assert_eq!(read_while(|| Verdict::Fail(libc::EACCES), &scratch), ["whole"]);
}

#[test]
fn a_last_line_counts_if_the_lock_is_released_as_it_is_read() {
    let scratch = Scratch::with("whole\nsrc/ma");
    fs::write(scratch.lock(), library_lock("")).unwrap();
    let lock = scratch.lock();
    let released = move || {
        fs::remove_file(lock).unwrap();
        Verdict::Proceed
    };
    assert_eq!(read_while(released, &scratch), ["whole", "src/ma"]);
}

#[test]
fn what_a_note_says_is_not_finished_is_left_out_and_kept_by_a_checkpoint() {
    let scratch = Scratch::with("whole\n");
    let from = scratch.content().len();
    append_raw(&scratch.journal(), "src/main.rs\nsrc/ma");
    let inode = scratch.inode();
    let lock = scratch.open();
    let read = |note: String| {
        fs::write(scratch.lock(), library_lock(&note)).unwrap();
        lock.journal().read().unwrap()
    };
    let all = ["whole", "src/main.rs", "src/ma"];
    assert_eq!(
        changed(&read(format!("append={}:{from}:{}\n", inode + 1, from + 50))),
        all,
        "another journal"
    );
    assert_eq!(
        changed(&read(format!("append={inode}:{from}:{}\n", from + 5))),
        all,
        "finished"
    );
    assert_eq!(
        changed(&read(format!("append={inode}:{}:{}\n", from + 18, from + 50))),
        all,
        "not begun"
    );
    let snapshot = read(format!("append={inode}:{from}:{}\n", from + 50));
    assert_eq!(changed(&snapshot), ["whole"]);

    fs::remove_file(scratch.lock()).unwrap();
    append_raw(&scratch.journal(), "in.rs\n");
    assert!(lock.journal().checkpoint(&snapshot, 1).unwrap());
    assert_eq!(scratch.entries(), "src/main.rs\nsrc/main.rs\n");
}

#[test]
fn a_line_that_is_finished_while_it_is_read_counts_as_a_whole() {
    let scratch = Scratch::with("whole\nsrc/ma");
    let journal = scratch.journal();
    let lock = scratch.open();
    let finished = at("newfstatat", move || append_raw(&journal, "in.rs\n"));
    let snapshot = script(finished, || lock.journal().read()).unwrap();
    assert_eq!(changed(&snapshot), ["whole", "src/main.rs"]);
}

#[test]
fn a_line_that_is_taken_back_while_it_is_read_does_not_count() {
    let scratch = Scratch::with("whole\nsrc/ma");
    let journal = scratch.journal();
    let lock = scratch.open();
    let taken_back = at("newfstatat", move || {
        let journal = File::options().write(true).open(journal).unwrap();
        journal.set_len((HEADER.len() + "whole\n".len()) as u64).unwrap();
    });
    let snapshot = script(taken_back, || lock.journal().read()).unwrap();
    assert_eq!(changed(&snapshot), ["whole"]);
}

#[test]
fn what_is_added_while_it_is_read_is_left_out_if_it_is_not_whole() {
    let scratch = Scratch::with("whole\n");
    let journal = scratch.journal();
    let lock = scratch.open();
    let half = at("pread64", move || append_raw(&journal, "src/ma"));
    let snapshot = script(half, || lock.journal().read()).unwrap();
    assert_eq!(changed(&snapshot), ["whole"]);
}

#[test]
fn a_hole_is_reported_and_not_read_as_a_path() {
    let scratch = Scratch::with("whole\nhole\0\0\0\nmore\n");
    let error = scratch.open().journal().read().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Header);
    assert!(
        error.message().contains("damaged: 3 NUL bytes from byte 47 on"),
        "{error}"
    );
}

#[test]
fn nul_bytes_at_the_end_are_not_read() {
    for entries in ["whole\n\0\0", "whole\nhalf\0"] {
        let snapshot = Scratch::with(entries).open().journal().read().unwrap();
        assert_eq!(changed(&snapshot), ["whole"]);
    }
}

#[test]
fn a_path_is_found_by_its_index_among_those_of_its_kind() {
    let snapshot = Scratch::with("a\nDELETED b\nc\nd\n").open().journal().read().unwrap();
    assert_eq!(snapshot.deleted().collect::<Vec<_>>(), [b"b"]);
    for (kind, paths) in [(Kind::Changed, &["a", "c", "d"][..]), (Kind::Deleted, &["b"])] {
        assert_eq!(snapshot.count(kind), paths.len());
        let found: Vec<_> = (0..=paths.len()).map_while(|index| snapshot.get(kind, index)).collect();
        let expected = paths.iter().map(|path| Entry {
            path: path.as_bytes(),
            kind,
        });
        assert_eq!(found, expected.collect::<Vec<_>>());
    }
}

#[test]
fn an_append_removes_nul_bytes_at_the_end() {
    for (before, after) in [("whole\n\0\0", "whole\nnew\n"), ("whole\nhalf\0", "whole\nnew\n")] {
        let scratch = Scratch::with(before);
        scratch.open().journal().append([Entry::changed("new")]).unwrap();
        assert_eq!(scratch.entries(), after);
    }
    let scratch = Scratch::with("");
    let tail = 100_000; // several pieces
    let size = scratch.content().len() as u64;
    File::options()
        .write(true)
        .open(scratch.journal())
        .unwrap()
        .set_len(size + tail)
        .unwrap();
    scratch.open().journal().append([Entry::changed("new")]).unwrap();
    assert_eq!(scratch.entries(), "new\n");
}

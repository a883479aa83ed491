//! What is written to the journal, and what is not, if the lock is lost, a call fails or a process is killed.

use std::cell::RefCell;
use std::fs;
use std::rc::Rc;

use jlock::seam::Verdict;
use jlock::{Entry, ErrorKind, Lock};

use crate::scene::{At, HEADER, Scratch, World, append_raw, inode, meanwhile, once};

const EIO: i32 = 5;
const STAMP_MS: i64 = 1_700_000_000_001;

fn append(lock: &Lock, path: &str) -> jlock::Result<()> {
    lock.journal().append([Entry::changed(path)])
}

fn stamp(lock: &Lock, path: &str) -> jlock::Result<()> {
    lock.journal().append_stamped([Entry::changed(path)], STAMP_MS)
}

#[test]
fn nothing_is_written_under_a_hold_that_was_lost() {
    let scratch = Scratch::with("before\n");
    let lock = scratch.open();
    let held = lock.acquire().unwrap();
    scratch.steal();
    assert_eq!(append(&lock, "after").unwrap_err().kind(), ErrorKind::Lost);
    assert_eq!(scratch.content(), format!("{HEADER}before\n"));
    assert!(held.release().is_err());
}

/// What was written may have gone into a journal that the thief has replaced by an older copy.
#[test]
fn a_call_that_lost_its_lock_is_done_again() {
    let (scratch, world) = (Scratch::with("before\n"), World::new());
    let lock = world.parked(&scratch);
    let dir = scratch.dir();
    let mut written = 0;
    let robbed = move |at| {
        match at {
            // After the last look at the journal, and before the one at the lock.
            At::After("newfstatat") if written == 1 => {
                written = 2;
                dir.steal();
                dir.replace(&dir.journal(), &format!("{HEADER}before\nthief's\n"));
            }
            At::After("write") if written == 0 => written = 1,
            At::Pause if dir.lock().exists() => fs::remove_file(dir.lock()).unwrap(),
            _ => {}
        }
        Verdict::Proceed
    };
    world.run(robbed, || append(&lock, "ours")).unwrap();
    assert_eq!(scratch.content(), format!("{HEADER}before\nthief's\nours\n"));
}

#[test]
fn nul_bytes_are_not_taken_away_under_a_hold_that_was_lost() {
    let (scratch, world) = (Scratch::with("before\n\0\0\0"), World::new());
    let lock = scratch.open();
    let held = lock.acquire().unwrap();
    let dir = scratch.dir();
    let robbed = meanwhile(At::Before("pread64"), 1, move || {
        dir.steal();
    });
    let appended = world.run(robbed, || append(&lock, "after"));
    assert_eq!(appended.unwrap_err().kind(), ErrorKind::Lost);
    assert_eq!(scratch.content(), format!("{HEADER}before\n\0\0\0"));
    assert!(held.release().is_err());
}

/// Stamping fails, and at the same moment something else happens.
fn fail_to_stamp(scratch: &Scratch, meanwhile: impl FnOnce() + 'static) -> jlock::Error {
    let world = World::new();
    let lock = world.parked(scratch);
    let failing = once(At::Before("pwrite64"), 1, move || {
        meanwhile();
        Verdict::Fail(EIO)
    });
    world.run(failing, || stamp(&lock, "ours")).unwrap_err()
}

#[test]
fn what_was_taken_back_is_not_said_to_stand() {
    let scratch = Scratch::with("before\n");
    let error = fail_to_stamp(&scratch, || {});
    assert_eq!(error.code(), -EIO);
    assert!(!error.to_string().contains("stands in the journal"), "{error}");
    assert_eq!(scratch.content(), format!("{HEADER}before\n"));
}

/// Whoever has the lock by now may have read what was appended.
#[test]
fn an_undo_takes_nothing_from_a_thief_that_has_not_written_yet() {
    let scratch = Scratch::with("before\n");
    let dir = scratch.dir();
    let error = fail_to_stamp(&scratch, move || {
        dir.steal();
    });
    assert!(error.to_string().contains("stands in the journal"), "{error}");
    assert_eq!(scratch.content(), format!("{HEADER}before\nours\n"));
}

#[test]
fn an_undo_takes_nothing_from_a_writer_without_the_lock() {
    let scratch = Scratch::with("before\n");
    let dir = scratch.dir();
    let error = fail_to_stamp(&scratch, move || append_raw(&dir.journal(), "theirs\n"));
    assert!(error.to_string().contains("stands in the journal"), "{error}");
    assert_eq!(scratch.content(), format!("{HEADER}before\nours\ntheirs\n"));
}

/// If the process is killed halfway, the header must not promise entries that are gone.
#[test]
fn an_undo_takes_the_stamp_back_first() {
    let (scratch, world) = (Scratch::with("before\n"), World::new());
    let lock = world.parked(&scratch);
    let mut has_failed = false;
    let fails_then_dies = move |at| match at {
        At::Before("newfstatat") if !has_failed => {
            has_failed = true;
            Verdict::Fail(EIO)
        }
        At::Before("ftruncate") => Verdict::Die,
        _ => Verdict::Proceed,
    };
    world.run(fails_then_dies, || stamp(&lock, "ours")).unwrap_err();
    assert_eq!(scratch.content(), format!("{HEADER}before\nours\n"));
    drop(lock);
}

#[test]
fn a_kill_between_entries_and_stamp_leaves_the_older_stamp() {
    for killed_at in 1..60 {
        let (scratch, world) = (Scratch::with("before\n"), World::new());
        let mut calls = 0;
        let killed = move |at| {
            calls += usize::from(matches!(at, At::Before(_)));
            match calls == killed_at {
                true => Verdict::Die,
                false => Verdict::Proceed,
            }
        };
        let done = world.run(killed, || {
            scratch
                .options()
                .open(&scratch.0)
                .and_then(|lock| stamp(&lock, "after"))
        });
        let content = scratch.content();
        if !content.starts_with(HEADER) {
            assert!(content.ends_with("after\n"), "killed at call {killed_at}: {content}");
        }
        if done.is_ok() {
            return;
        }
    }
    panic!("it has more calls than that");
}

/// codegraph's native engine does this, without the lock.
#[test]
fn a_journal_that_was_replaced_under_an_append_gets_it_too() {
    let (scratch, world) = (Scratch::with("before\n"), World::new());
    let lock = world.parked(&scratch);
    let dir = scratch.dir();
    let replaced = meanwhile(At::Before("write"), 1, move || {
        dir.replace(&dir.journal(), &format!("{HEADER}another\n"));
    });
    world.run(replaced, || append(&lock, "after")).unwrap();
    assert_eq!(scratch.content(), format!("{HEADER}another\nafter\n"));
}

#[test]
fn a_note_that_could_not_be_taken_away_is_taken_away_before_the_next_append() {
    let (scratch, world) = (Scratch::new(), World::new());
    let filler = "#".repeat(4096 - HEADER.len() - 5);
    fs::write(scratch.journal(), format!("{HEADER}{filler}\n")).unwrap();
    let lock = scratch.open();
    let held = lock.acquire().unwrap();
    // The second append takes the note away.
    let stays = once(At::Before("ftruncate"), 2, || Verdict::Fail(EIO));
    world.run(stays, || append(&lock, "across/the/page")).unwrap();
    let noted = |content: &str| content.contains("append=");
    assert!(noted(&fs::read_to_string(scratch.lock()).unwrap()));
    let (dir, seen) = (scratch.dir(), Rc::new(RefCell::new(String::new())));
    let kept = Rc::clone(&seen);
    let looked = meanwhile(At::Before("write"), 1, move || {
        kept.replace(fs::read_to_string(dir.lock()).unwrap());
    });
    world.run(looked, || append(&lock, "a")).unwrap();
    assert!(
        seen.borrow().contains("jlock/1 ") && !noted(&seen.borrow()),
        "{}",
        seen.borrow()
    );
    held.release().unwrap();
}

// ------------------------------------------------------------------------------------------------- on disk

#[test]
fn what_is_synced_is_so_after_the_release_and_before_the_return() {
    let (scratch, world) = (Scratch::with("before\n"), World::new());
    let lock = scratch.options().sync(true).open(&scratch.0).unwrap();
    world.quietly(|| append(&lock, "after")).unwrap();
    assert!(
        world.place_of("unlinkat") < world.place_of("fdatasync"),
        "{:?}",
        world.calls()
    );
    assert!(
        world.place_of("fdatasync") < world.place_of("fsync"),
        "{:?}",
        world.calls()
    );
    world.quietly(|| append(&lock, "again")).unwrap();
    assert!(world.calls().contains(&"fdatasync") && !world.calls().contains(&"fsync"));
}

/// The kernel says once that a page could not be written, and then takes it for clean: asked again, it would say yes. The
/// next append makes everything durable that this one did not.
#[test]
fn a_sync_that_failed_is_reported_and_not_tried_again() {
    for (call, is_held) in [
        ("fdatasync", false),
        ("fsync", false),
        ("fdatasync", true),
        ("fsync", true),
    ] {
        let (scratch, world) = (Scratch::with("before\n"), World::new());
        let lock = scratch.options().sync(true).open(&scratch.0).unwrap();
        let held = is_held.then(|| world.quietly(|| lock.acquire()).unwrap());
        let fails = once(At::Before(call), 1, || Verdict::Fail(EIO));
        let told = world.run(fails, || append(&lock, "after")).unwrap_err();
        assert_eq!(told.code(), -EIO, "{told}");
        assert!(told.to_string().contains("may not be on disk"), "{told}");
        world.quietly(|| append(&lock, "again")).unwrap();
        let calls = world.calls();
        assert!(
            calls.contains(&"fdatasync") && calls.contains(&"fsync"),
            "{call}: {calls:?}"
        );
        assert_eq!(scratch.content(), format!("{HEADER}before\nafter\nagain\n"));
        drop(held.map(|held| world.quietly(|| held.release())));
    }
}

/// Somebody has copied our entries into a file that may not be on disk.
#[test]
fn what_is_synced_is_the_journal_that_stands() {
    let (scratch, world) = (Scratch::with("before\n"), World::new());
    let lock = scratch.options().sync(true).open(&scratch.0).unwrap();
    let dir = scratch.dir();
    let was = inode(&scratch.journal());
    let replaced = meanwhile(At::Before("fdatasync"), 1, move || {
        let content = dir.content();
        dir.replace(&dir.journal(), &content);
    });
    world.run(replaced, || append(&lock, "after")).unwrap();
    assert_ne!(inode(&scratch.journal()), was);
    let made = |call| world.calls().iter().filter(|made| **made == call).count();
    assert_eq!((made("fdatasync"), made("fsync")), (2, 2));
}

/// When the journal whose name is known to be on disk is gone, another one gets its inode number.
#[test]
fn a_journal_with_the_number_of_an_old_one_has_its_name_made_durable() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = scratch.options().sync(true).open(&scratch.0).unwrap();
    let other = scratch.open();
    append(&lock, "a").unwrap();
    for round in 0..20 {
        // The file system gives the first one's number to the second.
        other.journal().write_header(STAMP_MS + round).unwrap();
        other.journal().write_header(STAMP_MS + round).unwrap();
        world.quietly(|| append(&lock, "b")).unwrap();
        assert!(world.calls().contains(&"fsync"), "round {round}");
    }
}

// ------------------------------------------------------------------------------------------------- limits

/// The limit on file sizes, for this process.
struct Limited(rustix::process::Rlimit);

impl Limited {
    const MOST: u64 = 16 << 20; // more than any other test writes

    fn new() -> Limited {
        let before = rustix::process::getrlimit(rustix::process::Resource::Fsize);
        let most = rustix::process::Rlimit {
            current: Some(Limited::MOST),
            ..before
        };
        rustix::process::setrlimit(rustix::process::Resource::Fsize, most).unwrap();
        Limited(before)
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        rustix::process::setrlimit(rustix::process::Resource::Fsize, self.0).unwrap();
    }
}

/// Nobody ever sees half an entry, and no kill leaves one.
#[test]
fn what_would_go_beyond_the_limit_is_not_begun() {
    let (scratch, world) = (Scratch::new(), World::new());
    fs::write(scratch.journal(), "# codegraph-journal v1 1\n").unwrap();
    let file = fs::File::options().write(true).open(scratch.journal()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"\n", Limited::MOST - 5).unwrap();
    let lock = world.parked(&scratch);
    let _limited = Limited::new();
    let too_long = world.quietly(|| append(&lock, "a/longer/path"));
    assert_eq!(too_long.unwrap_err().code(), -27);
    assert!(!world.calls().contains(&"write"), "{:?}", world.calls());
    // The header gets more digits, which takes a new file.
    let rewritten = world.quietly(|| stamp(&lock, "a"));
    assert_eq!(rewritten.unwrap_err().code(), -27);
    assert!(!world.calls().contains(&"pwrite64"), "{:?}", world.calls());
}

/// Whoever claims the lock must not act on it.
#[test]
fn a_note_that_could_not_be_written_whole_is_taken_away() {
    let (scratch, world) = (Scratch::with("before\n"), World::new());
    let lock = scratch.open();
    let held = world.quietly(|| lock.acquire()).unwrap();
    let fails = once(At::Before("ftruncate"), 1, || Verdict::Fail(EIO));
    assert_eq!(
        world
            .run(fails, || append(&lock, &"long".repeat(2000)))
            .unwrap_err()
            .code(),
        -EIO
    );
    let left = fs::read_to_string(scratch.lock()).unwrap();
    assert!(!left.contains("append="), "{left}");
    world.quietly(|| held.release()).unwrap();
}

/// Otherwise each append would make the next hold park anew.
#[test]
fn a_note_that_was_taken_away_leaves_the_stamp_as_it_was() {
    let (scratch, world) = (Scratch::with("before\n"), World::new());
    let lock = world.parked(&scratch);
    let parked = scratch.private_file();
    let held = world.quietly(|| lock.acquire()).unwrap();
    world.quietly(|| append(&lock, &"long".repeat(2000))).unwrap();
    let calls = world.calls();
    assert!(calls.contains(&"ftruncate"), "it had a note: {calls:?}");
    assert!(!calls.contains(&"utimensat"), "no sign of life is needed: {calls:?}");
    world.quietly(|| held.release()).unwrap();
    assert_eq!(scratch.private_file(), parked);
}

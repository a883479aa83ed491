//! What file systems answer that lack something, or share it with other machines: each answer at the one call that gets it.

use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::rc::Rc;
use std::time::Duration;

use jlock::seam::Verdict;
use jlock::{Entry, ErrorKind};
use rustix::fs::FlockOperation;

use crate::places::open;
use crate::scene::{At, LIVING, Scratch, World, after, make_fifo, once};

/// SMB says so.
#[test]
fn a_flock_that_is_refused_on_a_file_server_is_held_by_another() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = open(&scratch, &scratch.options());
    world.quietly(|| lock.acquire().unwrap().release()).unwrap();
    fs::write(scratch.lock(), "4194304\n4194304-00000000deadbeef\n").unwrap(); // no process has this number
    let refused = |at| match at {
        At::Before("flock") => Verdict::Fail(libc::EACCES),
        _ => Verdict::Proceed,
    };
    let tried = world.run(refused, || lock.try_acquire().map(drop));
    assert_eq!(tried.unwrap_err().kind(), ErrorKind::WouldBlock);
    world.quietly(|| lock.try_acquire().unwrap().release()).unwrap();
}

/// NFS says so.
#[test]
fn a_hold_whose_file_the_server_no_longer_has_is_lost_and_over() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = open(&scratch, &scratch.options());
    let gone = |at| match at {
        At::Before("pread64") => Verdict::Fail(libc::ESTALE),
        _ => Verdict::Proceed,
    };
    let held = world.quietly(|| lock.acquire()).unwrap();
    let unknown = once(At::Before("pread64"), 1, || Verdict::Fail(libc::EIO));
    assert_eq!(world.run(unknown, || held.refresh()).unwrap_err().code(), -libc::EIO);
    assert_eq!(
        world.run(gone, || held.refresh()).unwrap_err().code(),
        jlock::abi::JLOCK_ELOST
    );
    let released = world.run(gone, || held.release());
    assert_eq!(released.unwrap_err().error.code(), jlock::abi::JLOCK_ELOST);
    fs::remove_file(scratch.lock()).unwrap();
    world.quietly(|| lock.acquire().unwrap().release()).unwrap();
}

/// NFS says so.
#[test]
fn a_flock_that_needs_a_file_open_for_writing_gets_one() {
    let (scratch, world) = (Scratch::new(), World::new());
    let stamp = scratch.dead_stamp();
    let lock = world.parked(&scratch);
    for held in [false, true] {
        fs::write(scratch.lock(), &stamp).unwrap();
        let theirs = File::open(scratch.lock()).unwrap();
        if held {
            rustix::fs::flock(&theirs, FlockOperation::LockExclusive).unwrap();
        }
        let for_reading = after("linkat", "flock", || Verdict::Fail(libc::EBADF));
        match world.run(for_reading, || lock.try_acquire()) {
            Ok(guard) => world.quietly(|| guard.release()).unwrap(),
            Err(error) => assert!(held && error.kind() == ErrorKind::WouldBlock, "{error}"),
        }
        assert_eq!(scratch.lock().exists(), held);
    }
}

#[test]
fn a_file_system_that_numbers_a_file_anew_at_each_look_is_refused() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = open(&scratch, &scratch.options());
    let refused = |at| match at {
        At::Before("flock") => Verdict::Fail(libc::EBADF),
        _ => Verdict::Proceed,
    };
    let told = world.run(refused, || lock.try_acquire().map(drop)).unwrap_err();
    assert!(told.message().contains("another number at each look"), "{told}");
    assert!(scratch.private_files().is_empty());
    let here = scratch.open();
    let told = world.run(refused, || here.try_acquire().map(drop)).unwrap_err();
    assert_eq!(told.code(), -libc::EBADF, "{told}");
    assert!(scratch.private_files().is_empty());
}

#[test]
fn somebody_who_locks_every_new_file_is_reported() {
    let (scratch, world) = (Scratch::new(), World::new());
    let (lock, dir) = (scratch.open(), scratch.dir());
    let locked = Rc::new(RefCell::new(Vec::new()));
    let keep = Rc::clone(&locked);
    let locks = move |at| {
        for path in dir.private_files().iter().filter(|_| at == At::Before("flock")) {
            let file = File::open(path).unwrap();
            rustix::fs::flock(&file, FlockOperation::LockShared).unwrap();
            keep.borrow_mut().push(file);
        }
        Verdict::Proceed
    };
    let told = world.run(locks, || lock.try_acquire().map(drop)).unwrap_err();
    assert_eq!(told.code(), -libc::EBUSY, "{told}");
    assert!(!locked.borrow().is_empty() && scratch.private_files().is_empty());
}

/// SMB says so of a file that is open under its other name.
#[test]
fn a_link_that_cannot_be_opened_is_no_link() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = open(&scratch, &scratch.options());
    let refused = after("linkat", "openat", || Verdict::Fail(libc::EINVAL));
    let held = world.run(refused, || lock.try_acquire()).unwrap();
    assert!(world.calls().contains(&"renameat2"), "{:?}", world.calls());
    assert!(lock.inspect().unwrap().without_link);
    held.release().unwrap();
}

/// The lock is made in its place, where neither a link nor a rename is exclusive.
#[test]
fn a_lock_that_cannot_be_made_in_its_place_is_an_error_unless_it_stands_by_then() {
    for stands in [false, true] {
        let (scratch, world) = (Scratch::new(), World::new());
        let (lock, dir) = (scratch.open(), scratch.dir());
        let mut full = after("renameat2", "openat", move || {
            if stands {
                dir.steal();
            }
            Verdict::Fail(libc::ENOSPC)
        });
        let lacks = move |at| match (at, full(at)) {
            (At::Before("linkat"), _) => Verdict::Fail(libc::EPERM),
            (At::Before("renameat2"), _) => Verdict::Fail(libc::EINVAL),
            (_, verdict) => verdict,
        };
        let told = world.run(lacks, || lock.try_acquire().map(drop)).unwrap_err();
        match stands {
            true => assert_eq!(told.kind(), ErrorKind::WouldBlock, "{told}"),
            false => assert_eq!(told.code(), -libc::ENOSPC, "{told}"),
        }
        // A lack of room says nothing about links.
        assert_eq!(lock.inspect().unwrap().without_link, stands);
    }
}

#[test]
fn a_foreign_lock_is_renamed_over_where_nothing_can_be_exchanged() {
    for errno in [libc::EINVAL, libc::EIO] {
        let (scratch, world) = (Scratch::new(), World::new());
        let lock = world.parked(&scratch);
        fs::write(scratch.lock(), "nobody's stamp\n").unwrap();
        world.age(&scratch.lock(), Duration::from_secs(3600));
        let refused = once(At::Before("renameat2"), 1, move || Verdict::Fail(errno));
        match world.run(refused, || lock.try_acquire()) {
            Ok(held) => {
                assert!(world.calls().contains(&"renameat"), "{:?}", world.calls());
                assert_eq!(world.pauses.get(), 1, "it settles once");
                world.quietly(|| held.release()).unwrap();
            }
            Err(error) => assert_eq!((errno, error.code()), (libc::EIO, -errno), "{error}"),
        }
        assert_eq!(scratch.lock().exists(), errno == libc::EIO);
    }
}

#[test]
fn whoever_does_not_settle_does_not_sleep_when_a_sign_of_life_is_overdue() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = scratch.options().settle(Duration::ZERO).open(&scratch.0).unwrap();
    let held = world.quietly(|| lock.acquire().unwrap());
    world.pass(Duration::from_secs(60));
    let before = world.pauses.get();
    world.quietly(|| held.refresh()).unwrap();
    assert_eq!(world.pauses.get(), before);
    assert_ne!(fs::read_to_string(scratch.lock()).unwrap(), LIVING);
    world.quietly(|| held.release()).unwrap();
}

#[test]
fn a_lock_that_is_gone_as_it_could_not_be_opened_is_free() {
    let (scratch, world) = (Scratch::new(), World::new());
    let (lock, dir) = (world.parked(&scratch), scratch.dir());
    fs::write(scratch.lock(), LIVING).unwrap();
    let gone = after("linkat", "openat", move || {
        fs::remove_file(dir.lock()).unwrap();
        Verdict::Fail(libc::EACCES)
    });
    let held = world.run(gone, || lock.try_acquire()).unwrap();
    world.quietly(|| held.release()).unwrap();
}

#[test]
fn a_stamp_that_cannot_be_written_leaves_no_file_behind() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = scratch.open();
    let full = once(At::Before("pwrite64"), 1, || Verdict::Fail(libc::ENOSPC));
    let tried = world.run(full, || lock.acquire().map(drop));
    assert_eq!(tried.unwrap_err().code(), -libc::ENOSPC);
    assert!(scratch.private_files().is_empty());
}

/// It can be opened, and what is written to it is gone.
#[test]
fn a_fifo_is_no_journal() {
    let scratch = Scratch::new();
    make_fifo(&scratch.journal());
    let lock = scratch.open();
    let appended = lock.journal().append([Entry::changed("a")]);
    assert_eq!(appended.unwrap_err().kind(), ErrorKind::NotLock);
    assert_eq!(lock.journal().read().unwrap_err().kind(), ErrorKind::NotLock);
}

/// sshfs knows no other error for it.
#[test]
fn a_name_that_is_taken_is_no_lack_of_links_whatever_the_error() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = open(&scratch, &scratch.options());
    world.quietly(|| lock.acquire().unwrap().release()).unwrap();
    let parked = scratch.private_file();
    fs::write(scratch.lock(), LIVING).unwrap();
    let refused = |at| match at {
        At::Before("linkat") => Verdict::Fail(libc::EPERM),
        _ => Verdict::Proceed,
    };
    let tried = world.run(refused, || lock.try_acquire().map(drop));
    assert_eq!(tried.unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(scratch.private_file(), parked);
    assert!(!lock.inspect().unwrap().without_link);
    drop(lock);
    assert!(scratch.private_files().is_empty());
}

/// A program has closed it, for example.
#[test]
fn a_parked_stamp_whose_file_is_not_ours_any_more_is_removed_and_parked_again() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = world.parked(&scratch);
    let parked = scratch.private_file();
    let refused = once(At::Before("linkat"), 1, || Verdict::Fail(libc::EBADF));
    let held = world.run(refused, || lock.try_acquire()).unwrap();
    assert_ne!(scratch.private_file(), parked);
    world.quietly(|| held.release()).unwrap();
}

/// It is ours, and others would wait for it.
#[test]
fn a_stamp_that_is_not_what_was_linked_and_cannot_be_removed_is_an_error() {
    let (scratch, world) = (Scratch::new(), World::new());
    let (lock, dir) = (open(&scratch, &scratch.options()), scratch.dir());
    let mut shows_another = after("linkat", "statx", move || {
        dir.replace(&dir.lock(), LIVING);
        Verdict::Proceed
    });
    let mut stays = after("statx", "unlinkat", || Verdict::Fail(libc::EIO));
    let fails = move |at| match (shows_another(at), stays(at)) {
        (_, Verdict::Fail(errno)) => Verdict::Fail(errno),
        (verdict, _) => verdict,
    };
    let tried = world.run(fails, || lock.try_acquire().map(drop));
    assert_eq!(tried.unwrap_err().code(), -libc::EIO);
}

#[test]
fn a_renamed_lock_that_cannot_be_opened_is_an_error() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = open(&scratch, &scratch.options());
    let mut closed = after("renameat2", "openat", || Verdict::Fail(libc::EACCES));
    let fails = move |at| match at {
        At::Before("linkat") => Verdict::Fail(libc::ENOSYS),
        at => closed(at),
    };
    let tried = world.run(fails, || lock.try_acquire().map(drop));
    assert_eq!(tried.unwrap_err().code(), -libc::EACCES);
    assert!(!scratch.lock().exists());
}

#[test]
fn a_place_is_checked_once() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = open(&scratch, &scratch.options());
    for first in [true, false] {
        let held = world.quietly(|| lock.acquire()).unwrap();
        assert_eq!(world.calls().contains(&"flock"), first, "{:?}", world.calls());
        world.quietly(|| held.release()).unwrap();
    }
}

/// On a file server, a signal interrupts even what never waits. Nobody has to know.
#[test]
fn what_a_signal_interrupts_is_done_again() {
    const MADE_AGAIN: [&str; 13] = [
        "openat",
        "flock",
        "newfstatat",
        "linkat",
        "unlinkat",
        "renameat",
        "renameat2",
        "pread64",
        "pwrite64",
        "write",
        "ftruncate",
        "fdatasync",
        "fsync",
    ];
    let long = "long".repeat(2000); // it is noted
    for nth in 1.. {
        let (scratch, world) = (Scratch::with("before\n"), World::new());
        fs::write(scratch.lock(), scratch.dead_stamp()).unwrap();
        let made = Rc::new(Cell::new(0));
        let counted = Rc::clone(&made);
        let interrupted = move |at| match at {
            At::Before(call) if MADE_AGAIN.contains(&call) => {
                counted.set(counted.get() + 1);
                match counted.get() == nth {
                    true => Verdict::Fail(libc::EINTR),
                    false => Verdict::Proceed,
                }
            }
            _ => Verdict::Proceed,
        };
        let done = world.run(interrupted, || {
            let lock = scratch.options().sync(true).open(&scratch.0)?;
            lock.journal().append([Entry::changed(&long)])?;
            lock.journal().append_stamped([Entry::changed("a")], 1)?; // fewer digits: a new file
            lock.close()
        });
        let calls = world.calls();
        done.unwrap_or_else(|error| panic!("{error}: call {nth} of {calls:?}"));
        assert_eq!(
            scratch.content(),
            format!("# codegraph-journal v1 1\nbefore\n{long}\na\n"),
            "{nth}"
        );
        assert!(
            !scratch.lock().exists() && scratch.private_files().is_empty(),
            "{nth}: {calls:?}"
        );
        if made.get() < nth {
            assert!(
                MADE_AGAIN
                    .iter()
                    .all(|call| *call == "renameat2" || calls.contains(call)),
                "{calls:?}"
            );
            return;
        }
    }
}

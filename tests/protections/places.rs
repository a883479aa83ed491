//! A file system that is not known to be local: what it does is tried out, not trusted.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use jlock::seam::Verdict;
use jlock::{Entry, ErrorKind, Lock, Options};
use rustix::fs::FlockOperation;

use crate::scene::{At, Dir, Scratch, World, after, at_real_time, once, open_file_at};

const ENOSYS: i32 = 38;
const EOPNOTSUPP: i32 = 95;

/// A handle that cannot find out which file system this is.
pub fn open(dir: &Dir, options: &Options) -> Lock {
    let unknown = |at| match at {
        At::Before("fstatfs") => Verdict::Fail(ENOSYS),
        _ => Verdict::Proceed,
    };
    at_real_time(unknown, || options.open(&dir.0)).unwrap()
}

/// Acts once, at the first call of this name after the first link.
fn after_the_link(call: &'static str, act: impl FnOnce() + 'static) -> impl FnMut(At) -> Verdict + 'static {
    after("linkat", call, || {
        act();
        Verdict::Proceed
    })
}

#[test]
fn a_name_that_shows_another_inode_has_no_hard_links() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = open(&scratch, &scratch.options());
    let dir = scratch.dir();
    let shows_another = after_the_link("statx", move || {
        let content = fs::read_to_string(dir.lock()).unwrap();
        dir.replace(&dir.lock(), &content);
    });
    let held = world
        .run(shows_another, || lock.try_acquire())
        .expect("a rename will do");
    assert!(world.calls().contains(&"renameat2"), "{:?}", world.calls());
    assert!(lock.inspect().unwrap().without_link);
    held.release().unwrap();
}

#[test]
fn a_flock_that_does_not_reach_is_not_relied_on() {
    for is_reply_lost in [false, true] {
        let (scratch, world) = (Scratch::new(), World::new());
        let lock = open(&scratch, &scratch.options());
        let dir = scratch.dir();
        let mut unlocks = after_the_link("flock", move || {
            let ours = open_file_at(&dir.private_file());
            rustix::fs::flock(ours, FlockOperation::Unlock).unwrap();
        });
        let dir = scratch.dir();
        let mut loses_reply = once(At::Before("linkat"), 1, move || {
            fs::hard_link(dir.private_file(), dir.lock()).unwrap();
            Verdict::Fail(5)
        });
        let reaches_nobody = move |at| match unlocks(at) {
            Verdict::Proceed if is_reply_lost => loses_reply(at),
            verdict => verdict,
        };
        let held = world
            .run(reaches_nobody, || lock.try_acquire())
            .expect("it works without");
        assert!(lock.inspect().unwrap().without_flock, "{is_reply_lost}");
        assert!(fs::read_to_string(scratch.lock()).unwrap().contains(" flock=none\n"));
        held.release().unwrap();
    }
}

/// A file server may lock like this; then nobody could look at such a lock.
#[test]
fn a_file_that_cannot_be_read_under_a_flock_is_refused() {
    const EACCES: i32 = 13;
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = open(&scratch, &scratch.options());
    let mut linked = false;
    let locked_against_reading = move |at| {
        linked |= at == At::After("linkat");
        match at {
            At::Before("pread64") if linked => Verdict::Fail(EACCES),
            _ => Verdict::Proceed,
        }
    };
    let refused = world.run(locked_against_reading, || lock.try_acquire().map(drop));
    assert_eq!(refused.unwrap_err().code(), -EOPNOTSUPP);
    assert!(!scratch.lock().exists());
    assert_eq!(scratch.private_files(), [] as [std::path::PathBuf; 0]);
}

/// A contender that thought we were dead has written its stamp over ours.
#[test]
fn a_hold_that_was_written_over_where_there_is_no_flock_is_lost() {
    let (scratch, world) = (Scratch::new(), World::new());
    let no_flock = |at| match at {
        At::Before("flock") => Verdict::Fail(EOPNOTSUPP),
        _ => Verdict::Proceed,
    };
    // Another process's, and another handle's of this one: the nonce tells it from ours, not the PID.
    let (me, them) = (std::process::id(), crate::scene::LIVING.to_owned());
    for other in [them, format!("{me}\n{me}-0123456789abcdef\n")] {
        world.run(no_flock, || {
            let lock = scratch.open();
            let held = lock.acquire().unwrap();
            fs::write(scratch.lock(), &other).unwrap();
            assert_eq!(held.release().unwrap_err().error.kind(), ErrorKind::Lost, "{other}");
            fs::remove_file(scratch.lock()).unwrap();
        });
    }
}

/// A cache may show NUL bytes where another machine has written, and NUL bytes at the end are cut off.
#[test]
fn what_is_cached_of_a_journal_is_forgotten_before_it_is_read() {
    for network in [true, false] {
        let (scratch, world) = (Scratch::new(), World::new());
        let lock = match network {
            true => open(&scratch, &scratch.options()),
            false => scratch.open(),
        };
        let append = |path| lock.journal().append([Entry::changed(path)]);
        append("a").unwrap();
        world.quietly(|| append("b")).unwrap();
        let calls = world.calls();
        let before_the_read = ["fadvise64", "pread64"].map(|name| calls.iter().rposition(|call| *call == name));
        match before_the_read {
            [Some(forgotten), Some(read)] => assert!(network && forgotten < read, "{calls:?}"),
            [forgotten, _] => assert_eq!(forgotten.is_some(), network, "{calls:?}"),
        }
    }
}

#[test]
fn what_is_written_arrives_before_the_release() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = open(&scratch, &scratch.options());
    let append = |path| lock.journal().append([Entry::changed(path)]);
    append("a").unwrap();
    world.quietly(|| append("b")).unwrap();
    let (written, arrived) = (world.place_of("write"), world.place_of("fdatasync"));
    assert!(
        written < arrived && arrived < world.place_of("unlinkat"),
        "{:?}",
        world.calls()
    );
    let held = lock.acquire().unwrap();
    world.quietly(|| append("c")).unwrap();
    assert!(
        world.place_of("write") < world.place_of("fdatasync"),
        "{:?}",
        world.calls()
    );
    held.release().unwrap();
}

/// The next holder may append at an old end of the file: nothing is acknowledged that has not arrived.
#[test]
fn what_does_not_arrive_is_an_error() {
    for is_held in [false, true] {
        let (scratch, world) = (Scratch::with("before\n"), World::new());
        let lock = open(&scratch, &scratch.options());
        let held = is_held.then(|| world.quietly(|| lock.acquire()).unwrap());
        let fails = once(At::Before("fdatasync"), 1, || Verdict::Fail(libc::EIO));
        let told = world
            .run(fails, || lock.journal().append([Entry::changed("a")]))
            .unwrap_err();
        assert_eq!(told.code(), -libc::EIO, "{told}");
        assert!(told.to_string().contains("may not have arrived"), "{told}");
        drop(held.map(|held| world.quietly(|| held.release())));
        assert!(!scratch.lock().exists());
    }
}

const EPERM: i32 = 1;
const EINVAL: i32 = 22;
const ENOLCK: i32 = 37;

/// A place with neither hard links nor an exclusive rename, and perhaps without `flock`.
fn lacks_all(flock: bool) -> impl FnMut(At) -> Verdict + 'static {
    move |at| match at {
        At::Before("linkat") => Verdict::Fail(EPERM),
        At::Before("renameat2") => Verdict::Fail(EINVAL),
        At::Before("flock") if !flock => Verdict::Fail(EOPNOTSUPP),
        _ => Verdict::Proceed,
    }
}

#[test]
fn where_neither_is_exclusive_the_lock_is_made_in_its_place() {
    for flock in [true, false] {
        let (scratch, world) = (Scratch::new(), World::new());
        world.run(lacks_all(flock), || {
            let (lock, other) = (scratch.open(), scratch.open());
            for _ in 0..2 {
                let held = lock.try_acquire().unwrap();
                let stamp = fs::read_to_string(scratch.lock()).unwrap();
                assert_eq!(stamp.contains(" flock=none\n"), !flock, "{stamp}");
                assert_eq!(other.try_acquire().unwrap_err().kind(), ErrorKind::WouldBlock);
                held.release().unwrap();
                assert!(!scratch.lock().exists());
            }
        });
        assert!(scratch.private_files().is_empty(), "{:?}", scratch.private_files());
    }
}

/// There was one for the stamp that could not be linked.
#[test]
fn a_lock_that_is_made_in_its_place_says_whether_it_has_a_flock() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = scratch.open();
    let loses_flock = |errno| {
        let (dir, mut lacks) = (scratch.dir(), lacks_all(true));
        move |at| match at == At::Before("flock") && dir.lock().exists() {
            true => Verdict::Fail(errno),
            false => lacks(at),
        }
    };
    let failed = world.run(loses_flock(5), || lock.try_acquire().map(drop));
    assert_eq!(failed.unwrap_err().code(), -5);
    assert!(!scratch.lock().exists());
    let held = world.run(loses_flock(EOPNOTSUPP), || lock.try_acquire()).unwrap();
    let stamp = fs::read_to_string(scratch.lock()).unwrap();
    assert!(stamp.contains(" flock=none\n"), "{stamp}");
    assert!(lock.inspect().unwrap().without_flock);
    held.release().unwrap();
}

/// No stamp is parked that could say so.
#[test]
fn a_claim_says_that_there_is_no_flock() {
    let (scratch, world) = (Scratch::new(), World::new());
    world.run(lacks_all(false), || {
        let lock = scratch.open();
        lock.try_acquire().unwrap().release().unwrap();
        fs::write(scratch.lock(), "4194304\n4194304-00000000deadbeef\n").unwrap();
        let held = lock.try_acquire().unwrap();
        let stamp = fs::read_to_string(scratch.lock()).unwrap();
        assert!(stamp.contains(" flock=none\n"), "{stamp}");
        held.release().unwrap();
    });
}

/// A contender looks at the new lock just before its `flock` is tried, so the `flock` is taken by then.
#[test]
fn a_lock_that_a_contender_looks_at_as_it_is_made_is_left() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = scratch.open();
    let dir = scratch.dir();
    let looked_at = std::rc::Rc::new(std::cell::Cell::new(None));
    let keep = std::rc::Rc::clone(&looked_at);
    let mut lacks = lacks_all(true);
    let looks = move |at| {
        if at == At::Before("flock") && dir.lock().exists() {
            let file = File::open(dir.lock()).unwrap();
            rustix::fs::flock(&file, FlockOperation::LockShared).unwrap();
            keep.set(Some(file));
        }
        lacks(at)
    };
    let tried = world.run(looks, || lock.try_acquire().map(drop));
    assert_eq!(tried.unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(looked_at.take().is_some() && !scratch.lock().exists());
}

/// A file server returns this error if it has no locks; on a local file system it means something else.
#[test]
fn a_lack_of_locks_is_an_error_only_on_a_local_file_system() {
    let none = |at| match at {
        At::Before("flock") => Verdict::Fail(ENOLCK),
        _ => Verdict::Proceed,
    };
    let (scratch, world) = (Scratch::new(), World::new());
    let (local, not) = (scratch.open(), open(&scratch, &scratch.options()));
    let refused = world.run(none, || local.try_acquire().map(drop));
    assert_eq!(refused.unwrap_err().code(), -ENOLCK);
    world.run(none, || not.try_acquire().unwrap().release()).unwrap();
    let fails = |at| match at {
        At::Before("flock") => Verdict::Fail(5),
        _ => Verdict::Proceed,
    };
    let another = open(&scratch, &scratch.options());
    assert_eq!(
        world.run(fails, || another.try_acquire().map(drop)).unwrap_err().code(),
        -5
    );
}

/// The same for a stamp that is renewed before its link.
#[test]
fn a_stamp_whose_time_is_not_set_is_renewed_by_writing() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = open(&scratch, &scratch.options());
    world.quietly(|| lock.acquire().unwrap().release()).unwrap();
    world.pass(Duration::from_secs(10));
    let (dir, clock) = (scratch.dir(), world.clone());
    let does_nothing = move |at| {
        match at {
            At::After("utimensat") => clock.age(&dir.private_file(), Duration::from_secs(60)),
            At::Before("linkat") => assert!(clock.age_of(&dir.private_file()) < Duration::from_secs(1)),
            _ => {}
        }
        Verdict::Proceed
    };
    world.run(does_nothing, || lock.acquire().unwrap().release()).unwrap();
    assert!(world.calls().contains(&"linkat"));
}

#[test]
fn a_time_that_is_set_is_not_set_by_writing_as_well() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = open(&scratch, &scratch.options());
    let held = world.quietly(|| lock.acquire()).unwrap();
    for first in [true, false] {
        world.quietly(|| held.refresh()).unwrap();
        let calls = world.calls();
        assert!(calls.contains(&"utimensat"), "{calls:?}");
        assert_eq!(calls.contains(&"pwrite64"), first, "since when it is held: {calls:?}");
    }
    world.quietly(|| held.release()).unwrap();
}

/// FUSE reports success, and does nothing.
#[test]
fn a_time_that_is_not_set_is_set_by_writing() {
    let scratch = Scratch::new();
    let lock = open(&scratch, &scratch.options());
    let held = lock.acquire().unwrap();
    let old = SystemTime::now() - Duration::from_secs(60);
    let does_nothing = SetBack {
        path: scratch.lock(),
        old,
    };
    jlock::seam::install(does_nothing);
    let refreshed = held.refresh();
    jlock::seam::uninstall();
    refreshed.unwrap();
    let age = fs::metadata(scratch.lock()).unwrap().modified().unwrap().elapsed();
    assert!(age.unwrap_or_default() < Duration::from_secs(30));
    held.release().unwrap();
}

struct SetBack {
    path: PathBuf,
    old: SystemTime,
}

impl jlock::seam::Hook for SetBack {
    fn before(&mut self, _call: &'static str) -> Verdict {
        Verdict::Proceed
    }

    fn after(&mut self, call: &'static str) {
        if call == "utimensat" {
            let file = File::options().write(true).open(&self.path).unwrap();
            file.set_modified(self.old).unwrap();
        }
    }
}

/// Tries to acquire beside a holder that gave its last sign of life 1 s ago and whose `flock` says nothing here. Its
/// stamp is that of a process of this machine, except for the fields in `otherwise`.
fn try_beside(pid: u32, otherwise: &[(&str, &str)]) -> jlock::Result<()> {
    let scratch = Scratch::new();
    let stamp = scratch.dead_stamp();
    let field = |field: &str| {
        let (name, _) = field.split_once('=')?;
        let (_, value) = otherwise.iter().find(|(other, _)| *other == name)?;
        Some(format!("{name}={value}"))
    };
    let third = stamp.lines().nth(2).unwrap().split(' ');
    let third: Vec<String> = third
        .map(|text| field(text).unwrap_or_else(|| text.to_owned()))
        .collect();
    fs::write(
        scratch.lock(),
        format!("{pid}\n{pid}-00000000deadbeef\n{}\n", third.join(" ")),
    )
    .unwrap();
    open(&scratch, &scratch.options()).try_acquire().map(drop)
}

#[test]
fn a_pid_says_something_where_it_can_be_known() {
    const NOBODY: u32 = 4_194_304;
    let me = std::process::id();
    let lives = |tried: jlock::Result<()>| tried.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    assert!(lives(try_beside(me, &[])));
    assert!(!lives(try_beside(NOBODY, &[])));
    assert!(lives(try_beside(NOBODY, &[("pidns", "1")])), "another namespace's");
    assert!(lives(try_beside(NOBODY, &[("pidns", "0")])), "an unknown namespace's");
    assert!(
        lives(try_beside(NOBODY, &[("boot", "another")])),
        "another machine's, perhaps"
    );
    assert!(lives(try_beside(NOBODY, &[("boot", "")])));
    assert!(
        !lives(try_beside(me, &[("start", "1")])),
        "the number is another process's by now"
    );
    assert!(lives(try_beside(me, &[("start", "0")])), "an unknown start");
    assert!(
        lives(try_beside(me, &[("start", "1"), ("timens", "1")])),
        "by another clock"
    );
    assert!(
        lives(try_beside(me, &[("start", "1"), ("timens", "0")])),
        "by an unknown clock"
    );
}

// ------------------------------------------------------------------------------------- given up without a flock

fn without_flock(at: At) -> Verdict {
    match at {
        At::Before("flock") => Verdict::Fail(EOPNOTSUPP),
        _ => Verdict::Proceed,
    }
}

const NOTE: &str = "something=1\n";

/// The lock of a dead peer that had no `flock`, with a postscript.
fn leave_corpse(scratch: &Scratch) {
    let stamp = scratch.dead_stamp();
    let lines: Vec<&str> = stamp.lines().collect();
    let text = format!("4194304\n{}\n{} flock=none\n{NOTE}", lines[1], lines[2]);
    fs::write(scratch.lock(), text).unwrap();
}

/// Other handles take a lock that was given up to be a dead holder's, in this process as in any other.
fn expect_free(scratch: &Scratch) {
    let next = scratch.open();
    let held = next.try_acquire().expect("nobody holds it");
    assert!(held.recovered().unwrap());
    held.release().unwrap();
}

#[test]
fn a_claim_that_is_cancelled_while_it_settles_is_free_where_the_pid_decides() {
    let (scratch, world) = (Scratch::new(), World::new());
    leave_corpse(&scratch);
    world.run(without_flock, || {
        let lock = scratch.open();
        let mut acquiring = lock.start_acquire(None).unwrap();
        let claimed = fs::read_to_string(scratch.lock()).unwrap();
        assert!(claimed.starts_with(&format!("{}\n", std::process::id())), "{claimed}");
        lock.cancel().unwrap();
        assert_eq!(acquiring.poll().unwrap_err().kind(), ErrorKind::Cancelled);
        let left = fs::read_to_string(scratch.lock()).unwrap();
        let (nobody, rest) = left.split_once('\n').unwrap();
        assert_eq!(nobody, "2147483647");
        assert!(rest.ends_with(&format!(" flock=none\n{NOTE}")), "{rest}");
        expect_free(&scratch);
    });
}

#[test]
fn a_claim_of_a_handle_that_is_closed_is_free_where_the_pid_decides() {
    let (scratch, world) = (Scratch::new(), World::new());
    leave_corpse(&scratch);
    world.run(without_flock, || {
        let lock = scratch.open();
        drop(lock.start_acquire(None).unwrap());
        lock.close().unwrap();
        expect_free(&scratch);
    });
}

#[test]
fn a_lock_that_could_not_be_released_is_free_where_the_pid_decides() {
    let (scratch, world) = (Scratch::new(), World::new());
    let mut failed = false;
    let fails_once = move |at| match at {
        At::Before("unlinkat") if !std::mem::replace(&mut failed, true) => Verdict::Fail(5),
        at => without_flock(at),
    };
    world.run(fails_once, || {
        let lock = scratch.open();
        std::mem::forget(lock.acquire().unwrap());
        assert_eq!(lock.close().unwrap_err().code(), -5);
        expect_free(&scratch);
    });
}

#[test]
fn a_claim_that_cannot_be_decided_is_free_where_the_pid_decides() {
    let (scratch, world) = (Scratch::new(), World::new());
    leave_corpse(&scratch);
    let (mut paused, mut failed) = (false, false);
    let fails_once = move |at| match at {
        At::Pause => {
            paused = true;
            Verdict::Proceed
        }
        At::Before("newfstatat") if paused && !std::mem::replace(&mut failed, true) => Verdict::Fail(5),
        at => without_flock(at),
    };
    world.run(fails_once, || {
        let lock = scratch.open();
        assert_eq!(lock.acquire().unwrap_err().code(), -5);
        expect_free(&scratch);
    });
}

/// The rival judged by the corpse, as we did.
#[test]
fn a_rivals_stamp_is_left_alone_by_whoever_gives_up() {
    let (scratch, world) = (Scratch::new(), World::new());
    leave_corpse(&scratch);
    world.run(without_flock, || {
        let lock = scratch.open();
        let acquiring = lock.start_acquire(None).unwrap();
        fs::write(scratch.lock(), crate::scene::LIVING).unwrap();
        drop(acquiring);
        assert_eq!(fs::read_to_string(scratch.lock()).unwrap(), crate::scene::LIVING);
    });
}

/// Acts once, and lets a claimant or a holder do without a `flock`.
fn once_without_flock(mut act: impl FnMut(At) -> Option<Verdict> + 'static) -> impl FnMut(At) -> Verdict + 'static {
    let mut has_acted = false;
    move |at| {
        let verdict = if has_acted { None } else { act(at) };
        has_acted |= verdict.is_some();
        verdict.unwrap_or_else(|| without_flock(at))
    }
}

/// Somebody has exchanged the two, and puts ours back.
#[test]
fn a_claim_that_was_lost_and_comes_back_is_free_where_the_pid_decides() {
    let (scratch, world) = (Scratch::new(), World::new());
    leave_corpse(&scratch);
    let dir = scratch.dir();
    let robbed = once_without_flock(move |at| {
        (at == At::Pause).then(|| {
            fs::hard_link(dir.lock(), dir.0.join("kept")).unwrap();
            dir.steal();
            Verdict::Proceed
        })
    });
    world.run(robbed, || {
        let lock = scratch.open();
        let tried = lock.acquire_for(Duration::from_secs(1)).map(drop);
        assert_eq!(tried.unwrap_err().kind(), ErrorKind::TimedOut);
        fs::rename(scratch.0.join("kept"), scratch.lock()).unwrap();
        expect_free(&scratch);
    });
}

/// Even whoever made it takes it to be a living holder's otherwise.
#[test]
fn a_claim_that_was_too_late_to_be_moved_is_free_where_the_pid_decides() {
    let (scratch, world) = (Scratch::new(), World::new());
    fs::write(scratch.lock(), "").unwrap();
    world.age(&scratch.lock(), Duration::from_secs(6));
    let clock = world.clone();
    let stopped = once_without_flock(move |at| {
        (at == At::Pause).then(|| {
            clock.pass(Duration::from_secs(31));
            Verdict::Proceed
        })
    });
    world.run(stopped, || {
        let lock = scratch.open();
        lock.acquire_for(Duration::from_secs(100)).unwrap().release().unwrap();
    });
}

/// Its handle is still there.
#[test]
fn a_late_link_that_cannot_give_a_sign_of_life_is_an_error_and_free() {
    for flock in [true, false] {
        let (scratch, world) = (Scratch::new(), World::new());
        let (clock, mut linked, mut written) = (world.clone(), false, false);
        let fails = move |at| match at {
            At::Before("linkat") if !linked => {
                linked = true;
                clock.pass(Duration::from_secs(16));
                Verdict::Proceed
            }
            At::Before("utimensat") if linked => Verdict::Fail(5),
            At::Before("pwrite64") if linked && !std::mem::replace(&mut written, true) => Verdict::Fail(5),
            _ if flock => Verdict::Proceed,
            at => without_flock(at),
        };
        world.run(fails, || {
            let lock = scratch.open();
            assert_eq!(lock.try_acquire().unwrap_err().code(), -5);
            expect_free(&scratch);
        });
    }
}

/// `cp -al` makes one.
#[test]
fn a_link_to_a_lock_is_nobodys_once_that_is_released_where_the_pid_decides() {
    let (scratch, world) = (Scratch::new(), World::new());
    let copy = scratch.0.join("copy");
    world.run(without_flock, || {
        let lock = scratch.open();
        let held = lock.acquire().unwrap();
        fs::hard_link(scratch.lock(), &copy).unwrap();
        held.release().unwrap();
        let left = fs::read_to_string(&copy).unwrap();
        assert!(left.starts_with("2147483647\n"), "{left}");
        assert!(scratch.private_files().is_empty());
    });
}

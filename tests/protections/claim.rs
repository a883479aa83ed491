//! Taking over a dead holder's lock: what is kept of it, and what is left alone because it belongs to others.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use jlock::ErrorKind;
use jlock::seam::Verdict;
use rustix::fs::FlockOperation;

use crate::places;
use crate::scene::{At, HEADER, LIVING, SETTLE, Scratch, World, after, inode, meanwhile, once};
use crate::tried::is_root;

const ENOENT: i32 = 2;
const EIO: i32 = 5;
const EACCES: i32 = 13;
const ESTALE: i32 = 116;
const EINVAL: i32 = 22;
const SECOND: Duration = Duration::from_secs(1);

/// A lock whose maker died before it had stamped it.
fn cut_short(scratch: &Scratch, world: &World) {
    fs::write(scratch.lock(), "").unwrap();
    world.age(&scratch.lock(), 6 * SECOND);
}

/// No leases, so a hold of a lock that was cut short moves to another inode; and `refuse` decides what becomes of that move.
fn moving(mut refuse: impl FnMut() -> Verdict + 'static) -> impl FnMut(At) -> Verdict + 'static {
    move |at| match at {
        At::Before("fcntl") => Verdict::Fail(EINVAL),
        At::Before("renameat") => refuse(),
        _ => Verdict::Proceed,
    }
}

/// A lock that has no stamp and is older than 30 s.
fn foreign(scratch: &Scratch, world: &World) {
    fs::write(scratch.lock(), "what is this?\n").unwrap();
    world.age(&scratch.lock(), 40 * SECOND);
}

#[test]
fn a_claim_that_cannot_be_written_leaves_the_lock_as_it_was() {
    let scratch = Scratch::new();
    let stamp = format!("{}a postscript that is longer than nothing\n", scratch.dead_stamp());
    fs::write(scratch.lock(), &stamp).unwrap();
    let then = SystemTime::now() - 10 * SECOND;
    File::options()
        .write(true)
        .open(scratch.lock())
        .unwrap()
        .set_modified(then)
        .unwrap();
    let lock = scratch.open();
    // By the system's clock: with a clock of the test's, the library would set the file's time.
    let failed = crate::scene::at_real_time(once(At::Before("ftruncate"), 1, || Verdict::Fail(EIO)), || {
        lock.acquire().map(drop)
    });
    assert_eq!(failed.unwrap_err().code(), -EIO);
    assert_eq!(fs::read_to_string(scratch.lock()).unwrap(), stamp);
    let modified = fs::metadata(scratch.lock()).unwrap().modified().unwrap();
    assert!(modified <= then, "{modified:?} instead of {then:?}");
}

#[test]
fn a_dead_holders_lock_that_cannot_be_opened_is_an_error_and_stays() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = world.parked(&scratch);
    foreign(&scratch, &world);
    let claimed = inode(&scratch.lock());
    let fails = after("flock", "openat", || Verdict::Fail(EIO));
    let tried = world.run(fails, || lock.try_acquire().map(drop));
    assert_eq!(tried.unwrap_err().code(), -EIO);
    assert_eq!(inode(&scratch.lock()), claimed);
}

/// Others could not remove it.
#[test]
fn root_takes_over_anybodys_lock_in_anybodys_sticky_directory() {
    use std::os::unix::fs::{PermissionsExt, chown};
    if !is_root() {
        return;
    }
    let (scratch, world) = (Scratch::new(), World::new());
    fs::write(scratch.lock(), scratch.dead_stamp()).unwrap();
    chown(scratch.lock(), Some(4711), None).unwrap();
    chown(&scratch.0, Some(4712), None).unwrap();
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o1777)).unwrap();
    let lock = scratch.open();
    world.quietly(|| lock.try_acquire().unwrap().release()).unwrap();
}

/// A journal that a killed append has cut, and the dead holder's note of it in its lock.
fn torn(scratch: &Scratch) -> String {
    let stamp = scratch.dead_stamp();
    let before = "a/whole/path\n";
    fs::write(scratch.journal(), format!("{HEADER}{before}half/a/pa")).unwrap();
    let from = HEADER.len() + before.len();
    let note = format!("append={}:{from}:{}\n", inode(&scratch.journal()), from + 100);
    fs::write(scratch.lock(), format!("{stamp}{note}")).unwrap();
    format!("{HEADER}{before}")
}

#[test]
fn what_a_dead_holder_noted_is_taken_back_and_away() {
    let scratch = Scratch::new();
    let whole = torn(&scratch);
    let lock = scratch.open();
    let held = lock.acquire().unwrap();
    assert_eq!(scratch.content(), whole);
    let stamp = fs::read_to_string(scratch.lock()).unwrap();
    assert!(!stamp.contains("append="), "{stamp}");
    held.release().unwrap();
}

#[test]
fn a_note_of_a_finished_append_is_not_acted_upon() {
    let scratch = Scratch::new();
    let stamp = scratch.dead_stamp();
    let journal = format!("{HEADER}a/whole/path\n");
    fs::write(scratch.journal(), &journal).unwrap();
    let number = inode(&scratch.journal());
    let note = format!("append={number}:{}:{}\n", HEADER.len(), journal.len());
    fs::write(scratch.lock(), format!("{stamp}{note}")).unwrap();
    let lock = scratch.open();
    lock.acquire().unwrap().release().unwrap();
    assert_eq!(scratch.content(), journal);
}

/// The claimant is stopped after its claim has settled, and so it settles again.
#[test]
fn what_a_dead_holder_noted_is_taken_back_by_a_claim_that_settles_twice() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = world.parked(&scratch);
    let whole = torn(&scratch);
    let held = world.run(settles_twice(&world, || {}), || lock.acquire()).unwrap();
    assert_eq!(world.pauses.get(), 2);
    assert_eq!(scratch.content(), whole);
    assert!(held.recovered().unwrap());
    let stamp = fs::read_to_string(scratch.lock()).unwrap();
    assert!(!stamp.contains("append="), "{stamp}");
    held.release().unwrap();
}

/// And there it is robbed. When it acquires, the thief's successor has appended.
#[test]
fn a_note_of_a_claim_that_was_lost_is_forgotten() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = world.parked(&scratch);
    torn(&scratch);
    let dir = scratch.dir();
    let robbed = settles_twice(&world, move || {
        dir.steal();
        fs::write(dir.journal(), format!("{HEADER}a/whole/path\nanother\n")).unwrap();
        fs::remove_file(dir.lock()).unwrap();
    });
    let held = world.run(robbed, || lock.acquire()).unwrap();
    assert_eq!(world.pauses.get(), 2);
    assert_eq!(scratch.content(), format!("{HEADER}a/whole/path\nanother\n"));
    assert!(!held.recovered().unwrap(), "this lock's holder did not die");
    held.release().unwrap();
}

/// A stop after the first settle, and what happens during the second.
fn settles_twice(world: &World, mut happens: impl FnMut() + 'static) -> impl FnMut(At) -> Verdict + 'static {
    let clock = world.clone();
    let (mut pauses, mut looks) = (0, 0);
    move |at| {
        match at {
            At::Pause => {
                (pauses, looks) = (pauses + 1, 0);
                if pauses == 2 {
                    happens();
                }
            }
            // It looks at its lock, and then for the dead holder's private file.
            At::Before("newfstatat") => {
                looks += 1;
                if pauses == 1 && looks == 2 {
                    clock.pass(31 * SECOND);
                }
            }
            _ => {}
        }
        Verdict::Proceed
    }
}

// ------------------------------------------------------------------------------------------------- by exchange

#[test]
fn a_corpse_that_was_replaced_is_not_exchanged() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = world.parked(&scratch);
    foreign(&scratch, &world);
    let dir = scratch.dir();
    let replaced = meanwhile(At::Before("utimensat"), 1, move || {
        dir.steal();
    });
    let begun = world.realtime_ms();
    let tried = world.run(replaced, || lock.try_acquire().map(drop));
    assert_eq!(tried.unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(
        world.realtime_ms() - begun < SETTLE.as_millis() as i64,
        "nothing settles"
    );
    let calls = world.calls();
    assert!(
        calls.contains(&"utimensat") && !calls.contains(&"renameat2"),
        "{calls:?}"
    );
    assert_eq!(fs::read_to_string(scratch.lock()).unwrap(), LIVING);
    drop(lock);
    assert!(scratch.private_files().is_empty(), "{:?}", scratch.private_files());
}

/// It looks again at once.
#[test]
fn an_exchange_that_came_too_late_does_not_settle() {
    for is_gone in [false, true] {
        let (scratch, world) = (Scratch::new(), World::new());
        let lock = world.parked(&scratch);
        foreign(&scratch, &world);
        let dir = scratch.dir();
        let too_late = meanwhile(At::Before("renameat2"), 1, move || match is_gone {
            true => fs::remove_file(dir.lock()).unwrap(),
            false => drop(dir.steal()),
        });
        let begun = world.realtime_ms();
        let tried = world.run(too_late, || lock.try_acquire());
        assert!(world.realtime_ms() - begun < SETTLE.as_millis() as i64);
        match tried {
            Ok(held) => world.quietly(|| held.release()).unwrap(),
            Err(error) => assert!(!is_gone && error.kind() == ErrorKind::WouldBlock, "{error}"),
        }
        assert_eq!(scratch.lock().exists(), !is_gone);
    }
}

#[test]
fn a_corpse_that_was_exchanged_is_removed() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = world.parked(&scratch);
    foreign(&scratch, &world);
    let held = world.quietly(|| lock.acquire()).unwrap();
    assert!(world.calls().contains(&"renameat2"));
    assert!(scratch.private_files().is_empty(), "{:?}", scratch.private_files());
    world.quietly(|| held.release()).unwrap();
}

/// The process stops before its exchange. It must not put an old lock there, which a shipped peer would take at once.
#[test]
fn an_old_stamp_is_renewed_before_it_is_exchanged() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = world.parked(&scratch);
    foreign(&scratch, &world);
    let (dir, clock) = (scratch.dir(), world.clone());
    let mut stopped = false;
    let stops = move |at| {
        match at {
            At::Before("flock") if !stopped => {
                stopped = true;
                clock.pass(31 * SECOND);
            }
            At::Before("renameat2") => assert!(clock.age_of(&dir.private_file()) < SECOND),
            _ => {}
        }
        Verdict::Proceed
    };
    world.run(stops, || lock.acquire().unwrap().release()).unwrap();
    assert!(world.calls().contains(&"renameat2"));
}

/// A shipped peer's lock gets into the exchange, and is put back. If our own lock is gone from the name by then, it
/// is put back without overwriting anybody's.
#[test]
fn a_live_lock_that_was_exchanged_goes_back() {
    for comes_another in [false, true] {
        let (scratch, world) = (Scratch::new(), World::new());
        let lock = world.parked(&scratch);
        foreign(&scratch, &world);
        let dir = scratch.dir();
        let mut renames = 0;
        let stolen = move |at| {
            if let At::Before("renameat2" | "renameat") = at {
                renames += 1;
                match renames {
                    1 => {
                        dir.steal();
                    }
                    2 => fs::remove_file(dir.lock()).unwrap(),
                    3 if comes_another => fs::write(dir.lock(), "1\n1-00000000deadbeef\n").unwrap(),
                    _ => {}
                }
            }
            Verdict::Proceed
        };
        let tried = world.run(stolen, || lock.try_acquire().map(drop));
        assert_eq!(tried.unwrap_err().kind(), ErrorKind::WouldBlock);
        let stands = fs::read_to_string(scratch.lock()).unwrap();
        assert_eq!(stands == LIVING, !comes_another, "{stands}");
        // What could not be put back is not ours to remove.
        let is_theirs = |path: &std::path::PathBuf| fs::read_to_string(path).unwrap() == LIVING;
        assert_eq!(scratch.private_files().iter().any(is_theirs), comes_another);
    }
}

/// It stands at the private name then, where a sweep finds it when it is old.
#[test]
fn a_live_lock_that_cannot_be_put_back_is_an_error() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = world.parked(&scratch);
    foreign(&scratch, &world);
    let dir = scratch.dir();
    let mut renames = 0;
    let broken = move |at| {
        if at == At::Before("renameat2") {
            renames += 1;
            match renames {
                1 => {
                    dir.steal();
                }
                2 => fs::remove_file(dir.lock()).unwrap(),
                _ => return Verdict::Fail(EIO),
            }
        }
        Verdict::Proceed
    };
    let tried = world.run(broken, || lock.try_acquire().map(drop));
    assert_eq!(tried.unwrap_err().code(), -EIO);
    assert!(!scratch.lock().exists());
    world.quietly(|| lock.acquire().unwrap().release()).unwrap();
}

// ------------------------------------------------------------------------------------------------- private files

const NONCE: &str = "4194304-00000000deadbeef";

fn corpse_of(scratch: &Scratch) -> String {
    let stamp = scratch.dead_stamp();
    let third = stamp.lines().nth(2).unwrap();
    format!("4194304\n{NONCE}\n{third}\n")
}

#[test]
fn a_claim_removes_the_dead_holders_private_file() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = world.parked(&scratch);
    fs::write(scratch.lock(), corpse_of(&scratch)).unwrap();
    fs::hard_link(scratch.lock(), scratch.private(NONCE)).unwrap();
    let held = world.quietly(|| lock.acquire()).unwrap();
    assert!(held.recovered().unwrap());
    assert!(!scratch.private(NONCE).exists());
    held.release().unwrap();
}

#[test]
fn a_claim_removes_nobody_elses_private_file() {
    for is_unknown in [false, true] {
        let (scratch, world) = (Scratch::new(), World::new());
        let lock = world.parked(&scratch);
        fs::write(scratch.lock(), corpse_of(&scratch)).unwrap();
        fs::write(scratch.private(NONCE), "somebody's\n").unwrap();
        let theirs = File::open(scratch.private(NONCE)).unwrap();
        rustix::fs::flock(&theirs, FlockOperation::LockExclusive).unwrap();
        // It looks at its lock, and then for the dead holder's private file.
        let (mut settled, mut looks) = (false, 0);
        let cannot_tell = move |at| {
            settled |= at == At::Pause;
            looks += usize::from(settled && at == At::Before("newfstatat"));
            match is_unknown && looks == 2 && at == At::Before("newfstatat") {
                true => Verdict::Fail(EIO),
                false => Verdict::Proceed,
            }
        };
        let held = world.run(cannot_tell, || lock.acquire()).unwrap();
        world.quietly(|| held.release()).unwrap();
        assert!(scratch.private(NONCE).exists());
    }
}

// ------------------------------------------------------------------------------------------------- to another inode

/// If nobody has it open for writing, no maker can wake up and write into it.
#[test]
fn a_claim_of_a_lock_that_was_cut_short_and_is_closed_stays_where_it_is() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = world.parked(&scratch);
    cut_short(&scratch, &world);
    let made = inode(&scratch.lock());
    let held = world.quietly(|| lock.acquire()).unwrap();
    assert_eq!(inode(&scratch.lock()), made);
    assert_eq!(world.pauses.get(), 1, "it settles once");
    world.quietly(|| held.release()).unwrap();
}

/// Where there are no leases, a hold of an empty lock moves to another inode, which must not look old when it appears.
#[test]
fn an_old_stamp_is_renewed_before_it_is_moved() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = world.parked(&scratch);
    cut_short(&scratch, &world);
    let (dir, clock) = (scratch.dir(), world.clone());
    let mut settled = false;
    let stops = move |at| {
        match at {
            At::Before("fcntl") => return Verdict::Fail(EINVAL),
            At::Pause if !settled => {
                settled = true;
                clock.pass(20 * SECOND);
            }
            At::Before("renameat") => assert!(clock.age_of(&dir.private_file()) < SECOND),
            _ => {}
        }
        Verdict::Proceed
    };
    world.run(stops, || lock.acquire_for(None).unwrap().release()).unwrap();
    assert!(world.calls().contains(&"renameat"));
}

/// A shipped peer judges the claim by its age, and steals it.
#[test]
fn nothing_is_moved_over_a_lock_that_may_be_anothers() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = world.parked(&scratch);
    let parked = scratch.private_file();
    cut_short(&scratch, &world);
    let (dir, clock) = (scratch.dir(), world.clone());
    let (mut settled, mut stolen) = (false, false);
    let stops = move |at| {
        match at {
            At::Before("fcntl") => return Verdict::Fail(EINVAL),
            At::Pause if !settled => {
                settled = true;
                clock.pass(31 * SECOND);
            }
            // The sign of life given to the file that is to be moved there.
            At::Before("utimensat") if settled && !stolen => {
                stolen = true;
                dir.steal();
            }
            _ => {}
        }
        Verdict::Proceed
    };
    let tried = world.run(stops, || lock.try_acquire().map(drop));
    assert_eq!(tried.unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(fs::read_to_string(scratch.lock()).unwrap(), LIVING);
    assert_eq!(scratch.private_file(), parked, "it stays parked");
    drop(lock);
    assert!(scratch.private_files().is_empty());
}

#[test]
fn a_claim_that_cannot_be_moved_is_an_error_and_held_by_nobody() {
    for errno in [EIO, EACCES] {
        let (scratch, world) = (Scratch::new(), World::new());
        let lock = world.parked(&scratch);
        cut_short(&scratch, &world);
        let tried = world.run(moving(move || Verdict::Fail(errno)), || lock.try_acquire().map(drop));
        assert_eq!(tried.unwrap_err().code(), -errno);
        let other = scratch.open();
        world.quietly(|| other.acquire().unwrap().release()).unwrap();
    }
}

/// SMB says so of a file that is open, and a claimant has the lock open.
#[test]
fn where_an_open_file_cannot_be_replaced_a_claim_makes_room_and_starts_over() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = places::open(&scratch, &scratch.options());
    cut_short(&scratch, &world);
    let claimed = inode(&scratch.lock());
    world.run(moving(|| Verdict::Fail(EACCES)), || {
        let held = lock.acquire_for(None).unwrap();
        assert_ne!(inode(&scratch.lock()), claimed);
        assert!(held.recovered().unwrap(), "whoever made that lock died");
        assert_eq!(scratch.private_files().len(), 1);
        held.release().unwrap();
    });
    assert!(!scratch.lock().exists());
}

#[test]
fn a_claim_that_can_be_neither_moved_nor_released_is_an_error() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = places::open(&scratch, &scratch.options());
    cut_short(&scratch, &world);
    let (mut refused, mut stays) = (
        moving(|| Verdict::Fail(EACCES)),
        after("renameat", "unlinkat", || Verdict::Fail(EIO)),
    );
    let fails = move |at| match (refused(at), stays(at)) {
        (Verdict::Proceed, verdict) => verdict,
        (verdict, _) => verdict,
    };
    let tried = world.run(fails, || lock.acquire_for(None).map(drop));
    assert_eq!(tried.unwrap_err().code(), -EIO);
}

/// On SMB, a file that was unlinked still stands at its name until nobody has it open any more, and whoever looks at it has.
#[test]
fn a_lock_that_is_on_its_way_out_is_waited_for() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = places::open(&scratch, &scratch.options());
    cut_short(&scratch, &world);
    let (dir, mut refused) = (scratch.dir(), 0);
    let (mut is_parked, mut is_claimed) = (false, false);
    let unlinked = move |at| {
        match at {
            At::Before("fcntl") => return Verdict::Fail(EINVAL),
            At::Before("linkat") => is_parked = true,
            At::Before("flock") => is_claimed = is_parked,
            At::Before("openat") if is_claimed && refused < 2 => {
                (is_claimed, refused) = (false, refused + 1);
                return Verdict::Fail(ENOENT);
            }
            At::Pause if refused == 2 => fs::remove_file(dir.lock()).unwrap(),
            _ => {}
        }
        Verdict::Proceed
    };
    world
        .run(unlinked, || lock.acquire_for(None).unwrap().release())
        .unwrap();
    assert!(!world.calls().contains(&"renameat"), "{:?}", world.calls());
    assert_eq!(world.pauses.get(), 2, "{:?}", world.calls());
}

/// A shipped peer on another machine, to which our PID says nothing, takes the claim just then.
#[test]
fn a_lock_that_took_a_claims_place_is_not_released_in_its_stead() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = places::open(&scratch, &scratch.options());
    cut_short(&scratch, &world);
    let dir = scratch.dir();
    let stolen = moving(move || {
        dir.steal();
        Verdict::Fail(EACCES)
    });
    let tried = world.run(stolen, || lock.try_acquire().map(drop));
    assert!(world.calls().contains(&"renameat"));
    assert_eq!(tried.unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(fs::read_to_string(scratch.lock()).unwrap(), LIVING);
}

/// The server took long to refuse. A shipped peer may have judged the claim by its age, and be about to rename over it.
#[test]
fn a_claim_that_is_overdue_is_not_released_to_make_room() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = places::open(&scratch, &scratch.options());
    cut_short(&scratch, &world);
    let clock = world.clone();
    let refused_late = moving(move || {
        clock.pass(31 * SECOND);
        Verdict::Fail(EACCES)
    });
    world.run(refused_late, || {
        let held = lock.acquire_for(None).unwrap();
        let calls = world.calls();
        let renamed = world.place_of("renameat");
        assert!(!calls[renamed..].contains(&"unlinkat"), "{calls:?}");
        held.release().unwrap();
    });
}

/// A network may do what it is asked and lose the reply; and whoever does not know this lock may remove it.
#[test]
fn a_claim_that_is_gone_as_it_is_released_to_make_room_is_no_error() {
    for errno in [ENOENT, ESTALE] {
        let (scratch, world) = (Scratch::new(), World::new());
        let lock = places::open(&scratch, &scratch.options());
        cut_short(&scratch, &world);
        let dir = scratch.dir();
        let mut refused = false;
        let gone = move |at| match at {
            At::Before("fcntl") => Verdict::Fail(EINVAL),
            At::Before("renameat") => {
                refused = true;
                Verdict::Fail(EACCES)
            }
            At::Before("unlinkat") if std::mem::take(&mut refused) => {
                fs::remove_file(dir.lock()).unwrap();
                Verdict::Fail(errno)
            }
            _ => Verdict::Proceed,
        };
        world
            .run(gone, || lock.try_acquire().map(|held| held.release().unwrap()))
            .unwrap_or_else(|e| panic!("{errno}: {e:?}"));
        assert!(!scratch.lock().exists());
    }
}

/// The file system lists a name, and says of each open that it is not there: for as long as that lasts.
#[test]
fn a_lock_that_cannot_be_opened_because_it_is_gone_is_looked_at_again_after_a_pause() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = places::open(&scratch, &scratch.options());
    world.quietly(|| lock.acquire().unwrap().release()).unwrap();
    fs::write(scratch.lock(), LIVING).unwrap();
    let (dir, clock, mut opens) = (scratch.dir(), world.clone(), 0);
    let listed = move |at| {
        match at {
            At::Before("openat") if dir.lock().exists() => {
                opens += 1;
                if opens == 200 {
                    clock.pass(100 * SECOND);
                }
                return Verdict::Fail(ENOENT);
            }
            _ => {}
        }
        Verdict::Proceed
    };
    let tried = world.run(listed, || lock.acquire_for(Some(SECOND)).map(drop));
    assert_eq!(tried.unwrap_err().kind(), ErrorKind::TimedOut);
    let calls = world.calls();
    let opens = calls.iter().filter(|call| **call == "openat").count();
    assert!(opens < 150, "{opens} opens, {} pauses", world.pauses.get());
}

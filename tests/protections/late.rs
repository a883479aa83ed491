//! A process that stops: its sign of life is late, or its hold is lost.

use std::fs::{self, File, FileTimes};
use std::time::{Duration, SystemTime};

use jlock::ErrorKind;
use jlock::seam::Verdict;

use crate::scene::{At, Dir, LIVING, Scratch, World, meanwhile, once};

const SECOND: Duration = Duration::from_secs(1);

/// A stamp is as old as its file, even if its owner stops after writing it.
#[test]
fn a_stamp_that_was_written_long_ago_is_renewed_before_it_is_linked() {
    let (scratch, world) = (Scratch::new(), World::new());
    let (dir, clock) = (scratch.dir(), world.clone());
    let stops = move |at| {
        match at {
            At::After("pwrite64") => clock.pass(14 * SECOND),
            At::Before("linkat") => assert!(clock.age_of(&dir.private_file()) < SECOND),
            _ => {}
        }
        Verdict::Proceed
    };
    let lock = world.quietly(|| scratch.open());
    world.run(stops, || lock.acquire().unwrap().release()).unwrap();
    assert!(world.calls().contains(&"linkat"));
}

/// The same for a stamp that is renewed.
#[test]
fn a_stamp_that_was_renewed_long_ago_settles() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = world.quietly(|| {
        let lock = scratch.open();
        lock.acquire().unwrap().release().unwrap();
        lock
    });
    world.pass(10 * SECOND);
    let clock = world.clone();
    let stops = meanwhile(At::After("utimensat"), 1, move || clock.pass(31 * SECOND));
    world.run(stops, || lock.acquire().unwrap().release()).unwrap();
    assert_eq!(world.pauses.get(), 1);
}

/// It may say that others wait.
#[test]
fn a_stamp_that_is_renewed_keeps_its_access_time() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = world.parked(&scratch);
    let then = SystemTime::UNIX_EPOCH + 1000 * SECOND;
    let file = File::options().write(true).open(scratch.private_file()).unwrap();
    file.set_times(FileTimes::new().set_accessed(then)).unwrap();
    world.pass(10 * SECOND);
    let held = world.quietly(|| lock.acquire()).unwrap();
    assert!(world.age_of(&scratch.lock()) < SECOND);
    assert_eq!(fs::metadata(scratch.lock()).unwrap().accessed().unwrap(), then);
    world.quietly(|| held.release()).unwrap();
}

/// The same for a hold's sign of life.
#[test]
fn a_sign_of_life_is_as_old_as_the_file_says() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = world.quietly(|| scratch.open());
    let held = world.quietly(|| lock.acquire()).unwrap();
    let clock = world.clone();
    let stops = meanwhile(At::After("utimensat"), 1, move || clock.pass(31 * SECOND));
    world.run(stops, || held.refresh()).unwrap();
    assert_eq!(world.pauses.get(), 1, "a shipped peer may have judged it meanwhile");
    world.quietly(|| held.release()).unwrap();
}

/// The same for a claim.
#[test]
fn a_claim_is_as_old_as_its_file() {
    let (scratch, world) = (Scratch::new(), World::new());
    fs::write(scratch.lock(), scratch.dead_stamp()).unwrap();
    let lock = world.quietly(|| scratch.open());
    let clock = world.clone();
    // Nothing is parked, so the only write is the claim's.
    let stops = meanwhile(At::After("ftruncate"), 1, move || clock.pass(31 * SECOND));
    world.run(stops, || lock.acquire_for(None).unwrap().release()).unwrap();
    assert_eq!(world.pauses.get(), 2);
}

/// After that, nobody knows how long it has been silent; only a small correction of the clock makes no difference.
#[test]
fn a_clock_that_was_set_back_makes_a_hold_late() {
    for (back_ms, settles) in [(2_000, 1), (500, 0)] {
        let (scratch, world) = (Scratch::new(), World::new());
        let lock = scratch.open();
        let held = world.quietly(|| lock.acquire()).unwrap();
        world.set_back(Duration::from_millis(back_ms));
        world.quietly(|| held.release()).unwrap();
        assert_eq!(world.pauses.get(), settles, "by {back_ms} ms");
    }
}

#[test]
fn a_clock_that_was_set_back_makes_a_link_late() {
    for (back_ms, settles) in [(2_000, 1), (500, 0)] {
        let (scratch, world) = (Scratch::new(), World::new());
        let lock = scratch.open();
        let clock = world.clone();
        let set = meanwhile(At::Before("linkat"), 1, move || {
            clock.set_back(Duration::from_millis(back_ms))
        });
        let held = world.run(set, || lock.acquire()).unwrap();
        assert_eq!(world.pauses.get(), settles, "by {back_ms} ms");
        world.quietly(|| held.release()).unwrap();
    }
}

/// Makes a link late in an acquire that has a timeout of a second, with `settling` while it settles and `after` when
/// it has returned. Then another handle must get the lock while this one still exists. Returns the acquire's error.
fn link_late(
    scratch: &Scratch,
    world: &World,
    mut settling: impl FnMut(&Dir, &World) + 'static,
    after: impl FnOnce(&Dir),
) -> ErrorKind {
    let lock = world.quietly(|| {
        let lock = scratch.open();
        lock.acquire().unwrap().release().unwrap();
        lock
    });
    let (dir, clock) = (scratch.dir(), world.clone());
    let mut linked = false;
    let late = move |at| {
        match at {
            At::Before("linkat") if !linked => {
                linked = true;
                clock.pass(16 * SECOND);
            }
            At::Pause => settling(&dir, &clock),
            _ => {}
        }
        Verdict::Proceed
    };
    let acquired = world.run(late, || lock.acquire_for(SECOND).map(drop));
    after(scratch);
    let next = world.quietly(|| scratch.open().try_acquire().map(drop));
    next.expect("nobody holds it");
    drop(lock);
    acquired.unwrap_err().kind()
}

#[test]
fn a_late_link_that_is_given_up_is_free_to_be_claimed() {
    let (scratch, world) = (Scratch::new(), World::new());
    let stands_still_again = |_: &Dir, world: &World| world.pass(31 * SECOND);
    assert_eq!(
        link_late(&scratch, &world, stands_still_again, |_| {}),
        ErrorKind::TimedOut
    );
}

/// Makes a second link to the present lock, so that it can be put back.
fn keep(dir: &Dir) {
    fs::hard_link(dir.lock(), dir.0.join("kept")).unwrap();
}

/// As if somebody who had exchanged it and then died had put it back.
fn put_back(dir: &Dir) {
    fs::rename(dir.0.join("kept"), dir.lock()).unwrap();
}

#[test]
fn a_lock_that_was_lost_while_it_settled_is_a_dead_holders_when_it_comes_back() {
    let (scratch, world) = (Scratch::new(), World::new());
    let mut robbed = false;
    let robs = move |dir: &Dir, _: &World| {
        if !std::mem::replace(&mut robbed, true) {
            keep(dir);
            dir.steal();
        }
    };
    assert_eq!(link_late(&scratch, &world, robs, put_back), ErrorKind::TimedOut);
}

#[test]
fn whoever_lost_a_hold_gives_its_stamp_up() {
    let scratch = Scratch::new();
    let lock = scratch.open();
    let held = lock.acquire().unwrap();
    keep(&scratch);
    scratch.steal();
    assert_eq!(held.release().unwrap_err().error.kind(), ErrorKind::Lost);
    put_back(&scratch);
    let next = scratch.open();
    next.try_acquire().expect("nobody holds it").release().unwrap();
}

#[test]
fn the_next_hold_does_not_say_since_when_the_last_was_held() {
    let scratch = Scratch::new();
    let lock = scratch.open();
    let since = || {
        let stamp = fs::read_to_string(scratch.lock()).unwrap();
        let at = stamp.find("since=").unwrap() + "since=".len();
        stamp[at..at + 13].to_owned()
    };
    let held = lock.acquire().unwrap();
    assert_eq!(since(), "0".repeat(13));
    held.refresh().unwrap();
    assert_ne!(since(), "0".repeat(13));
    held.release().unwrap();
    let held = lock.acquire().unwrap();
    assert_eq!(since(), "0".repeat(13));
    held.release().unwrap();
}

/// For example because the disk fails. The handle still exists, and its stamp still has the lock's name.
#[test]
fn a_lock_that_could_not_be_released_is_left_as_a_dead_holders() {
    for keepalive in [false, true] {
        let (scratch, world) = (Scratch::new(), World::new());
        let lock = scratch.options().keepalive(keepalive).open(&scratch.0).unwrap();
        let fails = once(At::Before("unlinkat"), 1, || Verdict::Fail(5));
        let appended = world.run(fails, || lock.journal().append([jlock::Entry::changed("a")]));
        assert_eq!(appended.unwrap_err().code(), -5);
        assert!(scratch.lock().exists());
        let next = scratch.open();
        let held = next.try_acquire().expect("nobody holds it");
        assert!(held.recovered().unwrap());
        held.release().unwrap();
    }
}

#[test]
fn a_caller_whose_lock_could_not_be_released_still_holds_it() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = scratch.open();
    let held = world.quietly(|| lock.acquire()).unwrap();
    let fails = once(At::Before("unlinkat"), 1, || Verdict::Fail(5));
    let refused = world.run(fails, || held.release()).unwrap_err();
    assert_eq!(refused.error.code(), -5);
    let other = scratch.open();
    let tried = world.quietly(|| other.try_acquire().map(drop));
    assert_eq!(tried.unwrap_err().kind(), ErrorKind::WouldBlock);
    world.quietly(|| refused.guard.expect("it is held").release()).unwrap();
}

/// It may have been judged again. But if the settle time is so long that it always may, then that must end.
#[test]
fn a_hold_that_is_stopped_while_it_settles_settles_again() {
    for (stops, settles) in [(0, 1), (2, 3), (100, 8)] {
        let (scratch, world) = (Scratch::new(), World::new());
        let lock = scratch.open();
        let held = world.quietly(|| lock.acquire()).unwrap();
        world.pass(31 * SECOND);
        let (clock, mut left) = (world.clone(), stops);
        let stopped = move |at| {
            if at == At::Pause && left > 0 {
                left -= 1;
                clock.pass(31 * SECOND);
            }
            Verdict::Proceed
        };
        world.run(stopped, || held.refresh()).unwrap();
        assert_eq!(world.pauses.get(), settles, "{stops} stops");
        world.quietly(|| held.release()).unwrap();
    }
}

/// Otherwise the lock would be taken before its holder knows of it.
#[test]
fn a_late_link_gives_a_sign_of_life() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = world.quietly(|| scratch.open());
    let clock = world.clone();
    let late = meanwhile(At::Before("linkat"), 1, move || clock.pass(16 * SECOND));
    let held = world.run(late, || lock.acquire()).unwrap();
    assert!(world.age_of(&scratch.lock()) < SECOND);
    world.quietly(|| held.release()).unwrap();
}

/// A shipped peer has judged the lock by its age, and renames over it while its holder settles.
#[test]
fn a_hold_that_is_taken_away_while_it_settles_is_lost() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = scratch.open();
    let held = world.quietly(|| lock.acquire()).unwrap();
    world.pass(31 * SECOND);
    let dir = scratch.dir();
    let robbed = meanwhile(At::Pause, 1, move || {
        dir.steal();
    });
    let released = world.run(robbed, || held.release());
    assert_eq!(released.unwrap_err().error.kind(), ErrorKind::Lost);
    assert_eq!(fs::read_to_string(scratch.lock()).unwrap(), LIVING);
}

#[test]
fn a_hold_that_is_taken_away_before_its_sign_of_life_is_lost() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = scratch.open();
    let held = world.quietly(|| lock.acquire()).unwrap();
    let dir = scratch.dir();
    let robbed = meanwhile(At::Before("utimensat"), 1, move || {
        dir.steal();
    });
    let refreshed = world.run(robbed, || held.refresh());
    assert_eq!(refreshed.unwrap_err().kind(), ErrorKind::Lost);
    assert!(held.release().is_err());
}

#[test]
fn whoever_was_robbed_is_told_at_once() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = scratch.open();
    let held = world.quietly(|| lock.acquire()).unwrap();
    world.pass(31 * SECOND);
    scratch.steal();
    let refreshed = world.quietly(|| held.refresh());
    assert_eq!(refreshed.unwrap_err().kind(), ErrorKind::Lost);
    assert_eq!(world.pauses.get(), 0);
    assert!(held.release().is_err());
}

#[test]
fn only_whoever_took_over_has_recovered() {
    let scratch = Scratch::new();
    let lock = scratch.open();
    assert_eq!(lock.refresh().unwrap_err().kind(), ErrorKind::NotHeld);
    assert!(!lock.recovered().unwrap());
    fs::write(scratch.lock(), scratch.dead_stamp()).unwrap();
    lock.acquire().unwrap().release().unwrap();
    assert!(lock.recovered().unwrap());
    lock.acquire().unwrap().release().unwrap();
    assert!(!lock.recovered().unwrap());
}

/// Those of one process wait in a queue. Its head looks at the lock, but nobody may have asked it to.
#[test]
fn whoever_is_behind_one_that_does_nothing_looks_at_the_lock_itself() {
    let (scratch, world) = (Scratch::new(), World::new());
    let stamp = scratch.dead_stamp();
    let (holder, head, behind) = (scratch.open(), scratch.open(), scratch.open());
    world.quietly(|| {
        let held = holder.acquire().unwrap();
        let _head = head.start_acquire(None).unwrap();
        let mut waits = behind.start_acquire(None).unwrap();
        let mut poll = || {
            world.pass(SECOND);
            waits.poll().unwrap()
        };
        for _ in 0..4 {
            assert!(poll().is_none());
        }
        scratch.replace(&scratch.lock(), &stamp);
        let taken_over = (0..4).find_map(|_| poll()).expect("its holder is dead");
        taken_over.release().unwrap();
        assert!(held.release().is_err());
    });
}

/// A shipped peer may have judged by then.
#[test]
fn whoever_was_stopped_as_it_left_the_line_settles() {
    let (scratch, world) = (Scratch::new(), World::new());
    let [holder, waiter] = [1, 2].map(|process| world.open_in(process, &scratch));
    let held = world.quietly(|| holder.acquire()).unwrap();
    let mut waits = world.quietly(|| waiter.start_acquire(None)).unwrap();
    world.quietly(|| held.release()).unwrap();
    let clock = world.clone();
    let stopped = meanwhile(At::Before("unlinkat"), 1, move || clock.pass(31 * SECOND));
    assert!(world.run(stopped, || waits.poll()).unwrap().is_none());
    world.pass(SECOND);
    let held = world.quietly(|| waits.poll()).unwrap().expect("it has settled");
    world.quietly(|| held.release()).unwrap();
}

//! The end of a wait: it comes in time, it is not missed, and nothing stays behind.

use std::fs;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jlock::seam::Verdict;
use jlock::{ErrorKind, Lock, Options};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::scene::{At, LIVING, SETTLE, Scratch, World, at_real_time, meanwhile, once};

const EMFILE: i32 = 24;
const HOUR: Duration = Duration::from_secs(3600);

/// Whoever was faster may be dead as well by then.
#[test]
fn a_timeout_is_overrun_by_one_settle_alone() {
    let (scratch, world) = (Scratch::new(), World::new());
    let stamp = scratch.dead_stamp();
    fs::write(scratch.lock(), &stamp).unwrap();
    let lock = world.quietly(|| scratch.open());
    let dir = scratch.dir();
    let mut robberies = 0;
    let robbed_again_and_again = move |at| {
        if at == At::Pause && robberies < 3 {
            robberies += 1;
            dir.replace(&dir.lock(), &stamp);
        }
        Verdict::Proceed
    };
    let begun = world.realtime_ms();
    let acquired = world.run(robbed_again_and_again, || lock.acquire_for(Duration::ZERO).map(drop));
    let waited = Duration::from_millis((world.realtime_ms() - begun) as u64);
    let error = acquired.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("which is dead"), "{error}");
    assert_eq!(waited, SETTLE);
}

/// A directory with a dead holder's lock, and where it may be moved to.
fn place_of_the_dead(scratch: &Scratch) -> (PathBuf, PathBuf) {
    let stamp = scratch.dead_stamp();
    let (place, away) = (scratch.0.join("d"), scratch.0.join("away"));
    fs::create_dir(&place).unwrap();
    fs::write(place.join("changes.journal.lock"), stamp).unwrap();
    (place, away)
}

/// Moves a directory away, and makes another with a lock whose holder lives.
fn move_away(place: &Path, to: &Path) {
    fs::rename(place, to).unwrap();
    fs::create_dir(place).unwrap();
    fs::write(place.join("changes.journal.lock"), LIVING).unwrap();
}

/// The dead holder's lock is still there, and whoever has that directory now may claim it.
#[test]
fn what_settles_in_a_directory_that_was_moved_away_is_given_up() {
    let (scratch, world) = (Scratch::new(), World::new());
    let (place, away) = place_of_the_dead(&scratch);
    let lock = world
        .quietly(|| scratch.options().settle(2 * SETTLE).open(&place))
        .unwrap();
    let (clock, to) = (world.clone(), away.clone());
    let moved = meanwhile(At::Pause, 1, move || {
        move_away(&place, &to);
        clock.pass(Duration::from_secs(2)); // longer than a path is trusted
    });
    let timeout = Duration::from_secs(10);
    let acquired = world.run(moved, || lock.acquire_for(timeout).map(drop));
    assert_eq!(acquired.unwrap_err().kind(), ErrorKind::TimedOut);
    let other = Options::new().open(&away).unwrap();
    other.try_acquire().expect("its holder is dead").release().unwrap();
    drop(lock);
}

/// It has looked, found another before it, and is about to wait for the first time.
#[test]
fn whoever_becomes_the_first_before_it_waits_does_not_wait() {
    let scratch = Scratch::new();
    let open = || Arc::new(scratch.options().retry(HOUR).open(&scratch.0).unwrap());
    let (holder, head, behind) = (open(), open(), open());
    let held = holder.acquire_owned().unwrap();
    let first = head.start_acquire_owned(None).unwrap();
    let go = once(At::Before("eventfd2"), 1, move || {
        let others = std::thread::spawn(move || {
            drop(first);
            held.release().unwrap();
        });
        others.join().unwrap();
        Verdict::Proceed
    });
    let timeout = Duration::from_secs(20);
    let begun = Instant::now();
    at_real_time(go, || behind.acquire_for(timeout).unwrap().release()).unwrap();
    assert!(begun.elapsed() < timeout, "it was woken");
}

#[test]
fn an_acquire_that_was_started_goes_on_where_a_removed_directory_is_made_again() {
    let scratch = Scratch::new();
    let place = scratch.0.join("d");
    let holder = Options::new().open(&place).unwrap();
    let waiter = Options::new().open(&place).unwrap();
    let held = holder.acquire().unwrap();
    let mut started = waiter.start_acquire(None).unwrap();
    assert!(started.poll().unwrap().is_none());
    fs::remove_dir_all(&place).unwrap();
    let guard = started.poll().unwrap().expect("nobody holds the new one");
    assert!(place.join("changes.journal.lock").exists());
    guard.release().unwrap();
    assert!(held.release().is_err());
}

/// Whether an event loop would go on.
fn is_ready(lock: &Lock) -> bool {
    // SAFETY: it belongs to the lock, which outlives this.
    let fd = unsafe { BorrowedFd::borrow_raw(lock.wait_fd().unwrap()) };
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).unwrap() == 1
}

#[test]
fn a_release_is_reported_to_the_first_and_its_acquire_to_the_one_behind_it() {
    let (scratch, world) = (Scratch::new(), World::new());
    // Only the system's clock shows whether a descriptor is readable.
    let [holder, first, behind] =
        [1, 2, 3].map(|process| world.open_with(process, scratch.options().retry(HOUR), &scratch));
    let held = holder.acquire().unwrap();
    let mut waits = first.start_acquire(None).unwrap();
    assert!(waits.poll().unwrap().is_none());
    let mut follows = behind.start_acquire(None).unwrap();
    assert!(follows.poll().unwrap().is_none());
    assert_eq!([&first, &behind].map(is_ready), [false; 2]);
    held.release().unwrap();
    assert_eq!([&first, &behind].map(is_ready), [true, false]);
    let held = waits.poll().unwrap().expect("it is free");
    assert!(!is_ready(&first), "nothing is in progress");
    assert!(is_ready(&behind), "the first has had it");
    assert!(follows.poll().unwrap().is_none());
    held.release().unwrap();
    while !is_ready(&behind) {
        std::thread::yield_now(); // it looks again within the turn of the first
    }
    follows.poll().unwrap().expect("it is free").release().unwrap();
}

/// After a report about a lock that is held still, it looks again soon: a dying holder's `flock` ends last.
#[test]
fn a_report_about_a_lock_that_is_held_still_shortens_the_next_pauses() {
    let (scratch, world) = (Scratch::new(), World::new());
    let holder = world.parked(&scratch);
    let held = world.quietly(|| holder.acquire()).unwrap();
    let waiter = scratch.options().retry(HOUR).open(&scratch.0).unwrap();
    let (dir, begun) = (scratch.dir(), world.realtime_ms());
    let (clock, mut pauses) = (world.clone(), 0);
    let reported = move |at| {
        if at == At::Pause {
            pauses += 1;
            match pauses {
                // Somebody who could write to it closes it.
                1 => drop(fs::OpenOptions::new().append(true).open(dir.lock()).unwrap()),
                5 => drop(fs::remove_file(dir.lock())),
                _ => {}
            }
            assert!(clock.realtime_ms() < begun + 1000 * 3600 + 100);
        }
        Verdict::Proceed
    };
    let acquired = world.run(reported, || waiter.acquire_for(None)).unwrap();
    world.quietly(|| acquired.release()).unwrap();
    assert!(held.release().is_err());
}

/// The watch, which comes after that, reports nothing.
#[test]
fn a_waiter_that_leaves_just_before_it_is_watched_is_not_waited_for() {
    let (scratch, world) = (Scratch::new(), World::new());
    let [holder, first, behind] = [1, 2, 3].map(|process| world.open_in(process, &scratch));
    let held = world.quietly(|| holder.acquire()).unwrap();
    let line = scratch.0.join("changes.journal.lock.line");
    let _first = world.quietly(|| first.start_acquire(None)).unwrap();
    let ticket = fs::read_dir(&line).unwrap().next().unwrap().unwrap().path();
    world.pass(Duration::from_millis(1));
    // The first watch is on the lock.
    let leaves = meanwhile(At::Before("inotify_add_watch"), 2, move || {
        fs::remove_file(ticket).unwrap()
    });
    let waited = world.run(leaves, || behind.acquire_for(Duration::from_millis(75)).map(drop));
    assert_eq!(waited.unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(world.pauses.get() > 1, "behind a waiter, there would be one");
    world.quietly(|| held.release()).unwrap();
}

/// A user may have only so many queues. The next wait may find one.
#[test]
fn a_wait_without_a_queue_looks_again_and_again_and_the_next_wait_asks_for_one() {
    let (scratch, world) = (Scratch::new(), World::new());
    let [holder, waiter] = [11, 12].map(|process| world.open_in(process, &scratch));
    let held = world.quietly(|| holder.acquire()).unwrap();
    for (fails, expected) in [(true, 10), (false, 3)] {
        world.pauses.set(0);
        world.process.set(12);
        let refused = move |at| match at {
            At::Before("inotify_init1") if fails => Verdict::Fail(EMFILE),
            _ => Verdict::Proceed,
        };
        let waited = world.run(refused, || waiter.acquire_for(Duration::from_millis(75)).map(drop));
        world.process.set(0);
        assert_eq!(waited.unwrap_err().kind(), ErrorKind::TimedOut);
        let asked = world.calls().iter().filter(|call| **call == "inotify_init1").count();
        assert_eq!(asked, 1);
        let pauses = world.pauses.get();
        assert!(if fails { pauses > expected } else { pauses == expected }, "{pauses}");
    }
    world.quietly(|| held.release()).unwrap();
}

/// A lock that changed while it was looked at is looked at again at once, however often it has done so in a long wait.
#[test]
fn only_changes_in_a_row_make_a_waiter_pause() {
    let (scratch, world) = (Scratch::new(), World::new());
    fs::write(scratch.lock(), LIVING).unwrap();
    let waiter = world.open_in(1, &scratch);
    let (dir, looks) = (scratch.dir(), std::rc::Rc::new(std::cell::Cell::new(0)));
    let seen = std::rc::Rc::clone(&looks);
    let changes = move |at| {
        if at == At::Before("flock") {
            seen.set(seen.get() + 1);
            if seen.get() % 2 == 0 {
                dir.steal();
            }
        }
        Verdict::Proceed
    };
    let waited = world.run(changes, || waiter.acquire_for(Duration::from_secs(1)).map(drop));
    assert_eq!(waited.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(
        looks.get() / world.pauses.get(),
        2,
        "{} {}",
        looks.get(),
        world.pauses.get()
    );
}

/// The cancel comes after the step and before the wait, for which no descriptor is left.
#[test]
fn a_cancel_just_before_a_wait_that_no_bell_can_end_is_noticed() {
    let (scratch, world) = (Scratch::new(), World::new());
    let holder = world.parked(&scratch);
    let held = world.quietly(|| holder.acquire()).unwrap();
    let waiter = Arc::new(scratch.open());
    let other = Arc::clone(&waiter);
    let cancels = once(At::Before("eventfd2"), 1, move || {
        let cancelled = std::thread::spawn(move || other.cancel());
        cancelled.join().unwrap().unwrap();
        Verdict::Fail(EMFILE)
    });
    let waited = world.run(cancels, || waiter.acquire_for(None).map(drop));
    assert_eq!(waited.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(world.pauses.get(), 0);
    world.quietly(|| held.release()).unwrap();
}

/// In the middle of the settle.
#[test]
fn what_was_claimed_in_a_directory_that_was_moved_away_is_free_at_once() {
    let (scratch, world) = (Scratch::new(), World::new());
    let (place, away) = place_of_the_dead(&scratch);
    let lock = world.quietly(|| scratch.options().open(&place)).unwrap();
    world.pass(Duration::from_millis(950)); // the path is trusted for a second
    world.quietly(|| {
        let mut started = lock.start_acquire(None).unwrap();
        assert!(started.poll().unwrap().is_none(), "it settles");
        move_away(&place, &away);
        world.pass(SETTLE * 6 / 10);
        assert!(started.poll().unwrap().is_none());
        let other = scratch.options().open(&away).unwrap();
        other.try_acquire().expect("its holder is dead").release().unwrap();
    });
}

#[test]
fn a_waiter_leaves_no_ticket_in_a_directory_that_was_moved_away() {
    let (scratch, world) = (Scratch::new(), World::new());
    let (place, away) = (scratch.0.join("d"), scratch.0.join("away"));
    let [holder, waiter] = [(); 2].map(|()| world.quietly(|| scratch.options().open(&place)).unwrap());
    let held = world.quietly(|| holder.acquire()).unwrap();
    let tickets = |place: &Path| fs::read_dir(place.join("changes.journal.lock.line")).unwrap().count();
    world.quietly(|| {
        let mut started = waiter.start_acquire(None).unwrap();
        assert_eq!(tickets(&place), 1);
        move_away(&place, &away);
        world.pass(Duration::from_secs(2));
        assert!(started.poll().unwrap().is_none());
        assert_eq!((tickets(&away), tickets(&place)), (0, 1));
        drop(started);
        assert!(held.release().is_err());
    });
}

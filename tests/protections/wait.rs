//! The end of a wait: it comes in time, it is not missed, and nothing stays behind.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jlock::seam::Verdict;
use jlock::{ErrorKind, Options};

use crate::scene::{At, LIVING, SETTLE, Scratch, World, at_real_time, meanwhile, once};

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

/// The dead holder's lock is still there, and whoever has that directory now may claim it.
#[test]
fn what_settles_in_a_directory_that_was_moved_away_is_given_up() {
    let (scratch, world) = (Scratch::new(), World::new());
    let stamp = scratch.dead_stamp();
    let (place, away) = (scratch.0.join("d"), scratch.0.join("away"));
    fs::create_dir(&place).unwrap();
    fs::write(place.join("changes.journal.lock"), stamp).unwrap();
    let lock = world
        .quietly(|| scratch.options().settle(2 * SETTLE).open(&place))
        .unwrap();
    let (clock, to) = (world.clone(), away.clone());
    let moved = meanwhile(At::Pause, 1, move || {
        fs::rename(&place, &to).unwrap();
        fs::create_dir(&place).unwrap();
        fs::write(place.join("changes.journal.lock"), LIVING).unwrap();
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

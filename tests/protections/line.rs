//! Waiters of several processes: whose turn it is, and that a waiter that does nothing holds nobody up.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use jlock::{Acquiring, ErrorKind, Guard, Lock};

use crate::scene::{At, SETTLE, Scratch, World, meanwhile};

/// Longer than a turn, and shorter than a pause.
const TURN: Duration = Duration::from_millis(1);
/// The longest pause of a waiter.
const RETRY: Duration = Duration::from_millis(25);
/// The same for one that waits behind another waiter.
const BEHIND: Duration = Duration::from_millis(100);

/// Handles of as many processes.
fn open<const COUNT: usize>(scratch: &Scratch, world: &World) -> [Arc<Lock>; COUNT] {
    std::array::from_fn(|number| Arc::new(world.open_in(number as u64 + 1, scratch)))
}

#[test]
fn whoever_has_had_its_turn_leaves_the_lock_to_those_that_wait() {
    let (scratch, world) = (Scratch::new(), World::new());
    let [one, other] = open(&scratch, &world);
    let keeps_its_turn = |lock: &Lock| {
        let mut again = lock.start_acquire(None).unwrap();
        assert!(scratch.lock().exists());
        let held = again.poll().unwrap().expect("its turn goes on");
        held.release().unwrap();
        world.pass(TURN);
    };
    world.quietly(|| {
        let held = one.acquire().unwrap();
        let mut waits = other.start_acquire(None).unwrap();
        assert!(waits.poll().unwrap().is_none());
        held.release().unwrap();
        keeps_its_turn(&one); // it did not wait, and was called
        let mut behind = one.start_acquire(None).unwrap();
        assert!(!scratch.lock().exists(), "it has had its turn");
        let held = waits.poll().unwrap().expect("it is its turn");
        held.release().unwrap();
        keeps_its_turn(&other); // it has waited
        let waits = other.start_acquire(None).unwrap();
        assert!(!scratch.lock().exists(), "it has had its turn");
        let held = behind.poll().unwrap().expect("it is its turn");
        drop(waits);
        held.release().unwrap();
    });
}

/// And makes no directory for waiters, nor a ticket.
#[test]
fn whoever_was_called_by_one_that_has_given_up_does_not_line_up() {
    for closes in [false, true] {
        let (scratch, world) = (Scratch::new(), World::new());
        let [holder, waiter] = open(&scratch, &world);
        world.quietly(|| {
            let held = holder.acquire().unwrap();
            drop(waiter.start_acquire(None).unwrap());
            held.release().unwrap();
        });
        let line = scratch.0.join("changes.journal.lock.line");
        assert!(line.exists());
        let waiter = Some(waiter).filter(|_| !closes);
        assert_eq!(line.exists(), !closes, "whoever closes last removes it");
        world.pass(TURN);
        let again = world.quietly(|| holder.acquire()).unwrap();
        let calls = world.calls();
        assert!(!calls.contains(&"mkdirat"), "{calls:?}");
        assert_eq!(calls.iter().filter(|call| **call == "linkat").count(), 1, "{calls:?}");
        world.quietly(|| again.release()).unwrap();
        world.pass(TURN);
        let again = world.quietly(|| holder.acquire()).unwrap();
        assert!(!world.calls().contains(&"openat"), "nobody has called since");
        world.quietly(|| again.release()).unwrap();
        drop(waiter);
    }
}

/// A holder, and two that wait, of which the first does nothing.
struct Stopped {
    scratch: Scratch,
    world: World,
    holder: Arc<Lock>,
    held: Guard<'static>,
    _stopped: Acquiring<'static>,
    behind: Arc<Lock>,
    waits: Acquiring<'static>,
}

impl Stopped {
    fn new() -> Stopped {
        let (scratch, world) = (Scratch::new(), World::new());
        let [holder, stopped, behind] = open(&scratch, &world);
        let held = world.quietly(|| holder.acquire_owned()).unwrap();
        let start = |lock: &Arc<Lock>| {
            world.pass(TURN); // their order is that of their beginnings
            world.quietly(|| lock.start_acquire_owned(None)).unwrap()
        };
        let (_stopped, waits) = (start(&stopped), start(&behind));
        Stopped {
            scratch,
            world,
            holder,
            held,
            _stopped,
            behind,
            waits,
        }
    }
}

#[test]
fn a_waiter_that_has_stopped_keeps_nobody_from_a_dead_holders_lock() {
    let stamp = Scratch::new().dead_stamp();
    let mut scene = Stopped::new();
    scene.scratch.replace(&scene.scratch.lock(), &stamp);
    scene.world.clone().quietly(|| {
        scene.world.pass(BEHIND);
        assert!(scene.waits.poll().unwrap().is_none(), "it settles");
        scene.world.pass(SETTLE);
        let taken_over = scene.waits.poll().unwrap().expect("its holder is dead");
        assert!(taken_over.recovered().unwrap());
        taken_over.release().unwrap();
    });
}

/// It is waited for only if there was a moment in which it could have done something, and did not.
#[test]
fn a_waiter_that_left_a_free_lock_alone_for_a_whole_pause_is_passed_over_for_a_second() {
    for (silent, is_passed_over) in [(BEHIND, true), (Duration::ZERO, false)] {
        let mut scene = Stopped::new();
        let world = scene.world.clone();
        let pauses = |lock: &Lock, time| {
            world.pauses.set(0);
            let acquired = world.quietly(|| lock.acquire_for(time).map(drop));
            assert_eq!(acquired.unwrap_err().kind(), ErrorKind::TimedOut);
            world.pauses.get()
        };
        world.quietly(|| {
            scene.held.release().unwrap();
            world.pass(silent);
            let held = scene.waits.poll().unwrap().expect("it is free");
            held.release().unwrap();
        });
        let held = world.quietly(|| scene.holder.try_acquire()).unwrap();
        // Whoever waits for the holder looks more often than one that waits for a waiter.
        let expected = if is_passed_over { 3 } else { 1 };
        assert_eq!(pauses(&scene.behind, 3 * RETRY), expected, "after {silent:?}");
        world.pass(Duration::from_secs(1));
        assert_eq!(pauses(&scene.behind, 3 * RETRY), 1, "after {silent:?} and a second");
        world.quietly(|| held.release()).unwrap();
    }
}

/// Those of one process wait in a queue, whose head has been told that the lock is free.
#[test]
fn a_free_lock_that_the_head_of_a_queue_leaves_alone_goes_to_the_next() {
    let (scratch, world) = (Scratch::new(), World::new());
    let [holder, head, behind] = std::array::from_fn(|_| world.open_in(1, &scratch));
    world.quietly(|| {
        let held = holder.acquire().unwrap();
        let _head = head.start_acquire(None).unwrap();
        let mut waits = behind.start_acquire(None).unwrap();
        held.release().unwrap();
        world.pass(RETRY);
        for _ in 0..2 {
            assert!(waits.poll().unwrap().is_none(), "the head has a pause's time");
        }
        world.pass(RETRY);
        let held = waits.poll().unwrap().expect("the head does nothing");
        held.release().unwrap();
    });
}

/// It may be dying: its files are closed, which is reported, before its `flock` ends.
#[test]
fn a_report_about_a_waiter_that_still_waits_shortens_the_next_pauses() {
    let (scratch, world) = (Scratch::new(), World::new());
    let [holder, first, behind] = open(&scratch, &world);
    let held = world.quietly(|| holder.acquire()).unwrap();
    let _first = world.quietly(|| first.start_acquire(None)).unwrap();
    let mut tickets = fs::read_dir(scratch.0.join("changes.journal.lock.line")).unwrap();
    let ticket = tickets.next().unwrap().unwrap().path();
    world.pass(TURN);
    let reported = meanwhile(At::Pause, 1, move || {
        drop(fs::OpenOptions::new().append(true).open(ticket).unwrap());
    });
    let waited = world.run(reported, || behind.acquire_for(BEHIND + RETRY).map(drop));
    assert_eq!(waited.unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(world.pauses.get() > 4, "{}", world.pauses.get());
    world.quietly(|| held.release()).unwrap();
}

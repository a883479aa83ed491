//! A sweep removes what the dead have left, and nothing else.

use std::fs::{self, File};
use std::path::PathBuf;

use jlock::seam::Verdict;
use rustix::fs::FlockOperation;
use rustix::fs::inotify;

use crate::scene::{At, Dir, Scratch, World, make_fifo, meanwhile};

const NONCE: &str = "1-0123456789abcdef";

/// Another handle comes and looks for leftovers.
fn sweep(dir: &Dir) {
    dir.open().acquire().unwrap().release().unwrap();
}

/// A private file with a library peer's stamp; the PID is alive.
fn stamped(scratch: &Scratch, dir: &Scratch) -> PathBuf {
    // The stamp is made in another directory: making it here would use up this second's sweep.
    let stamp = dir.dead_stamp();
    let private = scratch.private(NONCE);
    fs::write(&private, stamp).unwrap();
    private
}

#[test]
fn a_dead_handles_file_goes() {
    let (scratch, other) = (Scratch::new(), Scratch::new());
    let private = stamped(&scratch, &other);
    sweep(&scratch);
    assert!(!private.exists());
}

#[test]
fn a_living_handles_file_stays() {
    let (scratch, other) = (Scratch::new(), Scratch::new());
    let private = stamped(&scratch, &other);
    let owner = File::open(&private).unwrap();
    rustix::fs::flock(&owner, FlockOperation::LockExclusive).unwrap();
    sweep(&scratch);
    assert!(private.exists());
}

#[test]
fn a_file_that_took_its_name_stays() {
    let (scratch, other, world) = (Scratch::new(), Scratch::new(), World::new());
    let private = stamped(&scratch, &other);
    let (dir, name) = (scratch.dir(), private.clone());
    let replaced = meanwhile(At::Before("flock"), 1, move || {
        dir.replace(&name, "another's\n");
    });
    world.run(replaced, || sweep(&scratch));
    assert_eq!(fs::read_to_string(private).unwrap(), "another's\n");
}

#[test]
fn a_fifo_is_not_opened() {
    let scratch = Scratch::new();
    let fifo = scratch.private(NONCE);
    make_fifo(&fifo);
    let queue = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
    inotify::add_watch(&queue, &fifo, inotify::WatchFlags::OPEN).unwrap();
    sweep(&scratch);
    assert!(rustix::io::read(&queue, &mut [0; 4096]).is_err(), "it was opened");
}

/// However many handles are opened in that second.
#[test]
fn a_process_sweeps_once_a_second() {
    let (scratch, other, world) = (Scratch::new(), Scratch::new(), World::new());
    world.quietly(|| {
        let first = scratch.open();
        first.acquire().unwrap().release().unwrap();
        let private = stamped(&scratch, &other);
        world.pass(std::time::Duration::from_millis(900));
        sweep(&scratch);
        assert!(private.exists());
        world.pass(std::time::Duration::from_millis(200));
        sweep(&scratch);
        assert!(!private.exists());
    });
}

/// Somebody keeps something else beside the tickets.
#[test]
fn what_is_not_a_ticket_stays() {
    let scratch = Scratch::new();
    let line = scratch.0.join("changes.journal.lock.line");
    fs::create_dir(&line).unwrap();
    let (ticket, other) = (
        line.join("00000000000000000001-1-0123456789abcdef"),
        line.join("another's"),
    );
    fs::write(&ticket, "").unwrap();
    fs::write(&other, "").unwrap();
    sweep(&scratch);
    assert!(!ticket.exists() && other.exists());
    fs::remove_file(other).unwrap();
    World::new().quietly(|| sweep(&scratch));
    assert!(!line.exists(), "nobody is in line");
}

/// While it is young, its owner may be about to rename it.
#[test]
fn a_living_shipped_peers_file_stays_as_long_as_it_is_young() {
    let world = World::new();
    for (age_s, stays) in [(20, true), (40, false)] {
        let scratch = Scratch::new();
        let private = scratch.private(NONCE);
        fs::write(&private, crate::scene::LIVING).unwrap();
        world.age(&private, std::time::Duration::from_secs(age_s));
        world.quietly(|| sweep(&scratch));
        assert_eq!(private.exists(), stays, "{age_s} s old");
    }
}

/// The number of no process.
const NOBODY: u32 = 4_194_304;

/// The private file of a process that is gone, or of process 1, which lives; still empty.
fn empty(dir: &Dir, pid: u32, number: usize) -> PathBuf {
    let private = dir.private(&format!("{pid}-{number:016x}"));
    fs::write(&private, "").unwrap();
    private
}

/// More would take longer than a call may be late.
#[test]
fn a_sweep_seldom_looks_at_many_names() {
    let world = World::new();
    for (at_ms, others, goes) in [(1_024_031, 0, false), (1_024_032, 0, true), (2_048_000, 1100, true)] {
        let scratch = Scratch::new();
        for number in 0..others {
            fs::write(scratch.0.join(format!("somebody's {number}")), "").unwrap();
        }
        let left: Vec<PathBuf> = (0..100).map(|number| empty(&scratch, NOBODY, number)).collect();
        world.pass_until(std::time::Duration::from_millis(at_ms));
        world.quietly(|| sweep(&scratch));
        let gone = left.iter().filter(|path| !path.exists()).count();
        assert_eq!(gone == 100, goes, "{gone} at {at_ms} ms");
    }
}

/// They belong to idle handles, and are opened a few at a time.
#[test]
fn a_sweep_asks_once_whether_a_process_lives() {
    let (scratch, world) = (Scratch::new(), World::new());
    let (gone, living) = (
        |number| empty(&scratch, NOBODY, number),
        |number| empty(&scratch, 1, number),
    );
    let (gone, living): (Vec<PathBuf>, Vec<PathBuf>) = (0..5).map(|number| (gone(number), living(number))).unzip();
    world.quietly(|| sweep(&scratch));
    assert!(gone.iter().all(|path| !path.exists()) && living.iter().all(|path| path.exists()));
    let count = |name| world.calls().iter().filter(|call| **call == name).count();
    assert_eq!(
        count("flock"),
        5 + 3 + 1,
        "and that of the stamp that is parked: {:?}",
        world.calls()
    );
    assert_eq!(
        count("kill"),
        2 + 5 + 3,
        "and again for each that is opened: {:?}",
        world.calls()
    );
}

#[test]
fn without_a_flock_the_files_of_processes_that_are_gone_go() {
    for (errno, is_none) in [(95, true), (5, false)] {
        let (scratch, other, world) = (Scratch::new(), Scratch::new(), World::new());
        let (living, gone) = (stamped(&scratch, &other), empty(&scratch, NOBODY, 1));
        let fails = move |at| match at {
            At::Before("flock") => Verdict::Fail(errno),
            _ => Verdict::Proceed,
        };
        let swept = world.run(fails, || scratch.open().acquire().map(drop));
        assert_eq!(swept.is_ok(), is_none);
        assert_eq!(gone.exists(), !is_none);
        assert_eq!(living.exists(), !is_none, "its stamp says that it has one");
    }
}

/// Its `flock` may be on another machine.
#[test]
fn a_file_whose_flock_is_free_stays_where_that_says_nothing() {
    let (scratch, other, world) = (Scratch::new(), Scratch::new(), World::new());
    let private = stamped(&scratch, &other);
    let lock = crate::places::open(&scratch, &scratch.options());
    world.age(&private, std::time::Duration::from_secs(20));
    world.quietly(|| lock.acquire().unwrap().release()).unwrap();
    assert!(private.exists());
}

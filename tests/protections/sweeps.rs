//! A sweep removes what the dead have left, and nothing else.

use std::fs::{self, File};
use std::path::PathBuf;

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

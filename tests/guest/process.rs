//! Where no `flock` says whether a holder is alive, its process does: what /proc and the kernel report about it.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use jlock::State;

use crate::child::{child, run_under};
use crate::scene::{Scene, lock_of, open, options, until, without_flock};
use crate::tried::is_root;

pub const PARTS: &[crate::scene::Part] = &[
    ("hold by the PID", hold),
    ("beside another namespace's /proc", beside_anothers_proc),
];

fn hold(dir: &Path) {
    let lock = open(dir);
    let _held = lock.acquire().unwrap();
    loop {
        std::thread::park();
    }
}

/// A process that holds the lock of a directory and is killed at the end of the test.
struct Holder(Child);

impl Holder {
    fn of(dir: &Path) -> Holder {
        let holder = child("hold by the PID", dir).spawn().unwrap();
        until("it holds the lock", || lock_of(dir).exists());
        Holder(holder)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As in a container whose first process does not reap its children.
#[test]
fn a_killed_holder_that_nobody_has_reaped_is_dead() {
    let scene = Scene::new();
    let mut holder = Holder::of(&scene.0);
    let without = without_flock(&scene.0);
    let lock = open(&without);
    assert_eq!(lock.inspect().unwrap().state, State::Held);
    holder.0.kill().unwrap();
    until("it has ended", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", holder.0.id())).unwrap();
        let fields: Vec<&str> = stat[stat.rfind(')').unwrap()..].split(' ').collect();
        (fields[1], fields[18]) == ("Z", "1") // its first thread may be a zombie before the others have ended
    });
    assert_eq!(lock.inspect().unwrap().state, State::Abandoned);
    let held = lock.acquire().unwrap();
    assert!(held.recovered().unwrap());
    held.release().unwrap();
}

#[test]
fn a_holder_is_not_judged_by_another_namespaces_proc() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let namespace = ["unshare", "--pid", "--fork", "--kill-child"];
    run_under(&namespace, "beside another namespace's /proc", &scene.0);
}

fn beside_anothers_proc(dir: &Path) {
    let holder = open(dir);
    let _held = holder.acquire().unwrap();
    let without = without_flock(dir);
    let lock = options().timeout(Duration::from_millis(50)).open(&without).unwrap();
    assert_eq!(lock.inspect().unwrap().state, State::Held);
    assert_eq!(lock.acquire().unwrap_err().code(), -libc::ETIMEDOUT);
}

//! Another program has a lease on the lock or the journal, as a file server has for its clients: a process that opens
//! the file has to wait until the lease is given back.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jlock::ErrorKind;

use crate::scene::{LONG, Scene, append, entries, journal_of, lock_of, open, options, stamp, until};

/// A write lease, which means that nobody else may have the file open.
struct Leased(File);

impl Leased {
    fn take(path: &Path) -> Leased {
        // Whoever wants the file makes the kernel send a signal, which by default ends the process.
        // SAFETY: the signal is ignored from now on, in this whole test program.
        unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        // If another test is just starting a program, that has copies of our descriptors until its exec.
        until("nobody else has it open", || set_lease(&file, libc::F_WRLCK).is_ok());
        Leased(file)
    }

    fn is_wanted(&self) -> bool {
        // SAFETY: a command without an argument. While somebody waits, it returns what the lease is to become.
        unsafe { libc::fcntl(self.0.as_raw_fd(), libc::F_GETLEASE) != libc::F_WRLCK }
    }

    fn give_back(&self) {
        set_lease(&self.0, libc::F_UNLCK).unwrap();
    }
}

fn set_lease(file: &File, kind: i32) -> std::io::Result<()> {
    // SAFETY: a command that takes a number.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Gives the lease back as soon as somebody wants it.
fn give_back_when_asked(leased: &Leased, over: &AtomicBool) {
    let begun = Instant::now();
    while !leased.is_wanted() && !over.load(Ordering::Relaxed) && begun.elapsed() < LONG {
        std::thread::sleep(Duration::from_millis(1)); // the kernel would report it only by a signal
    }
    leased.give_back();
}

fn while_it_is_given_back(path: &Path, act: impl FnOnce()) {
    let leased = Leased::take(path);
    let over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| give_back_when_asked(&leased, &over));
        act();
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_leased_journal_is_written_and_read_once_it_is_given_back() {
    let scene = Scene::new();
    let lock = open(&scene.0);
    stamp(&lock, "before").unwrap();
    let journal = journal_of(&scene.0);
    while_it_is_given_back(&journal, || append(&lock, "free").unwrap());
    while_it_is_given_back(&journal, || stamp(&lock, "stamped").unwrap());
    while_it_is_given_back(&journal, || drop(lock.journal().read().unwrap()));
    let held = lock.acquire().unwrap();
    while_it_is_given_back(&journal, || append(&lock, "held").unwrap());
    held.release().unwrap();
    assert_eq!(entries(&scene.0), ["before", "free", "stamped", "held"]);
    while_it_is_given_back(&journal, || lock.journal().write_header(1_700_000_000_002).unwrap());
}

#[test]
fn a_lease_that_is_kept_is_named_when_the_timeout_is_over() {
    let scene = Scene::new();
    let lock = options().timeout(Duration::from_millis(50)).open(&scene.0).unwrap();
    stamp(&lock, "before").unwrap();
    let leased = Leased::take(&journal_of(&scene.0));
    let held = |lock: &jlock::Lock| {
        let _held = lock.acquire()?;
        append(lock, "held")
    };
    for failed in [append(&lock, "LOST"), lock.journal().read().map(drop), held(&lock)] {
        let error = failed.unwrap_err();
        assert_eq!(error.code(), -libc::EAGAIN, "{error}");
        assert!(error.message().contains("lease"), "{error}");
        assert!(!error.message().contains("held by somebody else"), "{error}");
    }
    leased.give_back();
    append(&lock, "after").unwrap();
    assert_eq!(entries(&scene.0), ["before", "after"]);
}

/// A dead holder's lock: a living holder has it open, and then nobody can get a lease on it.
fn leave_dead(scene: &Scene) {
    let (other, lock) = (scene.dir("other"), lock_of(&scene.0));
    let holder = open(&other);
    let _held = holder.acquire().unwrap();
    std::fs::copy(lock_of(&other), lock).unwrap();
}

#[test]
fn a_leased_lock_is_taken_over_once_it_is_given_back() {
    let scene = Scene::new();
    leave_dead(&scene);
    let lock = open(&scene.0);
    while_it_is_given_back(&lock_of(&scene.0), || lock.acquire().unwrap().release().unwrap());
    assert!(!lock_of(&scene.0).exists());
}

#[test]
fn a_lock_whose_lease_is_kept_is_waited_for_and_reported_as_leased() {
    let scene = Scene::new();
    leave_dead(&scene);
    let lock = options().timeout(Duration::from_millis(50)).open(&scene.0).unwrap();
    let leased = Leased::take(&lock_of(&scene.0));
    let error = lock.acquire().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    assert!(error.message().contains("lease"), "{error}");
    let error = lock.inspect().unwrap_err();
    assert!(
        error.code() == -libc::EAGAIN && error.message().contains("lease"),
        "{error}"
    );
    leased.give_back();
    lock.acquire().unwrap().release().unwrap();
}

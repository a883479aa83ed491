//! The directory disappears while a handle is open, and another one takes its place.

use std::cell::RefCell;
use std::ffi::CString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::time::Duration;

use jlock::seam::{self, Hook, Verdict};
use jlock::{ErrorKind, Lock, State};

use crate::child::{child, run, under};
use crate::scene::{LONG, Scene, append, changed, entries, journal_of, lock_of, open, options, stamp, until};

pub const PARTS: &[crate::scene::Part] = &[
    ("relative", opened_by_a_relative_path),
    ("deep", opened_beneath_a_deep_directory),
    ("mounted over", mounted_over),
    ("another root", in_another_root),
];

type Event = fn(&Path);

fn old(dir: &Path) -> PathBuf {
    dir.with_extension("old")
}

fn remove(dir: &Path) {
    fs::remove_dir_all(dir).unwrap();
}

fn move_away(dir: &Path) {
    fs::rename(dir, old(dir)).unwrap();
}

fn replace(dir: &Path) {
    let new = dir.with_extension("new");
    fs::create_dir(&new).unwrap();
    move_away(dir);
    fs::rename(new, dir).unwrap();
}

/// Leaves what `git clean -fdx` leaves of a directory that has something tracked in it.
fn empty(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => fs::remove_dir_all(entry.path()).unwrap(),
            false => fs::remove_file(entry.path()).unwrap(),
        }
    }
}

fn mount_over(dir: &Path) {
    let dir = CString::new(dir.as_os_str().as_bytes()).unwrap();
    // SAFETY: the strings live as long as the call.
    let mounted = unsafe { libc::mount(c"none".as_ptr(), dir.as_ptr(), c"tmpfs".as_ptr(), 0, std::ptr::null()) };
    assert_eq!(mounted, 0, "{}", std::io::Error::last_os_error());
}

/// Another program, which opens the path now.
fn other(dir: &Path) -> Lock {
    let other = open(dir);
    stamp(&other, "other").unwrap();
    other
}

// ----------------------------------------------------------------------------------------------------- following

fn appends_where_the_path_leads(dir: &Path, event: Event) {
    let watcher = open(dir);
    stamp(&watcher, "before").unwrap();
    event(dir);
    let other = other(dir);
    until("its entry is in the journal that the path names", || {
        append(&watcher, "after").unwrap();
        entries(dir).contains(&"after".to_owned())
    });
    assert!(!entries(dir).contains(&"before".to_owned()));
    let held = other.acquire().unwrap();
    assert_eq!(watcher.inspect().unwrap().state, State::Held);
    assert_eq!(watcher.try_acquire().unwrap_err().kind(), ErrorKind::WouldBlock);
    held.release().unwrap();
    watcher.acquire().unwrap().release().unwrap();
}

fn looks_where_the_path_leads(dir: &Path, event: Event) {
    let watcher = open(dir);
    stamp(&watcher, "before").unwrap();
    event(dir);
    let other = other(dir);
    until("it reads the journal that the path names", || {
        watcher
            .journal()
            .read()
            .is_ok_and(|snapshot| changed(&snapshot) == ["other"])
    });
    let _held = other.acquire().unwrap();
    assert_eq!(watcher.inspect().unwrap().state, State::Held);
}

fn is_told_of_its_loss(dir: &Path, event: Event) {
    let watcher = open(dir);
    let held = watcher.acquire().unwrap();
    append(&watcher, "before").unwrap();
    event(dir);
    let other = other(dir);
    let others = other.acquire().unwrap();
    let is_lost = |result: jlock::Result<()>| result.is_err_and(|error| error.kind() == ErrorKind::Lost);
    until("its hold is lost", || is_lost(held.refresh()));
    assert!(is_lost(append(&watcher, "lost")));
    assert!(is_lost(held.release().map_err(Into::into)));
    assert!(lock_of(dir).exists(), "the other's lock is still there");
    others.release().unwrap();
    append(&watcher, "after").unwrap();
    assert_eq!(entries(dir), ["other", "after"]);
}

fn follows(event: Event) {
    let acts: [fn(&Path, Event); 3] = [
        appends_where_the_path_leads,
        looks_where_the_path_leads,
        is_told_of_its_loss,
    ];
    std::thread::scope(|threads| {
        for act in acts {
            threads.spawn(move || {
                let scene = Scene::new();
                act(&scene.dir("d"), event);
            });
        }
    });
}

#[test]
fn a_directory_that_is_removed_and_made_again_is_found() {
    follows(remove);
}

#[test]
fn a_directory_that_is_moved_away_and_made_again_is_found() {
    follows(move_away);
}

#[test]
fn a_directory_that_is_replaced_is_found() {
    follows(replace);
}

#[test]
fn a_directory_that_is_emptied_is_used_on() {
    follows(empty);
}

#[test]
fn a_mount_over_the_directory_is_found() {
    let scene = Scene::new();
    let namespace = match rustix::process::geteuid().is_root() {
        true => "-m",
        false => "-rm",
    };
    run(&mut under(&["unshare", namespace], "mounted over", &scene.0));
}

fn mounted_over(scene: &Path) {
    let acts: [fn(&Path, Event); 3] = [
        appends_where_the_path_leads,
        looks_where_the_path_leads,
        is_told_of_its_loss,
    ];
    for (number, act) in acts.iter().enumerate() {
        let dir = scene.join(number.to_string());
        fs::create_dir(&dir).unwrap();
        act(&dir, mount_over);
    }
}

#[test]
fn a_directory_that_nobody_makes_again_is_made_by_the_next_acquire() {
    let scene = Scene::new();
    let dir = scene.path("above").join("d");
    let (lock, obedient) = (open(&dir), options().create(false).open(&dir).unwrap());
    append(&lock, "before").unwrap();
    append(&obedient, "before").unwrap();
    fs::remove_dir_all(scene.path("above")).unwrap();
    until("it is told", || {
        append(&obedient, "LOST").is_err_and(|error| error.code() == -libc::ENOENT)
    });
    assert!(!dir.exists(), "it was opened with no_create");
    append(&lock, "after").unwrap();
    assert_eq!(entries(&dir), ["after"]);
    append(&obedient, "too").unwrap();
    assert_eq!(entries(&dir), ["after", "too"]);
}

#[test]
fn a_hold_in_a_directory_that_is_gone_is_lost() {
    let scene = Scene::new();
    let dir = scene.dir("d");
    let lock = open(&dir);
    let held = lock.acquire().unwrap();
    remove(&dir);
    assert_eq!(held.release().unwrap_err().error.kind(), ErrorKind::Lost);
    append(&lock, "after").unwrap();
    assert_eq!(entries(&dir), ["after"]);
}

/// A monotonic clock that stands still.
struct At(Duration);

impl Hook for At {
    fn before(&mut self, _call: &'static str) -> Verdict {
        Verdict::Proceed
    }

    fn monotonic(&mut self) -> Option<Duration> {
        Some(self.0)
    }
}

fn at<T>(seconds: u64, run: impl FnOnce() -> T) -> T {
    seam::install(At(Duration::from_secs(seconds)));
    let result = run();
    seam::uninstall();
    result
}

#[test]
fn a_hold_in_a_directory_that_is_gone_for_long_is_given_up() {
    let scene = Scene::new();
    let dir = scene.dir("d");
    let lock = at(100, || open(&dir));
    let held = at(100, || lock.acquire().unwrap());
    remove(&dir);
    assert_eq!(at(102, || held.refresh()).unwrap_err().kind(), ErrorKind::Lost);
    assert!(!dir.exists());
    assert_eq!(held.release().unwrap_err().error.kind(), ErrorKind::Lost);
    append(&lock, "after").unwrap();
    assert_eq!(entries(&dir), ["after"]);
}

#[test]
fn a_lock_that_is_free_because_its_directory_is_gone_is_looked_for_again_at_once() {
    let scene = Scene::new();
    let dir = scene.dir("d");
    at(100, || {
        let lock = open(&dir);
        remove(&dir);
        let other = open(&dir);
        let _held = other.acquire().unwrap();
        assert_eq!(lock.inspect().unwrap().state, State::Held);
    });
}

#[test]
fn a_file_in_the_place_of_a_directory_above_is_an_error() {
    let scene = Scene::new();
    let above = scene.dir("above");
    let lock = at(100, || open(&above.join("d")));
    move_away(&above);
    File::create_new(&above).unwrap();
    let told = at(102, || lock.acquire().map(drop)).unwrap_err();
    assert_eq!(told.code(), -libc::ENOTDIR);
}

#[test]
fn directories_that_are_made_are_synced_if_the_options_say_so() {
    let scene = Scene::new();
    let syncs = |dir: &str, sync| {
        let calls = Rc::default();
        seam::install(Calls(Rc::clone(&calls)));
        let opened = options().sync(sync).open(scene.path(dir).join("below"));
        seam::uninstall();
        opened.unwrap();
        let calls: &RefCell<Vec<_>> = &calls;
        calls.borrow().iter().filter(|call| **call == "fsync").count()
    };
    assert_eq!(syncs("a", true), 2);
    assert_eq!(syncs("b", false), 0);
}

struct Calls(Rc<RefCell<Vec<&'static str>>>);

impl Hook for Calls {
    fn before(&mut self, call: &'static str) -> Verdict {
        self.0.borrow_mut().push(call);
        Verdict::Proceed
    }
}

#[test]
fn the_first_directory_that_cannot_be_made_says_why() {
    let why = fs::create_dir("/proc/none").unwrap_err().raw_os_error().unwrap();
    let told = options().open("/proc/none/d").unwrap_err();
    assert_eq!(told.code(), -why, "{told}");
}

// ------------------------------------------------------------------------------------------------- while it waits

#[test]
fn a_waiter_goes_on_waiting_where_the_path_leads() {
    let scene = Scene::new();
    let dir = scene.dir("d");
    let (holder, waiter) = (open(&dir), options().timeout(None).open(&dir).unwrap());
    let _held = holder.acquire().unwrap();
    let (told, hears) = channel();
    std::thread::scope(|threads| {
        threads.spawn(|| told.send(append(&waiter, "waited")).unwrap());
        until("it is in line", || dir.join("changes.journal.lock.line").exists());
        move_away(&dir);
        let other = other(&dir);
        assert_eq!(hears.recv_timeout(LONG), Ok(Ok(())));
        drop(other);
    });
    assert_eq!(entries(&dir), ["other", "waited"]);
}

#[test]
fn an_acquire_that_was_started_goes_on_where_the_path_leads() {
    let scene = Scene::new();
    let dir = scene.dir("d");
    let (holder, waiter) = (open(&dir), open(&dir));
    let _held = holder.acquire().unwrap();
    let mut started = waiter.start_acquire(None).unwrap();
    assert!(started.poll().unwrap().is_none());
    move_away(&dir);
    let mut held = None;
    until("it has the lock of the directory that has come", || {
        held = started.poll().unwrap();
        held.is_some()
    });
    assert!(lock_of(&dir).exists());
    held.unwrap().release().unwrap();
    assert!(lock_of(&old(&dir)).exists(), "the other's lock is still there");
}

// -------------------------------------------------------------------------------------- relative, open_at, chroot

#[test]
fn a_relative_path_is_meant_as_it_was() {
    let scene = Scene::new();
    run(child("relative", &scene.0).current_dir(&scene.0));
}

fn opened_by_a_relative_path(scene: &Path) {
    let lock = open(Path::new("d"));
    std::env::set_current_dir("/").unwrap();
    stamp(&lock, "before").unwrap();
    let dir = scene.join("d");
    move_away(&dir);
    until("its entry is in the journal that the path named", || {
        append(&lock, "after").unwrap();
        entries(&dir).contains(&"after".to_owned())
    });
    assert!(!Path::new("/d").exists());
}

#[test]
fn beneath_a_directory_whose_path_is_too_long_a_hold_stays_a_hold() {
    let scene = Scene::new();
    run(child("deep", &scene.0).current_dir(&scene.0));
}

fn opened_beneath_a_deep_directory(_scene: &Path) {
    let name = "d".repeat(250);
    for _ in 0..20 {
        fs::create_dir(&name).unwrap();
        std::env::set_current_dir(&name).unwrap();
    }
    let lock = open(Path::new("place"));
    let held = lock.acquire().unwrap();
    std::thread::sleep(Duration::from_millis(1_100)); // longer than a path is trusted
    held.refresh().unwrap();
    held.release().unwrap();
    append(&lock, "a").unwrap();
    assert_eq!(entries(Path::new("place")), ["a"]);
}

#[test]
fn a_handle_on_a_descriptor_stays_with_it_and_is_told_when_it_is_removed() {
    let scene = Scene::new();
    let dir = scene.dir("d");
    let lock = options().open_at(File::open(&dir).unwrap(), "changes.journal").unwrap();
    stamp(&lock, "before").unwrap();
    move_away(&dir);
    fs::create_dir(&dir).unwrap();
    std::thread::sleep(Duration::from_millis(1_100)); // longer than a path is trusted
    append(&lock, "after").unwrap();
    assert_eq!(entries(&old(&dir)), ["before", "after"]);
    assert!(!journal_of(&dir).exists());
    remove(&old(&dir));
    for result in [
        append(&lock, "LOST"),
        lock.acquire().map(drop),
        lock.journal().write_header(1),
    ] {
        let error = result.unwrap_err();
        assert_eq!(error.code(), -libc::ESTALE, "{error}");
        assert!(error.message().contains("its directory was removed"), "{error}");
    }
    assert!(!journal_of(&dir).exists());
}

#[test]
fn a_program_that_changes_its_root_stays_with_the_directory_that_it_opened() {
    if crate::tried::is_root() {
        let scene = Scene::new();
        run(&mut child("another root", &scene.0));
    }
}

fn in_another_root(scene: &Path) {
    let (dir, jail) = (scene.join("d"), scene.join("jail"));
    fs::create_dir(&jail).unwrap();
    let lock = open(&dir);
    let held = open(&dir);
    append(&lock, "before").unwrap();
    let hold = held.acquire().unwrap();
    std::os::unix::fs::chroot(&jail).unwrap();
    std::env::set_current_dir("/").unwrap();
    std::thread::sleep(Duration::from_millis(1_100)); // longer than a path is trusted
    hold.refresh().unwrap();
    append(&held, "held").unwrap();
    hold.release().unwrap();
    append(&lock, "after").unwrap();
    let read = lock.journal().read();
    assert!(
        read.is_err_and(|error| error.kind() == ErrorKind::Unstamped),
        "it is found"
    );
    assert_eq!(
        fs::read_dir("/").unwrap().count(),
        0,
        "nothing is made below the new root"
    );
}

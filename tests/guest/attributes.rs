//! Times, attributes, umasks and copies of the lock's files.

use std::fs::{self, File, FileTimes, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use jlock::State;

use crate::child::{child, child_as, run, run_under};
use crate::scene::{Scene, append, entries, journal_of, lock_of, open, options, stamp, until, without_flock};
use crate::tried::{is_root, not_tried};

pub const PARTS: &[crate::scene::Part] = &[
    ("sticky", sticky),
    ("masked", masked),
    ("masked from the owner", masked_from_the_owner),
    ("hold until killed", hold),
    ("in another time namespace", in_another_time),
];

const USER: u32 = 4711;
const OTHER: u32 = 4712;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn date(path: &Path, time: SystemTime) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_times(FileTimes::new().set_modified(time)).unwrap();
}

// ----------------------------------------------------------------------------------------------------------- time

#[test]
fn a_lock_that_is_dated_in_the_future_grows_old_as_one_looks() {
    let stale = Duration::from_millis(300);
    for content in ["", "foreign\n", "1\n1-0123456789abcdef\n", "4194304\n", "17"] {
        let scene = Scene::new();
        fs::write(lock_of(&scene.0), content).unwrap();
        date(&lock_of(&scene.0), SystemTime::now() + DAY);
        let lock = options()
            .stale(stale)
            .timeout(Duration::from_secs(20))
            .open(&scene.0)
            .unwrap();
        let begun = Instant::now();
        append(&lock, "a").unwrap_or_else(|error| panic!("{content:?}: {error}"));
        assert_eq!(entries(&scene.0), ["a"], "{content:?} after {:?}", begun.elapsed());
    }
}

#[test]
fn the_age_of_a_lock_that_is_dated_in_the_future_is_reported_sensibly() {
    let scene = Scene::new();
    fs::write(lock_of(&scene.0), "foreign\n").unwrap();
    date(&lock_of(&scene.0), SystemTime::now() + DAY);
    let lock = options().timeout(Duration::from_millis(20)).open(&scene.0).unwrap();
    let error = lock.acquire().unwrap_err();
    assert!(error.message().contains("in the future"), "{error}");
}

#[test]
fn a_holder_in_another_time_namespace_is_not_robbed() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let holder = open(&scene.0);
    let _held = holder.acquire().unwrap();
    run_under(
        &["unshare", "-T", "--boottime", "1000000"],
        "in another time namespace",
        &scene.0,
    );
}

fn in_another_time(dir: &Path) {
    let lock = options().timeout(Duration::from_millis(50)).open(dir).unwrap();
    assert_eq!(lock.inspect().unwrap().state, State::Held);
    assert_eq!(lock.acquire().unwrap_err().code(), -libc::ETIMEDOUT);
    // The same where no flock shows that the holder is alive.
    let without = without_flock(dir);
    let lock = options().timeout(Duration::from_millis(50)).open(&without).unwrap();
    assert_eq!(lock.inspect().unwrap().state, State::Held);
    assert_eq!(lock.acquire().unwrap_err().code(), -libc::ETIMEDOUT);
}

// ---------------------------------------------------------------------------------------------------- append-only

/// Does what `chattr +a` does. Returns `false` if that is not possible here.
fn set_append_only(path: &Path, on: bool) -> bool {
    const APPEND: libc::c_long = 0x20; // FS_APPEND_FL, ioctl_iflags(2)
    let file = File::open(path).unwrap();
    let mut flags: libc::c_long = 0;
    // SAFETY: both read or write one number.
    let set = unsafe {
        if libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) != 0 {
            return false;
        }
        flags = if on { flags | APPEND } else { flags & !APPEND };
        libc::ioctl(file.as_raw_fd(), libc::FS_IOC_SETFLAGS, &raw const flags)
    };
    set == 0
}

#[test]
fn a_journal_that_may_only_be_appended_to_gets_whole_stamps_or_none() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let (lock, journal) = (open(&scene.0), journal_of(&scene.0));
    stamp(&lock, "a").unwrap();
    let before = fs::read(&journal).unwrap();
    if !set_append_only(&journal, true) {
        not_tried("this file system has no append-only attribute");
        return;
    }
    let stamped = stamp(&lock, "b");
    let rewritten = lock.journal().write_header(1_700_000_000_002);
    let after = fs::read(&journal).unwrap();
    let appended = append(&lock, "c");
    let names = fs::read_dir(&scene.0).unwrap().count();
    assert!(set_append_only(&journal, false));
    for refused in [stamped, rewritten] {
        let error = refused.unwrap_err();
        assert_eq!(error.code(), -libc::EPERM, "{error}");
    }
    assert_eq!(
        after, before,
        "neither the entry without its stamp nor the stamp without its entry"
    );
    appended.unwrap();
    assert_eq!(entries(&scene.0), ["a", "c"]);
    assert_eq!(names, 2, "the journal and the parked stamp");
}

// --------------------------------------------------------------------------------------------------------- sticky

fn hold(dir: &Path) {
    let lock = open(dir);
    let _held = lock.acquire().unwrap();
    loop {
        std::thread::park();
    }
}

fn leave_dead_as(user: u32, scene: &Scene, dir: &Path) {
    let mut holder = child_as(user, scene, "hold until killed", dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("it holds", || lock_of(dir).exists());
    holder.kill().unwrap();
    holder.wait().unwrap();
}

#[test]
fn in_a_sticky_directory_the_message_says_who_may_take_over() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let dir = scene.dir("d");
    fs::set_permissions(&dir, Permissions::from_mode(0o1777)).unwrap();
    leave_dead_as(USER, &scene, &dir);
    let before = fs::read(lock_of(&dir)).unwrap();
    run(&mut child_as(OTHER, &scene, "sticky", &dir));
    assert_eq!(fs::read(lock_of(&dir)).unwrap(), before, "it is as it was");
    append(&open(&dir), "roots").unwrap();
    assert_eq!(entries(&dir), ["roots"]);
    leave_dead_as(USER, &scene, &dir);
    assert_eq!(fs::metadata(lock_of(&dir)).unwrap().uid(), USER);
    open(&dir).acquire().unwrap().release().unwrap();
}

fn sticky(dir: &Path) {
    let lock = open(dir);
    let error = lock.acquire().unwrap_err();
    assert_eq!(error.code(), -libc::EPERM);
    for word in ["sticky", "user 4711", "root"] {
        assert!(error.message().contains(word), "{error}");
    }
}

// ------------------------------------------------------------------------------------------------------ umask, copies

#[test]
fn a_mask_that_leaves_others_no_rights_keeps_the_owner_from_nothing() {
    let scene = Scene::new();
    run(&mut child("masked", &scene.0));
}

/// Root may read files that nobody else may read, so this runs as another user.
#[test]
fn a_mask_that_takes_the_owners_rights_leaves_a_lock_that_can_be_taken_over() {
    let scene = Scene::new();
    let part = "masked from the owner";
    if rustix::process::geteuid().is_root() {
        crate::fresh::is_open_to_all();
        std::os::unix::fs::chown(&scene.0, Some(USER), Some(USER)).unwrap();
        run(&mut child_as(USER, &scene, part, &scene.0));
    } else {
        run(&mut child(part, &scene.0));
    }
}

fn masked_from_the_owner(dir: &Path) {
    for mask in [0o777, 0o477, 0o277] {
        let dir = dir.join(format!("{mask:o}"));
        fs::create_dir(&dir).unwrap();
        // SAFETY: it changes only this process, which does nothing else.
        unsafe { libc::umask(mask) };
        let dead = open(&dir);
        append(&dead, "a").unwrap();
        let held = dead.acquire().unwrap();
        let stamp = lock_of(&dir);
        assert_eq!(
            fs::metadata(&stamp).unwrap().permissions().mode() & 0o700,
            0o600,
            "{mask:o}"
        );
        // The same as if its process had been killed: the file stays, and its flock ends.
        let kept = dir.join("kept");
        fs::hard_link(&stamp, &kept).unwrap();
        held.release().unwrap();
        dead.close().unwrap();
        fs::rename(&kept, &stamp).unwrap();
        let next = open(&dir);
        assert!(next.acquire().unwrap().recovered().unwrap(), "{mask:o}");
        append(&next, "b").unwrap();
        // SAFETY: as above.
        unsafe { libc::umask(0o022) };
        assert_eq!(entries(&dir), ["a", "b"], "{mask:o}");
    }
}

fn masked(dir: &Path) {
    for mask in [0o077, 0o177] {
        // SAFETY: it changes only this process, which does nothing else.
        unsafe { libc::umask(mask) };
        let (lock, other) = (
            open(dir),
            options().timeout(Duration::from_millis(20)).open(dir).unwrap(),
        );
        let held = lock.acquire().unwrap();
        assert_eq!(other.acquire().unwrap_err().code(), -libc::ETIMEDOUT, "{mask:o}");
        append(&lock, "a").unwrap();
        held.release().unwrap();
        other.acquire().unwrap().release().unwrap();
        // SAFETY: as above.
        assert_eq!(unsafe { libc::umask(0o022) }, mask, "the library leaves it alone");
    }
    assert!(journal_of(dir).exists());
}

/// Copies the directory with `cp -al` while a handle is open there.
fn copy_by_links(from: &Path, to: &Path) {
    let copied = Command::new("cp").args(["-al"]).args([from, to]).status().unwrap();
    assert!(copied.success());
}

#[test]
fn a_copy_by_hard_links_of_a_free_lock_is_free() {
    let scene = Scene::new();
    let dir = scene.dir("d");
    let lock = open(&dir);
    append(&lock, "before").unwrap();
    let copy = scene.path("copy");
    copy_by_links(&dir, &copy);
    let other = open(&copy);
    assert_eq!(other.inspect().unwrap().state, State::Free);
    other.acquire().unwrap().release().unwrap();
    append(&lock, "after").unwrap();
}

#[test]
fn a_copy_by_hard_links_of_a_held_lock_is_held_until_the_release() {
    let scene = Scene::new();
    let dir = scene.dir("d");
    let lock = open(&dir);
    let held = lock.acquire().unwrap();
    let copy = scene.path("copy");
    copy_by_links(&dir, &copy);
    let other = open(&copy);
    assert_eq!(other.inspect().unwrap().state, State::Held);
    held.release().unwrap();
    // Not at once: if another test is just starting a program, that has a copy of the descriptor until its exec.
    until("it is nobody's", || other.inspect().unwrap().state == State::Abandoned);
    other.acquire().unwrap().release().unwrap();
    append(&lock, "after").unwrap();
    assert_eq!(entries(&dir), ["after"]);
}

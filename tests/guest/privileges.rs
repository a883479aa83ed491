//! A program gives up its privileges, or changes its user with each request; and root works in a user's directory.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use jlock::{ErrorKind, Lock, State};

use crate::child::{child, child_as, run};
use crate::refused::refuse_everywhere;
use crate::scene::{Scene, append, entries, journal_of, lock_of, open, options, until};
use crate::tried::is_root;

const USER: u32 = 4711;
const OTHER: u32 = 4712;

pub const PARTS: &[crate::scene::Part] = &[
    ("at once", |dir| dropped(dir, Duration::ZERO)),
    ("later", |dir| dropped(dir, LATER)),
    ("by request", by_request),
    ("by request, sticky", by_request_sticky),
    ("by request, writable by all", by_request_writable),
    ("by request, to files", by_request_to_files),
    ("while held", while_held),
    ("above may not be searched", above_may_not_be_searched),
    ("failing keepalive", failing_keepalive),
    ("beside root's process", beside_roots_process),
    ("hold", hold),
    ("append", |dir| append(&open(dir), "users").unwrap()),
];

/// Longer than a parked stamp counts as fresh, and than a path is trusted.
const LATER: Duration = Duration::from_millis(1_200);

fn become_user(user: u32) {
    // SAFETY: it changes the user of all threads of this process.
    let rc = unsafe { libc::setgid(user) | libc::setuid(user) };
    assert_eq!(rc, 0, "{}", std::io::Error::last_os_error());
}

fn act_as(user: u32) {
    // SAFETY: as above.
    let rc = unsafe { libc::seteuid(user) };
    assert_eq!(rc, 0, "{}", std::io::Error::last_os_error());
}

/// A directory that belongs to the user.
fn users(scene: &Scene) -> std::path::PathBuf {
    let dir = scene.dir("d");
    chown(&dir, Some(USER), Some(USER)).unwrap();
    dir
}

/// A user's directory that others may write to.
fn shared(scene: &Scene, mode: u32) -> std::path::PathBuf {
    let dir = users(scene);
    fs::set_permissions(&dir, Permissions::from_mode(mode)).unwrap();
    dir
}

fn works_without_weaker_means(lock: &Lock) {
    let held = lock.acquire().unwrap();
    let holder = lock.inspect().unwrap();
    assert!(
        holder.state == State::Mine && !holder.without_link && !holder.without_flock,
        "{holder:?}"
    );
    held.release().unwrap();
}

#[test]
fn privileges_may_be_dropped_between_two_acquires() {
    if is_root() {
        for part in ["at once", "later"] {
            let scene = Scene::new();
            let dir = users(&scene);
            run(&mut child(part, &dir));
            assert_eq!(entries(&dir), ["root", "user", "again"]);
            assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "nothing is left behind");
        }
    }
}

fn dropped(dir: &Path, after: Duration) {
    let lock = open(dir);
    append(&lock, "root").unwrap();
    become_user(USER);
    std::thread::sleep(after);
    works_without_weaker_means(&lock);
    append(&lock, "user").unwrap();
    std::thread::sleep(LATER);
    append(&lock, "again").unwrap();
    works_without_weaker_means(&lock);
}

#[test]
fn each_request_may_be_another_users() {
    if is_root() {
        let scene = Scene::new();
        let dir = shared(&scene, 0o777);
        fs::write(journal_of(&dir), "# codegraph-journal v1 1\n").unwrap();
        fs::set_permissions(journal_of(&dir), Permissions::from_mode(0o666)).unwrap();
        run(&mut child("by request", &dir));
        assert_eq!(entries(&dir).len(), 10);
    }
}

fn by_request(dir: &Path) {
    let lock = open(dir);
    for (number, user) in [USER, OTHER, 0, OTHER, USER].into_iter().enumerate() {
        for pause in [Duration::ZERO, LATER] {
            act_as(user);
            std::thread::sleep(pause);
            append(&lock, &format!("{number} {user}")).unwrap();
            works_without_weaker_means(&lock);
            act_as(0);
        }
    }
}

/// In such a directory, only the user who parked a stamp can remove it, and does so when their turn comes again.
#[test]
fn requests_of_many_users_leave_nothing_in_a_sticky_directory() {
    if is_root() {
        let scene = Scene::new();
        let dir = shared(&scene, 0o1777);
        run(&mut child("by request, sticky", &dir));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    }
}

fn by_request_sticky(dir: &Path) {
    let users = [OTHER, OTHER + 1, OTHER + 2];
    let lock = open(dir);
    for _ in 0..5 {
        for user in users {
            act_as(user);
            works_without_weaker_means(&lock);
            act_as(0);
        }
    }
    let left: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(left.len() <= users.len(), "{left:?}");
    lock.close().unwrap();
}

/// The system lets a user link what they may write to, as everybody may what a daemon with an empty umask has made.
#[test]
fn another_users_stamp_is_not_placed_where_only_they_could_remove_it() {
    if is_root() {
        let scene = Scene::new();
        let dir = shared(&scene, 0o1777);
        run(&mut child("by request, writable by all", &dir));
    }
}

fn by_request_writable(dir: &Path) {
    // SAFETY: it changes this process alone, which is the test's own.
    unsafe { libc::umask(0) };
    by_request_sticky(dir);
}

#[test]
fn a_thread_may_be_another_user_to_the_file_system_alone() {
    if is_root() {
        let scene = Scene::new();
        let dir = shared(&scene, 0o777);
        run(&mut child("by request, to files", &dir));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    }
}

fn by_request_to_files(dir: &Path) {
    let lock = open(dir);
    for user in [0, USER, OTHER, 0, USER, 0] {
        // SAFETY: it changes this thread alone, and cannot fail for root.
        unsafe { libc::setfsuid(user) };
        works_without_weaker_means(&lock);
    }
}

#[test]
fn a_hold_is_kept_alive_when_privileges_are_dropped_under_it() {
    if is_root() {
        let scene = Scene::new();
        let dir = users(&scene);
        run(&mut child("while held", &dir));
        assert_eq!(entries(&dir), ["held"]);
    }
}

fn while_held(dir: &Path) {
    let lock = options()
        .keepalive(true)
        .stale(Duration::from_millis(600))
        .open(dir)
        .unwrap();
    let held = lock.acquire().unwrap();
    become_user(USER);
    let sign = || {
        File::open(lock_of(dir))
            .unwrap()
            .metadata()
            .unwrap()
            .modified()
            .unwrap()
    };
    for _ in 0..3 {
        let last = sign();
        until("the keepalive gives a sign of life", || sign() > last);
    }
    held.refresh().unwrap();
    append(&lock, "held").unwrap();
    held.release().unwrap();
    assert!(!lock_of(dir).exists());
}

#[test]
fn a_path_that_may_not_be_searched_any_more_keeps_its_directory() {
    if is_root() {
        let scene = Scene::new();
        let dir = users(&scene);
        run(&mut child("above may not be searched", &dir));
        assert_eq!(entries(&dir), ["before", "held", "after"]);
        fs::set_permissions(&scene.0, Permissions::from_mode(0o755)).unwrap();
    }
}

fn above_may_not_be_searched(dir: &Path) {
    let (lock, held) = (open(dir), open(dir));
    append(&lock, "before").unwrap();
    chown(journal_of(dir), Some(USER), Some(USER)).unwrap();
    let hold = held.acquire().unwrap();
    fs::set_permissions(dir.parent().unwrap(), Permissions::from_mode(0o700)).unwrap();
    become_user(USER);
    std::thread::sleep(LATER);
    hold.refresh().unwrap();
    append(&held, "held").unwrap();
    hold.release().unwrap();
    append(&lock, "after").unwrap();
    assert_eq!(lock.inspect().unwrap().state, State::Free);
}

#[test]
fn a_keepalive_that_fails_is_reported_by_the_next_call() {
    let scene = Scene::new();
    run(&mut child("failing keepalive", &scene.dir("d")));
}

fn failing_keepalive(dir: &Path) {
    let lock = options()
        .keepalive(true)
        .stale(Duration::from_millis(300))
        .open(dir)
        .unwrap();
    append(&lock, "before").unwrap();
    let held = lock.acquire().unwrap();
    refuse_everywhere(&[libc::SYS_utimensat, libc::SYS_pwrite64], libc::EPERM);
    let mut appended = Ok(());
    until("an append reports it", || {
        appended = append(&lock, "held"); // which sets no times of its own
        appended.is_err()
    });
    let error = appended.unwrap_err();
    assert_eq!(error.code(), -libc::EPERM, "{error}");
    assert!(error.message().contains("refresh changes.journal.lock"), "{error}");
    assert_eq!(held.refresh().unwrap_err().code(), -libc::EPERM);
    held.release().unwrap();
}

/// `kill` says EPERM of it.
#[test]
fn a_holder_that_may_not_be_signalled_is_alive() {
    if is_root() {
        let scene = Scene::new();
        run(&mut child("beside root's process", &users(&scene)));
    }
}

fn beside_roots_process(dir: &Path) {
    become_user(USER);
    let lock = open(dir);
    let held = lock.acquire().unwrap();
    let ours = fs::read_to_string(lock_of(dir)).unwrap();
    held.release().unwrap();
    // A shipped peer's stamp, and that of a library peer whose death no flock shows.
    let (fields, _) = ours.lines().nth(2).unwrap().split_once(" start=").unwrap();
    for third in [String::new(), format!("{fields} flock=none\n")] {
        fs::write(lock_of(dir), format!("1\n1-0123456789abcdef\n{third}")).unwrap();
        // Longer than a peer takes to steal a lock, and shorter than a lock takes to grow stale.
        let since = SystemTime::now() - Duration::from_secs(10);
        let file = File::options().write(true).open(lock_of(dir)).unwrap();
        file.set_modified(since).unwrap();
        drop(file); // open for writing, it would look like a shipped peer's
        assert_eq!(lock.inspect().unwrap().state, State::Held, "{third}");
        assert_eq!(lock.try_acquire().unwrap_err().kind(), ErrorKind::WouldBlock, "{third}");
    }
}

// ---------------------------------------------------------------------------------- root in a user's directory

/// Whether all that root left there belongs to the user.
fn users_files_alone(dir: &Path) -> bool {
    fs::read_dir(dir)
        .unwrap()
        .all(|entry| entry.unwrap().metadata().unwrap().uid() == USER)
}

#[test]
fn what_root_leaves_in_a_users_directory_is_the_users() {
    if is_root() {
        let scene = Scene::new();
        let dir = users(&scene);
        let made = dir.join("of/the/users");
        for dir in [&dir, &made] {
            append(&open(dir), "roots").unwrap();
            run(&mut child_as(USER, &scene, "append", dir));
            assert_eq!(entries(dir), ["roots", "users"]);
        }
        assert!(users_files_alone(&dir) && users_files_alone(&made) && users_files_alone(&dir.join("of")));
    }
}

#[test]
fn a_user_takes_over_from_root_that_died_in_their_directory() {
    if is_root() {
        let scene = Scene::new();
        let dir = users(&scene);
        let mut holder = child("hold", &dir).stdout(Stdio::null()).spawn().unwrap();
        until("it holds", || lock_of(&dir).exists());
        holder.kill().unwrap();
        holder.wait().unwrap();
        assert_eq!(fs::metadata(lock_of(&dir)).unwrap().uid(), 0);
        run(&mut child_as(USER, &scene, "append", &dir));
        assert_eq!(entries(&dir), ["users"]);
        assert!(!lock_of(&dir).exists());
    }
}

fn hold(dir: &Path) {
    let lock = open(dir);
    let _held = lock.acquire().unwrap();
    loop {
        std::thread::park();
    }
}

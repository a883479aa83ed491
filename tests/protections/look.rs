//! Looking at a lock that changes meanwhile, and at something that is not a lock.

use std::fs;
use std::time::Duration;

use jlock::seam::Verdict;
use jlock::{ErrorKind, State};
use rustix::fs::{FlockOperation, inotify};

use crate::scene::{At, LIVING, SETTLE, Scratch, World, inode, make_fifo, meanwhile};

/// Between a contender's open and its `flock`, the holder releases the lock and closes its handle, and somebody else
/// takes it. The `flock` is then free on a file that is no longer the lock.
#[test]
fn a_lock_that_was_replaced_under_a_contenders_eyes_is_not_judged_by_the_old_one() {
    let (scratch, world) = (Scratch::new(), World::new());
    let contender = world.quietly(|| {
        let contender = scratch.open();
        contender.acquire().unwrap().release().unwrap();
        contender
    });
    let parked = scratch.private_files();
    fs::write(scratch.lock(), scratch.dead_stamp()).unwrap();
    let dir = scratch.dir();
    let replaced = meanwhile(At::Before("flock"), 1, move || {
        dir.steal();
    });
    let tried = world.run(replaced, || contender.try_acquire().map(drop));
    assert_eq!(tried.unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(scratch.private_files(), parked);
    // A claim would open the lock for writing.
    let calls = world.calls();
    let next = calls[world.place_of("flock")..]
        .iter()
        .find(|call| ["openat", "linkat"].contains(call));
    assert_eq!(next, Some(&"linkat"), "it begins again: {calls:?}");
}

/// Whether anybody opens this file while `run` runs.
fn is_opened(path: &std::path::Path, run: impl FnOnce()) -> bool {
    let queue = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
    inotify::add_watch(&queue, path, inotify::WatchFlags::OPEN).unwrap();
    run();
    rustix::io::read(&queue, &mut [0; 4096]).is_ok()
}

#[test]
fn a_fifo_at_the_locks_name_is_not_opened() {
    let scratch = Scratch::new();
    let lock = scratch.open();
    make_fifo(&scratch.lock());
    let opened = is_opened(&scratch.lock(), || {
        assert_eq!(lock.try_acquire().unwrap_err().kind(), ErrorKind::NotLock);
    });
    assert!(!opened);
}

#[test]
fn a_fifo_that_comes_to_the_locks_name_is_refused() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = world.quietly(|| {
        let lock = scratch.open();
        lock.acquire().unwrap().release().unwrap();
        lock
    });
    scratch.steal();
    let dir = scratch.dir();
    let replaced = meanwhile(At::Before("openat"), 1, move || {
        let fifo = dir.0.join("fifo");
        make_fifo(&fifo);
        fs::rename(fifo, dir.lock()).unwrap();
    });
    let tried = world.run(replaced, || lock.try_acquire().map(drop));
    assert_eq!(tried.unwrap_err().kind(), ErrorKind::NotLock);
}

/// A library peer's stamp from another boot. Nobody here has its `flock`.
fn try_beside_another_boot(locks_age: Duration, boots_age: Duration) -> jlock::Result<()> {
    let (scratch, world) = (Scratch::new(), World::new());
    let text = "4711\n4711-0123456789abcdef\njlock/1 boot=another pidns=1 start=1 host=h\n";
    fs::write(scratch.lock(), text).unwrap();
    world.age(&scratch.lock(), locks_age);
    world.boots_at(world.realtime_ms() - boots_age.as_millis() as i64);
    world.quietly(|| scratch.open().try_acquire().map(drop))
}

#[test]
fn a_lock_of_another_boot_is_dead_only_if_it_is_older_than_this_one() {
    let second = Duration::from_secs(1);
    try_beside_another_boot(3 * second, 2 * second).expect("its kernel is gone");
    let refused = try_beside_another_boot(second, 2 * second);
    assert_eq!(
        refused.unwrap_err().kind(),
        ErrorKind::WouldBlock,
        "two kernels may share this"
    );
}

#[test]
fn a_lock_without_a_boot_id_may_be_another_kernels() {
    let (scratch, world) = (Scratch::new(), World::new());
    let text = "4711\n4711-0123456789abcdef\njlock/1 boot= pidns=1 start=1 host=h\n";
    fs::write(scratch.lock(), text).unwrap();
    world.age(&scratch.lock(), Duration::from_secs(3));
    world.boots_at(world.realtime_ms());
    let tried = world.quietly(|| scratch.open().try_acquire().map(drop));
    assert_eq!(tried.unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// How `try_acquire` ends beside a living holder if this many `flock`s fail with `EIO`.
fn try_where_the_server_forgot(failures: u32, network: bool) -> jlock::Result<()> {
    const ENOSYS: i32 = 38;
    let (scratch, world) = (Scratch::new(), World::new());
    let unknown = move |at| match at {
        At::Before("fstatfs") if network => Verdict::Fail(ENOSYS),
        _ => Verdict::Proceed,
    };
    let lock = world.run(unknown, || {
        let lock = scratch.open();
        lock.acquire().unwrap().release().unwrap();
        lock
    });
    fs::write(scratch.lock(), LIVING).unwrap();
    let mut left = failures;
    let failing = move |at| match at {
        At::Before("flock") if left > 0 => {
            left -= 1;
            Verdict::Fail(EIO)
        }
        _ => Verdict::Proceed,
    };
    world.run(failing, || lock.try_acquire().map(drop))
}

const EIO: i32 = 5;

/// This happens with two mounts of one NFS server in one kernel: the server forgets what one of them has open.
#[test]
fn a_lock_that_the_server_forgot_is_opened_again() {
    let tried = try_where_the_server_forgot(15, true);
    assert_eq!(tried.unwrap_err().kind(), ErrorKind::WouldBlock);
    for (failures, network) in [(16, true), (1, false)] {
        let tried = try_where_the_server_forgot(failures, network);
        assert_eq!(tried.unwrap_err().code(), -EIO, "{failures} {network}");
    }
}

/// Nobody but us has touched the file, and the name shows that our link was made, whatever the kernel reported.
#[test]
fn a_link_that_was_made_and_reported_as_failed_holds() {
    for (errno, waits) in [(5, false), (17, false), (17, true)] {
        let (scratch, world) = (Scratch::new(), World::new());
        let lock = world.quietly(|| scratch.open());
        let dir = scratch.dir();
        let mut failed = false;
        let made = move |at| match at {
            At::Before("linkat") if !failed => {
                failed = true;
                fs::hard_link(dir.private_file(), dir.lock()).unwrap();
                Verdict::Fail(errno)
            }
            _ => Verdict::Proceed,
        };
        let acquire = || if waits { lock.acquire() } else { lock.try_acquire() };
        let held = world.run(made, acquire).expect("the lock is ours");
        assert_eq!(inode(&scratch.lock()), inode(&scratch.private_file()), "errno {errno}");
        held.release().unwrap();
    }
}

#[test]
fn a_parked_stamp_that_is_gone_is_parked_again() {
    let scratch = Scratch::new();
    let lock = scratch.open();
    lock.acquire().unwrap().release().unwrap();
    fs::remove_file(scratch.private_file()).unwrap();
    lock.acquire().unwrap().release().unwrap();
}

/// A sweep takes a file with content and without a `flock` to be a dead peer's; so does a contender once it is the
/// lock.
#[test]
fn a_private_file_is_flocked_before_it_has_content() {
    let (scratch, world) = (Scratch::new(), World::new());
    let dir = scratch.dir();
    let looked = meanwhile(At::Before("pwrite64"), 1, move || {
        let file = fs::File::open(dir.private_file()).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 0);
        let tried = rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared);
        assert_eq!(tried, Err(rustix::io::Errno::WOULDBLOCK));
    });
    let lock = scratch.open();
    world.run(looked, || lock.acquire().unwrap().release()).unwrap();
    assert!(world.calls().contains(&"pwrite64"));
}

#[test]
fn a_shipped_peer_that_lives_is_waited_for() {
    let scratch = Scratch::new();
    fs::write(scratch.lock(), LIVING).unwrap();
    assert_eq!(scratch.open().try_acquire().unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// A sweep is just looking at the file, and takes it to be a dead peer's.
#[test]
fn a_private_file_that_somebody_has_locked_is_given_up() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = scratch.open();
    let (dir, looked_at) = (scratch.dir(), std::rc::Rc::new(std::cell::Cell::new(None)));
    let keep = std::rc::Rc::clone(&looked_at);
    let looks = meanwhile(At::Before("flock"), 1, move || {
        let file = fs::File::open(dir.private_file()).unwrap();
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockShared).unwrap();
        keep.set(Some(file));
    });
    let held = world.run(looks, || lock.acquire()).unwrap();
    let theirs = looked_at.take().expect("a file was made");
    assert_ne!(
        std::os::unix::fs::MetadataExt::ino(&theirs.metadata().unwrap()),
        inode(&scratch.lock())
    );
    assert_eq!(scratch.private_files().len(), 1);
    held.release().unwrap();
}

/// Nobody knows how long a shipped peer has held its lock.
#[test]
fn inspect_says_how_long_a_library_peer_has_held() {
    let scratch = Scratch::new();
    let lock = scratch.open();
    let held = lock.acquire().unwrap();
    assert!(lock.inspect().unwrap().held.is_some());
    held.release().unwrap();
    fs::write(scratch.lock(), LIVING).unwrap();
    assert_eq!(lock.inspect().unwrap().held, None);
}

/// Nobody waits for a waiter that has given up, even if its handle is still open; whoever may use the directory may
/// line up; and nothing is left behind.
/// And not from its last sign of life on.
#[test]
fn a_hold_is_counted_from_its_beginning() {
    let (scratch, world) = (Scratch::new(), World::new());
    let (lock, other) = (scratch.open(), scratch.open());
    let held = world.quietly(|| lock.acquire()).unwrap();
    let seconds = Duration::from_secs;
    let expect = |since: u64, sign: u64, told: &str| {
        let (holder, refused) = world.quietly(|| (lock.inspect().unwrap(), other.try_acquire().map(drop).unwrap_err()));
        assert_eq!(holder.state, State::Mine);
        assert_eq!((holder.held, holder.age), (Some(seconds(since)), seconds(sign)));
        assert!(refused.message().ends_with(told), "{refused}");
    };
    world.pass(seconds(10));
    expect(10, 10, " for 10.0 s");
    world.quietly(|| held.refresh()).unwrap();
    world.pass(seconds(5));
    expect(15, 5, " for 15.0 s (last sign of life 5.0 s ago)");
    world.set_back(seconds(9));
    expect(6, 0, " for 6.0 s (last sign of life 0.0 s ago)");
    world.set_back(seconds(20));
    expect(0, 0, " dated 15.0 s in the future");
    world.set_back(seconds(0));
    world.quietly(|| held.release()).unwrap();
}

/// It settles first.
#[test]
fn a_hold_that_was_claimed_is_counted_from_its_claim() {
    let (scratch, world) = (Scratch::new(), World::new());
    fs::write(scratch.lock(), scratch.dead_stamp()).unwrap();
    let lock = scratch.open();
    let held = world.quietly(|| lock.acquire()).unwrap();
    world.pass(Duration::from_secs(10));
    world.quietly(|| held.refresh()).unwrap();
    world.pass(Duration::from_secs(5));
    let holder = world.quietly(|| lock.inspect()).unwrap();
    assert_eq!(holder.held, Some(SETTLE + Duration::from_secs(15)));
    assert_eq!(holder.age, Duration::from_secs(5));
    world.quietly(|| held.release()).unwrap();
}

#[test]
fn inspect_goes_without_a_flock_only_where_there_is_none() {
    let scratch = Scratch::new();
    let lock = scratch.open();
    let inspect = |errno| {
        let fails = move |at| match at {
            At::Before("flock") => Verdict::Fail(errno),
            _ => Verdict::Proceed,
        };
        World::new().run(fails, || lock.inspect())
    };
    fs::write(scratch.lock(), LIVING).unwrap();
    for errno in [libc::EOPNOTSUPP, libc::EBADF] {
        assert_eq!(inspect(errno).unwrap().state, State::Held);
    }
    assert_eq!(inspect(EIO).unwrap_err().code(), -EIO);
    assert_eq!(inspect(libc::ESTALE).unwrap().state, State::Free, "it has just gone");
}

/// How `try_acquire` ends beside a living holder if this call of its look fails so often.
fn try_where_a_look_fails(call: &'static str, errno: i32, mut times: u32, network: bool) -> i32 {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = match network {
        true => crate::places::open(&scratch, &scratch.options()),
        false => scratch.open(),
    };
    world.quietly(|| lock.acquire().unwrap().release()).unwrap();
    fs::write(scratch.lock(), LIVING).unwrap();
    let mut has_tried = false;
    let fails = move |at| {
        has_tried |= at == At::Before("linkat");
        match has_tried && at == At::Before(call) && times > 0 {
            true => {
                times -= 1;
                Verdict::Fail(errno)
            }
            false => Verdict::Proceed,
        }
    };
    -world.run(fails, || lock.try_acquire().map(drop)).unwrap_err().code()
}

#[test]
fn a_lock_that_cannot_be_opened_is_somebodys_or_an_error() {
    for (errno, network, is_somebodys) in [
        (libc::EACCES, false, true),
        (libc::EAGAIN, false, true),
        (libc::EINVAL, true, true), // SMB says so
        (libc::EINVAL, false, false),
        (libc::ENOMEM, true, false),
        (libc::ENOMEM, false, false),
    ] {
        let code = try_where_a_look_fails("openat", errno, 1, network);
        let expected = if is_somebodys { libc::EAGAIN } else { errno };
        assert_eq!(code, expected, "{errno} {network}");
    }
    assert_eq!(try_where_a_look_fails("flock", libc::EACCES, 1, false), libc::EACCES);
}

/// A file server may say so of a lock that was released; another stands there by now.
#[test]
fn a_lock_that_the_server_no_longer_has_is_looked_at_again() {
    for call in ["statx", "openat", "flock"] {
        assert_eq!(
            try_where_a_look_fails(call, libc::ESTALE, 3, true),
            libc::EAGAIN,
            "{call}"
        );
    }
    assert_eq!(try_where_a_look_fails("statx", libc::ENOMEM, 1, true), libc::ENOMEM);
}

/// It has the `flock`, too, but only for a moment, and shares it.
#[test]
fn whoever_inspects_is_not_taken_for_a_holder() {
    let (scratch, world) = (Scratch::new(), World::new());
    let stamp = scratch.dead_stamp();
    let lock = world.parked(&scratch);
    fs::write(scratch.lock(), stamp).unwrap();
    let theirs = fs::File::open(scratch.lock()).unwrap();
    let mut flocks = 0;
    let inspects = move |at| {
        flocks += u32::from(at == At::Before("flock"));
        match (at, flocks) {
            (At::Before("flock"), 1) => rustix::fs::flock(&theirs, FlockOperation::LockShared).unwrap(),
            (At::Before("flock"), 3) => rustix::fs::flock(&theirs, FlockOperation::Unlock).unwrap(),
            _ => {}
        }
        Verdict::Proceed
    };
    let held = world.run(inspects, || lock.try_acquire()).unwrap();
    world.quietly(|| held.release()).unwrap();
}

/// Nobody waits for a waiter that has given up, even if its handle is still open; and whoever may use the directory
/// may line up.
#[test]
fn a_wait_that_is_over_delays_nobody() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let (scratch, world) = (Scratch::new(), World::new());
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o750)).unwrap();
    let _ = std::os::unix::fs::chown(&scratch.0, Some(4711), None); // only root may
    let user = fs::metadata(&scratch.0).unwrap().uid();
    let (first, second) = (world.parked(&scratch), world.parked(&scratch));
    let holder = scratch.open();
    let held = holder.acquire().unwrap();
    let line = scratch.0.join("changes.journal.lock.line");
    let seen = std::rc::Rc::new(std::cell::Cell::new((0, 0)));
    let (whose, path) = (std::rc::Rc::clone(&seen), line.clone());
    let looks = move |at| {
        if at == At::Pause && path.exists() {
            let made = fs::metadata(&path).unwrap();
            whose.set((made.uid(), made.permissions().mode() & 0o777));
        }
        Verdict::Proceed
    };
    let time = Duration::from_millis(60);
    assert_eq!(
        world
            .run(looks, || first.acquire_for(time).map(drop))
            .unwrap_err()
            .kind(),
        ErrorKind::TimedOut
    );
    assert_eq!(seen.get(), (user, 0o750));
    assert!(world.calls().contains(&"inotify_rm_watch"), "{:?}", world.calls());
    let mut open = fs::read_dir("/proc/self/fd").unwrap();
    let is_line = |path: std::io::Result<std::path::PathBuf>| path.is_ok_and(|path| path == line);
    assert!(!open.any(|fd| is_line(fs::read_link(fd.unwrap().path()))));
    let looked = std::rc::Rc::new(std::cell::Cell::new(None));
    let (keep, mut has_looked) = (std::rc::Rc::clone(&looked), false);
    let waits = move |at| {
        has_looked |= at == At::Before("flock");
        if at == At::Pause && keep.get().is_none() {
            keep.set(Some(has_looked));
        }
        Verdict::Proceed
    };
    let parked = world.run(waits, || second.acquire_for(time).map(drop));
    assert_eq!(parked.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(looked.get(), Some(true), "it looks at the lock before it waits");
    held.release().unwrap();
    drop((first, second));
    assert!(!line.exists());
}

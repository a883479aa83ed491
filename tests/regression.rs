//! Faults found by reviews and searches, each with a test that failed before the fix.

use std::cell::{Cell, RefCell};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jlock::seam::{self, Hook, Verdict};
use jlock::{Entry, ErrorKind, Guard, Lock, Options};

#[path = "fresh/mod.rs"]
mod fresh;

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        Scratch(fresh::directory("regression"))
    }

    fn journal(&self) -> PathBuf {
        self.0.join("changes.journal")
    }

    fn lock(&self) -> PathBuf {
        self.0.join("changes.journal.lock")
    }

    /// The waiters' directory.
    fn line(&self) -> PathBuf {
        self.0.join("changes.journal.lock.line")
    }

    fn open(&self) -> Lock {
        Lock::open(&self.0).unwrap()
    }

    fn content(&self) -> String {
        fs::read_to_string(self.journal()).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn private_files(dir: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    names
        .filter(|path| path.extension().is_some_and(|end| end == "tmp"))
        .collect()
}

fn append_raw(path: &Path, text: &str) {
    OpenOptions::new()
        .append(true)
        .open(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

/// Does what a shipped peer does that has judged the lock to be stale.
fn steal(scratch: &Scratch) {
    let tmp = scratch.0.join("thief");
    fs::write(&tmp, "1\n1-0123456789abcdef\n").unwrap();
    fs::rename(tmp, scratch.lock()).unwrap();
}

type Act = Box<dyn FnMut(&'static str, usize) -> Verdict>;

/// Calls `act` at each system call, with the call's number, and lets the test move the wall clock.
struct Script {
    act: Act,
    number: usize,
    ahead_ms: Rc<Cell<i64>>,
    /// How often it paused. Nobody else has the lock here, so it was always to settle.
    slept: Rc<Cell<usize>>,
}

impl Hook for Script {
    fn before(&mut self, call: &'static str) -> Verdict {
        self.number += 1;
        (self.act)(call, self.number)
    }
    fn realtime_ms(&mut self) -> Option<i64> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Some(i64::try_from(now.as_millis()).unwrap() + self.ahead_ms.get())
    }
    fn pause(&mut self, _call: &'static str, _until: Duration) -> bool {
        self.slept.set(self.slept.get() + 1);
        false
    }
}

#[derive(Default, Clone)]
struct Clock {
    ahead_ms: Rc<Cell<i64>>,
    slept: Rc<Cell<usize>>,
}

fn script<T>(clock: &Clock, act: impl FnMut(&'static str, usize) -> Verdict + 'static, run: impl FnOnce() -> T) -> T {
    seam::install(Script {
        act: Box::new(act),
        number: 0,
        ahead_ms: Rc::clone(&clock.ahead_ms),
        slept: Rc::clone(&clock.slept),
    });
    let result = run();
    seam::uninstall();
    result
}

/// Acts once, at the `nth` call of this name.
fn at(call: &'static str, nth: usize, mut act: impl FnMut() -> Verdict) -> impl FnMut(&'static str, usize) -> Verdict {
    let mut seen = 0;
    move |now, _| {
        seen += usize::from(now == call);
        if now == call && seen == nth {
            act()
        } else {
            Verdict::Proceed
        }
    }
}

#[test]
fn a_checkpoint_keeps_what_was_appended_where_an_undone_append_was_seen() {
    let scratch = Scratch::new();
    let lock = scratch.open();
    lock.journal()
        .append_stamped([Entry::changed("before")], 1_700_000_000_000)
        .unwrap();
    let size = fs::metadata(scratch.journal()).unwrap().len();
    append_raw(&scratch.journal(), "undone-1\nundone-2\n");
    let snapshot = lock.journal().read().unwrap();
    File::options()
        .write(true)
        .open(scratch.journal())
        .unwrap()
        .set_len(size)
        .unwrap();
    let entries = ["acknowledged-1", "acknowledged-2", "acknowledged-3"];
    lock.journal().append(entries.iter().map(Entry::changed)).unwrap();
    lock.journal().checkpoint(&snapshot, 1_700_000_000_001).unwrap();
    let kept = scratch.content();
    assert!(
        entries.iter().all(|entry| kept.lines().any(|line| line == *entry)),
        "{kept}"
    );
}

#[test]
fn an_undo_takes_nothing_from_a_thief() {
    let scratch = Rc::new(Scratch::new());
    let lock = scratch.open();
    lock.journal()
        .append_stamped([Entry::changed("before")], 1_700_000_000_000)
        .unwrap();
    let thief = Rc::clone(&scratch);
    let at_the_stamp = at("pwrite64", 1, move || {
        steal(&thief);
        append_raw(&thief.journal(), "thief's\n");
        Verdict::Fail(5)
    });
    let result = script(&Clock::default(), at_the_stamp, || {
        lock.journal()
            .append_stamped([Entry::changed("ours")], 1_700_000_000_001)
    });
    assert_eq!(result.unwrap_err().code(), -5);
    assert!(scratch.content().ends_with("thief's\n"), "{}", scratch.content());
}

#[test]
fn an_acquire_that_fails_after_its_link_holds_nothing() {
    let scratch = Scratch::new();
    let lock = scratch.open();
    drop(lock.acquire().unwrap());
    let clock = Clock::default();
    let ahead = Rc::clone(&clock.ahead_ms);
    let mut frozen = false;
    let frozen_at_the_link = move |call: &'static str, _| match call {
        "linkat" => {
            ahead.set(16_000);
            frozen = true;
            Verdict::Proceed
        }
        // Both ways to give a sign of life fail.
        "utimensat" | "pwrite64" if frozen => Verdict::Fail(5),
        _ => Verdict::Proceed,
    };
    let error = script(&clock, frozen_at_the_link, || lock.acquire().map(drop)).unwrap_err();
    assert_eq!(error.code(), -5);
    lock.acquire().expect("nothing is held").release().unwrap();
}

#[test]
fn a_stamp_that_aged_before_its_link_is_renewed() {
    let scratch = Scratch::new();
    let lock = scratch.open();
    let clock = Clock::default();
    let (ahead, touched) = (Rc::clone(&clock.ahead_ms), Rc::new(Cell::new(false)));
    let seen = Rc::clone(&touched);
    // This acquire makes the parked file: its stamp is written, and then the process stops.
    let frozen_after_the_stamp = move |call: &'static str, _| {
        match call {
            "fstat" => ahead.set(33_000),
            "utimensat" => seen.set(true),
            "linkat" => assert!(seen.get(), "an old stamp is linked"),
            _ => {}
        }
        Verdict::Proceed
    };
    script(&clock, frozen_after_the_stamp, || lock.acquire().map(drop)).unwrap();
    assert!(touched.get());
}

#[test]
fn a_stamp_that_aged_at_its_link_is_settled() {
    let scratch = Scratch::new();
    let lock = scratch.open();
    drop(lock.acquire().unwrap());
    let clock = Clock::default();
    let ahead = Rc::clone(&clock.ahead_ms);
    let frozen_at_the_link = at("linkat", 1, move || {
        ahead.set(16_000);
        Verdict::Proceed
    });
    script(&clock, frozen_at_the_link, || lock.acquire().map(drop)).unwrap();
    assert_eq!(clock.slept.get(), 1);
}

/// A process that is stopped once, for this long, while it settles. Its clocks advance during its sleeps, which take
/// no time.
struct Stopped {
    for_ms: i64,
    ahead_ms: Rc<Cell<i64>>,
    settled: Rc<Cell<usize>>,
}

impl Stopped {
    fn wall_clock_ms(ahead_ms: i64) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        i64::try_from(now.as_millis()).unwrap() + ahead_ms
    }
}

impl Hook for Stopped {
    fn before(&mut self, _call: &'static str) -> Verdict {
        Verdict::Proceed
    }
    fn monotonic(&mut self) -> Option<Duration> {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let now = Duration::new(now.tv_sec.try_into().unwrap(), now.tv_nsec.try_into().unwrap());
        Some(now + Duration::from_millis(self.ahead_ms.get().unsigned_abs()))
    }
    fn realtime_ms(&mut self) -> Option<i64> {
        Some(Stopped::wall_clock_ms(self.ahead_ms.get()))
    }
    fn pause(&mut self, _call: &'static str, until: Duration) -> bool {
        let left = until.saturating_sub(self.monotonic().unwrap());
        let slept_ms = i64::try_from(left.as_millis()).unwrap() + 1 + std::mem::take(&mut self.for_ms);
        self.ahead_ms.set(self.ahead_ms.get() + slept_ms);
        self.settled.set(self.settled.get() + 1);
        true
    }
}

/// A process claims a dead holder's lock, and is stopped for 31 s while it settles. Returns the result of its
/// acquire, how often it settled, and how old the lock is then.
fn claim_while_stopped(timeout: Option<Duration>) -> (jlock::Result<()>, usize, i64) {
    let scratch = Scratch::new();
    let lock = Options::new()
        .settle(Duration::from_millis(2_000))
        .open(&scratch.0)
        .unwrap();
    let stamp = {
        let _held = lock.acquire().unwrap();
        fs::read(scratch.lock()).unwrap()
    };
    fs::write(scratch.lock(), stamp).unwrap();
    let (ahead_ms, settled) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let stopped = || Stopped {
        for_ms: 31_000,
        ahead_ms: Rc::clone(&ahead_ms),
        settled: Rc::clone(&settled),
    };
    let age_ms = || {
        let modified = fs::metadata(scratch.lock()).unwrap().modified().unwrap();
        let modified = modified.duration_since(UNIX_EPOCH).unwrap().as_millis();
        Stopped::wall_clock_ms(ahead_ms.get()) - i64::try_from(modified).unwrap()
    };
    seam::install(stopped());
    let acquired = lock.acquire_for(timeout);
    let (times, age_ms) = (settled.get(), age_ms());
    let result = acquired.map(|held| held.release().unwrap());
    if result.is_err() {
        // It is left for the next peer.
        let next = lock.acquire_for(None).unwrap();
        assert!(next.recovered().unwrap());
        next.release().unwrap();
    }
    seam::uninstall();
    (result, times, age_ms)
}

#[test]
fn a_claim_that_was_stopped_while_it_settled_settles_again() {
    let (acquired, settled, age_ms) = claim_while_stopped(None);
    acquired.unwrap();
    assert_eq!(settled, 2);
    assert!(age_ms < 29_000, "a lock {age_ms} ms old");
}

#[test]
fn a_claim_that_was_stopped_beyond_its_timeout_is_given_up() {
    let (acquired, settled, _) = claim_while_stopped(Some(Duration::from_secs(5)));
    assert_eq!(acquired.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(settled, 1);
}

/// How often `act` sleeps under a hold that has aged.
fn sleeps_under_an_aged_hold(act: impl FnOnce(&Lock, Guard<'_>)) -> usize {
    let scratch = Scratch::new();
    let lock = scratch.open();
    let held = lock.acquire().unwrap();
    let clock = Clock::default();
    clock.ahead_ms.set(31_000);
    script(&clock, |_, _| Verdict::Proceed, || act(&lock, held));
    clock.slept.get()
}

#[test]
fn a_hold_that_aged_is_settled_before_its_release() {
    assert_eq!(sleeps_under_an_aged_hold(|_, held| held.release().unwrap()), 1);
}

#[test]
fn a_hold_that_aged_is_settled_once_and_not_before_each_rewrite() {
    let rewrites = |lock: &Lock, held: Guard<'_>| {
        for timestamp_ms in 1..=3 {
            lock.journal().write_header(timestamp_ms).unwrap();
        }
        held.release().unwrap();
    };
    assert_eq!(sleeps_under_an_aged_hold(rewrites), 1);
}

#[test]
fn a_sweep_that_looks_at_a_new_journal_does_not_fail_the_rewrite() {
    let scratch = Rc::new(Scratch::new());
    let lock = scratch.open();
    lock.journal().append([Entry::changed("before")]).unwrap();
    drop(lock.acquire().unwrap());
    let (looked_at, sweeper) = (Rc::new(RefCell::new(None)), Rc::clone(&scratch));
    let keep = Rc::clone(&looked_at);
    let a_sweep_has_it = at("flock", 1, move || {
        // The empty one is the new one.
        let new = private_files(&sweeper.0)
            .into_iter()
            .find(|path| fs::metadata(path).unwrap().len() == 0);
        let file = File::open(new.expect("a private file")).unwrap();
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
        keep.replace(Some(file));
        Verdict::Proceed
    });
    // One digit becomes thirteen, which takes a rewrite.
    let stamped = script(&Clock::default(), a_sweep_has_it, || {
        lock.journal()
            .append_stamped([Entry::changed("after")], 1_700_000_000_000)
    });
    stamped.unwrap();
    assert!(looked_at.take().is_some());
    assert!(scratch.content().ends_with("before\nafter\n"), "{}", scratch.content());
}

#[test]
fn nobody_ever_sees_a_journal_without_its_header() {
    for stamped in [false, true] {
        let mut killed_at = 1;
        loop {
            let scratch = Scratch::new();
            let done = script(
                &Clock::default(),
                move |_, number| {
                    if number == killed_at {
                        Verdict::Die
                    } else {
                        Verdict::Proceed
                    }
                },
                || {
                    let lock = Lock::open(&scratch.0)?;
                    match stamped {
                        true => lock.journal().append_stamped([Entry::changed("a")], 1_700_000_000_000),
                        false => lock.journal().append([Entry::changed("a")]),
                    }
                },
            );
            if scratch.journal().exists() {
                assert!(
                    scratch.content().starts_with("# codegraph-journal v1 "),
                    "killed at call {killed_at}"
                );
            }
            if done.is_ok() && killed_at > 30 {
                break;
            }
            killed_at += 1;
        }
    }
}

#[test]
fn a_new_journal_with_an_old_inode_number_has_its_name_made_durable() {
    let scratch = Scratch::new();
    let durable = Options::new().sync(true).open(&scratch.0).unwrap();
    let other = scratch.open();
    durable.journal().append([Entry::changed("a")]).unwrap();
    for round in 0..20 {
        other.journal().write_header(1_700_000_000_000 + round).unwrap();
        let synced = Rc::new(Cell::new(0));
        let count = Rc::clone(&synced);
        let counting = move |call: &'static str, _| {
            count.set(count.get() + usize::from(call == "fsync"));
            Verdict::Proceed
        };
        script(&Clock::default(), counting, || {
            durable.journal().append([Entry::changed("b")])
        })
        .unwrap();
        assert_eq!(synced.get(), 1, "round {round}");
    }
}

#[test]
fn an_append_whose_last_look_fails_is_undone() {
    let scratch = Scratch::new();
    let lock = scratch.open();
    lock.journal().append([Entry::changed("before")]).unwrap();
    let before = scratch.content();
    let failing = at("newfstatat", 1, || Verdict::Fail(5));
    let result = script(&Clock::default(), failing, || {
        lock.journal().append([Entry::changed("after")])
    });
    assert_eq!(result.unwrap_err().code(), -5);
    assert_eq!(scratch.content(), before);
}

/// An inspector has the flock shared for a moment, in which a look finds it busy. Here the moment takes eight calls.
#[test]
fn inspecting_does_not_keep_a_try_from_taking_over() {
    let scratch = Scratch::new();
    let lock = Options::new().settle(Duration::ZERO).open(&scratch.0).unwrap();
    let stamp = {
        let _held = lock.acquire().unwrap();
        fs::read(scratch.lock()).unwrap()
    };
    fs::write(scratch.lock(), stamp).unwrap();
    let inspected = File::open(scratch.lock()).unwrap();
    rustix::fs::flock(&inspected, rustix::fs::FlockOperation::LockShared).unwrap();
    let mut inspected = Some(inspected);
    let mut calls = 0;
    let ends = move |call: &'static str, _| {
        calls += usize::from(call == "flock");
        inspected.take_if(|_| calls > 8);
        Verdict::Proceed
    };
    let taken = script(&Clock::default(), ends, || {
        lock.try_acquire().map(|held| held.release())
    });
    taken.expect("its holder is dead").unwrap();
}

#[test]
fn a_forked_child_has_no_descriptor_of_the_library_whatever_other_threads_do() {
    let scratch = Scratch::new();
    let holder = scratch.open();
    let _held = holder.acquire().unwrap();
    let over = AtomicBool::new(false);
    let here = scratch.0.to_str().unwrap().as_bytes();
    let leaks = std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let tried = scratch.open().try_acquire().map(drop);
                    assert_eq!(tried.unwrap_err().kind(), ErrorKind::WouldBlock);
                }
            });
        }
        let leaks = (0..1000).filter(|_| child_has_descriptor_beneath(here)).count();
        over.store(true, Ordering::Relaxed);
        leaks
    });
    assert_eq!(leaks, 0, "of 1000 children");
}

/// Forks, and lets the child look through its descriptors with nothing but system calls.
fn child_has_descriptor_beneath(path: &[u8]) -> bool {
    // SAFETY: the child calls only async-signal-safe functions, and ends with _exit.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            let mut name = *b"/proc/self/fd/00\0";
            for fd in 3..100u8 {
                (name[14], name[15]) = (b'0' + fd / 10, b'0' + fd % 10);
                if fd < 10 {
                    (name[14], name[15]) = (b'0' + fd, 0);
                }
                let mut target = [0u8; 256];
                let len = libc::readlink(name.as_ptr().cast(), target.as_mut_ptr().cast(), target.len());
                // The directory itself, or something in it.
                let ends = len >= path.len() as isize && matches!(target[path.len()], 0 | b'/');
                if ends && target[..path.len()] == *path {
                    libc::_exit(1);
                }
            }
            libc::_exit(0);
        }
        assert!(child > 0);
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        libc::WEXITSTATUS(status) == 1
    }
}

/// The thread waits for its turn on the handle, which the acquire of an event loop keeps.
#[test]
fn a_cancel_ends_a_wait_behind_an_acquire_that_nobody_polls() {
    const LONG: Duration = Duration::from_secs(60);
    let scratch = Scratch::new();
    let (lock, other) = (scratch.open(), scratch.open());
    let _held = other.acquire().unwrap();
    let started = lock.start_acquire(None).unwrap();
    let begun = Instant::now();
    let ended = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| lock.acquire_for(None).map(drop).map_err(|error| error.kind()));
        while !waiter.is_finished() && begun.elapsed() < LONG {
            lock.cancel().unwrap(); // it may not wait yet
            std::thread::yield_now();
        }
        let in_time = waiter.is_finished();
        drop(started);
        (waiter.join().unwrap(), in_time)
    });
    assert_eq!(ended, (Err(ErrorKind::Cancelled), true));
}

#[test]
fn running_out_of_memory_is_an_error_and_not_an_abort() {
    const MARK: &str = "JLOCK_TEST_SHORT_OF_MEMORY";
    let name = "running_out_of_memory_is_an_error_and_not_an_abort";
    if let Some(dir) = std::env::var_os(MARK) {
        let lock = Lock::open(dir).unwrap();
        for megabytes in [8, 16, 24, 32, 48, 64] {
            let limit = libc::rlimit {
                rlim_cur: in_use() + (megabytes << 20),
                rlim_max: libc::RLIM_INFINITY,
            };
            // SAFETY: it limits only this process.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
            for error in [
                lock.journal().read().map(drop).err(),
                lock.journal().append_stamped([Entry::changed("x")], 1).err(),
            ] {
                assert!(error.is_none_or(|e| e.code() == -libc::ENOMEM));
            }
        }
        return;
    }
    let scratch = Scratch::new();
    let lines: String = (0..700_000).map(|i| format!("some/path/number/{i}\n")).collect();
    fs::write(
        scratch.journal(),
        format!("# codegraph-journal v1 1700000000000\n{lines}"),
    )
    .unwrap();
    let run = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--test-threads=1"])
        .env(MARK, &scratch.0)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

/// The size of this process's address space, in bytes.
fn in_use() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn an_append_across_pages_is_noted_in_the_lock_while_it_goes_on_and_not_after() {
    let scratch = Rc::new(Scratch::new());
    let lock = scratch.open();
    let batch: Vec<String> = (0..300).map(|number| format!("some/path/{number}")).collect();
    lock.journal().append([Entry::changed("first")]).unwrap();
    let (seen, watcher) = (Rc::new(Cell::new(false)), Rc::clone(&scratch));
    let note = Rc::clone(&seen);
    let at_the_write = at("write", 1, move || {
        let content = fs::read_to_string(watcher.lock()).unwrap();
        note.set(content.lines().nth(3).is_some_and(|line| line.starts_with("append=")));
        Verdict::Proceed
    });
    let held = lock.acquire().unwrap();
    script(&Clock::default(), at_the_write, || {
        lock.journal().append(batch.iter().map(Entry::changed))
    })
    .unwrap();
    assert!(seen.get());
    assert_eq!(fs::read_to_string(scratch.lock()).unwrap().lines().count(), 3);
    held.release().unwrap();
}

#[test]
fn a_kill_leaves_all_of_an_append_or_nothing() {
    const MARK: &str = "JLOCK_TEST_APPENDS_BATCHES";
    const BATCH: usize = 400;
    let name = "a_kill_leaves_all_of_an_append_or_nothing";
    if let Some(dir) = std::env::var_os(MARK) {
        let lock = Options::new().settle(Duration::ZERO).open(dir).unwrap();
        for number in 0.. {
            let batch: Vec<String> = (0..BATCH)
                .map(|line| format!("batch/{}-{number}/{line}/end", std::process::id()))
                .collect();
            lock.journal().append(batch.iter().map(Entry::changed)).unwrap();
        }
    }
    let scratch = Scratch::new();
    let lock = Options::new().settle(Duration::ZERO).open(&scratch.0).unwrap();
    let mut cuts = 0;
    for round in 0..200 {
        let mut writer = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--test-threads=1"])
            .env(MARK, &scratch.0)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let size = || fs::metadata(scratch.journal()).map_or(0, |journal| journal.len());
        let before = size();
        wait_until("it writes", || size() > before);
        std::thread::sleep(Duration::from_micros(round * 97)); // so that the kills come at many different moments
        writer.kill().unwrap();
        writer.wait().unwrap();
        let cut = scratch.journal().exists() && !scratch.content().ends_with('\n');
        cuts += usize::from(cut);
        let after = format!("after/{round}");
        lock.journal().append([Entry::changed(&after)]).unwrap();
        let content = scratch.content();
        let mut batches = std::collections::HashMap::new();
        for line in content.lines().skip(1).filter(|line| !line.starts_with("after/")) {
            assert!(line.starts_with("batch/") && line.ends_with("/end"), "{line:?}");
            *batches.entry(line.split('/').nth(1).unwrap().to_owned()).or_insert(0) += 1;
        }
        assert!(
            batches.values().all(|count| *count == BATCH),
            "round {round}: {batches:?}"
        );
        if content.len() > 1 << 20 {
            lock.journal().write_header(1_700_000_000_000).unwrap();
        }
    }
    println!("{cuts} of 200 kills cut a line");
}

// --------------------------------------------------------------------------------------------------- the line of waiters

/// A thread that plays a process: within one process, handles wait in a queue in memory, and only the first one lines
/// up.
struct Process<B> {
    number: u64,
    before: B,
    ahead_ms: i64,
    /// How far its wall clock advances with each pause.
    pause_ms: i64,
    /// How often it went to sleep.
    pauses: &'static AtomicU32,
}

impl<B: FnMut(&'static str) -> Verdict> Hook for Process<B> {
    fn before(&mut self, call: &'static str) -> Verdict {
        (self.before)(call)
    }
    fn process(&mut self) -> u64 {
        self.number
    }
    fn realtime_ms(&mut self) -> Option<i64> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Some(i64::try_from(now.as_millis()).unwrap() + self.ahead_ms)
    }
    fn pause(&mut self, _call: &'static str, _until: Duration) -> bool {
        self.ahead_ms += self.pause_ms;
        self.pauses.fetch_add(1, Ordering::Relaxed);
        false
    }
}

/// Returns the counter of its pauses.
fn be_a_process(before: impl FnMut(&'static str) -> Verdict + 'static) -> &'static AtomicU32 {
    be_a_process_of(before, 0)
}

fn be_a_process_of(before: impl FnMut(&'static str) -> Verdict + 'static, pause_ms: i64) -> &'static AtomicU32 {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let pauses: &'static AtomicU32 = Box::leak(Box::default());
    seam::install(Process {
        number: NUMBER.fetch_add(1, Ordering::Relaxed),
        before,
        ahead_ms: 0,
        pause_ms,
        pauses,
    });
    pauses
}

fn undisturbed(_call: &'static str) -> Verdict {
    Verdict::Proceed
}

/// After this time a waiter looks again anyway, so it has to be woken earlier.
const RARELY: Duration = Duration::from_secs(40);
const SOON: Duration = Duration::from_secs(20);

/// A process that waits for the lock and releases it once it has it.
fn waiter<'s>(scope: &'s Scope<'s, '_>, scratch: &'s Scratch) -> ScopedJoinHandle<'s, ()> {
    scope.spawn(|| {
        be_a_process(undisturbed);
        let lock = Options::new().retry(RARELY).open(&scratch.0).unwrap();
        lock.acquire_for(Duration::from_secs(120)).unwrap().release().unwrap();
    })
}

fn tickets(scratch: &Scratch) -> Vec<PathBuf> {
    let names = fs::read_dir(scratch.line()).into_iter().flatten();
    let mut tickets: Vec<PathBuf> = names.map(|entry| entry.unwrap().path()).collect();
    tickets.sort();
    tickets
}

fn expect_waiters(scratch: &Scratch, count: usize) {
    wait_until("they line up", || tickets(scratch).len() == count);
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(120), "not after 120 s: {what}");
        std::thread::yield_now();
    }
}

/// Holds the lock while `disturb` does something to the waiters; after the release all of them must get it soon.
fn disturb_waiters(disturb: impl for<'s> FnOnce(&'s Scope<'s, '_>, &'s Scratch, &mut Vec<ScopedJoinHandle<'s, ()>>)) {
    let scratch = Scratch::new();
    let holder = scratch.open();
    let held = holder.acquire().unwrap();
    std::thread::scope(|scope| {
        let mut waiting = Vec::new();
        disturb(scope, &scratch, &mut waiting);
        let released = Instant::now();
        held.release().unwrap();
        waiting.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(released.elapsed() < SOON, "{:?}", released.elapsed());
    });
    assert!(tickets(&scratch).is_empty());
}

#[test]
fn a_waiter_keeps_its_place_in_line_however_long_it_waits() {
    let scratch = Scratch::new();
    let holder = scratch.open();
    let held = holder.acquire().unwrap();
    std::thread::scope(|scope| {
        let (told, hears) = mpsc::channel();
        let scratch = &scratch;
        let waiting = scope.spawn(move || {
            // A parked stamp is renewed when it is a second old: here, at each pause.
            told.send(be_a_process_of(undisturbed, 1_100)).unwrap();
            let lock = Options::new().retry(Duration::from_millis(1)).open(&scratch.0).unwrap();
            lock.acquire_for(Duration::from_secs(60)).map(drop)
        });
        let pauses: &AtomicU32 = hears.recv().unwrap();
        expect_waiters(scratch, 1);
        let place = tickets(scratch);
        let begun = pauses.load(Ordering::Relaxed);
        wait_until("it looks again and again", || {
            assert_eq!(tickets(scratch), place);
            pauses.load(Ordering::Relaxed) >= begun + 10
        });
        held.release().unwrap();
        waiting.join().unwrap().unwrap();
    });
    assert!(tickets(&scratch).is_empty());
}

#[test]
fn waiters_that_came_one_after_the_other_are_served_in_that_order() {
    let scratch = Scratch::new();
    let holder = scratch.open();
    let held = holder.acquire().unwrap();
    let served = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for number in 0..5 {
            let (scratch, served) = (&scratch, &served);
            scope.spawn(move || {
                be_a_process(undisturbed);
                let lock = Options::new().retry(RARELY).open(&scratch.0).unwrap();
                let held = lock.acquire_for(Duration::from_secs(120)).unwrap();
                served.lock().unwrap().push(number);
                held.release().unwrap();
            });
            expect_waiters(scratch, number + 1);
        }
        held.release().unwrap();
    });
    assert_eq!(served.into_inner().unwrap(), [0, 1, 2, 3, 4]);
}

/// A thread of this test's one process, which reports when it goes to sleep, and sleeps until it is told to go on.
struct Sleeper {
    number: u64,
    clock: Duration,
    sleeps: mpsc::Sender<()>,
    goes_on: mpsc::Receiver<()>,
}

impl Hook for Sleeper {
    fn before(&mut self, _call: &'static str) -> Verdict {
        Verdict::Proceed
    }
    fn process(&mut self) -> u64 {
        self.number
    }
    fn monotonic(&mut self) -> Option<Duration> {
        Some(self.clock)
    }
    fn pause(&mut self, _call: &'static str, until: Duration) -> bool {
        self.clock = self.clock.max(until);
        let _ = self.sleeps.send(()); // the test may have stopped listening
        self.goes_on.recv().is_ok()
    }
}

/// How many inotify watches this process has on a file.
fn watches_on(file: &Path) -> usize {
    let inode = format!(" ino:{:x} ", fs::metadata(file).unwrap().ino());
    let descriptors = fs::read_dir("/proc/self/fdinfo").unwrap();
    // Meanwhile another test may close a descriptor.
    let watching = descriptors.filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok());
    watching
        .flat_map(|info| info.lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| line.starts_with("inotify ") && line.contains(&inode))
        .count()
}

/// Acquires in a thread, on these clocks, and returns once it sleeps. Each message to the thread then ends a sleep,
/// and each message from it says that it sleeps again.
fn sleeper<'s>(
    scope: &'s Scope<'s, '_>,
    scratch: &'s Scratch,
    number: u64,
    clock: Duration,
) -> (ScopedJoinHandle<'s, ()>, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let ((sleeps, asleep), (go_on, goes_on)) = (mpsc::channel(), mpsc::channel());
    let thread = scope.spawn(move || {
        seam::install(Sleeper {
            number,
            clock,
            sleeps,
            goes_on,
        });
        scratch.open().acquire_for(None).unwrap().release().unwrap();
    });
    asleep.recv().unwrap();
    (thread, asleep, go_on)
}

#[test]
fn whoever_lines_up_watches_the_one_before_it_from_the_start() {
    let scratch = Scratch::new();
    let holder = scratch.open();
    let held = holder.acquire().unwrap();
    std::thread::scope(|scope| {
        let mut go_on_later = Vec::new();
        for number in 1..=4 {
            go_on_later.push(sleeper(
                scope,
                &scratch,
                u64::MAX - number,
                Duration::from_secs(1_000 + number),
            ));
        }
        // The release wakes only the first.
        let watched = [vec![scratch.lock()], tickets(&scratch)].concat();
        let watches: Vec<usize> = watched.iter().map(|file| watches_on(file)).collect();
        assert_eq!(watches, [1, 1, 1, 1, 0]);
        held.release().unwrap();
        drop(go_on_later);
    });
}

#[test]
fn a_lock_that_is_free_for_a_moment_is_left_to_the_head_of_the_queue() {
    let scratch = Scratch::new();
    let holder = scratch.open();
    let held = holder.acquire().unwrap();
    std::thread::scope(|scope| {
        let acquire = || sleeper(scope, &scratch, u64::MAX, Duration::from_secs(1_000));
        let (head, _head_asleep, wake_head) = acquire();
        let (second, second_asleep, wake_second) = acquire();
        held.release().unwrap();
        wake_second.send(()).unwrap();
        second_asleep
            .recv()
            .expect("it leaves the lock to the head, and sleeps once more");
        wake_second.send(()).unwrap();
        second.join().expect("the head has done nothing: it is stopped");
        drop(wake_head);
        head.join().unwrap();
    });
}

#[test]
fn waiters_whose_tickets_were_removed_are_served() {
    disturb_waiters(|scope, scratch, waiting| {
        for count in 1..=3 {
            waiting.push(waiter(scope, scratch));
            expect_waiters(scratch, count);
        }
        // The middle one's too, behind which the last one waits.
        fs::remove_file(&tickets(scratch)[1]).unwrap();
        fs::remove_file(&tickets(scratch)[0]).unwrap();
    });
}

#[test]
fn where_the_waiters_directory_was_removed_they_are_served_and_make_another() {
    disturb_waiters(|scope, scratch, waiting| {
        for count in 1..=2 {
            waiting.push(waiter(scope, scratch));
            expect_waiters(scratch, count);
        }
        fs::remove_dir_all(scratch.line()).unwrap();
        waiting.push(waiter(scope, scratch));
        expect_waiters(scratch, 1);
    });
}

#[test]
fn a_handle_that_lined_up_in_a_directory_that_was_removed_lines_up_again() {
    let scratch = Scratch::new();
    let holder = scratch.open();
    std::thread::scope(|scope| {
        let (says, hears) = mpsc::channel();
        let (lets_go, held) = mpsc::channel();
        let held_by_us = holder.acquire().unwrap();
        let scratch = &scratch;
        let waiting = scope.spawn(move || {
            be_a_process(undisturbed);
            let lock = scratch.open();
            for _ in 0..2 {
                lock.acquire_for(Duration::from_secs(60)).unwrap().release().unwrap();
                says.send(()).unwrap();
                held.recv().unwrap(); // goes on when told to wait again
            }
        });
        expect_waiters(scratch, 1);
        fs::remove_dir_all(scratch.line()).unwrap();
        held_by_us.release().unwrap();
        hears.recv().unwrap();
        let held_again = holder.acquire().unwrap();
        lets_go.send(()).unwrap();
        expect_waiters(scratch, 1);
        held_again.release().unwrap();
        lets_go.send(()).unwrap();
        waiting.join().unwrap();
    });
}

/// Makes this thread a user whom file permissions restrict, as they do not restrict root.
fn be_nobody() {
    // SAFETY: it changes only this thread.
    unsafe { libc::setfsuid(65_534) };
}

#[test]
fn where_nobody_may_line_up_all_are_served() {
    if rustix::process::geteuid().is_root() {
        fresh::is_open_to_all();
    }
    let directory = |mode| {
        move |path: &Path| {
            fs::create_dir(path)?;
            fs::set_permissions(path, Permissions::from_mode(mode))
        }
    };
    let (closed, unreadable, unwritable) = (directory(0), directory(0o333), directory(0o555));
    let file = |path: &Path| fs::write(path, "not a directory");
    let dangling = |path: &Path| std::os::unix::fs::symlink("nowhere", path);
    type Obstacle<'o> = &'o dyn Fn(&Path) -> std::io::Result<()>;
    let obstacles: [Obstacle<'_>; 5] = [&closed, &unreadable, &unwritable, &file, &dangling];
    for obstacle in obstacles {
        let scratch = Scratch::new();
        fs::set_permissions(&scratch.0, Permissions::from_mode(0o777)).unwrap();
        obstacle(&scratch.line()).unwrap();
        let holder = scratch.open();
        let held = holder.acquire().unwrap();
        std::thread::scope(|scope| {
            let (told, hears) = mpsc::channel();
            let waiting: Vec<_> = (0..3)
                .map(|_| {
                    let (scratch, told) = (&scratch, told.clone());
                    scope.spawn(move || {
                        be_nobody();
                        told.send(be_a_process(undisturbed)).unwrap();
                        let lock = Options::new().retry(RARELY).open(&scratch.0).unwrap();
                        lock.acquire_for(Duration::from_secs(120)).unwrap().release().unwrap();
                    })
                })
                .collect();
            for _ in &waiting {
                let pauses: &AtomicU32 = hears.recv().unwrap();
                wait_until("it sleeps", || pauses.load(Ordering::Relaxed) > 0);
            }
            let released = Instant::now();
            held.release().unwrap();
            waiting.into_iter().for_each(|thread| thread.join().unwrap());
            assert!(released.elapsed() < SOON, "{:?}", released.elapsed());
        });
        if scratch.line().is_dir() {
            fs::set_permissions(scratch.line(), Permissions::from_mode(0o700)).unwrap();
        }
    }
}

/// Lets a process die in line, and returns its ticket.
fn die_in_line(scratch: &Scratch) -> PathBuf {
    let before = tickets(scratch);
    let dies = || {
        be_a_process(|call| match call {
            "ppoll" => Verdict::Die,
            _ => Verdict::Proceed,
        });
        scratch.open().acquire_for(Duration::from_secs(60)).map(drop)
    };
    std::thread::scope(|scope| scope.spawn(dies).join().unwrap()).unwrap_err();
    let mut left = tickets(scratch).into_iter().filter(|ticket| !before.contains(ticket));
    left.next().expect("it had lined up")
}

#[test]
fn a_dead_waiters_ticket_is_swept_by_whoever_comes() {
    disturb_waiters(|scope, scratch, waiting| {
        let of_the_dead = die_in_line(scratch);
        waiting.push(waiter(scope, scratch));
        wait_until("it lines up", || !tickets(scratch).is_empty() && !of_the_dead.exists());
    });
}

#[test]
fn a_dead_waiters_ticket_delays_nobody_and_is_removed_by_those_behind_it() {
    disturb_waiters(|scope, scratch, waiting| {
        let go: Vec<_> = (0..2)
            .map(|_| {
                let (parked, is_parked) = mpsc::channel();
                let (go, goes) = mpsc::channel();
                waiting.push(scope.spawn(move || {
                    be_a_process(undisturbed);
                    let lock = Options::new().retry(RARELY).open(&scratch.0).unwrap();
                    // It parks its stamp and sweeps before the other one dies.
                    lock.try_acquire().unwrap_err();
                    parked.send(()).unwrap();
                    goes.recv().unwrap();
                    lock.acquire_for(Duration::from_secs(120)).unwrap().release().unwrap();
                }));
                is_parked.recv().unwrap();
                go
            })
            .collect();
        let of_the_dead = die_in_line(scratch);
        for (count, go) in go.into_iter().enumerate() {
            go.send(()).unwrap();
            wait_until("it lines up, and looks who is before it", || {
                !of_the_dead.exists() && tickets(scratch).len() == count + 1
            });
        }
    });
}

#[test]
fn a_waiter_that_may_not_be_looked_at_is_not_waited_for() {
    static REFUSED: AtomicU32 = AtomicU32::new(0);
    let scratch = Scratch::new();
    let holder = scratch.open();
    let held = holder.acquire().unwrap();
    std::thread::scope(|scope| {
        let first = waiter(scope, &scratch);
        expect_waiters(&scratch, 1);
        let second = scope.spawn(|| {
            // Others' parked stamps may not be opened: they belong to another user, whose umask is 077. With its
            // ticket, a waiter lists the line and opens the last stamp before its own.
            let (mut links, mut has_listed) = (0, false);
            be_a_process(move |call| {
                let is_theirs = links > 1 && has_listed && call == "openat";
                links += usize::from(call == "linkat");
                has_listed = call == "getdents64" || (has_listed && call == "close");
                if is_theirs {
                    REFUSED.fetch_add(1, Ordering::Relaxed);
                    return Verdict::Fail(libc::EACCES);
                }
                Verdict::Proceed
            });
            let lock = scratch.open();
            lock.acquire_for(Duration::from_secs(60)).map(drop)
        });
        wait_until("it looks", || REFUSED.load(Ordering::Relaxed) > 0);
        held.release().unwrap();
        first.join().unwrap();
        second.join().unwrap().unwrap();
    });
}

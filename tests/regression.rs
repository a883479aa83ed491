//! Faults that reviews and searches found, each as a test that was red before it was mended.

use std::cell::{Cell, RefCell};
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jlock::seam::{self, Hook, Verdict};
use jlock::{Entry, ErrorKind, Guard, Lock, Options};

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "jlock-regression-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    fn journal(&self) -> PathBuf {
        self.0.join("changes.journal")
    }

    fn lock(&self) -> PathBuf {
        self.0.join("changes.journal.lock")
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

/// What a shipped peer does that judged the lock stale.
fn steal(scratch: &Scratch) {
    let tmp = scratch.0.join("thief");
    fs::write(&tmp, "1\n1-0123456789abcdef\n").unwrap();
    fs::rename(tmp, scratch.lock()).unwrap();
}

type Act = Box<dyn FnMut(&'static str, usize) -> Verdict>;

/// Asks `act` at each call, with its number, and lets the wall clock be moved.
struct Script {
    act: Act,
    number: usize,
    ahead_ms: Rc<Cell<i64>>,
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
    fn pause(&mut self, call: &'static str, _until: Duration) -> bool {
        self.slept
            .set(self.slept.get() + usize::from(call == "clock_nanosleep"));
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

/// Once, at the `nth` call of this name.
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
fn an_undo_takes_nothing_from_one_who_has_stolen_the_lock() {
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
        "utimensat" if frozen => Verdict::Fail(5),
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
    // The parked file is made by this acquire: its stamp is written, then the process stands still.
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
        // The one that is empty is the new one.
        let new = private_files(&sweeper.0)
            .into_iter()
            .find(|path| fs::metadata(path).unwrap().len() == 0);
        let file = File::open(new.expect("a private file")).unwrap();
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
        keep.replace(Some(file));
        Verdict::Proceed
    });
    // One digit becomes thirteen: a rewrite.
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

#[test]
fn those_who_inspect_do_not_keep_a_try_from_taking_over() {
    let scratch = Scratch::new();
    let lock = Options::new().settle(Duration::ZERO).open(&scratch.0).unwrap();
    let stamp = {
        let _held = lock.acquire().unwrap();
        fs::read(scratch.lock()).unwrap()
    };
    let over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for _ in 0..2 {
            let inspector = scratch.open();
            let over = &over;
            threads.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    inspector.inspect().unwrap();
                    std::thread::sleep(Duration::from_micros(50)); // not all the time
                }
            });
        }
        for _ in 0..300 {
            let dead = scratch.0.join("dead");
            fs::write(&dead, &stamp).unwrap();
            fs::rename(dead, scratch.lock()).unwrap();
            let taken = lock.try_acquire().map(|held| held.release());
            over.store(taken.is_err(), Ordering::Relaxed);
            taken.expect("its holder is dead").unwrap();
        }
        over.store(true, Ordering::Relaxed);
    });
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

/// Forks, and has the child look through its descriptors with system calls alone.
fn child_has_descriptor_beneath(path: &[u8]) -> bool {
    // SAFETY: the child calls only what is async-signal-safe, and leaves by _exit.
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
                // The directory itself, or what is in it.
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

#[test]
fn memory_that_cannot_be_had_is_an_error_and_not_an_abort() {
    const MARK: &str = "JLOCK_TEST_SHORT_OF_MEMORY";
    let name = "memory_that_cannot_be_had_is_an_error_and_not_an_abort";
    if let Some(dir) = std::env::var_os(MARK) {
        let lock = Lock::open(dir).unwrap();
        for megabytes in [8, 16, 24, 32, 48, 64] {
            let limit = libc::rlimit {
                rlim_cur: in_use() + (megabytes << 20),
                rlim_max: libc::RLIM_INFINITY,
            };
            // SAFETY: a limit of this process's own.
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

/// This process's address space in bytes.
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
    let mut mended = 0;
    for round in 0..200 {
        let mut writer = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--test-threads=1"])
            .env(MARK, &scratch.0)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(12_000 + round * 97)); // any moment
        writer.kill().unwrap();
        writer.wait().unwrap();
        let cut = scratch.journal().exists() && !scratch.content().ends_with('\n');
        mended += usize::from(cut);
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
    println!("{mended} of 200 kills cut a line");
}

/// Tickets are times of the monotonic clock.
fn waiters(scratch: &Scratch) -> usize {
    let accessed = |path: PathBuf| fs::metadata(path).map(|meta| meta.atime());
    let times = private_files(&scratch.0)
        .into_iter()
        .filter_map(|path| accessed(path).ok());
    times.filter(|seconds| (0..1_000_000_000).contains(seconds)).count()
}

fn expect_waiters(scratch: &Scratch, count: usize) {
    wait_until("they line up", || waiters(scratch) >= count);
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "not after 30 s: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_waiter_keeps_its_place_in_line_however_long_it_waits() {
    let scratch = Scratch::new();
    let holder = scratch.open();
    let held = holder.acquire().unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let lock = scratch.open();
            lock.acquire_for(Duration::from_secs(60)).map(drop)
        });
        expect_waiters(&scratch, 1);
        // Its parked stamp is freshened once a second.
        let in_line = Instant::now();
        while in_line.elapsed() < Duration::from_secs(2) {
            assert_eq!(waiters(&scratch), 1, "after {:?}", in_line.elapsed());
            std::thread::sleep(Duration::from_millis(1));
        }
        held.release().unwrap();
        waiting.join().unwrap().unwrap();
    });
    assert_eq!(waiters(&scratch), 0);
}

/// A file system that keeps access times coarsely: coarser than any does, so that two never fall into different units.
struct Coarse {
    dir: PathBuf,
    set: &'static AtomicU32,
}

impl Hook for Coarse {
    fn before(&mut self, _call: &'static str) -> Verdict {
        Verdict::Proceed
    }
    fn after(&mut self, call: &'static str) {
        if call != "utimensat" {
            return;
        }
        self.set.fetch_add(1, Ordering::Relaxed);
        for path in private_files(&self.dir) {
            let Ok(file) = File::open(path) else { continue }; // it has just gone
            let seconds = u64::try_from(file.metadata().unwrap().atime()).unwrap();
            let kept = UNIX_EPOCH + Duration::from_secs(seconds / 1_000 * 1_000);
            file.set_times(FileTimes::new().set_accessed(kept)).unwrap();
        }
    }
}

/// Else both look again when the lock changes hands, each finds the other before it, and nobody sees it come free.
#[test]
fn where_access_times_are_coarse_waiters_do_not_wait_for_each_other() {
    static SET: AtomicU32 = AtomicU32::new(0);
    let scratch = Scratch::new();
    let holder = scratch.open();
    let held = holder.acquire().unwrap();
    std::thread::scope(|scope| {
        let wait = || {
            let dir = scratch.0.clone();
            seam::install(Coarse { dir, set: &SET });
            let options = Options::new().retry(Duration::from_secs(20)); // after which whoever waits looks anyway
            let lock = options.open(&scratch.0).unwrap();
            lock.acquire_for(Duration::from_secs(60)).map(drop).unwrap();
        };
        let waiting = [scope.spawn(wait), scope.spawn(wait)];
        expect_waiters(&scratch, 2);
        // Each takes its ticket, and signs the lock, before it falls asleep.
        wait_until("both sleep", || {
            let before = SET.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(50));
            before >= 4 && before == SET.load(Ordering::Relaxed)
        });
        let before = SET.load(Ordering::Relaxed);
        steal(&scratch);
        held.release().unwrap_err();
        wait_until("both look", || SET.load(Ordering::Relaxed) >= before + 2);
        std::thread::sleep(Duration::from_millis(200)); // asleep again, they tell nobody
        let freed = Instant::now();
        fs::remove_file(scratch.lock()).unwrap();
        waiting.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(freed.elapsed() < Duration::from_secs(10), "{:?}", freed.elapsed());
    });
}

/// Other waiters' parked stamps may not be opened: they belong to another user, whose umask is 077.
struct Guarded {
    has_listed: bool,
    refused: &'static AtomicU32,
}

impl Hook for Guarded {
    fn before(&mut self, call: &'static str) -> Verdict {
        // Whoever looks for tickets lists the directory, asks for the times of private files, and opens one of them.
        let is_theirs = self.has_listed && call == "openat";
        self.has_listed = call == "getdents64" || (self.has_listed && matches!(call, "close" | "newfstatat"));
        if is_theirs {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Verdict::Fail(libc::EACCES);
        }
        Verdict::Proceed
    }
}

#[test]
fn a_waiter_that_may_not_be_looked_at_is_nobody_to_wait_for() {
    static REFUSED: AtomicU32 = AtomicU32::new(0);
    let scratch = Scratch::new();
    let holder = scratch.open();
    let held = holder.acquire().unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| scratch.open().acquire_for(Duration::from_secs(60)).map(drop));
        expect_waiters(&scratch, 1);
        let second = scope.spawn(|| {
            let lock = scratch.open();
            seam::install(Guarded {
                has_listed: false,
                refused: &REFUSED,
            });
            lock.acquire_for(Duration::from_secs(60)).map(drop)
        });
        wait_until("it looks", || REFUSED.load(Ordering::Relaxed) > 0);
        held.release().unwrap();
        first.join().unwrap().unwrap();
        second.join().unwrap().unwrap();
    });
}

//! A directory and clocks for a test, and what happens at which system call.

use std::cell::{Cell, RefCell};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use jlock::seam::{self, Hook, Verdict};
use jlock::{Lock, Options};

pub const HEADER: &str = "# codegraph-journal v1 1700000000000\n";
/// A lock whose holder is alive: process 1, which every user may ask about.
pub const LIVING: &str = "1\n1-0123456789abcdef\n";
/// The settle time of every handle here, which takes no real time.
pub const SETTLE: Duration = Duration::from_millis(100);

/// What the wall clock shows when the monotonic one shows 0.
const EPOCH: Duration = Duration::from_secs(1_600_000_000);

/// A directory with a journal and its lock.
#[derive(Clone)]
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn lock(&self) -> PathBuf {
        self.0.join("changes.journal.lock")
    }

    pub fn journal(&self) -> PathBuf {
        self.0.join("changes.journal")
    }

    pub fn private(&self, nonce: &str) -> PathBuf {
        self.0.join(format!("changes.journal.lock.{nonce}.tmp"))
    }

    pub fn content(&self) -> String {
        fs::read_to_string(self.journal()).unwrap()
    }

    pub fn private_files(&self) -> Vec<PathBuf> {
        let names = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> = names
            .filter(|path| path.extension().is_some_and(|end| end == "tmp"))
            .collect();
        files.sort();
        files
    }

    /// The private file of the only handle.
    pub fn private_file(&self) -> PathBuf {
        let files = self.private_files();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }

    /// Puts another file with this content in place of `path`, and returns its inode number.
    pub fn replace(&self, path: &Path, content: &str) -> u64 {
        let new = self.0.join("new");
        fs::write(&new, content).unwrap();
        fs::rename(&new, path).unwrap();
        inode(path)
    }

    /// Does what a shipped peer does that has judged the lock to be stale.
    pub fn steal(&self) -> u64 {
        self.replace(&self.lock(), LIVING)
    }

    pub fn open(&self) -> Lock {
        self.options().open(&self.0).unwrap()
    }

    pub fn options(&self) -> Options {
        Options::new().settle(SETTLE)
    }

    /// The stamp of a library peer whose process is dead, so nobody has its `flock`.
    pub fn dead_stamp(&self) -> String {
        let lock = self.open();
        let held = lock.acquire().unwrap();
        let stamp = fs::read_to_string(self.lock()).unwrap();
        held.release().unwrap();
        stamp
    }
}

/// A [`Dir`] that is removed when the test ends.
pub struct Scratch(Dir);

impl Scratch {
    pub fn new() -> Scratch {
        Scratch(Dir(crate::fresh::directory("protections")))
    }

    pub fn dir(&self) -> Dir {
        self.0.clone()
    }

    /// A directory with a journal that has this content below its header.
    pub fn with(entries: &str) -> Scratch {
        let scratch = Scratch::new();
        fs::write(scratch.journal(), format!("{HEADER}{entries}")).unwrap();
        scratch
    }
}

impl std::ops::Deref for Scratch {
    type Target = Dir;
    fn deref(&self) -> &Dir {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0.0).unwrap();
    }
}

pub fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().ino()
}

pub fn append_raw(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

pub fn make_fifo(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

/// This process's open file with this path. It is the owner's descriptor, so whatever is done to it happens to the
/// owner.
pub fn open_file_at(path: &Path) -> BorrowedFd<'static> {
    let numbers = fs::read_dir("/proc/self/fd").unwrap();
    let numbers = numbers.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let wanted = |number: &i32| fs::read_link(format!("/proc/self/fd/{number}")).is_ok_and(|open| open == path);
    let number = { numbers }.find(wanted).expect("it is open");
    // SAFETY: tests use it only before its owner closes it.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// A moment at which something can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Before(&'static str),
    After(&'static str),
    /// During a wait, however long it is.
    Pause,
}

/// Clocks that advance only when a test says so or the library waits; and the calls that the library has made.
#[derive(Clone)]
pub struct World {
    now: Rc<Cell<Duration>>,
    pub pauses: Rc<Cell<usize>>,
    calls: Rc<RefCell<Vec<&'static str>>>,
    boot_ms: Rc<Cell<Option<i64>>>,
    /// How far the wall clock was set back.
    back: Rc<Cell<Duration>>,
    /// Which process this thread plays.
    pub process: Rc<Cell<u64>>,
}

impl World {
    pub fn new() -> World {
        World {
            now: Rc::new(Cell::new(Duration::from_secs(1000))),
            pauses: Rc::default(),
            calls: Rc::default(),
            boot_ms: Rc::default(),
            back: Rc::default(),
            process: Rc::default(),
        }
    }

    /// A handle of a process of its own: it shares no queue with others.
    pub fn open_in(&self, process: u64, dir: &Dir) -> Lock {
        self.open_with(process, dir.options(), dir)
    }

    pub fn open_with(&self, process: u64, options: Options, dir: &Dir) -> Lock {
        self.process.set(process);
        let lock = self.quietly(|| options.open(&dir.0)).unwrap();
        self.process.set(0);
        lock
    }

    pub fn pass(&self, time: Duration) {
        self.now.set(self.now.get() + time);
    }

    /// Until the monotonic clock shows this.
    pub fn pass_until(&self, time: Duration) {
        self.now.set(time);
    }

    fn since_1970(&self) -> Duration {
        EPOCH + self.now.get() - self.back.get()
    }

    /// Sets the wall clock back, as an administrator might.
    pub fn set_back(&self, time: Duration) {
        self.back.set(time);
    }

    pub fn realtime_ms(&self) -> i64 {
        self.since_1970().as_millis() as i64
    }

    pub fn boots_at(&self, ms: i64) {
        self.boot_ms.set(Some(ms));
    }

    /// Makes a file look this old.
    pub fn age(&self, path: &Path, age: Duration) {
        let then = SystemTime::UNIX_EPOCH + self.since_1970() - age;
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(then)
            .unwrap();
    }

    /// How old a file is.
    pub fn age_of(&self, path: &Path) -> Duration {
        let modified = fs::metadata(path).unwrap().modified().unwrap();
        let modified = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        self.since_1970().saturating_sub(modified)
    }

    /// Runs `run`, and calls `act` at each moment of it; what `act` returns before a call decides what becomes of the
    /// call.
    pub fn run<T>(&self, act: impl FnMut(At) -> Verdict + 'static, run: impl FnOnce() -> T) -> T {
        self.calls.borrow_mut().clear();
        seam::install(Script {
            world: self.clone(),
            act: Box::new(act),
        });
        let result = run();
        seam::uninstall();
        result
    }

    /// A handle on these clocks that has parked its stamp and swept.
    pub fn parked(&self, dir: &Dir) -> Lock {
        self.quietly(|| {
            let lock = dir.open();
            lock.acquire().unwrap().release().unwrap();
            lock
        })
    }

    /// Runs `run` without disturbing it.
    pub fn quietly<T>(&self, run: impl FnOnce() -> T) -> T {
        self.run(|_| Verdict::Proceed, run)
    }

    /// The calls of the last run.
    pub fn calls(&self) -> Vec<&'static str> {
        self.calls.borrow().clone()
    }

    /// The position of this call's first occurrence in the last run.
    #[track_caller]
    pub fn place_of(&self, call: &str) -> usize {
        let calls = self.calls();
        let place = calls.iter().position(|made| *made == call);
        place.unwrap_or_else(|| panic!("no {call} in {calls:?}"))
    }
}

/// Acts once, at the `nth` of these moments.
pub fn once(at: At, nth: usize, act: impl FnOnce() -> Verdict + 'static) -> impl FnMut(At) -> Verdict + 'static {
    let (mut seen, mut act) = (0, Some(act));
    move |now| {
        seen += usize::from(now == at);
        match now == at && seen == nth {
            true => act.take().map_or(Verdict::Proceed, |act| act()),
            false => Verdict::Proceed,
        }
    }
}

/// Does this once, at the first call of this name that follows one of the other.
pub fn after(
    other: &'static str,
    call: &'static str,
    act: impl FnOnce() -> Verdict + 'static,
) -> impl FnMut(At) -> Verdict + 'static {
    let (mut made, mut act) = (false, Some(act));
    move |at| {
        made |= at == At::Before(other);
        match made && at == At::Before(call) {
            true => act.take().map_or(Verdict::Proceed, |act| act()),
            false => Verdict::Proceed,
        }
    }
}

/// Like [`once`], for an `act` that leaves the call itself alone.
pub fn meanwhile(at: At, nth: usize, act: impl FnOnce() + 'static) -> impl FnMut(At) -> Verdict + 'static {
    once(at, nth, move || {
        act();
        Verdict::Proceed
    })
}

struct Script {
    world: World,
    act: Box<dyn FnMut(At) -> Verdict>,
}

impl Hook for Script {
    fn before(&mut self, call: &'static str) -> Verdict {
        self.world.calls.borrow_mut().push(call);
        (self.act)(At::Before(call))
    }

    fn after(&mut self, call: &'static str) {
        (self.act)(At::After(call));
    }

    fn monotonic(&mut self) -> Option<Duration> {
        Some(self.world.now.get())
    }

    fn realtime_ms(&mut self) -> Option<i64> {
        Some(self.world.realtime_ms())
    }

    fn boot_ms(&mut self) -> Option<i64> {
        self.world.boot_ms.get()
    }

    fn process(&mut self) -> u64 {
        self.world.process.get()
    }

    fn pause(&mut self, _call: &'static str, until: Duration) -> bool {
        self.world.pauses.set(self.world.pauses.get() + 1);
        self.world.now.set(self.world.now.get().max(until));
        (self.act)(At::Pause);
        true
    }
}

/// Like [`World::run`], but with the system's clocks.
pub fn at_real_time<T>(act: impl FnMut(At) -> Verdict + 'static, run: impl FnOnce() -> T) -> T {
    struct Plain(Box<dyn FnMut(At) -> Verdict>);
    impl Hook for Plain {
        fn before(&mut self, call: &'static str) -> Verdict {
            (self.0)(At::Before(call))
        }
    }
    seam::install(Plain(Box::new(act)));
    let result = run();
    seam::uninstall();
    result
}

//! What it costs to acquire and release a lock that nobody contends for: system calls, allocations, and time compared
//! with the bare file operations of a plain lockfile.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jlock::seam::{self, Hook, Verdict};
use jlock::{Entry, Lock};

#[path = "fresh/mod.rs"]
mod fresh;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Counts this thread's system calls.
struct Counter(Rc<Cell<usize>>);

impl Hook for Counter {
    fn before(&mut self, _call: &'static str) -> Verdict {
        self.0.set(self.0.get() + 1);
        Verdict::Proceed
    }
}

/// The number of system calls and of allocations that `act` makes.
fn count(act: impl FnOnce()) -> (usize, usize) {
    let calls = Rc::new(Cell::new(0));
    seam::install(Counter(Rc::clone(&calls)));
    let before = ALLOCATIONS.get();
    act();
    let allocations = ALLOCATIONS.get() - before;
    seam::uninstall();
    (calls.get(), allocations)
}

struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        Scratch(fresh::directory(&format!("cost-{name}")))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("the test's own directory");
    }
}

fn pair(lock: &Lock) {
    lock.acquire().expect("free").release().expect("held");
}

#[test]
fn a_pair_makes_three_system_calls_and_no_allocation() {
    let dir = Scratch::new("calls");
    let lock = Lock::open(&dir.0).expect("open");
    pair(&lock); // parks
    assert_eq!(count(|| pair(&lock)), (3, 0));
}

#[test]
fn an_append_makes_six_system_calls_more() {
    let dir = Scratch::new("append");
    let lock = Lock::open(&dir.0).expect("open");
    let append = || lock.journal().append([Entry::changed("a")]).expect("append");
    append(); // parks, and makes the journal
    // open, fstat, pread of the last byte, write, fstatat, close.
    assert_eq!(count(append).0, 3 + 6);
}

// -------------------------------------------------------------------------------------------- beside others, and waiting

/// A process that waits by a clock of its own, which only its sleeps advance.
struct Waiter {
    process: u64,
    calls: Rc<RefCell<Vec<&'static str>>>,
    clock: Duration,
    /// What happens while it sleeps.
    asleep: Box<dyn FnMut()>,
}

impl Hook for Waiter {
    fn before(&mut self, call: &'static str) -> Verdict {
        self.calls.borrow_mut().push(call);
        Verdict::Proceed
    }
    fn monotonic(&mut self) -> Option<Duration> {
        Some(self.clock)
    }
    fn process(&mut self) -> u64 {
        self.process
    }
    fn pause(&mut self, _call: &'static str, until: Duration) -> bool {
        self.clock = self.clock.max(until);
        (self.asleep)();
        true
    }
}

/// The system calls that `act` makes.
fn calls(asleep: impl FnMut() + 'static, act: impl FnOnce()) -> Vec<&'static str> {
    calls_of(1, Duration::from_secs(1_000), asleep, act)
}

fn calls_of(process: u64, clock: Duration, asleep: impl FnMut() + 'static, act: impl FnOnce()) -> Vec<&'static str> {
    let calls = Rc::new(RefCell::default());
    seam::install(Waiter {
        process,
        calls: Rc::clone(&calls),
        clock,
        asleep: Box::new(asleep),
    });
    act();
    seam::uninstall();
    calls.take()
}

/// The seam of another process, which acquires or releases its lock when told to.
struct Other {
    tell: Option<mpsc::Sender<bool>>,
    done: mpsc::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Other {
    fn drop(&mut self) {
        self.tell = None;
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(()))) || std::thread::panicking());
    }
}

impl Other {
    fn of(number: u64, dir: &Path) -> Other {
        struct Process(u64);
        impl Hook for Process {
            fn before(&mut self, _call: &'static str) -> Verdict {
                Verdict::Proceed
            }
            fn process(&mut self) -> u64 {
                self.0
            }
        }
        let (dir, (tell, told), (says, done)) = (dir.to_owned(), mpsc::channel(), mpsc::channel());
        let thread = std::thread::spawn(move || {
            seam::install(Process(number));
            let lock = Lock::open(dir).expect("open");
            let mut held = None;
            for acquires in told {
                held = match (acquires, held.take()) {
                    (true, _) => Some(lock.acquire().expect("free")),
                    (false, Some(guard)) => guard.release().map(|()| None).expect("held"),
                    (false, None) => None,
                };
                says.send(()).expect("the test waits");
            }
        });
        Other {
            tell: Some(tell),
            done,
            thread: Some(thread),
        }
    }

    fn does(&self, acquires: bool) {
        let tell = self.tell.as_ref().expect("it is not over");
        tell.send(acquires).expect("it listens");
        self.done.recv().expect("it reports back");
    }
}

/// What it costs to wait for a holder that releases meanwhile.
fn contended(dir: &Path) -> Vec<&'static str> {
    let (lock, holder) = (Lock::open(dir).expect("open"), Other::of(2, dir));
    pair(&lock); // parks
    holder.does(true);
    calls(move || holder.does(false), || pair(&lock))
}

fn first_append(dir: &Path) -> Vec<&'static str> {
    calls(
        || {},
        || {
            let lock = Lock::open(dir).expect("open");
            lock.journal().append([Entry::changed("a")]).expect("append");
        },
    )
}

/// How many private files of living processes a sweep opens; each takes four calls.
const LIVING: usize = 3;

#[test]
fn idle_handles_and_other_files_cost_waiters_nothing_and_a_first_append_little() {
    let (alone, crowded) = (Scratch::new("alone"), Scratch::new("crowded"));
    for number in 0..3_000 {
        fs::write(crowded.0.join(format!("file-{number}")), "").expect("a new file");
    }
    let idle: Vec<Other> = (0..50).map(|number| Other::of(100 + number, &crowded.0)).collect();
    for handle in &idle {
        handle.does(true);
        handle.does(false);
    }
    for dir in [&alone.0, &crowded.0] {
        first_append(dir); // makes the journal, and sweeps
    }
    assert_eq!(contended(&crowded.0), contended(&alone.0));
    // A new handle sweeps, but it opens few files of living owners, and checks each process only once.
    let (beside, without) = (first_append(&crowded.0), first_append(&alone.0));
    assert!(beside.len() <= without.len() + 4 * LIVING + 1, "{beside:?} {without:?}");
}

/// As a program may do for each append. The test's own process is the one that does not forget.
#[test]
fn handles_that_come_and_go_do_not_sweep_each_time() {
    let dir = Scratch::new("again");
    let sweeps = |seconds| {
        let made = calls_of(
            0,
            Duration::from_secs(seconds),
            || {},
            || {
                let lock = Lock::open(&dir.0).expect("open");
                lock.journal().append([Entry::changed("a")]).expect("append");
            },
        );
        made.iter().filter(|call| **call == "getdents64").count()
    };
    assert_ne!(sweeps(1_000), 0);
    assert_eq!(sweeps(1_000), 0);
    assert_ne!(sweeps(1_001), 0);
}

/// Each call takes about a microsecond, and there are 40 pauses a second: less than a thousandth of a core.
const CALLS_A_PAUSE: usize = 12;
/// The calls to park, to line up, and finally to acquire.
const CALLS_BESIDES: usize = 60;

#[test]
fn a_waiter_makes_few_system_calls_however_long_it_waits() {
    const PAUSES: usize = 200;
    let dir = Scratch::new("waits");
    let holder = Other::of(2, &dir.0);
    holder.does(true);
    let lock = Lock::open(&dir.0).expect("open");
    let mut pauses = 0;
    let asleep = move || {
        pauses += 1;
        if pauses == PAUSES {
            holder.does(false);
        }
    };
    let made = calls(asleep, || {
        lock.acquire_for(None)
            .expect("it is free in the end")
            .release()
            .expect("held");
    });
    println!("{} calls in {PAUSES} pauses", made.len());
    assert!(
        made.len() <= CALLS_A_PAUSE * PAUSES + CALLS_BESIDES,
        "{} calls: {made:?}",
        made.len()
    );
}

fn raw(path: &Path) {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .expect("free");
    file.write_all(b"4711\n4711-0123456789abcdef\n").expect("written");
    fs::remove_file(path).expect("removed");
}

fn time(act: impl Fn()) -> Duration {
    let begun = Instant::now();
    for _ in 0..1000 {
        act();
    }
    begun.elapsed()
}

#[test]
fn a_pair_costs_at_most_six_tenths_of_create_write_unlink_and_close() {
    let dir = Scratch::new("time");
    let lock = Lock::open(&dir.0).expect("open");
    let plain = dir.0.join("plain.lock");
    pair(&lock);
    raw(&plain);
    // In turn, so that both meet whatever else the machine does; the result is the median of many ratios.
    let ratio = || time(|| pair(&lock)).as_secs_f64() / time(|| raw(&plain)).as_secs_f64();
    let mut ratios: Vec<f64> = std::iter::repeat_with(ratio).take(25).collect();
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    println!("acquire + release = {median:.2} x (create + write + unlink + close)");
    assert!(median <= 0.6, "{ratios:.2?}");
}

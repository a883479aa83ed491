//! What an acquire and a release cost where nobody contends: system calls, allocations, and time beside the raw file
//! operations of a plain lockfile.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use jlock::seam::{self, Hook, Verdict};
use jlock::{Entry, Lock};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
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

/// How many system calls and allocations `act` makes.
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
        let path = std::env::temp_dir().join(format!("jlock-cost-{name}-{}", std::process::id()));
        fs::create_dir(&path).expect("a new directory");
        Scratch(path)
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
    // In turn, so that whatever else the machine does meets both; the median of many ratios.
    let ratio = || time(|| pair(&lock)).as_secs_f64() / time(|| raw(&plain)).as_secs_f64();
    let mut ratios: Vec<f64> = std::iter::repeat_with(ratio).take(25).collect();
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    println!("acquire + release = {median:.2} x (create + write + unlink + close)");
    assert!(median <= 0.6, "{ratios:.2?}");
}

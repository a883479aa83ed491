//! What the schedules have found, each by itself.

use std::cell::Cell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use jlock::Lock;
use jlock::seam::{self, Hook, Verdict};

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let dir = std::env::temp_dir().join(format!("jlock-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory can be made");
        Scratch(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}

/// Sweeps, as a shipped peer does when the files are old, just before the first call of this name.
struct SweepBefore {
    call: &'static str,
    dir: PathBuf,
    swept: bool,
}

impl Hook for SweepBefore {
    fn before(&mut self, call: &'static str) -> Verdict {
        if call == self.call && !self.swept {
            self.swept = true;
            sweep(&self.dir);
        }
        Verdict::Proceed
    }
}

fn sweep(dir: &Path) {
    for entry in fs::read_dir(dir).expect("the directory can be read") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|end| end == "tmp") {
            fs::remove_file(path).expect("it can be removed");
        }
    }
}

#[test]
fn a_parked_stamp_that_is_swept_during_a_claim_is_parked_again() {
    let scratch = Scratch::new("swept-claim");
    let empty = File::create(scratch.0.join("changes.journal.lock")).expect("a lock without a stamp");
    let old = SystemTime::now() - Duration::from_secs(6);
    empty.set_modified(old).expect("one's own file takes a time");
    let lock = Lock::open(&scratch.0).expect("it opens");
    seam::install(SweepBefore {
        call: "renameat",
        dir: scratch.0.clone(),
        swept: false,
    });
    let released = lock.acquire().and_then(jlock::Guard::release);
    seam::uninstall();
    released.expect("it is claimed all the same");
}

/// Keeps its own time, and is frozen for half a minute in each of the first sleeps.
struct Frozen {
    now: Duration,
    freezes: usize,
    touched: Rc<Cell<Duration>>,
    unlinked: Rc<Cell<Duration>>,
}

impl Hook for Frozen {
    fn before(&mut self, call: &'static str) -> Verdict {
        match call {
            "utimensat" => self.touched.set(self.now),
            "unlinkat" if self.unlinked.get().is_zero() => self.unlinked.set(self.now),
            _ => {}
        }
        Verdict::Proceed
    }

    fn monotonic(&mut self) -> Option<Duration> {
        Some(self.now)
    }

    fn realtime_ms(&mut self) -> Option<i64> {
        Some(1_600_000_000_000 + self.now.as_millis() as i64)
    }

    fn pause(&mut self, _call: &'static str, until: Duration) -> bool {
        self.now = until;
        if self.freezes > 0 {
            self.freezes -= 1;
            self.now += Duration::from_secs(31);
        }
        true
    }
}

#[test]
fn a_holder_that_is_frozen_while_it_settles_settles_again_before_it_releases() {
    let scratch = Scratch::new("frozen-settle");
    let lock = Lock::open(&scratch.0).expect("it opens");
    let held = lock.acquire().expect("nobody else is there");
    let (touched, unlinked) = (Rc::default(), Rc::default());
    // To the hook it is long ago that the lock was acquired: it is overdue.
    seam::install(Frozen {
        now: Duration::from_secs(1000),
        freezes: 2,
        touched: Rc::clone(&touched),
        unlinked: Rc::clone(&unlinked),
    });
    let released = held.release();
    seam::uninstall();
    released.expect("nobody took it");
    let silent = unlinked.get() - touched.get();
    assert!(
        silent < Duration::from_secs(1),
        "released after {silent:?} without a sign of life"
    );
}

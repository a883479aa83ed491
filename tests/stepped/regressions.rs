//! What the schedules have found, one test for each.

use std::cell::Cell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use jlock::seam::{self, Hook, Verdict};
use jlock::{Entry, Guard, Lock};

use crate::scenario::{Before, Op, Scenario};
use crate::schedule::{Bound, Random};
use crate::stage::Stage;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        Scratch(crate::fresh::directory(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}

/// Sweeps just before the first call of this name, as a shipped peer does when the files are old.
struct SweepBefore {
    call: &'static str,
    dir: PathBuf,
    swept: bool,
}

impl Hook for SweepBefore {
    fn before(&mut self, call: &'static str) -> Verdict {
        if call == "fcntl" {
            return Verdict::Fail(22); // no leases: with them, the claim would stay in its inode
        }
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
    empty.set_modified(old).expect("the file's time can be set");
    let lock = Lock::open(&scratch.0).expect("it opens");
    seam::install(SweepBefore {
        call: "renameat",
        dir: scratch.0.clone(),
        swept: false,
    });
    let released = lock.acquire().and_then(|guard| Ok(guard.release()?));
    seam::uninstall();
    released.expect("it is claimed nevertheless");
}

/// Keeps its own time, and is frozen for half a minute in each of its first sleeps.
struct Frozen {
    now: Duration,
    freezes: usize,
    touched: Duration,
    /// The call that cannot be undone.
    relying: &'static str,
    /// For how long there had been no sign of life when that call was first made.
    silent: Rc<Cell<Option<Duration>>>,
}

/// Runs `act` with a lock that seems to have been held for long, and returns how long it had been silent at that call.
fn silence_before(relying: &'static str, act: impl FnOnce(&Lock, Guard<'_>) -> jlock::Result<()>) -> Duration {
    let scratch = Scratch::new(relying);
    let lock = Lock::open(&scratch.0).expect("it opens");
    lock.journal()
        .append([Entry::changed("a/path")])
        .expect("nobody else is there");
    let held = lock.acquire().expect("nobody else is there");
    let silent = Rc::default();
    seam::install(Frozen {
        now: Duration::from_secs(1000),
        freezes: 2,
        touched: Duration::ZERO,
        relying,
        silent: Rc::clone(&silent),
    });
    let acted = act(&lock, held);
    seam::uninstall();
    acted.expect("nobody took the lock");
    silent.get().expect("the call was made")
}

impl Hook for Frozen {
    fn before(&mut self, call: &'static str) -> Verdict {
        if call == "utimensat" {
            self.touched = self.now;
        } else if call == self.relying && self.silent.get().is_none() {
            self.silent.set(Some(self.now - self.touched));
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
    let silent = silence_before("unlinkat", |_, held| Ok(held.release()?));
    assert!(silent < Duration::from_secs(1), "{silent:?} without a sign of life");
}

#[test]
fn a_holder_that_was_silent_for_long_settles_before_it_replaces_the_journal() {
    let silent = silence_before("renameat", |lock, held| {
        lock.journal().write_header(1_700_000_000_000)?;
        Ok(held.release()?)
    });
    assert!(silent < Duration::from_secs(1), "{silent:?} without a sign of life");
}

/// Sets the flag even if the test fails, or the thread that looks at it would go on for ever.
struct AtTheEnd<'f>(&'f AtomicBool);

impl Drop for AtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A wait leaves its inotify queue to the process's next wait. The simulated processes must share none with each
/// other, nor with another test, or a schedule would differ when it is played again.
#[test]
fn what_waits_elsewhere_in_the_process_changes_no_schedule() {
    let scratch = Scratch::new("waits");
    let (holder, waiter) = (Lock::open(&scratch.0), Lock::open(&scratch.0));
    let (holder, waiter) = (holder.expect("it opens"), waiter.expect("it opens"));
    let held = holder.acquire().expect("nobody else is there");
    let explored = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !explored.load(Ordering::Relaxed) {
                waiter
                    .acquire_for(Duration::from_millis(1))
                    .expect_err("it is held all the time");
                std::thread::sleep(Duration::from_millis(1)); // meanwhile its queue is free
            }
        });
        let peers = vec![crate::library(&[Op::Hold]), crate::library(&[Op::Hold])];
        let scenario = Scenario::new("beside one that waits", Before::LibraryCorpse, peers);
        let _ends = AtTheEnd(&explored);
        let played = Stage::new().explore(&scenario, Bound::preemptions(1));
        played.unwrap_or_else(|violation| panic!("{}", violation.told(&scenario)));
    });
    held.release().expect("nobody took it");
}

#[test]
fn a_seed_plays_the_same_schedule_each_time() {
    let mut stage = Stage::new();
    let mut played = |seed| {
        let mut random = Random::new(seed);
        let scenario = Scenario::drawn(&mut random);
        if let Err(violation) = stage.roll(&scenario, random, 3) {
            panic!("{seed}: {}", violation.told(&scenario));
        }
        stage.trace(&scenario)
    };
    for seed in 0..300 {
        assert_eq!(played(seed), played(seed), "seed {seed}");
    }
}

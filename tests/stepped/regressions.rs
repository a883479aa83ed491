//! What the schedules have found, each by itself.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
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

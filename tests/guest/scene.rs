//! A directory for a test, and what a test looks at from outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jlock::{Entry, Lock, Options, Snapshot};

/// Longer than anything here takes, even on a machine that is busy with other things.
pub const LONG: Duration = Duration::from_secs(60);
pub const SETTLE: Duration = Duration::from_millis(20);

pub struct Scene(pub PathBuf);

impl Scene {
    pub fn new() -> Scene {
        let path = crate::fresh::directory("guest");
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Scene(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A directory inside the scene.
    pub fn dir(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        path
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let removed = fs::remove_dir_all(&self.0);
        assert!(
            removed.is_ok() || std::thread::panicking(),
            "{}: {removed:?}",
            self.0.display()
        );
    }
}

pub fn options() -> Options {
    Options::new().settle(SETTLE).timeout(Duration::from_secs(2))
}

pub fn open(dir: &Path) -> Lock {
    options().open(dir).unwrap()
}

pub fn append(lock: &Lock, path: &str) -> jlock::Result<()> {
    lock.journal().append([Entry::changed(path)])
}

pub fn stamp(lock: &Lock, path: &str) -> jlock::Result<()> {
    lock.journal().append_stamped([Entry::changed(path)], 1_700_000_000_000)
}

pub fn lock_of(dir: &Path) -> PathBuf {
    dir.join("changes.journal.lock")
}

/// A directory beside `dir` whose lock has the same stamp, but says that there is no flock.
pub fn without_flock(dir: &Path) -> PathBuf {
    let stamp = fs::read_to_string(lock_of(dir)).unwrap();
    let without = dir.join("without");
    fs::create_dir(&without).unwrap();
    fs::write(lock_of(&without), format!("{} flock=none\n", stamp.trim_end())).unwrap();
    without
}

pub fn journal_of(dir: &Path) -> PathBuf {
    dir.join("changes.journal")
}

/// The journal's lines below its header; empty if there is no journal.
pub fn entries(dir: &Path) -> Vec<String> {
    let content = fs::read_to_string(journal_of(dir)).unwrap_or_default();
    content.lines().skip(1).map(str::to_owned).collect()
}

pub fn changed(snapshot: &Snapshot) -> Vec<String> {
    let paths = snapshot.changed();
    paths.map(|path| String::from_utf8(path.to_vec()).unwrap()).collect()
}

/// Waits until a condition holds.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LONG, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5)); // not everything that is waited for here gives a signal
    }
}

/// A part of a test that runs in a separate process: its name, and a function that is given a directory.
pub type Part = (&'static str, fn(&std::path::Path));

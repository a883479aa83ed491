//! A directory for a test, and what a test does to it from outside.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jlock::{Lock, Snapshot};

pub const HEADER: &str = "# codegraph-journal v1 1700000000000\n";

pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        Scratch(crate::fresh::directory("journal"))
    }

    /// Among what cargo builds: the temporary directory may be in memory.
    pub fn among_what_is_built() -> Scratch {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
        Scratch(crate::fresh::directory_in(place, "journal"))
    }

    /// A directory with a journal that has this content below its header.
    pub fn with(entries: &str) -> Scratch {
        let scratch = Scratch::new();
        fs::write(scratch.journal(), format!("{HEADER}{entries}")).unwrap();
        scratch
    }

    pub fn journal(&self) -> PathBuf {
        self.0.join("changes.journal")
    }

    pub fn lock(&self) -> PathBuf {
        self.0.join("changes.journal.lock")
    }

    pub fn open(&self) -> Lock {
        Lock::open(&self.0).unwrap()
    }

    pub fn content(&self) -> String {
        fs::read_to_string(self.journal()).unwrap()
    }

    /// The content below the header.
    pub fn entries(&self) -> String {
        let content = self.content();
        content[content.find('\n').unwrap() + 1..].to_owned()
    }

    pub fn inode(&self) -> u64 {
        fs::metadata(self.journal()).unwrap().ino()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

pub fn append_raw(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

pub fn changed(snapshot: &Snapshot) -> Vec<String> {
    let paths = snapshot.changed();
    paths.map(|path| String::from_utf8(path.to_vec()).unwrap()).collect()
}

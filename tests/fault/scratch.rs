//! A test's own directory, which is removed at its end. If the test fails, it is kept, and its path is printed.

use std::path::{Path, PathBuf};

#[path = "../fresh/mod.rs"]
mod fresh;

pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(purpose: &str) -> Scratch {
        Scratch(fresh::directory_in(Path::new(env!("CARGO_TARGET_TMPDIR")), purpose))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept: {}", self.0.display());
        } else {
            std::fs::remove_dir_all(&self.0).expect("a scratch directory can be removed");
        }
    }
}

//! Runs compilers and other tools. A tool that is missing is an error.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

#[path = "../fresh/mod.rs"]
pub mod fresh;

pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

pub fn tool(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.stdin(Stdio::null()).env("LC_ALL", "C");
    // SAFETY: between fork and exec it calls only signal(2), which is async-signal-safe.
    unsafe { command.pre_exec(heed_signals) };
    command
}

/// A test run under nohup, or in the background of a script, ignores some signals, and its children would inherit
/// that.
fn heed_signals() -> std::io::Result<()> {
    for signal in 1..=31 {
        // Two cannot be ignored; they refuse the call.
        // SAFETY: it sets the signal handling of this process alone, a new one that is about to become another program.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    Ok(())
}

/// As on a terminal: without the settings of a make that may be running these tests.
#[allow(dead_code)] // not every test with these tools uses it
pub fn make() -> Command {
    let mut command = tool("make");
    command.arg("-s").env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    command
}

/// Runs a program to its end, which must be a success.
pub fn run(command: &mut Command) {
    text(command);
}

/// What the program wrote to its standard output.
pub fn text(command: &mut Command) -> String {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => panic!("{command:?}: {error}: install it"),
    };
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    out
}

/// A file of the library as `cargo build` makes it. It has a directory of its own, since the tests' directory may hold
/// one with other features.
#[allow(dead_code)] // not every target uses it
pub fn library(file: &str) -> PathBuf {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    let dir = DIR.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("library");
        run(tool(env!("CARGO"))
            .current_dir(root())
            .args(["build", "--lib", "--target-dir"])
            .arg(&target)
            // Flags given to `cargo test` are meant for the tests.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("CARGO_BUILD_TARGET"));
        target.join("debug")
    });
    dir.join(file)
}

/// Has a file made under another name, then replaces the old one: another run of the tests may be using that.
#[allow(dead_code)] // not every target uses it
pub fn replace(file: &Path, make: impl FnOnce(&Path)) {
    let beside = fresh::directory_in(file.parent().expect("a directory"), "made");
    let made = beside.join(file.file_name().expect("a name"));
    make(&made);
    fs::rename(&made, file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    fs::remove_dir(&beside).unwrap_or_else(|error| panic!("{}: {error}", beside.display()));
}

/// A directory that is removed when the test ends.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        Scratch(fresh::directory(name))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let removed = fs::remove_dir_all(&self.0);
        assert!(
            removed.is_ok() || std::thread::panicking(),
            "{}: {removed:?}",
            self.0.display()
        );
    }
}

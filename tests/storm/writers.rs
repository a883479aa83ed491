//! The writers of a storm: this library, the shipped peer, and the examples in every language.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::crowd::redirect;
use crate::weather::{Make, Slot};
use crate::worker::{self, Job, journal_dir, log_path};

/// How many entries an example writes in its life.
const PATHS: u32 = 400;

/// This library, from Rust.
pub fn library(count: u32) -> Make {
    let job = Job::Append {
        count,
        stamp_every: 10,
        pause_us: 0,
        until_stop: false,
        locked: true,
    };
    Box::new(move |root, name| worker::command(job, root, name))
}

pub fn library_only(count: u32) -> Vec<Slot> {
    Slot::several("library", count, || library(PATHS))
}

// -------------------------------------------------------------------------------------------------- shipped peer

/// The shipped peer, unmodified.
pub fn shipped(count: u32, stamped: bool) -> Make {
    shipped_by(|_| node(), count, stamped)
}

/// The shipped peer's writer, run by this Node.
pub fn shipped_by(program: impl Fn(&Path) -> Command + 'static, count: u32, stamped: bool) -> Make {
    let script = interop("shipped-writer.mjs");
    Box::new(move |root, name| {
        let mut command = program(root);
        command.arg(&script).args(stamped.then_some("--stamped"));
        command.arg(root).arg(name);
        redirect(&mut command, &log_path(root, name), &paths(root, count));
        command
    })
}

/// What the shipped reader finds, as JSON.
pub fn shipped_read(root: &Path) -> String {
    let output = node().arg(interop("shipped-read.mjs")).arg(root).output();
    let output = output.expect("node is needed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("JSON")
}

fn node() -> Command {
    Command::new("node")
}

/// A script of tests/interop, once the shipped peer has been fetched.
fn interop(script: &str) -> PathBuf {
    fetch_peer();
    repository("tests/interop").join(script)
}

pub fn fetch_peer() {
    static FETCHED: OnceLock<()> = OnceLock::new();
    let script = repository("tests/interop/fetch-peer.sh");
    FETCHED.get_or_init(|| succeed(Command::new("sh").arg(script)));
}

// ------------------------------------------------------------------------------------------------------ languages

/// The example writers of the languages that need no other packages, and two in Rust.
pub fn some_languages(root: &Path) -> Vec<Slot> {
    let mut slots = library_only(2);
    slots.push(c(root));
    slots.push(python());
    slots
}

/// The example writers, one in each language; it is an error if one cannot be run.
pub fn all_languages(root: &Path) -> Vec<Slot> {
    let go = build_go(root);
    let node = script("node", "examples/node/writer.mjs", &shared_object());
    vec![
        Slot::new("rust", library(PATHS)),
        c(root),
        Slot::new("go", example(move || Command::new(&go))),
        python(),
        Slot::new("node", example(node)),
    ]
}

fn c(root: &Path) -> Slot {
    let program = build_c(root, &shared_object());
    Slot::new("c", example(move || Command::new(&program)))
}

fn python() -> Slot {
    Slot::new(
        "python",
        example(script("python3", "examples/python/writer.py", &shared_object())),
    )
}

/// A program that is called as `writer DIR PREFIX < paths` and prints `ack ENTRY`.
fn example(program: impl Fn() -> Command + 'static) -> Make {
    Box::new(move |root, name| {
        let mut command = program();
        command.arg(journal_dir(root)).arg(name);
        redirect(&mut command, &log_path(root, name), &paths(root, PATHS));
        command
    })
}

fn script(interpreter: &'static str, path: &str, library: &Path) -> impl Fn() -> Command + 'static {
    let (path, library) = (repository(path), library.to_owned());
    move || {
        let mut command = Command::new(interpreter);
        command.arg(&path).env("JLOCK_LIBRARY", &library);
        command
    }
}

fn build_c(out: &Path, library: &Path) -> PathBuf {
    let program = out.join("writer-c");
    let beside = library.parent().expect("a directory");
    let mut cc = Command::new("cc");
    cc.arg("-o").arg(&program).arg(repository("examples/c/writer.c"));
    cc.arg("-I").arg(repository("include")).arg(library);
    succeed(cc.arg(format!("-Wl,-rpath,{}", beside.display())));
    program
}

fn build_go(out: &Path) -> PathBuf {
    let program = out.join("writer-go");
    succeed(Command::new("sh").arg(repository("examples/go/lib/fill.sh"))); // after `make library`
    let mut go = Command::new("go");
    go.current_dir(repository("examples/go"));
    succeed(go.args(["build", "-o"]).arg(&program).arg("./cmd/writer"));
    program
}

/// The library under test: the one that `JLOCK_LIBRARY` names, or else the one that cargo built for this test.
pub fn shared_object() -> PathBuf {
    let built = || {
        let exe = std::env::current_exe().expect("this test has a path");
        exe.with_file_name("libjlock.so")
    };
    std::env::var_os("JLOCK_LIBRARY").map_or_else(built, PathBuf::from)
}

// ---------------------------------------------------------------------------------------------------------- tools

pub fn repository(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(path)
}

/// A file with the lines `1.rs` to `COUNT.rs`, made once.
pub fn paths(root: &Path, count: u32) -> PathBuf {
    let path = root.join(format!("{count}.paths"));
    if !path.exists() {
        let lines: String = (1..=count).map(|number| format!("{number}.rs\n")).collect();
        std::fs::write(&path, lines).expect("paths");
    }
    path
}

pub fn succeed(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?} is needed: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
}

//! A directory with a journal, in which commands are run.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::tools::{Scratch, library, replace, root, run, tool};

pub const STRICT: [&str; 6] = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Iinclude"];

pub fn sources() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("cli")).expect("cli");
    let paths = entries.map(|entry| entry.expect("cli").path());
    let mut sources: Vec<PathBuf> = paths.filter(|path| path.extension() == Some(OsStr::new("c"))).collect();
    sources.sort();
    sources
}

/// The command, compiled once.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli");
        fs::create_dir_all(&dir).expect("the target directory can be written to");
        let program = dir.join("jlock");
        replace(&program, |made| {
            run(tool("gcc")
                .current_dir(root())
                .args(STRICT)
                .args(["-g", "-o"])
                .arg(made)
                .args(sources())
                .arg(library("libjlock.a"))
                .args(["-lgcc_s", "-lpthread", "-ldl", "-lm"]));
        });
        program
    })
}

/// How a command ended, and what it printed.
#[derive(Debug)]
pub struct Outcome {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

impl Outcome {
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        self
    }

    #[track_caller]
    pub fn prints(self, out: &str) -> Self {
        assert_eq!(self.out, out, "{self:?}");
        self
    }

    #[track_caller]
    pub fn complains(self, part: &str) -> Self {
        assert!(self.err.contains(part), "{part:?} is not in {self:?}");
        self
    }
}

/// Waits until a condition holds.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(120), "never: {what}");
        std::thread::sleep(Duration::from_millis(2)); // not everything that is waited for here gives a signal
    }
}

/// A process that is ended with the test.
pub struct Running {
    pub child: Child,
    pub input: Option<ChildStdin>,
    pub output: BufReader<ChildStdout>,
}

impl Running {
    #[track_caller]
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("its output can be read");
        line.trim_end().to_owned()
    }

    pub fn signal(&self, number: i32) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        // SAFETY: kill reads no memory; the child is not reaped yet.
        assert_eq!(unsafe { libc::kill(pid, number) }, 0);
    }

    /// Closes the process's standard input, and waits until it ends.
    pub fn end(&mut self) -> ExitStatus {
        self.input = None;
        self.ends()
    }

    /// Waits until the process ends.
    pub fn ends(&mut self) -> ExitStatus {
        let mut status = None;
        until("it ends", || {
            status = self.child.try_wait().expect("it is ours");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

pub struct Scene(Scratch);

impl Scene {
    /// A directory `d` with a journal that is stamped with 1000.
    pub fn new(name: &str) -> Self {
        let scene = Scene(Scratch::new(name));
        scene.jlock("stamp --reset -t 1000 d").exits(0);
        scene
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A command in the scene's directory, with the program under test first in the PATH.
    pub fn tool(&self, name: impl AsRef<OsStr>) -> Command {
        let mut command = tool(name);
        let bin = program().parent().expect("it is in a directory");
        let path = std::env::var("PATH").expect("a PATH");
        command
            .current_dir(self.0.path())
            .env("PATH", format!("{}:{path}", bin.display()));
        command
    }

    pub fn outcome(&self, command: &mut Command) -> Outcome {
        let output = command.output().expect("it can be run");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Outcome {
            status: output.status,
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// Runs `jlock` with these arguments, which are split at spaces.
    pub fn jlock(&self, arguments: &str) -> Outcome {
        self.outcome(self.tool(program()).args(arguments.split_whitespace()))
    }

    /// Runs a shell script.
    pub fn sh(&self, script: &str) -> Outcome {
        self.outcome(self.tool("sh").args(["-c", script]))
    }

    pub fn jlock_with_input(&self, arguments: &str, input: &[u8]) -> Outcome {
        fs::write(self.path("input"), input).expect("it can be written");
        let file = fs::File::open(self.path("input")).expect("it was written");
        self.outcome(self.tool(program()).args(arguments.split_whitespace()).stdin(file))
    }

    pub fn start(&self, command: &mut Command) -> Running {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.expect("it can be run");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Running { child, input, output }
    }

    /// `jlock run`, with a script that first prints `ready`. It holds the lock when this returns.
    pub fn hold(&self, options: &str, script: &str) -> Running {
        let mut command = self.tool(program());
        command.arg("run").args(options.split_whitespace());
        command.args(["d", "--", "sh", "-c", &format!("echo ready; {script}")]);
        let mut running = self.start(&mut command);
        assert_eq!(running.line(), "ready");
        running
    }

    /// Leaves the lock of a holder that was killed.
    pub fn abandon(&self) {
        let mut holder = self.hold("", "exec cat");
        holder.signal(libc::SIGKILL);
        assert_eq!(holder.ends().signal(), Some(libc::SIGKILL));
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("it can be written");
    }

    pub fn journal(&self) -> String {
        fs::read_to_string(self.path("d/changes.journal")).expect("there is a journal")
    }

    pub fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("d")).expect("there is a directory");
        let names = entries.map(|entry| entry.expect("it can be read").file_name());
        let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Lets Python read the JSON that the command prints as the object `o`, and returns the value of `expression`.
    pub fn python(&self, arguments: &str, expression: &str) -> String {
        let script =
            format!("import json, os, sys; o = json.loads(sys.stdin.buffer.read().decode()); print({expression})");
        let json = self.path("json");
        let file = fs::File::create(&json).expect("it can be written");
        let mut jlock = self.tool(program());
        let ended = jlock.args(arguments.split_whitespace()).stdout(file).status();
        assert!(ended.expect("it can be run").code().is_some_and(|code| code < 64));
        let file = fs::File::open(&json).expect("it was written");
        let outcome = self
            .outcome(self.tool("python3").args(["-c", &script]).stdin(file))
            .exits(0);
        outcome.out.trim_end().to_owned()
    }
}

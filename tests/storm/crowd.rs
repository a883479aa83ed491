//! The processes of a storm: they are started, stopped, killed and waited for, and none outlives its test.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than any storm may take to calm down.
const PATIENCE: Duration = Duration::from_secs(600);

pub struct Process {
    pub name: String,
    child: Child,
}

impl Process {
    pub fn spawn(name: &str, command: &mut Command) -> Process {
        let child = command.spawn();
        Process {
            name: name.to_owned(),
            child: child.unwrap_or_else(|e| panic!("{command:?}: {e}")),
        }
    }

    pub fn pid(&self) -> i32 {
        self.child.id().try_into().expect("a process id")
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid()).expect("a process id");
        kill_process(pid, signal).expect("a child that we have not reaped");
    }

    /// Kills it with SIGKILL, wherever it is.
    pub fn kill(mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours").is_some()
    }

    /// Whether the kernel says so: the letter after the name in /proc/PID/stat.
    pub fn is_stopped(&self) -> bool {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("a child that we have not reaped");
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    /// Writes a line to its standard input, which is a pipe.
    pub fn tell(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().expect("a pipe");
        input.write_all(format!("{line}\n").as_bytes()).expect("it reads");
    }

    /// Ends its standard input, if it was given one.
    pub fn close_input(&mut self) {
        self.child.stdin.take();
    }

    pub fn wait(mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours") {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "{} does not end", self.name);
            std::thread::sleep(Duration::from_millis(2)); // std has no wait with a timeout
        }
    }

    pub fn expect_success(self) {
        let name = self.name.clone();
        let status = self.wait();
        assert!(status.success(), "{name}: {status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only a failed test leaves one running. It may have ended meanwhile, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a writer's acknowledgements, which it prints, to its log, and takes its paths from a file.
pub fn redirect(command: &mut Command, log: &Path, paths: &Path) {
    let log = File::options().append(true).create(true).open(log).expect("a log");
    command
        .stdin(File::open(paths).expect("paths"))
        .stdout(Stdio::from(log));
}

/// A deterministic sequence from a seed. (Xorshift: Marsaglia 2003.)
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed | 1)
    }

    /// From `low` up to `high`, which is excluded.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        low + self.0 % (high - low)
    }

    pub fn pause(&mut self, low_us: u64, high_us: u64) {
        std::thread::sleep(Duration::from_micros(self.between(low_us, high_us)));
    }
}

//! Runs op.c under strace, to see which system calls it makes, and what happens if one of them fails or is its last.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::errnos;

/// Longer than anything here may take.
const HANG: Duration = Duration::from_secs(120);
const BEGIN: &str = "\"jlock:begin\"";
const END: &str = "\"jlock:end\"";

/// op.c, linked against the shared object that `JLOCK_LIBRARY` names, or else the one that cargo built for this test.
pub struct Program(PathBuf);

/// One call of an operation.
pub struct Call {
    pub name: String,
    /// Its number among the calls of this name since the program started, from 1.
    pub nth: u32,
    pub text: String,
}

/// What is done to the program when it makes the call.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The call is not made, and this error is returned.
    Error(&'static str),
    /// The program dies before the call is made.
    Kill,
}

pub struct Run {
    pub status: ExitStatus,
    /// What strace saw of the marks, and of the calls with this name.
    pub log: String,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    pub fn build(out: &Path) -> Program {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let exe = std::env::current_exe().expect("this test has a path");
        let built = || exe.with_file_name("libjlock.so");
        let library = std::env::var_os("JLOCK_LIBRARY").map_or_else(built, PathBuf::from);
        // A copy, so that a build that runs beside the test does not change what is tested.
        fs::copy(&library, out.join("libjlock.so")).unwrap_or_else(|e| panic!("{}: {e}", library.display()));
        let path = out.join("op");
        let compiled = Command::new("cc")
            .args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o"])
            .arg(&path)
            .arg(root.join("tests/fault/op.c"))
            .arg("-I")
            .arg(root.join("include"))
            .arg("-L")
            .arg(out)
            .arg("-ljlock")
            .arg(format!("-Wl,-rpath,{}", out.display()))
            .output()
            .expect("a C compiler, cc, is needed: apt-get install gcc");
        let errors = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{errors}");
        Program(path)
    }

    /// The calls between the marks, and the end mark itself: a kill there comes after the last call.
    pub fn calls(&self, operation: &str, dir: &Path, log: &Path) -> Vec<Call> {
        let run = self.trace(operation, dir, log, None, &["-e", "trace=all"]);
        assert!(run.status.success(), "{operation}: {}{}", run.stdout, run.stderr);
        between_marks(&run.log)
    }

    /// Runs the operation with a fault at one call.
    pub fn fault(&self, operation: &str, dir: &Path, log: &Path, copy: &Path, call: &Call, fault: Fault) -> Run {
        let (name, nth) = (&call.name, call.nth);
        // strace would be faster with a filter in the kernel, but then it cannot inject a signal where it stops.
        let (what, filter) = match fault {
            Fault::Error(errno) => (format!("error={errno}"), "--seccomp-bpf"),
            Fault::Kill => ("signal=KILL".to_owned(), "-qq"),
        };
        let trace = format!("trace=faccessat,{name}");
        let inject = format!("inject={name}:{what}:when={nth}");
        self.trace(operation, dir, log, Some(copy), &[filter, "-e", &trace, "-e", &inject])
    }

    /// Runs an operation undisturbed.
    pub fn plain(&self, operation: &str, dir: &Path) -> Run {
        finish(Command::new(&self.0).arg(operation).arg(dir), Path::new(""))
    }

    pub fn leave_a_corpse(&self, dir: &Path) {
        let run = self.plain("corpse", dir);
        assert!(run.status.success(), "{}", run.stderr);
    }

    fn trace(&self, operation: &str, dir: &Path, log: &Path, copy: Option<&Path>, options: &[&str]) -> Run {
        let mut strace = Command::new("strace");
        strace.arg("-f").arg("-o").arg(log).args(options);
        strace.arg(&self.0).arg(operation).arg(dir).args(copy);
        finish(&mut strace, log)
    }
}

impl Run {
    /// Whether the fault occurred, within the operation and only there.
    pub fn hit(&self, fault: Fault) -> bool {
        let operation = self.log.split_once(BEGIN).map_or("", |(_, after)| after);
        let (within, behind) = operation.split_once(END).unwrap_or((operation, ""));
        match fault {
            Fault::Error(_) => within.contains("(INJECTED)"),
            Fault::Kill => self.status.signal() == Some(9) && !operation.is_empty() && !behind.contains('('),
        }
    }

    /// A value that op.c printed.
    pub fn value(&self, key: &str) -> Option<i64> {
        let mut pairs = self.stdout.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.find(|(found, _)| *found == key)?.1.parse().ok()
    }
}

fn finish(command: &mut Command, log: &Path) -> Run {
    let program = command.get_program().to_owned();
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.unwrap_or_else(|e| panic!("{program:?} is needed ({e}): apt-get install strace"));
    let status = wait(&mut child);
    let read = |pipe: Option<&mut dyn Read>| {
        let mut text = String::new();
        pipe.map(|pipe| pipe.read_to_string(&mut text));
        text
    };
    Run {
        status,
        stdout: read(child.stdout.as_mut().map(|pipe| pipe as &mut dyn Read)),
        stderr: read(child.stderr.as_mut().map(|pipe| pipe as &mut dyn Read)),
        log: fs::read_to_string(log).unwrap_or_default(),
    }
}

fn wait(child: &mut Child) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            return status;
        }
        if begun.elapsed() > HANG {
            child.kill().expect("a child of ours");
            panic!("it hangs: {child:?}");
        }
        std::thread::sleep(Duration::from_millis(1)); // std has no wait with a timeout
    }
}

/// Waits until strace's log shows that the operation has begun. Returns `false` if the program ended before that.
pub fn has_begun(log: &Path, ended: impl Fn() -> bool) -> bool {
    loop {
        let over = ended();
        if fs::read_to_string(log).is_ok_and(|text| text.contains(BEGIN)) {
            return true;
        }
        if over {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1)); // strace notifies nobody
    }
}

fn between_marks(log: &str) -> Vec<Call> {
    let mut counts: HashMap<&str, u32> = HashMap::new();
    let mut calls = Vec::new();
    let mut begun = false;
    for line in log.lines() {
        let Some((_, text)) = line.split_once(' ') else {
            continue;
        };
        let Some((name, _)) = text.trim_start().split_once('(') else {
            continue; // "+++ exited with 0 +++"
        };
        let nth = counts.entry(name).or_default();
        *nth += 1;
        if begun {
            calls.push(Call {
                name: name.to_owned(),
                nth: *nth,
                text: text.trim().to_owned(),
            });
        }
        begun |= text.contains(BEGIN);
        if text.contains(END) {
            return calls;
        }
    }
    panic!("the marks are missing:\n{log}");
}

/// Whether errnos.rs says which errors a call can return. Without this check, a call that is missing there would
/// silently go untested.
pub fn is_known(call: &Call) -> bool {
    !errnos::of(&call.name, &call.text).is_empty() || errnos::has_none(&call.name)
}

//! The `jlock` command, as the test vectors need it: each call opens and closes by itself, as in a shell script.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jlock::Kind;

use crate::json::Json;
use crate::judge::{Acquired, Holder, Peer, Read};
use crate::scene::program;
use crate::tools::tool;

const EXIT_CONFLICT: Option<i32> = Some(1);
const LEAST_ERROR: i32 = 64; // below that, `status` reports what it found
const EXIT_DATA: i32 = 65;

pub fn open(dir: &Path, timeout: Duration) -> Box<dyn Peer> {
    Box::new(Script {
        dir: dir.to_owned(),
        timeout,
        holder: AtomicU32::new(0),
    })
}

struct Script {
    dir: PathBuf,
    timeout: Duration,
    /// The PID of the `jlock run` that holds, or was the last to hold; 0 if there was none.
    holder: AtomicU32,
}

impl Script {
    fn jlock(&self, command: &str) -> Command {
        let mut jlock = tool(program());
        jlock.arg(command);
        jlock
    }

    /// Returns `false` if it found that something is not a journal or an entry; panics at other failures.
    fn succeeds(output: &Output) -> bool {
        let code = output.status.code();
        assert!([Some(0), Some(EXIT_DATA)].contains(&code), "{output:?}");
        code == Some(0)
    }
}

fn output(command: &mut Command) -> Output {
    command.output().expect("it can be run")
}

fn text_or_empty(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        value => value.text().to_owned(),
    }
}

impl Peer for Script {
    fn inspect(&self) -> Option<Holder> {
        let output = output(self.jlock("status").arg("--json").arg(&self.dir));
        if output.status.code().is_some_and(|code| code >= LEAST_ERROR) {
            return None;
        }
        let holder = Json::parse(std::str::from_utf8(&output.stdout).expect("UTF-8"));
        let state = holder.get("state").text();
        let exit_codes = ["free", "held", "abandoned"];
        assert_eq!(output.status.code().map(|code| exit_codes[code as usize]), Some(state));
        assert_eq!(holder.get("stale").is_true(), state == "abandoned");
        let peer = text_or_empty(holder.get("peer"));
        let pid = match holder.get("pid") {
            Json::Null => 0,
            pid => pid.number() as i32,
        };
        // The command that asks is a process of its own; the vectors mean the one that holds.
        let mine = state == "held" && pid > 0 && pid.unsigned_abs() == self.pid();
        Some(Holder {
            state: if mine { "mine" } else { state }.to_owned(),
            peer: if peer.is_empty() { "none".to_owned() } else { peer },
            pid,
            nonce: text_or_empty(holder.get("nonce")),
            host: text_or_empty(holder.get("host")),
        })
    }

    fn read(&self) -> Option<Read> {
        let output = output(self.jlock("read").arg(&self.dir));
        if !Self::succeeds(&output) {
            return None;
        }
        let mut lines = output.stdout.split(|byte| *byte == b'\n');
        let header = lines
            .next()
            .and_then(|line| line.strip_prefix(b"# codegraph-journal v1 "));
        let timestamp = std::str::from_utf8(header.expect("a header")).expect("UTF-8");
        let (deleted, changed): (Vec<_>, Vec<_>) = lines
            .filter(|line| !line.is_empty()) // what follows the last newline
            .partition(|line| line.starts_with(b"DELETED "));
        Some(Read {
            timestamp: timestamp.parse().expect("a timestamp"),
            changed: changed.into_iter().map(<[u8]>::to_vec).collect(),
            deleted: deleted
                .into_iter()
                .map(|line| line[b"DELETED ".len()..].to_vec())
                .collect(),
        })
    }

    fn append(&self, kind: Kind, paths: &[Vec<u8>], stamp: Option<i64>) -> bool {
        let mut jlock = match (kind, stamp) {
            (_, Some(stamp)) => {
                let mut jlock = self.jlock("stamp");
                jlock.args(["-t", &stamp.to_string()]);
                jlock
            }
            (Kind::Changed, None) => self.jlock("append"),
            (Kind::Deleted, None) => self.jlock("delete"),
            (other, None) => panic!("{other:?}: not in the vectors"),
        };
        if paths.iter().any(|path| path.contains(&0)) {
            let input = self.dir.join("paths"); // an argument cannot contain a NUL
            std::fs::write(&input, paths.join(&b'\n')).expect("paths");
            jlock.stdin(std::fs::File::open(&input).expect("paths"));
            jlock.arg("--stdin").arg(&self.dir);
        } else {
            jlock.arg(&self.dir).arg("--");
            jlock.args(paths.iter().map(|path| OsStr::from_bytes(path)));
        }
        Self::succeeds(&output(&mut jlock))
    }

    fn hold(&self, held: &mut dyn FnMut(Holder)) -> Acquired {
        let mut jlock = self.jlock("run");
        jlock.args(["-w", &self.timeout.as_secs_f64().to_string()]);
        jlock.arg(&self.dir).args(["--", "sh", "-c", "echo had; exec cat"]);
        let spawned = jlock.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.expect("it can be run");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let had = line == "had\n";
        if had {
            self.holder.store(child.id(), Ordering::Relaxed);
            held(self.inspect().expect("a holder"));
        }
        let ended = child.wait().expect("it is ours"); // closes its standard input, for which it waits
        match (had, ended.code()) {
            (true, code) => {
                assert_eq!(code, Some(0));
                Acquired::Had
            }
            (false, EXIT_CONFLICT) => Acquired::TimedOut,
            (false, code) => {
                assert!(code.is_some_and(|code| code >= LEAST_ERROR), "{code:?}");
                Acquired::Refused
            }
        }
    }

    fn pid(&self) -> u32 {
        self.holder.load(Ordering::Relaxed)
    }
}

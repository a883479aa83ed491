//! A program that obeys commands, one a line, through the C or the C++ interface (`../c/vectors.c`,
//! `../c/vectors.cpp`), as the test vectors need it.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use jlock::Kind;

use crate::judge::{Acquired, Holder, Peer, Read, SETTLE};
use crate::tools::{library, replace, root, run, tool};

const FLAGS: [&str; 8] = [
    "-g",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Werror",
    "-Iinclude",
    "-Iexamples/cpp",
    "-pthread",
];
const SANITIZERS: [&str; 2] = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

/// `JLOCK_VECTORS_C` is a command line with the program as compiled for another architecture, and what runs it there.
pub fn open_c(dir: &Path, timeout: Duration) -> Box<dyn Peer> {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    match std::env::var("JLOCK_VECTORS_C") {
        Ok(words) => {
            let mut words = words.split(' ');
            let mut command = tool(words.next().expect("a program"));
            command.args(words);
            open(command, dir, timeout)
        }
        Err(_) => open(
            tool(PROGRAM.get_or_init(|| compile("gcc", "-std=c11", "vectors.c"))),
            dir,
            timeout,
        ),
    }
}

pub fn open_cpp(dir: &Path, timeout: Duration) -> Box<dyn Peer> {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| compile("g++", "-std=c++17", "vectors.cpp"));
    open(tool(program), dir, timeout)
}

fn compile(compiler: &str, standard: &str, source: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(source.replace('.', "-"));
    replace(&program, |made| {
        run(tool(compiler)
            .current_dir(root())
            .arg(standard)
            .args(FLAGS)
            .args(SANITIZERS)
            .arg("-o")
            .arg(made)
            .arg(root().join("tests/c").join(source))
            .arg(library("libjlock.a"))
            .args(["-lgcc_s", "-lpthread", "-ldl", "-lm"]));
    });
    program
}

fn open(mut command: Command, dir: &Path, timeout: Duration) -> Box<dyn Peer> {
    command
        .arg(dir)
        .args([timeout, SETTLE].map(|time| time.as_millis().to_string()));
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = spawned.expect("it can be run");
    let pipes = Pipes {
        tell: child.stdin.take(),
        answers: BufReader::new(child.stdout.take().expect("a pipe")).lines(),
    };
    let program = Program {
        child,
        pipes: RefCell::new(pipes),
    };
    assert_eq!(program.answer(), "ok", "once it is open");
    Box::new(program)
}

struct Pipes {
    tell: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
}

struct Program {
    child: Child,
    pipes: RefCell<Pipes>,
}

impl Program {
    fn tell(&self, line: &str) {
        let mut pipes = self.pipes.borrow_mut();
        let tell = pipes.tell.as_mut().expect("it is open");
        writeln!(tell, "{line}").expect("it reads on");
    }

    fn answer(&self) -> String {
        let answer = self.pipes.borrow_mut().answers.next();
        answer.expect("it lives").expect("a line")
    }

    fn ask(&self, line: &str) -> String {
        self.tell(line);
        self.answer()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.pipes.borrow_mut().tell = None;
        let ended = self.child.wait().expect("it is ours");
        assert!(ended.success() || std::thread::panicking(), "{ended}");
    }
}

impl Peer for Program {
    fn inspect(&self) -> Option<Holder> {
        let answer = self.ask("inspect");
        let words: Vec<&str> = answer.split('\t').collect();
        let [state, peer, pid, nonce, host] = words[..] else {
            assert_eq!(words[..], ["refused"]);
            return None;
        };
        Some(Holder {
            state: state.to_owned(),
            peer: peer.to_owned(),
            pid: pid.parse().expect("a PID"),
            nonce: nonce.to_owned(),
            host: host.to_owned(),
        })
    }

    fn read(&self) -> Option<Read> {
        let answer = self.ask("read");
        if answer == "no header" {
            return None;
        }
        let mut read = Read {
            timestamp: answer.parse().expect("a timestamp"),
            changed: Vec::new(),
            deleted: Vec::new(),
        };
        loop {
            let line = self.answer();
            match line.split_once(' ') {
                Some(("changed", hex)) => read.changed.push(from_hex(hex)),
                Some(("deleted", hex)) => read.deleted.push(from_hex(hex)),
                _ => {
                    assert_eq!(line, "end");
                    return Some(read);
                }
            }
        }
    }

    fn append(&self, kind: Kind, paths: &[Vec<u8>], stamp: Option<i64>) -> bool {
        let kind = match kind {
            Kind::Changed => "changed",
            Kind::Deleted => "deleted",
            other => panic!("{other:?}: not in the vectors"),
        };
        for path in paths {
            self.tell(&format!("{kind} {}", to_hex(path)));
        }
        let answer = match stamp {
            None => self.ask("append"),
            Some(stamp) => self.ask(&format!("stamp {stamp}")),
        };
        assert!(answer == "ok" || answer == "no entry", "{answer}");
        answer == "ok"
    }

    fn hold(&self, held: &mut dyn FnMut(Holder)) -> Acquired {
        match self.ask("acquire").as_str() {
            "timed out" => return Acquired::TimedOut,
            "refused" => return Acquired::Refused,
            answer => assert_eq!(answer, "ok"),
        }
        held(self.inspect().expect("a holder"));
        assert_eq!(self.ask("release"), "ok");
        Acquired::Had
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
    (0..hex.len()).step_by(2).map(byte).collect()
}

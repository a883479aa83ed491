//! The shipped peer's own code, in one process that is asked many times.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

/// What a reader finds in a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    Invalid,
    Valid {
        /// The bits of a double.
        timestamp: u64,
        changed: Vec<String>,
        removed: Vec<String>,
    },
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub path: String,
    pub deleted: bool,
}

pub struct Shipped {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Shipped {
    /// Its journal is `root/.codegraph/changes.journal`.
    pub fn new(root: &Path) -> Shipped {
        static FETCHED: OnceLock<()> = OnceLock::new();
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests");
        FETCHED.get_or_init(|| {
            let fetched = Command::new("sh").arg(tests.join("interop/fetch-peer.sh")).status();
            assert!(fetched.expect("sh").success(), "the shipped peer could not be fetched");
        });
        let mut process = Command::new("node")
            .arg(tests.join("differential/peer.mjs"))
            .arg(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is needed");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let input = process.stdin.take();
        Shipped { process, input, output }
    }

    fn ask(&mut self, question: &str) -> String {
        let input = self.input.as_mut().expect("open until the drop");
        writeln!(input, "{question}").expect("the shipped peer listens");
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("an answer");
        assert!(answer.ends_with('\n'), "the shipped peer ended at: {question}");
        answer.truncate(answer.len() - 1);
        answer
    }

    fn tell(&mut self, command: &str) {
        assert_eq!(self.ask(command), "done", "{command}");
    }

    pub fn read(&mut self) -> Reading {
        let answer = self.ask("read");
        let parts: Vec<&str> = answer.split(' ').collect();
        match parts[..] {
            ["invalid"] => Reading::Invalid,
            ["valid", bits, changed, removed] => Reading::Valid {
                timestamp: u64::from_str_radix(bits, 16).expect("bits"),
                changed: paths(changed),
                removed: paths(removed),
            },
            _ => panic!("{answer}"),
        }
    }

    pub fn append(&mut self, entries: &[Entry]) {
        self.tell(&format!("append {}", encode(entries)));
    }

    pub fn append_stamped(&mut self, entries: &[Entry], timestamp: f64) {
        self.tell(&format!("stamp {timestamp} {}", encode(entries)));
    }

    pub fn write_header(&mut self, timestamp: f64) {
        self.tell(&format!("header {timestamp}"));
    }
}

impl Drop for Shipped {
    fn drop(&mut self) {
        drop(self.input.take()); // the peer reads the end of its input
        let _ = self.process.wait(); // how it ended does not matter: a test that had a question left has failed
    }
}

fn encode(entries: &[Entry]) -> String {
    let mut text = String::new();
    for Entry { path, deleted } in entries {
        text.push_str(if text.is_empty() { "" } else { "," });
        text.push(if *deleted { 'd' } else { 'c' });
        for byte in path.bytes() {
            write!(text, "{byte:02x}").expect("a String takes it");
        }
    }
    if text.is_empty() { "-".to_owned() } else { text }
}

fn paths(text: &str) -> Vec<String> {
    let text = if text == "-" { "" } else { text };
    text.split_terminator(',').map(decode).collect()
}

fn decode(hex: &str) -> String {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    let bytes = (0..hex.len()).step_by(2).map(byte).collect();
    String::from_utf8(bytes).expect("what JavaScript writes is UTF-8")
}

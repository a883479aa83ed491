//! What a process of a storm does. It is this test binary again; its environment tells it what to be.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jlock::{Entry, Lock, Options};

use crate::oracle::monotonic_ns;

/// What a worker does in its life.
#[derive(Clone, Copy, Debug)]
pub enum Job {
    /// Enters the critical section this often.
    Hold { count: u32, locked: bool },
    /// Appends at least this many entries and, with `until_stop`, goes on until there is a file `stop`.
    Append {
        count: u32,
        /// Every `stamp_every`th entry also advances the header; 0 for none.
        stamp_every: u32,
        /// How long it pauses between two of them.
        pause_us: u64,
        until_stop: bool,
        locked: bool,
    },
    /// Acquires, and holds until its standard input ends.
    Keep,
}

const JOB: &str = "JLOCK_STORM_JOB";
const ROOT: &str = "JLOCK_STORM_ROOT";
const NAME: &str = "JLOCK_STORM_NAME";

/// What workers share, below one root.
pub fn journal_dir(root: &Path) -> PathBuf {
    root.join(".codegraph") // where the shipped peer looks for it
}

pub fn log_path(root: &Path, name: &str) -> PathBuf {
    root.join(format!("{name}.log"))
}

pub fn stop_path(root: &Path) -> PathBuf {
    root.join("stop")
}

pub fn counter_path(root: &Path) -> PathBuf {
    root.join("counter")
}

/// The command that becomes this worker.
pub fn command(job: Job, root: &Path, name: &str) -> Command {
    let exe = std::env::current_exe().expect("this test has a path");
    let mut command = Command::new(exe);
    command.args(["worker", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(JOB, job.to_text()).env(ROOT, root).env(NAME, name);
    command.stdout(Stdio::null()); // drops the test harness's output
    command
}

/// Does the job that the environment names, if it names one.
pub fn work() {
    let Ok(job) = std::env::var(JOB) else { return };
    let root = PathBuf::from(std::env::var_os(ROOT).expect("a worker has a root"));
    let name = std::env::var(NAME).expect("a worker has a name");
    let worker = Worker {
        lock: Options::new()
            .timeout(Duration::from_secs(60))
            .open(journal_dir(&root))
            .expect("the lock opens"),
        log: OpenOptions::new()
            .append(true)
            .create(true)
            .open(log_path(&root, &name))
            .expect("a log"),
        root,
        name,
    };
    match Job::from_text(&job) {
        Job::Hold { count, locked } => worker.hold(count, locked),
        Job::Append {
            count,
            stamp_every,
            pause_us,
            until_stop,
            locked,
        } => worker.append(count, until_stop, Duration::from_micros(pause_us), |entry, number| {
            if locked {
                worker.append_one(entry, stamp_every > 0 && number % stamp_every == 0);
            } else {
                worker.append_without_lock(entry);
            }
        }),
        Job::Keep => worker.keep(),
    }
}

impl Job {
    fn to_text(self) -> String {
        match self {
            Job::Hold { count, locked } => format!("hold {count} {locked}"),
            Job::Append {
                count,
                stamp_every,
                pause_us,
                until_stop,
                locked,
            } => format!("append {count} {stamp_every} {pause_us} {until_stop} {locked}"),
            Job::Keep => "keep".to_owned(),
        }
    }

    fn from_text(text: &str) -> Job {
        let words: Vec<&str> = text.split(' ').collect();
        let number = |at: usize| words[at].parse::<u32>().expect("a number");
        let truth = |at: usize| words[at] == "true";
        match words[0] {
            "hold" => Job::Hold {
                count: number(1),
                locked: truth(2),
            },
            "append" => Job::Append {
                count: number(1),
                stamp_every: number(2),
                pause_us: number(3).into(),
                until_stop: truth(4),
                locked: truth(5),
            },
            "keep" => Job::Keep,
            other => panic!("{other}: no such job"),
        }
    }
}

struct Worker {
    lock: Lock,
    /// Written line by line without a buffer, so that what a killed worker has said is there.
    log: File,
    root: PathBuf,
    name: String,
}

impl Worker {
    fn say(&self, line: &str) {
        (&self.log).write_all(format!("{line}\n").as_bytes()).expect("a log");
    }

    // ------------------------------------------------------------------------------------------------- exclusion

    fn hold(&self, count: u32, locked: bool) {
        let mut log = String::new();
        for _ in 0..count {
            let guard = locked.then(|| self.lock.acquire().expect("the lock"));
            let start = monotonic_ns();
            if !self.critical_section() {
                log += "clash\n";
            }
            log += &format!("held {start} {}\n", monotonic_ns());
            if let Some(guard) = guard {
                guard.release().expect("still ours");
            }
        }
        self.say(log.trim_end());
    }

    /// Counts one hold. Returns `false` if somebody else is in the critical section.
    fn critical_section(&self) -> bool {
        let marker = self.root.join("marker");
        let alone = match OpenOptions::new().write(true).create_new(true).open(&marker) {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(error) => panic!("the marker: {error}"),
        };
        let counter = counter_path(&self.root);
        let count: u32 = std::fs::read_to_string(&counter)
            .expect("a counter")
            .parse()
            .unwrap_or(0); // empty: another is writing it, which the oracles will report
        std::thread::yield_now(); // gives others a chance to come in
        std::fs::write(&counter, (count + 1).to_string()).expect("a counter");
        if alone {
            std::fs::remove_file(&marker).expect("our marker");
        }
        alone
    }

    // --------------------------------------------------------------------------------------------------- journal

    fn append(&self, count: u32, until_stop: bool, pause: Duration, one: impl Fn(&str, u32)) {
        let stop = stop_path(&self.root);
        let mut number = 0;
        while number < count || until_stop && !stop.exists() {
            number += 1;
            let entry = format!("{}/{number}.rs", self.name);
            one(&entry, number);
            self.say(&format!("ack {entry}"));
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
        }
    }

    fn append_one(&self, entry: &str, stamped: bool) {
        let (journal, entries) = (self.lock.journal(), [Entry::changed(entry)]);
        let appended = if stamped {
            journal.append_stamped(entries, now_ms())
        } else {
            journal.append(entries)
        };
        appended.expect("an append");
    }

    /// Stamps as every program would that was written without a thought for others.
    fn append_without_lock(&self, entry: &str) {
        let journal = journal_dir(&self.root).join("changes.journal");
        let own = self.root.join(format!("{}.new", self.name));
        let mut content = std::fs::read(&journal).expect("a journal");
        content.extend_from_slice(format!("{entry}\n").as_bytes());
        std::thread::yield_now();
        std::fs::write(&own, content).expect("a new journal");
        std::fs::rename(&own, &journal).expect("in its place");
    }

    // ------------------------------------------------------------------------------------------------------ keep

    fn keep(&self) {
        let guard = self.lock.acquire().expect("the lock is free");
        self.say("acquired");
        std::io::stdin().read_to_end(&mut Vec::new()).expect("standard input");
        guard.release().expect("nobody took it");
        self.say("released");
    }
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    now.as_millis().try_into().expect("before the year 292 million")
}

//! Wrong implementations: the second one (`tests/second`), each time with one sentence of PROTOCOL.md misread as
//! somebody might misread it. Each of them is caught by the test vectors, by a storm, or by a scene of a few steps.
//!
//! They are made from `tests/second` by replacing a passage or two. If a passage is not there any more, the test fails.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use jlock::{ErrorKind, Lock, Options};

use crate::crowd::Process;
use crate::oracle::{Exclusion, acknowledged};
use crate::scene::{Scene, names, say, wait_for_log, wait_until};
use crate::scratch::Scratch;
use crate::worker::{self, Job, journal_dir, log_path};
use crate::writers::repository;

/// What must catch it.
enum By {
    /// The test vector of this name.
    Vector(&'static str),
    /// Something else, which returns how it was caught, or `None` if nothing is wrong.
    Trial(fn(&Second) -> Option<String>),
}

struct Wrong {
    /// What somebody understood.
    misread: &'static str,
    /// The section of PROTOCOL.md.
    section: &'static str,
    file: &'static str,
    /// Passages, and what replaces them.
    changes: &'static [(&'static str, &'static str)],
    by: By,
}

const WRONG: &[Wrong] = &[
    Wrong {
        misread: "a holder that gave no sign of life for 30 s is dead, flock or not",
        section: "Look",
        file: "peer.py",
        changes: &[(
            "        if not busy:\n",
            "        if not busy or self.age_of(found) > self.stale_s:\n",
        )],
        by: By::Vector("directories: a library peer that lives, however old its lock"),
    },
    Wrong {
        misread: "whoever has claimed a lock holds it at once",
        section: "Settle",
        file: "peer.py",
        changes: &[(
            "            time.sleep(self.settle_s)\n            if self.id_of(self.lock)",
            "            if self.id_of(self.lock)",
        )],
        by: By::Vector("directories: a shipped peer that is gone"),
    },
    Wrong {
        misread: "a dead holder's lock is replaced by renaming another over it, as a shipped peer does",
        section: "Claim",
        file: "peer.py",
        changes: &[(
            "fds = (fd,) if dead.kind == \"foreign\" else (fd, self.open(self.lock, os.O_WRONLY))",
            "fds = (fd,)",
        )],
        by: By::Vector("directories: a dead library peer whose private file stands still"),
    },
    Wrong {
        misread: "an empty lock is stale at once, as to a shipped peer",
        section: "Look",
        file: "evidence.py",
        changes: &[(
            "    lease = read_lease(fd)\n    if lease is False:\n        return ALIVE\n",
            "    lease = read_lease(fd)\n    if no_pid:\n        return DEAD\n    if lease is False:\n        return ALIVE\n",
        )],
        by: By::Vector("directories: an empty lock that its maker has open, however old"),
    },
    Wrong {
        misread: "another boot id is proof of death",
        section: "Look",
        file: "evidence.py",
        changes: &[("return DEAD if same[\"boot\"] or earlier else old", "return DEAD")],
        by: By::Vector("directories: a library peer's lock without a flock, of another boot, younger than this one"),
    },
    Wrong {
        misread: "`flock=none` is one of the fields that only messages need",
        section: "The stamp",
        file: "evidence.py",
        changes: &[("if stamp.known(\"flock\") != \"none\":", "if True:")],
        by: By::Vector("directories: no flock here: lives"),
    },
    Wrong {
        misread: "a lease that is granted proves that nobody holds the lock",
        section: "Look",
        file: "evidence.py",
        changes: &[(
            "    by_itself = DEAD if pid_gone else old\n    if by_itself.left and not no_pid:\n        return by_itself\n    lease = read_lease(fd)\n    if lease is False:\n        return ALIVE\n",
            "    by_itself = DEAD if pid_gone else old\n    lease = read_lease(fd)\n    if lease is False:\n        return ALIVE\n    if lease:\n        return DEAD\n",
        )],
        by: By::Vector("directories: a shipped peer that lives"),
    },
    Wrong {
        misread: "any private file whose flock is free is a dead peer's",
        section: "Sweep",
        file: "peer.py",
        changes: &[(
            "            if ours or old or pid and gone(pid):\n",
            "            if True:\n",
        )],
        by: By::Vector("directories: sweep: a shipped peer's, whose PID lives"),
    },
    Wrong {
        misread: "white space is whatever Python counts as white space",
        section: "The journal",
        file: "journal.py",
        changes: &[("text(entry).strip(SPACE)", "text(entry).strip()")],
        by: By::Vector("journals: what is no white space to the shipped reader stays"),
    },
    Wrong {
        misread: "the timestamp is a decimal number of milliseconds",
        section: "The journal",
        file: "journal.py",
        changes: &[("|0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+", "")],
        by: By::Vector("journals: a hexadecimal timestamp"),
    },
    Wrong {
        misread: "what a killed writer left of a line is the beginning of the next",
        section: "The journal",
        file: "peer.py",
        changes: &[(
            "(b\"\" if ended else b\"\\n\" if size else MAGIC + b\"0\\n\")",
            "(b\"\" if size else MAGIC + b\"0\\n\")",
        )],
        by: By::Vector("appends: after a line without an end"),
    },
    Wrong {
        misread: "if the lock's name is free, the private file is renamed to it",
        section: "Acquire",
        file: "peer.py",
        changes: &[(
            "            self.link(parked.name, self.lock)\n        except FileExistsError:\n            return False\n",
            "            if self.id_of(self.lock):\n                return False\n            os.sched_yield()\n            self.rename(parked.name, self.lock)\n            self.parked = None\n",
        )],
        by: By::Trial(holders_overlap),
    },
    Wrong {
        misread: "the flock is for writing the stamp",
        section: "Park",
        file: "peer.py",
        changes: &[(
            "                    out.write(file.stamp if content is None else content)\n",
            "                    out.write(file.stamp if content is None else content)\n                fcntl.flock(file.fds[0], fcntl.LOCK_UN)\n",
        )],
        by: By::Trial(a_long_hold_is_broken),
    },
    Wrong {
        misread: "whoever holds the lock unlinks it to release",
        section: "Release",
        file: "peer.py",
        changes: &[(
            "        held, ours = self.held, self.holds()\n",
            "        held, ours = self.held, True\n",
        )],
        by: By::Trial(a_thiefs_lock_is_removed),
    },
    Wrong {
        misread: "the postscript concerns only the peer that wrote it",
        section: "Claim",
        file: "evidence.py",
        changes: &[(
            "    return rest[1] if len(rest) == 2",
            "    return b\"\" if len(rest) == 2",
        )],
        by: By::Trial(a_killed_append_stays),
    },
    Wrong {
        misread: "the journal is opened once, and stays what it is",
        section: "The journal",
        file: "peer.py",
        changes: &[
            (
                "            fd = self.open(self.journal, os.O_RDWR | os.O_APPEND)\n        except",
                "            if not hasattr(self, \"kept\"):\n                self.kept = self.open(self.journal, os.O_RDWR)\n            fd = os.open(f\"/proc/self/fd/{self.kept}\", os.O_RDWR | os.O_APPEND)\n        except",
            ),
            (
                "            return self.id_of(self.journal) == file_id(os.fstat(fd))\n        finally:",
                "            return True\n        finally:",
            ),
        ],
        by: By::Trial(acknowledged_entries_are_lost),
    },
];

/// A copy of the second implementation in a directory of its own, beside the vectors.
struct Second {
    place: PathBuf,
}

impl Second {
    fn new(root: &Path, number: usize) -> Second {
        let place = root.join(number.to_string()).join("second");
        fs::create_dir_all(&place).expect("a directory");
        for file in fs::read_dir(repository("tests/second")).expect("the second implementation") {
            let file = file.expect("an entry").path();
            if file.extension().is_some_and(|end| end == "py") {
                fs::copy(&file, place.join(file.file_name().expect("a name"))).expect("a copy");
            }
        }
        let vectors = repository("tests/vectors").canonicalize().expect("the vectors");
        std::os::unix::fs::symlink(vectors, place.with_file_name("vectors")).expect("a link");
        Second { place }
    }

    fn misread(&self, wrong: &Wrong) {
        let file = self.place.join(wrong.file);
        let mut text = fs::read_to_string(&file).expect("a file of the second implementation");
        for (passage, instead) in wrong.changes {
            let found = text.matches(passage).count();
            assert_eq!(
                found, 1,
                "{}: {} has {passage:?} that many times",
                wrong.misread, wrong.file
            );
            text = text.replace(passage, instead);
        }
        fs::write(&file, text).expect("a copy");
    }

    fn program(&self, script: &str) -> Command {
        let mut command = Command::new("python3");
        command.arg("-B").arg(self.place.join(script));
        command.stderr(Stdio::null()); // a wrong one may print anything
        command
    }

    /// The vectors that it fails.
    fn failures(&self) -> String {
        let run = self.program("vectors.py").arg(std::process::id().to_string()).output();
        String::from_utf8_lossy(&run.expect("python3 is needed").stdout).into_owned()
    }

    fn holder(&self, root: &Path, name: &str, count: u32) -> Process {
        let mut command = self.program("storm.py");
        command.arg("--hold").arg(count.to_string());
        command.arg(journal_dir(root)).arg(root);
        let log = fs::File::create(log_path(root, name)).expect("a log");
        Process::spawn(name, command.stdout(log))
    }

    /// A process that holds until its standard input ends.
    fn keeper(&self, root: &Path, name: &str) -> Process {
        let mut command = self.program("storm.py");
        command.arg("--keep").arg(journal_dir(root)).stdin(Stdio::piped());
        let log = fs::File::create(log_path(root, name)).expect("a log");
        let keeper = Process::spawn(name, command.stdout(log));
        wait_for_log(root, name, "acquired\n");
        keeper
    }

    /// A process that appends what it is told.
    fn writer(&self, root: &Path, name: &str) -> Process {
        let mut command = self.program("storm.py");
        command.arg(journal_dir(root)).arg(name).stdin(Stdio::piped());
        let log = fs::File::create(log_path(root, name)).expect("a log");
        Process::spawn(name, command.stdout(log))
    }
}

// --------------------------------------------------------------------------------------------------------- trials

/// A storm of its holders beside the library's.
fn holders_overlap(second: &Second) -> Option<String> {
    let scene = Scene::new();
    let (peers, library) = (names("wrong", 3), names("library", 2));
    let mut holders: Vec<Process> = peers.iter().map(|name| second.holder(&scene, name, 400)).collect();
    let job = Job::Hold {
        count: 400,
        locked: true,
    };
    for name in &library {
        // They print an error when they are robbed.
        let mut command = worker::command(job, &scene, name);
        holders.push(Process::spawn(name, command.stderr(Stdio::null())));
    }
    let failed = holders
        .into_iter()
        .map(Process::wait)
        .filter(|ended| !ended.success())
        .count();
    let seen = Exclusion::judge(&scene, &[peers, library].concat());
    let is_well = seen.clashes == 0 && seen.overlaps == 0 && seen.uncounted == 0 && failed == 0;
    (!is_well).then(|| format!("{seen:?}, {failed} failed"))
}

/// The library replaces the journal between two appends.
fn acknowledged_entries_are_lost(second: &Second) -> Option<String> {
    let scene = Scene::new();
    let log = |count: usize| wait_until_it_has_acknowledged(&scene, "wrong", count);
    let mut writer = second.writer(&scene, "wrong");
    writer.tell("1.rs");
    log(1);
    let library = Lock::open(journal_dir(&scene)).expect("the lock opens");
    library.journal().write_header(5).expect("a header of its own");
    writer.tell("2.rs");
    log(2);
    writer.close_input();
    writer.expect_success();
    let snapshot = library.journal().read().expect("a journal");
    let stands = snapshot.changed().any(|path| path == b"wrong/2.rs");
    (!stands).then(|| "an entry is lost".to_owned())
}

/// Somebody holds, and another peer comes.
fn a_long_hold_is_broken(second: &Second) -> Option<String> {
    let scene = Scene::new();
    let mut keeper = second.keeper(&scene, "keeper");
    let options = Options::new().timeout(Duration::from_secs(3));
    let library = options.open(journal_dir(&scene)).expect("the lock opens");
    let acquired = library.acquire().map(drop);
    keeper.close_input();
    let ended = keeper.wait();
    match acquired {
        Ok(()) => Some("another acquires the lock that it holds".to_owned()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
            (!ended.success()).then(|| ended.to_string())
        }
    }
}

/// A shipped peer renames its lock over one that it thought was stale, and then the holder releases.
fn a_thiefs_lock_is_removed(second: &Second) -> Option<String> {
    let scene = Scene::new();
    let mut keeper = second.keeper(&scene, "keeper");
    let (own, lock) = (scene.join("own"), journal_dir(&scene).join("changes.journal.lock"));
    let pid = std::process::id();
    let stamp = format!("{pid}\n{pid}-0123456789abcdef\n");
    fs::write(&own, &stamp).expect("a private file");
    fs::rename(&own, &lock).expect("a theft");
    keeper.close_input();
    keeper.wait();
    let stands = fs::read_to_string(&lock).is_ok_and(|content| content == stamp);
    (!stands).then(|| "it removes the thief's lock".to_owned())
}

/// A library peer was killed in the middle of an append that it had noted in its lock.
fn a_killed_append_stays(second: &Second) -> Option<String> {
    let scene = Scene::new();
    let dir = journal_dir(&scene);
    let (journal, lock) = (dir.join("changes.journal"), dir.join("changes.journal.lock"));
    let whole = fs::read_to_string(&journal).expect("a journal");
    fs::write(&journal, format!("{whole}half/a/li")).expect("a journal");
    let inode = fs::metadata(&journal).expect("a journal").ino();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot id");
    let stamp = format!(
        "4194304\n4194304-0123456789abcdef\njlock/1 since=0000000000000 boot={}\nappend={inode}:{}:{}\n",
        boot.trim(),
        whole.len(),
        whole.len() + 100
    );
    fs::write(&lock, stamp).expect("a dead holder's lock");
    let mut writer = second.writer(&scene, "wrong");
    writer.tell("1.rs");
    writer.close_input();
    let ended = writer.wait();
    let content = fs::read_to_string(&journal).expect("a journal");
    let is_well = content == format!("{whole}wrong/1.rs\n") && ended.success();
    (!is_well).then(|| format!("the journal has half a line: {content:?}, {ended}"))
}

fn wait_until_it_has_acknowledged(root: &Path, name: &str, count: usize) {
    wait_until(&format!("{name} has appended {count}"), || {
        acknowledged(root, name).len() == count
    });
}

// ---------------------------------------------------------------------------------------------------------- tests

#[test]
fn the_test_vectors_catch_wrong_implementations() {
    let _alone = Scene::new(); // so that other storms do not disturb their settles
    let root = Scratch::new("wrong");
    std::thread::scope(|threads| {
        for (number, wrong) in WRONG.iter().enumerate() {
            let By::Vector(vector) = wrong.by else { continue };
            let second = Second::new(root.path(), number);
            second.misread(wrong);
            threads.spawn(move || {
                let failures = second.failures();
                let caught = failures.lines().any(|line| line.starts_with(&format!("{vector}: ")));
                assert!(
                    caught,
                    "{}: {vector:?} is kept; these are not:\n{failures}",
                    wrong.misread
                );
                say(&format!(
                    "{}: \"{}\": caught by {vector:?}",
                    wrong.section, wrong.misread
                ));
            });
        }
    });
}

#[test]
fn storms_and_scenes_catch_wrong_implementations_and_no_right_one() {
    let root = Scratch::new("wrong");
    for (number, wrong) in WRONG.iter().enumerate() {
        let By::Trial(trial) = wrong.by else { continue };
        let second = Second::new(root.path(), number);
        assert_eq!(trial(&second), None, "as it is");
        second.misread(wrong);
        let caught = trial(&second);
        let how = caught.unwrap_or_else(|| panic!("{}: it was not noticed", wrong.misread));
        say(&format!("{}: \"{}\": caught, {how}", wrong.section, wrong.misread));
    }
}

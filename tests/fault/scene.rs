//! What is in the directory before an operation, and what may be in the journal after it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::trace::Program;

const OLD: &str = "# codegraph-journal v1 1700000000000\nold/a\nDELETED old/b\n";
/// The header that op.c stamps with.
const STAMPED: &str = "# codegraph-journal v1 1700000000001\n";

/// What the journal contains; `None` if there is no journal.
pub type Content = Option<Vec<u8>>;

pub struct Scene {
    pub name: &'static str,
    /// Its name in op.c.
    pub operation: &'static str,
    pub lock: Lock,
    /// The journal as the program finds it.
    pub initial: Content,
    /// The journal as the operation finds it.
    pub before: Content,
    pub after: Content,
    /// What else a kill may leave: the journal between two steps, which loses nothing either.
    pub between: Vec<Content>,
}

/// What has the lock's name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Nothing, and the directory is missing too.
    NoDirectory,
    Free,
    /// Nothing but a private file of a dead peer.
    Leftover,
    /// A living peer's lock, which is released after a moment.
    Held,
    LibraryCorpse,
    ShippedCorpse,
    /// Empty for longer than any peer takes to stamp it.
    Empty,
    /// Another program's file, which we must not write into, and which is older than the stale time.
    Foreign,
}

impl Lock {
    pub fn set(self, dir: &Path, program: &Program) {
        let lock = dir.join("changes.journal.lock");
        match self {
            Lock::NoDirectory | Lock::Free | Lock::Held => {}
            Lock::LibraryCorpse => program.leave_a_corpse(dir),
            Lock::Leftover => {
                program.leave_a_corpse(dir);
                fs::remove_file(lock).expect("a corpse has a lock");
            }
            Lock::ShippedCorpse => {
                let pid = dead_pid();
                fs::write(lock, format!("{pid}\n{pid}-0123456789abcdef\n")).expect("a lock");
            }
            Lock::Empty => {
                fs::write(&lock, "").expect("a lock");
                age(&lock, Duration::from_secs(20));
            }
            Lock::Foreign => {
                fs::write(&lock, "no stamp\n").expect("a lock");
                age(&lock, Duration::from_secs(40));
            }
        }
    }
}

/// The PID of a process that has been reaped.
fn dead_pid() -> u32 {
    let mut child = Command::new("true").spawn().expect("true");
    child.wait().expect("true ends");
    child.id()
}

pub fn age(path: &Path, by: Duration) {
    let file = fs::File::open(path).expect("a file to age");
    file.set_modified(SystemTime::now() - by)
        .expect("a file's time can be set");
}

/// Every operation, in every situation that makes it take another path.
pub fn all() -> Vec<Scene> {
    let old = || content(OLD);
    let used = || content(&format!("{OLD}before\n"));
    let with_new = || content(&format!("{OLD}new\n"));
    let untouched = |name, operation, lock| scene(name, operation, lock, old(), old());
    let append = |name, operation| scene(name, operation, Lock::Free, old(), with_new());
    vec![
        scene("open, no directory", "open", Lock::NoDirectory, None, None),
        untouched("open, a dead peer's file", "open", Lock::Leftover),
        untouched("acquire", "acquire", Lock::Free),
        untouched("acquire, contended", "acquire", Lock::Held),
        untouched("claim, library corpse", "acquire", Lock::LibraryCorpse),
        untouched("claim, shipped corpse", "acquire", Lock::ShippedCorpse),
        untouched("claim, empty", "acquire", Lock::Empty),
        untouched("claim by exchange", "acquire", Lock::Foreign),
        untouched("refresh", "refresh", Lock::Free),
        untouched("release", "release", Lock::Free),
        append("append", "append"),
        Scene {
            initial: old(),
            ..scene(
                "append again",
                "append-again",
                Lock::Free,
                used(),
                content(&format!("{OLD}before\nnew\n")),
            )
        },
        append("append under a hold", "append-held"),
        append("append, synced", "append-sync"),
        Scene {
            between: vec![content("")],
            ..scene(
                "append, no journal",
                "append",
                Lock::Free,
                None,
                content("# codegraph-journal v1 0\nnew\n"),
            )
        },
        scene(
            "append, torn tail",
            "append",
            Lock::Free,
            content(&format!("{OLD}torn")),
            content(&format!("{OLD}torn\nnew\n")),
        ),
        Scene {
            between: vec![with_new()],
            ..scene(
                "stamp in place",
                "stamp",
                Lock::Free,
                old(),
                stamped("old/a\nDELETED old/b\nnew\n"),
            )
        },
        scene(
            "stamp by rewrite",
            "stamp",
            Lock::Free,
            content("# codegraph-journal v1 999\nold/a\n"),
            stamped("old/a\nnew\n"),
        ),
        scene("header", "header", Lock::Free, old(), stamped("")),
        Scene {
            initial: old(),
            ..scene(
                "checkpoint",
                "checkpoint",
                Lock::Free,
                content(&format!("{OLD}late\n")),
                stamped("late\n"),
            )
        },
        untouched("read", "read", Lock::Free),
        untouched("inspect", "inspect", Lock::Free),
        untouched("wait for a turn", "wait-fd", Lock::Free),
        Scene {
            initial: old(),
            ..scene("close", "close", Lock::Free, used(), used())
        },
        untouched("close under a hold", "close-held", Lock::Free),
    ]
}

fn scene(name: &'static str, operation: &'static str, lock: Lock, before: Content, after: Content) -> Scene {
    Scene {
        name,
        operation,
        lock,
        initial: before.clone(),
        before,
        after,
        between: Vec::new(),
    }
}

fn content(text: &str) -> Content {
    Some(text.as_bytes().to_vec())
}

fn stamped(entries: &str) -> Content {
    content(&format!("{STAMPED}{entries}"))
}

/// The journal after one more append.
pub fn with_entry(content: &Content, entry: &str) -> Content {
    let mut bytes = content.clone().unwrap_or_default();
    if bytes.is_empty() {
        bytes.extend_from_slice(b"# codegraph-journal v1 0\n");
    }
    if !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(entry.as_bytes());
    bytes.push(b'\n');
    Some(bytes)
}

pub fn read(path: &Path) -> Content {
    match fs::read(path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

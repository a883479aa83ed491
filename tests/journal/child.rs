//! This test program again, as a separate process: with limits, as another user, in a control group.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use jlock::{Entry, Lock};

/// What a child does in its directory: `append`, `append much`, `stamp`, `header`, `read`, or a `checkpoint` of what it has
/// just read.
pub fn child(dir: &Path, what: &str) -> Command {
    as_child(Command::new(std::env::current_exe().unwrap()), dir, what)
}

/// The same, with this program or a copy of it.
pub fn as_child(mut command: Command, dir: &Path, what: &str) -> Command {
    command.args(["--exact", "child::does_as_it_is_told", "--ignored", "--nocapture"]);
    command.env("JLOCK_CHILD_DIR", dir).env("JLOCK_CHILD_DOES", what);
    command
}

/// The child's error code, or 0, and the message. A child that is ended by a signal is a failure.
pub fn run(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.signal(), None, "{output:?}");
    let told = text.lines().find_map(|line| line.split_once("it says "));
    let (_, told) = told.unwrap_or_else(|| panic!("{output:?}"));
    let (code, message) = told.split_once(' ').unwrap();
    (code.parse().unwrap(), message.to_owned())
}

#[test]
#[ignore = "what the other tests start"]
fn does_as_it_is_told() {
    let dir = std::env::var_os("JLOCK_CHILD_DIR").expect("it is told");
    let told = act(Path::new(&dir)).map_or_else(
        |error| (error.code(), error.message().to_owned()),
        |()| (0, String::new()),
    );
    println!("\nit says {} {}", told.0, told.1);
}

fn act(dir: &Path) -> jlock::Result<()> {
    let lock = Lock::open(dir)?;
    let journal = lock.journal();
    let entry = [Entry::changed("thirty/bytes/of/a/path/name.rs")];
    match std::env::var("JLOCK_CHILD_DOES").expect("it is told").as_str() {
        "append" => journal.append(entry),
        "append much" => {
            let path = vec![b'a'; 80 << 20]; // more than any heap that the C library may have reserved for this thread
            take_no_more_memory();
            journal.append([Entry::changed(&path)])
        }
        "stamp" => journal.append_stamped(entry, 1_800_000_000_000),
        "stamp with another digit" => journal.append_stamped(entry, 18_000_000_000_000),
        "header" => journal.write_header(1),
        "read" => journal.read().map(drop),
        "checkpoint" => {
            let snapshot = journal.read()?;
            journal.append(entry)?;
            assert!(journal.checkpoint(&snapshot, 1)?);
            Ok(())
        }
        what => panic!("{what}"),
    }
}

/// From now on, this process gets a megabyte or so, and no more.
fn take_no_more_memory() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let size: u64 = size.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    let limit = rustix::process::Rlimit {
        current: Some((size + 1024) << 10),
        maximum: None,
    };
    rustix::process::setrlimit(rustix::process::Resource::As, limit).unwrap();
}

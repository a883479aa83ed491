//! Limits on file sizes and memory.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use jlock::Entry;

use crate::child::{child, run};
use crate::scratch::{HEADER, Scratch, append_raw};
use crate::tried::not_tried;

/// The command with such a limit from its start.
fn limited(mut command: Command, resource: u32, limit: u64) -> Command {
    let limit = libc::rlimit64 {
        rlim_cur: limit,
        rlim_max: limit,
    };
    // SAFETY: setrlimit is async-signal-safe.
    unsafe {
        command.pre_exec(move || match libc::setrlimit64(resource, &limit) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        })
    };
    command
}

#[test]
fn a_file_that_may_not_grow_so_far_is_an_error_and_no_signal() {
    let entries = "path/of/a/file\n".repeat(64); // 997 bytes with the header
    for (limit, all) in [
        (1024, &["append", "stamp", "stamp with another digit"][..]),
        (700, &["append", "stamp"]),
    ] {
        for what in all {
            let scratch = Scratch::with(&entries);
            let told = run(&mut limited(child(&scratch.0, what), libc::RLIMIT_FSIZE, limit));
            assert_eq!(told.0, -libc::EFBIG, "{what}: {told:?}");
            assert_eq!(scratch.entries(), entries, "{what}");
            assert!(scratch.content().starts_with(HEADER), "{what}");
        }
    }
    for (what, size) in [("append", 1028), ("stamp with another digit", 1029)] {
        let scratch = Scratch::with(&entries);
        let told = run(&mut limited(child(&scratch.0, what), libc::RLIMIT_FSIZE, size));
        assert_eq!((told.0, scratch.content().len() as u64), (0, size), "{what}: {told:?}");
    }
}

#[test]
fn a_journal_beyond_the_address_space_is_an_error() {
    let scratch = Scratch::with("a\n");
    let journal = File::options().write(true).open(scratch.journal()).unwrap();
    journal.set_len(4 << 30).unwrap(); // takes no space
    let told = run(&mut limited(child(&scratch.0, "read"), libc::RLIMIT_AS, 2 << 30));
    assert_eq!(told.0, -libc::ENOMEM, "{told:?}");
}

#[test]
fn an_entry_for_which_there_is_no_memory_is_an_error() {
    let scratch = Scratch::with("a\n");
    let told = run(&mut child(&scratch.0, "append much"));
    assert_eq!(told.0, -libc::ENOMEM, "{told:?}");
    assert_eq!(scratch.entries(), "a\n");
}

/// A control group with this much memory, below that of this process.
struct Group(PathBuf);

impl Group {
    /// `None` if a control group cannot be made here; only root can.
    fn new(bytes: u64) -> Option<Group> {
        let mine = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = |line: &str| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (root, limit) = match parts.next()? {
                "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                "" => ("/sys/fs/cgroup", "memory.max"),
                _ => return None,
            };
            let path = format!(
                "{root}{}/jlock-{}",
                parts.next()?.trim_end_matches('/'),
                std::process::id()
            );
            fs::create_dir(&path).ok()?;
            let group = Group(path.into());
            fs::write(group.0.join(limit), bytes.to_string()).ok()?;
            Some(group)
        };
        mine.lines().find_map(own)
    }

    fn inside(&self, command: &Command) -> Command {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""])
            .arg(&self.0);
        shell.arg(command.get_program()).args(command.get_args());
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The kernel may not be finished with the processes that were in it.
        while fs::remove_dir(&self.0).is_err_and(|error| error.kind() == std::io::ErrorKind::ResourceBusy) {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_journal_beyond_the_memory_is_rewritten_and_not_read() {
    let Some(group) = Group::new(48 << 20) else {
        return not_tried("it needs root, and control groups for memory");
    };
    // A file in memory counts as memory of the group, so that the kernel would kill whoever writes it.
    const TMPFS_MAGIC: i64 = 0x0102_1994;
    let scratch = Scratch::among_what_is_built();
    let kind = rustix::fs::statfs(&scratch.0).unwrap().f_type;
    assert_ne!(
        kind as i64, TMPFS_MAGIC,
        "set CARGO_TARGET_DIR to a directory that is not in memory"
    );
    fs::write(scratch.journal(), format!("{HEADER}a\n")).unwrap();
    let lines = "a/path/of/some/length/that/is/as/good/as/any.rs\n".repeat(20_000);
    {
        let mut journal = File::options().append(true).open(scratch.journal()).unwrap();
        (0..160).for_each(|_| journal.write_all(lines.as_bytes()).unwrap());
    }
    let size = || fs::metadata(scratch.journal()).unwrap().len();
    let before = size();
    assert!(before > 3 * (48 << 20));
    assert_eq!(
        run(&mut group.inside(&child(&scratch.0, "stamp with another digit"))).0,
        0
    );
    assert_eq!(size(), before + 32);
    let told = run(&mut group.inside(&child(&scratch.0, "read")));
    assert_eq!(told.0, -libc::ENOMEM, "{told:?}");
    assert_eq!(run(&mut group.inside(&child(&scratch.0, "header"))).0, 0);
    assert_eq!(scratch.entries(), "");
}

#[test]
fn a_checkpoint_of_a_journal_that_has_grown_beyond_the_memory_keeps_what_came() {
    // Nothing is limited here: the test checks that the streamed copy is exact over many pieces.
    let scratch = Scratch::with("seen\n");
    let lock = scratch.open();
    let snapshot = lock.journal().read().unwrap();
    let lines: String = (0..100_000).map(|number| format!("a/path/number/{number}\n")).collect();
    append_raw(&scratch.journal(), &lines);
    assert!(lock.journal().checkpoint(&snapshot, 1).unwrap());
    assert!(scratch.entries() == lines);
    lock.journal().append_stamped([Entry::changed("new")], 1000).unwrap();
    assert!(scratch.entries() == format!("{lines}new\n"));
}

/// Somebody must have lengthened the journal by mistake, since a power cut does not leave this much.
#[test]
fn a_tail_of_nul_bytes_that_takes_too_long_to_look_through_is_an_error() {
    let scratch = Scratch::with("a\n");
    let journal = File::options().write(true).open(scratch.journal()).unwrap();
    let long = 2 << 30;
    journal.set_len(long).unwrap(); // takes no space
    let lock = scratch.open();
    let append = || lock.journal().append([Entry::changed("b")]);
    let error = append().unwrap_err();
    assert_eq!(error.code(), -libc::EFBIG, "{error}");
    assert!(error.message().contains("NUL"), "{error}");
    assert_eq!(fs::metadata(scratch.journal()).unwrap().len(), long, "nothing was done");
    assert!(!scratch.lock().exists());
    lock.journal().write_header(1_700_000_000_001).unwrap();
    append().unwrap();
    assert_eq!(scratch.entries(), "b\n");
}

//! What opening a journal, and parking a stamp beside it, does with names: with the journal's own, and with those of other files,
//! which a sweep may remove only if they are a dead peer's.
//!
//! In the input, the bytes 1 and 4 stand for a PID that is nobody's and for this process's.
#![no_main]

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use jlock_fuzz::c::{jlock_close, jlock_open_at};
use jlock_fuzz::{directory, process, split};
use libfuzzer_sys::fuzz_target;

struct Scene {
    path: PathBuf,
    dir: File,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let path = directory();
    let dir = File::open(&path).expect("a directory");
    Scene { path, dir }
});

const LOCK: &[u8] = b"changes.journal.lock";
/// A number above those that Linux uses.
const NOBODY: &[u8] = b"4194305";

fuzz_target!(|data: &[u8]| {
    let (how, template) = split(data);
    let name: Vec<u8> = expand(template).into_iter().filter(|b| *b != 0).collect();
    match how & 0x70 {
        0 => journal_name(&name),
        0x10 => sweep(&name, how),
        _ => sweep(&[LOCK, b".", &name].concat(), how),
    }
});

fn expand(template: &[u8]) -> Vec<u8> {
    let me = std::process::id().to_string();
    let expand = |byte: &u8| match byte {
        1 => NOBODY.to_vec(),
        4 => me.as_bytes().to_vec(),
        other => vec![*other],
    };
    template.iter().flat_map(expand).collect()
}

fn open(name: &[u8]) -> i32 {
    let name = CString::new(name).expect("without a NUL");
    let mut handle = ptr::null_mut();
    // SAFETY: an open directory, a string, the defaults, and a place for the handle, which is then closed.
    unsafe {
        let rc = jlock_open_at(SCENE.dir.as_raw_fd(), name.as_ptr(), ptr::null(), 0, &mut handle);
        assert_eq!(rc == 0, !handle.is_null());
        assert_eq!(jlock_close(handle), 0);
        rc
    }
}

/// Parking a stamp sweeps, once a second in one directory.
fn park(dir: &Path) {
    let dir = File::open(dir).expect("a directory");
    let lock = jlock::Options::new().open_at(dir, "changes.journal");
    drop(lock.expect("it opens").try_acquire().expect("nobody holds it"));
}

fn journal_name(name: &[u8]) {
    let is_name = !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/') && !is_of_a_lock(name);
    let expected = match (is_name, name.len()) {
        (false, _) => -libc::EINVAL,
        // The longest name is a stamp's: NAME.lock.4194304567-0123456789abcdef.tmp
        (true, length) if length + ".lock.4194304567-0123456789abcdef.tmp".len() > 255 => -libc::ENAMETOOLONG,
        (true, _) => 0,
    };
    assert_eq!(open(name), expected, "{}", name.escape_ascii());
}

/// Whether the sweep of another journal, or its release, could remove a journal of this name.
fn is_of_a_lock(name: &[u8]) -> bool {
    let has_private_name = name.ends_with(b".tmp") && name.windows(6).any(|part| part == b".lock.");
    has_private_name || name.ends_with(b".lock") || name.ends_with(b".lock.line")
}

const CONTENTS: [&[u8]; 8] = [
    b"",
    b"1\n1-0123456789abcdef\n",
    b"4194305\n4194305-0123456789abcdef\njlock/1 boot= pidns=0 start=0 host=\n",
    b"1\n1-0123456789abcdef\njlock/1 boot= pidns=0 start=0 host= flock=none\n",
    b"# codegraph-journal v1 1700000000000\na\n",
    b"# codegraph-journal v1",
    b"somebody's notes\n",
    b"4194305\n",
];
/// The contents that only a library peer writes, and only under its flock.
const OF_LIBRARY: [usize; 3] = [2, 4, 5];

fn sweep(name: &[u8], how: u8) {
    if matches!(name, b"" | b"." | b"..") || name.contains(&b'/') || name.len() > 255 || name == LOCK {
        return;
    }
    let (content, old) = (usize::from(how & 7), how & 8 != 0);
    let dir = SCENE.path.join("swept");
    std::fs::create_dir(&dir).expect("a new directory");
    let path = dir.join(OsStr::from_bytes(name));
    let mut file = File::create(&path).expect("a file");
    file.write_all(CONTENTS[content]).expect("written");
    if old {
        file.set_modified(SystemTime::now() - Duration::from_secs(31))
            .expect("aged");
    }
    drop(file);

    let due = || {
        is_private(name)
            && (old || OF_LIBRARY.contains(&content) || owner(name).is_some_and(|pid| !process::lives(pid)))
    };
    let before = due();
    park(&dir);
    let removed = !path.exists();
    std::fs::remove_dir_all(&dir).expect("it can be removed");
    // Any PID may belong to a process, which may begin or end between two looks.
    assert!(
        removed == before || before != due(),
        "{}: removed: {removed}",
        name.escape_ascii()
    );
}

/// `changes.journal.lock.*.tmp`, as the shipped peer understands it.
fn is_private(name: &[u8]) -> bool {
    name.starts_with(b"changes.journal.lock.")
        && name.ends_with(b".tmp")
        && name.len() > "changes.journal.lock.tmp".len()
}

/// The number before the first `-`.
fn owner(name: &[u8]) -> Option<i32> {
    let rest = std::str::from_utf8(name.strip_prefix(LOCK)?.strip_prefix(b".")?).ok()?;
    let (pid, _) = rest.split_once('-')?;
    let digits = pid.strip_prefix('+').unwrap_or(pid);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

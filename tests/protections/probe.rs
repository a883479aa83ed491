//! What a directory can promise is tried: what each answer of the system means.

use std::fs::{self, File};
use std::path::PathBuf;

use jlock::seam::Verdict;
use jlock::{Place, Result};
use rustix::fs::FlockOperation;

use crate::scene::{At, Dir, Scratch, at_real_time, once, open_file_at};

/// Probes an empty directory, where this happens. It stays empty.
fn probe(act: impl FnMut(At) -> Verdict + 'static) -> Result<Place> {
    probe_in(&Scratch::new(), act)
}

fn probe_in(scratch: &Scratch, act: impl FnMut(At) -> Verdict + 'static) -> Result<Place> {
    let probed = at_real_time(act, || Place::probe(&scratch.0));
    assert_eq!(scratch.private_files(), [] as [PathBuf; 0]);
    probed
}

/// Probes where this call fails each time.
fn probe_without(call: &'static str, errno: i32) -> Result<Place> {
    probe(move |at| match at == At::Before(call) {
        true => Verdict::Fail(errno),
        false => Verdict::Proceed,
    })
}

/// What it says that is missing, in a word each.
fn missing(place: &Place) -> Vec<&'static str> {
    let all = [
        (place.without_link, "link"),
        (place.without_flock, "flock"),
        (place.without_lease, "lease"),
        (place.without_inotify, "inotify"),
        (place.without_noreplace, "noreplace"),
    ];
    all.iter()
        .filter(|(missing, _)| *missing)
        .map(|(_, word)| *word)
        .collect()
}

#[test]
fn what_the_system_does_not_have_is_missing_and_nothing_else() {
    assert_eq!(missing(&probe(|_| Verdict::Proceed).unwrap()), [] as [&str; 0]);
    for (call, errno, word) in [
        ("linkat", libc::EPERM, "link"),
        ("flock", libc::EOPNOTSUPP, "flock"),
        ("fcntl", libc::EINVAL, "lease"),
        ("inotify_init1", libc::ENOSYS, "inotify"),
        ("inotify_add_watch", libc::ENOSPC, "inotify"),
        ("ppoll", libc::EIO, "inotify"),
        ("renameat2", libc::EINVAL, "noreplace"),
    ] {
        assert_eq!(missing(&probe_without(call, errno).unwrap()), [word], "{call}");
    }
}

#[test]
fn any_other_failure_is_an_error() {
    for call in ["linkat", "flock", "newfstatat"] {
        assert_eq!(probe_without(call, libc::EIO).unwrap_err().code(), -libc::EIO, "{call}");
    }
}

#[test]
fn a_sync_that_fails_promises_nothing() {
    let place = probe(|_| Verdict::Proceed).unwrap();
    let is_on_disk = ["ext4", "xfs", "btrfs"].contains(&place.file_system.as_str());
    assert!(place.durable || !is_on_disk, "{place:?}");
    for call in ["fdatasync", "fsync"] {
        assert!(!probe_without(call, libc::EIO).unwrap().durable, "{call}");
    }
}

#[test]
fn a_file_that_cannot_be_read_under_a_flock_is_said() {
    let place = probe_without("pread64", libc::EACCES).unwrap();
    assert!(!place.processes_of_mount);
    assert!(
        place.reason.contains("Nobody can read a file with a flock"),
        "{}",
        place.reason
    );
}

/// Setting the time is a change, too.
#[test]
fn inotify_is_found_where_nothing_is_exclusive() {
    let lacks = |at| match at {
        At::Before("linkat") => Verdict::Fail(libc::EPERM),
        At::Before("renameat2") => Verdict::Fail(libc::EINVAL),
        _ => Verdict::Proceed,
    };
    assert_eq!(missing(&probe(lacks).unwrap()), ["link", "noreplace"]);
}

/// Probes where this is done with the trial's file before the call of this name that follows `others` calls of the other name.
fn with_file(
    (other, others): (&'static str, usize),
    call: &'static str,
    act: impl FnOnce(&Dir, PathBuf) + 'static,
) -> Result<Place> {
    let scratch = Scratch::new();
    let (dir, mut made, mut act) = (scratch.dir(), 0, Some(act));
    probe_in(&scratch, move |at| {
        if made == others && at == At::Before(call) {
            if let Some(act) = act.take() {
                act(&dir, dir.private_files()[0].clone());
            }
        }
        made += usize::from(at == At::Before(other));
        Verdict::Proceed
    })
}

#[test]
fn a_flock_that_keeps_nobody_out_is_none() {
    // Before the file is opened a second time.
    let place = with_file(("flock", 1), "openat", |_, file| {
        rustix::fs::flock(open_file_at(&file), FlockOperation::Unlock).unwrap();
    });
    assert_eq!(missing(&place.unwrap()), ["flock"]);
}

/// Somebody's sweep, for example.
#[test]
fn a_flock_that_somebody_has_is_one() {
    let theirs = std::rc::Rc::new(std::cell::Cell::new(None));
    let keep = std::rc::Rc::clone(&theirs);
    let place = with_file(("flock", 0), "flock", move |_, file| {
        let file = File::open(file).unwrap();
        rustix::fs::flock(&file, FlockOperation::LockShared).unwrap();
        keep.set(Some(file));
    });
    assert_eq!(missing(&place.unwrap()), [] as [&str; 0]);
    assert!(theirs.take().is_some());
}

/// Neither name shows the file that was made.
#[test]
fn a_link_that_shows_another_file_is_none() {
    let place = with_file(("linkat", 1), "newfstatat", |dir, _| {
        for path in dir.private_files() {
            let content = fs::read_to_string(&path).unwrap();
            dir.replace(&path, &content);
        }
    });
    assert_eq!(missing(&place.unwrap()), ["link", "noreplace"]);
}

/// Neither one that replaces, nor one that is refused where there is nothing, nor one that does nothing.
#[test]
fn a_rename_that_does_what_it_must_not_is_not_exclusive() {
    let replaces = once(At::Before("renameat2"), 1, || Verdict::Fail(libc::EIO));
    let refused = once(At::Before("renameat2"), 2, || Verdict::Fail(libc::EEXIST));
    for place in [probe(replaces), probe(refused)] {
        assert_eq!(missing(&place.unwrap()), ["noreplace"]);
    }
    let does_nothing = with_file(("renameat2", 2), "newfstatat", |dir, file| {
        fs::rename(file, dir.0.join("moved")).unwrap();
    });
    assert_eq!(missing(&does_nothing.unwrap()), ["noreplace"]);
}

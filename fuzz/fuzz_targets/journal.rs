//! Whatever is in the journal, the library reads it as the shipped reader does.
#![no_main]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::ptr;
use std::sync::LazyLock;

use jlock::abi::{JLOCK_CHANGED, JLOCK_DELETED, JLOCK_EHEADER, JLOCK_EUNSTAMPED};
use jlock_fuzz::c::{
    Handle, Snapshot, jlock_read, jlock_snapshot_count, jlock_snapshot_entry, jlock_snapshot_free,
    jlock_snapshot_timestamp, no_entry, open,
};
use jlock_fuzz::directory;
use jlock_fuzz::journal::{Reading, distinct, read};
use libfuzzer_sys::fuzz_target;

struct Scene {
    handle: *mut Handle,
    journal: File,
}

// SAFETY: a handle may be used by any thread.
unsafe impl Send for Scene {}
// SAFETY: at the same time, too.
unsafe impl Sync for Scene {}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let dir = directory();
    Scene {
        handle: open(&dir),
        journal: File::create(dir.join("changes.journal")).expect("a journal"),
    }
});

fuzz_target!(|content: &[u8]| {
    let journal = &SCENE.journal;
    journal.set_len(0).expect("emptied");
    journal.write_all_at(content, 0).expect("written");
    let seen = library_read(SCENE.handle);
    let expected = read(content);
    assert!(
        seen == expected,
        "{}: {seen:?}, not {expected:?}",
        content.escape_ascii()
    );
});

fn library_read(handle: *mut Handle) -> Option<Reading> {
    let mut snapshot = ptr::null_mut();
    // SAFETY: an open handle, and a place for the snapshot.
    match unsafe { jlock_read(handle, &mut snapshot) } {
        0 => {}
        JLOCK_EHEADER | JLOCK_EUNSTAMPED if snapshot.is_null() => return None,
        rc => panic!("{rc}"),
    }
    // SAFETY: a snapshot, freed once.
    unsafe {
        let reading = Reading {
            timestamp: jlock_snapshot_timestamp(snapshot),
            changed: paths(snapshot, JLOCK_CHANGED),
            removed: paths(snapshot, JLOCK_DELETED),
        };
        jlock_snapshot_free(snapshot);
        Some(reading)
    }
}

/// The paths of one kind. JavaScript replaces what is not UTF-8, and so does this; then some may be the same.
unsafe fn paths(snapshot: *const Snapshot, kind: u32) -> Vec<String> {
    let path = |index| {
        let mut entry = no_entry();
        // SAFETY: a snapshot and an entry; the entry has as many bytes as it says, and then a NUL.
        let bytes = unsafe {
            assert_eq!(jlock_snapshot_entry(snapshot, kind, index, &mut entry), 0);
            assert_eq!(entry.path.add(entry.path_len).read(), 0);
            std::slice::from_raw_parts(entry.path.cast(), entry.path_len)
        };
        String::from_utf8_lossy(bytes).into_owned()
    };
    // SAFETY: a snapshot.
    let count = unsafe { jlock_snapshot_count(snapshot, kind) };
    distinct((0..count).map(path).collect())
}

//! The functions of `jlock.h`.

use std::ffi::{CString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use jlock as _; // links them
use jlock::abi::{jlock_entry, jlock_holder, jlock_options};

#[repr(C)]
pub struct Handle {
    _opaque: [u8; 0],
}

#[repr(C)]
pub struct Snapshot {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    pub fn jlock_open(dir: *const c_char, options: *const jlock_options, size: usize, out: *mut *mut Handle) -> c_int;
    pub fn jlock_open_at(
        dirfd: c_int,
        journal: *const c_char,
        options: *const jlock_options,
        size: usize,
        out: *mut *mut Handle,
    ) -> c_int;
    pub fn jlock_close(lock: *mut Handle) -> c_int;
    pub fn jlock_acquire(lock: *mut Handle) -> c_int;
    pub fn jlock_inspect(lock: *mut Handle, out: *mut jlock_holder, size: usize) -> c_int;
    pub fn jlock_message(lock: *mut Handle, buf: *mut c_char, size: usize) -> c_int;
    pub fn jlock_append(lock: *mut Handle, entries: *const jlock_entry, count: usize) -> c_int;
    pub fn jlock_read(lock: *mut Handle, out: *mut *mut Snapshot) -> c_int;
    pub fn jlock_snapshot_timestamp(snapshot: *const Snapshot) -> f64;
    pub fn jlock_snapshot_count(snapshot: *const Snapshot, kind: u32) -> usize;
    pub fn jlock_snapshot_entry(snapshot: *const Snapshot, kind: u32, index: usize, out: *mut jlock_entry) -> c_int;
    pub fn jlock_snapshot_free(snapshot: *mut Snapshot);
}

/// A handle that lives as long as the process.
pub fn open(dir: &Path) -> *mut Handle {
    let dir = CString::new(dir.as_os_str().as_bytes()).expect("no NUL");
    let mut handle = ptr::null_mut();
    // SAFETY: a string, the defaults, and a place for the handle.
    assert_eq!(unsafe { jlock_open(dir.as_ptr(), ptr::null(), 0, &mut handle) }, 0);
    handle
}

pub fn no_entry() -> jlock_entry {
    jlock_entry {
        path: ptr::null(),
        path_len: 0,
        kind: 0,
        reserved: 0,
    }
}

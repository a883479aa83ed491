//! Opening and closing, and what went wrong.

use std::ffi::{CStr, c_char, c_int};

use super::guard::{contain, invalid, jlock, read_sized, with_message};
use crate::abi::jlock_options;
use crate::error::{self, Error, Result};
use crate::lock::Lock;
use crate::options::Options;
use crate::sys;

/// The size of the first version's options.
const OPTIONS_SIZE: usize = 24;

/// Sets the size and the defaults: flags 0, timeout_ms 5000, retry_ms 25, stale_ms 30000, settle_ms 100.
///
/// Thread-safe. NULL is ignored.
///
/// # Safety
/// `options` is NULL or points to a writable struct jlock_options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_options_init(options: *mut jlock_options) {
    let defaults = jlock_options {
        size: size_of::<jlock_options>() as u32,
        flags: 0,
        timeout_ms: 5000,
        retry_ms: 25,
        stale_ms: 30_000,
        settle_ms: 100,
    };
    if !options.is_null() {
        // SAFETY: as the caller promises; it may be unaligned.
        unsafe { options.write_unaligned(defaults) };
    }
}

/// Opens the lock of the journal `changes.journal` in the directory `dir` (codegraph 3.11.2: ROOT/.codegraph), creating
/// the directory and those above it if missing, and removes what dead peers have left there.
///
/// `options` may be NULL: the defaults. `*out` becomes the handle, to be closed with jlock_close(); NULL after a
/// failure. Nothing is acquired yet, and the directory need not be writable until then.
///
/// Returns 0.
/// Errors: -EINVAL (a NULL, unknown flag, size below 24, retry_ms or stale_ms 0); -E2BIG (options from a newer
/// version); -ENOENT (with JLOCK_NO_CREATE), -ENOTDIR, -EACCES, -EROFS, -EMFILE, … (what the system says of the
/// directory); -EAGAIN (with JLOCK_KEEPALIVE: no thread to be had).
///
/// # Safety
/// `dir` is a NUL-terminated string; `options` is NULL or a struct with its size set; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_open(dir: *const c_char, options: *const jlock_options, out: *mut *mut jlock) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { open(options, out, |options| Lock::open_dir(string(dir)?, options)) }
}

/// As jlock_open(), for any journal: the file `journal` (a name without a slash) beneath the open directory `dirfd`, or
/// beneath the working directory (AT_FDCWD). Its lock is called as the journal, with ".lock" after it.
///
/// The directory must exist. `dirfd` stays the caller's and may be closed afterwards.
///
/// Returns 0.
/// Errors: as jlock_open(); -EINVAL (not a file name), -ENAMETOOLONG, -EBADF, -ENOTDIR.
///
/// # Safety
/// `journal` is a NUL-terminated string; `options` is NULL or a struct with its size set; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_open_at(
    dirfd: c_int,
    journal: *const c_char,
    options: *const jlock_options,
    out: *mut *mut jlock,
) -> c_int {
    // SAFETY: as the caller promises.
    unsafe {
        open(options, out, |options| {
            let name = string(journal)?;
            let from = sys::borrow_raw(dirfd).ok_or_else(|| Error::os(sys::Errno::BADF, "dirfd"))?;
            Lock::open_at_raw(from, name, options)
        })
    }
}

/// Closes the handle: releases the lock if it is held, removes what the handle kept in the directory, and frees it. In a
/// forked child it closes the child's copies and touches nothing on disk.
///
/// NULL is fine. No other call on this handle may be in progress or follow. Snapshots stay valid.
///
/// # Safety
/// `lock` is NULL or was made by jlock_open() or jlock_open_at() and is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_close(lock: *mut jlock) {
    if !lock.is_null() {
        contain(|| {
            // SAFETY: made by Box::into_raw in `open`, and this is its end.
            unsafe { Box::from_raw(lock) }.close();
            Ok(0)
        });
    }
}

/// The last failure on this handle in full, such as
/// "changes.journal.lock: held by pid 4711 (shipped peer) for 6.2 s; gave up after 5.0 s".
///
/// Copied into `buf` as snprintf() would: cut to fit, always NUL-terminated unless `size` is 0 (then `buf` may be NULL).
/// Empty before the first failure.
///
/// Returns the message's length without the NUL, however much of it fitted.
/// Errors: -EINVAL, JLOCK_EFORKED.
///
/// # Safety
/// `buf` points to `size` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_message(lock: *mut jlock, buf: *mut c_char, size: usize) -> c_int {
    // SAFETY: as the caller promises.
    unsafe {
        with_message(lock, |message| {
            if buf.is_null() && size > 0 {
                return Err(invalid("NULL"));
            }
            if let Some(room) = size.checked_sub(1) {
                let fits = message.len().min(room);
                std::ptr::copy_nonoverlapping(message.as_ptr().cast(), buf, fits);
                buf.add(fits).write(0);
            }
            Ok(i32::try_from(message.len()).unwrap_or(i32::MAX))
        })
    }
}

/// The meaning of any return value: a static text in English, never NULL, not to be freed. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn jlock_strerror(rc: c_int) -> *const c_char {
    error::text_c(rc).as_ptr()
}

/// The library's version: major << 16 | minor << 8 | patch. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn jlock_version() -> u32 {
    const fn number(text: &str) -> u32 {
        let (bytes, mut value, mut at) = (text.as_bytes(), 0, 0);
        while at < bytes.len() {
            value = value * 10 + (bytes[at] - b'0') as u32;
            at += 1;
        }
        value
    }
    const {
        (number(env!("CARGO_PKG_VERSION_MAJOR")) << 16)
            | (number(env!("CARGO_PKG_VERSION_MINOR")) << 8)
            | number(env!("CARGO_PKG_VERSION_PATCH"))
    }
}

/// The same as a static text, "0.1.0". Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn jlock_version_string() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// # Safety
/// `options` is NULL or a struct with its size set; `out` is NULL or writable.
unsafe fn open(
    options: *const jlock_options,
    out: *mut *mut jlock,
    open: impl FnOnce(&Options) -> Result<Lock>,
) -> c_int {
    contain(|| {
        if out.is_null() {
            return Err(invalid("NULL"));
        }
        // SAFETY: as the caller promises.
        unsafe { out.write(std::ptr::null_mut()) };
        let options = match options.is_null() {
            true => Options::new(),
            // SAFETY: as the caller promises.
            false => Options::from_abi(&unsafe { read_sized(options, OPTIONS_SIZE) }?)?,
        };
        // First: an open lock is not to be closed again for want of memory.
        let mut handle = Box::<jlock>::new_uninit();
        handle.write(jlock::new(open(&options)?));
        // SAFETY: as the caller promises; the handle was written just now.
        unsafe { out.write(Box::into_raw(handle.assume_init())) };
        Ok(0)
    })
}

/// # Safety
/// `text` is NULL or NUL-terminated, and outlives the call.
unsafe fn string<'a>(text: *const c_char) -> Result<&'a CStr> {
    match text.is_null() {
        true => Err(invalid("NULL")),
        // SAFETY: as the caller promises.
        false => Ok(unsafe { CStr::from_ptr(text) }),
    }
}

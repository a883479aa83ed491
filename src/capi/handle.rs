//! Opening, closing, and messages.

use std::ffi::{CStr, c_char, c_int};

use super::guard::{Room, chars, contain, invalid, jlock, read_sized, with_message};
use crate::abi::{self, jlock_options, jlock_place};
use crate::error::{self, Error, Result};
use crate::handle::Lock;
use crate::lock::{Place, probe};
use crate::options::{DEFAULTS, Options};
use crate::sys;

/// The size of the first version's options.
const OPTIONS_SIZE: usize = 20;
/// The size of the first version's place.
const PLACE_SIZE: usize = 296;

/// Sets the defaults: flags 0, timeout_ms 5000, retry_ms 25, stale_ms 30000, settle_ms 100. `size` is
/// sizeof(struct jlock_options).
///
/// Thread-safe. NULL is ignored, and so is a size that jlock_open() would refuse.
///
/// # Safety
/// `options` is NULL or points to `size` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_options_init(options: *mut jlock_options, size: usize) {
    if let Ok(room) = Room::new(options, size, OPTIONS_SIZE) {
        // SAFETY: as the caller promises.
        unsafe { room.fill(&DEFAULTS) };
    }
}

/// Opens the lock of the journal `changes.journal` in the directory `dir` (codegraph 3.11.2: ROOT/.codegraph), creating
/// the directory and those above it if they are missing.
///
/// `options` may be NULL, which means the defaults; `size` is sizeof(struct jlock_options), and ignored without options.
/// `*out` becomes the handle, which jlock_close() ends; NULL after a failure. Nothing is acquired yet, and the directory
/// need not be writable until then. (Acquires remove what dead peers have left there; among many thousands of files, not
/// all of it.)
///
/// The handle follows the path. If the directory was removed, moved away or replaced since, the next acquire opens the new
/// one, at the latest a second later, and makes it unless the options say JLOCK_NO_CREATE.
///
/// Returns 0.
/// Errors: -EINVAL (NULL; an unknown flag; a size below 20; retry_ms or stale_ms 0); -E2BIG (options of a newer version,
/// or a size above 4096); -ENOENT (with JLOCK_NO_CREATE), -ENOTDIR, -EACCES, -EROFS, -EMFILE, … (what the system says
/// about the directory); -EAGAIN (with JLOCK_KEEPALIVE: the thread could not be started).
///
/// # Safety
/// `dir` is a NUL-terminated string; `options` is NULL or has `size` readable bytes; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_open(
    dir: *const c_char,
    options: *const jlock_options,
    size: usize,
    out: *mut *mut jlock,
) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { open(options, size, out, &|options| Lock::open_dir(string(dir)?, options)) }
}

/// As jlock_open(), for any journal: the file `journal` (a name without a slash) in the open directory `dirfd`, or in the
/// working directory (AT_FDCWD). Its lock has the journal's name with ".lock" after it.
///
/// The directory must exist, and the handle stays with it wherever it is moved: -ESTALE once it is removed. `dirfd` remains
/// the caller's, who may close it afterwards.
///
/// Returns 0.
/// Errors: as jlock_open(); -EINVAL (not a file name, or one that ends as the files of a lock do: ".lock", ".lock.line",
/// ".tmp" behind ".lock."), -ENAMETOOLONG, -EBADF, -ENOTDIR.
///
/// # Safety
/// `journal` is a NUL-terminated string; `options` is NULL or has `size` readable bytes; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_open_at(
    dirfd: c_int,
    journal: *const c_char,
    options: *const jlock_options,
    size: usize,
    out: *mut *mut jlock,
) -> c_int {
    // SAFETY: as the caller promises.
    unsafe {
        open(options, size, out, &|options| {
            let name = string(journal)?;
            let from = sys::borrow_raw(dirfd).ok_or_else(|| Error::os(sys::Errno::BADF, "dirfd"))?;
            Lock::open_at_raw(from, name, options)
        })
    }
}

/// Closes the handle: releases the lock if it is held, removes what the handle kept in the directory, and frees the handle,
/// whatever it returns; do not call it again. An acquire that was started ends. In a forked child it closes the child's
/// copies, touches nothing on disk and returns 0.
///
/// NULL is fine: 0. No other call on this handle may be in progress or follow. Snapshots stay valid.
///
/// Returns 0.
/// Errors, all of them about the release of a lock that was held: JLOCK_ELOST (it had been taken away); JLOCK_EPANIC (the
/// handle had met a bug); any errno (the lock is left behind as a dead holder's, and the next program to acquire takes it
/// over).
///
/// # Safety
/// `lock` is NULL or was made by jlock_open() or jlock_open_at() and is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_close(lock: *mut jlock) -> c_int {
    if lock.is_null() {
        return 0;
    }
    // SAFETY: made by Box::into_raw in `open`, and this is its end.
    contain(|| unsafe { Box::from_raw(lock) }.close().map(|()| 0))
}

/// Finds out by trying what the directory `dir` can promise. `size` is sizeof(struct jlock_place). Takes a second at most,
/// needs no handle, takes no lock and leaves nothing behind. The directory must exist and be writable.
///
/// Returns 0.
/// Errors: -EINVAL (NULL; a size below 296), -E2BIG (a size above 4096); -ENOENT, -ENOTDIR, -EACCES, -EROFS, -ENOSPC, …
/// (what the system says about the directory). `*out` is left alone then.
///
/// # Safety
/// `dir` is a NUL-terminated string; `out` points to `size` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_probe(dir: *const c_char, out: *mut jlock_place, size: usize) -> c_int {
    contain(|| {
        let room = Room::new(out, size, PLACE_SIZE)?;
        // SAFETY: as the caller promises.
        unsafe { room.fill(&to_abi(&probe(string(dir)?)?)) };
        Ok(0)
    })
}

fn to_abi(place: &Place) -> jlock_place {
    let flags = |pairs: &[(bool, u32)]| {
        pairs
            .iter()
            .filter(|(set, _)| *set)
            .fold(0, |all, (_, flag)| all | flag)
    };
    jlock_place {
        promises: flags(&[
            (place.processes_of_mount, abi::JLOCK_PLACE_PROCESSES_OF_MOUNT),
            (place.processes_of_machine, abi::JLOCK_PLACE_PROCESSES_OF_MACHINE),
            (place.other_machines, abi::JLOCK_PLACE_OTHER_MACHINES),
            (place.takeover, abi::JLOCK_PLACE_TAKEOVER),
            (place.durable, abi::JLOCK_PLACE_DURABLE),
            (place.order, abi::JLOCK_PLACE_ORDER),
        ]),
        missing: flags(&[
            (place.without_link, abi::JLOCK_WITHOUT_LINK),
            (place.without_flock, abi::JLOCK_WITHOUT_FLOCK),
            (place.without_lease, abi::JLOCK_WITHOUT_LEASE),
            (place.without_inotify, abi::JLOCK_WITHOUT_INOTIFY),
            (place.without_noreplace, abi::JLOCK_WITHOUT_NOREPLACE),
        ]),
        file_system: chars(&place.file_system),
        reason: chars(&place.reason),
    }
}

/// Gives the message of the last failure on this handle in full, such as
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
///
/// 0 is "success". No function of the library returns a positive number as a failure; here it counts as an errno, so that
/// jlock_strerror(EACCES) is "permission denied" as well.
#[unsafe(no_mangle)]
pub extern "C" fn jlock_strerror(rc: c_int) -> *const c_char {
    error::text_c(rc).as_ptr()
}

/// The library's version: major << 16 | minor << 8 | patch. Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn jlock_version() -> u32 {
    const fn number(text: &str) -> u32 {
        match u32::from_str_radix(text, 10) {
            Ok(number) => number,
            Err(_) => panic!("cargo gives numbers"),
        }
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
/// `options` is NULL or has `size` readable bytes; `out` is NULL or writable.
unsafe fn open(
    options: *const jlock_options,
    size: usize,
    out: *mut *mut jlock,
    open: &dyn Fn(&Options) -> Result<Lock>,
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
            false => Options::from_abi(&unsafe { read_sized(options, size, OPTIONS_SIZE) }?)?,
        };
        // First, so that no lock is opened only to be closed again because memory ran out.
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

#[cfg(test)]
mod tests {
    use super::*;

    type Set = fn(&mut Place);

    fn seen(set: Set) -> (u32, u32) {
        let mut place = Place::default();
        set(&mut place);
        let place = to_abi(&place);
        (place.promises, place.missing)
    }

    #[test]
    fn each_promise_of_a_place_has_its_bit() {
        let promises: [(Set, u32); 6] = [
            (
                |place| place.processes_of_mount = true,
                abi::JLOCK_PLACE_PROCESSES_OF_MOUNT,
            ),
            (
                |place| place.processes_of_machine = true,
                abi::JLOCK_PLACE_PROCESSES_OF_MACHINE,
            ),
            (|place| place.other_machines = true, abi::JLOCK_PLACE_OTHER_MACHINES),
            (|place| place.takeover = true, abi::JLOCK_PLACE_TAKEOVER),
            (|place| place.durable = true, abi::JLOCK_PLACE_DURABLE),
            (|place| place.order = true, abi::JLOCK_PLACE_ORDER),
        ];
        for (set, bit) in promises {
            assert_eq!(seen(set), (bit, 0));
        }
    }

    #[test]
    fn each_lack_of_a_place_has_its_bit() {
        let missing: [(Set, u32); 5] = [
            (|place| place.without_link = true, abi::JLOCK_WITHOUT_LINK),
            (|place| place.without_flock = true, abi::JLOCK_WITHOUT_FLOCK),
            (|place| place.without_lease = true, abi::JLOCK_WITHOUT_LEASE),
            (|place| place.without_inotify = true, abi::JLOCK_WITHOUT_INOTIFY),
            (|place| place.without_noreplace = true, abi::JLOCK_WITHOUT_NOREPLACE),
        ];
        for (set, bit) in missing {
            assert_eq!(seen(set), (0, bit));
        }
    }
}

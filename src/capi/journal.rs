//! The journal.

use std::ffi::{CStr, c_char, c_int};

use super::guard::{contain, invalid, jlock, with};
use crate::abi::{self, jlock_entry};
use crate::error::Result;
use crate::journal::{Entry, Kind, Snapshot, no_memory};

/// What a journal held when it was read. Made by jlock_read(), freed by jlock_snapshot_free(). It never changes, whatever
/// happens to the handle or the file, so any number of threads may use it at the same time.
#[allow(non_camel_case_types)]
pub struct jlock_snapshot {
    snapshot: Snapshot,
}

/// Appends `count` entries to the journal: all or none. A missing journal is made, with a header that says 0; it can be
/// read once it has been stamped.
///
/// Takes the lock and releases it, unless this handle holds it already: then it works under that hold. With JLOCK_SYNC it
/// returns once the entries are on disk.
///
/// Returns 0.
/// Errors: JLOCK_EENTRY (an entry is empty; contains a newline, carriage return or NUL; starts or ends with white space;
/// starts with '#'; or is a changed path that starts with "DELETED "); -EINVAL (NULL, unknown kind, reserved not 0);
/// those of jlock_acquire(); JLOCK_ELOST (the caller's own hold was taken away); -ENOSPC, -EIO, -EDQUOT, … (the journal is
/// as it was). If only the release fails, or with JLOCK_SYNC the disk, after the entries were written, the message says so:
/// then they are in the journal. After -EIO from the disk under JLOCK_SYNC they may be missing from the disk, and must be
/// appended again. -EAGAIN: somebody (a file server, for its clients) has a lease on the journal, and did not give it back
/// within timeout_ms. -EFBIG: the limit on file sizes, or a journal that ends with more than 64 MiB of NUL bytes: write a
/// new header.
///
/// # Safety
/// `lock` is NULL or an open handle; `entries` points to `count` entries with readable paths.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_append(lock: *mut jlock, entries: *const jlock_entry, count: usize) -> c_int {
    // SAFETY: as the caller promises.
    unsafe {
        with(lock, |lock| {
            let entries = borrow(entries, count)?;
            lock.journal().append(entries).map(|()| 0)
        })
    }
}

/// As jlock_append(), and then advances the header's timestamp to `timestamp_ms`: a crash in between leaves the entries with
/// the older, more cautious one. The cost does not grow with the journal, as long as the new timestamp has as many digits as
/// the old one.
///
/// Returns 0.
/// Errors: as jlock_append(); -EINVAL (timestamp_ms is negative).
///
/// # Safety
/// As jlock_append().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_append_stamped(
    lock: *mut jlock,
    entries: *const jlock_entry,
    count: usize,
    timestamp_ms: i64,
) -> c_int {
    // SAFETY: as the caller promises.
    unsafe {
        with(lock, |lock| {
            let entries = borrow(entries, count)?;
            lock.journal().append_stamped(entries, timestamp_ms).map(|()| 0)
        })
    }
}

/// Replaces the journal by one that holds only a header with this timestamp. All entries are gone, even those appended a
/// moment ago; a consumer should call jlock_checkpoint() instead.
///
/// Returns 0.
/// Errors: as jlock_append_stamped().
///
/// # Safety
/// `lock` is NULL or an open handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_write_header(lock: *mut jlock, timestamp_ms: i64) -> c_int {
    // SAFETY: as the caller promises.
    unsafe { with(lock, |lock| lock.journal().write_header(timestamp_ms).map(|()| 0)) }
}

/// A consumer calls this when it has processed a snapshot: it writes a new header, drops what the snapshot held, and keeps
/// every entry that was appended after it. The snapshot remains the caller's.
///
/// If somebody replaced the journal in between (shipped peers do when they stamp), all entries are kept: what has been
/// processed may be seen again, and nothing is lost.
///
/// Returns 1: what the snapshot held is dropped; or 0: all entries were kept, as the journal had been replaced.
/// Errors: as jlock_append_stamped().
///
/// # Safety
/// `lock` is NULL or an open handle; `snapshot` is NULL or was made by jlock_read() and not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_checkpoint(
    lock: *mut jlock,
    snapshot: *const jlock_snapshot,
    timestamp_ms: i64,
) -> c_int {
    // SAFETY: as the caller promises.
    unsafe {
        with(lock, |lock| {
            let snapshot = snapshot.as_ref().ok_or_else(|| invalid("NULL"))?;
            lock.journal()
                .checkpoint(&snapshot.snapshot, timestamp_ms)
                .map(i32::from)
        })
    }
}

/// Reads the journal as it is now. It takes no lock, and never waits for another thread's call. If somebody has a lease on the
/// journal, it waits for that, but no longer than timeout_ms; then it returns -EAGAIN.
///
/// `*out` becomes the snapshot, which jlock_snapshot_free() frees; NULL after a failure.
///
/// Returns 0.
/// Errors: -ENOENT (there is no journal); JLOCK_EUNSTAMPED (it has only been appended to: its header says 0; stamp it with
/// jlock_append_stamped() or, after a full scan, with jlock_write_header()); JLOCK_EHEADER (its first line is no header
/// with a timestamp, or it is damaged); JLOCK_ENOTLOCK, -ELOOP (no regular file at its name); -ENOMEM; any errno.
///
/// # Safety
/// `lock` is NULL or an open handle; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_read(lock: *mut jlock, out: *mut *mut jlock_snapshot) -> c_int {
    if out.is_null() {
        return invalid("NULL").code();
    }
    // SAFETY: as the caller promises.
    unsafe {
        out.write(std::ptr::null_mut());
        with(lock, |lock| {
            let snapshot = lock.journal().read()?;
            out.write(Box::into_raw(Box::new(jlock_snapshot { snapshot })));
            Ok(0)
        })
    }
}

/// The header's timestamp in milliseconds since 1970, as the shipped reader returns it: any number above 0. 0 if
/// `snapshot` is NULL.
///
/// # Safety
/// `snapshot` is NULL or was made by jlock_read() and not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_snapshot_timestamp(snapshot: *const jlock_snapshot) -> f64 {
    // SAFETY: as the caller promises.
    unsafe { snapshot.as_ref() }.map_or(0.0, |s| s.snapshot.timestamp())
}

/// How many distinct paths of this kind (JLOCK_CHANGED, JLOCK_DELETED) there are; 0 for any other kind, and if `snapshot`
/// is NULL.
///
/// # Safety
/// As jlock_snapshot_timestamp().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_snapshot_count(snapshot: *const jlock_snapshot, kind: u32) -> usize {
    // SAFETY: as the caller promises.
    match (unsafe { snapshot.as_ref() }, to_kind(kind)) {
        (Some(s), Ok(kind)) => s.snapshot.count(kind),
        _ => 0,
    }
}

/// One path of this kind, by its index in the order of first mention, from 0.
///
/// `out->path` is NUL-terminated, and valid until jlock_snapshot_free().
///
/// Returns 0.
/// Errors: -EINVAL (NULL, unknown kind, no such index).
///
/// # Safety
/// As jlock_snapshot_timestamp(); `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_snapshot_entry(
    snapshot: *const jlock_snapshot,
    kind: u32,
    index: usize,
    out: *mut jlock_entry,
) -> c_int {
    contain(|| {
        // SAFETY: as the caller promises.
        let snapshot = unsafe { snapshot.as_ref() }.filter(|_| !out.is_null());
        let snapshot = snapshot.ok_or_else(|| invalid("NULL"))?;
        let entry = snapshot.snapshot.get(to_kind(kind)?, index);
        let path = entry.ok_or_else(|| invalid("no such index"))?.path;
        let entry = jlock_entry {
            path: path.as_ptr().cast(),
            path_len: path.len(),
            kind,
            reserved: 0,
        };
        // SAFETY: as the caller promises.
        unsafe { out.write(entry) };
        Ok(0)
    })
}

/// Frees a snapshot, and with it the paths of its entries. NULL is fine.
///
/// # Safety
/// `snapshot` is NULL or was made by jlock_read() and is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn jlock_snapshot_free(snapshot: *mut jlock_snapshot) {
    if !snapshot.is_null() {
        contain(|| {
            // SAFETY: made by Box::into_raw in jlock_read, and this is its end.
            drop(unsafe { Box::from_raw(snapshot) });
            Ok(0)
        });
    }
}

fn to_kind(kind: u32) -> Result<Kind> {
    match kind {
        abi::JLOCK_CHANGED => Ok(Kind::Changed),
        abi::JLOCK_DELETED => Ok(Kind::Deleted),
        _ => Err(invalid("unknown kind")),
    }
}

/// # Safety
/// `entries` points to `count` entries whose paths are readable and outlive `'e`.
unsafe fn borrow<'e>(entries: *const jlock_entry, count: usize) -> Result<Vec<Entry<'e>>> {
    if entries.is_null() && count > 0 {
        return Err(invalid("NULL"));
    }
    let mut borrowed = Vec::new();
    borrowed.try_reserve_exact(count).map_err(no_memory)?;
    for index in 0..count {
        // SAFETY: within the array.
        let entry = unsafe { entries.add(index).read() };
        if entry.reserved != 0 {
            return Err(invalid("reserved is not 0"));
        }
        if entry.path.is_null() {
            return Err(invalid("NULL"));
        }
        let path = entry.path.cast::<u8>();
        let path = match entry.path_len {
            // SAFETY: NUL-terminated, as the caller says.
            usize::MAX => unsafe { CStr::from_ptr(path.cast::<c_char>()) }.to_bytes(),
            len if len > isize::MAX as usize => return Err(invalid("path_len is beyond any object's size")),
            // SAFETY: so many bytes, as the caller says.
            len => unsafe { std::slice::from_raw_parts(path, len) },
        };
        let kind = to_kind(entry.kind)?;
        borrowed.push(Entry { path, kind });
    }
    Ok(borrowed)
}

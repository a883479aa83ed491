//! What is in an open file, and what is known about it: reading, writing, length, mode, times, and getting it to disk.

use std::mem::MaybeUninit;

use rustix::fs::{Mode, OFlags};
use rustix::time::Timespec;

use super::limit::without_size_signal;
use super::{Accessed, Errno, Fd, Meta, Result, around, open_subdir, uninterrupted, written};

pub(crate) fn fstat(file: &Fd) -> Result<Meta> {
    around("fstat", || rustix::fs::fstat(file.borrow()?).map(Meta::from))
}

/// Drops what this machine has cached of a file's content: the next read asks the file server.
pub(crate) fn forget_cached(file: &Fd) -> Result<()> {
    around("fadvise64", || {
        rustix::fs::fadvise(file.borrow()?, 0, None, rustix::fs::Advice::DontNeed)
    })
}

/// Fills `buf` from `offset` on, as far as the file goes, and returns how much that was.
pub(crate) fn read_at<'b>(file: &Fd, buf: &'b mut [MaybeUninit<u8>], offset: u64) -> Result<&'b mut [u8]> {
    let mut done = 0;
    while done < buf.len() {
        let rest = &mut buf[done..];
        let got = uninterrupted("pread64", || {
            let (bytes, _) = rustix::io::pread(file.borrow()?, &mut *rest, offset + done as u64)?;
            Ok(bytes.len())
        })?;
        if got == 0 {
            break;
        }
        done += got;
    }
    // SAFETY: `pread` has initialised the first `done` bytes.
    Ok(unsafe { std::slice::from_raw_parts_mut(buf.as_mut_ptr().cast::<u8>(), done) })
}

/// The beginning of a file that gives all of itself in one call, as the small ones beneath /proc do.
pub(crate) fn read_once<'b>(file: &Fd, buf: &'b mut [MaybeUninit<u8>]) -> Result<&'b [u8]> {
    uninterrupted("pread64", || {
        rustix::io::pread(file.borrow()?, &mut *buf, 0).map(|(bytes, _)| bytes.len())
    })
    // SAFETY: `pread` has initialised so many bytes.
    .map(|len| unsafe { std::slice::from_raw_parts(buf.as_ptr().cast::<u8>(), len) })
}

/// Reads a file from `offset` on behind what `content` holds: at most `most` bytes, as far as its room and the file go.
pub(crate) fn read_behind(file: &Fd, content: &mut Vec<u8>, offset: u64, most: usize) -> Result<()> {
    let held = content.len();
    let room = content.spare_capacity_mut();
    let most = most.min(room.len());
    let read = read_at(file, &mut room[..most], offset)?.len();
    // SAFETY: `read_at` has initialised as many bytes behind the first `held`.
    unsafe { content.set_len(held + read) };
    Ok(())
}

/// Writes all of `bytes` at `offset`. On failure some of them may have been written.
pub(crate) fn write_at(file: &Fd, bytes: &[u8], offset: u64) -> Result<()> {
    write_all("pwrite64", bytes, &mut 0, |rest, done| {
        let file = file.verified()?;
        let count = without_size_signal(|| rustix::io::pwrite(file, rest, offset + done))?;
        written(file).map(|()| count)
    })
}

/// Writes all of `bytes` to the end of a file opened to append; `done` says how many were written, also on failure.
pub(crate) fn append(file: &Fd, bytes: &[u8], done: &mut usize) -> Result<()> {
    write_all("write", bytes, done, |rest, _| {
        let file = file.verified()?;
        let count = without_size_signal(|| rustix::io::write(file, rest))?;
        written(file).map(|()| count)
    })
}

fn write_all(
    call: &'static str,
    bytes: &[u8],
    done: &mut usize,
    mut write: impl FnMut(&[u8], u64) -> Result<usize>,
) -> Result<()> {
    while *done < bytes.len() {
        match uninterrupted(call, || write(&bytes[*done..], *done as u64))? {
            0 => return Err(Errno::IO), // no system does this; without a check it would loop forever
            n => *done += n,
        }
    }
    Ok(())
}

/// Takes `O_APPEND` away, without which `pwrite` would append whatever its offset says (pwrite(2), BUGS).
pub(crate) fn stop_appending(file: &Fd) -> Result<()> {
    around("fcntl", || rustix::fs::fcntl_setfl(file.verified()?, OFlags::NONBLOCK))
}

/// Undoes what [`stop_appending`] did.
pub(crate) fn go_on_appending(file: &Fd) -> Result<()> {
    let flags = OFlags::NONBLOCK | OFlags::APPEND;
    around("fcntl", || rustix::fs::fcntl_setfl(file.verified()?, flags))
}

pub(crate) fn truncate(file: &Fd, size: u64) -> Result<()> {
    uninterrupted("ftruncate", || {
        let file = file.verified()?;
        without_size_signal(|| rustix::fs::ftruncate(file, size)).and_then(|()| written(file))
    })
}

pub(crate) fn chmod(file: &Fd, mode: u32) -> Result<()> {
    around("fchmod", || {
        rustix::fs::fchmod(file.verified()?, Mode::from_raw_mode(mode))
    })
}

/// Gives a sign of life: the mtime becomes now, by the file system's own clock.
pub(crate) fn touch(file: &Fd) -> Result<()> {
    set_times(file, NOW, NOW)
}

/// The mtime becomes what it was.
pub(crate) fn set_modified(file: &Fd, modified_ms: i64) -> Result<()> {
    let then = wall_clock(modified_ms);
    set_times(file, then, then)
}

/// As [`touch`], and the access time stays.
pub(crate) fn touch_modified(file: &Fd) -> Result<()> {
    set_times(file, UNCHANGED, NOW)
}

/// For a time of a file: now, by the file system's own clock; or what it was.
const NOW: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: rustix::fs::UTIME_NOW,
};
pub(super) const UNCHANGED: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: rustix::fs::UTIME_OMIT,
};

pub(super) fn wall_clock(ms: i64) -> Timespec {
    Timespec {
        tv_sec: ms.div_euclid(1000),
        tv_nsec: ms.rem_euclid(1000) * 1_000_000,
    }
}

fn set_times(file: &Fd, last_access: Timespec, last_modification: Timespec) -> Result<()> {
    let times = rustix::fs::Timestamps {
        last_access,
        last_modification,
    };
    around("utimensat", || {
        let file = file.verified()?;
        rustix::fs::futimens(file, &times).and_then(|()| written(file))
    })
}

/// Sets a file's access time, and leaves its mtime alone.
pub(crate) fn set_accessed(file: &Fd, time: Accessed) -> Result<()> {
    let times = rustix::fs::Timestamps {
        last_access: Timespec {
            tv_sec: time.seconds,
            tv_nsec: time.nanoseconds,
        },
        last_modification: UNCHANGED,
    };
    around("utimensat", || rustix::fs::futimens(file.verified()?, &times))
}

/// The data, and as much of the metadata as reading it back needs, is on disk.
pub(crate) fn sync_data(file: &Fd) -> Result<()> {
    uninterrupted("fdatasync", || rustix::fs::fdatasync(file.borrow()?))
}

/// A directory's entries are on disk.
pub(crate) fn sync_dir(dir: &Fd) -> Result<()> {
    match uninterrupted("fsync", || rustix::fs::fsync(dir.borrow()?)) {
        // If we may not list it (`O_PATH`), it has to be opened for this; the error says why that fails.
        Err(Errno::BADF) => {
            let listed = open_subdir(dir, c".")?;
            uninterrupted("fsync", || rustix::fs::fsync(listed.borrow()?))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::OFlags;

    use super::*;
    use crate::sys::tests::{Scratch, ends_in_a_child};
    use crate::sys::{Open, eventfd, open, open_dir, open_proc};

    #[test]
    fn a_directory_that_is_not_open_for_listing_is_synced() {
        let scratch = Scratch::new();
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = Fd::register(|| rustix::fs::open(scratch.path(""), flags, Mode::empty())).unwrap();
        assert_eq!(rustix::fs::fsync(dir.borrow().unwrap()), Err(Errno::BADF));
        assert_eq!(sync_dir(&dir), Ok(()));
    }

    /// (Under the seam's clock, the seam itself sets the time of what was written to.)
    #[test]
    fn a_sign_of_life_renews_the_mtime_and_may_leave_the_access_time() {
        let scratch = Scratch::new();
        let file = open(&scratch.dir, c"file", Open::CreateNew).unwrap();
        for (sign, keeps) in [(touch as fn(&Fd) -> Result<()>, false), (touch_modified, true)] {
            set_modified(&file, 1_000).unwrap();
            let old = fstat(&file).unwrap();
            sign(&file).unwrap();
            let new = fstat(&file).unwrap();
            assert_eq!((old.modified_ms, old.accessed.seconds), (1_000, 1));
            assert!(new.modified_ms > 1_000_000_000_000, "{new:?}");
            assert_eq!(new.accessed == old.accessed, keeps, "{new:?}");
        }
    }

    /// The kernel was asked, then, and it is its answer that comes back: nothing stands on a disk behind any of these.
    #[test]
    fn what_no_disk_is_behind_is_not_synced() {
        assert_eq!(sync_data(&eventfd().unwrap()), Err(Errno::INVAL));
        for how in [OFlags::RDONLY, OFlags::PATH] {
            let flags = how | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let dir = Fd::register(|| rustix::fs::open(c"/proc", flags, Mode::empty())).unwrap();
            assert_eq!(sync_dir(&dir), Err(Errno::INVAL), "{how:?}");
        }
    }

    /// As the kernel writes the files beneath /proc, and a file server may send any.
    #[test]
    fn what_comes_in_pieces_is_read_to_its_end() {
        let file = open_proc(c"/proc/self/smaps").unwrap();
        let mut room = vec![MaybeUninit::uninit(); 1 << 20];
        let piece = read_once(&file, &mut room).unwrap().len();
        let whole = read_at(&file, &mut room, 0).unwrap();
        assert!(
            whole.len() > 2 * piece && whole.ends_with(b"\n"),
            "{} of {}",
            piece,
            whole.len()
        );
    }

    /// As on a disk that is nearly full: the kernel writes as much as fits, and only the next call fails.
    #[test]
    fn what_a_short_write_leaves_over_is_written_behind_it() {
        let scratch = Scratch::new();
        let path = scratch.path_of("");
        // The limit is the whole process's.
        let child = || {
            let dir = open_dir(&path).unwrap();
            let four = libc::rlimit64 {
                rlim_cur: 4,
                rlim_max: 4,
            };
            // SAFETY: the struct is initialised.
            assert_eq!(unsafe { libc::setrlimit64(libc::RLIMIT_FSIZE, &four) }, 0);
            let written = open(&dir, c"written", Open::CreateNew).unwrap();
            assert_eq!(write_at(&written, b"abcdef", 0), Err(Errno::FBIG));
            drop(open(&dir, c"appended", Open::CreateNew));
            let (appended, mut done) = (open(&dir, c"appended", Open::Append).unwrap(), 0);
            assert_eq!(append(&appended, b"abcdef", &mut done), Err(Errno::FBIG));
            assert_eq!(done, 4);
        };
        assert!(ends_in_a_child(child));
        for name in ["written", "appended"] {
            assert_eq!(std::fs::read(scratch.path(name)).unwrap(), b"abcd", "{name}");
        }
    }
}

//! Every system call that the library makes, each as one small function, and no other file names `rustix` or `libc`.
//!
//! One seam: [`seam`] runs before and after each call, so that a test can step, fail or end a peer at each of them.
//! Without the feature `seam` it is nothing at all.
//!
//! Every descriptor is an [`Fd`], known to the fork handler in [`fork`]: a forked child closes its copies at once, so
//! that it keeps no lock alive (`flock` belongs to the open file, and the child shares it).

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::time::Timespec;

pub(crate) mod errno;
pub(crate) mod fork;
pub(crate) mod limits;
pub(crate) mod owner;
pub(crate) mod process;
#[cfg(feature = "seam")]
pub mod seam;
pub(crate) mod thread;

pub(crate) use fork::Fd;
pub(crate) use rustix::io::Errno;

pub(crate) type Result<T> = std::result::Result<T, Errno>;

#[cfg(feature = "seam")]
use seam::{around, written};

#[cfg(not(feature = "seam"))]
#[inline(always)]
fn around<T>(_call: &'static str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    run()
}

#[cfg(not(feature = "seam"))]
#[inline(always)]
fn written(_file: BorrowedFd<'_>) -> Result<()> {
    Ok(())
}

/// Calls again while a signal interrupts.
fn uninterrupted<T>(call: &'static str, mut run: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match around(call, &mut run) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

// ---------------------------------------------------------------------------------------------------------- files

/// What tells one file from all others, as long as it is held open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(crate) fn inode(self) -> u64 {
        self.inode
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Regular,
    Symlink,
    Other,
}

/// The part of `struct stat` that the protocol looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    pub id: FileId,
    pub kind: FileKind,
    pub size: u64,
    pub mode: u32,
    /// Milliseconds since 1970.
    pub modified_ms: i64,
    pub accessed: Accessed,
}

/// A file's access time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Accessed {
    /// Since 1970.
    pub seconds: i64,
    nanoseconds: i64,
}

impl Accessed {
    /// A time so long after `start`, in seconds since 1970.
    pub(crate) fn at(after: Duration, start: i64) -> Self {
        Accessed {
            seconds: start.saturating_add_unsigned(after.as_secs()),
            nanoseconds: after.subsec_nanos().into(),
        }
    }
}

impl From<rustix::fs::Stat> for Meta {
    // The field types of struct stat differ between architectures.
    #[allow(clippy::unnecessary_cast)]
    fn from(stat: rustix::fs::Stat) -> Self {
        Meta {
            id: FileId {
                device: stat.st_dev as u64,
                inode: stat.st_ino as u64,
            },
            kind: match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
                rustix::fs::FileType::RegularFile => FileKind::Regular,
                rustix::fs::FileType::Symlink => FileKind::Symlink,
                _ => FileKind::Other,
            },
            size: stat.st_size as u64,
            mode: stat.st_mode & 0o7777,
            accessed: Accessed {
                seconds: stat.st_atime as i64,
                nanoseconds: stat.st_atime_nsec as i64,
            },
            modified_ms: (stat.st_mtime as i64)
                .saturating_mul(1000)
                .saturating_add(stat.st_mtime_nsec as i64 / 1_000_000),
        }
    }
}

/// How [`open`] opens. Never follows a symlink at the name, never blocks on a FIFO, never leaks through exec.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Open {
    /// An existing file, to read.
    Read,
    /// An existing file, to write.
    Write,
    /// An existing file, to read and write.
    ReadWrite,
    /// A new file, made by this call alone, to read and write.
    CreateNew,
    /// An existing file, to read and to append to.
    Append,
}

impl Open {
    fn flags(self) -> OFlags {
        let always = OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        always
            | match self {
                Open::Read => OFlags::RDONLY,
                Open::Write => OFlags::WRONLY,
                Open::ReadWrite => OFlags::RDWR,
                Open::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
                Open::Append => OFlags::RDWR | OFlags::APPEND,
            }
    }
}

pub(crate) fn open(dir: &Fd, name: &CStr, how: Open) -> Result<Fd> {
    let mode = Mode::from_raw_mode(0o666); // less the umask, as a shipped peer's files
    uninterrupted("openat", || {
        Fd::register(|| {
            let file = rustix::fs::openat(dir.borrow()?, name, how.flags(), mode)?;
            if how.flags().contains(OFlags::CREATE) {
                written(file.as_fd())?;
            }
            Ok(file)
        })
    })
}

pub(crate) fn open_dir(path: &CStr) -> Result<Fd> {
    open_dir_from(rustix::fs::CWD, path)
}

pub(crate) fn open_dir_from(from: BorrowedFd<'_>, path: &CStr) -> Result<Fd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    uninterrupted("openat", || {
        Fd::register(|| rustix::fs::openat(from, path, flags, Mode::empty()))
    })
}

/// Opens a file beneath /proc, to read.
pub(crate) fn open_proc(path: &CStr) -> Result<Fd> {
    uninterrupted("openat", || {
        Fd::register(|| rustix::fs::openat(rustix::fs::CWD, path, Open::Read.flags(), Mode::empty()))
    })
}

pub(crate) fn mkdir(path: &CStr) -> Result<()> {
    uninterrupted("mkdirat", || {
        rustix::fs::mkdirat(rustix::fs::CWD, path, Mode::from_raw_mode(0o777))
    })
}

pub(crate) fn fstat(file: &Fd) -> Result<Meta> {
    around("fstat", || rustix::fs::fstat(file.borrow()?).map(Meta::from))
}

/// Looks at a name without following a symlink. `None`: nothing there.
pub(crate) fn stat(dir: &Fd, name: &CStr) -> Result<Option<Meta>> {
    let found = uninterrupted("newfstatat", || {
        rustix::fs::statat(dir.borrow()?, name, AtFlags::SYMLINK_NOFOLLOW)
    });
    match found {
        Ok(stat) => Ok(Some(Meta::from(stat))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

pub(crate) fn link(dir: &Fd, from: &CStr, to: &CStr) -> Result<()> {
    uninterrupted("linkat", || {
        let dir = dir.borrow()?;
        rustix::fs::linkat(dir, from, dir, to, AtFlags::empty())
    })
}

pub(crate) fn unlink(dir: &Fd, name: &CStr) -> Result<()> {
    uninterrupted("unlinkat", || {
        rustix::fs::unlinkat(dir.borrow()?, name, AtFlags::empty())
    })
}

/// What [`rename`] does with a file that stands at the new name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rename {
    Replace,
    /// `EEXIST` when there is one.
    NoReplace,
    /// It gets the old name.
    Exchange,
}

pub(crate) fn rename(dir: &Fd, from: &CStr, to: &CStr, how: Rename) -> Result<()> {
    let flags = match how {
        Rename::Replace => None,
        Rename::NoReplace => Some(RenameFlags::NOREPLACE),
        Rename::Exchange => Some(RenameFlags::EXCHANGE),
    };
    let call = if flags.is_some() { "renameat2" } else { "renameat" };
    uninterrupted(call, || {
        let dir = dir.borrow()?;
        match flags {
            None => rustix::fs::renameat(dir, from, dir, to),
            Some(flags) => rustix::fs::renameat_with(dir, from, dir, to, flags),
        }
    })
}

/// The `flock` of this open file, if nobody else has it. `Ok(false)`: somebody has.
pub(crate) fn flock_exclusive(file: &Fd) -> Result<bool> {
    flock(file, FlockOperation::NonBlockingLockExclusive)
}

/// As [`flock_exclusive`], but shared: enough to learn whether a holder lives.
pub(crate) fn flock_shared(file: &Fd) -> Result<bool> {
    flock(file, FlockOperation::NonBlockingLockShared)
}

fn flock(file: &Fd, operation: FlockOperation) -> Result<bool> {
    match uninterrupted("flock", || rustix::fs::flock(file.borrow()?, operation)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Whether a failed `flock` means that the file system has none.
pub(crate) fn means_no_flock(errno: Errno) -> bool {
    matches!(errno, Errno::OPNOTSUPP | Errno::NOSYS)
}

/// Whether a failed `linkat` means that the file system has no hard links.
pub(crate) fn means_no_link(errno: Errno) -> bool {
    matches!(errno, Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS)
}

/// Whether a failed `renameat2` means that the file system does not know the flag.
pub(crate) fn means_no_rename_flag(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS)
}

/// Fills `buf` from `offset` as far as the file goes; how much that was.
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

/// Writes all of `bytes` at `offset`. On failure some of them may have been written.
pub(crate) fn write_at(file: &Fd, bytes: &[u8], offset: u64) -> Result<()> {
    write_all("pwrite64", bytes, &mut 0, |rest, done| {
        let file = file.borrow()?;
        let count = rustix::io::pwrite(file, rest, offset + done)?;
        written(file).map(|()| count)
    })
}

/// Writes all of `bytes` to the end of a file opened to append; `done` says how many were written, also on failure.
pub(crate) fn append(file: &Fd, bytes: &[u8], done: &mut usize) -> Result<()> {
    write_all("write", bytes, done, |rest, _| {
        let file = file.borrow()?;
        let count = rustix::io::write(file, rest)?;
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
            0 => return Err(Errno::IO), // no system does this; without a check it would loop for ever
            n => *done += n,
        }
    }
    Ok(())
}

/// Takes `O_APPEND` away, without which `pwrite` would append whatever its offset says (pwrite(2), BUGS).
pub(crate) fn stop_appending(file: &Fd) -> Result<()> {
    around("fcntl", || rustix::fs::fcntl_setfl(file.borrow()?, OFlags::NONBLOCK))
}

pub(crate) fn truncate(file: &Fd, size: u64) -> Result<()> {
    uninterrupted("ftruncate", || {
        let file = file.borrow()?;
        rustix::fs::ftruncate(file, size).and_then(|()| written(file))
    })
}

pub(crate) fn chmod(file: &Fd, mode: u32) -> Result<()> {
    around("fchmod", || {
        rustix::fs::fchmod(file.borrow()?, Mode::from_raw_mode(mode))
    })
}

/// A sign of life: the mtime becomes now, by the file system's own clock.
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
const UNCHANGED: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: rustix::fs::UTIME_OMIT,
};

fn wall_clock(ms: i64) -> Timespec {
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
        let file = file.borrow()?;
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
    around("utimensat", || rustix::fs::futimens(file.borrow()?, &times))
}

/// The data, and as much of the metadata as reading it back needs, is on disk.
pub(crate) fn sync_data(file: &Fd) -> Result<()> {
    uninterrupted("fdatasync", || rustix::fs::fdatasync(file.borrow()?))
}

/// A directory's entries are on disk.
pub(crate) fn sync_dir(dir: &Fd) -> Result<()> {
    uninterrupted("fsync", || rustix::fs::fsync(dir.borrow()?))
}

/// Calls `each` with every name in the directory.
pub(crate) fn list(dir: &Fd, mut each: impl FnMut(&CStr)) -> Result<()> {
    // An open file of its own: the offset of `dir` is shared with whoever else reads it.
    let listing = open_dir_from(dir.borrow()?, c".")?;
    let mut buf = [MaybeUninit::uninit(); 4096];
    around("getdents64", || {
        let mut entries = rustix::fs::RawDir::new(listing.borrow()?, &mut buf);
        while let Some(entry) = entries.next() {
            each(entry?.file_name());
        }
        Ok(())
    })
}

/// Whether the file system keeps its locks on this machine alone. What is not known to do so is taken for a network's.
pub(crate) fn is_local(dir: &Fd) -> Result<bool> {
    // linux/magic.h: ext, xfs, btrfs, tmpfs, ramfs, overlayfs, f2fs, zfs, bcachefs, squashfs, vfat, exfat, reiserfs,
    // jfs, nilfs, ubifs, erofs.
    const LOCAL: [u32; 17] = [
        0xef53,
        0x5846_5342,
        0x9123_683e,
        0x0102_1994,
        0x8584_58f6,
        0x794c_7630,
        0xf2f5_2010,
        0x2fc1_2fc1,
        0xca45_1a4e,
        0x7371_7368,
        0x4d44,
        0x2011_bab0,
        0x5265_4973,
        0x3153_464a,
        0x3434,
        0x2405_1905,
        0xe0f5_e1e2,
    ];
    // f_type is signed on some architectures and wider than the magic number on others.
    #[allow(clippy::unnecessary_cast, clippy::cast_possible_truncation)]
    let magic = uninterrupted("fstatfs", || rustix::fs::fstatfs(dir.borrow()?))?.f_type as u32;
    Ok(LOCAL.contains(&magic))
}

// -------------------------------------------------------------------------------------------------------- waiting

/// The monotonic clock, since some fixed moment. Every time-out and the settling run on it.
pub(crate) fn monotonic() -> Duration {
    #[cfg(feature = "seam")]
    if let Some(time) = seam::monotonic() {
        return time;
    }
    since_start(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic))
}

/// The wall clock in milliseconds since 1970: what a shipped peer compares mtimes with.
pub(crate) fn realtime_ms() -> i64 {
    #[cfg(feature = "seam")]
    if let Some(time) = seam::realtime_ms() {
        return time;
    }
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec.saturating_mul(1000) + now.tv_nsec / 1_000_000
}

fn since_start(time: Timespec) -> Duration {
    // Neither is negative: the clock starts at boot.
    Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    )
}

/// Sleeps until the monotonic clock shows `deadline`, whatever signals arrive.
pub(crate) fn sleep_until(deadline: Duration) {
    #[cfg(feature = "seam")]
    if seam::pause("clock_nanosleep", deadline) {
        return;
    }
    let until = Timespec {
        tv_sec: deadline.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: deadline.subsec_nanos().into(),
    };
    // EINTR is the one error that a valid time can meet.
    while rustix::thread::clock_nanosleep_absolute(rustix::thread::ClockId::Monotonic, &until).is_err() {}
}

/// A new inotify queue.
pub(crate) fn inotify() -> Result<Fd> {
    use rustix::fs::inotify::CreateFlags;
    around("inotify_init1", || {
        Fd::register(|| rustix::fs::inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK))
    })
}

/// What [`watch`] reports, once: that an open file's lock may have been released, its holder have died, or its holder
/// have lined up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    /// Its link count changes or both its times are set (`IN_ATTRIB`), it goes or is renamed, or somebody who could write
    /// to it closes it.
    Change,
    /// As before, but its access time instead of its link count: not each acquire and release of one that goes on.
    Share,
}

/// Has `queue` report what becomes of the file. One watch of a file replaces another.
pub(crate) fn watch(queue: &Fd, file: &Fd, what: Watched) -> Result<()> {
    use rustix::fs::inotify::WatchFlags;
    let events = WatchFlags::CLOSE_WRITE | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONESHOT;
    let events = match what {
        Watched::Change => events | WatchFlags::ATTRIB,
        Watched::Share => events | WatchFlags::ACCESS,
    };
    around("inotify_add_watch", || {
        let path = fork::proc_path(file)?;
        rustix::fs::inotify::add_watch(queue.borrow()?, path.as_c_str(), events).map(drop)
    })
}

/// An eventfd that polls readable once [`wake`] was called.
pub(crate) fn eventfd() -> Result<Fd> {
    use rustix::event::EventfdFlags;
    around("eventfd2", || {
        Fd::register(|| rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK))
    })
}

/// Makes an eventfd readable. Its counter cannot overflow: a full one is readable already.
pub(crate) fn wake(eventfd: &Fd) {
    if let Ok(fd) = eventfd.borrow() {
        let _ = rustix::io::write(fd, &1u64.to_ne_bytes()); // EAGAIN: it is readable
    }
}

/// Reads away whatever an inotify queue or an eventfd has to say.
pub(crate) fn drain(queue: &Fd) -> Result<()> {
    let mut buf = [MaybeUninit::<u8>::uninit(); 4096];
    loop {
        match uninterrupted("read", || {
            let (bytes, _) = rustix::io::read(queue.borrow()?, &mut buf)?;
            Ok(bytes.len())
        }) {
            Ok(len) if len == buf.len() => {}
            Ok(_) | Err(Errno::AGAIN) => return Ok(()),
            Err(errno) => return Err(errno),
        }
    }
}

/// Waits until one of the descriptors is readable or the time is over. `Ok(false)`: it is over, or a signal came.
pub(crate) fn poll(fds: &[Option<&Fd>; 2], timeout: Duration) -> Result<bool> {
    #[cfg(feature = "seam")]
    if seam::pause("ppoll", monotonic() + timeout) {
        return Ok(false);
    }
    use rustix::event::{PollFd, PollFlags};
    let mut waiting = Vec::with_capacity(fds.len());
    for fd in fds.iter().flatten() {
        waiting.push(PollFd::from_borrowed_fd(fd.borrow()?, PollFlags::IN));
    }
    let timeout = Timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    match around("ppoll", || rustix::event::poll(&mut waiting, Some(&timeout))) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// One descriptor that polls readable when any of `fds` does.
pub(crate) fn epoll(fds: &[&Fd]) -> Result<Fd> {
    use rustix::event::epoll::{CreateFlags, EventData, EventFlags, add, create};
    around("epoll_create1", || {
        let epoll = Fd::register(|| create(CreateFlags::CLOEXEC))?;
        for fd in fds {
            add(epoll.borrow()?, fd.borrow()?, EventData::new_u64(0), EventFlags::IN)?;
        }
        Ok(epoll)
    })
}

/// Eight bytes from the kernel's cryptographic random source, as a nonce's 16 hex digits.
pub(crate) fn random_u64() -> Result<u64> {
    #[cfg(feature = "seam")]
    if let Some(number) = seam::random() {
        return Ok(number);
    }
    use rand::TryRng;
    around("getrandom", || rand::rngs::SysRng.try_next_u64().map_err(errno_of))
}

/// A failure of the random source is a system call's.
fn errno_of(error: <rand::rngs::SysRng as rand::TryRng>::Error) -> Errno {
    error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}

/// Has the room that a vector has not used yet come in huge pages, where there is much of it: to fault in each small one
/// takes longer than to fill it. A hint; without it all is the same, but slower.
pub(crate) fn expect_much<T>(vector: &mut Vec<T>) {
    const HUGE: usize = 2 << 20;
    let room = vector.spare_capacity_mut();
    let bytes = std::mem::size_of_val(room);
    let start = room.as_mut_ptr().cast::<u8>();
    let skipped = start.align_offset(HUGE);
    if bytes < skipped.saturating_add(HUGE) {
        return;
    }
    // SAFETY: the range lies within the vector's own room; the advice changes no content.
    let advised = unsafe {
        let aligned = start.add(skipped).cast();
        rustix::mm::madvise(
            aligned,
            (bytes - skipped) / HUGE * HUGE,
            rustix::mm::Advice::LinuxHugepage,
        )
    };
    let _ = advised; // a kernel without them: then they stay small
}

/// The first byte `needle` in `haystack`, by the C library's vectorised search.
#[inline]
pub(crate) fn find_byte(needle: u8, haystack: &[u8]) -> Option<usize> {
    // SAFETY: pointer and length come from one slice; memchr answers NULL or a pointer into it.
    let found = unsafe { libc::memchr(haystack.as_ptr().cast(), needle.into(), haystack.len()) };
    (!found.is_null()).then(|| found as usize - haystack.as_ptr() as usize)
}

/// A descriptor of the caller's, which is only borrowed.
pub(crate) fn borrow_raw(fd: i32) -> Option<BorrowedFd<'static>> {
    match fd {
        libc::AT_FDCWD => Some(rustix::fs::CWD),
        0.. => {
            // SAFETY: used only to open a file beneath it, before the call that named it returns. A number that is no
            // open descriptor makes that fail with EBADF.
            Some(unsafe { BorrowedFd::borrow_raw(fd) })
        }
        _ => None,
    }
}

/// Lets the `flock` of this open file go.
pub(crate) fn unlock(file: &Fd) -> Result<()> {
    flock(file, FlockOperation::NonBlockingUnlock).map(drop)
}

/// Takes back what [`stop_appending`] did.
pub(crate) fn go_on_appending(file: &Fd) -> Result<()> {
    let flags = OFlags::NONBLOCK | OFlags::APPEND;
    around("fcntl", || rustix::fs::fcntl_setfl(file.borrow()?, flags))
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

/// Where the first `byte` or NUL is in what ends with a NUL: two searches for the price of one.
#[inline]
pub(crate) fn find_byte_or_nul(byte: u8, terminated: &[u8]) -> usize {
    assert_eq!(terminated.last(), Some(&0), "it ends with a NUL");
    // SAFETY: a NUL ends the search within the slice.
    let found = unsafe { libc::strchrnul(terminated.as_ptr().cast(), byte.into()) };
    found as usize - terminated.as_ptr() as usize
}

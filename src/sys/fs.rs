//! Names in a directory: opening, looking at, making, linking, renaming, removing and listing them.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, StatxFlags};

use super::table::IN_OPENING;
use super::{Errno, Fd, FileId, Meta, Result, TRIES, around, uninterrupted, written};

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
        let always = IN_OPENING | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
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
            // Whatever is written to must not be in another directory.
            let dir = match how {
                Open::Read => dir.borrow()?,
                Open::Write | Open::ReadWrite | Open::CreateNew | Open::Append => dir.own()?,
            };
            let file = rustix::fs::openat(dir, name, how.flags(), mode)?;
            if let Open::CreateNew = how {
                give_to_owner(file.as_fd());
                written(file.as_fd())?;
            }
            Ok(file)
        })
    })
}

/// Whatever the umask: the next process of this user opens the file, to see whether its maker lives and to take over.
fn give_to_owner(new: BorrowedFd<'_>) {
    let owners = Mode::RUSR | Mode::WUSR;
    let Ok(stat) = rustix::fs::fstat(new) else { return };
    let mode = Mode::from_raw_mode(stat.st_mode);
    if !mode.contains(owners) {
        let _ = rustix::fs::fchmod(new, mode | owners); // where that is refused, the umask has its way
    }
}

pub(crate) fn open_dir(path: &CStr) -> Result<Fd> {
    open_dir_from(rustix::fs::CWD, path)
}

/// A directory that may not be listed will do, as long as the names in it may be used.
pub(crate) fn open_dir_from(from: BorrowedFd<'_>, path: &CStr) -> Result<Fd> {
    let flags = IN_OPENING | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |how| {
        uninterrupted("openat", || {
            Fd::register(|| rustix::fs::openat(from, path, flags | how, Mode::empty()))
        })
    };
    match open(OFlags::RDONLY) {
        Err(Errno::ACCESS) => open(OFlags::PATH),
        other => other,
    }
}

/// Opens a file beneath /proc, to read.
pub(crate) fn open_proc(path: &CStr) -> Result<Fd> {
    uninterrupted("openat", || {
        Fd::register(|| rustix::fs::openat(rustix::fs::CWD, path, Open::Read.flags(), Mode::empty()))
    })
}

/// Opens a directory in `dir`, which must not be a symlink.
pub(crate) fn open_subdir(dir: &Fd, name: &CStr) -> Result<Fd> {
    let flags = IN_OPENING | OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    uninterrupted("openat", || {
        Fd::register(|| rustix::fs::openat(dir.borrow()?, name, flags, Mode::empty()))
    })
}

pub(crate) fn mkdir(path: &CStr) -> Result<()> {
    mkdir_from(|| Ok(rustix::fs::CWD), path, 0o777)
}

pub(crate) fn mkdir_at(dir: &Fd, name: &CStr, mode: u32) -> Result<()> {
    mkdir_from(|| dir.own(), name, mode)
}

fn mkdir_from<'d>(dir: impl Fn() -> Result<BorrowedFd<'d>>, name: &CStr, mode: u32) -> Result<()> {
    uninterrupted("mkdirat", || {
        rustix::fs::mkdirat(dir()?, name, Mode::from_raw_mode(mode))
    })
}

pub(crate) fn rmdir_at(dir: &Fd, name: &CStr) -> Result<()> {
    uninterrupted("unlinkat", || {
        rustix::fs::unlinkat(dir.own()?, name, AtFlags::REMOVEDIR)
    })
}

/// Looks at a name without following a symlink. `None`: nothing there.
pub(crate) fn stat(dir: &Fd, name: &CStr) -> Result<Option<Meta>> {
    stat_from(|| dir.borrow(), name, AtFlags::SYMLINK_NOFOLLOW)
}

/// As [`stat`], but what this machine has cached of a file server's attributes is asked for anew.
pub(crate) fn stat_anew(dir: &Fd, name: &CStr) -> Result<Option<Meta>> {
    match uninterrupted("statx", || statx_anew(dir.borrow()?, name, AtFlags::SYMLINK_NOFOLLOW)) {
        Ok(meta) => Ok(Some(meta)),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => stat(dir, name), // an old kernel, or a sandbox
        Err(errno) => Err(errno),
    }
}

/// As [`fstat`](super::fstat), but what this machine has cached of a file server's attributes is asked for anew: above all
/// the size, at which the kernel appends.
pub(crate) fn fstat_anew(file: &Fd) -> Result<Meta> {
    match uninterrupted("statx", || statx_anew(file.borrow()?, c"", AtFlags::EMPTY_PATH)) {
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => super::fstat(file),
        other => other,
    }
}

fn statx_anew(at: BorrowedFd<'_>, name: &CStr, flags: AtFlags) -> Result<Meta> {
    // AT_STATX_FORCE_SYNC of linux/fcntl.h, which rustix does not name.
    let flags = flags | AtFlags::from_bits_retain(0x2000);
    rustix::fs::statx(at, name, flags, StatxFlags::BASIC_STATS).map(Meta::from)
}

/// When a file was made, since 1970. `None`: this file system or this kernel does not say. Not through the seam: nothing but
/// the number of sweeps depends on it.
pub(crate) fn born(file: &Fd) -> Option<Duration> {
    let statx = rustix::fs::statx(file.borrow().ok()?, c"", AtFlags::EMPTY_PATH, StatxFlags::BTIME).ok()?;
    let seconds = u64::try_from(statx.stx_btime.tv_sec).ok()?;
    let knows = statx.stx_mask & StatxFlags::BTIME.bits() != 0;
    knows.then(|| Duration::new(seconds, statx.stx_btime.tv_nsec))
}

/// Looks at a path and follows symlinks. `None`: nothing there.
pub(crate) fn stat_path(path: &CStr) -> Result<Option<Meta>> {
    stat_from(|| Ok(rustix::fs::CWD), path, AtFlags::empty())
}

/// The root from which this process means its paths. `None`: it may not be looked at.
pub(crate) fn root_id() -> Option<FileId> {
    let stat = rustix::fs::statat(rustix::fs::CWD, c"/", AtFlags::empty()).ok()?;
    Some(Meta::from(stat).id)
}

fn stat_from<'d>(dir: impl Fn() -> Result<BorrowedFd<'d>>, name: &CStr, flags: AtFlags) -> Result<Option<Meta>> {
    match uninterrupted("newfstatat", || rustix::fs::statat(dir()?, name, flags)) {
        Ok(stat) => Ok(Some(Meta::from(stat))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

pub(crate) fn link(dir: &Fd, from: &CStr, to: &CStr) -> Result<()> {
    link_from(|| dir.borrow().map(|dir| (dir, dir)), from, to)
}

/// As [`link`], from one directory to another of the same file system.
pub(crate) fn link_between(from_dir: &Fd, from: &CStr, to_dir: &Fd, to: &CStr) -> Result<()> {
    link_from(|| Ok((from_dir.own()?, to_dir.own()?)), from, to)
}

fn link_from<'d>(dirs: impl Fn() -> Result<(BorrowedFd<'d>, BorrowedFd<'d>)>, from: &CStr, to: &CStr) -> Result<()> {
    uninterrupted("linkat", || {
        let (from_dir, to_dir) = dirs()?;
        rustix::fs::linkat(from_dir, from, to_dir, to, AtFlags::empty())
    })
}

pub(crate) fn unlink(dir: &Fd, name: &CStr) -> Result<()> {
    uninterrupted("unlinkat", || {
        rustix::fs::unlinkat(dir.borrow()?, name, AtFlags::empty())
    })
}

/// What [`rename`] does if a file has the new name already.
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

/// Whether a failed `linkat` means that the file system has no hard links.
pub(crate) fn means_no_link(errno: Errno) -> bool {
    matches!(errno, Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS)
}

/// Whether a failed `renameat2` means that the file system does not know the flag.
pub(crate) fn means_no_rename_flag(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS)
}

/// Calls `each` with at most `most` names in the directory. Returns whether there are no more.
pub(crate) fn list_some(dir: &Fd, most: usize, mut each: impl FnMut(&CStr)) -> Result<bool> {
    // A separate open file, because everybody who reads `dir` shares its offset.
    let listing = open_subdir(dir, c".")?;
    // The caller's stack may be small; and the kernel reads as many as there is room for.
    let mut buf = [MaybeUninit::uninit(); 4096];
    around("getdents64", || {
        let mut entries = rustix::fs::RawDir::new(listing.borrow()?, &mut buf);
        let (mut listed, mut interrupted) = (0, 0);
        while let Some(entry) = entries.next() {
            let name = match &entry {
                Ok(entry) => entry.file_name(),
                // It has read nothing, and reads again.
                Err(Errno::INTR) if interrupted < TRIES => {
                    interrupted += 1;
                    continue;
                }
                Err(errno) => return Err(*errno),
            };
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if listed == most {
                return Ok(false);
            }
            listed += 1;
            each(name);
        }
        Ok(true)
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::tests::Scratch;

    #[test]
    fn a_listing_ends_where_it_is_told_to() {
        let scratch = Scratch::new();
        for name in [c"a", c"b", c"c"] {
            open(&scratch.dir, name, Open::CreateNew).unwrap();
        }
        let names = |most| {
            let mut names = Vec::new();
            let ended = list_some(&scratch.dir, most, |name| names.push(name.to_owned())).unwrap();
            (names.len(), ended)
        };
        assert_eq!(names(0), (0, false));
        assert_eq!(names(2), (2, false));
        assert_eq!(names(3), (3, true));
        assert_eq!(names(usize::MAX), (3, true));
    }

    #[test]
    fn directories_are_made_opened_linked_into_and_removed() {
        let scratch = Scratch::new();
        mkdir_at(&scratch.dir, c"d", 0o700).unwrap();
        assert_eq!(mkdir_at(&scratch.dir, c"d", 0o700), Err(Errno::EXIST));
        let sub = open_subdir(&scratch.dir, c"d").unwrap();
        open(&scratch.dir, c"a", Open::CreateNew).unwrap();
        link_between(&scratch.dir, c"a", &sub, c"b").unwrap();
        let linked = stat(&sub, c"b").unwrap().unwrap();
        assert_eq!(linked.nlink, 2);
        assert_eq!(stat(&scratch.dir, c"a").unwrap().unwrap().id, linked.id);
        assert_eq!(linked.uid, rustix::process::geteuid().as_raw());
        assert_eq!(rmdir_at(&scratch.dir, c"d"), Err(Errno::NOTEMPTY));
        unlink(&sub, c"b").unwrap();
        rmdir_at(&scratch.dir, c"d").unwrap();
        assert!(open_subdir(&scratch.dir, c"d").is_err());
    }

    #[test]
    fn a_path_is_followed_and_a_name_is_not() {
        let scratch = Scratch::new();
        rustix::fs::symlinkat(c"/", scratch.dir.borrow().unwrap(), c"link").unwrap();
        assert_eq!(
            stat(&scratch.dir, c"link").unwrap().unwrap().kind,
            super::super::FileKind::Symlink
        );
        let kind = |name| stat_anew(&scratch.dir, name).unwrap().unwrap().kind;
        assert_eq!(kind(c"link"), super::super::FileKind::Symlink);
        assert_eq!(kind(c"."), super::super::FileKind::Other);
        assert!(open_subdir(&scratch.dir, c"link").is_err());
        let path = scratch.path_of("link");
        assert_eq!(
            stat_path(&path).unwrap().unwrap().id,
            stat_path(c"/").unwrap().unwrap().id
        );
        assert!(stat_path(&scratch.path_of("none")).unwrap().is_none());
    }

    #[test]
    fn a_new_file_is_its_owners_whatever_the_umask() {
        let scratch = Scratch::new();
        let path = scratch.path_of("");
        // The umask is the whole process's.
        let child = || {
            rustix::process::umask(Mode::from_raw_mode(0o777));
            let file = open(&open_dir(&path).unwrap(), c"file", Open::CreateNew).unwrap();
            assert_eq!(super::super::fstat(&file).unwrap().mode, 0o600);
        };
        assert!(super::super::tests::ends_in_a_child(child));
    }
}

//! Names in a directory: opening, looking at, making, linking, renaming, removing and listing them.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};

use super::{Errno, Fd, Meta, Result, around, uninterrupted, written};

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

/// Whether a failed `linkat` means that the file system has no hard links.
pub(crate) fn means_no_link(errno: Errno) -> bool {
    matches!(errno, Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS)
}

/// Whether a failed `renameat2` means that the file system does not know the flag.
pub(crate) fn means_no_rename_flag(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS)
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

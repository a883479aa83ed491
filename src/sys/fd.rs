//! Descriptors that the host program may close or reuse behind our back, and that a forked child closes by itself.
//!
//! A descriptor is a number, and a number can come to mean another file: after a stray `close`, a `closefrom`, or in a daemon
//! that closes all it finds. Before anything that cannot be undone, an [`Fd`] makes sure that its number is still the file
//! that it opened. There are two signs of that:
//!
//! - **A mark on the open file itself.** The kernel keeps a signal number with each open file for a reader that asked
//!   for signals (`F_SETSIG`, fcntl(2)). Nobody has asked, so it has no effect, and nobody else sets it. The mark tells
//!   our files from everything that the program opened, even from its own eventfds, timers, epoll and inotify queues, which
//!   all have the same inode, and from the same file opened again. To check it never involves the file system, which may be
//!   frozen, or on a server that hangs.
//! - **Device and inode**, from `fstat`: for a file that could not be marked, and before a write, because another copy of
//!   this library in the same process would leave the same mark.
//!
//! Which of our own files a number means is always known: if the kernel gives a number to a new one, the [`Fd`] that had it
//! before has lost it.
//!
//! Names that are looked up in a directory need no check. In another directory that took its number, a private file's name,
//! which has a nonce in it, leads nowhere, and so the lock is neither linked nor renamed there; and a release removes the
//! lock only after it has seen its own inode at that name. Only calls that would create something in the wrong directory are
//! checked.

use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::atomic::Ordering;

use super::table::{CLOSED, Opened, Opening, Slot, VACANT, enter, set_mark};
use super::{Errno, Meta, Result, fork};

/// An owned descriptor, in the table that a forked child's handler walks.
#[derive(Debug)]
pub(crate) struct Fd(&'static Slot);

impl Fd {
    /// Opens a descriptor and enters it.
    pub(super) fn register(open: impl FnOnce() -> Result<OwnedFd>) -> Result<Fd> {
        fork::watch();
        let _opening = Opening::begin();
        let fd = above_standard(open()?)?;
        let opened = Opened {
            id: Meta::from(rustix::fs::fstat(&fd)?).id,
            marked: set_mark(&fd),
            generation: fork::Generation::current().number(),
        };
        let slot = enter(fd.as_raw_fd(), opened);
        let _ = fd.into_raw_fd(); // the slot's from now on
        Ok(Fd(slot))
    }

    /// For calls that do no harm to another file. `EBADF` in a forked child.
    pub(super) fn borrow(&self) -> Result<BorrowedFd<'_>> {
        match self.0.number.load(Ordering::Relaxed) {
            CLOSED => Err(Errno::BADF),
            // SAFETY: the slot holds a descriptor that was opened for it, which only Drop closes, or the fork handler:
            // before the child uses it. If the program closed it nevertheless, the system call fails.
            number => Ok(unsafe { BorrowedFd::borrow_raw(number) }),
        }
    }

    /// For calls that would harm another file, but do not change its content. `EBADF`: it is another.
    pub(super) fn own(&self) -> Result<BorrowedFd<'_>> {
        self.checked(Slot::is_ours)
    }

    /// For calls that change a file. `EBADF`: it is another.
    pub(super) fn verified(&self) -> Result<BorrowedFd<'_>> {
        self.checked(|slot, fd| slot.is_ours(fd) && slot.is_same_file(fd))
    }

    fn checked(&self, is_right: impl FnOnce(&Slot, BorrowedFd<'_>) -> bool) -> Result<BorrowedFd<'_>> {
        let fd = self.borrow()?;
        if is_right(self.0, fd) {
            return Ok(fd);
        }
        self.0.number.store(CLOSED, Ordering::Relaxed); // lost for good, whatever is opened there next
        Err(Errno::BADF)
    }

    /// The number, for a caller that polls it.
    pub(crate) fn number(&self) -> Result<i32> {
        self.borrow().map(|fd| fd.as_raw_fd())
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        #[cfg(feature = "seam")]
        super::seam::closing();
        // Close it first: a child that is forked in between finds the number in the table, and sees that it is not ours.
        self.0.close_if_ours();
        fork::note_close();
        self.0.number.store(VACANT, Ordering::Release);
    }
}

/// Numbers that programs take for standard input, output and error, even if they closed them: what is printed there
/// would go into the lock.
fn above_standard(fd: OwnedFd) -> Result<OwnedFd> {
    const FIRST: i32 = 3;
    match fd.as_raw_fd() {
        FIRST.. => Ok(fd),
        _ => rustix::io::fcntl_dupfd_cloexec(&fd, FIRST),
    }
}

/// `/proc/self/fd/N`: names the open file itself, wherever its path has gone.
pub(super) fn proc_path(fd: &Fd) -> Result<ProcPath> {
    let number = fd.number()?;
    let mut path = ProcPath { bytes: [0; 32] };
    use std::io::Write;
    // 14 bytes and at most 10 digits: always fits, with the NUL after it.
    write!(&mut path.bytes[..31], "/proc/self/fd/{number}").map_err(|_| Errno::NAMETOOLONG)?;
    Ok(path)
}

pub(super) struct ProcPath {
    bytes: [u8; 32],
}

impl ProcPath {
    pub(super) fn as_c_str(&self) -> &std::ffi::CStr {
        std::ffi::CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Open, eventfd, open, table, timerfd, truncate, wake, write_at};
    use super::*;
    use crate::sys::tests::{Scratch, is_open};

    #[test]
    fn the_table_grows_and_slots_are_used_again() {
        let many: Vec<Fd> = (0..3 * table::SLOTS).map(|_| eventfd().unwrap()).collect();
        let numbers: std::collections::HashSet<i32> = many.iter().map(|fd| fd.number().unwrap()).collect();
        assert_eq!(numbers.len(), many.len());
        drop(many);
        eventfd().unwrap();
        let blocks = table::blocks().count();
        assert!(blocks <= 5, "{blocks} blocks for {} descriptors", 3 * table::SLOTS);
    }

    /// What stands at the number of `fd` from now on.
    fn replace(fd: &Fd, by: &OwnedFd) {
        let number = fd.number().unwrap();
        // SAFETY: what a program does that closes a number which is not its own, and opens another there.
        assert_eq!(unsafe { libc::dup2(by.as_raw_fd(), number) }, number);
    }

    fn close_number(number: i32) {
        // SAFETY: opened by this test.
        unsafe { rustix::io::close(number) };
    }

    #[test]
    fn another_file_at_the_number_is_neither_changed_nor_closed() {
        let scratch = Scratch::new();
        let theirs = std::fs::File::create_new(scratch.path("theirs")).unwrap();
        std::io::Write::write_all(&mut &theirs, b"theirs").unwrap();
        let again = || std::fs::File::options().write(true).open(scratch.path("ours")).unwrap();
        let ours = || {
            let _ = std::fs::remove_file(scratch.path("ours"));
            open(&scratch.dir, c"ours", Open::CreateNew).unwrap()
        };
        for same_file in [false, true] {
            let changes: [fn(&Fd) -> Result<()>; 5] = [
                |fd| write_at(fd, b"x", 0),
                |fd| truncate(fd, 0),
                |fd| super::super::touch(fd),
                |fd| super::super::flock_exclusive(fd).map(drop),
                |fd| super::super::chmod(fd, 0),
            ];
            for change in changes {
                let fd = ours();
                let number = fd.number().unwrap();
                replace(
                    &fd,
                    &if same_file {
                        again()
                    } else {
                        theirs.try_clone().unwrap()
                    }
                    .into(),
                );
                assert_eq!(change(&fd), Err(Errno::BADF));
                assert_eq!(change(&fd), Err(Errno::BADF), "and not again");
                drop(fd);
                assert!(is_open(number));
                close_number(number);
            }
        }
        assert_eq!(std::fs::read(scratch.path("theirs")).unwrap(), b"theirs");
    }

    /// It bears the same mark.
    #[test]
    fn another_copys_file_at_the_number_is_not_changed() {
        let scratch = Scratch::new();
        let theirs: OwnedFd = std::fs::File::create_new(scratch.path("theirs")).unwrap().into();
        assert!(super::super::table::set_mark(&theirs));
        let ours = open(&scratch.dir, c"ours", Open::CreateNew).unwrap();
        let number = ours.number().unwrap();
        replace(&ours, &theirs);
        assert!(ours.own().is_ok(), "it looks like ours");
        assert_eq!(write_at(&ours, b"x", 0), Err(Errno::BADF));
        assert_eq!(std::fs::read(scratch.path("theirs")).unwrap(), b"");
        drop(ours);
        close_number(number);
    }

    #[test]
    fn another_anonymous_inode_at_the_number_is_neither_used_nor_closed() {
        let theirs = rustix::event::eventfd(0, rustix::event::EventfdFlags::NONBLOCK).unwrap();
        for fd in [eventfd().unwrap(), timerfd().unwrap()] {
            let number = fd.number().unwrap();
            replace(&fd, &theirs);
            wake(&fd);
            assert_eq!(super::super::drain(&fd), Err(Errno::BADF));
            assert_eq!(rustix::io::read(&theirs, &mut [0; 8]), Err(Errno::AGAIN));
            drop(fd);
            assert!(is_open(number));
            close_number(number);
        }
    }

    /// And we have not used it since.
    #[test]
    fn what_took_a_number_is_not_closed_with_us() {
        let theirs = rustix::event::eventfd(0, rustix::event::EventfdFlags::NONBLOCK).unwrap();
        let ours = eventfd().unwrap();
        let number = ours.number().unwrap();
        replace(&ours, &theirs);
        drop(ours);
        assert!(is_open(number));
        close_number(number);
    }

    #[test]
    fn a_number_that_we_open_again_is_the_new_ones() {
        let old = eventfd().unwrap();
        let number = old.number().unwrap();
        // As if the program had closed it and the kernel given the number to the next: other tests open files as well.
        let new = Fd::register(|| {
            let fresh = rustix::event::eventfd(0, rustix::event::EventfdFlags::NONBLOCK)?;
            replace(&old, &fresh);
            // SAFETY: `replace` has made it.
            Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(number) })
        })
        .unwrap();
        assert_eq!(new.number(), Ok(number));
        assert_eq!(old.number(), Err(Errno::BADF));
        drop(old);
        assert!(new.own().is_ok());
    }

    #[test]
    fn without_a_mark_the_inode_decides() {
        let scratch = Scratch::new();
        let file = open(&scratch.dir, c"file", Open::CreateNew).unwrap();
        // SAFETY: nobody else uses it.
        unsafe { (*file.0.opened.get()).marked = false };
        assert!(file.own().is_ok() && file.verified().is_ok());
        let other = std::fs::File::create_new(scratch.path("other")).unwrap();
        let number = file.number().unwrap();
        replace(&file, &other.into());
        assert!(file.own().is_err());
        close_number(number);
    }

    #[test]
    fn the_standard_numbers_are_not_kept() {
        let low = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
        let kept = above_standard(low).unwrap();
        assert!(kept.as_raw_fd() >= 3);
    }
}

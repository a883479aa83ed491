//! Descriptors that the host program may close or reuse behind our back, and that a forked child closes by itself.
//!
//! A descriptor is a number, and a number can come to mean another file: a stray `close`, `closefrom`, or a daemon that
//! closes all it finds. Before anything that cannot be undone, an [`Fd`] makes sure that its number still is the file
//! that it was opened as. There are two signs of that:
//!
//! - **A mark on the open file itself.** The kernel keeps a signal number with each open file for a reader that asked
//!   for signals (`F_SETSIG`, fcntl(2)). Nobody has asked, so it has no effect, and nobody else sets it. The mark tells
//!   ours from whatever the program opened, also from an eventfd, timer, epoll or inotify queue of its own, which all
//!   have the same inode, and from the same file opened again. To look at it never goes to the file system, which may
//!   be frozen, or on a server that hangs.
//! - **Device and inode**, as `fstat` gives them: for a file that could not be marked, and before a write, where
//!   another copy of this library in the same process would leave the same mark.
//!
//! Which of our own files a number means is always known: a number that the kernel gives to a new one has been lost by
//! the [`Fd`] that had it before.
//!
//! The names beneath a directory need no check where they are looked up: in another directory, which took its number,
//! a private file's name, which has a nonce in it, leads nowhere, and so the lock is neither linked nor renamed there;
//! and a release removes the lock only after it has seen its own inode at that name. Only what would make something new
//! in the wrong directory is checked.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};

use rustix::fs::{Mode, OFlags};

use super::errno::preserving_errno;
use super::flock::{F_GETSIG, F_SETSIG};
use super::{Errno, FileId, Meta, Result, fork};

/// An owned descriptor, in the table that a forked child's handler walks.
#[derive(Debug)]
pub(crate) struct Fd(&'static Slot);

/// What was opened.
#[derive(Clone, Copy, Debug)]
struct Opened {
    id: FileId,
    marked: bool,
}

impl Fd {
    /// Opens a descriptor and enters it.
    pub(super) fn register(open: impl FnOnce() -> Result<OwnedFd>) -> Result<Fd> {
        fork::watch();
        let _opening = Opening::begin();
        let fd = above_standard(open()?)?;
        let opened = Opened {
            id: Meta::from(rustix::fs::fstat(&fd)?).id,
            marked: set_mark(&fd),
        };
        let slot = enter(fd.as_raw_fd(), opened);
        let _ = fd.into_raw_fd(); // the slot's from now on
        Ok(Fd(slot))
    }

    /// For what does no harm to another file. `EBADF` in a forked child.
    pub(super) fn borrow(&self) -> Result<BorrowedFd<'_>> {
        match self.0.number.load(Ordering::Relaxed) {
            CLOSED => Err(Errno::BADF),
            // SAFETY: the slot holds a descriptor that was opened for it, which only Drop closes, or the fork handler:
            // before any code of the child runs. If the program closed it all the same, the system call fails.
            number => Ok(unsafe { BorrowedFd::borrow_raw(number) }),
        }
    }

    /// For what would be harm to another file, but cannot reach into one. `EBADF`: it is another.
    pub(super) fn own(&self) -> Result<BorrowedFd<'_>> {
        self.checked(Slot::is_ours)
    }

    /// For what changes a file. `EBADF`: it is another.
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
        // Closed first: a child that is forked in between finds the number in the table, and that it is not ours.
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

// -------------------------------------------------------------------------------------------------------- the mark

/// Also what a lease is broken with: a signal that nobody notices who does not ask for it.
const MARK: i32 = libc::SIGURG;

fn set_mark(fd: &OwnedFd) -> bool {
    // SAFETY: a command that takes an int.
    preserving_errno(|| unsafe { libc::fcntl(fd.as_raw_fd(), F_SETSIG, MARK) }) == 0
}

fn has_mark(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: a command without an argument.
    preserving_errno(|| unsafe { libc::fcntl(fd.as_raw_fd(), F_GETSIG) }) == MARK
}

impl Slot {
    fn opened(&self) -> Opened {
        // SAFETY: written before the slot had a number, and not again before its owner gives it up.
        unsafe { *self.opened.get() }
    }

    /// Never goes to the file system, where the file could be marked.
    fn is_ours(&self, fd: BorrowedFd<'_>) -> bool {
        match self.opened().marked {
            true => has_mark(fd),
            false => self.is_same_file(fd),
        }
    }

    fn is_same_file(&self, fd: BorrowedFd<'_>) -> bool {
        let opened = self.opened();
        match rustix::fs::fstat(fd) {
            Ok(stat) => Meta::from(stat).id == opened.id,
            Err(Errno::BADF) => false,
            Err(_) => opened.marked, // a server that is gone, say: then the mark has to do
        }
    }

    fn close_if_ours(&self) {
        let number = self.number.load(Ordering::Relaxed);
        if number < 0 {
            return;
        }
        // SAFETY: the slot's own, or the program has taken the number: found out before it is closed.
        unsafe {
            if self.is_ours(BorrowedFd::borrow_raw(number)) {
                // Errors of close are for those who wrote through it without checking; on Linux the descriptor is gone
                // in any case.
                rustix::io::close(number);
            }
        }
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

// ------------------------------------------------------------------------------------------------------- the table

/// A slot that no `Fd` uses.
const VACANT: i32 = -2;
/// A slot whose descriptor is closed (in a forked child), lost, or not open yet.
const CLOSED: i32 = -1;

#[derive(Debug)]
struct Slot {
    number: AtomicI32,
    opened: UnsafeCell<Opened>,
}

// SAFETY: `opened` is written by whoever took the slot while it was vacant, before it has a number; and read by the
// owner, and by a forked child's handler where there is a number.
unsafe impl Sync for Slot {}

impl Slot {
    const fn new() -> Slot {
        Slot {
            number: AtomicI32::new(VACANT),
            opened: UnsafeCell::new(Opened {
                id: FileId::NONE,
                marked: false,
            }),
        }
    }

    fn take(&self) -> bool {
        let order = (Ordering::AcqRel, Ordering::Relaxed);
        self.number.load(Ordering::Relaxed) == VACANT
            && self.number.compare_exchange(VACANT, CLOSED, order.0, order.1).is_ok()
    }
}

const SLOTS: usize = 64;

/// Grows by blocks that are never given back: a child's handler may be walking them.
struct Block {
    slots: [Slot; SLOTS],
    next: AtomicPtr<Block>,
}

impl Block {
    const fn new() -> Block {
        Block {
            slots: [const { Slot::new() }; SLOTS],
            next: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    fn next(&self) -> Option<&'static Block> {
        // SAFETY: null, or a block that was leaked by `grow`.
        unsafe { self.next.load(Ordering::Acquire).as_ref() }
    }

    /// The next block, made when there is none.
    fn grow(&self) -> &'static Block {
        let new = Box::into_raw(Box::new(Block::new()));
        match self
            .next
            .compare_exchange(std::ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire)
        {
            // SAFETY: leaked just now.
            Ok(_) => unsafe { &*new },
            Err(theirs) => {
                // SAFETY: `new` was never shared; `theirs` was leaked by another thread.
                unsafe {
                    drop(Box::from_raw(new));
                    &*theirs
                }
            }
        }
    }
}

static FIRST: Block = Block::new();

fn blocks() -> impl Iterator<Item = &'static Block> {
    std::iter::successors(Some(&FIRST), |block| block.next())
}

fn enter(number: i32, opened: Opened) -> &'static Slot {
    // Whoever has this number has lost it: an Fd that is dropped gives its slot up without a look at the number.
    for slot in blocks().flat_map(|block| &block.slots) {
        let _ = slot
            .number
            .compare_exchange(number, CLOSED, Ordering::Relaxed, Ordering::Relaxed);
    }
    let slot = vacant();
    // SAFETY: the slot is ours, and has no number yet.
    unsafe { *slot.opened.get() = opened };
    slot.number.store(number, Ordering::Release);
    slot
}

fn vacant() -> &'static Slot {
    let mut block: &'static Block = &FIRST;
    loop {
        if let Some(slot) = block.slots.iter().find(|slot| slot.take()) {
            return slot;
        }
        block = block.next().unwrap_or_else(|| block.grow());
    }
}

// ------------------------------------------------------------------------------------------------- a forked child

/// How many descriptors are being opened, and not entered yet. In a forked child, it may count threads that are missing.
static OPENING: AtomicU32 = AtomicU32::new(0);

struct Opening;

impl Opening {
    fn begin() -> Opening {
        OPENING.fetch_add(1, Ordering::SeqCst);
        Opening
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        fork::note_close(); // of one that was opened and is not entered, or of a low number
        OPENING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a file or directory is opened with, by which a forked child knows one that was not entered yet: to keep forks out
/// meanwhile would have them wait for the file system.
///
/// Neither files nor directories send signals, so `O_ASYNC` has no effect on them; and what does send signals is not
/// opened with `O_NOFOLLOW` or `O_DIRECTORY`. An eventfd and its like cannot be opened so; a child that is forked before
/// such a one is marked keeps it, which does no more harm than any number that is taken.
pub(super) const IN_OPENING: OFlags = OFlags::from_bits_retain(libc::O_ASYNC.cast_unsigned());

/// Closes a forked child's copies. Takes no lock and no memory.
pub(super) fn close_all(some_left_the_table: bool) {
    for slot in blocks().flat_map(|block| &block.slots) {
        if slot.number.load(Ordering::Relaxed) >= 0 {
            slot.close_if_ours();
            slot.number.store(CLOSED, Ordering::Relaxed);
        }
    }
    if some_left_the_table || OPENING.load(Ordering::SeqCst) > 0 {
        close_unentered();
    }
}

fn close_unentered() {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(listing) = rustix::fs::open(c"/proc/self/fd", flags, Mode::empty()) else {
        (0..1024).for_each(close_if_unentered); // as many as a process can have, unless it asks for more
        return;
    };
    let mut buf = [MaybeUninit::uninit(); 2048];
    let mut entries = rustix::fs::RawDir::new(&listing, &mut buf);
    while let Some(Ok(entry)) = entries.next() {
        let number = entry.file_name().to_str().ok().and_then(|name| name.parse().ok());
        number.into_iter().for_each(close_if_unentered);
    }
}

fn close_if_unentered(number: i32) {
    // SAFETY: a number that is not open makes each of the calls fail.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    let Ok(flags) = rustix::fs::fcntl_getfl(fd) else { return };
    let in_opening = flags.contains(IN_OPENING) && flags.intersects(OFlags::NOFOLLOW | OFlags::DIRECTORY);
    if in_opening || has_mark(fd) {
        // SAFETY: opened by this library, in a thread that is not here.
        unsafe { rustix::io::close(number) };
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Open, eventfd, open, timerfd, truncate, wake, write_at};
    use super::*;
    use crate::sys::tests::Scratch;

    #[test]
    fn the_table_grows_and_slots_are_used_again() {
        let many: Vec<Fd> = (0..3 * SLOTS).map(|_| eventfd().unwrap()).collect();
        let numbers: std::collections::HashSet<i32> = many.iter().map(|fd| fd.number().unwrap()).collect();
        assert_eq!(numbers.len(), many.len());
        drop(many);
        eventfd().unwrap();
        let blocks = blocks().count();
        assert!(blocks <= 5, "{blocks} blocks for {} descriptors", 3 * SLOTS);
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

    fn is_open(number: i32) -> bool {
        // SAFETY: a command without an argument.
        unsafe { libc::fcntl(number, libc::F_GETFD) != -1 }
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

//! The table of all descriptors that the library has open, through which a forked child goes without a lock; and the signs by
//! which a number is recognised as one of them ([`Fd`](super::Fd) says which).

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};

use rustix::fs::{FileType, Mode, OFlags};

use super::errno::{last_errno, preserving_errno};
use super::flock::{F_GETSIG, F_SETSIG};
use super::fork::Generation;
use super::{Errno, FileId, Meta, Result, fork};

/// What was opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    pub(super) id: FileId,
    pub(super) marked: bool,
    /// The process's, as a number.
    pub(super) generation: u32,
}

/// A slot that no `Fd` uses.
pub(super) const VACANT: i32 = -2;
/// A slot whose descriptor is closed (in a forked child), lost, or not open yet.
pub(super) const CLOSED: i32 = -1;

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) number: AtomicI32,
    pub(super) opened: UnsafeCell<Opened>,
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
                generation: 0,
            }),
        }
    }

    fn take(&self) -> bool {
        let order = (Ordering::AcqRel, Ordering::Relaxed);
        self.number.load(Ordering::Relaxed) == VACANT
            && self.number.compare_exchange(VACANT, CLOSED, order.0, order.1).is_ok()
    }
}

pub(super) const SLOTS: usize = 64;

/// It grows by blocks that are never freed, because a child's handler may be going through them.
pub(super) struct Block {
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

pub(super) fn blocks() -> impl Iterator<Item = &'static Block> {
    std::iter::successors(Some(&FIRST), |block| block.next())
}

pub(super) fn enter(number: i32, opened: Opened) -> &'static Slot {
    // The Fd that has this number has lost it: an Fd that is dropped gives its slot up without a look at the number.
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

// -------------------------------------------------------------------------------------------------------- the signs

/// Also what a lease is broken with: a signal that nobody notices who does not ask for it.
const MARK: i32 = libc::SIGURG;

pub(super) fn set_mark(fd: &OwnedFd) -> bool {
    // SAFETY: a command that takes an int.
    preserving_errno(|| unsafe { libc::fcntl(fd.as_raw_fd(), F_SETSIG, MARK) }) == 0
}

fn has_mark(fd: BorrowedFd<'_>) -> Result<bool> {
    // SAFETY: a command without an argument.
    preserving_errno(|| match unsafe { libc::fcntl(fd.as_raw_fd(), F_GETSIG) } {
        -1 => Err(last_errno()),
        signal => Ok(signal == MARK),
    })
}

impl Slot {
    fn opened(&self) -> Opened {
        // SAFETY: written before the slot had a number, and not again before its owner gives it up.
        unsafe { *self.opened.get() }
    }

    /// Never involves the file system, if the file could be marked.
    pub(super) fn is_ours(&self, fd: BorrowedFd<'_>) -> bool {
        if !self.opened().marked {
            return self.is_same_file(fd);
        }
        match has_mark(fd) {
            Ok(is_ours) => is_ours,
            Err(Errno::BADF) => false,
            Err(_) => self.is_same_file(fd), // a sandbox that was set up later
        }
    }

    pub(super) fn is_same_file(&self, fd: BorrowedFd<'_>) -> bool {
        let opened = self.opened();
        match rustix::fs::fstat(fd) {
            Ok(stat) => Meta::from(stat).id == opened.id,
            Err(Errno::BADF) => false,
            Err(_) => opened.marked, // a server that is gone: then the mark has to do
        }
    }

    pub(super) fn close_if_ours(&self) {
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

// ------------------------------------------------------------------------------------------------- a forked child

/// How many descriptors are being opened, and not entered yet. In a forked child, it may count threads that are missing.
static OPENING: AtomicU32 = AtomicU32::new(0);

pub(super) struct Opening;

impl Opening {
    pub(super) fn begin() -> Opening {
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
pub(super) const IN_OPENING: OFlags = OFlags::from_bits_retain(libc::O_ASYNC as u32);

/// Closes a forked child's copies, and nothing that it has opened itself. It takes no lock and allocates no
/// memory.
pub(super) fn close_all(forked: u32, some_left_the_table: bool) {
    for slot in blocks().flat_map(|block| &block.slots) {
        if slot.number.load(Ordering::Relaxed) >= 0 && Generation::was_there(slot.opened().generation, forked) {
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
    let mut slots = blocks().flat_map(|block| &block.slots);
    if slots.any(|slot| slot.number.load(Ordering::Relaxed) == number) {
        return; // the child's own
    }
    // SAFETY: a number that is not open makes each of the calls fail.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    let Ok(flags) = rustix::fs::fcntl_getfl(fd) else { return };
    let in_opening = flags.contains(IN_OPENING) && flags.intersects(OFlags::NOFOLLOW | OFlags::DIRECTORY);
    // The mark alone is no proof of a number that is not in the table: the program may use that signal itself.
    if in_opening || has_mark(fd) == Ok(true) && is_anonymous(fd) {
        // SAFETY: opened by this library, in a thread that is not here.
        unsafe { rustix::io::close(number) };
    }
}

/// Whether it is an eventfd, a timer, an epoll or an inotify queue, which have no kind of file.
fn is_anonymous(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Unknown)
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, IntoRawFd};

    use super::*;
    use crate::sys::tests::is_open;

    /// A server that has its sockets signal with `SIGURG` (F_SETSIG) has the same mark on them.
    #[test]
    fn a_forked_child_keeps_what_the_program_has_marked() {
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let socket = OwnedFd::from(socket);
        assert!(set_mark(&socket));
        close_if_unentered(socket.as_raw_fd());
        assert!(is_open(socket.as_raw_fd()));
        assert_eq!(has_mark(socket.as_fd()), Ok(true));

        let queue = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
        assert!(set_mark(&queue));
        let number = queue.into_raw_fd();
        close_if_unentered(number);
        assert!(!is_open(number), "opened by another thread, and not entered yet");
    }

    #[test]
    fn a_number_that_is_closed_is_no_file_of_ours() {
        let slot = Slot::new();
        // SAFETY: nobody else has it.
        unsafe { (*slot.opened.get()).marked = true };
        // SAFETY: beyond what a process can have open (fs.nr_open): only asked what it is.
        let closed = unsafe { BorrowedFd::borrow_raw(i32::MAX) };
        assert!(!slot.is_same_file(closed) && !slot.is_ours(closed));
    }
}

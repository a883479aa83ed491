//! What `fork` must not break.
//!
//! `flock` belongs to the open file, and a forked child inherits it: a child that outlives its parent would keep the
//! parent's lock alive for ever. So every descriptor of the library stands in a table that needs no lock to be read,
//! and a `pthread_atfork` handler closes the child's copies. A child made without handlers (a bare `clone`) is still
//! told apart, by a page that the kernel wipes in every child; there, `Drop` closes the copies.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock, RwLockWriteGuard, TryLockError};

use super::{Errno, Result};

/// An owned descriptor that a forked child closes by itself.
#[derive(Debug)]
pub(crate) struct Fd(&'static AtomicI32);

/// A slot that no `Fd` uses.
const VACANT: i32 = -2;
/// A slot whose descriptor is closed (in a forked child), or not open yet.
const CLOSED: i32 = -1;

impl Fd {
    /// Opens a descriptor and enters it, with no fork in between.
    pub(super) fn register(open: impl FnOnce() -> Result<OwnedFd>) -> Result<Fd> {
        watch_forks();
        // A poisoned gate guards nothing that could be broken: it is entered for its effect on `fork` alone.
        let _no_fork = GATE.read().unwrap_or_else(PoisonError::into_inner);
        let fd = open()?;
        let slot = enter(fd.as_raw_fd());
        let _ = fd.into_raw_fd(); // the slot's from now on
        Ok(Fd(slot))
    }

    /// `EBADF` in a forked child.
    pub(super) fn borrow(&self) -> Result<BorrowedFd<'_>> {
        match self.0.load(Ordering::Relaxed) {
            CLOSED => Err(Errno::BADF),
            // SAFETY: the slot holds an open descriptor, which only Drop closes, or the fork handler: before any code
            // of the child runs.
            fd => Ok(unsafe { BorrowedFd::borrow_raw(fd) }),
        }
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
        // No fork between the two: the child's copy would be in no table.
        let _no_fork = GATE.read().unwrap_or_else(PoisonError::into_inner);
        let fd = self.0.swap(VACANT, Ordering::AcqRel);
        if fd >= 0 {
            // SAFETY: the slot owned it, and has just given it up. Errors of close are for those who wrote through
            // it without checking; on Linux the descriptor is gone in any case.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
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

// ------------------------------------------------------------------------------------------------- the table

const SLOTS: usize = 64;

/// Grows by blocks that are never given back: a child's handler may be walking them.
struct Block {
    slots: [AtomicI32; SLOTS],
    next: AtomicPtr<Block>,
}

impl Block {
    const fn new() -> Block {
        Block {
            slots: [const { AtomicI32::new(VACANT) }; SLOTS],
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

fn enter(fd: i32) -> &'static AtomicI32 {
    let mut block: &'static Block = &FIRST;
    loop {
        for slot in &block.slots {
            if slot.load(Ordering::Relaxed) == VACANT
                && slot
                    .compare_exchange(VACANT, fd, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
            {
                return slot;
            }
        }
        block = block.next().unwrap_or_else(|| block.grow());
    }
}

// ------------------------------------------------------------------------------------------------ the handlers

/// Held for reading while a descriptor is opened and entered, for writing while the process forks.
static GATE: RwLock<()> = RwLock::new(());

/// The gate's guard, from before a fork until after it.
struct Forking(std::cell::UnsafeCell<Option<RwLockWriteGuard<'static, ()>>>);

// SAFETY: touched only by the thread that forks, while it holds the gate for writing.
unsafe impl Sync for Forking {}

static FORKING: Forking = Forking(std::cell::UnsafeCell::new(None));

extern "C" fn before_fork() {
    let guard = GATE.write().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the gate is held.
    unsafe { *FORKING.0.get() = Some(guard) };
}

extern "C" fn after_fork_in_parent() {
    // SAFETY: the gate is held, by this thread.
    drop(unsafe { (*FORKING.0.get()).take() });
}

extern "C" fn after_fork_in_child() {
    let mut block = Some(&FIRST);
    while let Some(here) = block {
        for slot in &here.slots {
            let fd = slot.load(Ordering::Relaxed);
            if fd >= 0 {
                slot.store(CLOSED, Ordering::Relaxed);
                // SAFETY: the child's own copy, which nothing will use any more.
                unsafe { libc::close(fd) };
            }
        }
        block = here.next();
    }
    after_fork_in_parent();
}

fn watch_forks() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        // SAFETY: three functions of this library; a shared object's handlers go when it is unloaded.
        // ENOMEM is the one error. Then a child keeps its copies until it closes its handles or ends.
        let _ =
            unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child)) };
    });
}

// ------------------------------------------------------------------------------------------- whose process is it

/// Whether what a mutex guards is as its last user left it. In a forked child, a thread that is not there may have been
/// changing it: to free that could free it twice.
pub(crate) fn is_whole<T>(guarded: &Mutex<T>) -> bool {
    !matches!(guarded.try_lock(), Err(TryLockError::WouldBlock))
}

/// One process's life between forks. A handle remembers the one that it was opened in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u32);

/// The number of the last generation, in ordinary memory: a child goes on counting from it.
static LAST: AtomicU32 = AtomicU32::new(0);

impl Generation {
    /// This process's. No system call, after the first.
    pub(crate) fn current() -> Generation {
        let page = wiped_page();
        let seen = page.load(Ordering::Acquire);
        if seen != 0 {
            return Generation(seen);
        }
        let new = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        match page.compare_exchange(0, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Generation(new),
            Err(theirs) => Generation(theirs),
        }
    }
}

/// A number that the kernel sets to zero in every child, handlers or not (`MADV_WIPEONFORK`, Linux 4.14).
fn wiped_page() -> &'static AtomicU32 {
    static PAGE: OnceLock<&'static AtomicU32> = OnceLock::new();
    PAGE.get_or_init(|| map_wiped_page().unwrap_or_else(counted_by_handler))
}

fn map_wiped_page() -> Option<&'static AtomicU32> {
    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};
    const SIZE: usize = 4096;
    // SAFETY: a new private mapping, which is never unmapped; page-aligned and zero, as an AtomicU32 may be.
    unsafe {
        let at = mmap_anonymous(
            std::ptr::null_mut(),
            SIZE,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
        .ok()?;
        match madvise(at, SIZE, Advice::LinuxWipeOnFork) {
            Ok(()) => Some(&*at.cast::<AtomicU32>()),
            Err(_) => {
                // Nothing refers to the page yet. A failure would leak it, no more.
                let _ = rustix::mm::munmap(at, SIZE);
                None
            }
        }
    }
}

/// Without such a page: a number that the fork handler sets to zero.
fn counted_by_handler() -> &'static AtomicU32 {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    extern "C" fn wipe() {
        NUMBER.store(0, Ordering::Release);
    }
    // SAFETY: a function of this library that only stores to a static.
    let _ = unsafe { libc::pthread_atfork(None, None, Some(wipe)) }; // ENOMEM: forks go unseen, as before Linux 4.14
    &NUMBER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_grows_and_slots_are_used_again() {
        let open = || Fd::register(|| rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)).unwrap();
        let many: Vec<Fd> = (0..3 * SLOTS).map(|_| open()).collect();
        let numbers: std::collections::HashSet<i32> = many.iter().map(|fd| fd.number().unwrap()).collect();
        assert_eq!(numbers.len(), many.len());
        drop(many);
        open();
        let blocks = std::iter::successors(Some(&FIRST), |block| block.next().map(|b| -> &Block { b })).count();
        assert!(blocks <= 5, "{blocks} blocks for {} descriptors", 3 * SLOTS);
    }

    #[test]
    fn a_generation_lasts_within_one_process() {
        assert_eq!(Generation::current(), Generation::current());
    }
}

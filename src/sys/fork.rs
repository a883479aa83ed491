//! What `fork` must not break.
//!
//! `flock` belongs to the open file, and a forked child inherits it: a child that outlives its parent would keep the
//! parent's lock alive. So every descriptor of the library is in a table that can be read without a lock, and a
//! `pthread_atfork` handler closes the child's copies. A child made without handlers (a bare `clone`) is still recognised,
//! by a page that the kernel wipes in every child; there, `Drop` closes the copies.
//!
//! The handlers take no lock and wait for nothing: a program may fork in a signal handler that interrupted this
//! library, and while another of its threads is inside it, in a system call that a frozen file system does not end.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering};
use std::sync::{Mutex, TryLockError};

use super::{process, table};

/// How many forks are going on, and whether a descriptor was closed meanwhile ([`CLOSED`]).
static FORKING: AtomicU32 = AtomicU32::new(0);
const CLOSED: u32 = 1 << 31;

/// Right after a descriptor is closed, and before it leaves the table. `fork` copies the descriptors first and the
/// memory later: in between, it can come to stand in the child's copy of the one and not of the other.
pub(super) fn note_close() {
    let note = |forking| (forking != 0).then_some(forking | CLOSED);
    let _ = FORKING.fetch_update(Ordering::SeqCst, Ordering::SeqCst, note); // nobody forks
}

/// The generation that forks; 0: unknown.
static FORKED: AtomicU32 = AtomicU32::new(0);

extern "C" fn before_fork() {
    FORKING.fetch_add(1, Ordering::SeqCst);
    FORKED.store(Generation::seen(), Ordering::SeqCst);
}

extern "C" fn after_fork_in_parent() {
    let end = |forking| match forking & !CLOSED {
        0 | 1 => 0, // 0: the handlers were set up while another thread was forking
        others => (others - 1) | (forking & CLOSED),
    };
    let _ = FORKING.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |forking| Some(end(forking))); // never refused
}

extern "C" fn after_fork_in_child() {
    // A handler of the program's, which was called before this one, may have opened handles in the child already.
    let forked = FORKED.load(Ordering::SeqCst);
    Generation::end_if(forked);
    let forking = FORKING.swap(0, Ordering::SeqCst);
    table::close_all(forked, forking & CLOSED != 0);
}

/// Registers the handlers.
pub(super) fn watch() {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    if WATCHED.load(Ordering::Acquire) {
        return;
    }
    // Two threads may come here at once, and a child may in which a thread is missing that was here: then the
    // handlers are called twice, which does no harm. To wait for each other would. Without signals: a signal handler
    // that forks would wait for the C library's list of fork handlers, which this thread may be changing.
    let failed = process::without_signals(|| {
        // SAFETY: three functions of this library; a shared object's handlers go when it is unloaded.
        unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork_in_parent), Some(after_fork_in_child)) }
    });
    // ENOMEM is the one error. Then a child keeps its copies until it closes its handles or ends, and the next
    // descriptor tries again.
    if failed == 0 {
        WATCHED.store(true, Ordering::Release);
    }
}

// ------------------------------------------------------------------------------------------- whose process is it

/// Whether what a mutex guards is as its last user left it. In a forked child, a thread that does not exist there may have
/// been changing it: to free that could free it twice.
pub(crate) fn is_whole<T>(guarded: &Mutex<T>) -> bool {
    !matches!(guarded.try_lock(), Err(TryLockError::WouldBlock))
}

/// One process's life between forks. A handle remembers the one that it was opened in.
///
/// A fork is noticed by two means that do not depend on each other: the handler above, and a page that the kernel wipes
/// in every child (`MADV_WIPEONFORK`, Linux 4.14), handlers or not. Where the page cannot be had or is not wiped, the
/// process's number is the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u32);

/// The number of the last generation, in ordinary memory: a child goes on counting from it.
static LAST: AtomicU32 = AtomicU32::new(0);

/// Where the number of this generation stands; null at first.
static CURRENT: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());

/// Stands in for a page that the kernel wipes.
static UNWIPED: AtomicU32 = AtomicU32::new(0);

impl Generation {
    /// That of this process. After the first call, it makes no system call if the kernel wipes the page.
    pub(crate) fn current() -> Generation {
        let place = place();
        if std::ptr::eq(place, &UNWIPED) {
            compare_process();
        }
        let seen = place.load(Ordering::Acquire);
        if seen != 0 {
            return Generation(seen);
        }
        let new = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        match place.compare_exchange(0, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Generation(new),
            Err(theirs) => Generation(theirs),
        }
    }

    pub(super) fn number(self) -> u32 {
        self.0
    }

    /// Whether this number is that of a generation that was there when `forked` forked; 0: unknown.
    pub(super) fn was_there(number: u32, forked: u32) -> bool {
        forked == 0 || forked.wrapping_sub(number) <= u32::MAX / 2
    }

    /// The number of this process's, if it has one.
    fn seen() -> u32 {
        // SAFETY: null, or what `place` put there.
        let place = unsafe { CURRENT.load(Ordering::Acquire).as_ref() };
        place.map_or(0, |place| place.load(Ordering::Acquire))
    }

    /// In a child, where this is still the number of its parent's; 0: whatever it is.
    fn end_if(forked: u32) {
        // SAFETY: as above.
        let Some(place) = (unsafe { CURRENT.load(Ordering::Acquire).as_ref() }) else {
            return;
        };
        if forked == 0 || place.load(Ordering::Acquire) == forked {
            place.store(0, Ordering::Release);
        }
    }
}

/// Ends the generation if this is another process than before.
fn compare_process() {
    static PROCESS: AtomicI32 = AtomicI32::new(0);
    let now = rustix::process::getpid().as_raw_nonzero().get();
    if PROCESS.swap(now, Ordering::AcqRel) != now {
        Generation::end_if(0);
    }
}

/// Threads that come here at once do not wait for each other: one of them may be missing in a child.
fn place() -> &'static AtomicU32 {
    // SAFETY: null, a page that is never unmapped once it stands there, or a static.
    let load = || unsafe { CURRENT.load(Ordering::Acquire).as_ref() };
    if let Some(place) = load() {
        return place;
    }
    watch();
    let page = map_wiped_page();
    let new = page.map_or(std::ptr::from_ref(&UNWIPED).cast_mut(), |page| page.cast());
    let order = (Ordering::AcqRel, Ordering::Acquire);
    if CURRENT
        .compare_exchange(std::ptr::null_mut(), new, order.0, order.1)
        .is_err()
    {
        if let Some(page) = page {
            unmap(page);
        }
    }
    load().unwrap_or(&UNWIPED)
}

const PAGE: usize = 4096;

/// `None`: before Linux 4.14, or where the kernel is another that takes every advice and follows none (qemu-user).
fn map_wiped_page() -> Option<*mut std::ffi::c_void> {
    use rustix::mm::MapFlags;
    let page = map(MapFlags::PRIVATE)?;
    // A kernel that knows the advice refuses it for memory that is shared (madvise(2)).
    let refuses = map(MapFlags::SHARED).is_some_and(|shared| {
        let refuses = !wipe_on_fork(shared);
        unmap(shared);
        refuses
    });
    if refuses && wipe_on_fork(page) {
        return Some(page);
    }
    unmap(page);
    None
}

fn map(flags: rustix::mm::MapFlags) -> Option<*mut std::ffi::c_void> {
    use rustix::mm::ProtFlags;
    // SAFETY: new memory, where the kernel likes.
    unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), PAGE, ProtFlags::READ | ProtFlags::WRITE, flags) }.ok()
}

fn wipe_on_fork(page: *mut std::ffi::c_void) -> bool {
    // SAFETY: mapped by `map`; nothing refers to it yet.
    unsafe { rustix::mm::madvise(page, PAGE, rustix::mm::Advice::LinuxWipeOnFork) }.is_ok()
}

fn unmap(page: *mut std::ffi::c_void) {
    // SAFETY: mapped by `map`, and nothing refers to it. A failure leaks it, no more.
    let _ = unsafe { rustix::mm::munmap(page, PAGE) };
}

#[cfg(test)]
mod tests {
    use std::os::fd::IntoRawFd;

    use rustix::fs::{Mode, OFlags};

    use super::*;
    use crate::sys::tests::{ends_in_a_child, is_open};

    /// In a child: ends it unless this is so.
    fn expect(is_so: bool) {
        if !is_so {
            std::process::abort();
        }
    }

    #[test]
    fn a_generation_lasts_within_one_process() {
        assert_eq!(Generation::current(), Generation::current());
        assert!(!std::ptr::eq(place(), &UNWIPED), "this kernel wipes the page");
    }

    #[test]
    fn what_a_missing_thread_may_have_been_changing_is_not_whole() {
        let guarded = Mutex::new(());
        assert!(is_whole(&guarded));
        let _changing = guarded.lock().unwrap();
        assert!(!is_whole(&guarded));
    }

    #[test]
    fn a_kernel_that_wipes_pages_refuses_to_wipe_shared_ones() {
        let page = map(rustix::mm::MapFlags::SHARED).unwrap();
        assert!(!wipe_on_fork(page), "refused for memory that is shared");
        unmap(page);
    }

    #[test]
    fn a_wiped_page_is_empty_in_a_child() {
        let page = map_wiped_page().expect("this kernel wipes pages");
        // SAFETY: mapped, and nobody else's.
        unsafe { page.cast::<u32>().write(1) };
        // SAFETY: as above.
        assert!(ends_in_a_child(|| expect(unsafe { page.cast::<u32>().read() } == 0)));
        unmap(page);
    }

    /// These look in a child, because no other thread forks there or closes anything.
    #[test]
    fn a_close_is_noted_as_long_as_anybody_forks() {
        watch();
        let parents = Generation::current();
        assert!(ends_in_a_child(|| {
            let is_forking = |forking| expect(FORKING.load(Ordering::SeqCst) == forking);
            expect(FORKED.load(Ordering::SeqCst) == parents.number());
            let ours = Generation::current();
            note_close();
            is_forking(0);
            before_fork();
            expect(FORKED.load(Ordering::SeqCst) == ours.number());
            is_forking(1);
            note_close();
            before_fork();
            is_forking(2 | CLOSED);
            after_fork_in_parent();
            is_forking(1 | CLOSED);
            after_fork_in_parent();
            is_forking(0);
            after_fork_in_parent(); // of a fork that began before the handlers were set up
            is_forking(0);
        }));
    }

    /// Whether a child closes a directory that is not in the table, if this happened in another thread.
    fn is_closed_if(happens: impl FnOnce()) -> bool {
        ends_in_a_child(|| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | table::IN_OPENING;
            let number = rustix::fs::open(c"/", flags, Mode::empty()).map_or(-1, IntoRawFd::into_raw_fd);
            expect(is_open(number));
            before_fork();
            happens();
            after_fork_in_child();
            expect(!is_open(number));
        })
    }

    #[test]
    fn a_child_closes_what_was_taken_out_of_the_table_during_the_fork() {
        assert!(is_closed_if(note_close));
    }

    #[test]
    fn a_child_closes_what_was_not_in_the_table_yet() {
        assert!(is_closed_if(|| std::mem::forget(table::Opening::begin())));
    }

    #[test]
    fn a_generation_ends_with_its_process_and_not_with_another() {
        assert!(ends_in_a_child(|| {
            let ends = |end: &dyn Fn(Generation)| {
                let was = Generation::current();
                end(was);
                Generation::current() != was
            };
            expect(!ends(&|was| Generation::end_if(was.number() + 1)));
            expect(ends(&|was| Generation::end_if(was.number())));
            expect(ends(&|_| Generation::end_if(0)));
            expect(ends(&|_| compare_process())); // for the first time in this process
            expect(!ends(&|_| compare_process()));
        }));
    }

    #[test]
    fn a_generation_was_there_if_it_is_no_later_than_the_one_that_forked() {
        for (number, forked) in [(4, 5), (5, 5), (u32::MAX, 5), (0, u32::MAX / 2), (6, 0)] {
            assert!(Generation::was_there(number, forked), "{number} {forked}");
        }
        for (number, forked) in [(6, 5), (5, u32::MAX), (0, u32::MAX / 2 + 1)] {
            assert!(!Generation::was_there(number, forked), "{number} {forked}");
        }
    }

    /// How many forks were going on when the last one began, to a handler that comes after those that were registered later.
    static BEGUN: AtomicU32 = AtomicU32::new(0);

    extern "C" fn look() {
        BEGUN.store(FORKING.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    #[test]
    fn the_handlers_are_registered_once() {
        watch();
        assert!(ends_in_a_child(|| {
            BEGUN.store(u32::MAX, Ordering::SeqCst);
            // SAFETY: a function of this program.
            expect(unsafe { libc::pthread_atfork(Some(look), None, None) } == 0);
            watch();
            expect(ends_in_a_child(|| {}));
            expect(BEGUN.load(Ordering::SeqCst) == 0);
        }));
    }
}

//! The handle: one participant in the lock and the journal of one directory, whichever threads use it.
//!
//! | what | file |
//! | --- | --- |
//! | opening; where the path leads now | `open.rs`, `whereabouts.rs` |
//! | whose turn it is among threads that acquire | `turn.rs` |
//! | acquiring: blocking, and in steps | `acquire.rs` |
//! | the guard of a hold | `guard.rs` |
//! | the journal under the lock | `journal.rs` |
//!
//! Nothing waits with the handle's state locked, except for the disk: a thread that acquires locks it for each single step. So
//! a release, an inspection, a read or a cancel never waits for another thread's wait.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::abi;
use crate::error::{ESTALE, Error, Result};
use crate::journal::Durable;
use crate::lock::acquire::Acquire;
use crate::lock::bell::Bell;
use crate::lock::dir::Dir;
use crate::lock::inspect::{Holder, inspect};
use crate::lock::site::Seat;
use crate::lock::wait::WaitFd;
use crate::lock::{Participant, State};
use crate::memory::survive;
use crate::options::Options;
use crate::sys::FileId;
use crate::sys::fork::{Generation, is_whole};

mod acquire;
mod guard;
mod journal;
mod open;
mod turn;
mod whereabouts;

pub use acquire::Acquiring;
pub use guard::{Guard, Unreleased};
pub use journal::Journal;
use turn::Turns;
use whereabouts::Whereabouts;

/// The file name of codegraph's journal.
pub const JOURNAL_FILENAME: &str = "changes.journal";

/// One participant in the lock of one journal.
///
/// All threads that use it are the same participant: calls that acquire are served one after another, each waits no longer
/// than its own timeout, and to acquire while it is held is an error. Threads that want to exclude each other open a `Lock`
/// each; two of them in one process exclude each other like two processes. Dropping it releases.
///
/// If it was opened by a path, it follows the path: if the directory was removed, moved away or replaced, the next acquire
/// opens the new one, at the latest a second later.
///
/// ```
/// # let dir = std::env::temp_dir().join(format!("jlock-doc-lock-{}", std::process::id()));
/// let lock = jlock::Lock::open(&dir)?;
/// {
///     let _held = lock.acquire()?;
///     // … whatever must not happen at the same time anywhere …
/// } // released
/// # drop(lock); std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), jlock::Error>(())
/// ```
#[derive(Debug)]
pub struct Lock {
    /// `None`: it is being closed. Locked for a step or a journal call, never for a wait.
    inner: Mutex<Option<Inner>>,
    /// What other threads may look at meanwhile.
    seen: Mutex<Seen>,
    whereabouts: Whereabouts,
    turns: Turns,
    bell: Arc<Bell>,
    wait_fd: OnceLock<WaitFd>,
    options: Options,
    generation: Generation,
}

#[derive(Debug)]
struct Inner {
    participant: Participant,
    durable: Durable,
    /// The acquire that was started, and goes on with each poll.
    started: Option<Acquire>,
}

/// What the participant was like after the last call.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    mine: Option<FileId>,
    recovered: bool,
    without_link: bool,
    without_flock: bool,
}

impl Lock {
    /// Renews the sign of life by which shipped peers judge. Call it at least every 30 s under a long hold.
    ///
    /// # Errors
    /// [`NotHeld`](crate::ErrorKind::NotHeld); [`Lost`](crate::ErrorKind::Lost): the lock was taken away; any errno.
    pub fn refresh(&self) -> Result<()> {
        self.enter(|inner| {
            self.follow(inner)?;
            inner.participant.refresh()
        })
    }

    /// Releases without a guard.
    pub(crate) fn let_go(&self) -> Result<()> {
        self.enter(|inner| {
            self.follow(inner)?;
            inner.participant.release()
        })
    }

    /// Whether the last acquire took over from a dead holder: then what the lock protects may be half done.
    ///
    /// # Errors
    /// [`Forked`](crate::ErrorKind::Forked).
    pub fn recovered(&self) -> Result<bool> {
        self.check_process()?;
        Ok(self.seen().recovered)
    }

    /// Ends the waits in progress on this handle, from another thread. It never waits itself, and has no effect on a wait that
    /// begins later, nor on the wait for a file server's lease on the journal.
    ///
    /// # Errors
    /// [`Forked`](crate::ErrorKind::Forked).
    pub fn cancel(&self) -> Result<()> {
        self.check_process()?;
        if self.bell.cancel() {
            self.turns.wake_all();
        }
        Ok(())
    }

    /// Finds out who holds the lock. It takes and changes nothing.
    ///
    /// # Errors
    /// [`NotLock`](crate::ErrorKind::NotLock), `ELOOP`: no regular file at the lock's name; any errno.
    pub fn inspect(&self) -> Result<Holder> {
        self.check_process()?;
        let seen = *self.seen();
        let look = || -> Result<(Holder, Arc<Dir>)> {
            let dir = self.whereabouts.dir(None)?;
            let holder = self.surviving(|| inspect(&dir, &self.options, seen.mine))?;
            Ok((holder, dir))
        };
        let (mut holder, dir) = look()?;
        // Free, or gone with its directory?
        if holder.state == State::Free && dir.is_removed() && self.whereabouts.doubt() {
            holder = look()?.0;
        }
        holder.without_link = seen.without_link;
        holder.without_flock = seen.without_flock;
        Ok(holder)
    }

    /// The journal that this lock guards.
    pub fn journal(&self) -> Journal<'_> {
        Journal::of(self)
    }

    /// For event loops: a descriptor, owned by this handle, that polls readable when an acquire that was
    /// [started](Self::start_acquire) may go on. It is the same for the handle's life. Do not read from it.
    ///
    /// # Errors
    /// `EMFILE`, `ENFILE`, `ENOMEM`; [`Forked`](crate::ErrorKind::Forked).
    pub fn wait_fd(&self) -> Result<i32> {
        self.check_process()?;
        self.waiter()?.number()
    }

    /// Releases the lock, if it is held, and closes the handle. Returns the result of the release; the handle is gone in any
    /// case.
    ///
    /// # Errors
    /// As [`Guard::release`].
    pub fn close(self) -> Result<()> {
        self.end()
    }

    // ------------------------------------------------------------------------------------------------- inside

    /// Whether this is the process that opened the lock.
    fn is_ours(&self) -> bool {
        self.generation == Generation::current()
    }

    pub(crate) fn check_process(&self) -> Result<()> {
        if self.is_ours() {
            return Ok(());
        }
        Err(Error::plain(abi::JLOCK_EFORKED))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner) // a copy of a few values
    }

    fn inner(&self) -> Result<MutexGuard<'_, Option<Inner>>> {
        // Check before the mutex: a thread that fork left behind may have locked it.
        self.check_process()?;
        self.inner.lock().map_err(|_| Error::plain(abi::JLOCK_EPANIC))
    }

    fn enter<T>(&self, act: impl FnOnce(&mut Inner) -> Result<T>) -> Result<T> {
        let mut inner = self.inner()?;
        self.act(&mut inner, act)
    }

    /// Acts on the handle's state, restores order if memory runs out, and publishes the new state.
    fn act<T>(&self, inner: &mut Option<Inner>, act: impl FnOnce(&mut Inner) -> Result<T>) -> Result<T> {
        let Some(inner) = inner else {
            return Err(Error::new(-crate::error::EINVAL, "the handle is closed"));
        };
        let was_held = inner.participant.holding.hold().is_some();
        let acted = survive(|| act(&mut *inner));
        if acted.is_err() {
            self.recover(inner, was_held);
        }
        self.show(inner);
        acted.unwrap_or_else(|out_of_memory| Err(out_of_memory.into()))
    }

    fn recover(&self, inner: &mut Inner, was_held: bool) {
        inner.participant.recover(was_held);
        if let (true, Some(waiter)) = (self.end_started(inner), self.wait_fd.get()) {
            waiter.report(); // whoever waits for it may be another thread
        }
    }

    /// Leaves a hold as a crash would: the next holder knows what to do about it.
    fn give_up_hold(&self, inner: &mut Option<Inner>) {
        if let Some(inner) = inner {
            inner.participant.abandon();
            self.show(inner);
        }
    }

    fn show(&self, inner: &Inner) {
        *self.seen() = inner.seen();
    }

    fn surviving<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        survive(act).unwrap_or_else(|out_of_memory| Err(out_of_memory.into()))
    }

    /// Makes sure that the participant is where the path leads now.
    fn follow(&self, inner: &mut Inner) -> Result<()> {
        let held = inner.participant.holding.hold().is_some();
        let dir = match self.whereabouts.dir(Some(&self.options).filter(|_| !held)) {
            Ok(dir) => dir,
            // The directory is gone, and nobody has made it again: what was held there is lost.
            Err(error) if !held => return Err(error),
            Err(_) => {
                inner.participant.forfeit();
                return Ok(());
            }
        };
        if !Arc::ptr_eq(&dir, &inner.participant.dir) {
            inner.move_to(dir, &self.bell);
        }
        Ok(())
    }

    /// If the directory turns out to be removed, acts once more, where the path leads now.
    fn where_the_path_leads<T>(&self, act: impl Fn() -> Result<T>) -> Result<T> {
        match act() {
            Err(error) if error.code() == -ESTALE && self.whereabouts.doubt() => act(),
            acted => acted,
        }
    }

    fn end(&self) -> Result<()> {
        // A forked child closes its copies and touches nothing else. (The fork handler has closed what it cannot drop.)
        let is_ours = self.is_ours();
        if !is_ours && !is_whole(&self.inner) {
            return Ok(());
        }
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut inner) = inner.filter(|_| is_ours) else {
            return Ok(());
        };
        let closed = survive(|| {
            self.end_started(&mut inner);
            inner.participant.close()
        });
        closed.unwrap_or_else(|out_of_memory| {
            inner.participant.abandon();
            inner.participant.stop();
            Err(out_of_memory.into())
        })
    }
}

impl Inner {
    fn seen(&self) -> Seen {
        let (without_link, without_flock) = self.participant.fallback();
        Seen {
            mine: self.participant.holding.hold().map(|hold| hold.id),
            recovered: self.participant.recovered,
            without_link,
            without_flock,
        }
    }

    fn move_to(&mut self, dir: Arc<Dir>, bell: &Arc<Bell>) {
        let seat = Seat::new(&dir, bell);
        self.participant.move_to(dir, seat);
        self.durable = Durable::default();
    }
}

#[cfg(test)]
impl Lock {
    pub(crate) fn run_out(&self) -> Result<()> {
        self.enter(|_| std::panic::resume_unwind(Box::new(crate::memory::OutOfMemory)))
    }

    /// Memory runs out while a postscript stands in the lock.
    pub(crate) fn run_out_in_an_append(&self) -> Result<()> {
        self.enter(|inner| {
            inner.participant.put_postscript("append=0:0:0\n")?;
            std::panic::resume_unwind(Box::new(crate::memory::OutOfMemory))
        })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.end(); // to learn of an error, call `close`
        if !self.is_ours() && !is_whole(&self.inner) {
            // A thread that does not exist here was changing it: to free it could free it twice.
            let inner = self.inner.get_mut().unwrap_or_else(PoisonError::into_inner).take();
            std::mem::forget(inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::tests::Scratch;

    #[test]
    fn an_acquire_that_ran_out_of_memory_in_another_call_leaves_its_turn_to_the_next() {
        let scratch = Scratch::new();
        let dir = &scratch.path;
        let (lock, other) = (Lock::open(dir).unwrap(), Lock::open(dir).unwrap());
        let held = other.acquire().unwrap();
        let mut started = lock.start_acquire(None).unwrap();
        assert!(started.poll().unwrap().is_none());
        assert_eq!(lock.run_out().unwrap_err().code(), -crate::error::ENOMEM);
        let waiter = lock.waiter().unwrap();
        assert!(waiter.is_readable(), "whoever waits for it hears of its end");
        assert_eq!(started.poll().unwrap_err().code(), -crate::error::EINVAL);
        assert!(!waiter.is_readable());
        held.release().unwrap();
        lock.try_acquire().unwrap().release().unwrap();
        drop(started);
        drop((lock, other));
    }

    #[test]
    fn a_poll_without_an_acquire_leaves_the_bell_to_the_thread_that_blocks() {
        let scratch = Scratch::new();
        let lock = Lock::open(&scratch.path).unwrap();
        lock.bell.ring();
        assert_eq!(lock.poll().unwrap_err().code(), -crate::error::EINVAL);
        assert!(lock.bell.is_rung());
        drop(lock);
    }
}

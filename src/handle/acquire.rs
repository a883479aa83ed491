//! Acquiring on a handle: by a call that blocks, or in steps for an event loop. Both drive the same state machine.

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use super::guard::Handle;
use super::turn::Turn;
use super::{Guard, Inner, Lock};
use crate::error::{EAGAIN, EALREADY, ECANCELED, EINVAL, ESTALE, ETIMEDOUT, Error, Result};
use crate::journal::note;
use crate::lock::Participant;
use crate::lock::acquire::{Acquire, Patience, Step};
use crate::lock::bell::{Bell, Waiting};
use crate::lock::dir::{Dir, Name};
use crate::lock::time::{Deadline, Seconds};
use crate::lock::wait::WaitFd;
use crate::sys;

/// The lock is held, and nobody else can use the handle as long as this lives.
pub(super) struct Alone<'l> {
    pub inner: MutexGuard<'l, Option<Inner>>,
    _turn: Turn<'l>,
}

impl Lock {
    /// Acquires the lock, waiting as long as [`Options::timeout`](crate::Options::timeout) says, and up to
    /// [`Options::settle`](crate::Options::settle) longer when it takes over from a dead holder.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut), with a message that names the holder;
    /// [`Cancelled`](crate::ErrorKind::Cancelled); [`Deadlock`](crate::ErrorKind::Deadlock): this handle holds it;
    /// [`NotLock`](crate::ErrorKind::NotLock), `ELOOP`: no regular file at the lock's name; any errno of the system
    /// calls (`EACCES`, `EROFS`, `ENOSPC`, `EMFILE`, `ENOENT`, …). Nothing is held then, and the handle stays usable.
    pub fn acquire(&self) -> Result<Guard<'_>> {
        self.hold(None)?;
        Ok(Guard::of(Handle::Borrowed(self)))
    }

    /// As [`acquire`](Self::acquire), but with this timeout; `None` waits forever, zero not at all.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    pub fn acquire_for(&self, timeout: impl Into<Option<Duration>>) -> Result<Guard<'_>> {
        self.hold(Some(Patience::For(timeout.into())))?;
        Ok(Guard::of(Handle::Borrowed(self)))
    }

    /// Acquires the lock if nobody holds it. It takes up to [`Options::settle`](crate::Options::settle) if the holder is dead,
    /// and otherwise never waits.
    ///
    /// # Errors
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock): somebody holds it; otherwise as [`acquire`](Self::acquire).
    pub fn try_acquire(&self) -> Result<Guard<'_>> {
        self.hold(Some(Patience::Try))?;
        Ok(Guard::of(Handle::Borrowed(self)))
    }

    /// As [`acquire`](Self::acquire), with a guard that owns its share of the lock: it can be kept in a struct, and moved
    /// into a thread or a task.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    pub fn acquire_owned(self: &Arc<Self>) -> Result<Guard<'static>> {
        self.hold(None)?;
        Ok(Guard::of(Handle::Owned(Arc::clone(self))))
    }

    /// For event loops: begins to acquire, and never waits. It keeps its place in line until it is over, or dropped. Without a
    /// timeout, it goes on forever.
    ///
    /// # Errors
    /// `EALREADY`: an acquire is in progress on this handle; otherwise as [`acquire`](Self::acquire).
    pub fn start_acquire(&self, timeout: impl Into<Option<Duration>>) -> Result<Acquiring<'_>> {
        Acquiring::start(Handle::Borrowed(self), timeout.into())
    }

    /// As [`start_acquire`](Self::start_acquire), with a guard that owns its share of the lock.
    ///
    /// # Errors
    /// As [`start_acquire`](Self::start_acquire).
    pub fn start_acquire_owned(self: &Arc<Self>, timeout: impl Into<Option<Duration>>) -> Result<Acquiring<'static>> {
        Acquiring::start(Handle::Owned(Arc::clone(self)), timeout.into())
    }

    /// Acquires without a guard: what C does. `None`: as long as the options say.
    pub(crate) fn hold(&self, patience: Option<Patience>) -> Result<()> {
        let patience = patience.unwrap_or(Patience::For(self.options.timeout));
        self.hold_alone(patience).map(drop)
    }

    /// Acquires for a call that nobody else can interrupt: until it is over, no other call can use the handle.
    pub(super) fn hold_alone(&self, patience: Patience) -> Result<Alone<'_>> {
        let deadline = Deadline::after(patience.timeout());
        self.where_the_path_leads(|| self.hold_until(patience, deadline))
    }

    fn hold_until(&self, patience: Patience, deadline: Deadline) -> Result<Alone<'_>> {
        self.check_process()?;
        let (turn, waiting) = match self.turns.try_take() {
            Some(turn) => (turn, None),
            None => {
                let (turn, waiting) = self.wait_for_turn(patience, deadline)?;
                (turn, Some(waiting))
            }
        };
        let begun = self.enter(|inner| {
            self.follow(inner)?;
            Acquire::begin(&mut inner.participant, patience.less(deadline), &self.bell, waiting)
        });
        if let (Err(_), Some(waiting)) = (&begun, waiting) {
            self.bell.end(waiting);
        }
        let mut acquire = begun?;
        let held = self.drive(&mut acquire);
        if held.is_err() {
            // The wait failed, or memory ran out in a step: leave nothing in line.
            let _ = self.enter(|inner| {
                acquire.abandon(&mut inner.participant, &self.bell);
                Ok(())
            });
        }
        held.map(|inner| Alone { inner, _turn: turn })
    }

    fn drive(&self, acquire: &mut Acquire) -> Result<MutexGuard<'_, Option<Inner>>> {
        let mut inner = self.inner()?;
        loop {
            let wait = match self.act(&mut inner, |inner| step(&mut inner.participant, acquire, &self.bell))? {
                Step::Held => return Ok(inner),
                Step::Wait(wait) => wait,
            };
            drop(inner);
            wait.block(&self.bell, || acquire.is_over(&self.bell))?;
            inner = self.inner()?;
            self.act(&mut inner, |inner| {
                if let Some(dir) = self.elsewhere(inner) {
                    acquire.leave(&mut inner.participant);
                    inner.move_to(dir, &self.bell);
                }
                Ok(())
            })?;
        }
    }

    /// The directory that the path leads to now, if that is another one. If it leads nowhere, an acquire waits where it is.
    fn elsewhere(&self, inner: &Inner) -> Option<Arc<Dir>> {
        let dir = self.whereabouts.dir(Some(&self.options)).ok()?;
        (!Arc::ptr_eq(&dir, &inner.participant.dir)).then_some(dir)
    }

    /// Also returns the wait, which goes on: a cancel in between ends the acquire as well.
    fn wait_for_turn(&self, patience: Patience, deadline: Deadline) -> Result<(Turn<'_>, Waiting)> {
        let what = "another thread's acquire on this handle goes on";
        let lock = self.whereabouts.known();
        let lock = Name(&lock.lock);
        if patience == Patience::Try {
            return Err(Error::new(-EAGAIN, format!("{lock}: {what}")));
        }
        let begun = sys::monotonic();
        let waiting = self.bell.begin();
        let cancelled = || self.bell.is_cancelled(waiting);
        let turn = self.turns.take(|| deadline.left(sys::monotonic()), cancelled);
        let waited = Seconds(sys::monotonic().saturating_sub(begun));
        // A waiter that a cancel has woken can find that the turn is free.
        let was_cancelled = cancelled();
        if let Some(turn) = turn.filter(|_| !was_cancelled) {
            return Ok((turn, waiting));
        }
        self.bell.end(waiting);
        Err(match was_cancelled {
            true => Error::new(-ECANCELED, format!("{lock}: cancelled after {waited}")),
            false => Error::new(-ETIMEDOUT, format!("{lock}: {what}; gave up after {waited}")),
        })
    }

    // ------------------------------------------------------------------------------------------------- in steps

    pub(super) fn waiter(&self) -> Result<&WaitFd> {
        if let Some(known) = self.wait_fd.get() {
            return Ok(known);
        }
        let made = WaitFd::new(&self.bell)?;
        Ok(self.wait_fd.get_or_init(|| made))
    }

    /// Starts to acquire. `false`: it goes on, with each [`poll`](Self::poll).
    pub(crate) fn start(&self, timeout: Option<Duration>) -> Result<bool> {
        self.check_process()?;
        let waiter = self.waiter()?;
        let Some(turn) = self.turns.try_take() else {
            return Err(Error::plain(-EALREADY));
        };
        let is_held = self.where_the_path_leads(|| {
            self.enter(|inner| {
                self.follow(inner)?;
                let patience = Patience::For(timeout);
                inner.started = Some(Acquire::begin(&mut inner.participant, patience, &self.bell, None)?);
                let is_held = self.go_on(inner, waiter)?;
                if !is_held {
                    self.turns.keep(); // until it is over, which another thread may see to in a moment
                }
                Ok(is_held)
            })
        })?;
        if !is_held {
            turn.forget();
        }
        Ok(is_held)
    }

    /// Goes on with the acquire that was started.
    pub(crate) fn poll(&self) -> Result<bool> {
        self.check_process()?;
        let waiter = self.waiter()?;
        self.enter(|inner| self.go_on(inner, waiter))
    }

    /// While it goes on, it stays in the state, so that it is found there if memory runs out.
    fn go_on(&self, inner: &mut Inner, waiter: &WaitFd) -> Result<bool> {
        if inner.started.is_some() {
            self.bell.clear(); // otherwise it may ring for another thread, which blocks
        }
        if let Some(dir) = self.elsewhere(inner) {
            if let Some(started) = &mut inner.started {
                started.leave(&mut inner.participant);
                inner.move_to(dir, &self.bell);
            }
        }
        let armed = self.step_started(inner).and_then(|step| match step {
            Step::Wait(wait) => waiter.arm(&wait, &self.bell).map(|()| false),
            Step::Held => Ok(true),
        });
        if !matches!(armed, Ok(false)) {
            self.end_started(inner);
        }
        armed
    }

    fn step_started(&self, inner: &mut Inner) -> Result<Step> {
        let Some(started) = &mut inner.started else {
            if let Some(waiter) = self.wait_fd.get() {
                waiter.disarm(&self.bell); // it may have reported an end
            }
            return Err(Error::new(-EINVAL, "no acquire was started on this handle"));
        };
        let stepped = step(&mut inner.participant, started, &self.bell);
        let is_removed = stepped.as_ref().is_err_and(|error| error.code() == -ESTALE);
        if !is_removed || !self.whereabouts.doubt() {
            return stepped;
        }
        *started = started.begin_anew(&mut inner.participant, &self.bell)?;
        self.follow(inner)?;
        let anew = inner.started.as_mut();
        anew.map_or(stepped, |anew| step(&mut inner.participant, anew, &self.bell))
    }

    /// Gives up an acquire that was started.
    fn give_up(&self) {
        // An error: the handle is broken, or closed, and then nothing is in progress.
        let _ = self.enter(|inner| {
            self.end_started(inner);
            Ok(())
        });
    }

    /// Ends the acquire that was started, if there is one, and its turn. (If it holds the lock, it is over already.)
    pub(super) fn end_started(&self, inner: &mut Inner) -> bool {
        let Some(started) = inner.started.take() else {
            return false;
        };
        if let Some(waiter) = self.wait_fd.get() {
            waiter.disarm(&self.bell);
        }
        started.abandon(&mut inner.participant, &self.bell);
        self.turns.end_kept();
        true
    }
}

/// A step of an acquire. Once it holds the lock, it acts on what the dead holder left behind its stamp.
fn step(participant: &mut Participant, acquire: &mut Acquire, bell: &Bell) -> Result<Step> {
    let step = acquire.step(participant, bell)?;
    let is_held = matches!(step, Step::Held); // a claim that settles once more keeps what it inherited
    if let Some(inherited) = participant.inherited.take_if(|_| is_held) {
        note::act_upon(&participant.dir, &inherited.postscript, inherited.user);
        let _ = participant.clear_postscript(); // if it stays, it is overwritten, or acted on once more
    }
    Ok(step)
}

/// An acquire in progress; [`Lock::start_acquire`] gives it. Dropping it gives it up.
///
/// Wait until [`Lock::wait_fd`] polls readable, then [`poll`](Self::poll), and so on. Neither ever waits.
#[derive(Debug)]
#[must_use = "it is given up as soon as it is dropped"]
pub struct Acquiring<'l> {
    /// `None`: it is over.
    lock: Option<Handle<'l>>,
    is_held: bool,
}

impl<'l> Acquiring<'l> {
    fn start(handle: Handle<'l>, timeout: Option<Duration>) -> Result<Self> {
        let is_held = handle.lock().start(timeout)?;
        let lock = Some(handle);
        Ok(Acquiring { lock, is_held })
    }

    /// Goes on. `None`: it is not over yet. After a guard or an error it is.
    ///
    /// # Errors
    /// As [`Lock::acquire`]; `EINVAL`: it is over already.
    pub fn poll(&mut self) -> Result<Option<Guard<'l>>> {
        let Some(handle) = self.lock.take() else {
            return Err(Error::new(-EINVAL, "this acquire is over"));
        };
        match self.is_held || handle.lock().poll()? {
            true => Ok(Some(Guard::of(handle))),
            false => {
                self.lock = Some(handle);
                Ok(None)
            }
        }
    }
}

impl Drop for Acquiring<'_> {
    fn drop(&mut self) {
        match self.lock.take() {
            Some(handle) if self.is_held => drop(Guard::of(handle)),
            Some(handle) => handle.lock().give_up(),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;
    use crate::sys::tests::Scratch;

    #[test]
    fn a_cancel_ends_a_wait_for_the_turn_though_the_turn_is_free_by_then() {
        let (_scratch, lock) = open();
        let turn = lock.turns.try_take().expect("nobody has it");
        let code = std::thread::scope(|scope| {
            let waiter = scope.spawn(|| lock.acquire_for(None).map(drop).map_err(|error| error.code()));
            while !lock.bell.cancel() {
                std::thread::yield_now(); // it does not wait yet
            }
            drop(turn);
            waiter.join().unwrap()
        });
        assert_eq!(code, Err(-ECANCELED));
    }

    fn open() -> (Scratch, Arc<Lock>) {
        let scratch = Scratch::new();
        let lock = Options::new().open(&scratch.path).unwrap();
        (scratch, Arc::new(lock))
    }

    #[test]
    fn a_guard_that_owns_its_share_outlives_the_rest() {
        let (scratch, lock) = open();
        let begins: [fn(&Arc<Lock>) -> Guard<'static>; 2] = [
            |lock| lock.acquire_owned().unwrap(),
            |lock| lock.start_acquire_owned(None).unwrap().poll().unwrap().unwrap(),
        ];
        let other = Options::new().open(&scratch.path).unwrap();
        for begin in begins {
            let share = Arc::clone(&lock);
            let guard = begin(&share);
            drop(share);
            assert!(other.try_acquire().is_err());
            guard.refresh().unwrap();
            drop(guard);
            other.try_acquire().unwrap().release().unwrap();
        }
    }

    #[test]
    fn an_acquire_that_is_over_is_not_polled_again_and_what_it_has_is_released() {
        let (_scratch, lock) = open();
        let mut started = lock.start_acquire(None).unwrap();
        started.poll().unwrap().unwrap().release().unwrap();
        assert_eq!(started.poll().map(drop).unwrap_err().code(), -EINVAL);
        drop(started);
        drop(lock.start_acquire(None).unwrap()); // nobody asked, but it has the lock
        lock.acquire().unwrap().release().unwrap();
    }
}

//! Whose turn it is among the threads that acquire on one handle. They take turns, and each waits no longer than it wants to.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Debug, Default)]
pub(crate) struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    taken: bool,
    /// By an acquire that was started and goes on, not by a thread that has a [`Turn`].
    kept: bool,
    /// If nobody waits, nobody is woken: that would be a system call for each acquire.
    waiting: usize,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'t>(&'t Turns);

impl Turns {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // never half changed
    }

    pub(crate) fn try_take(&self) -> Option<Turn<'_>> {
        let was_taken = std::mem::replace(&mut self.state().taken, true);
        // Not `then_some`: that would drop a turn that nobody gets, and so give back another's.
        (!was_taken).then(|| Turn(self))
    }

    /// Waits until the time `left` is over (`None`: forever), or `is_over` returns true when all are woken.
    pub(crate) fn take(&self, left: impl Fn() -> Option<Duration>, is_over: impl Fn() -> bool) -> Option<Turn<'_>> {
        let mut state = self.state();
        state.waiting += 1;
        while state.taken && !is_over() {
            state = match left() {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => break,
                Some(left) => {
                    let waited = self.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        state.waiting -= 1;
        let is_mine = !state.taken;
        state.taken = true;
        is_mine.then(|| Turn(self))
    }

    /// Makes everybody who waits check whether it is over.
    pub(crate) fn wake_all(&self) {
        let _state = self.state(); // a thread that has checked already sleeps by now
        self.changed.notify_all();
    }

    fn give_back(&self) {
        self.end(&mut self.state());
    }

    /// Keeps the turn beyond the guard's life, which has to be [forgotten](Turn::forget), until [`end_kept`](Self::end_kept).
    pub(crate) fn keep(&self) {
        self.state().kept = true;
    }

    /// Ends a turn that was kept. If none was, it does nothing.
    pub(crate) fn end_kept(&self) {
        let mut state = self.state();
        if std::mem::take(&mut state.kept) {
            self.end(&mut state);
        }
    }

    fn end(&self, state: &mut State) {
        state.taken = false;
        if state.waiting > 0 {
            self.changed.notify_one();
        }
    }
}

impl Turn<'_> {
    /// Leaves it to whoever ends the turn that was kept.
    pub(crate) fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_gets_no_turn_does_not_end_anothers() {
        let turns = Turns::default();
        let turn = turns.try_take().expect("nobody has it");
        for _ in 0..2 {
            assert!(turns.try_take().is_none());
            assert!(turns.take(|| Some(Duration::ZERO), || false).is_none());
            assert!(turns.take(|| None, || true).is_none());
        }
        drop(turn);
        assert!(turns.try_take().is_some());
    }
}

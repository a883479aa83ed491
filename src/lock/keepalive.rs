//! The thread behind `JLOCK_KEEPALIVE`: while the lock is held, it renews the mtime, because shipped peers judge by that.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::lock::hold::Life;
use crate::lock::time::SHIPPED_STALE_MS;
use crate::sys;
use crate::sys::thread::Thread;

/// How often it gives a sign of life: three times before anybody judges, so that one or two may fail or come late.
pub(crate) fn interval(stale: Duration) -> Duration {
    Duration::from_millis(SHIPPED_STALE_MS.unsigned_abs()).min(stale) / 3
}

#[derive(Debug)]
pub(crate) struct Keepalive {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Arc<Life>>,
    /// Counts the holds, because two of them can use the same file.
    count: u64,
    stop: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // a State is never half changed
    }
}

impl Keepalive {
    /// Starts the thread, which sleeps until something is held.
    pub(crate) fn start(every: Duration) -> sys::Result<Keepalive> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let thread = {
            let shared = Arc::clone(&shared);
            Thread::start(c"jlock-keepalive", move || run(&shared, every))?
        };
        Ok(Keepalive { shared, thread })
    }

    pub(crate) fn held(&self, life: &Arc<Life>) {
        let mut state = self.shared.state();
        state.held = Some(Arc::clone(life));
        state.count += 1;
        self.shared.changed.notify_one();
    }

    pub(crate) fn released(&self) {
        self.shared.state().held = None;
    }

    /// Stops the thread and waits for it to end.
    pub(crate) fn stop(self) {
        self.shared.state().stop = true;
        self.shared.changed.notify_one();
        self.thread.join();
    }
}

fn run(shared: &Shared, every: Duration) {
    let mut state = shared.state();
    while !state.stop {
        if state.held.is_none() {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let count = state.count;
        let (after, waited) = shared
            .changed
            .wait_timeout(state, every)
            .unwrap_or_else(PoisonError::into_inner);
        state = after;
        // Not kept while we wait: if the hold is abandoned meanwhile, the file must be closed, for its `flock` to end.
        let life = state.held.clone();
        if let Some(life) = life.filter(|_| waited.timed_out() && state.count == count) {
            // Without the state locked: the call may take long, and a release must not wait for it. If the hold ends
            // meanwhile, the file is parked, or belongs to another hold of this handle, and a sign of life does no harm.
            drop(state);
            life.keep_alive();
            state = shared.state();
        }
    }
}

#[cfg(test)]
impl Keepalive {
    /// Whether its thread has ended, to be asked later.
    pub(crate) fn has_ended(&self) -> impl Fn() -> bool + use<> {
        let shared = Arc::downgrade(&self.shared);
        move || shared.strong_count() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::participant::tests::{hold, participant, until};
    use crate::lock::time::SignOfLife;
    use crate::options::Options;
    use crate::sys::Open;
    use crate::sys::tests::Scratch;

    fn life(scratch: &Scratch) -> Arc<Life> {
        let file = Arc::new(sys::open(&scratch.dir, c"other", Open::CreateNew).unwrap());
        Arc::new(Life::new(file, true, SignOfLife::ago(Duration::from_secs(10))))
    }

    /// As long as somebody has the file open, its `flock` makes it look like a living holder's.
    #[test]
    fn what_is_held_gets_signs_of_life_and_what_was_released_is_let_go() {
        let scratch = Scratch::new();
        let keepalive = Keepalive::start(Duration::from_millis(1)).unwrap();
        let life = life(&scratch);
        for _ in 0..2 {
            let last = life.sign();
            keepalive.held(&life);
            until("a sign of life", || life.sign() != last);
            let last = life.sign();
            until("another", || life.sign() != last);
            keepalive.released();
            until("it is let go", || Arc::strong_count(&life) == 1);
        }
        keepalive.stop();
    }

    /// Whoever abandons a hold relies on that. (Nothing shows when the thread has noticed a hold and waits again. So it gets
    /// some time, and on a busy machine it will have noticed one of them.)
    #[test]
    fn what_was_released_is_let_go_at_once() {
        let scratch = Scratch::new();
        let keepalive = Keepalive::start(Duration::from_secs(3600)).unwrap();
        let life = life(&scratch);
        for _ in 0..50 {
            keepalive.held(&life);
            std::thread::sleep(Duration::from_millis(5));
            keepalive.released();
            assert_eq!(Arc::strong_count(&life), 1);
        }
        keepalive.stop();
    }

    #[test]
    fn a_keepalive_that_was_stopped_leaves_no_thread() {
        for _ in 0..100 {
            let keepalive = Keepalive::start(Duration::from_secs(3600)).unwrap();
            let has_ended = keepalive.has_ended();
            keepalive.stop();
            assert!(has_ended());
        }
    }

    #[test]
    fn a_sign_is_given_three_times_before_anybody_judges() {
        let shipped = Duration::from_millis(SHIPPED_STALE_MS.unsigned_abs());
        for (stale, judged) in [
            (Duration::from_millis(60), Duration::from_millis(60)),
            (10 * shipped, shipped),
        ] {
            assert_eq!(interval(stale) * 3, judged);
        }
    }

    /// A shipped peer judges, or one that was told to judge earlier. (On a busy machine one of two threads
    /// may come late, but not each time.)
    #[test]
    fn a_sign_is_given_before_anybody_judges() {
        let stale = Duration::from_millis(60);
        let comes_first = || {
            let scratch = Scratch::new();
            let options = Options::new().keepalive(true).stale(stale);
            let mut holder = participant(&scratch, options, &Arc::default());
            let (judge, other) = (Keepalive::start(stale).unwrap(), life(&scratch));
            let ours = hold(&mut holder);
            judge.held(&other);
            let (last, others) = (ours.sign(), other.sign());
            until("a sign of life", || ours.sign() != last || other.sign() != others);
            let comes_first = other.sign() == others;
            judge.stop();
            holder.close().unwrap();
            comes_first
        };
        assert!((0..50).any(|_| comes_first()));
    }
}

//! The thread behind `JLOCK_KEEPALIVE`: while the lock is held, it renews the mtime, because shipped peers judge by that.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::lock::hold::Life;
use crate::sys;
use crate::sys::thread::Thread;

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
        let Some(life) = state.held.clone() else {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let count = state.count;
        let (after, waited) = shared
            .changed
            .wait_timeout(state, every)
            .unwrap_or_else(PoisonError::into_inner);
        state = after;
        if waited.timed_out() && state.held.is_some() && state.count == count {
            // Without the state locked: the call may take long, and a release must not wait for it. If the hold ends
            // meanwhile, the file is parked, or belongs to another hold of this handle, and a sign of life does no harm.
            drop(state);
            life.keep_alive();
            state = shared.state();
        }
    }
}

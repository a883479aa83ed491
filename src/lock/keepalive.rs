//! The thread behind `JLOCK_KEEPALIVE`: while the lock is held, it renews the mtime, by which a shipped peer judges.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::lock::core::is_overdue;
use crate::lock::dir::Dir;
use crate::sys::thread::Thread;
use crate::sys::{self, Fd, FileId};

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
    held: Option<Held>,
    stop: bool,
}

#[derive(Debug)]
struct Held {
    file: Arc<Fd>,
    id: FileId,
    /// The wall clock just before the last sign of life.
    touched_ms: i64,
    /// One sign came too late: a shipped peer may have judged before it.
    was_overdue: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // a State is never half changed
    }
}

impl Keepalive {
    /// Starts the thread; it sleeps until something is held.
    pub(crate) fn start(dir: Arc<Dir>, every: Duration) -> sys::Result<Keepalive> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let thread = {
            let shared = Arc::clone(&shared);
            Thread::start(c"jlock-keepalive", move || run(&shared, &dir, every))?
        };
        Ok(Keepalive { shared, thread })
    }

    /// The lock is held from now on, or has just been given a sign of life.
    pub(crate) fn held(&self, file: &Arc<Fd>, id: FileId, touched_ms: i64) {
        self.shared.state().held = Some(Held {
            file: Arc::clone(file),
            id,
            touched_ms,
            was_overdue: false,
        });
        self.shared.changed.notify_one();
    }

    pub(crate) fn released(&self) {
        self.shared.state().held = None;
    }

    /// Whether there was, or is, too long a time without a sign of life under this hold.
    pub(crate) fn is_overdue(&self) -> bool {
        let state = self.shared.state();
        let held = state.held.as_ref();
        held.is_none_or(|held| held.was_overdue || is_overdue(held.touched_ms))
    }

    /// Ends the thread and waits for its end: its code may be about to be unloaded.
    pub(crate) fn stop(self) {
        self.shared.state().stop = true;
        self.shared.changed.notify_one();
        self.thread.join();
    }
}

fn run(shared: &Shared, dir: &Dir, every: Duration) {
    let mut state = shared.state();
    while !state.stop {
        let Some(id) = state.held.as_ref().map(|held| held.id) else {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let (after, waited) = shared
            .changed
            .wait_timeout(state, every)
            .unwrap_or_else(PoisonError::into_inner);
        state = after;
        // With the state locked: a release waits, and what is renewed is what is held.
        let same = state.held.as_mut().filter(|held| held.id == id);
        if let (true, Some(held)) = (waited.timed_out(), same) {
            held.keep_alive(dir);
        }
    }
}

impl Held {
    /// A failure leaves the lock as old as it is; the next release or refresh settles, or says that it is lost.
    fn keep_alive(&mut self, dir: &Dir) {
        let now = sys::realtime_ms();
        if dir.names(&dir.lock, self.id) == Ok(true) && sys::touch(&self.file).is_ok() {
            self.was_overdue |= is_overdue(self.touched_ms);
            self.touched_ms = now;
        }
    }
}

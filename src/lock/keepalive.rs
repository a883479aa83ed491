//! The thread behind `JLOCK_KEEPALIVE`: while the lock is held, it renews the mtime, by which a shipped peer judges.

use std::mem::ManuallyDrop;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::lock::dir::Dir;
use crate::sys::{self, Fd, FileId};

#[derive(Debug)]
pub(crate) struct Keepalive {
    shared: Arc<Shared>,
    /// Not joined, nor detached, in a forked child: there is no such thread.
    thread: ManuallyDrop<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    held: Option<(Arc<Fd>, FileId)>,
    stop: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // a State is never half changed
    }
}

impl Keepalive {
    /// Starts the thread; it sleeps until something is held.
    pub(crate) fn start(dir: Arc<Dir>, every: Duration) -> std::io::Result<Keepalive> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let thread = {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name("jlock-keepalive".to_owned());
            sys::process::without_signals(|| thread.spawn(move || run(&shared, &dir, every)))?
        };
        Ok(Keepalive {
            shared,
            thread: ManuallyDrop::new(thread),
        })
    }

    pub(crate) fn held(&self, file: &Arc<Fd>, id: FileId) {
        self.shared.state().held = Some((Arc::clone(file), id));
        self.shared.changed.notify_one();
    }

    pub(crate) fn released(&self) {
        self.shared.state().held = None;
    }

    /// Ends the thread and waits for its end: its code may be about to be unloaded.
    pub(crate) fn stop(self) {
        self.shared.state().stop = true;
        self.shared.changed.notify_one();
        let _ = ManuallyDrop::into_inner(self.thread).join(); // a panic in it has been reported by the panic hook, and there is nobody else to tell
    }
}

fn run(shared: &Shared, dir: &Dir, every: Duration) {
    let mut state = shared.state();
    while !state.stop {
        let Some((file, id)) = state.held.clone() else {
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let (after, waited) = shared
            .changed
            .wait_timeout(state, every)
            .unwrap_or_else(PoisonError::into_inner);
        state = after;
        let same = state.held.as_ref().is_some_and(|(_, held)| *held == id);
        if waited.timed_out() && same {
            // With the state locked: a release waits, and what is renewed is what is held. A failure leaves the lock
            // as old as it is; the next release or refresh settles or says that it is lost.
            if let Ok(true) = dir.names(&dir.lock, id) {
                let _ = sys::touch(&file);
            }
        }
    }
}

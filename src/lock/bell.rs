//! Wakes a waiter from within its own process: another thread that cancels rings it, or the handle before it in the queue.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use crate::sys::{self, Fd};

#[derive(Debug, Default)]
pub(crate) struct Bell {
    /// How often waits were cancelled in all.
    cancels: AtomicU32,
    /// How many waits are in progress.
    waits: AtomicU32,
    /// Made by the first wait. Without it, a wait notices a cancel when it next looks at the lock.
    eventfd: OnceLock<Fd>,
}

/// A wait in progress.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    cancels: u32,
}

impl Bell {
    pub(crate) fn begin(&self) -> Waiting {
        self.waits.fetch_add(1, Ordering::SeqCst);
        Waiting {
            cancels: self.cancels.load(Ordering::SeqCst),
        }
    }

    pub(crate) fn end(&self, _waiting: Waiting) {
        self.waits.fetch_sub(1, Ordering::SeqCst);
    }

    /// Ends the waits in progress, and none that begins later. Returns whether there was one.
    pub(crate) fn cancel(&self) -> bool {
        if self.waits.load(Ordering::SeqCst) == 0 {
            return false;
        }
        self.cancels.fetch_add(1, Ordering::SeqCst);
        self.ring();
        true
    }

    pub(crate) fn is_cancelled(&self, waiting: Waiting) -> bool {
        self.cancels.load(Ordering::SeqCst) != waiting.cancels
    }

    pub(crate) fn ring(&self) {
        // Together with the fence in `fd`: either this thread sees the eventfd, or the waiter sees why it would be rung.
        fence(Ordering::SeqCst);
        if let Some(eventfd) = self.eventfd.get() {
            sys::wake(eventfd);
        }
    }

    /// For a poll. Before polling, check again whatever it may be rung for.
    pub(crate) fn fd(&self) -> sys::Result<&Fd> {
        let known = match self.eventfd.get() {
            Some(known) => known,
            None => {
                let made = sys::eventfd()?;
                self.eventfd.get_or_init(|| made) // if another thread was faster, its eventfd is as good
            }
        };
        fence(Ordering::SeqCst);
        Ok(known)
    }

    /// Silences it, once it was heard.
    pub(crate) fn clear(&self) {
        if let Some(eventfd) = self.eventfd.get() {
            let _ = sys::drain(eventfd); // readable or empty, both are fine
        }
    }
}

//! What wakes a waiter from within its own process: another thread that cancels, or the handle before it in the queue.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use crate::sys::{self, Fd};

#[derive(Debug, Default)]
pub(crate) struct Bell {
    /// How often it was cancelled, ever.
    cancels: AtomicU32,
    /// How many waits are in progress.
    waits: AtomicU32,
    /// Made by the first wait. Without one, a wait notices when it next looks at the lock.
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

    /// Ends the waits in progress, and none that begins later. Whether there was one.
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
        // With the fence in `fd`: this thread sees the eventfd, or the waiter sees what was rung for.
        fence(Ordering::SeqCst);
        if let Some(eventfd) = self.eventfd.get() {
            sys::wake(eventfd);
        }
    }

    /// For a poll, before which whatever it may be rung for must be looked at again.
    pub(crate) fn fd(&self) -> sys::Result<&Fd> {
        let known = match self.eventfd.get() {
            Some(known) => known,
            None => {
                let made = sys::eventfd()?;
                self.eventfd.get_or_init(|| made) // if another thread was faster, its is as good
            }
        };
        fence(Ordering::SeqCst);
        Ok(known)
    }

    /// It was heard.
    pub(crate) fn clear(&self) {
        if let Some(eventfd) = self.eventfd.get() {
            let _ = sys::drain(eventfd); // it is readable or empty, and both are fine
        }
    }
}

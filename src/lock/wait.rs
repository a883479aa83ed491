//! The two drivers of an acquire: a thread that sleeps, and a descriptor for event loops.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::lock::acquire::Wait;
use crate::lock::bell::Bell;
use crate::sys::{self, Fd};

impl Wait {
    /// Sleeps until it is worth to step again. `is_over`: what the bell may have been rung for has happened already.
    pub(crate) fn block(&self, bell: &Bell, is_over: impl Fn() -> bool) -> Result<()> {
        let rung = bell.fd().ok(); // without one, a look now and then has to do
        if is_over() {
            return Ok(());
        }
        let left = self.until.saturating_sub(sys::monotonic());
        match sys::poll(&[self.queue.as_deref(), rung], left) {
            Ok(true) => {
                bell.clear();
                Ok(())
            }
            Ok(false) => Ok(()),
            // ENOMEM, a sandbox: sleep as without descriptors.
            Err(_) => sys::sleep_until(self.until).map_err(|e| Error::os(e, "wait for the lock")),
        }
    }
}

/// One descriptor that polls readable when it is worth to step again: an inotify queue, the bell and a timer behind an
/// epoll descriptor. It lives as long as its handle.
#[derive(Debug)]
pub(crate) struct WaitFd {
    any: Fd,
    timer: Fd,
    queue: Mutex<Option<Arc<Fd>>>,
}

impl WaitFd {
    pub(crate) fn new(bell: &Bell) -> Result<WaitFd> {
        let os = |e| Error::os(e, "make a descriptor to wait on");
        let timer = sys::timerfd().map_err(os)?;
        let rung = bell.fd().map_err(os)?;
        let any = sys::epoll(&[&timer, rung]).map_err(os)?;
        Ok(WaitFd {
            any,
            timer,
            queue: Mutex::new(None),
        })
    }

    pub(crate) fn number(&self) -> Result<i32> {
        self.any.number().map_err(|e| Error::os(e, "the descriptor to wait on"))
    }

    /// From now on it reports what this wait is for.
    pub(crate) fn arm(&self, wait: &Wait) -> Result<()> {
        let os = |e| Error::os(e, "wait for the lock");
        self.watch(wait.queue.as_ref()).map_err(os)?;
        sys::set_timer(&self.timer, Some(wait.until)).map_err(os)
    }

    /// Nothing is waited for any more.
    pub(crate) fn disarm(&self) {
        // What stays armed is reported once too often, which does no harm.
        let _ = self.watch(None);
        let _ = sys::set_timer(&self.timer, None);
    }

    fn watch(&self, wanted: Option<&Arc<Fd>>) -> sys::Result<()> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.as_ref().map(Arc::as_ptr) == wanted.map(Arc::as_ptr) {
            return Ok(());
        }
        if let Some(old) = queue.take() {
            let _ = sys::epoll_remove(&self.any, &old); // closed by now, perhaps
        }
        if let Some(new) = wanted {
            sys::epoll_add(&self.any, new)?;
            *queue = Some(Arc::clone(new));
        }
        Ok(())
    }
}

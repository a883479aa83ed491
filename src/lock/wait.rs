//! The two drivers of an acquire: a thread that sleeps, and a descriptor for event loops.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::lock::acquire::Wait;
use crate::lock::bell::Bell;
use crate::sys::{self, Fd};

impl Wait {
    /// Sleeps until there is a reason to step again. `is_over`: whether what the bell is rung for has happened already.
    pub(crate) fn block(&self, bell: &Bell, is_over: impl Fn() -> bool) -> Result<()> {
        let rung = bell.fd().ok(); // without one, it notices when it next looks
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
            // ENOMEM, or a sandbox: sleep as if there were no descriptors.
            Err(_) => sys::sleep_until(self.until).map_err(|e| Error::os(e, "wait for the lock")),
        }
    }
}

/// One descriptor that polls readable when there is a reason to step again: an epoll descriptor for an inotify queue, the
/// bell and a timer. It lives as long as its handle.
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

    /// Arms it for this wait.
    pub(crate) fn arm(&self, wait: &Wait) -> Result<()> {
        let os = |e| Error::os(e, "wait for the lock");
        self.watch(wait.queue.as_ref()).map_err(os)?;
        sys::set_timer(&self.timer, Some(wait.until)).map_err(os)
    }

    /// Disarms it: nobody waits any more.
    pub(crate) fn disarm(&self) {
        // If something stays armed, it is reported once too often, which does no harm.
        let _ = self.watch(None);
        let _ = sys::set_timer(&self.timer, None);
    }

    fn watch(&self, wanted: Option<&Arc<Fd>>) -> sys::Result<()> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.as_ref().map(Arc::as_ptr) == wanted.map(Arc::as_ptr) {
            return Ok(());
        }
        if let Some(old) = queue.take() {
            let _ = sys::epoll_remove(&self.any, &old); // it may be closed by now
        }
        if let Some(new) = wanted {
            sys::epoll_add(&self.any, new)?;
            *queue = Some(Arc::clone(new));
        }
        Ok(())
    }
}

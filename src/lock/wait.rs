//! The two drivers of an acquire: a thread that sleeps, and a descriptor for event loops.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
    /// Whether it hears the bell: only while an acquire that was started is in progress. What the bell is rung for late, or
    /// for a thread that blocks, is no reason to poll.
    hears: Mutex<bool>,
}

impl WaitFd {
    pub(crate) fn new(bell: &Bell) -> Result<WaitFd> {
        let os = |e| Error::os(e, "make a descriptor to wait on");
        let timer = sys::timerfd().map_err(os)?;
        bell.fd().map_err(os)?;
        let any = sys::epoll(&[&timer]).map_err(os)?;
        Ok(WaitFd {
            any,
            timer,
            queue: Mutex::new(None),
            hears: Mutex::new(false),
        })
    }

    pub(crate) fn number(&self) -> Result<i32> {
        self.any.number().map_err(|e| Error::os(e, "the descriptor to wait on"))
    }

    /// Arms it for this wait.
    pub(crate) fn arm(&self, wait: &Wait, bell: &Bell) -> Result<()> {
        let os = |e| Error::os(e, "wait for the lock");
        self.hear(bell, true).map_err(os)?;
        self.watch(wait.queue.as_ref()).map_err(os)?;
        sys::set_timer(&self.timer, Some(wait.until)).map_err(os)
    }

    /// Disarms it: nobody waits any more.
    pub(crate) fn disarm(&self, bell: &Bell) {
        // If something stays armed, it is reported once too often, which does no harm.
        let _ = self.hear(bell, false);
        let _ = self.watch(None);
        let _ = sys::set_timer(&self.timer, None);
    }

    /// Makes it readable until the next poll: the acquire has ended in another call.
    pub(crate) fn report(&self) {
        let _ = sys::set_timer(&self.timer, Some(Duration::ZERO)); // without it, the end shows at the next poll
    }

    fn hear(&self, bell: &Bell, wanted: bool) -> sys::Result<()> {
        let mut hears = self.hears.lock().unwrap_or_else(PoisonError::into_inner);
        match (*hears, wanted) {
            (false, true) => sys::epoll_add(&self.any, bell.fd()?)?,
            (true, false) => sys::epoll_remove(&self.any, bell.fd()?)?,
            _ => {}
        }
        *hears = wanted;
        Ok(())
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

#[cfg(test)]
impl WaitFd {
    pub(crate) fn is_readable(&self) -> bool {
        sys::poll(&[Some(&self.any)], Duration::ZERO) == Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bell_is_heard_only_while_an_acquire_is_in_progress() {
        let bell = Bell::default();
        let waiter = WaitFd::new(&bell).unwrap();
        bell.ring();
        assert!(!waiter.is_readable(), "nobody has started");
        let until = sys::monotonic() + Duration::from_secs(3600);
        waiter.arm(&Wait { until, queue: None }, &bell).unwrap();
        assert!(waiter.is_readable());
        waiter.disarm(&bell);
        assert!(
            !waiter.is_readable(),
            "it is over, and the bell may have been rung a moment later"
        );
    }

    /// A wait whose time comes in so many seconds.
    fn wait(queue: Option<&Arc<Fd>>, seconds: u64) -> Wait {
        let until = sys::monotonic() + Duration::from_secs(seconds);
        let queue = queue.map(Arc::clone);
        Wait { until, queue }
    }

    #[test]
    fn a_report_is_heard_only_from_what_is_waited_for_now() {
        let bell = Bell::default();
        let waiter = WaitFd::new(&bell).unwrap();
        let [before, now] = [(); 2].map(|()| Arc::new(sys::eventfd().unwrap()));
        waiter.arm(&wait(Some(&before), 3600), &bell).unwrap();
        waiter.arm(&wait(Some(&now), 3600), &bell).unwrap();
        sys::wake(&before);
        assert!(!waiter.is_readable());
        sys::wake(&now);
        assert!(waiter.is_readable());
        waiter.arm(&wait(Some(&now), 3600), &bell).unwrap();
        assert!(waiter.is_readable(), "the same once more");
        waiter.disarm(&bell);
        assert!(!waiter.is_readable());
        waiter.arm(&wait(None, 0), &bell).unwrap();
        assert!(waiter.is_readable(), "its time has come");
        waiter.disarm(&bell);
        assert!(!waiter.is_readable());
        waiter.report();
        assert!(waiter.is_readable());
    }

    #[test]
    fn a_bell_that_has_ended_a_wait_does_not_end_the_next() {
        let bell = Bell::default();
        bell.ring();
        wait(None, 3600).block(&bell, || false).unwrap();
        assert!(!bell.is_rung());
        wait(None, 3600).block(&bell, || true).unwrap();
    }
}

//! For event loops: one descriptor that polls readable when the lock may be had.

use crate::error::{Error, Result};
use crate::lock::core::Core;
use crate::sys::{self, Fd, Watched};

/// An inotify queue, and an eventfd for what happened before the watch was armed, behind one epoll descriptor.
#[derive(Debug)]
pub(crate) struct Events {
    queue: Fd,
    now: Fd,
    either: Fd,
}

impl Events {
    pub(crate) fn new() -> Result<Events> {
        let os = |e| Error::os(e, "wait for events");
        let queue = sys::inotify().map_err(os)?;
        let now = sys::eventfd().map_err(os)?;
        let either = sys::epoll(&[&queue, &now]).map_err(os)?;
        Ok(Events { queue, now, either })
    }

    pub(crate) fn number(&self) -> Result<i32> {
        self.either.number().map_err(|e| Error::os(e, "wait for events"))
    }

    /// Forgets what was reported, and reports what happens to the lock from now on. A lock that is free, or that
    /// changes just now, is reported at once.
    pub(crate) fn arm(&self, core: &Core) -> Result<()> {
        let os = |e| Error::os(e, "wait for events");
        sys::drain(&self.queue).map_err(os)?;
        sys::drain(&self.now).map_err(os)?;
        if let Some((file, id)) = core.open_lock()? {
            sys::watch(&self.queue, &file, Watched::Change).map_err(os)?;
            // Looked at after it was watched. A holder that has died since its lock was tried is found by a retry.
            if core.is_lock(id)? {
                return Ok(());
            }
        }
        sys::wake(&self.now);
        Ok(())
    }
}

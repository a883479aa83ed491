//! For event loops: one descriptor that polls readable when an acquire that was started is worth going on with.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::sys::{self, Fd};

/// How often to look.
const EVERY: Duration = Duration::from_millis(5);

/// A timer.
#[derive(Debug)]
pub(crate) struct Events {
    timer: Fd,
}

impl Events {
    pub(crate) fn new() -> Result<Events> {
        let timer = sys::timer().map_err(|e| Error::os(e, "wait for events"))?;
        Ok(Events { timer })
    }

    pub(crate) fn number(&self) -> Result<i32> {
        self.timer.number().map_err(|e| Error::os(e, "wait for events"))
    }

    /// Has it poll readable after a while; or not at all.
    pub(crate) fn arm(&self, yes: bool) -> Result<()> {
        let after = if yes { EVERY } else { Duration::ZERO };
        sys::set_timer(&self.timer, after).map_err(|e| Error::os(e, "wait for events"))
    }
}

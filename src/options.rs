//! How a lock behaves: the builder behind `struct jlock_options`.

use std::time::Duration;

use crate::abi;
use crate::error::{EINVAL, Error, Result};

/// How a [`Lock`](crate::Lock) behaves; a builder.
///
/// ```
/// # let dir = std::env::temp_dir().join(format!("jlock-doc-options-{}", std::process::id()));
/// use std::time::Duration;
/// let lock = jlock::Options::new().timeout(Duration::from_secs(1)).sync(true).open(&dir)?;
/// # drop(lock); std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), jlock::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Options {
    pub(crate) create: bool,
    pub(crate) sync: bool,
    pub(crate) keepalive: bool,
    /// `None`: forever.
    pub(crate) timeout: Option<Duration>,
    pub(crate) retry: Duration,
    pub(crate) stale: Duration,
    pub(crate) settle: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options::new()
    }
}

impl Options {
    /// The defaults: wait 5 s, look at least every 25 ms, 30 s until a silent shipped peer counts as dead, settle
    /// 100 ms, create a missing directory.
    pub fn new() -> Self {
        Options::of(&DEFAULTS)
    }

    /// Whether a missing directory is created (default: yes).
    pub fn create(mut self, yes: bool) -> Self {
        self.create = yes;
        self
    }

    /// Whether a journal call returns only once its data is on disk (default: no).
    pub fn sync(mut self, yes: bool) -> Self {
        self.sync = yes;
        self
    }

    /// Whether a thread refreshes the lock while it is held (default: no).
    pub fn keepalive(mut self, yes: bool) -> Self {
        self.keepalive = yes;
        self
    }

    /// How long to wait for the lock; `None` forever, zero not at all (default: 5 s).
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// The longest sleep between two looks at the lock (default: 25 ms; at least 1 ms). Whoever waits behind other waiters
    /// sleeps longer.
    pub fn retry(mut self, retry: Duration) -> Self {
        self.retry = retry.max(Duration::from_millis(1));
        self
    }

    /// After so long without a sign of life, a lock counts as dead if the kernel cannot tell (default: 30 s; at least
    /// 1 ms). Locks of live library peers never do.
    pub fn stale(mut self, stale: Duration) -> Self {
        self.stale = stale.max(Duration::from_millis(1));
        self
    }

    /// How long to wait after taking over a dead holder's lock (default: 100 ms). Zero only where every peer uses
    /// this library.
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// From the C struct, whose size has been dealt with already.
    pub(crate) fn from_abi(raw: &abi::jlock_options) -> Result<Self> {
        let known = abi::JLOCK_NO_CREATE | abi::JLOCK_SYNC | abi::JLOCK_KEEPALIVE;
        if raw.flags & !known != 0 {
            return Err(Error::new(-EINVAL, format!("unknown flags {:#x}", raw.flags & !known)));
        }
        if raw.retry_ms == 0 || raw.stale_ms == 0 {
            let why = "retry_ms and stale_ms must not be 0; was jlock_options_init called?";
            return Err(Error::new(-EINVAL, why));
        }
        Ok(Options::of(raw))
    }

    fn of(raw: &abi::jlock_options) -> Self {
        Options {
            create: raw.flags & abi::JLOCK_NO_CREATE == 0,
            sync: raw.flags & abi::JLOCK_SYNC != 0,
            keepalive: raw.flags & abi::JLOCK_KEEPALIVE != 0,
            timeout: timeout_from_ms(raw.timeout_ms),
            retry: Duration::from_millis(raw.retry_ms.into()),
            stale: Duration::from_millis(raw.stale_ms.into()),
            settle: Duration::from_millis(raw.settle_ms.into()),
        }
    }
}

/// The defaults, for C and for Rust.
pub(crate) const DEFAULTS: abi::jlock_options = abi::jlock_options {
    flags: 0,
    timeout_ms: 5000,
    retry_ms: 25,
    stale_ms: 30_000,
    settle_ms: 100,
};

/// Milliseconds as C gives them: negative means forever.
pub(crate) fn timeout_from_ms(ms: i32) -> Option<Duration> {
    u64::try_from(ms).ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_new() {
        assert_eq!(format!("{:?}", Options::default()), format!("{:?}", Options::new()));
    }
}

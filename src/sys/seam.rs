//! The seam for the tests: a hook, one for each thread, that sees each system call of the core before and after it is made,
//! and can make it fail, skip it, or end the peer there. It exists only with the feature `seam`, and is not part of the
//! interface.

use std::cell::RefCell;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::errno::noting_refusal;
use super::io::{UNCHANGED, wall_clock};
use super::{Errno, Result};

/// What happens to the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is made.
    Proceed,
    /// It is not made, and returns this errno.
    Fail(i32),
    /// The peer dies before the call: this one and all that follow return `ESRCH` and do nothing. Descriptors close
    /// as their owners are dropped, as a kernel would close them; files stay.
    Die,
    /// The call is made, and then the peer dies.
    DieAfter,
    /// The library panics here.
    Panic,
}

/// A test's own scheduler.
pub trait Hook {
    /// Before each call.
    fn before(&mut self, call: &'static str) -> Verdict;
    /// After a call that was made.
    fn after(&mut self, _call: &'static str) {}
    /// The monotonic clock, if the test keeps its own.
    fn monotonic(&mut self) -> Option<Duration> {
        None
    }
    /// The wall clock in milliseconds, if the test keeps its own. Files that the library writes to then bear its time.
    fn realtime_ms(&mut self) -> Option<i64> {
        None
    }
    /// When the machine booted, by the wall clock in milliseconds, if the test has a boot of its own.
    fn boot_ms(&mut self) -> Option<i64> {
        None
    }
    /// Which simulated process this thread is: what a process shares among its threads, the simulated ones do not.
    fn process(&mut self) -> u64 {
        0
    }
    /// The random part of a nonce, if the test draws its own.
    fn random(&mut self) -> Option<u64> {
        None
    }
    /// The library sleeps until then: to the end in `clock_nanosleep`, at most so long in `ppoll`. `true`: the test has
    /// seen to it.
    fn pause(&mut self, _call: &'static str, _until: Duration) -> bool {
        false
    }
    /// Whether the peer has died while it slept.
    fn has_died(&mut self) -> bool {
        false
    }
}

struct Installed {
    hook: Box<dyn Hook>,
    dead: bool,
}

thread_local! {
    static INSTALLED: RefCell<Option<Installed>> = const { RefCell::new(None) };
}

/// Lets `hook` see this thread's calls until [`uninstall`].
pub fn install(hook: impl Hook + 'static) {
    INSTALLED.set(Some(Installed {
        hook: Box::new(hook),
        dead: false,
    }));
}

/// Ends what [`install`] began.
pub fn uninstall() {
    INSTALLED.set(None);
}

/// Whether this thread's peer has died.
pub fn is_dead() -> bool {
    INSTALLED.with_borrow(|installed| installed.as_ref().is_some_and(|i| i.dead))
}

fn with<T>(none: T, ask: impl FnOnce(&mut Installed) -> T) -> T {
    INSTALLED.with_borrow_mut(|installed| match installed {
        Some(installed) => ask(installed),
        None => none,
    })
}

pub(super) fn around<T>(call: &'static str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    let verdict = with(Verdict::Proceed, |i| {
        if i.dead { Verdict::Die } else { i.hook.before(call) }
    });
    match verdict {
        Verdict::Proceed => {
            let result = noting_refusal(call, run());
            with((), |i| i.hook.after(call));
            result
        }
        Verdict::Fail(errno) => noting_refusal(call, Err(Errno::from_raw_os_error(errno))),
        Verdict::Die => {
            with((), |i| i.dead = true);
            Err(Errno::SRCH)
        }
        Verdict::DieAfter => {
            let _ = run(); // whatever it was, the peer does not live to see it
            with((), |i| i.dead = true);
            Err(Errno::SRCH)
        }
        Verdict::Panic => panic!("seam: {call}"),
    }
}

pub(super) fn monotonic() -> Option<Duration> {
    with(None, |i| i.hook.monotonic())
}

pub(super) fn realtime_ms() -> Option<i64> {
    with(None, |i| i.hook.realtime_ms())
}

pub(super) fn boot_ms() -> Option<i64> {
    with(None, |i| i.hook.boot_ms())
}

pub(super) fn process() -> u64 {
    with(0, |i| i.hook.process())
}

pub(super) fn random() -> Option<u64> {
    with(None, |i| i.hook.random())
}

pub(super) fn pause(call: &'static str, until: Duration) -> bool {
    with(false, |i| i.dead || i.hook.pause(call, until))
}

/// A peer that has died waits for nothing any more.
pub(super) fn alive() -> Result<()> {
    let is_dead = with(false, |i| {
        i.dead |= i.hook.has_died();
        i.dead
    });
    match is_dead {
        true => Err(Errno::SRCH),
        false => Ok(()),
    }
}

/// Before a descriptor is closed, which nothing can prevent: of the verdicts, only death counts.
pub(super) fn closing() {
    // A thread that ends may have no hook any more.
    let _ = INSTALLED.try_with(|installed| {
        if let Some(i) = installed.borrow_mut().as_mut().filter(|i| !i.dead) {
            i.dead = i.hook.before("close") == Verdict::Die;
        }
    });
}

/// After a file was written to: by the test's clock.
pub(super) fn written(file: BorrowedFd<'_>) -> Result<()> {
    let Some(now_ms) = realtime_ms() else { return Ok(()) };
    let times = rustix::fs::Timestamps {
        last_access: UNCHANGED, // a ticket, perhaps
        last_modification: wall_clock(now_ms),
    };
    rustix::fs::futimens(file, &times)
}

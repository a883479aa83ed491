//! Two clocks, and sleeping by one of them.

use std::time::Duration;

use rustix::time::Timespec;

#[cfg(feature = "seam")]
use super::seam;

/// The monotonic clock, since some fixed moment. Every time-out and the settling run on it.
pub(crate) fn monotonic() -> Duration {
    #[cfg(feature = "seam")]
    if let Some(time) = seam::monotonic() {
        return time;
    }
    since_start(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic))
}

/// The wall clock in milliseconds since 1970: what a shipped peer compares mtimes with.
pub(crate) fn realtime_ms() -> i64 {
    #[cfg(feature = "seam")]
    if let Some(time) = seam::realtime_ms() {
        return time;
    }
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    now.tv_sec.saturating_mul(1000) + now.tv_nsec / 1_000_000
}

fn since_start(time: Timespec) -> Duration {
    // Neither is negative: the clock starts at boot.
    Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    )
}

/// Sleeps until the monotonic clock shows `deadline`, whatever signals arrive.
pub(crate) fn sleep_until(deadline: Duration) {
    #[cfg(feature = "seam")]
    if seam::pause("clock_nanosleep", deadline) {
        return;
    }
    let until = Timespec {
        tv_sec: deadline.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: deadline.subsec_nanos().into(),
    };
    // EINTR is the one error that a valid time can meet.
    while rustix::thread::clock_nanosleep_absolute(rustix::thread::ClockId::Monotonic, &until).is_err() {}
}

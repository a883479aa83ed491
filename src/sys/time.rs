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
    kernel_monotonic()
}

pub(super) fn kernel_monotonic() -> Duration {
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

/// When this machine booted, in milliseconds since 1970, by the wall clock of today: it moves when that is set.
pub(crate) fn boot_ms() -> i64 {
    #[cfg(feature = "seam")]
    if let Some(time) = seam::boot_ms() {
        return time;
    }
    let up = since_start(rustix::time::clock_gettime(rustix::time::ClockId::Boottime));
    realtime_ms().saturating_sub(up.as_millis().try_into().unwrap_or(i64::MAX))
}

fn since_start(time: Timespec) -> Duration {
    // Neither is negative: the clock starts at boot.
    Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    )
}

/// Sleeps until the monotonic clock shows `deadline`, whatever signals arrive.
pub(crate) fn sleep_until(deadline: Duration) -> super::Result<()> {
    #[cfg(feature = "seam")]
    if seam::pause("clock_nanosleep", deadline) {
        return Ok(());
    }
    let until = timespec(deadline);
    // EINTR is the one error that a valid time can meet.
    while rustix::thread::clock_nanosleep_absolute(rustix::thread::ClockId::Monotonic, &until).is_err() {}
    Ok(())
}

/// A time beyond the kernel's range is its last.
pub(super) fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}

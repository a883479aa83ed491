//! Two clocks, and sleeping by one of them.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustix::time::Timespec;

#[cfg(feature = "seam")]
use super::seam;
use super::{Errno, Result};

/// The monotonic clock, which counts from some fixed moment. Every timeout and every settle runs on it.
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

/// Sleeps until the monotonic clock shows `deadline`, whatever signals arrive. An error: no call that sleeps is allowed
/// here, and it may be earlier.
pub(crate) fn sleep_until(deadline: Duration) -> Result<()> {
    #[cfg(feature = "seam")]
    if seam::pause("clock_nanosleep", deadline) {
        return seam::alive();
    }
    // A sandbox may refuse any of them, and for good.
    let sleeps: [fn(Duration) -> Result<()>; 4] = [sleep_to, sleep_in_poll, sleep_in_futex, sleep_for];
    sleep_by(&sleeps, deadline)
}

fn sleep_by(sleeps: &[fn(Duration) -> Result<()>], deadline: Duration) -> Result<()> {
    let mut refused = Errno::NOSYS;
    for sleep in sleeps {
        loop {
            match sleep(deadline) {
                Ok(()) | Err(Errno::INTR) if kernel_monotonic() >= deadline => return Ok(()),
                Ok(()) | Err(Errno::INTR) => {}
                Err(errno) => {
                    refused = errno;
                    break;
                }
            }
        }
    }
    Err(refused)
}

fn sleep_to(deadline: Duration) -> Result<()> {
    use rustix::thread::{ClockId, clock_nanosleep_absolute};
    clock_nanosleep_absolute(ClockId::Monotonic, &timespec(deadline))
}

fn sleep_in_poll(deadline: Duration) -> Result<()> {
    let left = deadline.saturating_sub(kernel_monotonic());
    rustix::event::poll(&mut [], Some(&timespec(left))).map(drop)
}

fn sleep_in_futex(deadline: Duration) -> Result<()> {
    use rustix::thread::futex::{Flags, wait};
    let left = deadline.saturating_sub(kernel_monotonic());
    // Nobody else has it: nothing wakes this one early.
    match wait(&AtomicU32::new(0), Flags::PRIVATE, 0, Some(&timespec(left))) {
        Err(Errno::TIMEDOUT) => Ok(()),
        other => other,
    }
}

fn sleep_for(deadline: Duration) -> Result<()> {
    use rustix::thread::{NanosleepRelativeResult, nanosleep};
    match nanosleep(&timespec(deadline.saturating_sub(kernel_monotonic()))) {
        NanosleepRelativeResult::Ok => Ok(()),
        NanosleepRelativeResult::Interrupted(_) => Err(Errno::INTR),
        NanosleepRelativeResult::Err(errno) => Err(errno),
    }
}

/// A time beyond the kernel's range is its last.
pub(super) fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::sys::tests::not_tried;

    /// As the kernel says it, in seconds. (The clock may be set between the two, but not each time.)
    #[test]
    fn the_machine_booted_when_the_kernel_says() {
        let said = || {
            let stat = std::fs::read_to_string("/proc/stat").unwrap();
            let seconds = stat.lines().find_map(|line| line.strip_prefix("btime ")).unwrap();
            seconds.parse::<i64>().unwrap() * 1000
        };
        assert!(
            (0..50).any(|_| (boot_ms() - said()).abs() < 3_000),
            "{} {}",
            boot_ms(),
            said()
        );
    }

    /// Then the monotonic clock shows less than the time since the boot. Here, a time namespace makes the same difference.
    #[test]
    fn the_time_that_a_machine_was_suspended_counts() {
        let within = |program: &Path, arguments: &[&str]| {
            let mut command = Command::new("unshare");
            command.args(["--time", "--boottime", "1000000", "--fork"]);
            command.arg(program).args(arguments).output()
        };
        if !within(Path::new("true"), &[]).is_ok_and(|output| output.status.success()) {
            return not_tried("unshare makes no time namespace here");
        }
        let test = "sys::time::tests::the_machine_booted_when_the_kernel_says";
        let output = within(&std::env::current_exe().unwrap(), &["--exact", test]).unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    #[test]
    fn each_way_to_sleep_lasts_until_the_deadline() {
        for sleep in [sleep_to, sleep_in_poll, sleep_in_futex, sleep_for] {
            let deadline = kernel_monotonic() + Duration::from_millis(5);
            assert_eq!(sleep_by(&[sleep], deadline), Ok(()));
            assert!(kernel_monotonic() >= deadline);
            assert_eq!(sleep_by(&[sleep], Duration::ZERO), Ok(()), "past");
        }
    }

    #[test]
    fn a_sleep_that_is_refused_for_good_falls_back_or_says_so() {
        let deadline = kernel_monotonic() + Duration::from_millis(5);
        let refused: fn(Duration) -> Result<()> = |_| Err(Errno::PERM);
        assert_eq!(sleep_by(&[refused, sleep_in_poll], deadline), Ok(()));
        assert!(kernel_monotonic() >= deadline);
        assert_eq!(sleep_by(&[refused, refused], Duration::MAX), Err(Errno::PERM));
    }

    #[test]
    fn a_sleep_that_ends_early_is_slept_on() {
        static SLEPT: AtomicU32 = AtomicU32::new(0);
        let early: fn(Duration) -> Result<()> = |_| match SLEPT.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(()),
            1 => Err(Errno::INTR),
            _ => Err(Errno::PERM),
        };
        assert_eq!(sleep_by(&[early], Duration::MAX), Err(Errno::PERM));
        assert_eq!(SLEPT.load(Ordering::Relaxed), 3);
    }
}

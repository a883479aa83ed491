//! Numbers that no other process draws.

use std::sync::atomic::{AtomicU64, Ordering};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rustix::rand::{GetRandomFlags, getrandom};

#[cfg(feature = "seam")]
use super::seam;
use super::time::kernel_monotonic;
use super::{Errno, Result, around};

/// Eight bytes, for the 16 hex digits of a nonce: from the kernel's random source, or improvised where a sandbox refuses
/// that, or it has not started yet. It never waits: a program that starts early in a boot could wait for minutes.
pub(crate) fn random_u64() -> Result<u64> {
    #[cfg(feature = "seam")]
    if let Some(number) = seam::random() {
        return Ok(number);
    }
    match around("getrandom", from_kernel) {
        Err(Errno::AGAIN | Errno::INTR | Errno::PERM | Errno::ACCESS | Errno::NOSYS) => Ok(improvised()),
        drawn => drawn,
    }
}

fn from_kernel() -> Result<u64> {
    let mut bytes = [0; 8];
    match getrandom(&mut bytes[..], GetRandomFlags::NONBLOCK)? {
        8 => Ok(u64::from_ne_bytes(bytes)),
        _ => Err(Errno::AGAIN),
    }
}

/// A nonce has to be different from all others, and need not be a secret. Its PID tells it from those of other processes,
/// the count from this one's, and the rest from those of a process that has the same PID elsewhere or at another time.
fn improvised() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut seed = [0; 32];
    let parts = [
        kernel_monotonic().as_nanos() as u64,
        COUNT.fetch_add(1, Ordering::Relaxed),
        u64::from(std::process::id()) << 32 ^ realtime_nanos(),
        of_this_program(),
    ];
    for (place, part) in seed.chunks_exact_mut(8).zip(parts) {
        place.copy_from_slice(&part.to_ne_bytes());
    }
    SmallRng::from_seed(seed).next_u64()
}

fn realtime_nanos() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    (now.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(now.tv_nsec as u64)
}

/// What the kernel drew for this program when it was started (getauxval(3), AT_RANDOM).
fn of_this_program() -> u64 {
    // SAFETY: reads a table that the process was started with.
    let bytes = unsafe { libc::getauxval(libc::AT_RANDOM) } as *const [u8; 8];
    // SAFETY: null, or 16 bytes that stay as long as the process.
    unsafe { bytes.as_ref() }.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ_however_they_were_drawn() {
        let draw = |n| if n % 2 == 0 { Ok(improvised()) } else { random_u64() };
        let numbers: std::collections::HashSet<u64> = (0..1000).map(|n| draw(n).unwrap()).collect();
        assert_eq!(numbers.len(), 1000);
    }
}

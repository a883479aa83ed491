//! The kernel's random source.

#[cfg(feature = "seam")]
use super::seam;
use super::{Errno, Result, around};

/// Eight bytes from the kernel's cryptographic random source, as a nonce's 16 hex digits.
pub(crate) fn random_u64() -> Result<u64> {
    #[cfg(feature = "seam")]
    if let Some(number) = seam::random() {
        return Ok(number);
    }
    use rand::TryRng;
    around("getrandom", || rand::rngs::SysRng.try_next_u64().map_err(errno_of))
}

/// A failure of the random source is a system call's.
fn errno_of(error: <rand::rngs::SysRng as rand::TryRng>::Error) -> Errno {
    error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}

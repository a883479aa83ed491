//! Giving up a lock that stands, where others judge its holder by the PID.
//!
//! A lock that its holder leaves behind without a release, or that a claimant gives up while it settles, must look like a
//! dead holder's, for the next one to claim: to unlink it could make room for a lock that a shipped peer then renames over
//! (P2). Where `flock` counts, letting that go is enough. Elsewhere a stamp says `flock=none`, and our PID in it lives on as
//! long as our process does; so there we write one in its place that no process has.

use std::mem::MaybeUninit;
use std::sync::Arc;

use crate::lock::hold::{Hold, Life};
use crate::lock::participant::Participant;
use crate::lock::stamp::OwnStamp;
use crate::sys::{self, Fd};

/// The number of no process: Linux gives none above 4 194 304.
const NOBODY: &[u8] = b"2147483647";
/// No stamp with its postscript is longer; and it is read and written from the stack.
const LONGEST: usize = 2048;

/// A stamp of ours that stands in a lock which we do not hold yet.
#[derive(Debug)]
pub(crate) struct AtStake {
    flocked: Arc<Fd>,
    life: Arc<Life>,
    stamp: OwnStamp,
}

impl AtStake {
    pub(crate) fn of(hold: &Hold) -> AtStake {
        AtStake {
            flocked: hold.flocked(),
            life: Arc::clone(&hold.life),
            stamp: hold.stamp.clone(),
        }
    }
}

impl Participant {
    /// Withdraws our stamp from what we have won and shall not hold.
    pub(crate) fn withdraw_stake(&mut self) {
        if let Some(stake) = self.at_stake.take() {
            withdraw(&stake.flocked, &stake.life.file, &stake.stamp);
        }
    }

    /// Withdraws the stamp of a hold that ends without a release.
    pub(crate) fn withdraw_hold(&self) {
        if let Some(hold) = self.holding.hold() {
            withdraw(hold.reader(), hold.writer(), &hold.stamp);
        }
    }
}

/// Has our stamp in a lock name nobody, if the kernel does not vouch for us. The caller lets the `flock` go only after this.
///
/// A rival that judged by what stood there before may have written its own stamp, which then stays. If it writes between
/// our look and our write, it is still settling, and finds its stamp gone: it begins again. Everything else of the lock is
/// written as it was, so that a postscript is handed on. Takes no memory, because there may be none.
pub(crate) fn withdraw(reader: &Fd, writer: &Fd, stamp: &OwnStamp) {
    if stamp.says_flock() {
        return;
    }
    let mut buf = [MaybeUninit::uninit(); LONGEST - NOBODY.len()];
    let Ok(content) = sys::read_at(reader, &mut buf, 0) else {
        return; // it cannot be helped: it is free once this process ends
    };
    let pid = stamp.pid();
    if !content.starts_with(stamp.head()) || content.len() == LONGEST - NOBODY.len() {
        return;
    }
    let rest = &content[pid.len()..];
    let mut text = [0; LONGEST];
    text[..NOBODY.len()].copy_from_slice(NOBODY);
    text[NOBODY.len()..][..rest.len()].copy_from_slice(rest);
    let _ = sys::write_at(writer, &text[..NOBODY.len() + rest.len()], 0); // as above
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Open;
    use crate::sys::tests::Scratch;

    #[test]
    fn a_stamp_that_the_kernel_vouches_for_is_not_withdrawn() {
        let scratch = Scratch::new();
        let stamp = OwnStamp::new().unwrap();
        let file = sys::open(&scratch.dir, c"lock", Open::CreateNew).unwrap();
        sys::write_at(&file, stamp.text.as_bytes(), 0).unwrap();
        withdraw(&file, &file, &stamp);
        let mut buf = [MaybeUninit::uninit(); LONGEST];
        assert_eq!(sys::read_at(&file, &mut buf, 0).unwrap(), stamp.text.as_bytes());
    }

    /// What does not fit would be cut off or overwritten.
    #[test]
    fn a_stamp_is_withdrawn_with_all_that_follows_it_or_left_alone() {
        let scratch = Scratch::new();
        let mut stamp = OwnStamp::new().unwrap();
        stamp.say_flock(false, true);
        let head = String::from_utf8(stamp.head().to_vec()).unwrap();
        let nobodys = head.replacen(stamp.pid(), std::str::from_utf8(NOBODY).unwrap(), 1);
        let most = LONGEST - NOBODY.len();
        for (length, is_withdrawn) in [
            (head.len(), true),
            (most - 1, true),
            (most, false),
            (LONGEST + 100, false),
        ] {
            let rest = "x".repeat(length - head.len());
            let file = sys::open(&scratch.dir, c"lock", Open::ReadWrite)
                .or_else(|_| sys::open(&scratch.dir, c"lock", Open::CreateNew))
                .unwrap();
            sys::truncate(&file, 0).unwrap();
            sys::write_at(&file, format!("{head}{rest}").as_bytes(), 0).unwrap();
            withdraw(&file, &file, &stamp);
            let mut buf = [MaybeUninit::uninit(); 2 * LONGEST];
            let left = sys::read_at(&file, &mut buf, 0).unwrap();
            let expected = if is_withdrawn { &nobodys } else { &head };
            assert_eq!(left, format!("{expected}{rest}").as_bytes(), "{length}");
        }
    }
}

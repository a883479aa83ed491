//! A hold, as a value: everything that makes somebody the holder.
//!
//! The lock is ours as long as its name names the hold's inode. However a hold was won, [`Hold::begin`] is the only way to
//! begin it, and it says whether the hold has to settle first because its sign of life is late.

use std::cell::Cell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::lock::stamp::OwnStamp;
use crate::lock::time::SignOfLife;
use crate::sys::{self, Errno, Fd, FileId};

/// Whether a participant holds the lock.
#[derive(Debug)]
pub(crate) enum Holding {
    Free,
    Held(Hold),
    /// A hold of the caller's was given up, and each call reports that until the release (P3).
    Forfeited,
}

impl Holding {
    pub(crate) fn hold(&self) -> Option<&Hold> {
        match self {
            Holding::Held(hold) => Some(hold),
            Holding::Free | Holding::Forfeited => None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Hold {
    pub id: FileId,
    /// The open file that has the `flock`.
    flocked: Arc<Fd>,
    pub life: Arc<Life>,
    pub stamp: OwnStamp,
    /// Whether a postscript may stand behind the stamp.
    pub postscript: Cell<bool>,
    /// Whether the stamp says since when the lock is held.
    pub says_since: Cell<bool>,
    /// When the hold was won.
    pub won_ms: i64,
}

/// How a hold was won.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Won {
    /// By putting a stamp at a free name.
    Placed,
    /// By claiming a dead holder's lock, or with a late link: it has settled.
    Settled,
}

/// A hold that begins.
#[derive(Debug)]
pub(crate) enum Begun {
    Held(Hold),
    /// This process stood still: a shipped peer may have seen an old lock and be about to rename over it. Give a sign of
    /// life and settle before anybody relies on this hold (P2).
    Late(Hold),
}

impl Hold {
    /// The lock's name names `id`, which is stamped, and `flock`ed through `flocked`.
    pub(crate) fn new(id: FileId, flocked: Arc<Fd>, life: Arc<Life>, stamp: OwnStamp) -> Hold {
        Hold {
            id,
            flocked,
            stamp,
            postscript: Cell::new(false),
            says_since: Cell::new(false),
            won_ms: life.sign().at_ms(),
            life,
        }
    }

    /// The only way for a hold to begin.
    pub(crate) fn begin(self, won: Won) -> Begun {
        let sign = self.life.sign();
        let is_late = match won {
            Won::Placed => sign.is_late_link(),
            Won::Settled => sign.is_overdue(),
        };
        match is_late {
            true => Begun::Late(self),
            false => Begun::Held(self),
        }
    }

    /// To read the lock through.
    pub(crate) fn reader(&self) -> &Fd {
        &self.flocked
    }

    /// The open file that has the `flock`, for whoever must keep that.
    pub(crate) fn flocked(&self) -> Arc<Fd> {
        Arc::clone(&self.flocked)
    }

    /// To write to the lock through.
    pub(crate) fn writer(&self) -> &Fd {
        &self.life.file
    }

    /// Whether something was written to the lock that must not be there when this file begins another hold.
    pub(crate) fn is_dirty(&self) -> bool {
        self.postscript.get() || self.says_since.get()
    }

    /// Writes into the stamp since when the lock is held: from the first sign of life on, the mtime does not say it any more.
    pub(crate) fn say_since(&self) {
        if !self.says_since.replace(true) {
            let (at, digits) = self.stamp.since(self.won_ms);
            let _ = sys::write_at(self.writer(), digits.as_bytes(), at); // only messages say less without it
        }
    }
}

/// The file that is touched while a lock is held, and when that was done last. The keepalive thread shares it.
#[derive(Debug)]
pub(crate) struct Life {
    /// Open for writing. When a holder dies, this file is closed, which also wakes the waiters.
    pub file: Arc<Fd>,
    /// Whether the file system reliably keeps the times that are set.
    local: bool,
    state: Mutex<Signs>,
}

#[derive(Clone, Copy, Debug)]
struct Signs {
    last: SignOfLife,
    /// A sign came too late: a shipped peer may have judged before it.
    was_overdue: bool,
    /// Why the keepalive could not give the last one.
    failed: Option<Errno>,
}

impl Life {
    /// `last` was taken just before the file was written to.
    pub(crate) fn new(file: Arc<Fd>, local: bool, last: SignOfLife) -> Life {
        Life {
            file,
            local,
            state: Mutex::new(Signs {
                last,
                was_overdue: false,
                failed: None,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, Signs> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // never half changed
    }

    pub(crate) fn sign(&self) -> SignOfLife {
        self.state().last
    }

    /// Whether a shipped peer may have judged this lock stale since [`touch`](Self::touch) was last called.
    pub(crate) fn is_overdue(&self) -> bool {
        let signs = *self.state();
        signs.was_overdue || signs.last.is_overdue()
    }

    /// Why the keepalive could not give its last sign, if it could not.
    pub(crate) fn failure(&self) -> Option<Errno> {
        self.state().failed
    }

    /// Gives a sign of life, and forgets that earlier ones were overdue.
    pub(crate) fn touch(&self) -> sys::Result<()> {
        let now = SignOfLife::now();
        give_sign(&self.file, self.local)?;
        *self.state() = Signs {
            last: now,
            was_overdue: false,
            failed: None,
        };
        Ok(())
    }

    /// As [`touch`](Self::touch), for the keepalive: it remembers that a sign was overdue, or failed.
    pub(crate) fn keep_alive(&self) {
        let now = SignOfLife::now();
        let given = give_sign(&self.file, self.local);
        let mut signs = self.state();
        match given {
            Ok(()) => {
                signs.was_overdue |= signs.last.is_overdue();
                (signs.last, signs.failed) = (now, None);
            }
            Err(errno) => signs.failed = Some(errno),
        }
    }

    /// Renews the mtime of a parked file, unless it is fresh. The access time stays, because it may say that others wait.
    pub(crate) fn freshen(&self) -> sys::Result<()> {
        let now = SignOfLife::now();
        if self.sign().is_fresh() {
            return Ok(());
        }
        match sys::touch_modified(&self.file) {
            Ok(()) if self.local => {}
            _ => give_sign(&self.file, self.local)?,
        }
        self.state().last = now;
        Ok(())
    }
}

/// Sets the mtime to now. If that is refused (to a process that gave up its privileges, or in a sandbox), or silently does
/// nothing (FUSE), it writes a byte again, which sets the mtime as well.
fn give_sign(file: &Fd, local: bool) -> sys::Result<()> {
    let begun_ms = sys::realtime_ms();
    match sys::touch(file) {
        Ok(()) if local => Ok(()),
        Ok(()) => match sys::fstat(file)?.modified_ms {
            modified_ms if modified_ms >= begun_ms - 5_000 => Ok(()),
            _ => write_again(file),
        },
        Err(Errno::BADF) => Err(Errno::BADF),
        Err(errno) => write_again(file).map_err(|_| errno),
    }
}

/// Writes the first byte of a stamp, which is a digit of the PID, once more.
fn write_again(file: &Fd) -> sys::Result<()> {
    let mut byte = [std::mem::MaybeUninit::uninit()];
    let first = sys::read_at(file, &mut byte, 0)?;
    sys::write_at(file, first, 0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sys::Open;
    use crate::sys::tests::Scratch;

    /// A shipped peer may have judged before it.
    #[test]
    fn a_sign_that_the_keepalive_gave_too_late_is_remembered() {
        let scratch = Scratch::new();
        let file = Arc::new(sys::open(&scratch.dir, c"lock", Open::CreateNew).unwrap());
        let life = |ago| Life::new(Arc::clone(&file), true, SignOfLife::ago(Duration::from_secs(ago)));
        let (in_time, too_late) = (life(28), life(30));
        for life in [&in_time, &too_late] {
            life.keep_alive();
            assert_eq!(life.failure(), None);
        }
        assert!(!in_time.is_overdue());
        assert!(in_time.sign().at_ms() > sys::realtime_ms() - 20_000, "it is a new one");
        assert!(too_late.is_overdue());
        too_late.touch().unwrap();
        assert!(!too_late.is_overdue(), "whoever touches it settles");
    }
}

//! What is done under a hold: check that it is still ours, renew its sign of life, note something in the lock, release it.

use crate::abi;
use crate::error::{Error, Result};
use crate::lock::dir::{Name, end_with, is_gone, read_stamp};
use crate::lock::hold::{Hold, Holding};
use crate::lock::park::Parked;
use crate::lock::participant::Participant;
use crate::lock::withdraw::withdraw;
use crate::sys::{self, Errno, Meta};

/// How often a hold is settled again if the process was frozen each time. (The settle time may be so long that it always is.)
const SETTLES: u32 = 8;

impl Participant {
    /// Every call under a hold begins with this: `JLOCK_ELOST` if the lock has been taken away (P3).
    pub(crate) fn still_held(&self) -> Result<Meta> {
        let hold = match &self.holding {
            Holding::Held(hold) => hold,
            Holding::Forfeited => return Err(self.lost()),
            Holding::Free => return Err(self.not_held()),
        };
        let lock = || Name(&self.dir.lock);
        match self.dir.stat(&self.dir.lock).map_err(|e| Error::os(e, lock()))? {
            // If it cannot be read, we do not know that it is lost.
            Some(meta) if meta.id == hold.id && self.is_stamped(hold).map_err(|e| Error::os(e, lock()))? => Ok(meta),
            _ => Err(self.lost()),
        }
    }

    /// Whether the lock that we hold still carries our stamp. Where the kernel keeps our `flock`, nobody writes into it.
    /// Elsewhere, a contender that took us for dead has claimed it in place.
    fn is_stamped(&self, hold: &Hold) -> sys::Result<bool> {
        if self.dir.local && self.place.flock {
            return Ok(true);
        }
        match read_stamp(hold.reader()) {
            Ok(content) => Ok(content.starts_with(hold.stamp.head())),
            // A client of NFS may still remember the name of a file that its server no longer has.
            Err(errno) if is_gone(errno) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// As [`still_held`](Self::still_held), for calls that nothing can undo: it also makes sure that nobody has judged the
    /// lock stale by its age and is about to take it away (P3).
    pub(crate) fn surely_held(&self) -> Result<Meta> {
        let meta = self.still_held()?;
        match self.holding.hold().filter(|hold| hold.life.is_overdue()) {
            Some(hold) => self.settle_overdue(hold),
            None => Ok(meta),
        }
    }

    fn lost(&self) -> Error {
        let holder = self.describe_holder();
        let lock = Name(&self.dir.lock);
        let message = format!("{lock}: was taken away from this holder; now {holder}");
        Error::new(abi::JLOCK_ELOST, message)
    }

    // ------------------------------------------------------------------------------------------------- a sign of life

    pub(crate) fn refresh(&self) -> Result<()> {
        self.still_held()?;
        let Some(hold) = self.holding.hold() else {
            return Err(self.not_held());
        };
        if !hold.life.is_overdue() {
            self.touch(hold)?;
            // Check after the sign: if this process was stopped before it, it may have been robbed.
            self.still_held()?;
        }
        match hold.life.is_overdue() {
            true => self.settle_overdue(hold).map(drop),
            false => Ok(()),
        }
    }

    /// If the keepalive could not give a sign of life, the next call under the hold tries again, and reports why it fails.
    pub(crate) fn expect_alive(&self) -> Result<()> {
        match self.holding.hold() {
            Some(hold) if hold.life.failure().is_some() => self.touch(hold),
            _ => Ok(()),
        }
    }

    fn touch(&self, hold: &Hold) -> Result<()> {
        hold.say_since();
        hold.life
            .touch()
            .map_err(|e| Error::os(e, format_args!("refresh {}", Name(&self.dir.lock))))
    }

    /// Gives a sign of life, then waits for anybody who judged by the time before it. `JLOCK_ELOST`: somebody took the lock.
    fn settle_overdue(&self, hold: &Hold) -> Result<Meta> {
        let mut rounds = SETTLES;
        loop {
            self.touch(hold)?;
            self.sleep_to_settle()?;
            let meta = self.still_held()?;
            rounds -= 1;
            // If it was frozen while it settled, it was as silent as before, and may have been judged again.
            if rounds == 0 || !hold.life.is_overdue() {
                return Ok(meta);
            }
        }
    }

    fn sleep_to_settle(&self) -> Result<()> {
        let settle = self.options.settle;
        if settle.is_zero() {
            return Ok(());
        }
        sys::sleep_until(sys::monotonic().saturating_add(settle)).map_err(|e| Error::os(e, "wait for others to settle"))
    }

    // ------------------------------------------------------------------------------------------------- the postscript

    /// Writes an opaque last line behind the stamp. Should we die, the peer that claims this lock hands it on.
    pub(crate) fn put_postscript(&self, line: &str) -> Result<()> {
        let Some(hold) = self.holding.hold() else {
            return Err(self.not_held());
        };
        hold.postscript.set(true);
        let end = hold.stamp.text.len() as u64;
        let put = end_with(hold.writer(), line.as_bytes(), end);
        put.map_err(|e| {
            let _ = self.clear_postscript(); // the first failure says more than this one
            Error::os(e, format_args!("write {}", Name(&self.dir.lock)))
        })
    }

    /// Removes it; makes no system call if there is none. If it stays, the next one overwrites it, and its file begins no
    /// other hold.
    pub(crate) fn clear_postscript(&self) -> Result<()> {
        let Some(hold) = self.holding.hold().filter(|hold| hold.postscript.get()) else {
            return Ok(());
        };
        let cleared = end_with(hold.writer(), b"", hold.stamp.text.len() as u64);
        hold.postscript.set(cleared.is_err());
        cleared.map_err(|e| Error::os(e, format_args!("write {}", Name(&self.dir.lock))))
    }

    // ------------------------------------------------------------------------------------------------- release

    /// Releases the lock. On `JLOCK_ELOST` the hold is over as well, and nothing was removed; after any other failure the
    /// lock is still held.
    pub(crate) fn release(&mut self) -> Result<()> {
        let released = self.remove_own();
        match &released {
            Ok(()) => self.forget_hold(),
            Err(error) if error.code() == abi::JLOCK_ELOST => self.forget_lost(),
            Err(_) => {}
        }
        released
    }

    /// Gives up a parked file that somebody has linked elsewhere (`cp -al`): as long as we have it open, it would look like a
    /// living holder's lock there.
    fn give_up_copied(&mut self, released: &Meta) {
        const OURS: u64 = 2; // the parked name, and until now the lock's
        let is_copied = |parked: &&Parked| released.nlink > OURS && parked.id == released.id;
        if let Some(parked) = self.parked.as_ref().filter(is_copied) {
            withdraw(&parked.life.file, &parked.life.file, &parked.stamp);
            self.unpark();
        }
    }

    fn remove_own(&mut self) -> Result<()> {
        // Surely held: to remove a lock that may have been judged stale would make room for another one, which would then be
        // renamed over (P2).
        let meta = self.surely_held()?;
        self.line.observe(&meta);
        // Between the check and this call nobody removes or replaces the lock: library peers do so only under its flock,
        // which is ours, and shipped ones only if they have judged it stale (P1, P2).
        match sys::unlink(&self.dir.fd, &self.dir.lock) {
            Ok(()) => {
                self.give_up_copied(&meta);
                Ok(())
            }
            Err(Errno::NOENT) => Err(self.lost()),
            Err(errno) => Err(Error::os(errno, format_args!("release {}", Name(&self.dir.lock)))),
        }
    }
}

//! Under a hold: is it still ours, renew its sign of life, note something in the lock, release it.

use crate::abi;
use crate::error::{Error, Result};
use crate::lock::dir::{Name, end_with, read_stamp};
use crate::lock::hold::{Hold, Holding};
use crate::lock::participant::Participant;
use crate::sys::{self, Errno, Meta};

/// How often a hold is settled anew that was frozen each time: the settle time may be longer than all patience.
const SETTLES: u32 = 8;

impl Participant {
    /// What every call under a hold begins with: `JLOCK_ELOST` when it has been taken away (P3).
    pub(crate) fn still_held(&self) -> Result<Meta> {
        let hold = match &self.holding {
            Holding::Held(hold) => hold,
            Holding::Forfeited => return Err(self.lost()),
            Holding::Free => return Err(self.not_held()),
        };
        let lock = || Name(&self.dir.lock);
        match self.dir.stat(&self.dir.lock).map_err(|e| Error::os(e, lock()))? {
            // What cannot be read is not known to be lost.
            Some(meta) if meta.id == hold.id && self.is_stamped(hold).map_err(|e| Error::os(e, lock()))? => Ok(meta),
            _ => Err(self.lost()),
        }
    }

    /// Whether the lock that we hold still carries our stamp. Where the kernel keeps our `flock`, nobody writes into it.
    /// Elsewhere, a contender that took us for dead has claimed it in place.
    fn is_stamped(&self, hold: &Hold) -> sys::Result<bool> {
        let kept = self.dir.local && self.place.flock;
        Ok(kept || read_stamp(hold.reader())?.starts_with(hold.stamp.head()))
    }

    /// As [`still_held`](Self::still_held), before a call that nothing can take back: also that nobody is about to take it
    /// away who has judged it stale by its age (P3).
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
            // After the sign: stopped before it, this process may have been robbed.
            self.still_held()?;
        }
        match hold.life.is_overdue() {
            true => self.settle_overdue(hold).map(drop),
            false => Ok(()),
        }
    }

    /// What the keepalive could not do is tried again by the next call under the hold, which reports why it fails.
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

    /// Gives a sign of life, then waits for whoever judged by the time before it. `JLOCK_ELOST`: somebody took the lock.
    fn settle_overdue(&self, hold: &Hold) -> Result<Meta> {
        let mut rounds = SETTLES;
        loop {
            self.touch(hold)?;
            self.sleep_to_settle()?;
            let meta = self.still_held()?;
            rounds -= 1;
            // Frozen while it settled, a hold is as silent as before, and may have been judged anew.
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

    /// Writes an opaque last line behind the stamp: whoever claims this lock, should we die, hands it on.
    pub(crate) fn put_postscript(&self, line: &str) -> Result<()> {
        let Some(hold) = self.holding.hold() else {
            return Err(self.not_held());
        };
        hold.postscript.set(true);
        let end = hold.stamp.text.len() as u64;
        let put = end_with(hold.writer(), line.as_bytes(), end);
        put.map_err(|e| {
            let _ = self.clear_postscript(); // as above: the first failure says more
            Error::os(e, format_args!("write {}", Name(&self.dir.lock)))
        })
    }

    /// Removes it; no call if none stands there. One that stays is written over by the next, and its file begins no other
    /// hold.
    pub(crate) fn clear_postscript(&self) -> Result<()> {
        let Some(hold) = self.holding.hold().filter(|hold| hold.postscript.get()) else {
            return Ok(());
        };
        let cleared = end_with(hold.writer(), b"", hold.stamp.text.len() as u64);
        hold.postscript.set(cleared.is_err());
        cleared.map_err(|e| Error::os(e, format_args!("write {}", Name(&self.dir.lock))))
    }

    // ------------------------------------------------------------------------------------------------- release

    /// Releases the lock. On `JLOCK_ELOST` the hold is over as well, and nothing was removed; after any other failure it is
    /// still held.
    pub(crate) fn release(&mut self) -> Result<()> {
        let released = self.remove_own();
        match &released {
            Ok(()) => self.forget_hold(),
            Err(error) if error.code() == abi::JLOCK_ELOST => self.forget_lost(),
            Err(_) => {}
        }
        released
    }

    /// Gives up a parked file that somebody has linked elsewhere (`cp -al`): its name there would look like a living holder's
    /// lock as long as we have it open.
    fn give_up_copied(&mut self, released: &Meta) {
        const OURS: u64 = 2; // the parked name, and the lock's until now
        if released.nlink > OURS && self.parked.as_ref().is_some_and(|parked| parked.id == released.id) {
            self.unpark();
        }
    }

    fn remove_own(&mut self) -> Result<()> {
        // Surely: whoever removes a lock that may have been judged stale makes room for a lock that would be renamed over
        // (P2).
        let meta = self.surely_held()?;
        self.line.observe(&meta);
        // Between the check and this call nobody removes or replaces the lock: library peers do so only with its flock,
        // which is ours, shipped ones only with one that they judged stale (P1, P2).
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

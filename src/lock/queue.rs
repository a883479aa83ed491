//! Fairness: who waits lines up, so that a tight loop starves nobody.
//!
//! A released lock is won by whoever runs, and that is the process that has just released it. So each waiter takes a
//! **ticket**, and sleeps on the parked stamp of the waiter before it: to acquire is to link that stamp, to release to
//! unlink it, and both are reported by the one inotify watch. Nobody is woken but the next in line.
//!
//! Who acquires has a **share** of the lock: for so long it may acquire again and again. Then it looks for tickets, and
//! lines up behind them. Whoever is next in line sleeps for that time, and only now and then sees whether the lock lies
//! idle: a lock that goes from process to process with each hold costs more than the holds. Who got the lock without
//! waiting does not know that others wait: they leave a **sign** on the lock, which its release finds, and its share
//! begins. Who never waits (a try, or no time-out at all) never lines up either.
//!
//! Ticket and sign are hints and stand in access times, which mean nothing to shipped peers: the ticket in that of the
//! waiter's parked file, the sign in that of the lock. They cost nobody a system call who does not wait: a release looks
//! at the lock anyway. Nothing depends on them but the order: every pause ends after `retry_ms` at the latest.

use std::ffi::{CStr, CString};
use std::time::Duration;

use crate::error::Result;
use crate::lock::core::Core;
use crate::lock::wait::{Waker, sleep};
use crate::sys::{self, Accessed, Fd, FileId, Meta, Open, Watched};

/// How long a holder may acquire again and again while others wait. Far below a time slice of the scheduler, far above
/// what it costs to hand the lock on.
const SHARE: Duration = Duration::from_micros(350);
/// How often the next in line sees whether the lock lies idle within a share.
const NAP: Duration = Duration::from_micros(100);

/// How long a waiter is passed over that seemed to be stopped.
const PASSED_OVER: Duration = Duration::from_secs(1);

/// A ticket is a time of the monotonic clock, far below any of the wall clock.
const TICKETS: std::ops::Range<i64> = 0..1_000_000_000;
/// A sign is one as well, moved out of their way.
const SIGNS: std::ops::Range<i64> = 1_000_000_000..1_500_000_000;

#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Since when we wait in line.
    ticket: Option<Accessed>,
    /// The one before us has acquired. Tickets are taken in the order of their times: nobody is before us any more, except
    /// whom it has overtaken.
    is_first: bool,
    /// The last sign that we found on our own lock.
    seen: Option<Accessed>,
    /// When our present share began, as far as we know. `None`: we know of nobody who waits.
    share_began: Option<Duration>,
    /// Tickets whose owners did nothing for long while the lock was free: they may have been stopped. We pass them over,
    /// until then by the monotonic clock.
    passed_over: Vec<(Accessed, Duration)>,
}

fn ticket_of(meta: &Meta) -> Option<Accessed> {
    TICKETS.contains(&meta.accessed.seconds).then_some(meta.accessed)
}

impl Queue {
    /// What a release sees of its own lock.
    pub(crate) fn observe(&mut self, meta: &Meta) {
        if SIGNS.contains(&meta.accessed.seconds) && self.seen != Some(meta.accessed) {
            self.seen = Some(meta.accessed);
            self.share_began.get_or_insert_with(sys::monotonic);
        }
    }
}

/// Whom a waiter waits for.
pub(crate) enum Turn {
    /// The holder alone: it is the first in line.
    First,
    /// Another waiter, whose parked stamp is watched now.
    After(Before),
}

/// The waiter before us.
pub(crate) struct Before {
    pub id: FileId,
    ticket: Accessed,
}

impl Core {
    /// Whether this handle has had its share and others wait: then it lines up before it tries.
    pub(crate) fn gives_way(&mut self) -> bool {
        let Some(began) = self.queue.share_began else {
            return false;
        };
        let now = sys::monotonic();
        if now.saturating_sub(began) < SHARE {
            return false;
        }
        self.queue.share_began = None;
        self.has_line() && self.latest_ticket(None).is_some()
    }

    /// Whether tickets can be told here: from the times of files that do not wait, and from those of another machine, whose
    /// clock began at another time.
    fn has_line(&self) -> bool {
        self.dir.local && sys::realtime_ms() / 1000 >= SIGNS.end
    }

    /// Ends our share before its time: we want nothing of the lock for a while. Whoever leaves us in peace is told.
    pub(crate) fn end_share(&mut self) {
        if let (Some(parked), Some(_)) = (&self.parked, self.queue.share_began.take()) {
            let now = Duration::from_millis(sys::realtime_ms().unsigned_abs());
            let _ = sys::set_accessed(&parked.file, Accessed::at(now, 0)); // if it cannot be told, it looks by itself
        }
    }

    /// Takes a ticket, or sees to it that ours stands: our parked stamp may be another by now, and while it was the lock,
    /// somebody may have signed it. Whoever waits for the end of our share watches the access time that it sets.
    fn line_up(&mut self) {
        let Some(parked) = self.parked.as_ref().filter(|parked| parked.flock && self.has_line()) else {
            return;
        };
        let now = || Accessed::at(sys::monotonic(), TICKETS.start);
        let ticket = self.queue.ticket.unwrap_or_else(now);
        if sys::set_accessed(&parked.file, ticket).is_ok() {
            // As the file system keeps it, perhaps in seconds: then those of one second are before nobody.
            let kept = sys::fstat(&parked.file).ok();
            self.queue.ticket = kept.as_ref().and_then(ticket_of).or(Some(ticket));
        }
    }

    /// Gives the ticket back: whoever waits for us is told, unless our link tells it.
    pub(crate) fn leave_line(&mut self, acquired: bool) {
        self.queue.is_first = false;
        if self.queue.ticket.take().is_some() {
            self.queue.share_began = acquired.then(sys::monotonic);
            if let Some(parked) = &self.parked {
                let _ = sys::touch(&parked.file); // if the ticket stays, others look again after retry_ms
            }
        }
    }

    /// Takes a ticket, and leaves our sign on the lock that stands: its holder is told that others wait.
    pub(crate) fn sign(&mut self, lock: &Fd) {
        self.line_up();
        if self.queue.ticket.is_some() {
            // Another user's lock: then nobody gives way.
            let _ = sys::set_accessed(lock, Accessed::at(sys::monotonic(), SIGNS.start));
        }
    }

    /// Lines up, finds the waiter before us, and watches it.
    pub(crate) fn turn(&mut self) -> Turn {
        self.line_up();
        let mut ours = self.queue.ticket.filter(|_| !self.queue.is_first);
        while let Some((name, ticket)) = ours.and_then(|ours| self.latest_ticket(Some(ours))) {
            match self.watch_waiter(&name, ticket) {
                Some(before) => return Turn::After(before),
                None => ours = Some(ticket), // what cannot be looked at, or is gone, is nobody to wait for
            }
        }
        Turn::First
    }

    fn watch_waiter(&mut self, name: &CStr, ticket: Accessed) -> Option<Before> {
        let file = sys::open(&self.dir.fd, name, Open::Read).ok()?;
        if sys::flock_exclusive(&file).ok()? {
            drop(file);
            self.sweep(); // it is dead
            return None;
        }
        let id = sys::fstat(&file).ok()?.id;
        self.watch.arm(&file, id, Watched::Change);
        // Read after the watch was armed: what becomes of the ticket from now on is reported.
        let now = ticket_of(&sys::fstat(&file).ok()?);
        (now == Some(ticket)).then_some(Before { id, ticket })
    }

    /// The latest ticket of others, before this one if there is one.
    fn latest_ticket(&self, ours: Option<Accessed>) -> Option<(CString, Accessed)> {
        let mut last: Option<(CString, Accessed)> = None;
        for name in self.others_private_files() {
            let theirs = match sys::stat(&self.dir.fd, &name) {
                Ok(Some(meta)) => ticket_of(&meta),
                _ => None,
            };
            let Some(theirs) = theirs.filter(|theirs| !self.is_passed_over(*theirs)) else {
                continue;
            };
            if ours.is_none_or(|ours| theirs < ours) && last.as_ref().is_none_or(|(_, latest)| *latest < theirs) {
                last = Some((name, theirs));
            }
        }
        last
    }

    /// The one before us did nothing for all of a pause, and yet the lock was free.
    pub(crate) fn pass_over(&mut self, before: &Before) {
        let now = sys::monotonic();
        self.queue.passed_over.retain(|(_, until)| now < *until);
        self.queue.passed_over.push((before.ticket, now + PASSED_OVER));
    }

    fn is_passed_over(&self, ticket: Accessed) -> bool {
        let passed_over = &self.queue.passed_over;
        !passed_over.is_empty() && {
            let now = sys::monotonic();
            passed_over
                .iter()
                .any(|(passed, until)| *passed == ticket && now < *until)
        }
    }

    /// The one before us moved. If that was to acquire, we are the first in line, and it has its share: until that is
    /// over, or the lock lies idle. Whether we have acquired.
    pub(crate) fn follow(&mut self, before: &Before, waker: &Waker, left: Duration) -> Result<bool> {
        if !self.is_lock(before.id)? {
            return Ok(false);
        }
        self.queue.is_first = true;
        let ends = sys::monotonic() + SHARE.min(left);
        // A ticket of the holder's wakes us at once: it has had its share.
        match self.open_lock() {
            Ok(Some((file, id))) if id == before.id => self.watch.arm(&file, id, Watched::Share),
            _ => {} // it has changed, or may not be looked at: that is found below
        }
        while let Some(rest) = ends.checked_sub(sys::monotonic()).filter(|rest| !rest.is_zero()) {
            if waker.is_canceled() {
                break;
            }
            sleep(&mut self.watch, waker, before.id, rest.min(NAP));
            if !self.is_lock(before.id)? {
                return self.place();
            }
        }
        Ok(false)
    }
}

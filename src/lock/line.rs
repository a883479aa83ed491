//! Fairness: waiters line up, so that a tight loop starves nobody.
//!
//! A released lock goes to whichever process is running, and that is the one that has just released it. So each waiter takes a
//! **ticket**, and sleeps on the parked stamp of the waiter before it: to acquire is to link that stamp, to release is to
//! unlink it, and one inotify watch reports both. It wakes only the next in line.
//!
//! A ticket is a second name of the waiter's parked stamp, in a separate directory for waiters, and it begins with the time at
//! which its owner began to wait. So a turn looks only at waiters, however many idle handles and other files there are.
//!
//! An acquirer has a **turn** with the lock, in which it may acquire again and again. Then it looks for tickets, and lines up
//! behind them. The next in line sleeps for that time, and only now and then checks whether the lock is idle: passing a lock
//! from process to process after each hold would cost more than the holds. A holder that got the lock without waiting does
//! not know that others wait. They **call** it: they set the lock's access time, which the holder finds when it releases, and
//! then its turn begins. A caller that never waits (a try, or a timeout of zero) never lines up either.
//!
//! Tickets and calls are hints. Nothing depends on them but the order: every pause ends after `retry_ms` at the latest.

use std::ffi::{CStr, CString};
use std::time::Duration;

use crate::lock::participant::Participant;
use crate::lock::place::Way;
use crate::sys::owner::{self, Owner};
use crate::sys::{self, Accessed, Errno, Fd, FileId, Meta, Open, Watched};

/// How long a holder may acquire again and again while others wait. This is far below a time slice of the scheduler, and far
/// above the cost of handing the lock on.
pub(crate) const TURN: Duration = Duration::from_micros(350);
/// How often the next in line checks within a turn whether the lock is idle.
pub(crate) const NAP: Duration = Duration::from_micros(100);
/// How long a waiter that seemed to be stopped is passed over.
const PASSED_OVER: Duration = Duration::from_secs(1);
/// How many tickets are looked at: more than anybody has waiters.
const TICKETS: usize = 100_000;

/// A call is an access time in this range: the monotonic clock, moved to where no wall clock is any more.
const CALLS: std::ops::Range<i64> = 1_000_000_000..1_500_000_000;

#[derive(Debug, Default)]
pub(crate) struct Line {
    /// The directory of the tickets, as long as we wait.
    dir: Option<Fd>,
    /// Whether we have ever lined up here.
    was_used: bool,
    /// Our ticket's name.
    ticket: Option<CString>,
    /// The one before us has acquired. Waiters acquire in the order of their tickets' times, so nobody is before us any more,
    /// except those that it has overtaken.
    pub is_first: bool,
    /// The last call that we found on our own lock.
    heard: Option<Accessed>,
    /// When our current turn began, as far as we know. `None`: we know of nobody who waits.
    turn_began: Option<Duration>,
    /// Tickets whose owners did nothing for long while the lock was free: they may have been stopped. We pass each of them
    /// over until this time of the monotonic clock.
    passed_over: Vec<(CString, Duration)>,
}

/// The waiter before us. We watch its parked stamp.
#[derive(Debug)]
pub(crate) struct Before {
    pub id: FileId,
    ticket: CString,
}

/// A ticket's name begins with a time.
pub(crate) fn is_ticket(name: &CStr) -> bool {
    name.to_bytes().first().is_some_and(u8::is_ascii_digit)
}

impl Line {
    /// Takes note of what a release sees of its lock.
    pub(crate) fn observe(&mut self, meta: &Meta) {
        if CALLS.contains(&meta.accessed.seconds) && self.heard != Some(meta.accessed) {
            self.heard = Some(meta.accessed);
            self.turn_began.get_or_insert_with(sys::monotonic);
        }
    }

    pub(crate) fn has_ticket(&self) -> bool {
        self.ticket.is_some()
    }

    fn is_passed_over(&self, ticket: &[u8]) -> bool {
        let mut passed_over = self.passed_over.iter();
        !self.passed_over.is_empty() && {
            let now = sys::monotonic();
            passed_over.any(|(passed, until)| passed.as_bytes() == ticket && now < *until)
        }
    }

    /// The latest ticket before this one.
    fn latest_before(&self, ours: &CStr) -> Option<CString> {
        let mut latest: Option<CString> = None;
        let listed = sys::list_some(self.dir.as_ref()?, TICKETS, |name| {
            let bytes = name.to_bytes();
            let is_later = latest.as_ref().is_none_or(|latest| latest.as_bytes() < bytes);
            if is_ticket(name) && bytes < ours.to_bytes() && is_later && !self.is_passed_over(bytes) {
                latest = Some(name.to_owned());
            }
        });
        listed.ok().and(latest)
    }
}

impl Participant {
    /// Whether this handle has had its turn and others wait, so that it lines up before it tries.
    pub(crate) fn gives_way(&mut self) -> bool {
        let Some(began) = self.line.turn_began else {
            return false;
        };
        if sys::monotonic().saturating_sub(began) < TURN {
            return false;
        }
        self.line.turn_began = None;
        self.seat.others_wait() || self.others_line_up()
    }

    fn others_line_up(&mut self) -> bool {
        self.has_line() && self.open_line(false) && {
            let last = CString::from(c"~"); // behind every ticket
            self.line.latest_before(&last).is_some()
        }
    }

    /// Whether there can be a line here. The clocks of other machines began at another time, and a call must be
    /// distinguishable from the time now.
    fn has_line(&self) -> bool {
        self.dir.local && self.place.way == Way::Link && sys::realtime_ms() / 1000 >= CALLS.end
    }

    /// Ends our turn early, because we do not need the lock for a while, and tells the next in line.
    pub(crate) fn end_turn(&mut self) {
        if self.line.turn_began.take().is_some() {
            self.tell_end_of_turn();
        }
    }

    /// The next in line watches the access time of the parked stamp that was before it.
    fn tell_end_of_turn(&self) {
        if let Some(parked) = &self.parked {
            let now = Duration::from_millis(sys::realtime_ms().unsigned_abs());
            let _ = sys::set_accessed(&parked.life.file, Accessed::at(now, 0)); // without this it looks now and then
        }
    }

    /// Takes a ticket, if there is a line here and we have none. `since`: when we began to wait.
    fn line_up(&mut self, since: Duration) {
        if self.line.ticket.is_some() || !self.has_line() || !self.open_line(true) {
            return;
        }
        let (Some(parked), Some(line)) = (self.parked.as_ref().filter(|parked| parked.flock), &self.line.dir) else {
            return;
        };
        let since = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX); // in 584 years
        let Ok(name) = CString::new(format!("{since:020}-{}", parked.stamp.nonce())) else {
            return;
        };
        match sys::link_between(&self.dir.fd, &parked.name, line, &name) {
            Ok(()) => self.line.ticket = Some(name),
            // The directory was removed: make another one the next time. (Or our parked stamp was swept, which the next try
            // finds.)
            Err(Errno::NOENT) if sys::fstat(line).is_ok_and(|meta| meta.nlink == 0) => self.line.dir = None,
            Err(_) => {} // another user's directory, where we cannot line up
        }
        self.tell_end_of_turn();
    }

    /// Opens the waiters' directory; with `make`, creates it if it is missing.
    fn open_line(&mut self, make: bool) -> bool {
        if self.line.dir.is_none() {
            let dir = &self.dir;
            let opened = match sys::open_subdir(&dir.fd, &dir.line) {
                Err(Errno::NOENT) if make => self.make_line(),
                other => other,
            };
            self.line.dir = opened.ok();
            self.line.was_used |= self.line.dir.is_some();
        }
        self.line.dir.is_some()
    }

    /// Makes the waiters' directory, with the owner and the mode of the directory that it is in: everybody who may lock there
    /// may line up.
    fn make_line(&self) -> sys::Result<Fd> {
        let dir = &self.dir;
        match sys::mkdir_at(&dir.fd, &dir.line, 0o700) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        let (line, above) = (sys::open_subdir(&dir.fd, &dir.line)?, sys::fstat(&dir.fd)?);
        // If it cannot be given away, it stays ours alone, and nobody else lines up.
        let given = match sys::process::effective_uid() {
            0 if above.uid != 0 => owner::give(&line, Owner::of(&sys::fstat(&line)?), Owner::of(&above)),
            _ => Ok(()),
        };
        let _ = given.and_then(|()| sys::chmod(&line, above.mode));
        Ok(line)
    }

    /// Leaves the queue and the line. The waiter behind us notices: by our link, or by the end of our ticket.
    pub(crate) fn leave_line(&mut self, acquired: bool) {
        self.line.is_first = false;
        self.watch.end();
        let waited = self.drop_ticket();
        self.line.dir = None;
        if waited {
            self.line.turn_began = acquired.then(sys::monotonic);
        }
        self.seat.leave();
    }

    /// Removes the waiters' directory, if we have used it and nobody is in line.
    pub(crate) fn close_line(&mut self) {
        if std::mem::take(&mut self.line.was_used) {
            let _ = sys::rmdir_at(&self.dir.fd, &self.dir.line); // it stays while others need it
        }
    }

    pub(crate) fn drop_ticket(&mut self) -> bool {
        let (Some(ticket), Some(line)) = (self.line.ticket.take(), &self.line.dir) else {
            return false;
        };
        let _ = sys::unlink(line, &ticket); // if it stays, the next waiter finds that its owner does not wait
        true
    }

    /// Takes a ticket, and calls the holder of this lock, so that it knows that others wait.
    pub(crate) fn call(&mut self, lock: &Fd, since: Duration) {
        self.line_up(since);
        if self.has_line() {
            // This fails on another user's lock; then its holder does not give way.
            let _ = sys::set_accessed(lock, Accessed::at(sys::monotonic(), CALLS.start));
        }
    }

    /// Lines up, finds the waiter before us, and watches it. `None`: we are the first in line.
    pub(crate) fn find_before(&mut self, since: Duration) -> Option<Before> {
        self.line_up(since);
        let mut ours = self.line.ticket.clone().filter(|_| !self.line.is_first)?;
        while let Some(ticket) = self.line.latest_before(&ours) {
            if let Some(id) = self.watch_waiter(&ticket) {
                return Some(Before { id, ticket });
            }
            ours = ticket; // gone, or we may not look at it: go on with the one before
        }
        None
    }

    fn watch_waiter(&mut self, ticket: &CStr) -> Option<FileId> {
        let line = self.line.dir.as_ref()?;
        let file = sys::open(line, ticket, Open::Read).ok()?;
        if sys::flock_exclusive(&file).ok()? {
            let _ = sys::unlink(line, ticket); // its owner is dead; if the ticket stays, the next waiter finds it
            return None;
        }
        let id = sys::fstat(&file).ok()?.id;
        self.watch.arm(&file, id, Watched::Change);
        // Check after arming the watch: whatever happens from now on is reported.
        self.is_waiting(&Before {
            id,
            ticket: ticket.to_owned(),
        })
        .then_some(id)
    }

    /// Whether the one before us is still in line.
    pub(crate) fn is_waiting(&self, before: &Before) -> bool {
        let line = self.line.dir.as_ref();
        let found = line.and_then(|line| sys::stat(line, &before.ticket).ok().flatten());
        found.is_some_and(|meta| meta.id == before.id)
    }

    /// Passes over the one before us, which did nothing for a whole pause although the lock was free.
    pub(crate) fn pass_over(&mut self, before: Before) {
        let now = sys::monotonic();
        self.line.passed_over.retain(|(_, until)| now < *until);
        self.line.passed_over.push((before.ticket, now + PASSED_OVER));
    }

    /// If the one before us has acquired, it has its turn now, and we watch for the end of that. `false`: somebody else has
    /// the lock.
    pub(crate) fn follow(&mut self, before: &Before) -> crate::error::Result<bool> {
        if !self.dir.is_lock(before.id)? {
            return Ok(false);
        }
        self.line.is_first = true;
        match self.dir.open_lock() {
            Ok(Some((file, id))) if id == before.id => self.watch.arm(&file, id, Watched::Share),
            _ => {} // it has changed, or we may not look at it, which we find when we look again
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lock::participant::tests::participant;
    use crate::options::Options;
    use crate::sys::tests::Scratch;

    /// The time at which a lock was linked, or read, is none.
    #[test]
    fn each_call_that_is_found_on_a_lock_begins_a_turn_once() {
        let meta = sys::fstat(&sys::open_dir(c"/").unwrap()).unwrap();
        let found = |line: &mut Line, seconds: u64, start: i64| {
            line.observe(&Meta {
                accessed: Accessed::at(Duration::from_secs(seconds), start),
                ..meta
            });
            line.turn_began.take().is_some()
        };
        let mut line = Line::default();
        assert!(!found(&mut line, 1, CALLS.end));
        assert!(found(&mut line, 1, CALLS.start));
        assert!(!found(&mut line, 1, CALLS.start));
        assert!(found(&mut line, 2, CALLS.start));
        assert!(!found(&mut line, 2, CALLS.end));
    }

    #[test]
    fn whoever_is_not_passed_over_any_more_is_forgotten_and_the_others_are_not() {
        let scratch = Scratch::new();
        let mut waiter = participant(&scratch, Options::new(), &Arc::default());
        waiter.line.passed_over.push((c"1".into(), Duration::ZERO));
        let id = sys::fstat(&scratch.dir).unwrap().id;
        for ticket in [c"2", c"3"] {
            let ticket = ticket.into();
            waiter.pass_over(Before { id, ticket });
        }
        let known = waiter.line.passed_over.iter().map(|(ticket, _)| ticket.as_c_str());
        assert!(known.eq([c"2", c"3"]));
    }
}

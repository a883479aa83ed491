//! Fairness: who waits lines up, so that a tight loop starves nobody.
//!
//! A released lock is won by whoever runs, and that is the process that has just released it. So each waiter takes a
//! **ticket**, and sleeps on the parked stamp of the waiter before it: acquiring means to link that stamp, releasing to
//! unlink it, and both are reported by the one inotify watch. Nobody is woken but the next in line.
//!
//! A ticket is a second name of the waiter's parked stamp, in a directory of the waiters' own, and it begins with the time
//! since when its owner waits. So a turn looks at nothing but waiters, however many idle handles and other files there are.
//!
//! An acquirer has a **turn** with the lock: for that long it may acquire again and again. Then it looks for tickets, and
//! lines up behind them. The next in line sleeps for that time, and only now and then looks whether the lock lies idle: a
//! lock that goes from process to process with each hold costs more than the holds. A holder that got the lock without
//! waiting does not know that others wait. They **call**: they set the lock's access time, its release finds it, and its
//! turn begins. Whoever never waits (a try, or no timeout at all) never lines up either.
//!
//! Tickets and calls are hints. Nothing depends on them but the order: every pause ends after `retry_ms` at the latest.

use std::ffi::{CStr, CString};
use std::time::Duration;

use crate::lock::participant::Participant;
use crate::lock::place::Way;
use crate::sys::{self, Accessed, Errno, Fd, FileId, Meta, Open, Watched};

/// How long a holder may acquire again and again while others wait. Far below a time slice of the scheduler, far above
/// what it costs to hand the lock on.
pub(crate) const TURN: Duration = Duration::from_micros(350);
/// How often the next in line looks whether the lock lies idle within a turn.
pub(crate) const NAP: Duration = Duration::from_micros(100);
/// How long a waiter is passed over that seemed to be stopped.
const PASSED_OVER: Duration = Duration::from_secs(1);
/// How many tickets are looked at: more than anybody has waiters.
const TICKETS: usize = 100_000;

/// A call is an access time: the monotonic clock, moved to before any wall clock.
const CALLS: std::ops::Range<i64> = 1_000_000_000..1_500_000_000;

#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Where the tickets are, as long as we wait.
    dir: Option<Fd>,
    /// Whether we have ever lined up here.
    was_used: bool,
    /// Our ticket's name.
    ticket: Option<CString>,
    /// The one before us has acquired. Tickets are taken in the order of their times: nobody is before us any more, except
    /// whom it has overtaken.
    pub is_first: bool,
    /// The last call that we found on our own lock.
    heard: Option<Accessed>,
    /// When our present turn began, as far as we know. `None`: we know of nobody who waits.
    turn_began: Option<Duration>,
    /// Tickets whose owners did nothing for long while the lock was free: they may have been stopped. We pass them over,
    /// until then by the monotonic clock.
    passed_over: Vec<(CString, Duration)>,
}

/// The waiter before us, whose parked stamp is watched.
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
    /// What a release sees of its own lock.
    pub(crate) fn observe(&mut self, meta: &Meta) {
        if CALLS.contains(&meta.accessed.seconds) && self.heard != Some(meta.accessed) {
            self.heard = Some(meta.accessed);
            self.turn_began.get_or_insert_with(sys::monotonic);
        }
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
    /// Whether this handle has had its turn and others wait: then it lines up before it tries.
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

    /// Whether there can be a line here: the clocks of other machines began at another time, and a call must be told from
    /// the present.
    fn has_line(&self) -> bool {
        self.dir.local && self.place.way == Way::Link && sys::realtime_ms() / 1000 >= CALLS.end
    }

    /// Ends our turn before its time: we want nothing of the lock for a while. Whoever leaves us in peace is told.
    pub(crate) fn end_turn(&mut self) {
        if self.line.turn_began.take().is_some() {
            self.tell_end_of_turn();
        }
    }

    /// The next in line watches the access time of the one that was before it.
    fn tell_end_of_turn(&self) {
        if let Some(parked) = &self.parked {
            let now = Duration::from_millis(sys::realtime_ms().unsigned_abs());
            let _ = sys::set_accessed(&parked.life.file, Accessed::at(now, 0)); // if it is not told, it looks by itself
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
            // It was removed: another one, the next time. (Or our parked stamp was swept, which the next try finds.)
            Err(Errno::NOENT) if sys::fstat(line).is_ok_and(|meta| meta.nlink == 0) => self.line.dir = None,
            Err(_) => {} // another user's directory: no place in line for us
        }
        self.tell_end_of_turn();
    }

    /// Opens the waiters' directory; with `make`, makes it.
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

    /// With the owner and the mode of the directory it is in: whoever may lock there may line up.
    fn make_line(&self) -> sys::Result<Fd> {
        let dir = &self.dir;
        match sys::mkdir_at(&dir.fd, &dir.line, 0o700) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        let (line, above) = (sys::open_subdir(&dir.fd, &dir.line)?, sys::fstat(&dir.fd)?);
        // What cannot be given away stays ours alone, and nobody else lines up.
        let given = match sys::process::effective_uid() {
            0 if above.uid != 0 => sys::owner::change_owner(&line, Some(above.uid), above.gid),
            _ => Ok(()),
        };
        let _ = given.and_then(|()| sys::chmod(&line, above.mode));
        Ok(line)
    }

    /// Leaves the queue and the line. Whoever waits for us is told: by our link, or by the end of our ticket.
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
        let _ = sys::unlink(line, &ticket); // if it stays, whoever comes next finds that nobody waits behind it
        true
    }

    /// Takes a ticket, and calls the holder of the lock that stands: others wait.
    pub(crate) fn call(&mut self, lock: &Fd, since: Duration) {
        self.line_up(since);
        if self.has_line() {
            // Another user's lock: then nobody gives way.
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
            ours = ticket; // what cannot be looked at, or is gone, is nobody to wait for
        }
        None
    }

    fn watch_waiter(&mut self, ticket: &CStr) -> Option<FileId> {
        let line = self.line.dir.as_ref()?;
        let file = sys::open(line, ticket, Open::Read).ok()?;
        if sys::flock_exclusive(&file).ok()? {
            let _ = sys::unlink(line, ticket); // it is dead; if its ticket stays, the next one finds it
            return None;
        }
        let id = sys::fstat(&file).ok()?.id;
        self.watch.arm(&file, id, Watched::Change);
        // After the watch was armed: what becomes of it from now on is reported.
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

    /// The one before us did nothing for all of a pause, and yet the lock was free.
    pub(crate) fn pass_over(&mut self, before: Before) {
        let now = sys::monotonic();
        self.line.passed_over.retain(|(_, until)| now < *until);
        self.line.passed_over.push((before.ticket, now + PASSED_OVER));
    }

    /// The one before us has acquired: it has its turn, whose end we watch for. `false`: somebody else has the lock.
    pub(crate) fn follow(&mut self, before: &Before) -> crate::error::Result<bool> {
        if !self.dir.is_lock(before.id)? {
            return Ok(false);
        }
        self.line.is_first = true;
        match self.dir.open_lock() {
            Ok(Some((file, id))) if id == before.id => self.watch.arm(&file, id, Watched::Share),
            _ => {} // it has changed, or may not be looked at: that is found when we look again
        }
        Ok(true)
    }
}

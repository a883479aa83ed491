//! Fairness: who waits lines up, so that a tight loop starves nobody.
//!
//! A released lock is won by whoever runs, and that is the process that has just released it. So each waiter takes a
//! **ticket**, and sleeps on the parked stamp of the waiter before it: to acquire is to link that stamp, to release to
//! unlink it, and both are reported by the one inotify watch. Nobody is woken but the next in line. The first in line
//! leaves a **sign** on the lock; a holder that finds one as it releases, and has had its share, lines up itself.
//!
//! Ticket and sign are hints and stand in access times, which mean nothing to shipped peers: the ticket in that of the
//! waiter's parked file, the sign in that of the lock. They cost nobody a system call who does not wait: a release looks
//! at the lock anyway. Nothing depends on them but the order: every pause ends after `retry_ms` at the latest.

use std::ffi::{CStr, CString};
use std::time::Duration;

use crate::lock::core::Core;
use crate::sys::{self, Accessed, Fd, FileId, Meta, Open};

/// How long a holder may acquire again and again while others wait.
const SHARE: Duration = Duration::from_millis(1);

/// A ticket is a time of the monotonic clock, far below any of the wall clock.
const TICKETS: std::ops::Range<i64> = 0..1_000_000_000;
/// A sign is one as well, moved out of their way.
const SIGNS: std::ops::Range<i64> = 1_000_000_000..1_500_000_000;

#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Since when we wait in line.
    ticket: Option<Accessed>,
    /// The last sign that we found on our own lock.
    seen: Option<Accessed>,
    /// When our present share began, as far as we know.
    share_began: Option<Duration>,
    /// Our share is over, and somebody waits.
    gives_way: bool,
}

fn ticket_of(meta: &Meta) -> Option<Accessed> {
    TICKETS.contains(&meta.accessed.seconds).then_some(meta.accessed)
}

impl Queue {
    /// What a release sees of its own lock.
    pub(crate) fn observe(&mut self, meta: &Meta) {
        if !SIGNS.contains(&meta.accessed.seconds) || self.seen == Some(meta.accessed) {
            return;
        }
        self.seen = Some(meta.accessed);
        let now = sys::monotonic();
        let began = *self.share_began.get_or_insert(now);
        self.gives_way = now.saturating_sub(began) >= SHARE;
    }

    /// Whether this handle should line up before it tries.
    pub(crate) fn gives_way(&mut self) -> bool {
        if self.gives_way {
            self.share_began = None;
        }
        std::mem::take(&mut self.gives_way)
    }
}

/// Whom a waiter waits for.
pub(crate) enum Turn {
    /// The holder alone: it is the first in line.
    First,
    /// Another waiter, whose parked stamp is watched now.
    After(FileId),
}

impl Core {
    /// Takes a ticket, if we have none.
    fn line_up(&mut self) {
        let (Some(parked), None) = (&self.parked, self.queue.ticket) else {
            return;
        };
        let now = Accessed::at(sys::monotonic(), TICKETS.start);
        if parked.flock && sys::set_accessed(&parked.file, now).is_ok() {
            self.queue.ticket = Some(now);
        }
    }

    /// Gives the ticket back: whoever waits for us is told, unless our link tells it.
    pub(crate) fn leave_line(&mut self, acquired: bool) {
        if self.queue.ticket.take().is_some() {
            self.queue.share_began = acquired.then(sys::monotonic);
            if let Some(parked) = &self.parked {
                let _ = sys::touch(&parked.file); // if the ticket stays, others look again after retry_ms
            }
        }
    }

    /// Leaves our sign on the lock.
    pub(crate) fn sign(&self, lock: &Fd) {
        if self.queue.ticket.is_some() {
            // Another user's lock: then nobody gives way.
            let _ = sys::set_accessed(lock, Accessed::at(sys::monotonic(), SIGNS.start));
        }
    }

    /// Lines up, finds the waiter before us, and watches it.
    pub(crate) fn turn(&mut self) -> Turn {
        self.line_up();
        let before = self.queue.ticket.and_then(|ticket| self.before(ticket));
        // What cannot be looked at, or is gone, is nobody to wait for.
        before
            .and_then(|(name, ticket)| self.watch_waiter(&name, ticket))
            .map_or(Turn::First, Turn::After)
    }

    fn watch_waiter(&mut self, name: &CStr, ticket: Accessed) -> Option<FileId> {
        let file = sys::open(&self.dir.fd, name, Open::Read).ok()?;
        if sys::flock_exclusive(&file) != Ok(false) {
            drop(file);
            self.sweep(); // it is dead
            return None;
        }
        let id = sys::fstat(&file).ok()?.id;
        self.watch.arm(&file, id);
        // Read after the watch was armed: what becomes of the ticket from now on is reported.
        let now = ticket_of(&sys::fstat(&file).ok()?);
        (now == Some(ticket)).then_some(id)
    }

    /// The latest ticket before ours.
    fn before(&self, ticket: Accessed) -> Option<(CString, Accessed)> {
        let mut last: Option<(CString, Accessed)> = None;
        for name in self.others_private_files() {
            let theirs = match sys::stat(&self.dir.fd, &name) {
                Ok(Some(meta)) => ticket_of(&meta),
                _ => None,
            };
            match theirs.filter(|theirs| *theirs < ticket) {
                Some(theirs) if last.as_ref().is_none_or(|(_, latest)| *latest < theirs) => last = Some((name, theirs)),
                _ => {}
            }
        }
        last
    }
}

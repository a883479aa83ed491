//! One participant in the lock of one directory: what it has and what it has learnt. What it does is in the files beside
//! this one.

use std::sync::Arc;
use std::time::Duration;

use crate::abi;
use crate::error::{Error, Result};
use crate::lock::dir::{Dir, Name};
use crate::lock::hold::{Begun, Hold, Holding, Won};
use crate::lock::keepalive::Keepalive;
use crate::lock::line::Line;
use crate::lock::park::Parked;
use crate::lock::place::{Place, Way};
use crate::lock::settle::Inherited;
use crate::lock::site::Seat;
use crate::lock::time::{Observed, SHIPPED_STALE_MS};
use crate::lock::watch::Watch;
use crate::options::Options;
use crate::sys;

#[derive(Debug)]
pub(crate) struct Participant {
    pub dir: Arc<Dir>,
    pub options: Options,
    pub holding: Holding,
    pub parked: Option<Parked>,
    pub place: Place,
    /// Our seat among the handles of this process.
    pub seat: Seat,
    /// Our place in line among the processes.
    pub line: Line,
    pub watch: Watch,
    /// What we last saw at the lock's name, and since when.
    pub observed: Option<Observed>,
    /// Whether the last acquire took over from a dead holder.
    pub recovered: bool,
    /// What the dead holder left behind its stamp, until somebody acts upon it.
    pub inherited: Option<Inherited>,
    keepalive: Option<Keepalive>,
}

impl Participant {
    pub(crate) fn new(dir: Arc<Dir>, options: Options, seat: Seat) -> Result<Participant> {
        let keepalive = match options.keepalive {
            true => {
                let every = Duration::from_millis(SHIPPED_STALE_MS.unsigned_abs()).min(options.stale) / 3;
                Some(Keepalive::start(every).map_err(|e| Error::os(e, "start the keepalive thread"))?)
            }
            false => None,
        };
        Ok(Participant {
            place: Place::new(dir.local),
            dir,
            options,
            holding: Holding::Free,
            parked: None,
            seat,
            line: Line::default(),
            watch: Watch::default(),
            observed: None,
            recovered: false,
            inherited: None,
            keepalive,
        })
    }

    pub(crate) fn dir(&self) -> &Arc<Dir> {
        &self.dir
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Begins anew in another directory, which the path names now. What was parked in the old one goes. A hold there is lost,
    /// and its holder is told.
    pub(crate) fn move_to(&mut self, dir: Arc<Dir>, seat: Seat) {
        if self.holding.hold().is_some() {
            self.forfeit();
        }
        self.unpark();
        self.place = Place::new(dir.local);
        self.line = Line::default();
        (self.observed, self.inherited) = (None, None);
        (self.dir, self.seat) = (dir, seat);
    }

    // ------------------------------------------------------------------------------------------------- the parked stamp

    /// Our parked stamp, made if there is none. Whoever takes it puts it back, if its name is still ours.
    pub(crate) fn take_parked(&mut self) -> Result<Parked> {
        match self.parked.take() {
            Some(parked) => Ok(parked),
            None => {
                self.sweep_at_times();
                let parked = Parked::new(&self.dir, self.place.flock).map_err(|e| self.dir.explain(e))?;
                self.place.flock &= parked.flock;
                Ok(parked)
            }
        }
    }

    pub(crate) fn unpark(&mut self) {
        if let Some(parked) = self.parked.take() {
            self.remove_private(parked);
        }
    }

    /// Removes a parked file of ours. Another file may have come to stand at its name, in an exchange.
    pub(crate) fn remove_private(&self, parked: Parked) {
        if self.dir.names(&parked.name, parked.id) == Ok(true) {
            let _ = sys::unlink(&self.dir.fd, &parked.name); // if it stays, a sweep takes it once we have closed it
        }
    }

    // ------------------------------------------------------------------------------------------------- the hold

    /// From now on the lock is held.
    pub(crate) fn hold(&mut self, hold: Hold) {
        if let Some(keepalive) = &self.keepalive {
            keepalive.held(&hold.life);
        }
        self.holding = Holding::Held(hold);
    }

    /// The hold is over. A file that must not begin another one as it is is given up.
    pub(crate) fn forget_hold(&mut self) {
        if let Some(keepalive) = &self.keepalive {
            keepalive.released();
        }
        let ended = std::mem::replace(&mut self.holding, Holding::Free);
        if ended.hold().is_some_and(Hold::is_dirty) {
            self.unpark();
        }
    }

    pub(crate) fn is_free(&self) -> bool {
        matches!(self.holding, Holding::Free)
    }

    /// The hold that our parked stamp gives, which stands at the lock's name.
    pub(crate) fn begin_parked(&mut self) -> Option<Begun> {
        let hold = self.parked.as_ref()?.hold();
        if self.place.way != Way::Link {
            self.parked = None; // its name is the lock's now
        }
        Some(hold.begin(Won::Placed))
    }

    /// The hold of the caller's is lost: its directory is gone.
    pub(crate) fn forfeit(&mut self) {
        self.abandon();
        self.holding = Holding::Forfeited;
    }

    /// Without hard links, and without a `flock` that reaches everybody.
    pub(crate) fn fallback(&self) -> (bool, bool) {
        (self.place.way != Way::Link, !self.place.flock)
    }

    /// After a loss. Our stamp is given up as well: should it come to stand at the lock's name again, it must not look like a
    /// living holder's.
    pub(crate) fn forget_lost(&mut self) {
        self.forget_hold();
        self.unpark();
    }

    /// Leaves a lock behind that could not be released: its `flock` ends, so that others see a dead holder's.
    pub(crate) fn abandon(&mut self) {
        self.forget_hold();
        self.parked = None;
    }

    /// After a call that ran out of memory, wherever it was. A hold that it began, or under which it may have left half an
    /// append, is left as a crash would leave it: the next holder knows what to do about that.
    pub(crate) fn recover(&mut self, was_held: bool) {
        let noted = self.holding.hold().is_some_and(|hold| hold.postscript.get());
        if noted || !was_held {
            self.abandon();
            if was_held {
                self.holding = Holding::Forfeited;
            }
        }
        self.leave_line(false); // which needs no memory
        self.line = Line::default();
    }

    /// Ends the participant, and says what the release said. Whatever else fails leaves what a crash would: others see to it.
    pub(crate) fn close(&mut self) -> Result<()> {
        let released = match self.holding {
            Holding::Held(_) | Holding::Forfeited => self.release(),
            Holding::Free => Ok(()),
        };
        if self.holding.hold().is_some() {
            self.abandon();
        }
        self.leave_line(false);
        self.close_line();
        self.unpark();
        self.stop();
        released
    }

    /// Ends what would outlive the participant.
    pub(crate) fn stop(&mut self) {
        if let Some(keepalive) = self.keepalive.take() {
            keepalive.stop();
        }
    }

    pub(crate) fn not_held(&self) -> Error {
        Error::about(Name(&self.dir.lock), abi::JLOCK_ENOTHELD)
    }
}

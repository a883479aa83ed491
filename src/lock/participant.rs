//! One participant in the lock of one directory: what it has and what it has learnt. The files beside this one have what it
//! does.

use std::ffi::CString;
use std::sync::Arc;

use crate::abi;
use crate::error::{Error, Result};
use crate::lock::dir::{Dir, Name};
use crate::lock::hold::{Begun, Hold, Holding, Won};
use crate::lock::keepalive::{self, Keepalive};
use crate::lock::line::Line;
use crate::lock::park::Parked;
use crate::lock::place::{Place, Way};
use crate::lock::settle::Inherited;
use crate::lock::site::Seat;
use crate::lock::time::Observed;
use crate::lock::watch::Watch;
use crate::lock::withdraw::AtStake;
use crate::options::Options;
use crate::sys::{self, Errno, FileId};

/// A private file of ours, closed, whose removal was refused.
#[derive(Debug)]
struct LeftOver {
    name: CString,
    id: FileId,
    user: u32,
}

/// For how many users we remember such files. The sweeps of these users, or of root, take what is not remembered.
const LEFT_OVER: usize = 4096;

impl LeftOver {
    /// Whether it may not be removed now; otherwise it is.
    fn is_refused(&self, dir: &Dir) -> bool {
        let removed = match dir.names(&self.name, self.id) {
            Ok(true) => sys::unlink(&dir.fd, &self.name),
            _ => Ok(()),
        };
        matches!(removed, Err(Errno::PERM | Errno::ACCESS))
    }
}

#[derive(Debug)]
pub(crate) struct Participant {
    pub dir: Arc<Dir>,
    pub options: Options,
    pub holding: Holding,
    pub parked: Option<Parked>,
    /// Private files of ours that only the user whom this process was before may remove (in a sticky directory).
    left_over: Vec<LeftOver>,
    /// What settles.
    pub at_stake: Option<AtStake>,
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
    /// What the dead holder left behind its stamp, until somebody acts on it.
    pub inherited: Option<Inherited>,
    keepalive: Option<Keepalive>,
}

impl Participant {
    pub(crate) fn new(dir: Arc<Dir>, options: Options, seat: Seat) -> Result<Participant> {
        let keepalive = match options.keepalive {
            true => {
                let every = keepalive::interval(options.stale);
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
            left_over: Vec::new(),
            at_stake: None,
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

    /// Starts over in another directory, which the path names now. It removes what was parked in the old one. A hold there is
    /// lost, and the next call under it says so.
    pub(crate) fn move_to(&mut self, dir: Arc<Dir>, seat: Seat) {
        if self.holding.hold().is_some() {
            self.forfeit();
        }
        self.unpark_all();
        self.place = Place::new(dir.local);
        self.line = Line::default();
        (self.observed, self.inherited) = (None, None);
        (self.dir, self.seat) = (dir, seat);
    }

    // ------------------------------------------------------------------------------------------------- the parked stamp

    /// Our parked stamp; made, if there is none. The caller puts it back if its name is still ours afterwards.
    pub(crate) fn take_parked(&mut self) -> Result<Parked> {
        match self.parked.take() {
            Some(parked) => Ok(parked),
            None => {
                self.remove_left_over();
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

    fn unpark_all(&mut self) {
        self.unpark();
        self.remove_left_over();
    }

    /// Removes a parked file of ours. (After an exchange, another file may stand at its name, and stays.)
    pub(crate) fn remove_private(&mut self, parked: Parked) {
        let file = LeftOver {
            name: parked.name,
            id: parked.id,
            user: parked.user,
        };
        // If another error keeps it there, a sweep takes it once we have closed it.
        if file.is_refused(&self.dir) && self.left_over.len() < LEFT_OVER {
            self.left_over.push(file);
        }
    }

    /// A program that changes its user with each request would otherwise leave a file behind each time.
    fn remove_left_over(&mut self) {
        if self.left_over.is_empty() {
            return;
        }
        let (dir, user) = (&self.dir, sys::process::file_user());
        self.left_over
            .retain(|file| (user != file.user && user != 0) || file.is_refused(dir));
    }

    // ------------------------------------------------------------------------------------------------- the hold

    /// Begins to hold the lock.
    pub(crate) fn hold(&mut self, hold: Hold) {
        if let Some(keepalive) = &self.keepalive {
            keepalive.held(&hold.life);
        }
        self.at_stake = None;
        self.holding = Holding::Held(hold);
    }

    /// The hold is over. If something was written to its file that another hold must not begin with, gives that up.
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

    /// Begins a hold with our parked stamp, which stands at the lock's name.
    pub(crate) fn begin_parked(&mut self) -> Option<Begun> {
        let hold = self.parked.as_ref()?.hold();
        if self.place.way != Way::Link {
            self.parked = None; // its name is the lock's now
        }
        Some(hold.begin(Won::Placed))
    }

    /// The caller's hold is lost, because its directory is gone.
    pub(crate) fn forfeit(&mut self) {
        self.abandon();
        self.holding = Holding::Forfeited;
    }

    /// Whether it works without hard links, and whether without a `flock` that reaches everybody.
    pub(crate) fn fallback(&self) -> (bool, bool) {
        (self.place.way != Way::Link, !self.place.flock)
    }

    /// Ends a hold that was lost. It gives up our stamp as well: should that come to stand at the lock's name again, it must
    /// not look like a living holder's.
    pub(crate) fn forget_lost(&mut self) {
        self.withdraw_hold();
        self.forget_hold();
        self.unpark();
    }

    /// Leaves behind a lock that could not be released, or that we have not come to hold, and sees to it that others find its
    /// holder dead.
    pub(crate) fn abandon(&mut self) {
        self.withdraw_hold();
        self.withdraw_stake();
        self.forget_hold();
        self.parked = None;
    }

    /// Restores order after a call that ran out of memory, wherever that happened. If the call began a hold, or may have left
    /// half an append under one, the hold is left as a crash would leave it: the next holder knows what to do.
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

    /// Ends the participant, and returns the result of the release. If anything else fails, what stays is what a crash would
    /// leave, and others clear it away.
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
        self.unpark_all();
        self.stop();
        released
    }

    /// Stops the thread that would outlive the participant.
    pub(crate) fn stop(&mut self) {
        if let Some(keepalive) = self.keepalive.take() {
            keepalive.stop();
        }
    }

    pub(crate) fn not_held(&self) -> Error {
        Error::about(Name(&self.dir.lock), abi::JLOCK_ENOTHELD)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::lock::bell::Bell;
    use crate::lock::hold::Life;
    use crate::lock::look::{Look, Purpose};
    use crate::sys::tests::Scratch;

    fn dir(scratch: &Scratch) -> Arc<Dir> {
        let fd = sys::open_subdir(&scratch.dir, c".").unwrap();
        Arc::new(Dir::new(fd, c"j").unwrap())
    }

    /// A participant in the lock there.
    pub(crate) fn participant(scratch: &Scratch, options: Options, bell: &Arc<Bell>) -> Participant {
        let dir = dir(scratch);
        let seat = Seat::new(&dir, bell);
        Participant::new(dir, options, seat).unwrap()
    }

    /// Has it take the lock, which is free.
    pub(crate) fn hold(participant: &mut Participant) -> Arc<Life> {
        let Some(Begun::Held(hold)) = participant.place().unwrap() else {
            panic!("the lock is free")
        };
        let life = Arc::clone(&hold.life);
        participant.hold(hold);
        life
    }

    #[track_caller]
    pub(crate) fn until(what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
            std::thread::yield_now();
        }
    }

    pub(crate) fn pair() -> (Scratch, [Participant; 2]) {
        let scratch = Scratch::new();
        let pair = [(); 2].map(|()| participant(&scratch, Options::new(), &Arc::default()));
        (scratch, pair)
    }

    /// Whether it sees the lock of a dead holder.
    pub(crate) fn finds_it_dead(participant: &mut Participant) -> bool {
        let look = participant.look(Purpose::Try, Duration::ZERO).unwrap();
        matches!(look, Look::Corpse(_))
    }

    /// Also where there is no `flock`, and its PID would speak for it.
    #[test]
    fn a_hold_that_ends_without_a_release_is_a_dead_holders() {
        let ends: [fn(&Scratch, &mut Participant); 3] = [
            |_, holder| {
                let elsewhere = Scratch::new();
                hold(holder);
                move_to(holder, &elsewhere);
                assert_eq!(holder.still_held().unwrap_err().code(), abi::JLOCK_ELOST);
                assert!(matches!(holder.holding, Holding::Forfeited), "it is over in any case");
            },
            |scratch, holder| {
                hold(holder);
                sys::link(&scratch.dir, c"j.lock", c"kept").unwrap();
                sys::unlink(&scratch.dir, c"j.lock").unwrap();
                assert_eq!(holder.release().unwrap_err().code(), abi::JLOCK_ELOST);
                sys::link(&scratch.dir, c"kept", c"j.lock").unwrap();
            },
            |_, holder| {
                let Some(Begun::Held(hold)) = holder.place().unwrap() else {
                    panic!("the lock is free")
                };
                drop(holder.settle_late(hold).unwrap());
                holder.abandon();
            },
        ];
        for (end, flock) in ends.iter().flat_map(|end| [(end, true), (end, false)]) {
            let (scratch, [mut holder, mut other]) = pair();
            holder.place.flock = flock;
            end(&scratch, &mut holder);
            assert!(finds_it_dead(&mut other));
        }
    }

    pub(crate) fn move_to(participant: &mut Participant, scratch: &Scratch) {
        let new = dir(scratch);
        let seat = Seat::new(&new, &Arc::default());
        participant.move_to(new, seat);
    }

    #[test]
    fn a_keepalive_lets_go_of_what_was_released_and_ends_with_its_participant() {
        let scratch = Scratch::new();
        let options = Options::new().keepalive(true).stale(Duration::from_millis(3));
        let mut holder = participant(&scratch, options, &Arc::default());
        let life = hold(&mut holder);
        let last = life.sign();
        until("a sign of life", || life.sign() != last);
        holder.release().unwrap();
        holder.unpark();
        until("it is let go", || Arc::strong_count(&life) == 1);
        let has_ended = holder.keepalive.as_ref().unwrap().has_ended();
        holder.close().unwrap();
        assert!(has_ended());
    }
}

//! Putting our stamp at the lock's free name, in the strongest way that the place allows.
//!
//! The place is tried, not believed: on a file system that is not known to be this kernel's alone, the first stamp that was
//! put there is checked. If its name shows another inode, hard links are not what they should be; if a second `flock` on it
//! succeeds, `flock` does not reach everybody. Then the next weaker way is taken, or none, with an error that says why.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::lock::dir::{Name, is_gone};
use crate::lock::hold::{Begun, Hold, Life, Won};
use crate::lock::park::Parked;
use crate::lock::participant::Participant;
use crate::lock::stamp::OwnStamp;
use crate::lock::time::SignOfLife;
use crate::sys::{self, Errno, Fd, FileId, Open, Rename};

/// How often a stamp is parked anew at once while somebody keeps sweeping it away.
const PARK_TRIES: u32 = 16;
/// How often a way is refused before it counts as missing, if a refusal can also mean something else.
const REFUSALS: u32 = 4;

/// How a stamp gets to the lock's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    /// As a second name of the parked file, which stays for the next time.
    #[default]
    Link,
    /// Without hard links: by an exclusive rename of the parked file itself.
    Rename,
    /// Without either: as a new file, which is empty for a moment.
    Create,
}

/// What was learnt about the place.
#[derive(Debug)]
pub(crate) struct Place {
    pub way: Way,
    /// Whether `flock` reaches everybody, as far as we know.
    pub flock: bool,
    /// Whether a stamp that we put there has been checked, or need not be.
    verified: bool,
    /// How often in a row the current way was refused.
    refusals: u32,
}

impl Place {
    pub(crate) fn new(local: bool) -> Place {
        Place {
            way: Way::default(),
            flock: true,
            verified: local,
            refusals: 0,
        }
    }

    /// Whether this error means that the file system, or a sandbox, does not have the call at all; if so, the next weaker way
    /// is taken. `EPERM` can also mean that the name was taken a moment ago (sshfs has no other error for it), but that does
    /// not happen again and again.
    fn weaken(&mut self, errno: Errno, local: bool) -> bool {
        self.refusals += 1;
        if !local && errno == Errno::PERM && self.refusals < REFUSALS {
            return true;
        }
        self.refusals = 0;
        let refused = matches!(
            errno,
            Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP | Errno::NOSYS | Errno::XDEV
        );
        self.way = match self.way {
            Way::Link if refused || errno == Errno::MLINK => Way::Rename,
            Way::Rename if refused || errno == Errno::INVAL => Way::Create,
            _ => return false,
        };
        true
    }
}

enum Tried {
    Begun(Begun),
    /// Something stands at the lock's name.
    Taken,
    /// The way or the parked stamp has changed.
    Again,
}

impl Participant {
    /// Puts our stamp at the lock's name, if nothing is there. `None`: something is.
    pub(crate) fn place(&mut self) -> Result<Option<Begun>> {
        for _ in 0..PARK_TRIES {
            let tried = match self.place.way {
                Way::Link | Way::Rename => self.place_parked()?,
                Way::Create => self.place_by_create()?,
            };
            match tried {
                Tried::Begun(begun) => return Ok(Some(begun)),
                Tried::Taken => return Ok(None),
                Tried::Again => {}
            }
        }
        Ok(None) // somebody sweeps faster than we park: check for timeout and cancel first
    }

    fn place_parked(&mut self) -> Result<Tried> {
        let was_parked = self.parked.is_some();
        let parked = self.take_parked()?;
        // The system lets a user link another's file that they may write to. But they could not remove it.
        if was_parked && self.dir.is_sticky && parked.parker != sys::process::effective_uid() {
            self.remove_private(parked);
            return Ok(Tried::Again);
        }
        let dir = &self.dir;
        let freshened = parked.life.freshen();
        let placed = freshened.and_then(|()| match self.place.way {
            Way::Link => sys::link(&dir.fd, &parked.name, &dir.lock),
            Way::Rename | Way::Create => sys::rename(&dir.fd, &parked.name, &dir.lock, Rename::NoReplace),
        });
        match placed {
            Ok(()) => self.placed(parked),
            Err(Errno::EXIST) => {
                self.parked = Some(parked);
                Ok(Tried::Taken)
            }
            Err(errno) => self.not_placed(parked, was_parked, errno),
        }
    }

    fn placed(&mut self, parked: Parked) -> Result<Tried> {
        if !self.place.verified {
            let verified = self.verify(&parked);
            if !matches!(verified, Ok(true)) {
                self.remove_private(parked);
                return verified.map(|_| Tried::Again);
            }
        }
        self.parked = Some(parked);
        Ok(self.begin_parked().map_or(Tried::Again, Tried::Begun))
    }

    /// Whatever the call returned, the name decides: a network file system can make the link and lose the reply (open(2),
    /// NFS), and some report a name that is taken with another error than `EEXIST`.
    fn not_placed(&mut self, parked: Parked, was_parked: bool, errno: Errno) -> Result<Tried> {
        match self.dir.stat(&self.dir.lock) {
            Ok(Some(meta)) if meta.id == parked.id => return self.placed(parked),
            Ok(Some(_)) => {
                self.parked = Some(parked);
                return Ok(Tried::Taken);
            }
            _ => {}
        }
        // This process was another user when it made the file: park another.
        let is_anothers = matches!(errno, Errno::PERM | Errno::ACCESS) && parked.user != sys::process::file_user();
        // The parked file was swept (a shipped peer does so after 30 s), or its descriptor number is another file's by now:
        // park another. If the directory is gone, parking says so.
        if is_gone(errno) || errno == Errno::BADF || (was_parked && is_anothers) {
            self.remove_private(parked);
            return Ok(Tried::Again);
        }
        let weakened = self.place.weaken(errno, self.dir.local);
        match self.place.way {
            Way::Create => self.remove_private(parked),
            Way::Link | Way::Rename => self.parked = Some(parked),
        }
        match weakened {
            true => Ok(Tried::Again),
            false => Err(Error::os(errno, format_args!("link {}", Name(&self.dir.lock)))),
        }
    }

    /// Checks the first stamp that was put at the lock's name. `Ok(false)`: it has been removed again, because a weaker way
    /// is needed here.
    fn verify(&mut self, parked: &Parked) -> Result<bool> {
        let found = self.find_fault(parked.id);
        if matches!(found, Ok(None)) {
            self.place.verified = true;
            return Ok(true);
        }
        // It is ours: we put it there a moment ago, and nobody takes it from a process that lives.
        let removed = sys::unlink(&self.dir.fd, &self.dir.lock);
        match (found?, self.place.way) {
            (Some(Fault::Flock), _) if self.place.flock => self.place.flock = false,
            (Some(Fault::Identity), Way::Link) => self.place.way = Way::Rename,
            (Some(Fault::Mandatory), _) => return Err(self.dir.refuse("lets nobody read a file with a flock")),
            _ => {
                return Err(self.dir.refuse("shows one file under two numbers"));
            }
        }
        removed.map_err(|e| Error::os(e, Name(&self.dir.lock)))?;
        Ok(false)
    }

    fn find_fault(&self, id: FileId) -> Result<Option<Fault>> {
        let dir = &self.dir;
        let os = |e| Error::os(e, Name(&dir.lock));
        if !dir.is_lock(id)? {
            return Ok(Some(Fault::Identity));
        }
        if !self.place.flock {
            return Ok(None);
        }
        // A second open file, as another process would have. For writing, because NFS needs that for an exclusive flock.
        let second = match sys::open(&dir.fd, &dir.lock, Open::ReadWrite) {
            // SMB: not while the file is open under its other name.
            Err(Errno::INVAL | Errno::ACCESS) if self.place.way == Way::Link => return Ok(Some(Fault::Identity)),
            opened => opened.map_err(os)?,
        };
        Ok(match sys::flock_exclusive(&second) {
            Ok(false) | Err(Errno::ACCESS) if sys::is_locked_against_reading(&second) => Some(Fault::Mandatory),
            Ok(false) => None,
            Ok(true) | Err(_) => Some(Fault::Flock),
        })
    }

    /// The last resort, where neither a link nor a rename is exclusive: the lock is empty for a moment.
    fn place_by_create(&mut self) -> Result<Tried> {
        let dir = Arc::clone(&self.dir);
        let os = |e| Error::os(e, format_args!("create {}", Name(&dir.lock)));
        let mut stamp = OwnStamp::new()?;
        let file = match sys::open(&dir.fd, &dir.lock, Open::CreateNew) {
            Ok(file) => file,
            Err(Errno::EXIST) => return Ok(Tried::Taken),
            Err(_) if dir.stat(&dir.lock).is_ok_and(|lock| lock.is_some()) => return Ok(Tried::Taken),
            Err(errno) => {
                self.place.way = Way::default(); // the file system did not lack anything
                return Err(os(errno));
            }
        };
        let sign = SignOfLife::now();
        let id = sys::fstat(&file).map_err(os)?.id;
        let stamped = self.flock_new(&file, &mut stamp).and_then(|locked| {
            sys::write_at(&file, stamp.text.as_bytes(), 0)?;
            Ok(locked)
        });
        // A contender that looks at the new lock has its flock for a moment. Then remove the lock, and try again.
        if !matches!(stamped, Ok(true)) && dir.is_lock(id)? {
            let _ = sys::unlink(&dir.fd, &dir.lock); // if it stays, it is taken over once it is old
        }
        if !stamped.map_err(os)? {
            return Ok(Tried::Taken);
        }
        let file = Arc::new(file);
        let life = Arc::new(Life::new(Arc::clone(&file), dir.local, sign));
        Ok(Tried::Begun(Hold::new(id, file, life, stamp).begin(Won::Placed)))
    }

    fn flock_new(&mut self, file: &Fd, stamp: &mut OwnStamp) -> sys::Result<bool> {
        let locked = match sys::flock_exclusive(file) {
            Err(errno) if self.dir.means_no_flock(errno) => {
                self.place.flock = false;
                Ok(true)
            }
            other => other,
        };
        stamp.say_flock(self.place.flock, self.dir.local);
        locked
    }
}

/// What is wrong with a stamp that stands at the lock's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The name shows another inode than that of the file that was linked there, or cannot be opened as that file can.
    Identity,
    /// A second `flock` on it succeeds.
    Flock,
    /// Its `flock` keeps others from reading it (SMB), and a contender from claiming a dead holder's lock.
    Mandatory,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The way after such a refusal; `None`: it is an error.
    fn after(way: Way, errno: Errno) -> Option<Way> {
        let mut place = Place {
            way,
            ..Place::new(true)
        };
        place.weaken(errno, true).then_some(place.way)
    }

    #[test]
    fn what_a_file_system_lacks_is_done_in_the_next_weaker_way() {
        let lacking = [Errno::PERM, Errno::ACCESS, Errno::OPNOTSUPP, Errno::NOSYS, Errno::XDEV];
        for errno in lacking {
            assert_eq!(after(Way::Link, errno), Some(Way::Rename), "{errno:?}");
            assert_eq!(after(Way::Rename, errno), Some(Way::Create), "{errno:?}");
            assert_eq!(after(Way::Create, errno), None, "{errno:?}");
        }
        assert_eq!(after(Way::Link, Errno::MLINK), Some(Way::Rename));
        assert_eq!(after(Way::Rename, Errno::MLINK), None);
        assert_eq!(after(Way::Link, Errno::INVAL), None);
        assert_eq!(after(Way::Rename, Errno::INVAL), Some(Way::Create));
        assert_eq!(after(Way::Link, Errno::IO), None);
        assert_eq!(after(Way::Rename, Errno::NOSPC), None);
    }

    /// sshfs says so of a name that is taken.
    #[test]
    fn a_refusal_that_can_mean_something_else_counts_when_it_is_said_again_and_again() {
        let mut place = Place::new(false);
        for _ in 1..REFUSALS {
            assert!(place.weaken(Errno::PERM, false));
            assert_eq!(place.way, Way::Link);
        }
        assert!(place.weaken(Errno::PERM, false));
        assert_eq!(place.way, Way::Rename);
        assert!(place.weaken(Errno::PERM, false));
        assert_eq!(place.way, Way::Rename, "counted anew");
        assert!(place.weaken(Errno::NOSYS, false));
        assert_eq!(place.way, Way::Create);
    }
}

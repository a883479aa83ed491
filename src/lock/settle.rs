//! Settling: a hold has been won, but nobody may rely on it yet. A shipped peer that judged by what stood there before may be
//! about to rename over it. If so, it does it within the settle time, and we see it (P2).
//!
//! Settling is a wait like any other: it has an end, and then it is decided whether the hold is ours.

use std::ffi::CString;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::lock::dir::{Name, read_stamp};
use crate::lock::hold::{Begun, Hold, Won};
use crate::lock::look::Corpse;
use crate::lock::participant::Participant;
use crate::lock::stamp::Stamp;
use crate::lock::withdraw::AtStake;
use crate::sys::{self, FileId};

#[derive(Debug)]
pub(crate) struct Settling {
    hold: Hold,
    /// When the settling is over, on the monotonic clock.
    pub until: Duration,
    then: Then,
    dead: Option<Dead>,
}

/// The dead holder whose lock it was.
#[derive(Debug)]
struct Dead {
    id: FileId,
    nonce: Option<String>,
    inherited: Inherited,
}

/// What a dead holder left behind its stamp, for the layer that knows what it means.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    pub postscript: Vec<u8>,
    /// The user whose lock it was: acting on the postscript must do no more than that user could.
    pub user: u32,
}

/// What is left to do once it has settled.
#[derive(Debug)]
pub(crate) enum Then {
    Hold,
    /// Leave the inode, whose maker may wake up and write.
    MoveToParked,
    /// Let go of the inode that was left, whose `flock` is not needed any more.
    LetGo(Hold),
    /// Remove the corpse, which stands at this private name.
    RemoveCorpse(CString),
}

/// How the settling ended.
#[derive(Debug)]
pub(crate) enum Settled {
    Held(Hold),
    /// It has to settle again.
    Again(Settling),
    /// Somebody was faster: start over.
    Lost,
}

impl Settling {
    pub(crate) fn of(mut self, corpse: &Corpse) -> Settling {
        let nonce = match &corpse.stamp {
            Stamp::Library(stamp) => Some(stamp.nonce.clone()),
            Stamp::Shipped { .. } | Stamp::Cut { .. } | Stamp::Foreign => None,
        };
        self.dead = Some(Dead {
            id: corpse.id,
            nonce,
            inherited: Inherited {
                postscript: corpse.postscript().to_vec(),
                user: corpse.user,
            },
        });
        self
    }
}

impl Participant {
    /// Begins the settling of a hold.
    pub(crate) fn settling(&mut self, hold: Hold, then: Then) -> Settling {
        self.at_stake = Some(AtStake::of(&hold));
        Settling {
            hold,
            until: sys::monotonic().saturating_add(self.options.settle),
            then,
            dead: None,
        }
    }

    /// For a hold that began late: gives a sign of life, and begins to settle.
    pub(crate) fn settle_late(&mut self, hold: Hold) -> Result<Settling> {
        match hold.life.touch() {
            Ok(()) => Ok(self.settling(hold, Then::Hold)),
            Err(errno) => {
                self.at_stake = Some(AtStake::of(&hold));
                self.give_up_file(hold.id);
                Err(Error::os(errno, format_args!("refresh {}", Name(&self.dir.lock))))
            }
        }
    }

    /// Decides, once the settle time is over, whether the hold is ours.
    pub(crate) fn settled(&mut self, settling: Settling) -> Result<Settled> {
        let id = settling.hold.id;
        self.decide(settling).inspect_err(|_| self.give_up_file(id))
    }

    fn decide(&mut self, settling: Settling) -> Result<Settled> {
        let Settling { hold, then, dead, .. } = settling;
        let stands = self.stands(&hold).map_err(|e| Error::os(e, Name(&self.dir.lock)))?;
        if let Then::RemoveCorpse(name) = &then {
            let _ = sys::unlink(&self.dir.fd, name); // the corpse; if it cannot be removed, a sweep takes it
        }
        if !stands {
            self.forget_inherited();
            self.give_up_lost(hold.id);
            return Ok(Settled::Lost);
        }
        if let Then::MoveToParked = then {
            let moved = self.move_to_parked(hold)?;
            return Ok(match moved {
                Some(moved) => Settled::Again(Settling { dead, ..moved }),
                None => {
                    self.withdraw_stake();
                    Settled::Lost
                }
            });
        }
        if let Then::LetGo(left) = then {
            drop(left);
        }
        match hold.begin(Won::Settled) {
            Begun::Held(hold) => {
                self.inherit(dead);
                Ok(Settled::Held(hold))
            }
            Begun::Late(hold) => self
                .settle_late(hold)
                .map(|again| Settled::Again(Settling { dead, ..again })),
        }
    }

    /// Whether what settles is still the lock, and carries our stamp.
    pub(crate) fn stands(&self, hold: &Hold) -> sys::Result<bool> {
        Ok(self.dir.names(&self.dir.lock, hold.id)? && is_stamped(hold))
    }

    fn inherit(&mut self, dead: Option<Dead>) {
        let Some(dead) = dead else { return };
        self.recovered = true;
        self.inherited = Some(dead.inherited).filter(|inherited| !inherited.postscript.is_empty());
        if let Some(nonce) = dead.nonce {
            self.remove_name_of_dead(&nonce, dead.id);
        }
    }

    /// Forgets what a claim inherited that has settled, was stopped, and was lost as it settled once more: it must not be acted
    /// upon under the next hold, because others have written since (P3).
    fn forget_inherited(&mut self) {
        self.recovered = false;
        self.inherited = None;
    }

    /// Gives up what settles: it becomes a dead holder's lock, for the next one to claim. It must not be unlinked, because
    /// that could make room for a lock that would be renamed over (P2).
    pub(crate) fn give_up(&mut self, settling: Settling) {
        self.give_up_file(settling.hold.id);
    }

    /// Withdraws our stamp, and if it is our parked file that stands at the lock's name, closes that, so that its `flock` ends.
    fn give_up_file(&mut self, id: FileId) {
        self.withdraw_stake();
        self.parked.take_if(|parked| parked.id == id);
    }

    /// Gives up our stamp as well: should it come to stand at the lock's name again, it must not look like a living holder's.
    fn give_up_lost(&mut self, id: FileId) {
        self.withdraw_stake();
        if self.parked.as_ref().is_some_and(|parked| parked.id == id) {
            self.unpark();
        }
    }
}

/// Whether our stamp is still in the lock: a shipped peer that was frozen before its first write may have woken up. And where
/// there is no `flock`, this alone decides between rivals, each time that they settle: the last one to write holds the lock.
fn is_stamped(hold: &Hold) -> bool {
    read_stamp(hold.reader()).is_ok_and(|content| content.starts_with(hold.stamp.text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::bell::Bell;
    use crate::lock::dir::Dir;
    use crate::lock::site::Seat;
    use crate::options::Options;
    use crate::sys::tests::Scratch;
    use std::sync::Arc;

    /// Where there is no `flock`, a rival that judged by what stood there before may still write.
    #[test]
    fn a_hold_that_was_written_over_while_it_settled_once_more_is_lost() {
        let scratch = Scratch::new();
        let dir = Arc::new(Dir::new(sys::open_subdir(&scratch.dir, c".").unwrap(), c"j").unwrap());
        let seat = Seat::new(&dir, &Arc::new(Bell::default()));
        let mut participant = Participant::new(dir, Options::new(), seat).unwrap();
        let Some(Begun::Held(hold)) = participant.place().unwrap() else {
            panic!("the lock is free")
        };
        let settling = participant.settle_late(hold).unwrap();
        std::fs::write(scratch.path.join("j.lock"), "4711\n4711-0123456789abcdef\n").unwrap();
        let settled = participant.settled(settling).unwrap();
        assert!(matches!(settled, Settled::Lost), "{settled:?}");
        participant.close().unwrap();
    }
}

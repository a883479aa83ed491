//! The parked stamp: a private file that is complete before anyone can see it as the lock. To acquire is to link it to the
//! lock's name. So nobody ever sees the lock empty (P1, P2), and an acquire costs no write.

use std::ffi::CString;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::lock::dir::{Dir, Name};
use crate::lock::hold::{Hold, Life};
use crate::lock::private::Private;
use crate::lock::stamp::OwnStamp;
use crate::lock::time::SignOfLife;
use crate::sys::{self, FileId};

#[derive(Debug)]
pub(crate) struct Parked {
    pub name: CString,
    pub id: FileId,
    pub life: Arc<Life>,
    /// Whose it is.
    pub user: u32,
    /// Who parked it; on some file systems it is somebody else's nevertheless.
    pub parker: u32,
    pub stamp: OwnStamp,
    /// Whether the kernel vouches for us.
    pub flock: bool,
}

impl Parked {
    /// Parks a stamp. `flock`: false if it is known not to keep others out. Nothing is left behind on failure.
    pub(crate) fn new(dir: &Dir, flock: bool) -> Result<Parked> {
        let mut private = Private::create(dir)?;
        private.flock &= flock;
        private.stamp.say_flock(private.flock, dir.local);
        // Before the write, so that the sign we remember is never younger than the mtime, however long the process stands still.
        let sign = SignOfLife::now();
        let stamped = sys::write_at(&private.file, private.stamp.text.as_bytes(), 0);
        match stamped.and_then(|()| sys::fstat(&private.file)) {
            Ok(meta) => Ok(Parked {
                name: private.name,
                id: meta.id,
                user: meta.uid,
                parker: sys::process::effective_uid(),
                life: Arc::new(Life::new(private.file, dir.local, sign)),
                stamp: private.stamp,
                flock: private.flock,
            }),
            Err(errno) => {
                let _ = sys::unlink(&dir.fd, &private.name); // ours alone; if it stays, a sweep takes it
                Err(Error::os(errno, format_args!("stamp {}", Name(&private.name))))
            }
        }
    }

    /// The hold that begins with this stamp, now that it is at the lock's name.
    pub(crate) fn hold(&self) -> Hold {
        let flocked = Arc::clone(&self.life.file);
        Hold::new(self.id, flocked, Arc::clone(&self.life), self.stamp.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi;
    use crate::lock::hold::Begun;
    use crate::lock::participant::tests::{finds_it_dead, hold, move_to, pair};
    use crate::lock::place::Way;
    use crate::lock::settle::Settled;
    use crate::sys::tests::Scratch;

    #[test]
    fn what_was_parked_in_a_directory_that_is_left_is_removed() {
        let (scratch, [mut holder, _]) = pair();
        hold(&mut holder);
        holder.release().unwrap();
        let name = holder.parked.as_ref().unwrap().name.clone();
        assert!(sys::stat(&scratch.dir, &name).unwrap().is_some());
        (holder.place.way, holder.place.flock) = (Way::Rename, false);
        let elsewhere = Scratch::new();
        move_to(&mut holder, &elsewhere);
        assert!(sys::stat(&scratch.dir, &name).unwrap().is_none());
        assert_eq!(holder.fallback(), (false, false), "nothing is known about the new one");
        hold(&mut holder);
        assert!(sys::stat(&elsewhere.dir, c"j.lock").unwrap().is_some());
        holder.close().unwrap();
        assert!(sys::stat(&elsewhere.dir, c"j.lock").unwrap().is_none());
    }

    /// The caller's hold goes on, unless it is one that the call has begun, or half an append may stand under it.
    #[test]
    fn a_hold_goes_on_after_memory_ran_out_if_nothing_was_done_to_it() {
        let (_scratch, [mut holder, mut other]) = pair();
        hold(&mut holder);
        holder.recover(true);
        holder.still_held().unwrap();
        assert!(!finds_it_dead(&mut other));
        holder.put_postscript("half\n").unwrap();
        holder.recover(true);
        assert_eq!(holder.still_held().unwrap_err().code(), abi::JLOCK_ELOST);
        assert!(finds_it_dead(&mut other));
        let (_scratch, [mut holder, mut other]) = pair();
        hold(&mut holder);
        holder.recover(false);
        assert!(holder.is_free());
        assert!(finds_it_dead(&mut other));
    }

    /// Where it was found not to keep others out.
    #[test]
    fn a_stamp_does_not_say_that_the_kernel_vouches_for_it_where_that_is_not_so() {
        let (_scratch, [mut holder, _]) = pair();
        holder.place.flock = false;
        hold(&mut holder);
        assert!(!holder.holding.hold().unwrap().stamp.says_flock());
        holder.close().unwrap();
    }

    #[test]
    fn what_has_settled_is_not_at_stake_any_more() {
        let (_scratch, [mut holder, _]) = pair();
        let Some(Begun::Held(late)) = holder.place().unwrap() else {
            panic!("the lock is free")
        };
        let settling = holder.settle_late(late).unwrap();
        let Settled::Held(settled) = holder.settled(settling).unwrap() else {
            panic!("nobody has taken it")
        };
        assert!(holder.at_stake.is_some());
        holder.hold(settled);
        assert!(holder.at_stake.is_none());
        holder.close().unwrap();
    }
}

//! Taking over a dead holder's lock.
//!
//! It is never renamed over or unlinked to make room: either could hit a lock that became live a moment ago. We overwrite its
//! stamp **in place**, under its `flock`: whatever happens to the name meanwhile, the write lands in the dead lock or in an
//! orphan. Then the claim **settles** (`settle.rs`): a shipped peer may have read the dead stamp before our write, and not
//! yet renamed its own over it. It does so during the wait, and we see it (P2).

use std::ffi::CStr;
use std::sync::Arc;

use crate::error::{EPERM, Error, Result};
use crate::lock::dir::{Name, end_with, is_gone};
use crate::lock::hold::{Hold, Life};
use crate::lock::look::Corpse;
use crate::lock::participant::Participant;
use crate::lock::settle::{Settling, Then};
use crate::lock::stamp::{OwnStamp, Stamp};
use crate::lock::time::SignOfLife;
use crate::sys::{self, Errno, Fd, FileId, Open, Rename};

/// A corpse that was opened for writing.
enum Opened {
    Writer(Fd),
    /// Not ours to write to.
    Not,
    /// Another lock stands there by now, or none. (On SMB a name whose file has been unlinked still shows it, until nobody has
    /// it open any more, and we have.)
    Gone,
}

impl Participant {
    /// Claims a corpse; the claim then has to settle. `None`: the lock has changed; start over.
    pub(crate) fn claim(&mut self, corpse: Corpse) -> Result<Option<Settling>> {
        self.expect_removable(&corpse)?;
        match (&corpse.stamp, self.open_corpse(&corpse)?) {
            (_, Opened::Gone) => Ok(None),
            // It is somebody's file, and not ours to write into.
            (Stamp::Foreign, _) | (_, Opened::Not) => self.claim_by_exchange(corpse),
            (Stamp::Cut { .. }, Opened::Writer(writer)) if !corpse.is_closed => {
                self.claim_in_place(corpse, writer, Then::MoveToParked).map(Some)
            }
            (_, Opened::Writer(writer)) => self.claim_in_place(corpse, writer, Then::Hold).map(Some),
        }
    }

    /// In a sticky directory, only the owner of a file, or of the directory, may remove the file. Anybody else who claimed it
    /// could not release it.
    fn expect_removable(&self, corpse: &Corpse) -> Result<()> {
        const STICKY: u32 = 0o1000;
        let me = sys::process::effective_uid();
        if me == 0 || me == corpse.user {
            return Ok(());
        }
        let dir = sys::fstat(&self.dir.fd).map_err(|e| Error::os(e, "look at the directory"))?;
        if dir.mode & STICKY == 0 || dir.uid == me {
            return Ok(());
        }
        let (lock, user, owner) = (Name(&self.dir.lock), corpse.user, dir.uid);
        let message = format!(
            "{lock}: its holder is dead, but the directory is sticky: only user {user}, whose lock it is, user {owner}, \
             whose directory it is, or root can take it over"
        );
        Err(Error::new(-EPERM, message))
    }

    /// Opens the corpse for writing.
    fn open_corpse(&self, corpse: &Corpse) -> Result<Opened> {
        let dir = &self.dir;
        match sys::open(&dir.fd, &dir.lock, Open::Write) {
            Ok(writer) => {
                let meta = sys::fstat(&writer).map_err(|e| Error::os(e, Name(&dir.lock)))?;
                // Write to the corpse or to nothing.
                Ok(match meta.id == corpse.id {
                    true => Opened::Writer(writer),
                    false => Opened::Gone,
                })
            }
            Err(errno) if is_gone(errno) => Ok(Opened::Gone),
            Err(Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::TXTBSY | Errno::AGAIN) => Ok(Opened::Not),
            Err(errno) => Err(Error::os(errno, Name(&dir.lock))),
        }
    }

    fn claim_in_place(&mut self, corpse: Corpse, writer: Fd, then: Then) -> Result<Settling> {
        let sign = SignOfLife::now(); // before the write, so that it is never younger than the mtime
        let stamp = self.own_stamp()?.held_since(sign.at_ms());
        // The dead holder's postscript stays until somebody acts upon it: we may die as well.
        let postscript = corpse.postscript();
        let text = [stamp.text.as_bytes(), postscript].concat();
        if let Err(errno) = end_with(&writer, &text, 0) {
            // Restore it, as far as possible: the dead holder's PID, by which a shipped peer judges, and the mtime, by which
            // everybody judges if there is no PID.
            let _ = end_with(&writer, &corpse.content, 0);
            let _ = sys::set_modified(&writer, corpse.modified_ms);
            return Err(Error::os(errno, format_args!("claim {}", Name(&self.dir.lock))));
        }
        let life = Arc::new(Life::new(Arc::new(writer), self.dir.local, sign));
        let hold = Hold::new(corpse.id, Arc::clone(&corpse.file), life, stamp);
        hold.postscript.set(!postscript.is_empty());
        hold.says_since.set(true);
        Ok(self.settling(hold, then).of(&corpse))
    }

    /// Moves the hold from an inode that we claimed before its maker had stamped it to our parked one: should the maker wake
    /// up, it writes through its own descriptor, and that must land in an orphan. Nobody takes a claim away that has settled,
    /// so our rename hits nothing else; unless our claim has been silent so long that a shipped peer may have taken it (P2).
    /// Then start over.
    pub(crate) fn move_to_parked(&mut self, claimed: Hold) -> Result<Option<Settling>> {
        let dir = Arc::clone(&self.dir);
        let os = |e| Error::os(e, format_args!("claim {}", Name(&dir.lock)));
        loop {
            let parked = self.take_parked()?;
            parked.life.touch().map_err(os)?;
            // As late as possible.
            if claimed.life.is_overdue() {
                self.parked = Some(parked);
                return Ok(None);
            }
            match sys::rename(&dir.fd, &parked.name, &dir.lock, Rename::Replace) {
                // Until it has settled, we keep the old inode's flock, so that no library peer can judge that.
                Ok(()) => return Ok(Some(self.settling(parked.hold(), Then::LetGo(claimed)))),
                // The parked file was old until now, and a shipped peer swept it: park another.
                Err(Errno::NOENT) => {}
                // SMB replaces no file that is open, and we have this one open. The claim has settled, so it can be
                // released like any other hold; then start over.
                Err(Errno::ACCESS) if !dir.local => {
                    self.parked = Some(parked);
                    return self.release_claim(&claimed).map(|()| None).map_err(os);
                }
                Err(errno) => return Err(os(errno)),
            }
        }
    }

    /// Releases a claim that has settled, after the checks of any release: the call that was refused may have taken long. If
    /// it has been taken away, or may be about to be, it stays where it is, for its stamp to be withdrawn.
    fn release_claim(&mut self, claimed: &Hold) -> sys::Result<()> {
        if !self.stands(claimed)? || claimed.life.is_overdue() {
            return Ok(());
        }
        match sys::unlink(&self.dir.fd, &self.dir.lock) {
            Err(errno) if !is_gone(errno) => Err(errno),
            _ => {
                self.recovered = true; // nothing else will tell the next hold
                Ok(())
            }
        }
    }

    /// Puts our parked stamp where the corpse is, and the corpse where our stamp was.
    fn claim_by_exchange(&mut self, corpse: Corpse) -> Result<Option<Settling>> {
        // The parked name is used up, whatever happens; on failure a sweep removes what is left.
        let parked = self.take_parked()?;
        let dir = Arc::clone(&self.dir);
        let os = |e| Error::os(e, format_args!("claim {}", Name(&dir.lock)));
        parked.life.touch().map_err(os)?;
        // As late as possible. If a shipped peer renames between this and the exchange, that is undone below.
        let exchanged = match dir.is_lock(corpse.id)? {
            true => exchange(&dir.fd, &parked.name, &dir.lock, corpse.id).map_err(os),
            false => Ok(false),
        };
        if !matches!(exchanged, Ok(true)) {
            self.remove_private(parked);
            return exchanged.map(|_| None);
        }
        let hold = parked.hold();
        Ok(Some(self.settling(hold, Then::RemoveCorpse(parked.name)).of(&corpse)))
    }

    /// The stamp of this handle's parked file, or a new one.
    fn own_stamp(&mut self) -> Result<OwnStamp> {
        match &self.parked {
            Some(parked) => Ok(parked.stamp.clone()),
            None => {
                let mut stamp = OwnStamp::new()?;
                stamp.say_flock(self.place.flock, self.dir.local);
                Ok(stamp)
            }
        }
    }

    /// Removes a dead holder's parked name, which is another name of the inode that we hold now.
    pub(crate) fn remove_name_of_dead(&self, nonce: &str, id: FileId) {
        let name = self.dir.private_name(nonce);
        // If it cannot be looked at or removed now, it is left to a sweep.
        if self.dir.names(&name, id).unwrap_or(false) {
            let _ = sys::unlink(&self.dir.fd, &name);
        }
    }
}

/// Exchanges the two, and exchanges them back if what came out is not the corpse: then somebody was faster, and it is their
/// lock. If the process dies between the two exchanges, our lock stands where theirs was, until somebody claims it and settles.
fn exchange(dir: &Fd, parked: &CStr, lock: &CStr, corpse: FileId) -> sys::Result<bool> {
    match sys::rename(dir, parked, lock, Rename::Exchange) {
        Ok(()) => {
            let out = sys::stat(dir, parked)?;
            if out.is_some_and(|meta| meta.id == corpse) {
                return Ok(true);
            }
            match sys::rename(dir, parked, lock, Rename::Exchange) {
                // Ours has gone from the lock's name meanwhile. Put theirs back there, unless another stands there now.
                Err(Errno::NOENT) => match sys::rename(dir, parked, lock, Rename::NoReplace) {
                    Ok(()) | Err(Errno::NOENT | Errno::EXIST) => Ok(false),
                    Err(errno) => Err(errno),
                },
                back => back.map(|()| false),
            }
        }
        Err(Errno::NOENT) => Ok(false), // the lock, or our parked name, is gone
        // The file system cannot exchange. Renaming over the corpse is the last resort: if another lock appeared there
        // just before this one call, it would be lost.
        Err(errno) if sys::means_no_rename_flag(errno) => {
            sys::rename(dir, parked, lock, Rename::Replace)?;
            Ok(true)
        }
        Err(errno) => Err(errno),
    }
}

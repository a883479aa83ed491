//! Taking over a dead holder's lock.
//!
//! It is never renamed over or unlinked to make room: either could hit a lock that became live a moment ago. Its stamp
//! is written over **in place**, under its `flock`: whatever happens to the name meanwhile, the write lands in the dead
//! lock or in an orphan. Then it **settles**: a shipped peer that read the dead stamp before our write, and has yet to
//! rename its own over it, does so within the wait, and we see it (P2).

use std::cell::Cell;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::journal::note;
use crate::lock::core::{Core, Hold, is_overdue};
use crate::lock::dir::Name;
use crate::lock::look::Corpse;
use crate::lock::stamp::{OwnStamp, Stamp};
use crate::sys::{self, Errno, Fd, FileId, Open, Rename};

impl Core {
    /// Claims a corpse. `Ok(false)`: the lock is another by now; start over.
    pub(crate) fn claim(&mut self, corpse: Corpse) -> Result<bool> {
        let claimed = match (&corpse.stamp, self.open_corpse(&corpse)?) {
            // Somebody's file, and not ours to write into.
            (Stamp::Foreign, _) | (_, None) => self.claim_by_exchange(&corpse)?,
            (Stamp::Cut { .. }, Some(writer)) => self.claim_in_place(&corpse, writer)? && self.move_to_parked()?,
            (Stamp::Library(_) | Stamp::Shipped { .. }, Some(writer)) => self.claim_in_place(&corpse, writer)?,
        };
        if claimed {
            self.recovered = true;
            if !corpse.postscript().is_empty() {
                note::act_upon(&self.dir, corpse.postscript());
                let _ = self.clear_postscript(); // one that stays is taken away before the next append
            }
            self.remove_name_of_dead(&corpse);
            self.sweep();
        }
        Ok(claimed)
    }

    /// The corpse, open for writing; `None` where it is another user's.
    fn open_corpse(&self, corpse: &Corpse) -> Result<Option<Fd>> {
        let dir = &self.dir;
        match sys::open(&dir.fd, &dir.lock, Open::Write) {
            Ok(writer) => {
                let meta = sys::fstat(&writer).map_err(|e| Error::os(e, Name(&dir.lock)))?;
                // Another file: claiming it in place fails the check after the settle; write to the corpse or nothing.
                Ok((meta.id == corpse.id).then_some(writer))
            }
            Err(Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::TXTBSY | Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::os(errno, Name(&dir.lock))),
        }
    }

    fn claim_in_place(&mut self, corpse: &Corpse, writer: Fd) -> Result<bool> {
        let stamp = self.own_stamp()?;
        // The dead holder's note stays until it is acted upon: we may die as well.
        let note = corpse.postscript();
        let text = [stamp.text.as_bytes(), note].concat();
        let touched_ms = sys::realtime_ms(); // before the write, that our note is never younger than the mtime
        if let Err(errno) = overwrite(&writer, &text) {
            // As it was, as far as that can be had: the dead holder's PID, which a shipped peer judges by, and the time,
            // which everybody judges by where there is none.
            let _ = overwrite(&writer, &corpse.content);
            let _ = sys::set_modified(&writer, corpse.modified_ms);
            return Err(Error::os(errno, format_args!("claim {}", Name(&self.dir.lock))));
        }
        self.settle();
        if !self.is_lock(corpse.id)? || !holds(&corpse.file, &text) {
            return Ok(false);
        }
        self.hold = Some(Hold {
            file: Arc::clone(&corpse.file),
            writer: Some(writer),
            id: corpse.id,
            stamp: stamp.text,
            noted: Cell::new(!note.is_empty()),
            touched_ms: Cell::new(touched_ms),
        });
        Ok(true)
    }

    /// From an inode that was claimed before its maker had stamped it to our parked one: should the maker wake up, it
    /// writes through the descriptor that it has, and that must land in an orphan. Nobody renames over a claim that has
    /// settled, so neither do we over somebody else's; unless it has been silent so long that a shipped peer may have
    /// taken it (P2). Then all begins anew.
    fn move_to_parked(&mut self) -> Result<bool> {
        let Some(claimed) = self.hold.take() else {
            return Ok(false); // never: it was claimed just now
        };
        let dir = Arc::clone(&self.dir);
        let os = |e| Error::os(e, format_args!("claim {}", Name(&dir.lock)));
        let (parked, touched_ms) = loop {
            self.park()?;
            let Some(parked) = self.parked.take() else {
                return Ok(false); // never: it was parked just now
            };
            let touched_ms = sys::realtime_ms();
            sys::touch(&parked.file).map_err(os)?;
            // As late as can be.
            if is_overdue(claimed.touched_ms.get()) {
                self.parked = Some(parked);
                return Ok(false);
            }
            match sys::rename(&dir.fd, &parked.name, &dir.lock, Rename::Replace) {
                Ok(()) => break (parked, touched_ms),
                // It was old until now, and a shipped peer swept it: park another.
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(os(errno)),
            }
        };
        self.settle();
        drop(claimed); // until now no library peer could judge the old inode
        let held = self.is_lock(parked.id)?;
        if held {
            self.hold = Some(parked.hold(touched_ms));
        }
        Ok(held)
    }

    /// Puts our parked stamp where the corpse is, and the corpse where our stamp was.
    fn claim_by_exchange(&mut self, corpse: &Corpse) -> Result<bool> {
        self.park()?;
        // Its name is spent, whatever happens; on failure a sweep takes what is left.
        let Some(parked) = self.parked.take() else {
            return Ok(false); // never: it was parked just now
        };
        let dir = Arc::clone(&self.dir);
        let os = |e| Error::os(e, format_args!("claim {}", Name(&dir.lock)));
        let touched_ms = sys::realtime_ms();
        sys::touch(&parked.file).map_err(os)?;
        // As late as can be. A shipped peer's rename between this and the exchange is undone below.
        if !self.is_lock(corpse.id)? || !exchange(&dir.fd, &parked.name, &dir.lock, corpse.id).map_err(os)? {
            self.parked = Some(parked);
            self.unpark();
            return Ok(false);
        }
        self.settle();
        let held = self.is_lock(parked.id)?;
        // The corpse. If it cannot be removed, a sweep takes it.
        let _ = sys::unlink(&dir.fd, &parked.name);
        if held {
            self.hold = Some(parked.hold(touched_ms));
        }
        Ok(held)
    }

    /// The stamp of this handle's parked file, or one made for the purpose.
    fn own_stamp(&mut self) -> Result<OwnStamp> {
        match &self.parked {
            Some(parked) => Ok(parked.stamp.clone()),
            None => self.new_stamp(),
        }
    }

    /// Waits until a shipped peer that judged by an older stamp has renamed, if it ever will (P2).
    pub(crate) fn settle(&self) {
        if !self.options.settle.is_zero() {
            sys::sleep_until(sys::monotonic().saturating_add(self.options.settle));
        }
    }

    /// The dead holder's parked name is another name of the inode that we hold now.
    fn remove_name_of_dead(&self, corpse: &Corpse) {
        if let Stamp::Library(stamp) = &corpse.stamp {
            let name = self.dir.private_name(&stamp.nonce);
            // What cannot be looked at or removed now is left to a sweep.
            if self.dir.names(&name, corpse.id).unwrap_or(false) {
                let _ = sys::unlink(&self.dir.fd, &name);
            }
        }
    }
}

impl Corpse {
    /// What stands behind the stamp's third line.
    fn postscript(&self) -> &[u8] {
        let library = matches!(self.stamp, Stamp::Library(_));
        let ends = self.content.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let end = ends.map(|(at, _)| at + 1).nth(2).filter(|_| library);
        &self.content[end.unwrap_or(self.content.len())..]
    }
}

/// Content first, length after: between the two calls the first lines are whole.
fn overwrite(file: &Fd, content: &[u8]) -> sys::Result<()> {
    sys::write_at(file, content, 0)?;
    sys::truncate(file, content.len() as u64)
}

/// Whether a lock still begins with our stamp: a shipped peer that was frozen before its first write might have woken.
fn holds(file: &Fd, stamp: &[u8]) -> bool {
    let mut buf = [MaybeUninit::uninit(); 4096];
    matches!(sys::read_at(file, &mut buf, 0), Ok(read) if read == stamp)
}

/// Exchanges the two, and back again if what came out is not the corpse: then somebody was faster, and it is their
/// lock. Dies the process between the two exchanges, ours stands in for theirs, for the settle of whoever claims it.
fn exchange(dir: &Fd, parked: &CStr, lock: &CStr, corpse: FileId) -> sys::Result<bool> {
    match sys::rename(dir, parked, lock, Rename::Exchange) {
        Ok(()) => {
            let out = sys::stat(dir, parked)?;
            if out.is_some_and(|meta| meta.id == corpse) {
                return Ok(true);
            }
            match sys::rename(dir, parked, lock, Rename::Exchange) {
                // Ours is gone from the lock's name meanwhile: theirs goes back there, unless another stands there now.
                Err(Errno::NOENT) => match sys::rename(dir, parked, lock, Rename::NoReplace) {
                    Ok(()) | Err(Errno::NOENT | Errno::EXIST) => Ok(false),
                    Err(errno) => Err(errno),
                },
                back => back.map(|()| false),
            }
        }
        Err(Errno::NOENT) => Ok(false), // the lock, or our parked name, is gone
        // The file system cannot exchange. To rename over the corpse is the last resort: a lock that came to stand
        // there within this one call would be lost.
        Err(errno) if sys::means_no_rename_flag(errno) => {
            sys::rename(dir, parked, lock, Rename::Replace)?;
            Ok(true)
        }
        Err(errno) => Err(errno),
    }
}

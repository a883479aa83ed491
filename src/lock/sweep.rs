//! Leftovers: the private files of the dead, parked stamps and journals that did not come to be.

use std::ffi::{CStr, CString};

use crate::lock::core::Core;
use crate::lock::dir::read_stamp;
use crate::lock::look::age_ms;
use crate::lock::stamp::Stamp;
use crate::sys::process::is_alive;
use crate::sys::{self, FileKind, Open};

impl Core {
    /// Removes what dead peers have left. What cannot be looked at or removed now is left to the next sweep.
    pub(crate) fn sweep(&self) {
        for name in self.others_private_files() {
            let _ = self.sweep_one(&name);
        }
    }

    /// None, where the directory cannot be read.
    pub(crate) fn others_private_files(&self) -> Vec<CString> {
        let mut names = Vec::new();
        let listed = sys::list(&self.dir.fd, |name| {
            if self.dir.is_private_name(name.to_bytes()) && !self.is_own_parked(name) {
                names.push(name.to_owned());
            }
        });
        if listed.is_err() {
            names.clear();
        }
        names
    }

    fn is_own_parked(&self, name: &CStr) -> bool {
        self.parked.as_ref().is_some_and(|parked| *parked.name == *name)
    }

    fn sweep_one(&self, name: &CStr) -> sys::Result<()> {
        let dir = &self.dir;
        if sys::stat(&dir.fd, name)?.is_none_or(|meta| meta.kind != FileKind::Regular) {
            return Ok(());
        }
        let file = sys::open(&dir.fd, name, Open::Read)?;
        // The flock first, then the content: a library peer writes to its file once it has locked it, so what it wrote,
        // without a living lock, is a dead one's. A file that is still empty may have an owner on its way.
        let unlocked = match sys::flock_exclusive(&file) {
            Ok(locked) => locked,
            Err(errno) if sys::means_no_flock(errno) => true,
            Err(errno) => return Err(errno),
        };
        if !unlocked {
            return Ok(());
        }
        let meta = sys::fstat(&file)?;
        let content = read_stamp(&file)?;
        let of_library = content.starts_with(crate::journal::HEADER_PREFIX)
            || matches!(Stamp::parse(&content), Stamp::Library(stamp) if stamp.flock);
        let by_flock = of_library && dir.local;
        // No content yet, or a shipped peer's, which may be about to rename it: not if the PID in the name is gone. (An
        // owner in another PID namespace finds its file missing, and makes another.)
        let by_pid = dir.private_owner(name).is_some_and(|pid| !is_alive(pid));
        let stale = i128::from(age_ms(&meta)) > self.options.stale.as_millis() as i128;
        if (by_flock || by_pid || stale) && dir.names(name, meta.id)? {
            sys::unlink(&dir.fd, name)?;
        }
        Ok(())
    }
}

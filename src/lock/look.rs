//! A look at a lock that stands: is its holder alive?

use std::sync::Arc;
use std::time::Duration;

use crate::error::{EACCES, Error, Result};
use crate::lock::core::Core;
use crate::lock::dir::{Dir, Name, read_stamp};
use crate::lock::stamp::{LibraryStamp, Stamp};
use crate::sys::process::{Identity, is_alive, start_time_of};
use crate::sys::{self, Errno, Fd, FileId, Meta, Open, Watched};

/// A lock without a whole stamp is being stamped just now, unless it has been so for this long.
const CUT_MS: i64 = 5_000;

/// What a contender finds at the lock's name.
pub(crate) enum Look {
    /// Nothing, or something else than a moment ago: try again at once.
    Changed,
    /// Our own parked stamp: a network file system lost the answer to our link.
    Ours,
    /// Somebody alive holds it.
    Busy(FileId),
    /// Its holder is dead, and we have its `flock`.
    Corpse(Corpse),
}

/// A dead holder's lock. As long as its `flock` is ours, no other library peer can claim it (P1).
pub(crate) struct Corpse {
    pub file: Arc<Fd>,
    pub id: FileId,
    pub stamp: Stamp,
    pub content: Vec<u8>,
    pub modified_ms: i64,
}

impl Core {
    /// Looks at the lock; with `watch`, so that the next change of it is reported.
    pub(crate) fn look(&mut self, watch: bool) -> Result<Look> {
        let (file, id) = match self.open_lock() {
            Ok(Some(opened)) => opened,
            Ok(None) => return Ok(Look::Changed),
            // Another user's, whose death we cannot see; but a release we can.
            Err(error) if error.code() == -EACCES => return self.look_at_closed(error),
            Err(error) => return Err(error),
        };
        if self.parked.as_ref().is_some_and(|parked| parked.id == id) {
            return Ok(Look::Ours);
        }
        if watch {
            self.watch.arm(&file, id, Watched::Change);
        }
        let os = |e| Error::os(e, Name(&self.dir.lock));
        let (file, locked) = match sys::flock_exclusive(&file) {
            Ok(locked) => (file, Some(locked)),
            Err(Errno::BADF) => self.flock_for_writing(id)?, // NFS: an exclusive flock needs a file open for writing
            Err(errno) if sys::means_no_flock(errno) => (file, None),
            Err(errno) => return Err(os(errno)),
        };
        // From here on nobody of this library can claim this inode. But is it still the lock? It may have been
        // released, and another be there (P1).
        if !self.dir.names(&self.dir.lock, id).map_err(os)? {
            return Ok(Look::Changed);
        }
        if locked == Some(false) {
            if watch {
                self.sign(&file);
            }
            // One who only inspects has it shared, and for a moment. Who waits looks again anyway.
            let only_inspected = !watch && sys::flock_shared(&file) == Ok(true);
            return Ok(if only_inspected { Look::Changed } else { Look::Busy(id) });
        }
        // Read only now: before the flock, a claim may have been going on.
        let content = read_stamp(&file).map_err(os)?;
        let meta = sys::fstat(&file).map_err(os)?;
        let stamp = Stamp::parse(&content);
        if is_dead(&stamp, &meta, locked.is_some(), self.options.stale, &self.dir) {
            let file = Arc::new(file);
            Ok(Look::Corpse(Corpse {
                file,
                id,
                stamp,
                content,
                modified_ms: meta.modified_ms,
            }))
        } else {
            Ok(Look::Busy(id))
        }
    }

    /// Opens what stands at the lock's name, for reading: a contender that could write would wake all others as it
    /// closes the file. `None`: nothing there, or not for long.
    pub(crate) fn open_lock(&self) -> Result<Option<(Fd, FileId)>> {
        let dir = &self.dir;
        let os = |e| Error::os(e, Name(&dir.lock));
        // Before the open: to open a device or a FIFO can have effects of its own.
        let Some(meta) = sys::stat(&dir.fd, &dir.lock).map_err(os)? else {
            return Ok(None);
        };
        dir.expect_regular(&dir.lock, &meta)?;
        let file = match sys::open(&dir.fd, &dir.lock, Open::Read) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(os(errno)),
        };
        let meta = sys::fstat(&file).map_err(os)?;
        dir.expect_regular(&dir.lock, &meta)?;
        Ok(Some((file, meta.id)))
    }

    /// A lock that may not be read.
    fn look_at_closed(&self, error: Error) -> Result<Look> {
        match sys::stat(&self.dir.fd, &self.dir.lock) {
            Ok(Some(meta)) => Ok(Look::Busy(meta.id)),
            Ok(None) => Ok(Look::Changed),
            Err(_) => Err(error), // it is the directory that is closed
        }
    }

    fn flock_for_writing(&self, id: FileId) -> Result<(Fd, Option<bool>)> {
        let dir = &self.dir;
        let os = |e| Error::os(e, Name(&dir.lock));
        let file = sys::open(&dir.fd, &dir.lock, Open::ReadWrite).map_err(os)?;
        let same = sys::fstat(&file).map_err(os)?.id == id;
        let locked = same && sys::flock_exclusive(&file).map_err(os)?;
        Ok((file, Some(locked)))
    }
}

/// Whether the holder of a lock is dead, whose `flock` could be had (`locked`), or where there is none to be had.
pub(crate) fn is_dead(stamp: &Stamp, meta: &Meta, locked: bool, stale: Duration, dir: &Dir) -> bool {
    let age_ms = age_ms(meta);
    let is_stale = age_ms > i64::try_from(stale.as_millis()).unwrap_or(i64::MAX);
    match stamp {
        // The kernel let go of a flock whose holder lived: it does not live any more. Only where the flock may be
        // another machine's matter, also wait until it is silent.
        Stamp::Library(stamp) if stamp.flock && locked => {
            dir.local || stamp.boot == Identity::current().boot || is_stale
        }
        Stamp::Library(stamp) => is_stale || is_gone(stamp),
        Stamp::Shipped { pid, .. } => is_stale || !is_alive(*pid),
        Stamp::Cut { pid: Some(pid) } if is_alive(*pid) => is_stale,
        Stamp::Cut { .. } => age_ms > CUT_MS.min(i64::try_from(stale.as_millis()).unwrap_or(i64::MAX)),
        Stamp::Foreign => is_stale,
    }
}

/// Whether a holder without `flock` is gone for sure: a process of this PID namespace, which does not live, or whose
/// number is another's by now.
fn is_gone(stamp: &LibraryStamp) -> bool {
    let me = Identity::current();
    let near = stamp.boot == me.boot && stamp.pid_namespace == me.pid_namespace;
    near && (!is_alive(stamp.pid) || start_time_of(stamp.pid).is_some_and(|start| start != stamp.start))
}

/// Milliseconds since a file's last sign of life. A clock that is behind the file system's sees none.
pub(crate) fn age_ms(meta: &Meta) -> i64 {
    sys::realtime_ms().saturating_sub(meta.modified_ms).max(0)
}

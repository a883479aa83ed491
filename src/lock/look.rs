//! A look at the lock that stands. It gathers the evidence by which `evidence.rs` judges.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{EACCES, EAGAIN, EINVAL, EIO, Error, Result};
use crate::lock::dir::{Dir, Name, is_gone, read_stamp};
use crate::lock::evidence::{Boot, Flock, Kind, Lease, Process, Seen, Verdict, judge};
use crate::lock::participant::Participant;
use crate::lock::stamp::{LibraryStamp, Stamp, postscript_of};
use crate::lock::time::Observed;
use crate::options::Options;
use crate::sys::process::{Identity, is_alive, stat_of};
use crate::sys::{self, Errno, Fd, FileId, Meta, Open, Watched};

/// How often, and for how long, a lock is opened again after an error that may be that of the last open file alone.
const LOOKS: u32 = 16;
const LOOKS_AGAIN: Duration = Duration::from_secs(1);

/// Why somebody looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To wait for the lock; so the watch is armed, which reports its next change.
    Wait,
    /// To see whether to go on waiting for something else.
    Glance,
    /// To acquire without waiting.
    Try,
}

/// What a contender finds at the lock's name.
#[derive(Debug)]
pub(crate) enum Look {
    /// Nothing, or not what was there a moment ago: try again at once.
    Changed,
    /// Our own parked stamp: a network file system made our link, but lost the reply.
    Ours,
    /// Somebody holds it, alive or not known to be dead.
    Busy(Busy),
    /// Its holder is dead, and its `flock` is ours.
    Corpse(Corpse),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Busy {
    pub id: FileId,
    /// When to judge again, on the monotonic clock, if the holder may be dead by then.
    pub until: Option<Duration>,
}

/// A dead holder's lock. As long as its `flock` is ours, no other library peer can claim it (P1).
#[derive(Debug)]
pub(crate) struct Corpse {
    pub file: Arc<Fd>,
    pub id: FileId,
    pub stamp: Stamp,
    pub content: Vec<u8>,
    pub modified_ms: i64,
    /// The user who made it.
    pub user: u32,
    /// Whether nobody has it open for writing, so that no frozen maker can write into it any more.
    pub is_closed: bool,
}

impl Corpse {
    /// What its holder left behind its stamp.
    pub(crate) fn postscript(&self) -> &[u8] {
        postscript_of(&self.content)
    }
}

impl Participant {
    /// Looks at the lock. `since` is when we began to wait.
    pub(crate) fn look(&mut self, purpose: Purpose, since: Duration) -> Result<Look> {
        let begun = sys::monotonic();
        for _ in 1..LOOKS {
            match self.look_once(purpose, since) {
                // A client of NFS says so of an open file that its server no longer knows; but also, after a long time, of a
                // server that does not answer.
                Err(error) if error.code() == -EIO && !self.dir.local && sys::monotonic() - begun < LOOKS_AGAIN => {}
                looked => return looked,
            }
        }
        self.look_once(purpose, since)
    }

    fn look_once(&mut self, purpose: Purpose, since: Duration) -> Result<Look> {
        let (file, id) = match self.dir.open_lock() {
            Ok(Some(opened)) => opened,
            Ok(None) => return Ok(Look::Changed),
            // It is another user's, or leased to a file server's client: we cannot see its holder's death, but a release.
            Err(error) if [-EACCES, -EAGAIN].contains(&error.code()) => return self.look_at_closed(error),
            // SMB, while a file is open under its other name.
            Err(error) if !self.dir.local && error.code() == -EINVAL => return self.look_at_closed(error),
            Err(error) => return Err(error),
        };
        if self.parked.as_ref().is_some_and(|parked| parked.id == id) {
            return Ok(Look::Ours);
        }
        if purpose == Purpose::Wait {
            self.watch.arm(&file, id, Watched::Change);
        }
        match self.look_at(file, id, purpose, since) {
            Err(errno) if is_gone(errno) => Ok(Look::Changed),
            looked => looked.map_err(|e| Error::os(e, Name(&self.dir.lock))),
        }
    }

    fn look_at(&mut self, file: Fd, id: FileId, purpose: Purpose, since: Duration) -> sys::Result<Look> {
        let (file, flock) = self.ask_flock(file, id)?;
        // From here on no library peer can claim this inode. But is it still the lock? It may have been released, and
        // another one may stand there (P1).
        if !self.dir.names(&self.dir.lock, id)? {
            return Ok(Look::Changed);
        }
        if flock == Flock::Busy {
            return self.look_at_busy(&file, id, purpose, since);
        }
        // Read only now: before we had the flock, somebody may have been claiming it.
        let content = read_stamp(&file)?;
        let meta = sys::fstat(&file)?;
        let stamp = Stamp::parse(&content);
        let age = Observed::age(&mut self.observed, &meta);
        let (verdict, lease) = verdict(&stamp, &meta, &file, flock, age, &self.dir, &self.options);
        let until = match verdict {
            Verdict::CannotTell(left) => Some(sys::monotonic().saturating_add(left)),
            Verdict::Alive | Verdict::AskLease => None,
            Verdict::Dead => {
                return Ok(Look::Corpse(Corpse {
                    file: Arc::new(file),
                    id,
                    stamp,
                    content,
                    modified_ms: meta.modified_ms,
                    user: meta.uid,
                    is_closed: lease == Some(Lease::Granted),
                }));
            }
        };
        Ok(Look::Busy(Busy { id, until }))
    }

    /// With the file that has the `flock`, if it could be had.
    fn ask_flock(&self, file: Fd, id: FileId) -> sys::Result<(Fd, Flock)> {
        let flock = match sys::flock_exclusive(&file) {
            Ok(true) => Flock::Free,
            Ok(false) => Flock::Busy,
            // SMB's word for a busy one. Whoever places a stamp there is told that the place is refused.
            Err(Errno::ACCESS) if !self.dir.local => Flock::Busy,
            Err(Errno::BADF) => return self.flock_for_writing(id), // NFS needs a file open for writing for an exclusive flock
            Err(errno) if self.dir.means_no_flock(errno) => Flock::None,
            Err(errno) => return Err(errno),
        };
        Ok((file, flock))
    }

    fn look_at_busy(&mut self, file: &Fd, id: FileId, purpose: Purpose, since: Duration) -> sys::Result<Look> {
        match purpose {
            Purpose::Wait => self.call(file, since),
            Purpose::Glance => {}
            // A process that only inspects has the flock shared, for a moment. (A waiter looks again anyway.)
            Purpose::Try if sys::flock_shared(file) == Ok(true) => return Ok(Look::Changed),
            Purpose::Try => {}
        }
        Ok(Look::Busy(Busy { id, until: None }))
    }

    /// Looks at a lock that we may not open.
    fn look_at_closed(&self, error: Error) -> Result<Look> {
        match self.dir.stat(&self.dir.lock) {
            Ok(Some(meta)) => Ok(Look::Busy(Busy {
                id: meta.id,
                until: None,
            })),
            Ok(None) => Ok(Look::Changed),
            Err(_) => Err(error), // we may not even look into the directory
        }
    }

    fn flock_for_writing(&self, id: FileId) -> sys::Result<(Fd, Flock)> {
        let file = sys::open(&self.dir.fd, &self.dir.lock, Open::ReadWrite)?;
        let same = sys::fstat(&file)?.id == id;
        let locked = same && sys::flock_exclusive(&file)?;
        Ok((file, if locked { Flock::Free } else { Flock::Busy }))
    }
}

/// The verdict about the holder of an open lock, and the lease if we asked for it.
pub(crate) fn verdict(
    stamp: &Stamp,
    meta: &Meta,
    file: &Fd,
    flock: Flock,
    age: Duration,
    dir: &Dir,
    options: &Options,
) -> (Verdict, Option<Lease>) {
    let mut seen = Seen {
        kind: kind_of(stamp, meta),
        local: dir.local,
        flock,
        process: process_of(stamp),
        lease: None,
        age,
        stale: options.stale,
        settle: options.settle,
    };
    let mut verdict = judge(&seen);
    if verdict == Verdict::AskLease {
        seen.lease = Some(sys::read_lease(file));
        verdict = judge(&seen);
    }
    (verdict, seen.lease)
}

fn kind_of(stamp: &Stamp, meta: &Meta) -> Kind {
    match stamp {
        Stamp::Library(stamp) => Kind::Library {
            flock: stamp.flock,
            boot: boot_of(stamp, meta),
        },
        Stamp::Shipped { .. } | Stamp::Cut { pid: Some(_) } => Kind::Pid,
        Stamp::Cut { pid: None } => Kind::Cut,
        Stamp::Foreign => Kind::Foreign,
    }
}

fn boot_of(stamp: &LibraryStamp, meta: &Meta) -> Boot {
    let me = Identity::current();
    match (stamp.boot.as_str(), me.boot.as_str()) {
        ("", _) | (_, "") => Boot::Unknown,
        (theirs, ours) if theirs == ours => Boot::Ours,
        _ if meta.modified_ms < sys::boot_ms() => Boot::Earlier,
        _ => Boot::Unknown,
    }
}

/// Whether the process that a stamp names lives. An unknown value is not equal to another unknown one.
fn process_of(stamp: &Stamp) -> Process {
    match stamp {
        Stamp::Library(stamp) => library_process(stamp),
        // A shipped peer judges by the number alone, and so does everybody who judges a shipped peer.
        Stamp::Shipped { pid, .. } | Stamp::Cut { pid: Some(pid) } => match is_alive(*pid) {
            true => Process::Lives,
            false => Process::Gone,
        },
        Stamp::Cut { pid: None } | Stamp::Foreign => Process::Unknown,
    }
}

fn library_process(stamp: &LibraryStamp) -> Process {
    let me = Identity::current();
    let same_boot = !me.boot.is_empty() && stamp.boot == me.boot;
    let same_namespace = me.pid_namespace != 0 && stamp.pid_namespace == me.pid_namespace;
    if !same_boot || !same_namespace {
        return Process::Unknown;
    }
    // In each time namespace, start times count from another moment.
    let same_clock = me.time_namespace != 0 && stamp.time_namespace == me.time_namespace && stamp.start != 0;
    let is_over = || stat_of(stamp.pid).is_some_and(|now| now.has_ended || same_clock && now.start != stamp.start);
    match is_alive(stamp.pid) && !is_over() {
        true => Process::Lives,
        false => Process::Gone,
    }
}

//! The participant behind a handle: acquire and release.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use crate::abi;
use crate::error::{EAGAIN, ECANCELED, EDEADLK, ETIMEDOUT, Error, Result};
use crate::journal::Durable;
use crate::lock::dir::{Dir, Name, read_stamp};
use crate::lock::inspect::Seconds;
use crate::lock::keepalive::Keepalive;
use crate::lock::look::Look;
use crate::lock::park::Parked;
use crate::lock::queue::{Queue, Turn};
use crate::lock::stamp::OwnStamp;
use crate::lock::wait::{Deadline, Paused, Pauses, Waker, Watch};
use crate::options::Options;
use crate::sys::{self, Errno, Fd, FileId, Meta, Open, Rename};

/// A shipped peer steals a lock whose mtime is older than this.
const SHIPPED_STALE_MS: i64 = 30_000;
/// A parked stamp's mtime is renewed before it is linked, unless it is younger than this.
const FRESH_MS: i64 = 1_000;
/// A stamp that was linked later than this after it was touched may have been judged before we could see to it.
const LATE_MS: i64 = SHIPPED_STALE_MS / 2;
/// A hold older than this may have been judged stale; with room for clocks that tick coarsely.
const OVERDUE_MS: i64 = SHIPPED_STALE_MS - 1_000;
/// When there is no time to wait, how often a lock that changes under our eyes is tried again at once.
const EAGER_TRIES: u32 = 16;
/// How often a hold is settled anew that was frozen each time: the settle time may be longer than all patience.
const SETTLES: u32 = 8;
const EAGER_PAUSE: Duration = Duration::from_micros(50);

#[derive(Debug)]
pub(crate) struct Core {
    pub dir: Arc<Dir>,
    pub options: Options,
    pub parked: Option<Parked>,
    pub hold: Option<Hold>,
    /// Whether the last acquire took over from a dead holder.
    pub recovered: bool,
    /// A hold of the caller's was given up: told by the next call under it, up to its release (P3).
    pub forfeited: bool,
    pub watch: Watch,
    pub fallback: Fallback,
    pub durable: Durable,
    pub queue: Queue,
    keepalive: Option<Keepalive>,
}

/// What the file system lacks.
#[derive(Debug, Default)]
pub(crate) struct Fallback {
    pub without_link: bool,
    without_noreplace: bool,
    pub without_flock: bool,
}

/// The lock is ours as long as its name names this inode.
#[derive(Debug)]
pub(crate) struct Hold {
    pub file: Arc<Fd>,
    /// Of a claimed lock: kept open, for that a dying holder's writable file is closed is what tells those who wait.
    pub writer: Option<Fd>,
    pub id: FileId,
    /// What stands in it.
    pub stamp: Arc<str>,
    /// Whether a note may stand behind the stamp, of an append on its way.
    pub noted: Cell<bool>,
    /// The wall clock at the last sign of life that this handle gave.
    pub touched_ms: Cell<i64>,
}

impl Hold {
    fn writer(&self) -> &Fd {
        self.writer.as_ref().unwrap_or(&self.file)
    }
}

/// How long an acquire waits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// Not at all; `EAGAIN`.
    Try,
    /// So long; `ETIMEDOUT`.
    For(Option<Duration>),
}

enum Attempt {
    Held,
    Again,
    Busy(FileId),
}

impl Core {
    pub(crate) fn new(dir: Dir, options: Options) -> Result<Core> {
        let dir = Arc::new(dir);
        let keepalive = if options.keepalive {
            let every = Duration::from_millis(SHIPPED_STALE_MS.unsigned_abs()).min(options.stale) / 3;
            let started = Keepalive::start(Arc::clone(&dir), every);
            Some(started.map_err(|e| Error::os(e, "start the keepalive thread"))?)
        } else {
            None
        };
        Ok(Core {
            dir,
            options,
            parked: None,
            hold: None,
            recovered: false,
            forfeited: false,
            watch: Watch::Untried,
            fallback: Fallback::default(),
            durable: Durable::default(),
            queue: Queue::default(),
            keepalive,
        })
    }

    // ------------------------------------------------------------------------------------------------- acquire

    pub(crate) fn acquire(&mut self, patience: Patience, waker: &Waker) -> Result<()> {
        if self.hold.is_some() || self.forfeited {
            let what = crate::error::text(-EDEADLK);
            return Err(Error::new(-EDEADLK, format!("{}: {what}", Name(&self.dir.lock))));
        }
        self.recovered = false;
        waker.begin();
        let acquired = self.acquire_within(patience, waker);
        waker.end();
        self.leave_line(acquired.is_ok());
        acquired?;
        if let (Some(keepalive), Some(hold)) = (&self.keepalive, &self.hold) {
            keepalive.held(&hold.file, hold.id, hold.touched_ms.get());
        }
        Ok(())
    }

    fn acquire_within(&mut self, patience: Patience, waker: &Waker) -> Result<()> {
        let timeout = match patience {
            Patience::Try => Some(Duration::ZERO),
            Patience::For(timeout) => timeout,
        };
        // The common case makes one system call.
        let gives_way = !timeout.is_some_and(|timeout| timeout.is_zero()) && self.gives_way();
        if !gives_way && self.place()? {
            return Ok(());
        }
        self.watch.reset();
        let begun = sys::monotonic();
        let deadline = Deadline::after(timeout);
        let mut pauses = Pauses::new(self.options.retry);
        let mut eager = EAGER_TRIES;
        let mut in_line = gives_way;
        loop {
            if waker.is_canceled() {
                let waited = Seconds(sys::monotonic() - begun);
                let message = format!("{}: canceled after {waited}", Name(&self.dir.lock));
                return Err(Error::new(-ECANCELED, message));
            }
            let left = deadline.left();
            if let Some(left) = left.filter(|_| in_line) {
                match self.turn() {
                    Turn::After(before) => match pauses.pause(&mut self.watch, waker, before.id, left) {
                        Paused::Reported if self.follow(&before, waker, left)? => return Ok(()),
                        Paused::Reported => continue,
                        // We try all the same: the one before us may have stopped.
                        paused if self.place()? => {
                            if paused == Paused::Silence {
                                self.pass_over(&before);
                            }
                            return Ok(());
                        }
                        _ => {}
                    },
                    Turn::First if self.place()? => return Ok(()),
                    Turn::First => {}
                }
            }
            in_line = true;
            match (self.take_over(left.is_some())?, left) {
                (Attempt::Held, _) => return Ok(()),
                (Attempt::Again, Some(_)) => {}
                (Attempt::Again, None) if eager > 0 => {
                    eager -= 1;
                    sys::sleep_until(sys::monotonic() + EAGER_PAUSE);
                }
                (Attempt::Busy(id), Some(left)) => drop(pauses.pause(&mut self.watch, waker, id, left)),
                (_, None) => return Err(self.not_acquired(patience, sys::monotonic() - begun)),
            }
            if self.place()? {
                return Ok(());
            }
        }
    }

    fn not_acquired(&self, patience: Patience, waited: Duration) -> Error {
        let lock = Name(&self.dir.lock);
        let holder = self.describe_holder();
        match patience {
            Patience::Try => Error::new(-EAGAIN, format!("{lock}: {holder}")),
            Patience::For(_) => {
                let message = format!("{lock}: {holder}; gave up after {}", Seconds(waited));
                Error::new(-ETIMEDOUT, message)
            }
        }
    }

    /// Looks at the lock that stands, and takes it over if its holder is dead.
    fn take_over(&mut self, watch: bool) -> Result<Attempt> {
        match self.look(watch)? {
            Look::Changed => Ok(Attempt::Again),
            Look::Busy(id) => Ok(Attempt::Busy(id)),
            Look::Ours => self.hold_parked(),
            Look::Corpse(corpse) => match self.claim(corpse)? {
                true => Ok(Attempt::Held),
                false => Ok(Attempt::Again),
            },
        }
    }

    /// Puts our stamp at the lock's name, if nothing is there. `Ok(false)`: something is.
    pub(crate) fn place(&mut self) -> Result<bool> {
        for _ in 0..EAGER_TRIES {
            if self.fallback.without_noreplace {
                return self.place_by_create();
            }
            self.park()?;
            let Some(parked) = &self.parked else {
                return Ok(false); // never: it was parked just now
            };
            let dir = &self.dir;
            let os = |e| Error::os(e, format_args!("link {}", Name(&dir.lock)));
            parked.freshen(FRESH_MS).map_err(os)?;
            let placed = match self.fallback.without_link {
                false => sys::link(&dir.fd, &parked.name, &dir.lock),
                true => sys::rename(&dir.fd, &parked.name, &dir.lock, Rename::NoReplace),
            };
            let id = parked.id;
            match placed {
                Ok(()) => return Ok(matches!(self.hold_parked()?, Attempt::Held)),
                Err(Errno::EXIST) => return Ok(false),
                // Our private file was swept (a shipped peer does so after 30 s): park another. If it is the
                // directory that is gone, parking says so.
                Err(Errno::NOENT) => self.parked = None,
                Err(errno) if !self.fallback.without_link && sys::means_no_link(errno) => {
                    self.fallback.without_link = true;
                }
                Err(errno) if self.fallback.without_link && sys::means_no_rename_flag(errno) => {
                    self.fallback.without_noreplace = true;
                    self.unpark();
                }
                // Whatever the answer, the name decides: a network file system can lose the answer of a call that it
                // made (open(2), NFS).
                Err(errno) => match self.dir.names(&self.dir.lock, id) {
                    Ok(true) => return Ok(matches!(self.hold_parked()?, Attempt::Held)),
                    _ => return Err(Error::os(errno, format_args!("link {}", Name(&self.dir.lock)))),
                },
            }
        }
        Ok(false) // somebody sweeps faster than we park: let time-out and cancel be asked
    }

    /// The parked stamp stands at the lock's name: it is ours.
    fn hold_parked(&mut self) -> Result<Attempt> {
        let Some(parked) = &self.parked else {
            return Ok(Attempt::Again);
        };
        let hold = parked.hold(parked.touched_ms.get());
        if self.fallback.without_link {
            self.parked = None; // its name is the lock's now
        }
        let late = sys::realtime_ms().saturating_sub(hold.touched_ms.get());
        self.hold = Some(hold);
        // This thread stood still between touch and link, so that a shipped peer may have seen an old lock appear
        // and be about to rename over it: settle as after a claim (P2).
        if (0..LATE_MS).contains(&late) {
            return Ok(Attempt::Held);
        }
        match self.settle_overdue() {
            Ok(()) => Ok(Attempt::Held),
            Err(error) if error.code() == abi::JLOCK_ELOST => {
                self.forget_lost();
                Ok(Attempt::Again)
            }
            Err(error) => {
                self.abandon();
                Err(error)
            }
        }
    }

    /// The last resort, where neither a link nor a rename is exclusive: the lock is empty for a moment.
    fn place_by_create(&mut self) -> Result<bool> {
        let dir = Arc::clone(&self.dir);
        let os = |e| Error::os(e, format_args!("create {}", Name(&dir.lock)));
        let stamp = self.new_stamp()?;
        let file = match sys::open(&dir.fd, &dir.lock, Open::CreateNew) {
            Ok(file) => file,
            Err(Errno::EXIST) => return Ok(false),
            Err(errno) => return Err(os(errno)),
        };
        let touched_ms = sys::realtime_ms();
        let id = sys::fstat(&file).map_err(os)?.id;
        let stamped = self.flock_new(&file).and_then(|locked| {
            sys::write_at(&file, stamp.text.as_bytes(), 0)?;
            Ok(locked)
        });
        // A contender that looks at the new lock has its flock for a moment: then leave it, and try again.
        if !matches!(stamped, Ok(true)) && dir.names(&dir.lock, id).unwrap_or(false) {
            let _ = sys::unlink(&dir.fd, &dir.lock); // if it stays, it is taken over once it is old
        }
        let held = stamped.map_err(os)?;
        if held {
            self.hold = Some(Hold {
                file: Arc::new(file),
                writer: None,
                id,
                stamp: stamp.text,
                noted: Cell::new(false),
                touched_ms: Cell::new(touched_ms),
            });
        }
        Ok(held)
    }

    fn flock_new(&self, file: &Fd) -> sys::Result<bool> {
        match sys::flock_exclusive(file) {
            Err(errno) if sys::means_no_flock(errno) => Ok(true),
            other => other,
        }
    }

    pub(crate) fn new_stamp(&self) -> Result<OwnStamp> {
        let mut stamp = OwnStamp::new().map_err(|e| Error::os(e, "make a nonce"))?;
        if self.fallback.without_flock {
            stamp.without_flock();
        }
        Ok(stamp)
    }

    /// Sees to it that a stamp is parked.
    pub(crate) fn park(&mut self) -> Result<()> {
        if self.parked.is_none() {
            let parked = Parked::new(&self.dir)?;
            self.fallback.without_flock = !parked.flock;
            self.parked = Some(parked);
        }
        Ok(())
    }

    pub(crate) fn unpark(&mut self) {
        // Another file may have come to stand there, in an exchange.
        let is_there = |parked: &Parked| self.dir.names(&parked.name, parked.id) == Ok(true);
        if let Some(parked) = self.parked.take().filter(is_there) {
            let _ = sys::unlink(&self.dir.fd, &parked.name); // if it stays, a sweep takes it once we have closed it
        }
    }

    // ------------------------------------------------------------------------------------------------- holding

    /// Whether the lock's name names this inode.
    pub(crate) fn is_lock(&self, id: FileId) -> Result<bool> {
        self.dir
            .names(&self.dir.lock, id)
            .map_err(|e| Error::os(e, Name(&self.dir.lock)))
    }

    /// What every call under a hold begins with: `JLOCK_ELOST` when it has been taken away (P3).
    pub(crate) fn still_held(&self) -> Result<Meta> {
        let lock = Name(&self.dir.lock);
        match &self.hold {
            None if self.forfeited => Err(self.lost()),
            None => {
                let what = crate::error::text(abi::JLOCK_ENOTHELD);
                Err(Error::new(abi::JLOCK_ENOTHELD, format!("{lock}: {what}")))
            }
            Some(hold) => match sys::stat(&self.dir.fd, &self.dir.lock).map_err(|e| Error::os(e, lock))? {
                Some(meta) if meta.id == hold.id && self.is_stamped(hold) => Ok(meta),
                _ => Err(self.lost()),
            },
        }
    }

    /// Whether the lock that we hold still carries our stamp. Where the kernel keeps our `flock`, nobody writes into it.
    /// Elsewhere, a contender that took us for dead has claimed it in place.
    fn is_stamped(&self, hold: &Hold) -> bool {
        let kept = self.dir.local && !self.fallback.without_flock;
        kept || read_stamp(&hold.file).is_ok_and(|content| content.starts_with(hold.stamp.as_bytes()))
    }

    /// As [`still_held`](Self::still_held), before a call that nothing can take back: also that nobody is about to take
    /// it away, who has judged it stale by its age (P3).
    pub(crate) fn surely_held(&self) -> Result<Meta> {
        let meta = self.still_held()?;
        if self.is_overdue() {
            self.settle_overdue()?;
        }
        Ok(meta)
    }

    pub(crate) fn dir(&self) -> &Arc<Dir> {
        &self.dir
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Writes a last line behind the stamp in the lock. One that could not be taken away is written over.
    pub(crate) fn put_postscript(&self, line: &str) -> Result<()> {
        let Some(hold) = &self.hold else { return Ok(()) };
        hold.noted.set(true);
        let end = hold.stamp.len() as u64;
        let noted = sys::write_at(hold.writer(), line.as_bytes(), end)
            .and_then(|()| sys::truncate(hold.writer(), end + line.len() as u64));
        noted.map_err(|e| {
            let _ = self.clear_postscript(); // as above
            Error::os(e, format_args!("write {}", Name(&self.dir.lock)))
        })
    }

    /// Takes the postscript away; no call where none stands. One that stays is written over by the next, and its file is
    /// not used again.
    pub(crate) fn clear_postscript(&self) -> Result<()> {
        let Some(hold) = self.hold.as_ref().filter(|hold| hold.noted.get()) else {
            return Ok(());
        };
        let cleared = sys::truncate(hold.writer(), hold.stamp.len() as u64);
        hold.noted.set(cleared.is_err());
        cleared.map_err(|e| Error::os(e, format_args!("write {}", Name(&self.dir.lock))))
    }

    fn lost(&self) -> Error {
        let holder = self.describe_holder();
        let message = format!(
            "{}: was taken away from this holder; now {holder}",
            Name(&self.dir.lock)
        );
        Error::new(abi::JLOCK_ELOST, message)
    }

    pub(crate) fn refresh(&self) -> Result<()> {
        self.still_held()?;
        match self.is_overdue() {
            true => self.settle_overdue(),
            false => self.touch_hold(),
        }
    }

    fn touch_hold(&self) -> Result<()> {
        let Some(hold) = &self.hold else { return Ok(()) };
        let now = sys::realtime_ms();
        sys::touch(&hold.file).map_err(|e| Error::os(e, format_args!("refresh {}", Name(&self.dir.lock))))?;
        hold.touched_ms.set(now);
        if let Some(keepalive) = &self.keepalive {
            keepalive.held(&hold.file, hold.id, now);
        }
        if let Some(parked) = self.parked.as_ref().filter(|parked| parked.id == hold.id) {
            parked.touched_ms.set(now);
        }
        Ok(())
    }

    /// Whether a shipped peer may have judged this hold stale by its age, and be about to rename over it.
    fn is_overdue(&self) -> bool {
        match (&self.keepalive, &self.hold) {
            (Some(keepalive), _) => keepalive.is_overdue(),
            (None, Some(hold)) => is_overdue(hold.touched_ms.get()),
            (None, None) => false,
        }
    }

    /// Gives a sign of life, then waits for whoever judged by the time before it. `JLOCK_ELOST`: somebody took the lock.
    fn settle_overdue(&self) -> Result<()> {
        for _ in 0..SETTLES {
            self.touch_hold()?;
            self.settle();
            self.still_held()?;
            // Frozen while it settled, a hold is as silent as before, and may have been judged anew.
            if !self.is_overdue() {
                break;
            }
        }
        Ok(())
    }

    // ------------------------------------------------------------------------------------------------- release

    /// Lets the lock go. On `JLOCK_ELOST` it is let go as well, and nothing was removed; on any other failure it is
    /// still held.
    pub(crate) fn release(&mut self) -> Result<()> {
        let released = self.remove_own();
        match &released {
            Ok(()) => self.forget_hold(),
            Err(error) if error.code() == abi::JLOCK_ELOST => self.forget_lost(),
            Err(_) => {}
        }
        released
    }

    fn remove_own(&mut self) -> Result<()> {
        // Surely: whoever removes a lock that may have been judged stale makes room for a lock that would be renamed over
        // (P2).
        let meta = self.surely_held()?;
        self.queue.observe(&meta);
        // Between the check and this call nobody removes or replaces the lock: library peers do so only with its
        // flock, which is ours, shipped ones only with one that they judged stale (P1, P2).
        match sys::unlink(&self.dir.fd, &self.dir.lock) {
            Ok(()) => Ok(()),
            Err(Errno::NOENT) => Err(self.lost()),
            Err(errno) => Err(Error::os(errno, format_args!("release {}", Name(&self.dir.lock)))),
        }
    }

    fn forget_hold(&mut self) {
        if let Some(keepalive) = &self.keepalive {
            keepalive.released();
        }
        if self.hold.take().is_some_and(|hold| hold.noted.get()) {
            self.unpark();
        }
    }

    /// After a loss. Our stamp is given up as well: should it come to stand at the lock's name again, it must not look
    /// like a living holder's.
    fn forget_lost(&mut self) {
        self.forfeited = false;
        self.forget_hold();
        self.unpark();
    }

    /// Leaves a lock behind that could not be released: its `flock` ends, so that others see a dead holder's.
    pub(crate) fn abandon(&mut self) {
        self.forget_hold();
        self.parked = None;
    }

    /// After a call that ran out of memory, wherever it was. A hold that it began, or under which it may have left half an
    /// append, is left as a crash would leave it: what is to be done about that, the next holder knows.
    pub(crate) fn recover(&mut self, was_held: bool, waker: &Waker) {
        waker.end();
        let noted = self.hold.as_ref().is_some_and(|hold| hold.noted.get());
        if noted || !was_held {
            self.forfeited |= was_held; // told until it is released, however often memory is wanting
            self.abandon();
        }
        self.queue = Queue::default();
    }

    /// Ends the participant. Whatever fails here leaves what a crash would: others see to it.
    pub(crate) fn close(&mut self) {
        if self.hold.is_some() && self.release().is_err() {
            self.abandon();
        }
        self.unpark();
        self.sweep();
        self.stop();
    }

    /// Ends what would outlive the participant.
    pub(crate) fn stop(&mut self) {
        if let Some(keepalive) = self.keepalive.take() {
            keepalive.stop();
        }
    }
}

/// Whether a shipped peer may have judged a hold that gave its last sign of life then.
pub(crate) fn is_overdue(touched_ms: i64) -> bool {
    !(0..OVERDUE_MS).contains(&sys::realtime_ms().saturating_sub(touched_ms))
}

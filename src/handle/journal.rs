//! The journal under the lock: each call takes the lock and releases it, or works under the hold of its caller.

use std::time::Duration;

use super::{Inner, Lock};
use crate::abi;
use crate::error::{EAGAIN, EDEADLK, Error, Result};
use crate::journal::{self, Entry, Snapshot, Written};
use crate::lock::Participant;
use crate::lock::acquire::Patience;
use crate::lock::time::Deadline;
use crate::sys;

/// How often a commit is repeated if somebody took the lock away meanwhile.
const OVERTAKEN: usize = 3;
/// How long to wait for somebody who has a lease on the journal, and was asked to give it back.
const LEASED: Duration = Duration::from_millis(10);

/// The journal of a [`Lock`]; [`Lock::journal`] gives it.
///
/// Each call takes the lock and releases it, unless this handle holds it already: then it works under that hold.
///
/// ```
/// # let dir = std::env::temp_dir().join(format!("jlock-doc-journal-{}", std::process::id()));
/// use jlock::{Entry, Lock};
/// let lock = Lock::open(&dir)?;
/// lock.journal().append_stamped([Entry::changed("src/lib.rs"), Entry::deleted("old.rs")], 1_700_000_000_000)?;
/// let snapshot = lock.journal().read()?;
/// assert_eq!(snapshot.changed().collect::<Vec<_>>(), [b"src/lib.rs"]);
/// // … process it; then keep what was appended meanwhile:
/// lock.journal().checkpoint(&snapshot, 1_700_000_000_001)?;
/// # drop(lock); std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), jlock::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Journal<'l> {
    lock: &'l Lock,
}

/// What a call does under the lock. It returns what it wrote, and the call's result. All calls share this one type, so that the
/// code below is there only once.
type Act<'a> = &'a dyn Fn(&Participant) -> Result<(Written, bool)>;

impl<'l> Journal<'l> {
    pub(super) fn of(lock: &'l Lock) -> Journal<'l> {
        Journal { lock }
    }
}

impl Journal<'_> {
    /// Appends the entries: all or none.
    ///
    /// # Errors
    /// [`Entry`](crate::ErrorKind::Entry): the format cannot carry one of them, and nothing was written; the errors of
    /// [`Lock::acquire`]; [`Lost`](crate::ErrorKind::Lost): the lock was taken away from the caller's own hold; any
    /// errno (`ENOSPC`, `EIO`, `EDQUOT`, …): the journal is as it was.
    pub fn append<'e>(&self, entries: impl IntoIterator<Item = Entry<'e>>) -> Result<()> {
        let lines = self.encode(entries)?;
        self.write(&|participant| journal::append(participant, &lines))
    }

    /// Appends the entries and advances the header's timestamp, at a cost that does not grow with the journal.
    ///
    /// # Errors
    /// As [`append`](Self::append); `EINVAL`: a timestamp below 0.
    pub fn append_stamped<'e>(&self, entries: impl IntoIterator<Item = Entry<'e>>, timestamp_ms: i64) -> Result<()> {
        let lines = self.encode(entries)?;
        self.write(&|participant| journal::append_stamped(participant, &lines, timestamp_ms))
    }

    /// Replaces the journal by one that holds only a header.
    ///
    /// # Errors
    /// As [`append_stamped`](Self::append_stamped).
    pub fn write_header(&self, timestamp_ms: i64) -> Result<()> {
        self.write(&|participant| journal::write_header(participant, timestamp_ms))
    }

    /// A consumer calls this when it has processed a snapshot: it writes a new header, drops what the snapshot held, and keeps
    /// every entry that was appended after it.
    ///
    /// Returns whether it dropped what the snapshot held. It does not if somebody replaced the journal in between (shipped
    /// peers do when they stamp): then all entries are kept, and what has been processed may be seen again.
    ///
    /// # Errors
    /// As [`append_stamped`](Self::append_stamped).
    pub fn checkpoint(&self, snapshot: &Snapshot, timestamp_ms: i64) -> Result<bool> {
        self.commit(&|participant| journal::checkpoint(participant, snapshot, timestamp_ms))
    }

    /// Reads the journal. Takes no lock.
    ///
    /// # Errors
    /// `ENOENT`: there is none; [`Unstamped`](crate::ErrorKind::Unstamped): its header says 0;
    /// [`Header`](crate::ErrorKind::Header): its first line is no header with a number in it; `ENOMEM`; any errno.
    pub fn read(&self) -> Result<Snapshot> {
        self.lock.check_process()?;
        self.lock.where_the_path_leads(|| {
            let dir = self.lock.whereabouts.dir(None)?;
            until_given_back(self.lock, || self.lock.surviving(|| Snapshot::read(&dir))).map_err(|e| dir.explain(e))
        })
    }

    fn encode<'e>(&self, entries: impl IntoIterator<Item = Entry<'e>>) -> Result<Vec<u8>> {
        self.lock.check_process()?;
        self.lock.surviving(|| journal::encode(entries))
    }

    fn write(&self, act: &dyn Fn(&Participant) -> Result<Written>) -> Result<()> {
        self.commit(&|participant| act(participant).map(|written| (written, true)))
            .map(drop)
    }

    fn commit(&self, act: Act<'_>) -> Result<bool> {
        let lock = self.lock;
        let under_a_hold = |inner: &mut Inner| match inner.participant.is_free() {
            true => Ok(None),
            false => {
                lock.follow(inner)?;
                commit_held(inner, act).map(Some)
            }
        };
        let deadline = Deadline::after(lock.options.timeout);
        loop {
            if let Some(done) = until_given_back(lock, || lock.enter(under_a_hold))? {
                return Ok(done);
            }
            match commit_free(lock, deadline, act) {
                // Another thread has acquired on this handle meanwhile: work under its hold.
                Err(error) if error.code() == -EDEADLK => {}
                done => return done,
            }
        }
    }
}

/// Under the caller's hold.
fn commit_held(inner: &mut Inner, act: Act<'_>) -> Result<bool> {
    let participant = &inner.participant;
    participant.still_held()?;
    participant.expect_alive()?;
    let (written, done) = act(participant)?;
    arrive(participant, &written)?;
    // A thief may have copied the journal before our write and put the copy in its place after (P3).
    participant.still_held()?;
    make_durable(inner, written)?;
    Ok(done)
}

/// Under its own hold.
fn commit_free(lock: &Lock, deadline: Deadline, act: Act<'_>) -> Result<bool> {
    let mut overtaken = 0;
    loop {
        let patience = Patience::For(lock.options.timeout).less(deadline);
        let mut alone = lock.hold_alone(patience)?;
        let committed = lock.act(&mut alone.inner, |inner| Ok(commit_and_release(inner, act)));
        if committed.is_err() {
            // Memory ran out. The hold was ours, not the caller's.
            lock.give_up_hold(&mut alone.inner);
        }
        let (acted, released) = committed?;
        drop(alone);
        let is_lost = |error: &Error| error.code() == abi::JLOCK_ELOST;
        match (acted, released) {
            // With the lock released, so that several writers' waits for the disk overlap.
            (Ok((written, done)), Ok(())) => return lock.enter(|inner| make_durable(inner, written)).map(|()| done),
            // It was not written; or it was, but perhaps to a journal that a thief has replaced by an older copy: once more.
            // What is there twice is read once.
            (Err(lost), _) | (Ok(_), Err(lost)) if is_lost(&lost) && overtaken < OVERTAKEN => overtaken += 1,
            // Somebody has a lease on the journal.
            (Err(error), _) if error.code() == -EAGAIN => wait_for_lease(deadline, error)?,
            (Err(error), _) => return Err(error),
            (Ok(_), Err(error)) => {
                let message = format!("{error}; the journal was written, but the lock could not be released");
                return Err(Error::new(error.code(), message));
            }
        }
    }
}

/// Tries again while somebody has a lease on the journal, as long as an acquire would wait.
fn until_given_back<T>(lock: &Lock, act: impl Fn() -> Result<T>) -> Result<T> {
    let mut deadline = None;
    loop {
        match act() {
            Err(error) if error.code() == -EAGAIN => {
                let deadline = *deadline.get_or_insert_with(|| Deadline::after(lock.options.timeout));
                wait_for_lease(deadline, error)?;
            }
            done => return done,
        }
    }
}

fn wait_for_lease(deadline: Deadline, error: Error) -> Result<()> {
    let now = sys::monotonic();
    if deadline.has_passed(now) {
        return Err(error);
    }
    sys::sleep_until(deadline.cap(now + LEASED)).map_err(|e| Error::os(e, "wait for the journal"))
}

fn commit_and_release(inner: &mut Inner, act: Act<'_>) -> (Result<(Written, bool)>, Result<()>) {
    let participant = &mut inner.participant;
    let acted = act(participant).and_then(|(written, done)| {
        arrive(participant, &written)?;
        Ok((written, done))
    });
    if participant.options().sync {
        participant.end_turn(); // the disk takes longer than others need to wait
    }
    // The release checks the lock's name, after the write: if the lock is still ours, nobody copied the journal before it.
    let released = participant.release();
    if participant.holding.hold().is_some() {
        participant.abandon();
    }
    (acted, released)
}

/// If other machines may share the journal, what was written must be on the server before the lock is released: otherwise the
/// next holder could append at an old end of the file. If an error shows only now, that is still before anything is acknowledged.
fn arrive(participant: &Participant, written: &Written) -> Result<()> {
    match participant.dir.local {
        true => Ok(()),
        false => written.arrive(&participant.dir),
    }
}

fn make_durable(inner: &mut Inner, written: Written) -> Result<()> {
    match inner.participant.options().sync {
        true => inner.durable.make(&inner.participant.dir, written),
        false => Ok(()),
    }
}

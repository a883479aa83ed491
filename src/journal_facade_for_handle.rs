//! What the handle does with the journal: each call takes the lock and lets it go, or works under the hold of its caller.

use std::sync::Arc;

use crate::abi;
use crate::error::{Error, Result};
use crate::journal::{self, Entry, Snapshot, Written};
use crate::lock::Lock;
use crate::lock::core::{Core, Patience};
use crate::lock::wait::Waker;

/// How often a commit is done again that was overtaken by a thief of the lock.
const OVERTAKEN: usize = 3;

/// The journal of a [`Lock`]; [`Lock::journal`] gives it.
///
/// Each call takes the lock and lets it go, unless this handle holds it already: then it works under that hold.
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
    pub(crate) lock: &'l Lock,
}

impl Journal<'_> {
    /// Appends the entries: all or none.
    ///
    /// # Errors
    /// [`Entry`](crate::ErrorKind::Entry): one that the format cannot carry, nothing was written; those of
    /// [`Lock::acquire`]; [`Lost`](crate::ErrorKind::Lost): the lock was taken away from a hold of the caller's; any
    /// errno (`ENOSPC`, `EIO`, `EDQUOT`, …): the journal is as it was.
    pub fn append<'e>(&self, entries: impl IntoIterator<Item = Entry<'e>>) -> Result<()> {
        let lines = self.encode(entries)?;
        self.commit(|core| Ok((journal::append(core, &lines)?, ())))
    }

    /// Appends the entries and advances the header's timestamp, at a cost that does not grow with the journal.
    ///
    /// # Errors
    /// As [`append`](Self::append); `EINVAL`: a timestamp below 0.
    pub fn append_stamped<'e>(&self, entries: impl IntoIterator<Item = Entry<'e>>, timestamp_ms: i64) -> Result<()> {
        let lines = self.encode(entries)?;
        self.commit(|core| Ok((journal::append_stamped(core, &lines, timestamp_ms)?, ())))
    }

    /// Replaces the journal by one that holds only a header.
    ///
    /// # Errors
    /// As [`append_stamped`](Self::append_stamped).
    pub fn write_header(&self, timestamp_ms: i64) -> Result<()> {
        self.commit(|core| Ok((journal::write_header(core, timestamp_ms)?, ())))
    }

    /// What a consumer calls when it has processed a snapshot: a new header, and every entry that was appended after
    /// the snapshot is kept.
    ///
    /// A journal that somebody replaced between the two (shipped peers do when they stamp) keeps all its entries:
    /// what has been processed may be seen again, nothing is lost.
    ///
    /// # Errors
    /// As [`append_stamped`](Self::append_stamped).
    /// Returns whether what the snapshot held was dropped.
    pub fn checkpoint(&self, snapshot: &Snapshot, timestamp_ms: i64) -> Result<bool> {
        self.commit(|core| journal::checkpoint(core, snapshot, timestamp_ms))
    }

    /// Reads the journal. Takes no lock.
    ///
    /// # Errors
    /// `ENOENT`: there is none; [`Header`](crate::ErrorKind::Header): its first line is no header with a timestamp
    /// above 0; any errno.
    pub fn read(&self) -> Result<Snapshot> {
        self.lock.with_core(|core, _| Snapshot::read(&core.dir))
    }

    fn encode<'e>(&self, entries: impl IntoIterator<Item = Entry<'e>>) -> Result<Vec<u8>> {
        self.lock.with_core(|_, _| journal::encode(entries))
    }

    fn commit<T>(&self, act: impl Fn(&Core) -> Result<(Written, T)>) -> Result<T> {
        self.lock.with_core(|core, waker| {
            if core.hold.is_some() || core.forfeited {
                commit_held(core, act)
            } else {
                commit_free(core, waker, act)
            }
        })
    }
}

/// Under the caller's hold.
fn commit_held<T>(core: &mut Core, act: impl Fn(&Core) -> Result<(Written, T)>) -> Result<T> {
    core.still_held()?;
    let (written, told) = act(core)?;
    // A thief may have copied the journal before our write and put the copy in its place after (P3).
    core.still_held()?;
    make_durable(core, written).map(|()| told)
}

/// Under a hold of its own.
fn commit_free<T>(core: &mut Core, waker: &Waker, act: impl Fn(&Core) -> Result<(Written, T)>) -> Result<T> {
    let mut overtaken = 0;
    loop {
        core.acquire(Patience::For(core.options.timeout), waker)?;
        let acted = act(core);
        // The lock's name is looked at after the write: if it is still ours, nobody copied the journal before it.
        let released = core.release();
        if core.hold.is_some() {
            core.abandon();
        }
        let is_lost = |error: &Error| error.code() == abi::JLOCK_ELOST;
        match (acted, released) {
            (Ok((written, told)), Ok(())) => {
                if core.options.sync {
                    core.end_share(); // the disk takes longer than others need to wait
                }
                return make_durable(core, written).map(|()| told);
            }
            // Not written; or written, but perhaps to a journal that a thief has replaced by an older copy: once more.
            // What is there twice is read once.
            (Err(lost), _) | (Ok(_), Err(lost)) if is_lost(&lost) && overtaken < OVERTAKEN => overtaken += 1,
            (Err(error), _) => return Err(error),
            (Ok(_), Err(error)) => {
                let message = format!("{error}; the journal was written, but the lock could not be released");
                return Err(Error::new(error.code(), message));
            }
        }
    }
}

/// With `JLOCK_SYNC`: waits until what was written is on disk, the lock let go, so that several writers' waits overlap.
fn make_durable(core: &mut Core, written: Written) -> Result<()> {
    if !core.options.sync {
        return Ok(());
    }
    let dir = Arc::clone(&core.dir);
    core.durable.make(&dir, written)
}

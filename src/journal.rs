//! The journal that the lock guards.
//!
//! | step | file |
//! | --- | --- |
//! | what the lines are | `format.rs` |
//! | add entries, stamp the header in place | `append.rs` |
//! | what a kill in an append leaves, and who mends it | `intent.rs` |
//! | replace the file: new header, checkpoint | `rewrite.rs` |
//! | read it, without the lock | `snapshot.rs`, `distinct.rs` |

use std::sync::Arc;

use crate::abi;
use crate::error::{Error, Result};
use crate::lock::Lock;
use crate::lock::core::{Core, Patience};
use crate::lock::dir::{Dir, Name};
use crate::lock::wait::Waker;
use crate::sys::{self, Errno, Fd, FileId, Meta, Open};

mod append;
mod distinct;
mod format;
pub(crate) mod intent;
mod rewrite;
mod snapshot;

pub use format::{Entry, Kind};
pub(crate) use format::{HEADER_PREFIX, no_memory};
pub use snapshot::Snapshot;

/// How often a journal that is replaced under our hands, by somebody who takes no lock, is written to again.
const REPLACED: usize = 16;
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
        self.commit(|core| append::append(core, &lines))
    }

    /// Appends the entries and advances the header's timestamp, at a cost that does not grow with the journal.
    ///
    /// # Errors
    /// As [`append`](Self::append); `EINVAL`: a timestamp below 0.
    pub fn append_stamped<'e>(&self, entries: impl IntoIterator<Item = Entry<'e>>, timestamp_ms: i64) -> Result<()> {
        let lines = self.encode(entries)?;
        self.commit(|core| append::append_stamped(core, &lines, timestamp_ms))
    }

    /// Replaces the journal by one that holds only a header.
    ///
    /// # Errors
    /// As [`append_stamped`](Self::append_stamped).
    pub fn write_header(&self, timestamp_ms: i64) -> Result<()> {
        self.commit(|core| rewrite::write_header(core, timestamp_ms))
    }

    /// What a consumer calls when it has processed a snapshot: writes a new header, drops what the snapshot held, and keeps
    /// every entry that was appended after it.
    ///
    /// Returns whether it dropped what the snapshot held. It does not if somebody replaced the journal in between (shipped
    /// peers do when they stamp): then all entries are kept, and what has been processed may be seen again.
    ///
    /// # Errors
    /// As [`append_stamped`](Self::append_stamped).
    pub fn checkpoint(&self, snapshot: &Snapshot, timestamp_ms: i64) -> Result<bool> {
        let dropped = std::cell::Cell::new(false);
        self.commit(|core| rewrite::checkpoint(core, snapshot, timestamp_ms, &dropped))?;
        Ok(dropped.get())
    }

    /// Reads the journal. Takes no lock.
    ///
    /// # Errors
    /// `ENOENT`: there is none; [`Unstamped`](crate::ErrorKind::Unstamped): its header says 0;
    /// [`Header`](crate::ErrorKind::Header): its first line is no header with a number in it; any errno.
    pub fn read(&self) -> Result<Snapshot> {
        self.lock.with_core(|core, _| Snapshot::read(&core.dir))
    }

    fn encode<'e>(&self, entries: impl IntoIterator<Item = Entry<'e>>) -> Result<Vec<u8>> {
        self.lock.with_core(|_, _| format::encode(entries))
    }

    fn commit(&self, act: impl Fn(&Core) -> Result<Written>) -> Result<()> {
        self.lock.with_core(|core, waker| {
            if core.hold.is_some() || core.forfeited {
                commit_held(core, act)
            } else {
                commit_free(core, waker, act)
            }
        })
    }
}

/// The journal that stands, open to read and to append to.
struct Standing {
    file: Arc<Fd>,
    meta: Meta,
}

impl Standing {
    /// `None`: there is none.
    fn open(dir: &Dir) -> Result<Option<Standing>> {
        let file = match sys::open(&dir.fd, &dir.journal, Open::Append) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(open_error(dir, errno)),
        };
        let meta = sys::fstat(&file).map_err(|e| Error::os(e, Name(&dir.journal)))?;
        dir.expect_regular(&dir.journal, &meta)?;
        let file = Arc::new(file);
        Ok(Some(Standing { file, meta }))
    }

    /// Whether it is the journal still.
    fn stands(&self, dir: &Dir) -> sys::Result<bool> {
        dir.names(&dir.journal, self.meta.id)
    }

    fn written(&self) -> Written {
        Written::new(Arc::clone(&self.file), self.meta.id)
    }
}

fn replaced(dir: &Dir) -> Error {
    let what = format!(
        "{}: replaced {REPLACED} times while it was written to",
        Name(&dir.journal)
    );
    Error::os(Errno::BUSY, what)
}

/// A file that a commit wrote.
#[derive(Debug)]
pub(crate) struct Written {
    file: Arc<Fd>,
    id: FileId,
}

impl Written {
    fn new(file: Arc<Fd>, id: FileId) -> Written {
        Written { file, id }
    }
}

/// Under the caller's hold.
fn commit_held(core: &mut Core, act: impl Fn(&Core) -> Result<Written>) -> Result<()> {
    core.still_held()?;
    let written = act(core)?;
    // A thief may have copied the journal before our write and put the copy in its place after (P3).
    core.still_held()?;
    make_durable(core, written)
}

/// Under a hold of its own.
fn commit_free(core: &mut Core, waker: &Waker, act: impl Fn(&Core) -> Result<Written>) -> Result<()> {
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
            (Ok(written), Ok(())) => {
                if core.options.sync {
                    core.end_share(); // the disk takes longer than others need to wait
                }
                return make_durable(core, written);
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
    let os = |e| {
        Error::os(
            e,
            format_args!("{} was written, but may not be on disk", Name(&dir.journal)),
        )
    };
    let mut written = written;
    loop {
        sys::sync_data(&written.file).map_err(os)?;
        // The file's own name, once: whoever made the file may not have cared.
        if core.durable.as_ref().is_none_or(|known| known.id != written.id) {
            sys::sync_dir(&dir.fd).map_err(os)?;
        }
        // Replaced meanwhile, by somebody who copied our entries into a file that may not be on disk yet?
        match Standing::open(&dir)? {
            Some(journal) if journal.meta.id != written.id => written = journal.written(),
            Some(_) => {
                core.durable = Some(written);
                return Ok(());
            }
            None => return Ok(()),
        }
    }
}

/// Why the journal could not be opened: what stands there, if it is no regular file, else the system's own word.
fn open_error(dir: &Dir, errno: Errno) -> Error {
    let regular = match sys::stat(&dir.fd, &dir.journal) {
        Ok(Some(meta)) => dir.expect_regular(&dir.journal, &meta),
        _ => Ok(()),
    };
    regular.err().unwrap_or_else(|| Error::os(errno, Name(&dir.journal)))
}

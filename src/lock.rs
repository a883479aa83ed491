//! The lock: a handle on it, and the guard of a hold.
//!
//! | step | file |
//! | --- | --- |
//! | a private stamp, ready to be linked | `private.rs`, `stamp.rs`, `park.rs` |
//! | acquire and release | `core.rs` |
//! | is its holder alive? | `look.rs` |
//! | take over from the dead | `claim.rs` |
//! | wait for the living | `wait.rs` |
//! | what the dead leave behind | `sweep.rs` |

use std::ffi::CStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::abi;
use crate::error::{EINVAL, Error, ErrorKind, Result};
use crate::journal_facade_for_handle::Journal;
use crate::memory::survive;
use crate::options::Options;
use crate::sys::{
    self, Errno, Fd,
    fork::{Generation, is_whole},
};

pub(crate) mod claim;
pub(crate) mod core;
pub(crate) mod dir;
mod events;
pub(crate) mod inspect;
mod keepalive;
mod look;
mod park;
pub(crate) mod private;
mod queue;
pub(crate) mod stamp;
mod sweep;
pub(crate) mod wait;

use self::core::{Core, Patience};
use dir::Dir;
pub use inspect::{Holder, Peer, State};
use wait::Waker;

/// The file name of codegraph's journal.
pub const JOURNAL_FILENAME: &str = "changes.journal";

/// One participant in the lock of one journal.
///
/// Whoever uses it, from whatever thread, is the same participant: calls are serialised inside, and acquiring while
/// held is an error. Threads that want to exclude each other open a `Lock` each; two of them in one process exclude each
/// other like two processes. Dropping it releases.
///
/// ```
/// # let dir = std::env::temp_dir().join(format!("jlock-doc-lock-{}", std::process::id()));
/// let lock = jlock::Lock::open(&dir)?;
/// {
///     let _held = lock.acquire()?;
///     // … whatever must not happen at the same time anywhere …
/// } // released
/// # drop(lock); std::fs::remove_dir_all(&dir).unwrap();
/// # Ok::<(), jlock::Error>(())
/// ```
#[derive(Debug)]
pub struct Lock {
    /// `None`: it is being dropped.
    shared: Mutex<Option<Shared>>,
    waker: Waker,
    generation: Generation,
}

#[derive(Debug)]
struct Shared {
    core: Core,
    events: Option<events::Events>,
}

/// The lock is held as long as this lives.
///
/// Dropping it releases; [`release`](Guard::release) does so too and says whether the hold was undisturbed.
#[derive(Debug)]
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct Guard<'l> {
    lock: &'l Lock,
}

impl Lock {
    /// Opens the lock of the journal `changes.journal` in `dir`, the directory that holds it, with the default
    /// [`Options`]. A missing directory is created.
    ///
    /// # Errors
    /// What the system says of the directory: `ENOENT`, `ENOTDIR`, `EACCES`, `EROFS`, `EMFILE`, …
    pub fn open(dir: impl AsRef<Path>) -> Result<Lock> {
        Options::new().open(dir)
    }

    pub(crate) fn open_dir(path: &CStr, options: &Options) -> Result<Lock> {
        let os = |e| Error::os(e, dir::Name(path));
        let fd = match sys::open_dir(path) {
            Err(Errno::NOENT) if options.create && !path.is_empty() => {
                create_dirs(path, options.sync).map_err(os)?;
                sys::open_dir(path).map_err(os)?
            }
            other => other.map_err(os)?,
        };
        Lock::with_dir(fd, c"changes.journal", options)
    }

    pub(crate) fn open_at_raw(from: BorrowedFd<'_>, name: &CStr, options: &Options) -> Result<Lock> {
        let fd = sys::open_dir_from(from, c".").map_err(|e| Error::os(e, "open the directory"))?;
        Lock::with_dir(fd, name, options)
    }

    fn with_dir(fd: Fd, name: &CStr, options: &Options) -> Result<Lock> {
        let core = Core::new(Dir::new(fd, name)?, options.clone())?;
        let lock = Lock {
            shared: Mutex::new(Some(Shared { core, events: None })),
            waker: Waker::new(),
            generation: Generation::current(),
        };
        lock.with_core(|core, _| {
            core.sweep();
            Ok(())
        })?;
        Ok(lock)
    }

    /// Acquires the lock, waiting as long as [`Options::timeout`] says, and up to [`Options::settle`] longer when it
    /// takes over from a dead holder.
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut), with a message that names the holder;
    /// [`Canceled`](crate::ErrorKind::Canceled); [`Deadlock`](crate::ErrorKind::Deadlock): this handle holds it;
    /// [`NotLock`](crate::ErrorKind::NotLock), `ELOOP`: no regular file at the lock's name; any errno of the system
    /// calls (`EACCES`, `EROFS`, `ENOSPC`, `EMFILE`, `ENOENT`, …). Nothing is held then, and the handle stays usable.
    pub fn acquire(&self) -> Result<Guard<'_>> {
        self.hold(None)?;
        Ok(Guard { lock: self })
    }

    /// As [`acquire`](Self::acquire), but waits so long; `None` for ever, zero not at all.
    ///
    /// # Errors
    /// As [`acquire`](Self::acquire).
    pub fn acquire_for(&self, timeout: impl Into<Option<Duration>>) -> Result<Guard<'_>> {
        self.hold(Some(Patience::For(timeout.into())))?;
        Ok(Guard { lock: self })
    }

    /// Acquires the lock if nobody holds it. Takes up to [`Options::settle`] when the holder is dead, else never
    /// waits.
    ///
    /// # Errors
    /// [`WouldBlock`](crate::ErrorKind::WouldBlock): somebody holds it; else as [`acquire`](Self::acquire).
    pub fn try_acquire(&self) -> Result<Guard<'_>> {
        self.hold(Some(Patience::Try))?;
        Ok(Guard { lock: self })
    }

    /// Acquires without a guard: what C does. `None`: as long as the options say.
    pub(crate) fn hold(&self, patience: Option<Patience>) -> Result<()> {
        self.enter(|shared| {
            let patience = patience.unwrap_or(Patience::For(shared.core.options.timeout));
            let acquired = shared.core.acquire(patience, &self.waker);
            let busy = acquired
                .as_ref()
                .is_err_and(|e| matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
            if let Some(events) = shared.events.as_ref().filter(|_| busy) {
                let _ = events.arm(&shared.core); // a watch that fails is made up for by the caller's retry
            }
            acquired
        })
    }

    /// Releases without a guard.
    pub(crate) fn let_go(&self) -> Result<()> {
        self.enter(|shared| shared.core.release())
    }

    /// Renews the sign of life by which shipped peers judge; to be called at least every 30 s under a long hold.
    ///
    /// # Errors
    /// [`NotHeld`](crate::ErrorKind::NotHeld); [`Lost`](crate::ErrorKind::Lost): the lock was taken away; any errno.
    pub fn refresh(&self) -> Result<()> {
        self.enter(|shared| shared.core.refresh())
    }

    /// Whether the last acquire took over from a dead holder: what the lock protects may be half done.
    ///
    /// # Errors
    /// [`Forked`](crate::ErrorKind::Forked), [`Panic`](crate::ErrorKind::Panic).
    pub fn recovered(&self) -> Result<bool> {
        self.enter(|shared| Ok(shared.core.recovered))
    }

    /// Ends the wait in progress on this handle, if there is one, from another thread. Never waits itself.
    ///
    /// # Errors
    /// [`Forked`](crate::ErrorKind::Forked).
    pub fn cancel(&self) -> Result<()> {
        self.check_process()?;
        self.waker.cancel();
        Ok(())
    }

    /// Who holds the lock. Takes and changes nothing.
    ///
    /// # Errors
    /// [`NotLock`](crate::ErrorKind::NotLock), `ELOOP`: no regular file at the lock's name; any errno.
    pub fn inspect(&self) -> Result<Holder> {
        self.enter(|shared| shared.core.inspect())
    }

    /// The journal that this lock guards.
    pub fn journal(&self) -> Journal<'_> {
        Journal { lock: self }
    }

    /// For event loops: a descriptor, owned by this handle, that polls readable when trying again is worth it, after
    /// [`try_acquire`](Self::try_acquire) said [`WouldBlock`](crate::ErrorKind::WouldBlock). Try again at the latest
    /// after [`Options::retry`]: not everything can be watched.
    ///
    /// # Errors
    /// The system's errno where there is no inotify to be had: then retry by time alone.
    pub fn wait_fd(&self) -> Result<i32> {
        self.enter(|shared| {
            if shared.events.is_none() {
                shared.events = Some(events::Events::new()?);
            }
            match &shared.events {
                Some(events) => events.arm(&shared.core).and_then(|()| events.number()),
                None => Err(Error::new(-EINVAL, "no descriptor to wait on")), // never: it was made just now
            }
        })
    }

    /// Runs `act` on the journal's side of the participant.
    pub(crate) fn with_core<T>(&self, act: impl FnOnce(&mut Core, &Waker) -> Result<T>) -> Result<T> {
        self.enter(|shared| act(&mut shared.core, &self.waker))
    }

    /// Whether this is the process that opened the lock.
    fn is_ours(&self) -> bool {
        self.generation == Generation::current()
    }

    pub(crate) fn check_process(&self) -> Result<()> {
        if self.is_ours() {
            return Ok(());
        }
        let what = crate::error::text(abi::JLOCK_EFORKED);
        Err(Error::new(abi::JLOCK_EFORKED, what))
    }

    fn shared(&self) -> Result<MutexGuard<'_, Option<Shared>>> {
        // Before the mutex, which a thread that fork left behind may hold.
        self.check_process()?;
        self.shared.lock().map_err(|_| {
            let what = crate::error::text(abi::JLOCK_EPANIC);
            Error::new(abi::JLOCK_EPANIC, what)
        })
    }

    fn enter<T>(&self, act: impl FnOnce(&mut Shared) -> Result<T>) -> Result<T> {
        let mut shared = self.shared()?;
        let Some(shared) = &mut *shared else {
            return Err(Error::new(-EINVAL, "the handle is closed")); // never: nobody calls what is being dropped
        };
        let was_held = shared.core.hold.is_some();
        survive(|| act(&mut *shared)).unwrap_or_else(|out_of_memory| {
            shared.core.recover(was_held, &self.waker);
            Err(out_of_memory.into())
        })
    }
}

impl Shared {
    fn end(mut self) {
        if survive(|| self.core.close()).is_err() {
            self.core.abandon();
            self.core.stop();
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A forked child closes its copies and touches nothing else. (What it cannot drop, the fork handler has closed.)
        let is_whole = self.is_ours() || is_whole(&self.shared);
        let shared = self.shared.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        match shared {
            Some(shared) if self.is_ours() => shared.end(),
            shared if !is_whole => std::mem::forget(shared),
            _ => {}
        }
    }
}

impl Guard<'_> {
    /// Releases the lock, and says whether it was held all the time.
    ///
    /// # Errors
    /// [`Lost`](crate::ErrorKind::Lost): it was taken away, and nothing of the new holder was removed; any errno: then
    /// it is still held, and dropping the handle tries again.
    pub fn release(self) -> Result<()> {
        let lock = self.lock;
        std::mem::forget(self);
        lock.let_go()
    }

    /// As [`Lock::refresh`].
    ///
    /// # Errors
    /// As [`Lock::refresh`].
    pub fn refresh(&self) -> Result<()> {
        self.lock.refresh()
    }

    /// As [`Lock::recovered`].
    ///
    /// # Errors
    /// As [`Lock::recovered`].
    pub fn recovered(&self) -> Result<bool> {
        self.lock.recovered()
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // A hold that was lost is gone either way; one that cannot be released now is tried again when the handle is
        // dropped. Who wants to know calls `release`.
        let _ = self.lock.let_go();
    }
}

/// Makes a directory and those above it.
fn create_dirs(path: &CStr, sync: bool) -> sys::Result<()> {
    let bytes = path.to_bytes();
    let ends = (1..=bytes.len()).filter(|&end| end == bytes.len() || bytes[end] == b'/');
    let mut refused = None;
    for end in ends {
        let part = std::ffi::CString::new(&bytes[..end]).map_err(|_| Errno::INVAL)?;
        match sys::mkdir(&part) {
            Ok(()) if sync => sys::sync_dir(&sys::open_dir(&parent_of(&bytes[..end])?)?)?,
            Ok(()) | Err(Errno::EXIST) => refused = None,
            // One above it could not be made, and the first refusal says why.
            Err(Errno::NOENT) if end == bytes.len() => return Err(refused.unwrap_or(Errno::NOENT)),
            Err(errno) if end == bytes.len() => return Err(errno),
            // It may stand all the same, where we may not look.
            Err(errno) => refused = refused.or(Some(errno)),
        }
    }
    Ok(())
}

/// The path of the directory above: what `dirname` gives.
fn parent_of(path: &[u8]) -> sys::Result<std::ffi::CString> {
    let parent = match Path::new(std::ffi::OsStr::from_bytes(path)).parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.as_os_str().as_bytes(),
        _ => b".",
    };
    std::ffi::CString::new(parent).map_err(|_| Errno::INVAL)
}

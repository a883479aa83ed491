//! One lockfile, one stamp, one journal: the lock that programs in any language use to share one append-only journal.
//!
//! ```
//! # let dir = std::env::temp_dir().join(format!("jlock-doc-{}", std::process::id()));
//! use jlock::{Entry, Lock};
//!
//! let lock = Lock::open(&dir)?;
//! lock.journal().append([Entry::changed("src/main.rs")])?; // takes the lock and lets it go
//!
//! let held = lock.acquire()?; // or hold it for longer
//! lock.journal().append([Entry::deleted("src/old.rs")])?; // under that hold
//! held.release()?; // says whether the lock was held all the time
//! # drop(lock); std::fs::remove_dir_all(&dir).unwrap();
//! # Ok::<(), jlock::Error>(())
//! ```
//!
//! # What it guarantees
//!
//! Two kinds of program share a journal's directory: *library peers*, which use this crate, from whatever language; and
//! *shipped peers*, which speak the same protocol, cannot be changed, and take over a stale lock unsafely
//! (`@optave/codegraph` 3.11.2 on npm).
//!
//! - **P1.** Any number of library peers exclude each other, whatever crashes and whenever.
//! - **P2.** Any number of library peers and one shipped peer exclude each other, whatever crashes and whenever, as long
//!   as that peer is not frozen: it renames or unlinks within [`settle`](Options::settle) of opening a lock, stamps its own
//!   within 5 s of creating it, and holds it for less than 30 s. One instant no peer can close: a library process that lets
//!   the lock go and *ends* between the two system calls with which the shipped peer reads a PID and asks whether it lives.
//! - **P3.** A peer that loses its lock all the same is told: [`release`](Guard::release), [`refresh`](Lock::refresh) and
//!   every journal commit answer [`ErrorKind::Lost`], and nothing of the new holder is removed. A journal call that
//!   takes the lock by itself does its work again: what it acknowledged is in the journal.
//!
//! # How
//!
//! 1. **The lock is never seen empty.** Each handle keeps a private file, stamped and `flock`ed. To acquire is to link it
//!    to the lock's name: one system call, exclusive and complete. To release is to unlink that name.
//! 2. **The kernel says who is dead.** A library peer's lock is `flock`ed as long as it lives. No PID, no clock and no
//!    namespace matters.
//! 3. **The dead are claimed in place, then all is left to settle.** A dead holder's lock is neither renamed over nor
//!    unlinked, for it might have become a live one this instant: its stamp is written over, and the claimant waits
//!    until a shipped peer that judged by the old stamp would have shown itself.
//!
//! `PROTOCOL.md` has all of it, enough to write another implementation.
//!
//! # Caveats
//!
//! - Two or more *shipped* peers are not safe beside each other, and nobody can make them so.
//! - A holder that takes longer than 30 s calls [`refresh`](Lock::refresh), or opens with [`Options::keepalive`]: else a
//!   shipped peer takes its lock. Library peers never do, even from a stopped process.
//! - Shipped peers judge by PID: they must share the PID namespace and the host of those they share a journal with.
//!   Library peers need neither, where `flock` reaches all of them.
//! - A child of `fork` cannot use its parent's handles ([`ErrorKind::Forked`]); it opens its own. A child made by a bare
//!   `clone`, without `exec`, keeps its parent's lock alive as long as it has not dropped its copies.
//! - Where the file system has no hard links or no `flock`, weaker means are used; [`Holder`] says so.
//! - A dead lock that one may not write to, or that carries no stamp, is exchanged instead of claimed in place; there, a
//!   shipped peer that takes it over in the same instant can end up beside us.
//! - Killed in the middle of an append, a process can leave a part of its entries in the journal, the last of them cut. The
//!   next library peer takes them back; if a shipped peer comes first, they stay. They were not acknowledged.

#![deny(unsafe_code)]

pub mod abi;
#[allow(unsafe_code)]
mod capi;
mod error;
mod journal;
mod journal_facade_for_handle;
mod lock;
mod memory;
mod options;
#[allow(unsafe_code)]
mod sys;

pub use error::{Error, ErrorKind, Result};
pub use journal::{Entry, Kind, Snapshot};
pub use journal_facade_for_handle::Journal;
pub use lock::{Guard, Holder, JOURNAL_FILENAME, Lock, Peer, State};
pub use options::Options;

#[cfg(feature = "seam")]
#[doc(hidden)]
pub use sys::seam;

//! One lockfile, one stamp, one journal: the lock that programs in any language use to share one append-only journal.
//!
//! ```
//! # let dir = std::env::temp_dir().join(format!("jlock-doc-{}", std::process::id()));
//! use jlock::{Entry, Lock};
//!
//! let lock = Lock::open(&dir)?;
//! lock.journal().append([Entry::changed("src/main.rs")])?; // takes the lock and releases it
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
//! Two kinds of program share a journal's directory. *Library peers* use this library, in whatever language. *Shipped peers*
//! speak the same protocol by themselves, cannot be changed, and take over a stale lock unsafely (`@optave/codegraph` 3.11.2
//! on npm).
//!
//! - **P1.** Any number of library peers exclude each other, whichever of them crashes, at any moment.
//! - **P2.** Any number of library peers and one shipped peer exclude each other, whichever of them crashes, at any moment, as
//!   long as the shipped peer is not frozen in the middle of an acquire: it must rename or unlink within
//!   [`settle`](Options::settle) after opening a stale lock. One instant remains that no peer can close: a library peer
//!   releases the lock, and its *process ends*, between the two system calls with which the shipped peer reads a PID and
//!   checks whether it lives.
//! - **P3.** A peer that loses its lock nevertheless learns of it: [`release`](Guard::release), [`refresh`](Lock::refresh) and
//!   every journal call return [`ErrorKind::Lost`], and nothing that belongs to the new holder is removed. A journal call that
//!   acquires the lock by itself does its work again, so that what it acknowledged is in the journal.
//!
//! # How
//!
//! 1. **The lock is never seen empty.** Each handle keeps a private file with its stamp in it, which says who it is, and holds
//!    that file's `flock`. To acquire, it links the file to the lock's name: one system call, exclusive and complete. To
//!    release, it unlinks that name.
//! 2. **The kernel knows who is dead.** A library peer's lock is `flock`ed for as long as its process lives, and a shipped
//!    peer has its lock open for writing. On a local file system no library peer's PID, clock or namespace matters.
//! 3. **A dead holder's lock is claimed in place, and then left to settle.** It is neither renamed over nor unlinked, because it
//!    might have become a live one this instant. The claimant overwrites its stamp, and then waits until a shipped peer that
//!    judged by the old stamp would have shown itself.
//!
//! `PROTOCOL.md` describes all of it in enough detail to write another implementation.
//!
//! # Caveats
//!
//! - Two or more *shipped* peers are not safe beside each other, and nobody can make them so.
//! - A holder that takes longer than 30 s must call [`refresh`](Lock::refresh), or open the lock with
//!   [`Options::keepalive`]; otherwise a shipped peer takes its lock. Library peers never take the lock of a live library peer,
//!   not even of a stopped one.
//! - Library peers do not take the lock of a live shipped peer either, on a local file system. Where the kernel gives no lease
//!   (on a network file system, for another user's file), a shipped peer must stamp its lock within 3 s of creating it, and
//!   hold it for less than 30 s.
//! - Shipped peers judge by PID, so they must run on the same host, and in the same PID namespace, as the peers with which they
//!   share a journal. Library peers need not, if `flock` reaches all of them.
//! - A peer that takes over from a dead holder waits for [`settle`](Options::settle), and twice as long if a shipped peer has
//!   just died. One such wait can overrun a timeout.
//! - A child of `fork` cannot use its parent's handles ([`ErrorKind::Forked`]); it opens its own. A child that was made by a
//!   bare `clone`, without `exec`, keeps its parent's lock alive until it has dropped its copies.
//! - If the file system has no hard links or no `flock`, weaker means are used, and [`Holder`] says so. A place that is not
//!   known to be local is tested at the first acquire. [`Place::probe`] says in advance what a directory can promise.
//! - A dead lock that we may not write to, or that carries no stamp, is exchanged for ours instead of claimed in place. A shipped
//!   peer that takes it over in the same instant can end up holding it beside us.
//! - If a process is killed in the middle of an append, a part of its entries can stay in the journal, and the last of these may
//!   be cut. They were not acknowledged. The next library peer takes them back; if a shipped peer comes first, they stay.

#![deny(unsafe_code)]
// Only the C interface calls some of what is here; the build with it reports what nobody calls.
#![cfg_attr(not(feature = "capi"), allow(dead_code, unused_imports))]

pub mod abi;
#[cfg(feature = "capi")]
#[allow(unsafe_code)]
mod capi;
mod error;
mod handle;
mod journal;
mod lock;
mod memory;
mod options;
#[allow(unsafe_code)]
mod sys;

pub use error::{Error, ErrorKind, Result};
pub use handle::{Acquiring, Guard, JOURNAL_FILENAME, Journal, Lock, Unreleased};
pub use journal::{Entry, Kind, Snapshot};
pub use lock::{Holder, Peer, Place, State};
pub use options::Options;

#[cfg(feature = "seam")]
#[doc(hidden)]
pub use sys::seam;

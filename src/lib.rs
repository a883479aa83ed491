//! One lockfile, one stamp, one journal: the lock that every program, in any language, uses to share one append-only
//! journal with others.
#![deny(unsafe_code)]
pub mod abi;
#[allow(unsafe_code)]
mod capi;
mod error;
mod journal;
mod lock;
mod options;
#[allow(unsafe_code)]
mod sys;
pub use error::{Error, ErrorKind, Result};
pub use journal::{Entry, Journal, Kind, Snapshot};
pub use lock::{Guard, Holder, JOURNAL_FILENAME, Lock, Peer, State};
pub use options::Options;
#[cfg(feature = "seam")]
#[doc(hidden)]
pub use sys::seam;

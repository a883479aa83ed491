//! The lock of one directory. It knows nothing about journals: what a holder writes behind its stamp, the postscript, is
//! opaque here, and a claim hands it on.
//!
//! | PROTOCOL.md | file |
//! | --- | --- |
//! | files | `dir.rs` |
//! | the stamp | `stamp.rs` |
//! | times | `time.rs` |
//! | park | `private.rs`, `park.rs` |
//! | acquire | `acquire.rs` (the state machine), `place.rs`, `hold.rs` |
//! | look, evidence | `look.rs`, `evidence.rs` |
//! | claim, settle | `claim.rs`, `settle.rs` |
//! | wait | `contend.rs`, `pauses.rs`, `wait.rs`, `watch.rs`, `bell.rs` |
//! | line up | `site.rs` (within a process), `line.rs` (among processes) |
//! | release, refresh | `release.rs`, `keepalive.rs` |
//! | give up | `withdraw.rs` |
//! | query | `inspect.rs`, `probe.rs` |
//! | sweep | `sweep.rs` |
//! | fallbacks | `place.rs` |
//!
//! All of them work on what is in `participant.rs`.

pub(crate) mod acquire;
pub(crate) mod bell;
mod claim;
mod contend;
pub(crate) mod dir;
mod evidence;
mod hold;
pub(crate) mod inspect;
mod keepalive;
mod line;
mod look;
mod park;
pub(crate) mod participant;
mod pauses;
mod place;
pub(crate) mod private;
pub(crate) mod probe;
mod release;
mod settle;
pub(crate) mod site;
pub(crate) mod stamp;
mod sweep;
pub(crate) mod time;
pub(crate) mod wait;
mod watch;
mod withdraw;

pub use inspect::{Holder, Peer, State};
pub(crate) use participant::Participant;
pub use probe::Place;
pub(crate) use probe::probe;

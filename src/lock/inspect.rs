//! Who holds the lock: a look that takes and changes nothing.

use crate::error::{Error, Result};
use crate::lock::core::Core;
use crate::lock::dir::{Name, read_stamp};
use crate::lock::look::{age_ms, is_dead};
use crate::lock::stamp::Stamp;
use crate::sys;
use std::time::Duration;

/// The lock's state; [`Holder::state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Nobody holds it.
    Free,
    /// A live peer holds it.
    Held,
    /// This handle holds it.
    Mine,
    /// Its holder is dead; the next acquire takes it over.
    Abandoned,
}

/// What kind of program stamped the lock; [`Holder::peer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peer {
    /// There is no lock.
    None,
    /// One that uses this library.
    Library,
    /// One that speaks the protocol without it (codegraph 3.11.2).
    Shipped,
    /// The lock carries no stamp (yet).
    Unknown,
}

/// Who holds the lock, as [`Lock::inspect`](crate::Lock::inspect) saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The lock's state.
    pub state: State,
    /// The kind of its holder.
    pub peer: Peer,
    /// The holder's process id in its own PID namespace; 0: unknown.
    pub pid: i32,
    /// Since the lock's last sign of life (its mtime).
    pub age: Duration,
    /// Since the holder acquired the lock; `None`: unknown, or nobody holds it.
    pub held: Option<Duration>,
    /// The holder's nonce; empty: unknown.
    pub nonce: String,
    /// The holder's host name; empty: unknown.
    pub host: String,
    /// Whether this handle works without hard links here: the file system has none.
    pub without_link: bool,
    /// Whether this handle works without `flock` here: the file system has none, and a holder's death is judged by
    /// PID and age.
    pub without_flock: bool,
}

impl Core {
    pub(crate) fn inspect(&self) -> Result<Holder> {
        let mut holder = Holder {
            state: State::Free,
            peer: Peer::None,
            pid: 0,
            age: Duration::ZERO,
            held: None,
            nonce: String::new(),
            host: String::new(),
            without_link: self.fallback.without_link,
            without_flock: self.fallback.without_flock,
        };
        let Some((file, id)) = self.open_lock()? else {
            return Ok(holder);
        };
        let os = |e| Error::os(e, Name(&self.dir.lock));
        // Shared, and only for a moment: two who look do not take each other for a holder, and a contender that meets
        // us looks again.
        let locked = match sys::flock_shared(&file) {
            Ok(locked) => Some(locked),
            Err(errno) if sys::means_no_flock(errno) || errno == sys::Errno::BADF => None,
            Err(errno) => return Err(os(errno)),
        };
        let stamp = Stamp::parse(&read_stamp(&file).map_err(os)?);
        let meta = sys::fstat(&file).map_err(os)?;
        let dead = locked != Some(false) && is_dead(&stamp, &meta, locked.is_some(), self.options.stale, &self.dir);
        holder.state = if self.hold.as_ref().is_some_and(|hold| hold.id == id) {
            State::Mine
        } else if dead {
            State::Abandoned
        } else {
            State::Held
        };
        holder.age = Duration::from_millis(age_ms(&meta).unsigned_abs());
        let (pid, nonce) = stamp.holder();
        (holder.pid, holder.nonce) = (pid, nonce.to_owned());
        holder.peer = match stamp {
            Stamp::Library(stamp) => {
                holder.host = stamp.host;
                Peer::Library
            }
            Stamp::Shipped { .. } => Peer::Shipped,
            Stamp::Cut { .. } | Stamp::Foreign => Peer::Unknown,
        };
        Ok(holder)
    }

    /// "held by pid 4711 (shipped peer) for 6.2 s": for messages. A failure to look says so, in its place.
    pub(crate) fn describe_holder(&self) -> String {
        let holder = match self.inspect() {
            Ok(holder) => holder,
            Err(error) => return format!("its holder is unknown ({error})"),
        };
        let peer = match holder.peer {
            Peer::None => return "released just now".to_owned(),
            Peer::Library => "library peer",
            Peer::Shipped => "shipped peer",
            Peer::Unknown => "no stamp",
        };
        let who = match (holder.pid, holder.host.as_str()) {
            (0, _) => format!("held ({peer})"),
            (pid, "") => format!("held by pid {pid} ({peer})"),
            (pid, host) => format!("held by pid {pid} ({peer}) on {host}"),
        };
        let dead = if holder.state == State::Abandoned {
            ", which is dead,"
        } else {
            ""
        };
        format!("{who}{dead} for {}", Seconds(holder.age))
    }
}

/// A time in a message, to a tenth of a second. (A float's own formatting is larger than the lock.)
pub(crate) struct Seconds(pub Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rounded = self.0.saturating_add(Duration::from_millis(50));
        write!(f, "{}.{} s", rounded.as_secs(), rounded.subsec_millis() / 100)
    }
}

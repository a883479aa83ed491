//! Finds out who holds the lock, without taking or changing anything.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::lock::dir::{Dir, Name, is_gone, read_stamp};
use crate::lock::evidence::{Flock, Verdict};
use crate::lock::look::verdict;
use crate::lock::participant::Participant;
use crate::lock::stamp::Stamp;
use crate::lock::time::{Seconds, wall_age};
use crate::options::Options;
use crate::sys::{self, Errno, Fd, FileId, Meta};

/// The lock's state; [`Holder::state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Nobody holds it.
    Free,
    /// A living peer holds it, or one that is not known to be dead.
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
    /// A program that uses this library.
    Library,
    /// A program that speaks the protocol without it (codegraph 3.11.2).
    Shipped,
    /// The lock carries no stamp (yet).
    Unknown,
}

/// What [`Lock::inspect`](crate::Lock::inspect) found out about the lock and its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The lock's state.
    pub state: State,
    /// The kind of its holder.
    pub peer: Peer,
    /// The holder's process id in its own PID namespace; 0: unknown.
    pub pid: i32,
    /// The time since the lock's last sign of life (its mtime).
    pub age: Duration,
    /// How far in the future the last sign of life is dated.
    pub(crate) ahead: Duration,
    /// For how long it has been held; `None`: unknown.
    pub held: Option<Duration>,
    /// The holder's nonce; empty: unknown.
    pub nonce: String,
    /// The holder's host name; empty: unknown.
    pub host: String,
    /// Whether this handle works without hard links here: the file system has none.
    pub without_link: bool,
    /// Whether this handle works without `flock` here: the file system has none that reaches everybody, and a holder's
    /// death is judged by PID and age.
    pub without_flock: bool,
}

impl Holder {
    pub(crate) fn none() -> Holder {
        Holder {
            state: State::Free,
            peer: Peer::None,
            pid: 0,
            age: Duration::ZERO,
            ahead: Duration::ZERO,
            held: None,
            nonce: String::new(),
            host: String::new(),
            without_link: false,
            without_flock: false,
        }
    }

    fn of(stamp: Stamp, meta: &Meta) -> Holder {
        let (pid, nonce) = stamp.holder();
        let (pid, nonce) = (pid, nonce.to_owned());
        let age = wall_age(meta);
        let (peer, host, since_ms) = match stamp {
            Stamp::Library(stamp) => (Peer::Library, stamp.host, stamp.since_ms),
            Stamp::Shipped { .. } => (Peer::Shipped, String::new(), 0),
            Stamp::Cut { .. } | Stamp::Foreign => (Peer::Unknown, String::new(), 0),
        };
        let since_ms = if since_ms > 0 { since_ms } else { meta.modified_ms };
        let ahead_ms = meta.modified_ms.saturating_sub(sys::realtime_ms()).max(0);
        let held_ms = sys::realtime_ms().saturating_sub(since_ms).max(0);
        Holder {
            peer,
            pid,
            age,
            ahead: Duration::from_millis(ahead_ms.unsigned_abs()),
            held: (peer == Peer::Library).then(|| Duration::from_millis(held_ms.unsigned_abs()).max(age)),
            nonce,
            host,
            ..Holder::none()
        }
    }
}

/// Looks at the lock in `dir`. `mine` is the inode that the calling handle holds.
pub(crate) fn inspect(dir: &Dir, options: &Options, mine: Option<FileId>) -> Result<Holder> {
    let Some((file, id)) = dir.open_lock()? else {
        return Ok(Holder::none());
    };
    match inspect_open(dir, options, &file) {
        Ok(holder) if mine == Some(id) => Ok(Holder {
            state: State::Mine,
            ..holder
        }),
        Ok(holder) => Ok(holder),
        Err(errno) if is_gone(errno) => Ok(Holder::none()),
        Err(errno) => Err(Error::os(errno, Name(&dir.lock))),
    }
}

fn inspect_open(dir: &Dir, options: &Options, file: &Fd) -> sys::Result<Holder> {
    // Shared, and only for a moment, so that two processes that look do not take each other for a holder. A contender that
    // meets us looks again.
    let flock = match sys::flock_shared(file) {
        Ok(true) => Flock::Free,
        Ok(false) => Flock::Busy,
        Err(errno) if dir.means_no_flock(errno) || errno == Errno::BADF => Flock::None,
        Err(errno) => return Err(errno),
    };
    let stamp = Stamp::parse(&read_stamp(file)?);
    let meta = sys::fstat(file)?;
    let (verdict, _) = verdict(&stamp, &meta, file, flock, wall_age(&meta), dir, options);
    let state = match verdict {
        Verdict::Dead => State::Abandoned,
        Verdict::Alive | Verdict::CannotTell(_) | Verdict::AskLease => State::Held,
    };
    Ok(Holder {
        state,
        ..Holder::of(stamp, &meta)
    })
}

impl Participant {
    /// For messages: "held by pid 4711 (shipped peer) for 6.2 s". If the look fails, the text says that instead.
    pub(crate) fn describe_holder(&self) -> String {
        let mine = self.holding.hold().map(|hold| hold.id);
        let holder = match inspect(&self.dir, &self.options, mine) {
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
        let dead = match holder.state {
            State::Abandoned => ", which is dead,",
            State::Free | State::Held | State::Mine => "",
        };
        // By more than clocks usually differ.
        if holder.ahead > Duration::from_secs(5) {
            return format!("{who}{dead} dated {} in the future", Seconds(holder.ahead));
        }
        let held = holder.held.unwrap_or(holder.age);
        // If the holder renews its sign of life, both times say something.
        let sign = match held.saturating_sub(holder.age) > Duration::from_secs(1) {
            true => format!(" (last sign of life {} ago)", Seconds(holder.age)),
            false => String::new(),
        };
        format!("{who}{dead} for {}{sign}", Seconds(held))
    }
}

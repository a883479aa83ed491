//! A shipped peer, one system call a step: `journal.js` of @optave/codegraph 3.11.2.

use super::lock::{Content, LIBS, Lock, NO_PID, NONE, Pid, SHIPS, Ship, State, name, ship_pid};
use super::search::Step;

/// The system call that comes next.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum At {
    Create,
    Stamp,
    Open,
    Read,
    Ask,
    Stat,
    WriteTmp,
    Rename,
    OpenBack,
    ReadBack,
    Reopen,
    Hold,
    OpenOwn,
    ReadOwn,
    Unlink,
    Done,
    Dead,
    /// Starts when the other shipped peer is dead.
    Unborn,
}

pub const ALL: [At; 18] = [
    At::Create,
    At::Stamp,
    At::Open,
    At::Read,
    At::Ask,
    At::Stat,
    At::WriteTmp,
    At::Rename,
    At::OpenBack,
    At::ReadBack,
    At::Reopen,
    At::Hold,
    At::OpenOwn,
    At::ReadOwn,
    At::Unlink,
    At::Done,
    At::Dead,
    At::Unborn,
];

pub const DEAD: Ship = Ship {
    at: At::Dead,
    left: 0,
    fd: NONE,
    late: false,
};

impl At {
    /// Has opened the lock, and may still rename over it or unlink it because of what it read.
    pub fn decides(self) -> bool {
        self.releases() || self.asks() || matches!(self, At::Stat | At::WriteTmp | At::Rename)
    }

    /// Has a lock open for writing, which is its own.
    pub fn writes(self) -> bool {
        matches!(self, At::Stamp | At::Hold)
    }

    /// Has renamed its lock into place, and not opened it for writing yet.
    pub fn reopens(self) -> bool {
        matches!(self, At::OpenBack | At::ReadBack | At::Reopen)
    }

    /// Has opened its own lock in order to unlink it.
    pub fn releases(self) -> bool {
        matches!(self, At::ReadOwn | At::Unlink)
    }

    /// Has opened the lock, and not asked yet whether its holder is alive.
    pub fn asks(self) -> bool {
        matches!(self, At::Read | At::Ask)
    }
}

pub fn steps(config: &Lock, state: &State, ship: usize, emit: &mut impl FnMut(Step<State>)) {
    end(state, ship, emit);
    go(config, state, ship, emit);
}

/// The process ends: after its work, or in the middle of it.
pub fn end(state: &State, ship: usize, emit: &mut impl FnMut(Step<State>)) {
    let at = state.ships[ship].at;
    if at != At::Done && (matches!(at, At::Dead | At::Unborn) || state.crashes == 0) {
        return;
    }
    let mut next = *state;
    next.ships[ship] = DEAD;
    next.decided(ship);
    next.crashes -= u8::from(at != At::Done);
    let what = if at == At::Done { "its process ends" } else { "CRASHES" };
    emit(Step {
        by: name(ship_pid(ship)),
        what,
        next,
        fault: None,
    });
}

/// Its next system call.
pub fn go(config: &Lock, state: &State, ship: usize, emit: &mut impl FnMut(Step<State>)) {
    let at = state.ships[ship].at;
    if matches!(at, At::Done | At::Dead) || at == At::Unborn && state.alive(ship_pid(1 - ship)) {
        return;
    }
    let mut next = *state;
    let what = take(config, &mut next, ship);
    if at.decides() && !next.ships[ship].at.decides() {
        next.decided(ship);
    }
    emit(Step {
        by: name(ship_pid(ship)),
        what,
        next,
        fault: None,
    });
}

fn take(config: &Lock, state: &mut State, ship: usize) -> &'static str {
    match state.ships[ship].at {
        At::Unborn => {
            state.ships[ship].at = At::Create;
            "starts"
        }
        At::Create | At::Stamp => create(state, ship),
        At::Open | At::Read | At::Ask | At::Stat => judge(config, state, ship),
        At::WriteTmp | At::Rename | At::OpenBack | At::ReadBack | At::Reopen => steal(config, state, ship),
        _ => release(state, ship),
    }
}

fn create(state: &mut State, ship: usize) -> &'static str {
    let pid = ship_pid(ship);
    let peer = &mut state.ships[ship];
    if peer.at == At::Stamp {
        peer.at = At::Hold;
        let fd = peer.fd; // stays open while it holds
        renonce(state, ship);
        let inode = state.inode_mut(fd);
        inode.content = Content::Stamp(pid);
        inode.aged = false;
        return "write(lock, stamp): holds";
    }
    if state.lock != NONE {
        peer.at = At::Open;
        return "open(lock, O_CREAT|O_EXCL) = EEXIST";
    }
    let file = state.create(Content::Empty(pid), NO_PID);
    state.lock = file;
    state.ships[ship].fd = file;
    state.ships[ship].at = At::Stamp;
    "open(lock, O_CREAT|O_EXCL)"
}

/// What it stamped before has another nonce than what it stamps now.
fn renonce(state: &mut State, ship: usize) {
    for inode in &mut state.inodes {
        if inode.content == Content::Stamp(ship_pid(ship)) {
            inode.content = Content::Old(ship_pid(ship));
        }
    }
}

fn judge(config: &Lock, state: &mut State, ship: usize) -> &'static str {
    let peer = state.ships[ship];
    let (at, fd, what) = match peer.at {
        At::Open if state.lock == NONE => (At::Stat, NONE, "open(lock) = ENOENT"),
        At::Open => (At::Read, state.lock, "open(lock)"),
        At::Read => match state.inode(peer.fd).content {
            Content::Empty(_) => (At::WriteTmp, NONE, "read(lock): empty, PID 0: stale"),
            _ => (At::Ask, peer.fd, "read(lock): a PID"),
        },
        At::Ask if names_the_living(config, state, state.inode(peer.fd).content) => {
            (At::Stat, NONE, "kill(PID, 0) = 0")
        }
        At::Ask => (At::WriteTmp, NONE, "kill(PID, 0) = ESRCH: stale"),
        _ if state.lock != NONE && state.inode(state.lock).aged => {
            (At::WriteTmp, NONE, "stat(lock): older than 30 s: stale")
        }
        _ => (At::Create, NONE, "stat(lock): not stale; retries"),
    };
    state.ships[ship] = Ship { at, fd, ..peer };
    what
}

fn names_the_living(config: &Lock, state: &State, content: Content) -> bool {
    let is_seen = |pid: Pid| !config.blind || pid as usize >= LIBS;
    match content {
        Content::Stamp(pid) | Content::Old(pid) => state.alive(pid) && is_seen(pid),
        Content::Free | Content::Empty(_) | Content::Alien => false,
    }
}

fn steal(config: &Lock, state: &mut State, ship: usize) -> &'static str {
    let pid = ship_pid(ship);
    let peer = state.ships[ship];
    let (at, fd, what) = match peer.at {
        At::WriteTmp => {
            renonce(state, ship);
            (
                At::Rename,
                state.create(Content::Stamp(pid), NO_PID),
                "write(tmp, stamp)",
            )
        }
        At::Rename => {
            rob(config, state);
            state.lock = peer.fd;
            (At::OpenBack, NONE, "rename(tmp, lock)")
        }
        At::OpenBack if state.lock == NONE => (At::Create, NONE, "open(lock) = ENOENT; retries"),
        At::OpenBack => (At::ReadBack, state.lock, "open(lock)"),
        At::ReadBack if state.inode(peer.fd).content == Content::Stamp(pid) => {
            (At::Reopen, NONE, "read(lock): its own nonce")
        }
        At::ReadBack => (At::Create, NONE, "read(lock): another's nonce; retries"),
        _ if state.lock != NONE => (At::Hold, state.lock, "open(lock, r+): holds"),
        _ => (At::Create, NONE, "open(lock, r+) = ENOENT; retries"),
    };
    state.ships[ship] = Ship { at, fd, ..peer };
    what
}

/// The holder of the lock that it renames over is robbed: after 30 s without a sign of life, or, if the shipped peer
/// cannot see its PID, at any time after its claim. Any other theft breaks a promise.
fn rob(config: &Lock, state: &mut State) {
    let lock = state.lock;
    let flock = if lock == NONE { NO_PID } else { state.inode(lock).flock };
    for (pid, lib) in state.libs.iter_mut().enumerate() {
        let claims = config.blind && flock == pid as Pid;
        lib.robbed |= lib.own() == lock && (lib.late && lib.at == super::library::At::Hold || claims);
    }
}

fn release(state: &mut State, ship: usize) -> &'static str {
    let peer = state.ships[ship];
    let (at, fd, what) = match peer.at {
        At::Hold => (At::OpenOwn, NONE, "close(lock)"),
        At::OpenOwn if state.lock == NONE => (At::Done, NONE, "open(lock) = ENOENT"),
        At::OpenOwn => (At::ReadOwn, state.lock, "open(lock)"),
        At::ReadOwn if state.inode(peer.fd).content == Content::Stamp(ship_pid(ship)) => {
            (At::Unlink, NONE, "read(lock): its own nonce")
        }
        At::ReadOwn => (At::Done, NONE, "read(lock): another's nonce"),
        _ => {
            state.lock = NONE;
            (At::Done, NONE, "unlink(lock)")
        }
    };
    state.ships[ship] = Ship { at, fd, ..peer };
    if at == At::Done {
        let left = peer.left - 1;
        let at = if left == 0 { At::Done } else { At::Create };
        state.ships[ship] = Ship {
            at,
            left,
            fd,
            late: false,
        };
    }
    what
}

const _: () = assert!(SHIPS == 2);

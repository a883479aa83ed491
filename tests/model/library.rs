//! A library peer, one system call a step; and a mended one (`docs/codegraph-lock.js`), which does the same but for this: its
//! own file has no `flock`, so that it is judged by its PID; a corpse's `flock` it has only where there is a flock(1).

use super::lock::{Claim, Content, Inode, Lib, Lock, NO_PID, NONE, Pid, REMOVED, SHIPS, State, UNTOLD};
use super::search::Step;

/// The system call that comes next.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum At {
    Link,
    Stamp,
    Open,
    Flock,
    Recheck,
    Judge,
    Ask,
    Write,
    Settle,
    WriteEmpty,
    SettleEmpty,
    CheckStamp,
    CheckEmpty,
    Replace,
    Exchange,
    Look,
    Back,
    SettleExchange,
    Drop,
    Rename,
    Hold,
    SettleRelease,
    Unlink,
    Close,
    Done,
    Dead,
}

pub const ALL: [At; 26] = [
    At::Link,
    At::Stamp,
    At::Open,
    At::Flock,
    At::Recheck,
    At::Judge,
    At::Ask,
    At::Write,
    At::Settle,
    At::WriteEmpty,
    At::SettleEmpty,
    At::CheckStamp,
    At::CheckEmpty,
    At::Replace,
    At::Exchange,
    At::Look,
    At::Back,
    At::SettleExchange,
    At::Drop,
    At::Rename,
    At::Hold,
    At::SettleRelease,
    At::Unlink,
    At::Close,
    At::Done,
    At::Dead,
];

pub const DEAD: Lib = Lib {
    at: At::Dead,
    left: 0,
    park: NONE,
    nameless: false,
    fd: NONE,
    out: NONE,
    waits: 0,
    mended: false,
    late: false,
};

impl At {
    /// Has read a corpse and not yet written to it, nor thought better of it.
    pub fn claims(self) -> bool {
        matches!(self, At::Ask | At::Write | At::WriteEmpty | At::Rename)
    }
}

impl Lib {
    /// The inode that is its lock while it holds.
    pub fn own(&self) -> u8 {
        if self.fd == NONE { self.park } else { self.fd }
    }

    /// Holds, and has not been stopped for so long that it may have been robbed.
    pub fn holds(&self, state: &State) -> bool {
        self.at == At::Hold && !self.late && !state.inode(self.own()).aged
    }
}

/// Everything the kernel closes when a process ends. Its files stay.
pub fn die(state: &mut State, peer: usize) {
    for inode in &mut state.inodes {
        if inode.flock == peer as Pid {
            inode.flock = NO_PID;
        }
    }
    state.libs[peer] = Lib {
        out: state.libs[peer].out,
        mended: state.libs[peer].mended,
        ..DEAD
    };
}

/// Lets go of the file it opened as a contender (or claimed).
fn close(state: &mut State, peer: usize) {
    let fd = std::mem::replace(&mut state.libs[peer].fd, NONE);
    if fd != NONE && fd != state.libs[peer].park && state.inode(fd).flock == peer as Pid {
        state.inode_mut(fd).flock = NO_PID;
    }
}

/// Has a parked file with a name of its own again. The file is private until it is linked, so making
/// it is no step of its own.
fn park(state: &mut State, peer: usize, config: &Lock) {
    let pid = peer as Pid;
    let lib = state.libs[peer];
    if lib.mended {
        if lib.nameless {
            state.libs[peer].park = state.create(Content::Stamp(pid), NO_PID);
            state.libs[peer].nameless = false;
        }
        return;
    }
    if lib.nameless || !config.parked {
        if lib.park != NONE && state.inode(lib.park).flock == pid {
            state.inode_mut(lib.park).flock = NO_PID;
        }
        let park = if config.parked {
            state.create(Content::Stamp(pid), pid)
        } else {
            NONE
        };
        state.libs[peer].park = park;
        state.libs[peer].nameless = false;
    }
}

/// Starts over, as after any wait.
fn again(state: &mut State, peer: usize, config: &Lock) {
    close(state, peer);
    park(state, peer, config);
    state.libs[peer].at = At::Link;
}

/// Done with one acquisition.
fn finish(state: &mut State, peer: usize, config: &Lock) {
    again(state, peer, config);
    let lib = &mut state.libs[peer];
    lib.late = false;
    lib.left -= 1;
    if lib.left == 0 {
        lib.at = At::Done;
    }
}

pub fn steps(config: &Lock, state: &State, peer: usize, emit: &mut impl FnMut(Step<State>)) {
    end(config, state, peer, emit);
    go(config, state, peer, emit);
}

/// The process ends: after its work, or in the middle of it.
pub fn end(config: &Lock, state: &State, peer: usize, emit: &mut impl FnMut(Step<State>)) {
    let at = state.libs[peer].at;
    let allowed = at == At::Done || at != At::Dead && state.crashes > 0;
    if !allowed || !config.hole && state.asked_after(peer as Pid) {
        return;
    }
    let mut next = *state;
    die(&mut next, peer);
    next.claimed(peer);
    next.crashes -= u8::from(at != At::Done);
    let what = if at == At::Done { "its process ends" } else { "CRASHES" };
    emit(Step {
        by: state.name(peer as Pid),
        what,
        next,
        fault: None,
    });
}

/// Its next system call.
pub fn go(config: &Lock, state: &State, peer: usize, emit: &mut impl FnMut(Step<State>)) {
    let lib = &state.libs[peer];
    let settles = matches!(
        lib.at,
        At::Settle | At::SettleEmpty | At::SettleExchange | At::SettleRelease
    );
    if matches!(lib.at, At::Done | At::Dead) || settles && lib.waits != 0 {
        return;
    }
    let mut next = *state;
    let (what, fault) = take(config, &mut next, peer);
    if lib.at.claims() && !next.libs[peer].at.claims() {
        next.claimed(peer);
    }
    emit(Step {
        by: state.name(peer as Pid),
        what,
        next,
        fault,
    });
}

/// Takes the peer's next step in `state`; says what it was, and whether it must never happen.
fn take(config: &Lock, state: &mut State, peer: usize) -> (&'static str, Option<&'static str>) {
    let lib = state.libs[peer];
    let mut fault = None;
    let what = match lib.at {
        At::Link => link(config, state, peer),
        At::Stamp => {
            state.inode_mut(lib.park).content = Content::Stamp(peer as Pid);
            state.libs[peer].at = At::Hold;
            "write(lock, stamp): holds"
        }
        At::Open | At::Flock | At::Recheck => contend(config, state, peer),
        At::Judge | At::Ask => judge(config, state, peer),
        At::Write | At::Settle | At::CheckStamp | At::WriteEmpty | At::SettleEmpty | At::CheckEmpty | At::Replace => {
            claim_in_place(config, state, peer)
        }
        At::Exchange | At::Look | At::Back | At::SettleExchange | At::Drop | At::Rename => {
            claim_by_exchange(config, state, peer)
        }
        At::Hold | At::SettleRelease => release(config, state, peer, &mut fault),
        At::Unlink => unlink(config, state, peer, &mut fault),
        At::Close => {
            finish(state, peer, config);
            "close(the claimed lock)"
        }
        At::Done | At::Dead => unreachable!("takes no step"),
    };
    (what, fault)
}

fn link(config: &Lock, state: &mut State, peer: usize) -> &'static str {
    let lib = &mut state.libs[peer];
    match state.lock {
        NONE if config.parked || lib.mended => {
            lib.at = At::Hold;
            lib.nameless = lib.mended; // its private name goes at once
            state.lock = lib.park;
            let park = lib.park;
            state.inode_mut(park).aged = false;
            "linkat(parked, lock) = 0: holds"
        }
        NONE => {
            let file = state.create(Content::Empty(peer as Pid), peer as Pid);
            state.lock = file;
            state.libs[peer].park = file;
            state.libs[peer].at = At::Stamp;
            "open(lock, O_CREAT|O_EXCL) and flock"
        }
        // Whatever linkat answers, the path decides: only this peer can have put it there.
        file if file == lib.park => {
            lib.at = At::Hold;
            "linkat(parked, lock) = EEXIST, yet the lock is its own parked file: holds"
        }
        _ => {
            lib.at = At::Open;
            "linkat(parked, lock) = EEXIST"
        }
    }
}

fn contend(config: &Lock, state: &mut State, peer: usize) -> &'static str {
    let lib = state.libs[peer];
    // A mended peer looks too, but only to save itself a settle.
    let judge = if config.recheck && !lib.mended {
        At::Recheck
    } else {
        At::Judge
    };
    let flock = if lib.mended { config.flock_command } else { config.flock };
    match lib.at {
        At::Open if state.lock == NONE => {
            state.libs[peer].at = At::Link;
            "open(lock) = ENOENT"
        }
        At::Open => {
            state.libs[peer].fd = state.lock;
            state.libs[peer].at = if flock { At::Flock } else { judge };
            "open(lock)"
        }
        At::Flock if state.inode(lib.fd).flock == NO_PID => {
            state.inode_mut(lib.fd).flock = peer as Pid;
            state.libs[peer].at = judge;
            "flock(LOCK_EX|LOCK_NB) = 0"
        }
        At::Flock => {
            again(state, peer, config);
            "flock(LOCK_EX|LOCK_NB) = EWOULDBLOCK: waits"
        }
        _ if state.lock == lib.fd => {
            state.libs[peer].at = At::Judge;
            "fstatat(lock): the file it opened"
        }
        _ => {
            again(state, peer, config);
            "fstatat(lock): not the file it opened; starts over"
        }
    }
}

fn judge(config: &Lock, state: &mut State, peer: usize) -> &'static str {
    let lib = state.libs[peer];
    let inode = state.inode(lib.fd);
    let claim = match if lib.mended { config.mended_claim } else { config.claim } {
        Claim::InPlace => At::Write,
        Claim::Exchange => At::Exchange,
        Claim::Rename => At::Rename,
    };
    match (lib.at, inode.content) {
        (At::Judge, Content::Alien) => {
            state.libs[peer].at = claim;
            "pread(lock): the stamp of a process long gone: a corpse"
        }
        (At::Judge, Content::Empty(pid)) if !state.alive(pid) || inode.aged => {
            state.libs[peer].at = match config.claim {
                _ if lib.mended => claim,
                Claim::InPlace if config.parked && config.empties_in_place => At::WriteEmpty,
                Claim::InPlace if config.parked => At::Exchange,
                _ => claim,
            };
            "pread(lock): empty, and for longer than 5 s: a corpse"
        }
        (At::Judge, Content::Empty(_)) => {
            again(state, peer, config);
            "pread(lock): empty, being stamped: waits"
        }
        (At::Judge, Content::Stamp(pid)) if config.flock && !lib.mended && is_library(state, pid) => {
            state.libs[peer].at = claim;
            "pread(lock): a library stamp and its flock was free: a corpse"
        }
        (At::Judge, _) => {
            state.libs[peer].at = At::Ask;
            "pread(lock): a stamp"
        }
        (_, Content::Stamp(pid) | Content::Old(pid)) if state.alive(pid) && !inode.aged => {
            again(state, peer, config);
            "kill(holder, 0) = 0: waits"
        }
        // With the flock its file would be a living library peer's no more.
        (_, Content::Stamp(pid))
            if lib.mended && !config.flock_command && state.alive(pid) && is_library(state, pid) =>
        {
            again(state, peer, config);
            "kill(holder, 0) = 0, and a library stamp: waits, however old it is"
        }
        _ => {
            state.libs[peer].at = claim;
            "kill(holder, 0) = ESRCH, or older than 30 s: a corpse"
        }
    }
}

fn is_library(state: &State, pid: Pid) -> bool {
    state.libs.get(pid as usize).is_some_and(|lib| !lib.mended)
}

fn claim_in_place(config: &Lock, state: &mut State, peer: usize) -> &'static str {
    let lib = state.libs[peer];
    let stamp = Content::Stamp(peer as Pid);
    match lib.at {
        At::Write | At::WriteEmpty => {
            // What ftruncate then cuts off lies behind a whole stamp: nobody's answer depends on it.
            let inode = state.inode_mut(lib.fd);
            *inode = Inode {
                content: stamp,
                aged: false,
                ..*inode
            };
            settle(config, state, peer);
            state.libs[peer].at = if lib.at == At::Write {
                At::Settle
            } else {
                At::SettleEmpty
            };
            "pwrite(lock, stamp): claims it in place"
        }
        At::Replace => {
            state.lock = lib.park;
            state.libs[peer].nameless = true;
            state.libs[peer].at = At::SettleExchange;
            settle(config, state, peer);
            "rename(parked, lock): out of reach of whoever made the empty file"
        }
        At::Settle | At::SettleEmpty if state.lock == lib.fd => {
            state.libs[peer].at = if lib.at == At::Settle {
                At::CheckStamp
            } else {
                At::CheckEmpty
            };
            "has settled; fstatat(lock): the file it claimed"
        }
        At::Settle | At::SettleEmpty => {
            again(state, peer, config);
            "has settled; fstatat(lock): not the file it claimed; starts over"
        }
        _ if state.inode(lib.fd).content != stamp => {
            again(state, peer, config);
            "pread(lock): not its own stamp; starts over"
        }
        At::CheckStamp => {
            state.libs[peer].at = At::Hold;
            "pread(lock): its own stamp: holds"
        }
        _ => {
            state.libs[peer].at = At::Replace;
            "pread(lock): its own stamp"
        }
    }
}

fn settle(config: &Lock, state: &mut State, peer: usize) {
    state.libs[peer].waits = if config.settle {
        state.deciding(config.settle_covers_release)
    } else {
        0
    };
    if config.mended > 0 && config.timely {
        state.libs[peer].waits |= state.claiming() & !(1 << (SHIPS + peer));
    }
}

fn claim_by_exchange(config: &Lock, state: &mut State, peer: usize) -> &'static str {
    let lib = state.libs[peer];
    match lib.at {
        At::Exchange | At::Rename if state.lock == NONE => {
            again(state, peer, config);
            "renameat2(parked, lock, RENAME_EXCHANGE) = ENOENT; starts over"
        }
        At::Exchange => {
            state.libs[peer].out = state.lock;
            state.libs[peer].nameless = true;
            state.libs[peer].at = At::Look;
            state.lock = lib.park;
            settle(config, state, peer);
            // The settle runs from here, but a look at what came out need not wait for it.
            "renameat2(parked, lock, RENAME_EXCHANGE)"
        }
        At::Rename => {
            state.libs[peer].nameless = true;
            state.libs[peer].at = At::SettleExchange;
            state.lock = lib.park;
            settle(config, state, peer);
            "rename(parked, lock)"
        }
        At::Look if lib.out == lib.fd => {
            state.libs[peer].at = At::SettleExchange;
            "fstatat(parked): the corpse came out"
        }
        At::Look => {
            state.libs[peer].at = At::Back;
            "fstatat(parked): not the corpse!"
        }
        At::Back => back(config, state, peer),
        At::SettleExchange if state.lock == lib.park && lib.out == NONE => {
            close(state, peer);
            state.libs[peer].at = At::Hold;
            "has settled; fstatat(lock): still its own: holds"
        }
        At::SettleExchange if state.lock == lib.park => {
            state.libs[peer].at = At::Drop;
            "has settled; fstatat(lock): still its own"
        }
        At::SettleExchange => {
            state.libs[peer].out = NONE;
            again(state, peer, config);
            "has settled; fstatat(lock): no longer its own; starts over"
        }
        _ => {
            state.libs[peer].out = NONE;
            close(state, peer);
            state.libs[peer].at = At::Hold;
            "unlinkat(the corpse): holds"
        }
    }
}

fn back(config: &Lock, state: &mut State, peer: usize) -> &'static str {
    let came = std::mem::replace(&mut state.libs[peer].out, NONE);
    let went = std::mem::replace(&mut state.lock, came);
    let lib = &mut state.libs[peer];
    let what = if went == lib.park {
        lib.nameless = false;
        "renameat2(RENAME_EXCHANGE) back; starts over"
    } else if went == NONE {
        "renameat2(RENAME_NOREPLACE) back; starts over"
    } else {
        "renameat2(RENAME_EXCHANGE) back, and another file came out"
    };
    again(state, peer, config);
    what
}

fn release(config: &Lock, state: &mut State, peer: usize, fault: &mut Option<&'static str>) -> &'static str {
    let own = state.libs[peer].own();
    let ours = state.lock == own && (!config.mended_stamp || stamp_is_own(state, peer));
    if state.libs[peer].at == At::Hold && state.inode(own).aged {
        state.inode_mut(own).aged = false;
        settle(config, state, peer);
        state.libs[peer].at = At::SettleRelease;
        return "futimens(its lock), having held it for so long";
    }
    if !config.identity {
        return unlink(config, state, peer, fault);
    }
    if ours && state.held_by_another(peer) {
        *fault = Some(UNTOLD);
    }
    if ours && !config.torn_release {
        unlink(config, state, peer, fault);
        return "fstatat(lock): its own; unlinkat(lock)";
    }
    if ours {
        state.libs[peer].at = At::Unlink;
        return "fstatat(lock): its own";
    }
    ended(config, state, peer);
    "fstatat(lock): not its own: LOST"
}

/// What only a mended peer has to ask, as it may be robbed in its own file.
fn stamp_is_own(state: &State, peer: usize) -> bool {
    let lib = state.libs[peer];
    !lib.mended || state.inode(lib.own()).content == Content::Stamp(peer as Pid)
}

fn unlink(config: &Lock, state: &mut State, peer: usize, fault: &mut Option<&'static str>) -> &'static str {
    // A claim in its own file that has not settled yet is no lock: its maker will miss it, and start over.
    let robbed = !stamp_is_own(state, peer) && state.held_by_another(peer);
    if state.lock != state.libs[peer].own() || robbed {
        *fault = Some(REMOVED);
    }
    state.lock = NONE;
    ended(config, state, peer);
    "unlinkat(lock)"
}

fn ended(config: &Lock, state: &mut State, peer: usize) {
    if state.libs[peer].fd == NONE {
        finish(state, peer, config);
    } else {
        state.libs[peer].at = At::Close;
    }
}

//! A library peer, one system call a step; and a fixed one (`docs/codegraph-lock.js`), which differs in two ways: its
//! own file has no `flock`, so it is judged by its PID, and it can take a corpse's `flock` only where there is a
//! flock(1).

use super::lock::{
    Claim, Content, File, GivesUp, Inode, LIBS, Lateness, Lease, Lib, Lock, NO_PID, NONE, Pid, REMOVED, SHIPS, STALE,
    State, UNTOLD,
};
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
    Lease,
    Ask,
    Confirm,
    JudgeAgain,
    LeaseAgain,
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
    Touch,
    SettleLate,
    Hold,
    SettleRelease,
    Unlink,
    Close,
    Done,
    Dead,
}

pub const ALL: [At; 32] = [
    At::Link,
    At::Stamp,
    At::Open,
    At::Flock,
    At::Recheck,
    At::Judge,
    At::Lease,
    At::Ask,
    At::Confirm,
    At::JudgeAgain,
    At::LeaseAgain,
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
    At::Touch,
    At::SettleLate,
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
    fixed: false,
    late: false,
    robbed: false,
};

impl At {
    /// Has read a corpse, and has neither written to it yet nor changed its mind.
    pub fn claims(self) -> bool {
        matches!(
            self,
            At::Lease | At::Ask | At::LeaseAgain | At::Write | At::WriteEmpty | At::Rename
        )
    }

    /// Sleeps until others have done what they were about to do.
    fn settles(self) -> bool {
        matches!(
            self,
            At::Confirm | At::Settle | At::SettleEmpty | At::SettleExchange | At::SettleLate | At::SettleRelease
        )
    }
}

impl Lib {
    /// The inode that is its lock while it holds.
    pub fn own(&self) -> u8 {
        if self.fd == NONE { self.park } else { self.fd }
    }

    /// Holds, and has not been robbed for giving no sign of life.
    pub fn holds(&self) -> bool {
        self.at == At::Hold && !self.robbed
    }
}

/// Closes everything that the kernel closes when a process ends. Its files stay.
pub fn die(state: &mut State, peer: usize) {
    for inode in &mut state.inodes {
        if inode.flock == peer as Pid {
            inode.flock = NO_PID;
        }
    }
    state.libs[peer] = Lib {
        out: state.libs[peer].out,
        fixed: state.libs[peer].fixed,
        ..DEAD
    };
}

/// Closes the file that it opened as a contender (or claimed).
fn close(state: &mut State, peer: usize) {
    let fd = std::mem::replace(&mut state.libs[peer].fd, NONE);
    if fd != NONE && fd != state.libs[peer].park && state.inode(fd).flock == peer as Pid {
        state.inode_mut(fd).flock = NO_PID;
    }
}

/// Makes sure that it has a parked file under its own name. The file is private until it is linked, so making it is
/// not a step of its own.
fn park(state: &mut State, peer: usize, config: &Lock) {
    let pid = peer as Pid;
    let lib = state.libs[peer];
    if lib.fixed {
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
    state.libs[peer].robbed = false;
    state.libs[peer].at = At::Link;
}

/// Ends one acquisition.
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

/// Takes its next system call, or another one if time decides so.
pub fn go(config: &Lock, state: &State, peer: usize, emit: &mut impl FnMut(Step<State>)) {
    let lib = &state.libs[peer];
    if matches!(lib.at, At::Done | At::Dead) || lib.at.settles() && lib.waits != 0 {
        return;
    }
    let mut emit = |mut next: State, what, fault: Option<&'static str>| {
        let now = next.libs[peer];
        if lib.at.claims() && !now.at.claims() {
            next.claimed(peer);
        }
        let begins = lib.at != At::Hold && now.at == At::Hold;
        let stale = begins && !now.fixed && next.inode(now.own()).aged;
        emit(Step {
            by: state.name(peer as Pid),
            what,
            next,
            fault: fault.or(stale.then_some(STALE)),
        });
    };
    let mut next = *state;
    let (what, fault) = take(config, &mut next, peer);
    emit(next, what, fault);
    let mut other = *state;
    match lib.at {
        // Before the link, unless it was stopped between the two.
        At::Link if lib.park != NONE && !lib.fixed && state.inode(lib.park).aged => {
            other.inode_mut(lib.park).aged = false;
            emit(other, "futimens(parked)", None);
        }
        At::Touch => {
            let unlinks = config.gives_up == GivesUp::Unlinks && state.lock == lib.own();
            if unlinks {
                other.lock = NONE;
            }
            leave(config, &mut other, peer);
            let what = match unlinks {
                true => "its time is over: unlinkat(lock)",
                false => "its time is over: lets the flock go, and leaves a corpse",
            };
            emit(other, what, None);
        }
        _ => {}
    }
}

/// Gives up the file that is its lock, whatever has the lock's name by now, and starts over.
fn leave(config: &Lock, state: &mut State, peer: usize) {
    let lib = &mut state.libs[peer];
    lib.nameless |= lib.own() == lib.park;
    again(state, peer, config);
}

/// It holds the lock, unless it was stopped for so long that a shipped peer may have judged it by its age.
fn begin(config: &Lock, state: &mut State, peer: usize) {
    let late = state.inode(state.libs[peer].own()).aged;
    let asks = config.lateness == Lateness::Last;
    state.libs[peer].at = if late && asks { At::Touch } else { At::Hold };
}

/// Takes the peer's next step in `state`; returns what it was, and the fault if it must never happen.
fn take(config: &Lock, state: &mut State, peer: usize) -> (&'static str, Option<&'static str>) {
    let lib = state.libs[peer];
    let mut fault = None;
    let what = match lib.at {
        At::Link => link(config, state, peer),
        At::Stamp => {
            let inode = state.inode_mut(lib.park);
            inode.content = Content::Stamp(peer as Pid);
            inode.aged = false;
            state.libs[peer].at = At::Hold;
            "write(lock, stamp): holds"
        }
        At::Open | At::Flock | At::Recheck => contend(config, state, peer),
        At::Judge => judge(config, state, peer),
        At::Lease | At::Ask | At::Confirm | At::JudgeAgain | At::LeaseAgain => weigh(config, state, peer),
        At::Write | At::Settle | At::CheckStamp | At::WriteEmpty | At::SettleEmpty | At::CheckEmpty | At::Replace => {
            claim_in_place(config, state, peer)
        }
        At::Exchange | At::Look | At::Back | At::SettleExchange | At::Drop | At::Rename => {
            claim_by_exchange(config, state, peer)
        }
        At::Touch | At::SettleLate => settle_late(config, state, peer),
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
        NONE if lib.fixed => {
            lib.at = At::Hold;
            lib.nameless = true; // its private name is removed at once
            state.lock = lib.park;
            let park = lib.park;
            state.inode_mut(park).aged = false;
            "linkat(parked, lock) = 0: holds"
        }
        NONE if config.parked => {
            state.lock = lib.park;
            begin_linked(config, state, peer);
            "linkat(parked, lock) = 0"
        }
        NONE => {
            let file = state.create(Content::Empty(peer as Pid), peer as Pid);
            state.lock = file;
            state.libs[peer].park = file;
            state.libs[peer].at = At::Stamp;
            "open(lock, O_CREAT|O_EXCL) and flock"
        }
        // Whatever linkat returns, the path decides: only this peer can have put the file there.
        file if file == lib.park => {
            begin_linked(config, state, peer);
            "linkat(parked, lock) = EEXIST, yet the lock is its own parked file"
        }
        _ => {
            lib.at = At::Open;
            "linkat(parked, lock) = EEXIST"
        }
    }
}

/// A link needs no settle, but a peer that checks before its last look checks here as well.
fn begin_linked(config: &Lock, state: &mut State, peer: usize) {
    let lateness = match config.lateness {
        Lateness::Never => Lateness::Never,
        Lateness::First | Lateness::Last => Lateness::Last,
    };
    begin(&Lock { lateness, ..*config }, state, peer);
}

fn contend(config: &Lock, state: &mut State, peer: usize) -> &'static str {
    let lib = state.libs[peer];
    // A fixed peer looks too, but only to save a settle.
    let judge = if config.recheck && !lib.fixed {
        At::Recheck
    } else {
        At::Judge
    };
    let flock = if lib.fixed { config.flock_command } else { config.flock };
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
    let lease = config.leases() && !lib.fixed;
    match inode.content {
        Content::Alien => {
            claim(config, state, peer);
            "pread(lock): the stamp of a process long gone: a corpse"
        }
        Content::Stamp(pid) if config.flock && !lib.fixed && is_library(state, pid) => {
            claim(config, state, peer);
            "pread(lock): a library stamp and its flock was free: a corpse"
        }
        Content::Empty(_) if lease => {
            state.libs[peer].at = At::Lease;
            "pread(lock): empty"
        }
        Content::Empty(pid) if !state.alive(pid) || inode.aged => {
            claim(config, state, peer);
            "pread(lock): empty, and for longer than 5 s: a corpse"
        }
        Content::Empty(_) => {
            again(state, peer, config);
            "pread(lock): empty, being stamped: waits"
        }
        _ => {
            state.libs[peer].at = if lease && config.lease == Lease::First {
                At::Lease
            } else {
                At::Ask
            };
            "pread(lock): a stamp"
        }
    }
}

/// What can be known about the holder of a lock without a library stamp.
fn weigh(config: &Lock, state: &mut State, peer: usize) -> &'static str {
    let lib = state.libs[peer];
    let inode = state.inode(lib.fd);
    let lease = config.leases() && !lib.fixed;
    match (lib.at, inode.content) {
        (At::Lease | At::LeaseAgain, _) if state.is_open_for_writing(lib.fd) => {
            again(state, peer, config);
            "fcntl(lock, F_SETLEASE, F_RDLCK) = EAGAIN: somebody has it open for writing: waits"
        }
        (At::Lease, content) if config.lease == Lease::First && !matches!(content, Content::Empty(_)) => {
            state.libs[peer].at = At::Ask;
            "fcntl(lock, F_SETLEASE, F_RDLCK) = 0"
        }
        (At::Ask, Content::Stamp(pid) | Content::Old(pid)) if looks_alive(config, state, peer, pid) && !inode.aged => {
            again(state, peer, config);
            "kill(holder, 0) = 0, and younger than 30 s: waits"
        }
        // With the `flock` in hand, it would know that the file is no living library peer's.
        (At::Ask, Content::Stamp(pid))
            if lib.fixed && !config.flock_command && state.alive(pid) && is_library(state, pid) =>
        {
            again(state, peer, config);
            "kill(holder, 0) = 0, and a library stamp: waits, however old it is"
        }
        (At::Ask, _) if lease && config.lease == Lease::Last => {
            state.libs[peer].at = At::Lease;
            "kill(holder, 0) = ESRCH, or older than 30 s"
        }
        (At::Lease | At::Ask, content) if lease && config.confirm && !seems_alive(config, state, peer, content) => {
            state.libs[peer].at = At::Confirm;
            state.libs[peer].waits = state.reopening();
            "nobody has it open, and its PID is gone, or there is none: settles, to judge it once more"
        }
        (At::Confirm, _) if state.lock == lib.fd => {
            state.libs[peer].at = At::JudgeAgain;
            "has settled; fstatat(lock): the file it judged"
        }
        (At::Confirm, _) => {
            again(state, peer, config);
            "has settled; fstatat(lock): not the file it judged; starts over"
        }
        (At::JudgeAgain, content) if seems_alive(config, state, peer, content) => {
            again(state, peer, config);
            "pread(lock): the stamp of somebody alive; starts over"
        }
        (At::JudgeAgain, _) => {
            state.libs[peer].at = At::LeaseAgain;
            "pread(lock): as before"
        }
        (At::LeaseAgain, _) => {
            claim(config, state, peer);
            "fcntl(lock, F_SETLEASE, F_RDLCK) = 0, still: a corpse"
        }
        _ => {
            claim(config, state, peer);
            "the holder is gone, or silent for more than 30 s: a corpse"
        }
    }
}

fn looks_alive(config: &Lock, state: &State, peer: usize, pid: Pid) -> bool {
    let hidden = config.foreign && pid as usize >= LIBS && !state.libs[peer].fixed;
    state.alive(pid) && !hidden
}

fn seems_alive(config: &Lock, state: &State, peer: usize, content: Content) -> bool {
    match content {
        Content::Stamp(pid) | Content::Old(pid) => looks_alive(config, state, peer, pid),
        _ => false,
    }
}

/// Goes on to claim the corpse that it has judged.
fn claim(config: &Lock, state: &mut State, peer: usize) {
    let lib = state.libs[peer];
    let wanted = if lib.fixed { config.fixed_claim } else { config.claim };
    let is_empty = matches!(state.inode(lib.fd).content, Content::Empty(_));
    // Where there are leases, nobody who could still stamp an empty lock has it open.
    let beyond_reach = config.leases() || lib.fixed || !config.parked;
    let at = match wanted {
        Claim::InPlace if is_empty && config.parked && !lib.fixed && !config.empties_in_place => At::Exchange,
        Claim::InPlace if is_empty && !beyond_reach => At::WriteEmpty,
        Claim::InPlace => At::Write,
        Claim::Exchange => At::Exchange,
        Claim::Rename => At::Rename,
    };
    if matches!(at, At::Exchange | At::Rename) {
        freshen(state, lib.park);
    }
    state.libs[peer].at = at;
}

fn freshen(state: &mut State, park: File) {
    if park != NONE {
        state.inode_mut(park).aged = false;
    }
}

fn is_library(state: &State, pid: Pid) -> bool {
    state.libs.get(pid as usize).is_some_and(|lib| !lib.fixed)
}

fn claim_in_place(config: &Lock, state: &mut State, peer: usize) -> &'static str {
    let lib = state.libs[peer];
    let stamp = Content::Stamp(peer as Pid);
    match lib.at {
        At::Write | At::WriteEmpty => {
            // What ftruncate then cuts off comes after a whole stamp, so nobody's decision depends on it.
            let inode = state.inode_mut(lib.fd);
            *inode = Inode {
                content: stamp,
                aged: false,
                note: inode.note && config.carries,
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
        At::Replace if config.moves_in_time && state.inode(lib.fd).aged => {
            again(state, peer, config);
            "was stopped for 30 s: leaves what it claimed, and starts over"
        }
        At::Replace => {
            state.lock = lib.park;
            state.libs[peer].nameless = true;
            state.libs[peer].at = At::SettleExchange;
            settle(config, state, peer);
            "rename(parked, lock): out of reach of the maker of the empty file"
        }
        At::Settle if state.lock == lib.fd && config.lateness == Lateness::First && state.inode(lib.fd).aged => {
            state.libs[peer].at = At::Touch;
            "has settled for too long"
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
            begin(config, state, peer);
            "pread(lock): its own stamp"
        }
        _ => {
            freshen(state, lib.park);
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
    if config.fixed > 0 && config.timely {
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
            begin(config, state, peer);
            "has settled; fstatat(lock): still its own"
        }
        At::SettleExchange if state.lock == lib.park => {
            state.libs[peer].at = At::Drop;
            "has settled; fstatat(lock): still its own, and the corpse is to be removed"
        }
        At::SettleExchange => {
            state.libs[peer].out = NONE;
            again(state, peer, config);
            "has settled; fstatat(lock): no longer its own; starts over"
        }
        _ => {
            state.libs[peer].out = NONE;
            close(state, peer);
            begin(config, state, peer);
            "unlinkat(the corpse)"
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

/// Gives a sign of life, and then waits for peers that judged by its age before that.
fn settle_late(config: &Lock, state: &mut State, peer: usize) -> &'static str {
    let own = state.libs[peer].own();
    match state.libs[peer].at {
        At::Touch => {
            state.inode_mut(own).aged = false;
            settle(config, state, peer);
            state.libs[peer].at = At::SettleLate;
            "futimens(its lock): it was stopped for 30 s; settles again"
        }
        _ if state.lock != own => {
            leave(config, state, peer);
            "has settled; fstatat(lock): no longer its own; starts over"
        }
        _ => {
            begin_linked(config, state, peer);
            "has settled; fstatat(lock): still its own"
        }
    }
}

fn release(config: &Lock, state: &mut State, peer: usize, fault: &mut Option<&'static str>) -> &'static str {
    let own = state.libs[peer].own();
    let ours = state.lock == own && (!config.fixed_stamp || stamp_is_own(state, peer));
    let settles = state.libs[peer].at == At::Hold || config.releases_settle_again;
    if settles && state.inode(own).aged {
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

/// Only a fixed peer has to check this, because it may be robbed within its own file.
fn stamp_is_own(state: &State, peer: usize) -> bool {
    let lib = state.libs[peer];
    !lib.fixed || state.inode(lib.own()).content == Content::Stamp(peer as Pid)
}

fn unlink(config: &Lock, state: &mut State, peer: usize, fault: &mut Option<&'static str>) -> &'static str {
    // A claim in its own file that has not settled yet is no lock: its maker will notice that it is gone, and start
    // over.
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

//! The lock file, the peers around it, and which of the protocol's protections are in force.

use super::search::{Model, Step};
use super::{library, shipped};

/// What must never happen.
pub const DOUBLE: &str = "two peers hold the lock";
pub const REMOVED: &str = "a library peer removes a lock that is not its own";
pub const UNTOLD: &str = "a holder that was robbed is not told at its release";
pub const STUCK: &str = "nobody holds the lock, yet all wait: for 30 s, or for good";
pub const STALE: &str = "acquire reports a hold whose sign of life is already late";

/// A file, by its number among those that somebody can still reach.
pub type File = u8;
pub const NONE: File = 15;
const FILES: usize = 12;

/// A process. The library peers come first.
pub type Pid = u8;
pub const LIBS: usize = 4;
pub const SHIPS: usize = 2;
pub const fn ship_pid(ship: usize) -> Pid {
    (LIBS + ship) as Pid
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Content {
    /// No file has this number.
    Free,
    /// Created by this process, and not stamped yet.
    Empty(Pid),
    Stamp(Pid),
    /// A shipped peer's stamp from an earlier attempt: the PID is its own, the nonce no longer is.
    Old(Pid),
    /// The stamp of a process that is gone.
    Alien,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Inode {
    pub content: Content,
    /// The library peer that holds its flock, or `NO_PID`.
    pub flock: Pid,
    /// Last modified longer ago than a shipped peer waits before it steals.
    pub aged: bool,
    /// The stamp is followed by a postscript: a holder's note of an append in progress. Only the journal's model uses
    /// it.
    pub note: bool,
}

/// No file has this number.
const UNUSED: Inode = Inode {
    content: Content::Free,
    flock: NO_PID,
    aged: false,
    note: false,
};
pub const NO_PID: Pid = 7;

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Lib {
    pub at: library::At,
    pub left: u8,
    /// The parked file.
    pub park: File,
    /// Whether the parked file has lost its own name.
    pub nameless: bool,
    /// The lock as a contender opened it; once claimed in place, the lock that it holds.
    pub fd: File,
    /// What an exchange left under the name of the parked file. It stays there when the peer dies.
    pub out: File,
    /// Whom the settle still waits for, as bits: the shipped peers, then the library peers.
    pub waits: u8,
    /// A shipped peer whose lock was fixed in place (`docs/codegraph-lock.js`).
    pub fixed: bool,
    /// 30 s passed during its hold without a sign of life.
    pub late: bool,
    /// So it may have been robbed: only the peer itself still thinks that it holds.
    pub robbed: bool,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Ship {
    pub at: shipped::At,
    pub left: u8,
    /// The file that it reads, that it is about to stamp or rename, or that it has open for writing while it holds.
    pub fd: File,
    /// It has held its lock for longer than is allowed by peers that cannot see that it is alive.
    pub late: bool,
}

#[derive(Copy, Clone, Debug)]
pub struct State {
    pub lock: File,
    pub inodes: [Inode; FILES],
    pub libs: [Lib; LIBS],
    pub ships: [Ship; SHIPS],
    pub crashes: u8,
    pub freezes: u8,
}

/// How a corpse is claimed.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Claim {
    InPlace,
    Exchange,
    Rename,
}

/// When a claimant that has settled checks whether its sign of life is late.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Lateness {
    Never,
    /// Before its last look at the lock.
    First,
    /// After it.
    Last,
}

/// How a library peer asks the kernel whether anybody has a lock without a library stamp open for writing
/// (`F_SETLEASE`).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Lease {
    /// This place has no leases.
    Missing,
    /// It does not ask.
    Ignored,
    /// It asks before it looks at PID and age.
    First,
    /// It asks last, so that nothing it knows is newer.
    Last,
}

/// What a claimant does that has settled and is late again when its timeout is over.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum GivesUp {
    /// It gives up the lock's `flock`.
    LeavesACorpse,
    /// It removes the lock, if it is its own.
    Unlinks,
}

/// Which peers take part, and which protections are in force.
#[derive(Copy, Clone, Debug)]
pub struct Lock {
    pub libs: usize,
    pub ships: usize,
    /// Shipped peers with a fixed lock.
    pub fixed: usize,
    /// The fixed peers find a flock(1), and use it to take a corpse's `flock`.
    pub flock_command: bool,
    /// Nobody is stopped for longer than a settle between reading a corpse and writing to it.
    pub timely: bool,
    /// How a fixed peer claims a corpse: as it should, or as it used to.
    pub fixed_claim: Claim,
    /// A fixed peer's release looks at the stamp as well as at the file.
    pub fixed_stamp: bool,
    /// The second shipped peer starts only when the first is gone.
    pub in_turn: bool,
    pub acquisitions: u8,
    pub crashes: u8,
    /// How often 30 s pass, which is longer than every threshold, while no peer moves. A peer that is stopped longer
    /// than the others takes no step before or after. With fixed peers, only a live holder is stopped.
    pub freezes: u8,
    /// With a shipped peer, they may also pass between the two calls of a release, `fstatat` and `unlinkat`.
    pub freezes_in_release: bool,
    /// Without leases, they may also pass between the creation and the stamp of a shipped peer's lock (5 s are enough).
    pub freezes_in_create: bool,
    /// They may also pass between a shipped peer's rename of its lock and its open.
    pub freezes_in_steal: bool,
    /// The search starts with the lock of a process that is gone.
    pub corpse: bool,
    pub claim: Claim,
    /// An empty lock is claimed in place too. Where there are no leases, it is then replaced by the parked file, with
    /// a settle after each. Otherwise it is claimed by exchange.
    pub empties_in_place: bool,
    /// The lock is linked with its stamp in it; otherwise it is created first and stamped afterwards.
    pub parked: bool,
    pub flock: bool,
    pub lease: Lease,
    /// A lock that nobody has open, and whose PID is gone or missing, is judged once more after a settle.
    pub confirm: bool,
    /// The PIDs of shipped peers look gone to library peers, which are in another PID namespace.
    pub foreign: bool,
    /// The PIDs of library peers look gone to shipped peers.
    pub blind: bool,
    /// After the `flock`, the path must still name the file that was locked.
    pub recheck: bool,
    /// A claimant waits for the shipped peers that opened the lock before its claim.
    pub settle: bool,
    /// When a peer that has settled, or linked, checks whether its sign of life is late; if so, it settles again.
    pub lateness: Lateness,
    /// A release that was stopped while it settled settles again.
    pub releases_settle_again: bool,
    pub gives_up: GivesUp,
    /// A peer that moves its hold of an empty lock to the parked file first checks whether its sign of life is late.
    pub moves_in_time: bool,
    /// A claimant in place carries the dead holder's postscript over behind its own stamp.
    pub carries: bool,
    /// The settle is longer than a shipped peer takes from reading its own lock to unlinking it.
    pub settle_covers_release: bool,
    /// A release checks whether the lock is still its own.
    pub identity: bool,
    /// Others may act between the two calls of a release, `fstatat` and `unlinkat`.
    pub torn_release: bool,
    /// A library process may end while a shipped peer has opened its lock, which was released since, and has yet to ask
    /// whether its PID is alive.
    pub hole: bool,
}

impl Lock {
    /// The protocol, with all its protections.
    pub const fn new(libs: usize, ships: usize) -> Lock {
        Lock {
            libs,
            ships,
            fixed: 0,
            flock_command: true,
            timely: true,
            fixed_claim: Claim::InPlace,
            fixed_stamp: true,
            in_turn: false,
            acquisitions: 1,
            crashes: 1,
            freezes: 0,
            freezes_in_release: false,
            freezes_in_create: false,
            freezes_in_steal: false,
            corpse: false,
            claim: Claim::InPlace,
            empties_in_place: true,
            parked: true,
            flock: true,
            lease: Lease::Last,
            confirm: true,
            foreign: false,
            blind: false,
            recheck: true,
            settle: true,
            lateness: Lateness::Last,
            releases_settle_again: true,
            gives_up: GivesUp::LeavesACorpse,
            moves_in_time: true,
            carries: true,
            settle_covers_release: true,
            identity: true,
            torn_release: true,
            hole: false,
        }
    }
}

impl Lock {
    /// Whether a library peer asks for leases.
    pub fn leases(&self) -> bool {
        self.flock && matches!(self.lease, Lease::First | Lease::Last)
    }
}

impl State {
    pub fn inode(&self, file: File) -> Inode {
        self.inodes[file as usize]
    }

    pub fn inode_mut(&mut self, file: File) -> &mut Inode {
        &mut self.inodes[file as usize]
    }

    pub fn create(&mut self, content: Content, flock: Pid) -> File {
        let free = self.inodes.iter().position(|inode| inode.content == Content::Free);
        let file = free.expect("a free inode: raise FILES");
        self.inodes[file] = Inode {
            content,
            flock,
            ..UNUSED
        };
        file as File
    }

    pub fn alive(&self, pid: Pid) -> bool {
        match self.ships.get((pid as usize).wrapping_sub(LIBS)) {
            Some(ship) => ship.at != shipped::At::Dead,
            None => self.libs[pid as usize].at != library::At::Dead,
        }
    }

    pub fn name(&self, pid: Pid) -> &'static str {
        match self.libs.get(pid as usize) {
            Some(lib) if lib.fixed => ["F1", "F2", "F3", "F4"][pid as usize],
            _ => name(pid),
        }
    }

    /// The shipped peers, as bits, that are between opening the lock and renaming over it; or, with `releases`, between
    /// opening it and unlinking it.
    pub fn deciding(&self, releases: bool) -> u8 {
        let mut mask = 0;
        for (number, ship) in self.ships.iter().enumerate() {
            let decides = ship.at.decides() && (releases || !ship.at.releases());
            mask |= u8::from(decides) << number;
        }
        mask
    }

    /// The library peers, as bits behind those of the shipped ones, that are between reading a corpse and writing to
    /// it.
    pub fn claiming(&self) -> u8 {
        let claims = |lib: &Lib| u8::from(lib.at.claims());
        (0..LIBS).fold(0, |mask, peer| mask | claims(&self.libs[peer]) << (SHIPS + peer))
    }

    /// The shipped peers, as bits, that are between renaming their lock into place and opening it for writing.
    pub fn reopening(&self) -> u8 {
        let reopens = |number: usize| u8::from(self.ships[number].at.reopens()) << number;
        (0..SHIPS).fold(0, |mask, number| mask | reopens(number))
    }

    /// Whether somebody has this file open for writing. Library peers do not count: they have the `flock`.
    pub fn is_open_for_writing(&self, file: File) -> bool {
        let by_fixed = |lib: &Lib| lib.fixed && (lib.park == file || lib.fd == file);
        self.ships.iter().any(|ship| ship.at.writes() && ship.fd == file) || self.libs.iter().any(by_fixed)
    }

    /// Whether anybody but library peer `peer` holds the lock and was not itself stopped for too long.
    pub fn held_by_another(&self, peer: usize) -> bool {
        let libs = self
            .libs
            .iter()
            .enumerate()
            .any(|(other, lib)| other != peer && lib.holds());
        libs || self.ships.iter().any(|ship| ship.at == shipped::At::Hold && !ship.late)
    }

    /// Removes shipped peer `ship` from what the settles wait for.
    pub fn decided(&mut self, ship: usize) {
        for lib in &mut self.libs {
            lib.waits &= !(1 << ship);
        }
    }

    /// The same for library peer `peer`.
    pub fn claimed(&mut self, peer: usize) {
        for lib in &mut self.libs {
            lib.waits &= !(1 << (SHIPS + peer));
        }
    }

    /// Whether some shipped peer has opened a lock of `pid` that is no longer the lock, and has yet to ask whether
    /// `pid` is alive.
    pub fn asked_after(&self, pid: Pid) -> bool {
        self.ships
            .iter()
            .any(|ship| ship.at.asks() && ship.fd != self.lock && self.inode(ship.fd).content == Content::Stamp(pid))
    }

    /// Forgets the files that nobody can reach any more.
    fn sweep(&mut self) {
        let mut reached = [false; FILES];
        self.for_files(|file| reached[file as usize] = true);
        for (inode, reached) in self.inodes.iter_mut().zip(reached) {
            if !reached {
                *inode = UNUSED;
            }
        }
    }

    fn for_files(&self, mut visit: impl FnMut(File)) {
        let mut visit = |file| {
            if file != NONE {
                visit(file);
            }
        };
        visit(self.lock);
        for lib in &self.libs {
            visit(lib.park);
            visit(lib.fd);
            visit(lib.out);
        }
        for ship in &self.ships {
            visit(ship.fd);
        }
    }

    /// Puts the library peers into the order `order`, and the files into the order in which they are reached.
    fn renamed(&self, order: [usize; LIBS]) -> State {
        let mut pids: [Pid; 8] = [0, 1, 2, 3, 4, 5, 6, 7];
        for (new, old) in order.into_iter().enumerate() {
            pids[old] = new as Pid;
        }
        let mut next = *self;
        next.libs = order.map(|old| self.libs[old]);
        let mut files = [NONE; 16];
        let mut count = 0;
        next.for_files(|file| {
            if files[file as usize] == NONE {
                files[file as usize] = count;
                count += 1;
            }
        });
        next.inodes = [UNUSED; FILES];
        for (old, inode) in self.inodes.iter().enumerate() {
            if files[old] != NONE {
                let content = match inode.content {
                    Content::Empty(pid) => Content::Empty(pids[pid as usize]),
                    Content::Stamp(pid) => Content::Stamp(pids[pid as usize]),
                    other => other,
                };
                let flock = pids[inode.flock as usize];
                next.inodes[files[old] as usize] = Inode {
                    content,
                    flock,
                    ..*inode
                };
            }
        }
        next.lock = files[self.lock as usize];
        for lib in &mut next.libs {
            lib.park = files[lib.park as usize];
            lib.fd = files[lib.fd as usize];
            lib.out = files[lib.out as usize];
            let waits = lib.waits >> SHIPS;
            lib.waits &= (1 << SHIPS) - 1;
            for (new, old) in order.into_iter().enumerate() {
                lib.waits |= (waits >> old & 1) << (SHIPS + new);
            }
        }
        for ship in &mut next.ships {
            ship.fd = files[ship.fd as usize];
        }
        next
    }

    /// The same state without anything that nobody can reach.
    pub fn with_files_renumbered(&self) -> State {
        let mut state = *self;
        state.sweep();
        state.renamed([0, 1, 2, 3])
    }

    /// What distinguishes one library peer from another, apart from names: identical peers with different signs
    /// always end up in the same order. Equal signs may hide a difference; then a state is searched twice.
    fn sign(&self, peer: usize) -> u64 {
        let lib = &self.libs[peer];
        let pid = peer as Pid;
        let mut sign = lib.at as u64;
        let mut push = |bits: u64, width: u32| sign = sign << width | bits;
        push(lib.left.into(), 2);
        push((lib.waits & 3).into(), 2);
        push((lib.waits >> SHIPS).count_ones().into(), 3);
        push(lib.late.into(), 1);
        push(lib.robbed.into(), 1);
        push(lib.nameless.into(), 1);
        for file in [lib.park, lib.fd, lib.out] {
            push((file == self.lock).into(), 1);
            let inode = if file == NONE { None } else { Some(self.inode(file)) };
            push(inode.is_some().into(), 1);
            push(inode.is_some_and(|inode| inode.aged).into(), 1);
            push(inode.is_some_and(|inode| inode.note).into(), 1);
            push(
                inode.map_or(0, |inode| {
                    if inode.flock == pid {
                        1
                    } else {
                        2 + u64::from(inode.flock == NO_PID)
                    }
                }),
                2,
            );
            push(
                inode.map_or(0, |inode| match inode.content {
                    Content::Stamp(other) if other == pid => 1,
                    Content::Stamp(other) if (other as usize) < LIBS => 2 + u64::from(self.alive(other)),
                    Content::Empty(other) if other == pid => 4,
                    content => 5 + (code(content) >> 3) as u64,
                }),
                3,
            );
        }
        for file in [self.lock, self.ships[0].fd, self.ships[1].fd] {
            let inode = if file == NONE { None } else { Some(self.inode(file)) };
            push(inode.is_some_and(|inode| inode.flock == pid).into(), 1);
            push(
                inode
                    .is_some_and(|inode| matches!(inode.content, Content::Stamp(p) | Content::Empty(p) if p == pid))
                    .into(),
                1,
            );
        }
        sign
    }

    /// One representative for all states that differ only in the names of library peers and files, and the peers'
    /// order in it. `more` is what else distinguishes peers.
    pub fn canonical(&self, more: [u64; LIBS]) -> (State, [usize; LIBS]) {
        let mut state = *self;
        state.sweep();
        for peer in 0..LIBS {
            if state.libs[peer].at == library::At::Done && !state.remembered(peer) {
                library::die(&mut state, peer);
                state.sweep();
            }
        }
        let mut order = [0, 1, 2, 3];
        let signs = order.map(|peer| (state.libs[peer].fixed, state.sign(peer), more[peer]));
        order.sort_by_key(|&peer| signs[peer]);
        (state.renamed(order), order)
    }

    /// Whether anybody but the peer itself can still tell whether it is done or dead.
    fn remembered(&self, peer: usize) -> bool {
        let pid = peer as Pid;
        let mut found = false;
        let mut look = |file: File| {
            if file != NONE {
                let inode = self.inode(file);
                let named = matches!(inode.content, Content::Stamp(p) | Content::Empty(p) if p == pid);
                found |= named || inode.flock == pid;
            }
        };
        look(self.lock);
        for (other, lib) in self.libs.iter().enumerate() {
            if other != peer {
                look(lib.park);
                look(lib.fd);
            }
            look(lib.out);
        }
        for ship in &self.ships {
            look(ship.fd);
        }
        found
    }

    /// Nobody is in the middle of anything.
    fn quiet(&self) -> bool {
        use {library::At as L, shipped::At as S};
        self.libs
            .iter()
            .all(|lib| matches!(lib.at, L::Link | L::Done | L::Dead))
            && self
                .ships
                .iter()
                .all(|ship| matches!(ship.at, S::Create | S::Done | S::Dead | S::Unborn))
    }

    /// Whether a newcomer would wait forever although nobody holds the lock.
    fn stuck(&self) -> bool {
        if self.lock == NONE || !self.quiet() {
            return false;
        }
        let inode = self.inode(self.lock);
        match inode.flock {
            // A lock that a shipped peer has closed but not removed becomes stale only after 30 s.
            NO_PID => match inode.content {
                Content::Stamp(pid) | Content::Old(pid) => {
                    let by_pid = self.libs.get(pid as usize).is_none_or(|lib| lib.fixed);
                    by_pid && self.alive(pid) && !inode.aged
                }
                _ => false,
            },
            // A peer that is about to acquire and finds its own parked file there has the lock.
            pid => !(self.libs[pid as usize].at == library::At::Link && self.libs[pid as usize].park == self.lock),
        }
    }
}

impl Model for Lock {
    type State = State;
    type Packed = [u64; 4];

    fn start(&self) -> State {
        let mut state = State {
            lock: NONE,
            inodes: [UNUSED; FILES],
            libs: [library::DEAD; LIBS],
            ships: [shipped::DEAD; SHIPS],
            crashes: self.crashes,
            freezes: self.freezes,
        };
        for peer in 0..self.libs + self.fixed {
            let fixed = peer >= self.libs;
            let park = if fixed {
                state.create(Content::Stamp(peer as Pid), NO_PID)
            } else if self.parked {
                state.create(Content::Stamp(peer as Pid), peer as Pid)
            } else {
                NONE
            };
            state.libs[peer] = Lib {
                at: library::At::Link,
                left: self.acquisitions,
                park,
                fixed,
                ..library::DEAD
            };
        }
        for ship in 0..self.ships {
            let at = if ship > 0 && self.in_turn {
                shipped::At::Unborn
            } else {
                shipped::At::Create
            };
            state.ships[ship] = Ship {
                at,
                left: self.acquisitions,
                ..shipped::DEAD
            };
        }
        if self.corpse {
            state.lock = state.create(Content::Alien, NO_PID);
        }
        state
    }

    fn steps(&self, state: &State, emit: &mut impl FnMut(Step<State>)) {
        for peer in 0..LIBS {
            library::steps(self, state, peer, emit);
        }
        for ship in 0..self.ships {
            shipped::steps(self, state, ship, emit);
        }
        pass(self, state, emit);
    }

    fn canonical(&self, state: &State) -> State {
        state.canonical([0; LIBS]).0
    }

    fn fault(&self, state: &State) -> Option<&'static str> {
        let libs = state.libs.iter().filter(|lib| lib.holds());
        let ships = state
            .ships
            .iter()
            .filter(|ship| ship.at == shipped::At::Hold && !ship.late);
        if libs.count() + ships.count() > 1 {
            return Some(DOUBLE);
        }
        state.stuck().then_some(STUCK)
    }

    fn pack(&self, state: &State) -> [u64; 4] {
        let mut bits = Bits::default();
        bits.push_state(state);
        bits.words
    }

    fn unpack(&self, packed: &[u64; 4]) -> State {
        Bits::from(*packed).pull_state()
    }

    fn describe(&self, state: &State) -> String {
        if state.lock == NONE {
            return "no lock".into();
        }
        let inode = state.inode(state.lock);
        let flock = match inode.flock {
            NO_PID => String::new(),
            pid => format!(", flocked by {}", state.name(pid)),
        };
        let aged = if inode.aged { ", older than 30 s" } else { "" };
        let content = match inode.content {
            Content::Free => unreachable!("the lock is a file"),
            Content::Empty(pid) => format!("empty, by {}", state.name(pid)),
            Content::Stamp(pid) | Content::Old(pid) => format!("stamp of {}", state.name(pid)),
            Content::Alien => "stamp of a process long gone".into(),
        };
        format!("lock: {content}{flock}{aged}")
    }
}

pub fn name(pid: Pid) -> &'static str {
    ["L1", "L2", "L3", "L4", "S1", "S2"][pid as usize]
}

/// Lets 30 s pass, if the configuration and the state allow it.
pub fn pass(config: &Lock, state: &State, emit: &mut impl FnMut(Step<State>)) {
    if state.freezes == 0 {
        return;
    }
    let (what, next) = match config.fixed {
        0 => ("30 s pass", all_age(config, state)),
        _ => (
            "the holder is stopped for 30 s, then goes on",
            holder_ages(config, state),
        ),
    };
    if let Some(mut next) = next {
        next.freezes -= 1;
        emit(Step {
            by: "--",
            what,
            next,
            fault: None,
        });
    }
}

/// Everybody stops where they are. But a shipped peer is not stopped where the protocol promises nothing about it.
fn all_age(config: &Lock, state: &State) -> Option<State> {
    use {library::At as L, shipped::At as S};
    let frozen_beyond_help = state.ships.iter().any(|ship| {
        ship.at.decides()
            || ship.at.reopens() && !config.freezes_in_steal
            || ship.at == S::Stamp && config.lease == Lease::Missing && !config.freezes_in_create
    });
    let relies = config.ships > 0 && !config.freezes_in_release && state.libs.iter().any(|lib| lib.at == L::Unlink);
    if frozen_beyond_help || relies {
        return None;
    }
    let mut next = *state;
    let mut changed = false;
    for inode in next.inodes.iter_mut().filter(|inode| inode.content != Content::Free) {
        changed |= !std::mem::replace(&mut inode.aged, true);
    }
    for lib in next.libs.iter_mut().filter(|lib| lib.at == L::Hold) {
        lib.late = true;
        // Without a flock, others take it to be dead.
        lib.robbed |= !config.flock;
    }
    for ship in &mut next.ships {
        ship.late |= matches!(ship.at, S::Hold | S::Stamp) && config.lease == Lease::Missing;
    }
    changed.then_some(next)
}

/// A live holder is stopped until its lock is older than a shipped peer allows.
fn holder_ages(config: &Lock, state: &State) -> Option<State> {
    if state.lock == NONE || state.inode(state.lock).aged {
        return None;
    }
    let mut next = *state;
    next.inode_mut(state.lock).aged = true;
    let held = match state.inode(state.lock).content {
        Content::Stamp(pid) if (pid as usize) < LIBS => {
            let lib = &mut next.libs[pid as usize];
            lib.late = true;
            lib.robbed |= lib.fixed;
            lib.at == library::At::Hold && lib.own() == state.lock
        }
        Content::Stamp(pid) => {
            let ship = &mut next.ships[pid as usize - LIBS];
            ship.late = true;
            ship.at == shipped::At::Hold
        }
        Content::Empty(pid) if pid as usize >= LIBS => {
            let ship = &mut next.ships[pid as usize - LIBS];
            ship.late = true;
            config.freezes_in_create && ship.at == shipped::At::Stamp
        }
        _ => false,
    };
    held.then_some(next)
}

fn code(content: Content) -> u8 {
    match content {
        Content::Free => 0,
        Content::Stamp(pid) => 1 + pid,
        Content::Old(pid) => 7 + pid - LIBS as u8,
        Content::Empty(pid) => 9 + pid,
        Content::Alien => 15,
    }
}

fn decode(code: u8) -> Content {
    match code {
        0 => Content::Free,
        1..=6 => Content::Stamp(code - 1),
        7..=8 => Content::Old(code - 7 + LIBS as u8),
        9..=14 => Content::Empty(code - 9),
        _ => Content::Alien,
    }
}

/// A state as a row of words.
pub struct Bits<const N: usize> {
    pub words: [u64; N],
    used: usize,
}

impl<const N: usize> Default for Bits<N> {
    fn default() -> Self {
        Bits { words: [0; N], used: 0 }
    }
}

impl<const N: usize> From<[u64; N]> for Bits<N> {
    fn from(words: [u64; N]) -> Self {
        Bits { words, used: 0 }
    }
}

impl<const N: usize> Bits<N> {
    pub fn push_state(&mut self, state: &State) {
        self.push(state.lock, 4);
        self.push(state.crashes, 2);
        self.push(state.freezes, 2);
        for inode in &state.inodes {
            self.push(code(inode.content), 4);
            self.push(inode.flock, 3);
            self.push(inode.aged.into(), 1);
        }
        for ship in &state.ships {
            self.push(ship.at as u8, 5);
            self.push(ship.left, 2);
            self.push(ship.fd, 4);
            self.push(ship.late.into(), 1);
        }
        for lib in &state.libs {
            self.push(lib.at as u8, 5);
            self.push(lib.left, 2);
            self.push(lib.park, 4);
            self.push(lib.nameless.into(), 1);
            self.push(lib.fd, 4);
            self.push(lib.out, 4);
            self.push(lib.waits, 6);
            self.push(lib.fixed.into(), 1);
            self.push(lib.late.into(), 1);
            self.push(lib.robbed.into(), 1);
        }
    }

    pub fn pull_state(&mut self) -> State {
        State {
            lock: self.pull(4),
            crashes: self.pull(2),
            freezes: self.pull(2),
            inodes: std::array::from_fn(|_| Inode {
                content: decode(self.pull(4)),
                flock: self.pull(3),
                aged: self.pull(1) != 0,
                note: false,
            }),
            ships: std::array::from_fn(|_| Ship {
                at: shipped::ALL[self.pull(5) as usize],
                left: self.pull(2),
                fd: self.pull(4),
                late: self.pull(1) != 0,
            }),
            libs: std::array::from_fn(|_| Lib {
                at: library::ALL[self.pull(5) as usize],
                left: self.pull(2),
                park: self.pull(4),
                nameless: self.pull(1) != 0,
                fd: self.pull(4),
                out: self.pull(4),
                waits: self.pull(6),
                fixed: self.pull(1) != 0,
                late: self.pull(1) != 0,
                robbed: self.pull(1) != 0,
            }),
        }
    }

    /// The postscripts, which only the journal's model uses.
    pub fn push_notes(&mut self, state: &State) {
        for inode in &state.inodes {
            self.push(inode.note.into(), 1);
        }
    }

    pub fn pull_notes(&mut self, state: &mut State) {
        for inode in &mut state.inodes {
            inode.note = self.pull(1) != 0;
        }
    }

    /// Fields never straddle two words, so that one shift is enough in both directions.
    fn place(&mut self, width: usize) -> (usize, usize) {
        if self.used % 64 + width > 64 {
            self.used += 64 - self.used % 64;
        }
        let place = (self.used / 64, self.used % 64);
        self.used += width;
        place
    }

    pub fn push(&mut self, value: u8, width: usize) {
        debug_assert!(u32::from(value) < 1 << width);
        let (word, shift) = self.place(width);
        self.words[word] |= u64::from(value) << shift;
    }

    pub fn pull(&mut self, width: usize) -> u8 {
        let (word, shift) = self.place(width);
        (self.words[word] >> shift) as u8 & ((1u16 << width) - 1) as u8
    }
}

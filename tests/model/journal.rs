//! The journal under the lock: which acknowledged entries survive?

use super::library::At as Lib;
use super::lock::{self, Bits, LIBS, Lock, Pid, SHIPS, name, ship_pid};
use super::search::{Model, Step};
use super::shipped::At as Ship;
use super::{library, shipped};

pub const LOST: &str = "an acknowledged entry is lost";
pub const TORN: &str = "a library peer goes on with a journal that a dead one has cut";

/// The entries of a journal, as bits: one for each acquisition of each library peer.
type Entries = u8;

fn entry(peer: usize, left: u8) -> Entries {
    1 << (peer + LIBS * usize::from(left > 1))
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum At {
    Start,
    /// Has opened the journal for appending.
    Bound,
    /// Has written, and has yet to check that it wrote to what is still the journal.
    Wrote,
    /// Has read the journal, and will put a new one in its place.
    Read,
    /// Has seen that the lock is still its own, and is about to rename.
    Checked,
    /// May acknowledge what it wrote, if it still has the lock.
    Ready,
}

const ALL: [At; 6] = [At::Start, At::Bound, At::Wrote, At::Read, At::Checked, At::Ready];

#[derive(Copy, Clone)]
struct Writer {
    at: At,
    /// Whether the file that it has open is still the journal.
    current: bool,
    copy: Entries,
}

const IDLE: Writer = Writer {
    at: At::Start,
    current: false,
    copy: 0,
};

#[derive(Copy, Clone)]
pub struct State {
    lock: lock::State,
    journal: Entries,
    acknowledged: Entries,
    /// Its last writer was killed in the middle of a write.
    torn: bool,
    /// The library peers, followed by the shipped ones.
    writers: [Writer; LIBS + SHIPS],
}

/// Each acquisition of a library peer commits an entry, again if the lock turns out to have been lost. Shipped peers
/// read the journal and rename a new one over it.
#[derive(Copy, Clone, Debug)]
pub struct Journal {
    pub lock: Lock,
    /// Library peers may also rewrite the journal (a new file and a rename) instead of appending to it.
    pub rewrites: bool,
    /// Each append crosses a page boundary, where a kill can cut it, so its writer notes it in a postscript of the
    /// lock.
    pub notes: bool,
}

impl State {
    fn replace(&mut self, journal: Entries) {
        self.journal = journal;
        self.torn = false;
        for writer in &mut self.writers {
            writer.current = false;
        }
    }
}

impl Journal {
    fn write(&self, state: &State, peer: usize, emit: &mut impl FnMut(Step<State>)) {
        let mut emit = |what, by: fn(&mut State, usize)| {
            let mut next = *state;
            by(&mut next, peer);
            emit(Step {
                by: name(peer as Pid),
                what,
                next,
                fault: None,
            });
        };
        let writer = state.writers[peer];
        let noted = state.lock.inode(state.lock.libs[peer].own()).note;
        match writer.at {
            // What the claimed lock says about its dead holder comes before anything else.
            At::Start if noted && state.torn => emit("ftruncate(journal): takes back what was cut", |state, _| {
                state.torn = false;
            }),
            At::Start if noted => emit("ftruncate(lock): takes the dead holder's note away", |state, peer| {
                note(state, peer, false);
            }),
            At::Start => {
                emit("open(journal, O_APPEND)", |state, peer| {
                    state.writers[peer] = Writer {
                        at: At::Bound,
                        current: true,
                        copy: 0,
                    };
                });
                if self.rewrites {
                    emit("read(journal), to rewrite it", copy);
                }
            }
            At::Bound if self.notes && !noted => {
                emit("pwrite(lock): notes what it is about to append", |state, peer| {
                    note(state, peer, true);
                })
            }
            At::Bound => emit("write(journal, its entry)", |state, peer| {
                if state.writers[peer].current {
                    state.journal |= entry(peer, state.lock.libs[peer].left);
                }
                state.writers[peer].at = At::Wrote;
            }),
            At::Wrote if writer.current => emit("fstatat(journal): what it wrote to", |state, peer| {
                state.writers[peer] = Writer { at: At::Ready, ..IDLE };
            }),
            At::Wrote => emit(
                "fstatat(journal): not what it wrote to; appends again",
                |state, peer| {
                    state.writers[peer] = IDLE;
                },
            ),
            At::Read if state.lock.libs[peer].own() == state.lock.lock => {
                emit("fstatat(lock): its own", |state, peer| {
                    state.writers[peer].at = At::Checked
                });
            }
            At::Read => emit("fstatat(lock): not its own: LOST", |state, peer| {
                state.writers[peer] = Writer { at: At::Ready, ..IDLE };
            }),
            At::Checked => emit("rename(new journal with its entry, journal)", |state, peer| {
                state.replace(state.writers[peer].copy | entry(peer, state.lock.libs[peer].left));
                state.writers[peer] = Writer { at: At::Ready, ..IDLE };
            }),
            At::Ready => emit("ftruncate(lock): takes its note away", |state, peer| {
                note(state, peer, false)
            }),
        }
    }

    fn library(&self, state: &State, peer: usize, emit: &mut impl FnMut(Step<State>)) {
        let before = state.lock.libs[peer];
        library::end(&self.lock, &state.lock, peer, &mut |step| {
            let mut next = State {
                lock: step.next,
                ..*state
            };
            next.writers[peer] = IDLE;
            // When a process is killed, the kernel ends its write between two pages.
            if self.notes && state.writers[peer].at == At::Bound && state.lock.inode(before.own()).note {
                emit(Step {
                    by: step.by,
                    what: "CRASHES in the middle of its write",
                    next: State { torn: true, ..next },
                    fault: None,
                });
            }
            emit(Step {
                by: step.by,
                what: step.what,
                next,
                fault: None,
            });
        });
        let ready = state.writers[peer].at == At::Ready && !state.lock.inode(before.own()).note;
        if before.at == Lib::Hold && !ready {
            return self.write(state, peer, emit);
        }
        library::go(&self.lock, &state.lock, peer, &mut |step| {
            let mut next = State {
                lock: step.next,
                ..*state
            };
            let releases = matches!(before.at, Lib::Hold | Lib::SettleRelease);
            if releases && next.lock.libs[peer].at != Lib::SettleRelease {
                next.writers[peer] = IDLE;
                let lib = &mut next.lock.libs[peer];
                if state.lock.lock == before.own() {
                    next.acknowledged |= entry(peer, before.left);
                } else if lib.at == Lib::Close {
                    lib.left = before.left + 1;
                } else {
                    // Lost: the same entry is written again, under a new lock.
                    lib.left = before.left;
                    lib.at = Lib::Link;
                }
            }
            emit(Step {
                by: step.by,
                what: step.what,
                next,
                fault: None,
            });
        });
    }

    fn shipped(&self, state: &State, ship: usize, emit: &mut impl FnMut(Step<State>)) {
        let peer = LIBS + ship;
        let holds = state.lock.ships[ship].at == Ship::Hold;
        shipped::end(&state.lock, ship, &mut |step| {
            let mut next = State {
                lock: step.next,
                ..*state
            };
            next.writers[peer] = IDLE;
            emit(Step {
                by: step.by,
                what: step.what,
                next,
                fault: None,
            });
        });
        let by = name(ship_pid(ship));
        match state.writers[peer].at {
            At::Start if holds => {
                let mut next = *state;
                copy(&mut next, peer);
                emit(Step {
                    by,
                    what: "read(journal), to rewrite it",
                    next,
                    fault: None,
                });
            }
            At::Read => {
                let mut next = *state;
                next.replace(state.writers[peer].copy);
                next.writers[peer] = Writer { at: At::Ready, ..IDLE };
                emit(Step {
                    by,
                    what: "rename(new journal, journal)",
                    next,
                    fault: None,
                });
            }
            _ => shipped::go(&self.lock, &state.lock, ship, &mut |step| {
                let mut next = State {
                    lock: step.next,
                    ..*state
                };
                next.writers[peer] = IDLE;
                emit(Step {
                    by: step.by,
                    what: step.what,
                    next,
                    fault: None,
                });
            }),
        }
    }
}

fn note(state: &mut State, peer: usize, note: bool) {
    let own = state.lock.libs[peer].own();
    state.lock.inode_mut(own).note = note;
}

fn copy(state: &mut State, peer: usize) {
    state.writers[peer] = Writer {
        at: At::Read,
        current: false,
        copy: state.journal,
    };
}

impl Model for Journal {
    type State = State;
    type Packed = [u64; 6];

    fn start(&self) -> State {
        State {
            lock: self.lock.start(),
            journal: 0,
            acknowledged: 0,
            torn: false,
            writers: [IDLE; LIBS + SHIPS],
        }
    }

    fn steps(&self, state: &State, emit: &mut impl FnMut(Step<State>)) {
        for peer in 0..self.lock.libs {
            self.library(state, peer, emit);
        }
        for ship in 0..self.lock.ships {
            self.shipped(state, ship, emit);
        }
        lock::pass(&self.lock, &state.lock, &mut |step| {
            emit(Step {
                by: step.by,
                what: step.what,
                next: State {
                    lock: step.next,
                    ..*state
                },
                fault: None,
            });
        });
    }

    fn canonical(&self, state: &State) -> State {
        let more = std::array::from_fn(|peer| {
            let writer = &state.writers[peer];
            let both = entry(peer, 1) | entry(peer, 2);
            let seen = [state.journal, state.acknowledged, writer.copy, state.writers[LIBS].copy];
            seen.iter()
                .fold(writer.at as u64 * 2 + u64::from(writer.current), |sign, entries| {
                    sign << 8 | u64::from((entries & both) >> peer)
                })
        });
        let (lock, order) = state.lock.canonical(more);
        let renamed = |entries: Entries| {
            let mut next = 0;
            for (new, &old) in order.iter().enumerate() {
                next |= (entries >> old & 1) << new | (entries >> (old + LIBS) & 1) << (new + LIBS);
            }
            next
        };
        let mut writers = state.writers;
        for (new, &old) in order.iter().enumerate() {
            writers[new] = state.writers[old];
        }
        for writer in &mut writers {
            writer.copy = renamed(writer.copy);
        }
        State {
            lock,
            journal: renamed(state.journal),
            acknowledged: renamed(state.acknowledged),
            torn: state.torn,
            writers,
        }
    }

    fn pack(&self, state: &State) -> [u64; 6] {
        let mut bits = Bits::default();
        bits.push_state(&state.lock);
        bits.push(state.journal, 8);
        bits.push(state.acknowledged, 8);
        for writer in &state.writers {
            bits.push(writer.at as u8, 3);
            bits.push(writer.current.into(), 1);
            bits.push(writer.copy, 8);
        }
        bits.push_notes(&state.lock);
        bits.push(state.torn.into(), 1);
        bits.words
    }

    fn unpack(&self, packed: &[u64; 6]) -> State {
        let mut bits = Bits::from(*packed);
        let mut state = State {
            lock: bits.pull_state(),
            journal: bits.pull(8),
            acknowledged: bits.pull(8),
            torn: false,
            writers: std::array::from_fn(|_| Writer {
                at: ALL[bits.pull(3) as usize],
                current: bits.pull(1) != 0,
                copy: bits.pull(8),
            }),
        };
        bits.pull_notes(&mut state.lock);
        state.torn = bits.pull(1) != 0;
        state
    }

    fn fault(&self, state: &State) -> Option<&'static str> {
        if state.acknowledged & !state.journal != 0 {
            return Some(LOST);
        }
        // Once the journal is open for appending, nobody looks for notes any more.
        let goes_on = |peer: usize| state.lock.libs[peer].holds() && state.writers[peer].at == At::Bound;
        (state.torn && (0..LIBS).any(goes_on)).then_some(TORN)
    }

    fn describe(&self, state: &State) -> String {
        let names = |entries: Entries| -> String {
            let name = |bit: usize| format!(" {}{}", name((bit % LIBS) as Pid), if bit < LIBS { "" } else { "'" });
            (0..8).filter(|bit| entries >> bit & 1 != 0).map(name).collect()
        };
        format!(
            "{}; journal:{}; acknowledged:{}",
            self.lock.describe(&state.lock),
            names(state.journal),
            names(state.acknowledged)
        )
    }
}

//! A breadth-first search of every state that a model can reach.
//!
//! States are kept whole and compared exactly, without hash compaction, so "no fault" is a statement about all of them.
//! Since the search is breadth-first, a fault comes with one of its shortest traces.

use std::fmt;

/// One step of one peer: one system call, or its crash.
pub struct Step<S> {
    pub by: &'static str,
    pub what: &'static str,
    pub next: S,
    /// Set if the step itself must never happen.
    pub fault: Option<&'static str>,
}

pub trait Model {
    type State: Copy;
    /// A packed state: what the search stores and compares.
    type Packed: Copy + Eq + AsRef<[u64]>;

    fn start(&self) -> Self::State;
    fn steps(&self, state: &Self::State, emit: &mut impl FnMut(Step<Self::State>));
    /// One representative for all states that differ only in the names of identical peers and files.
    fn canonical(&self, state: &Self::State) -> Self::State;
    fn pack(&self, state: &Self::State) -> Self::Packed;
    fn unpack(&self, packed: &Self::Packed) -> Self::State;
    /// What must not be true of any state.
    fn fault(&self, state: &Self::State) -> Option<&'static str>;
    /// The state in a few words, for traces.
    fn describe(&self, state: &Self::State) -> String;
}

pub struct Outcome {
    pub states: usize,
    pub steps: u64,
    pub trace: Option<Trace>,
}

pub struct Trace {
    pub fault: &'static str,
    lines: Vec<(&'static str, &'static str, String)>,
}

impl Trace {
    /// Whether some step of the trace reads `what` and was taken by a peer whose name starts with `by`.
    pub fn has(&self, by: &str, what: &str) -> bool {
        self.lines.iter().any(|(b, w, _)| b.starts_with(by) && w.contains(what))
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (by, what, state)) in self.lines.iter().enumerate() {
            writeln!(f, "  {:2}  {by}  {what:<68}  {state}", number + 1)?;
        }
        writeln!(f, "      => {}", self.fault)
    }
}

/// Searches all of `model` up to the first fault that is `wanted`; steps with other faults count like any step.
pub fn search_for<M: Model>(model: &M, wanted: impl Fn(&str) -> bool) -> Outcome {
    let fault_of = |step: &Step<M::State>| {
        step.fault
            .filter(|fault| wanted(fault))
            .or_else(|| model.fault(&step.next).filter(|fault| wanted(fault)))
    };
    let mut seen = Seen {
        states: Vec::new(),
        from: Vec::new(),
        table: Vec::new(),
    };
    let start = model.canonical(&model.start());
    seen.insert(model.pack(&start), u32::MAX);
    let mut steps = 0;
    let mut at = 0;
    while at < seen.states.len() {
        let state = model.unpack(&seen.states[at]);
        let mut fault = None;
        model.steps(&state, &mut |step| {
            steps += 1;
            match fault_of(&step) {
                Some(found) => fault = fault.or(Some(found)),
                None => {
                    let next = model.canonical(&step.next);
                    seen.insert(model.pack(&next), at as u32);
                }
            }
        });
        if let Some(fault) = fault {
            let path = seen.path(at);
            let trace = retrace(model, &path, fault, fault_of, true)
                .or_else(|| retrace(model, &path, fault, fault_of, false))
                .expect("a path of the search can be walked again");
            return Outcome {
                states: seen.states.len(),
                steps,
                trace: Some(trace),
            };
        }
        at += 1;
    }
    Outcome {
        states: seen.states.len(),
        steps,
        trace: None,
    }
}

/// Walks `path` again. With `names`, nobody is renamed, so each peer keeps its name throughout the trace. That fails
/// if two peers differ only in something that the model does not look at when it orders them.
fn retrace<M: Model>(
    model: &M,
    path: &[M::Packed],
    fault: &'static str,
    fault_of: impl Fn(&Step<M::State>) -> Option<&'static str>,
    names: bool,
) -> Option<Trace> {
    let mut state = model.start();
    let mut lines = Vec::new();
    for (at, wanted) in path[1..].iter().map(Some).chain([None]).enumerate() {
        if !names {
            state = model.unpack(&path[at]);
        }
        let mut taken = None;
        model.steps(&state, &mut |step| {
            let found = fault_of(&step);
            let fits = match wanted {
                Some(packed) => found.is_none() && model.pack(&model.canonical(&step.next)) == *packed,
                None => found == Some(fault),
            };
            if fits && taken.is_none() {
                taken = Some(step);
            }
        });
        let step = taken?;
        lines.push((step.by, step.what, model.describe(&step.next)));
        state = step.next;
    }
    Some(Trace { fault, lines })
}

/// Every state that was found, each with the one from which it was first reached. They are in an open hash table,
/// whose slots hold half of the hash and the state's number plus one.
struct Seen<P> {
    states: Vec<P>,
    from: Vec<u32>,
    table: Vec<u64>,
}

impl<P: Copy + Eq + AsRef<[u64]>> Seen<P> {
    fn insert(&mut self, state: P, from: u32) {
        if self.states.len() * 5 >= self.table.len() * 3 {
            self.grow();
        }
        let hash = hash(state.as_ref());
        let mut slot = self.slot(hash);
        while self.table[slot] != 0 {
            let number = self.table[slot] as u32 - 1;
            if self.table[slot] >> 32 == hash >> 32 && self.states[number as usize] == state {
                return;
            }
            slot = (slot + 1) & (self.table.len() - 1);
        }
        self.states.push(state);
        self.from.push(from);
        let number = u32::try_from(self.states.len()).expect("fewer than 2^32 states");
        self.table[slot] = hash >> 32 << 32 | u64::from(number);
    }

    fn slot(&self, hash: u64) -> usize {
        hash as usize & (self.table.len() - 1)
    }

    fn grow(&mut self) {
        let size = (self.table.len() * 2).max(1 << 12);
        self.table = vec![0; size];
        for (number, state) in self.states.iter().enumerate() {
            let hash = hash(state.as_ref());
            let mut slot = self.slot(hash);
            while self.table[slot] != 0 {
                slot = (slot + 1) & (size - 1);
            }
            self.table[slot] = hash >> 32 << 32 | (number as u64 + 1);
        }
    }

    /// The states from the first one to number `at`.
    fn path(&self, at: usize) -> Vec<P> {
        let mut path = vec![self.states[at]];
        let mut from = self.from[at];
        while from != u32::MAX {
            path.push(self.states[from as usize]);
            from = self.from[from as usize];
        }
        path.reverse();
        path
    }
}

fn hash(state: &[u64]) -> u64 {
    state.iter().fold(0x9e37_79b9_7f4a_7c15_u64, |hash, word| {
        let product = u128::from(hash ^ word) * 0xd6e8_feb8_6659_fd93;
        ((product ^ product >> 64) as u64).rotate_left(23)
    })
}

//! Where scenarios are played: in a directory of its own, with a thread for each peer, reused for each schedule.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::pin::Pin;
use crate::scenario::{Before, Peer, Scenario};
use crate::schedule::{Bound, Choice, Chooser, Dice, Explorer, Random};
use crate::world::{Seat, World};
use crate::{copy, library, shipped};

/// The largest number of peers in a scenario.
const PEERS: usize = 5;

pub struct Stage {
    world: Arc<World>,
    /// What each thread plays; at `None` it ends.
    cast: Arc<Mutex<Option<Vec<Peer>>>>,
    threads: Vec<JoinHandle<()>>,
    _pin: Option<Pin>,
    pub tally: Tally,
}

/// What was run, for the figures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub schedules: usize,
    pub steps: usize,
    pub crashes: usize,
    pub held: usize,
    pub acknowledged: usize,
    pub timeouts: usize,
    pub robbed: usize,
    /// What victims did before they could know of the theft.
    pub undone: usize,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.schedules += other.schedules;
        self.steps += other.steps;
        self.crashes += other.crashes;
        self.held += other.held;
        self.acknowledged += other.acknowledged;
        self.timeouts += other.timeouts;
        self.robbed += other.robbed;
        self.undone += other.undone;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} schedules, {} steps, {} crashes, {} holds, {} entries acknowledged, {} timeouts, {} holders robbed",
            self.schedules, self.steps, self.crashes, self.held, self.acknowledged, self.timeouts, self.robbed
        )
    }
}

/// A schedule that led to something forbidden.
#[derive(Debug)]
pub struct Violation {
    pub what: String,
    pub trace: String,
}

impl Violation {
    pub fn told(&self, scenario: &Scenario) -> String {
        format!("{}: {}\n{}", scenario.name, self.what, self.trace)
    }
}

impl Stage {
    /// On a file system in memory, if there is one.
    pub fn new() -> Stage {
        Stage::on(&std::env::var_os("JLOCK_STEPPED_DIR").map_or_else(in_memory, PathBuf::from))
    }

    fn on(base: &Path) -> Stage {
        fs::create_dir_all(base).expect("a directory can be made");
        let dir = crate::fresh::directory_in(base, "jlock-stepped");
        library::warm_up(&dir).expect("the lock works");
        let pin = Pin::new();
        let world = World::new(dir);
        let cast = Arc::new(Mutex::new(None));
        let threads: Vec<_> = (0..PEERS)
            .map(|me| {
                let seat = Seat {
                    world: Arc::clone(&world),
                    me,
                };
                let cast = Arc::clone(&cast);
                std::thread::spawn(move || play(&seat, &cast))
            })
            .collect();
        let handles = threads.iter().map(|thread| thread.thread().clone()).collect();
        world.set_threads(handles, std::thread::current());
        Stage {
            world,
            cast,
            threads,
            _pin: pin,
            tally: Tally::default(),
        }
    }

    /// Plays a scenario once.
    pub fn play(&mut self, scenario: &Scenario, chooser: Box<dyn Chooser>) -> Result<(), Violation> {
        let shipped = scenario.peers.iter().map(|peer| matches!(peer, Peer::Shipped(_)));
        self.world.reset(shipped, scenario);
        self.clear();
        let now = self.world.state().system_time();
        scenario
            .before
            .set_up(&self.world.dir, now, scenario.place)
            .expect("the directory can be written to");
        self.set_cast(Some(scenario.peers.clone()));
        self.world.run(chooser);
        let checked = self.check(scenario);
        self.count();
        let trace = |what| Violation {
            what,
            trace: self.world.trace(&scenario.names()),
        };
        checked.map_err(trace)
    }

    /// Plays a scenario in every schedule within the bound, up to the first violation.
    pub fn explore(&mut self, scenario: &Scenario, bound: Bound) -> Result<usize, Violation> {
        let explorer = Arc::new(Mutex::new(Explorer::new(bound)));
        for schedules in 1.. {
            self.play(scenario, Box::new(Shared(Arc::clone(&explorer))))?;
            if !lock(&explorer).advance() {
                return Ok(schedules);
            }
        }
        unreachable!("there are no more numbers")
    }

    /// Plays a scenario in the schedule of a seed.
    pub fn roll(&mut self, scenario: &Scenario, random: Random, crashes: usize) -> Result<(), Violation> {
        self.play(scenario, Box::new(Dice::new(random, crashes)))
    }

    /// What happened in the last schedule, step by step.
    pub fn trace(&self, scenario: &Scenario) -> String {
        self.world.trace(&scenario.names())
    }

    fn check(&self, scenario: &Scenario) -> Result<(), String> {
        if let Some(violation) = self.world.state().violation.clone() {
            return Err(violation);
        }
        let gave_up = self.world.state().has_given_up();
        let clean = matches!(scenario.before, Before::Free) && self.world.state().crashes == 0 && !gave_up;
        if clean {
            self.expect_only(&["changes.journal"])?;
        }
        // No peer has this number.
        let seat = Seat {
            world: Arc::clone(&self.world),
            me: scenario.peers.len(),
        };
        library::aftermath(&seat).map_err(|error| format!("after everybody is gone: {error:?}"))?;
        self.check_journal()?;
        library::sweep(&seat).map_err(|error| format!("sweeping: {error:?}"))?;
        match self.world.state().has_crashed_shipped() {
            true => self.expect_only(&["changes.journal", "changes.journal.tmp"]),
            false => self.expect_only(&["changes.journal"]),
        }
    }

    fn check_journal(&self) -> Result<(), String> {
        let journal = fs::read_to_string(self.world.dir.join("changes.journal")).ok();
        self.world.state().oracle.check_journal(journal.as_deref())
    }

    fn expect_only(&self, names: &[&str]) -> Result<(), String> {
        let left: Vec<String> = self.listing().filter(|name| !names.contains(&name.as_str())).collect();
        match left.is_empty() {
            true => Ok(()),
            false => Err(format!("left behind: {}", left.join(", "))),
        }
    }

    fn listing(&self) -> impl Iterator<Item = String> {
        let entries = fs::read_dir(&self.world.dir).expect("the directory can be read");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
    }

    fn clear(&self) {
        for name in self.listing() {
            fs::remove_file(self.world.dir.join(name)).expect("a file can be removed");
        }
    }

    fn count(&mut self) {
        let state = self.world.state();
        self.tally += Tally {
            schedules: 1,
            steps: state.steps,
            crashes: state.crashes,
            held: state.oracle.held,
            acknowledged: state.oracle.acknowledged,
            timeouts: state.oracle.timeouts,
            robbed: state.oracle.robbed,
            undone: state.oracle.undone_count,
        };
    }

    fn set_cast(&self, cast: Option<Vec<Peer>>) {
        *lock(&self.cast) = cast;
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.set_cast(None);
        for (me, thread) in self.threads.drain(..).enumerate() {
            self.world.give_turn(me);
            if thread.join().is_err() {
                eprintln!("a peer's thread has panicked");
            }
        }
        if let Err(error) = fs::remove_dir_all(&self.world.dir) {
            eprintln!("{}: {error}", self.world.dir.display());
        }
    }
}

/// A peer's thread: plays its part each time its first turn comes.
fn play(seat: &Seat, cast: &Mutex<Option<Vec<Peer>>>) {
    loop {
        seat.world.await_turn(seat.me);
        let Some(peer) = lock(cast).as_ref().map(|peers| peers[seat.me].clone()) else {
            return;
        };
        let lived = catch_unwind(AssertUnwindSafe(|| {
            seat.begin();
            let _ = match &peer {
                Peer::Library(ops) => library::live(seat, ops),
                Peer::Shipped(ops) => shipped::live(seat, ops),
                Peer::Copy(bug, ops) => copy::live(seat, *bug, ops),
            }; // dead or alive, it is finished
        }));
        if lived.is_err() {
            seat.violate(format!("peer {} panicked", seat.me));
        }
        seat.end();
        seat.gone();
    }
}

/// The explorer continues from one schedule to the next.
struct Shared(Arc<Mutex<Explorer>>);

impl Chooser for Shared {
    fn choose(&mut self, choices: &[Choice], so_far: u64) -> Option<Choice> {
        lock(&self.0).choose(choices, so_far)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn in_memory() -> PathBuf {
    let shm = Path::new("/dev/shm");
    match rustix::fs::access(shm, rustix::fs::Access::WRITE_OK).is_ok() {
        true => shm.to_owned(),
        false => std::env::temp_dir(),
    }
}

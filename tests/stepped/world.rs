//! The scheduler: of all peers one runs at a time, from one system call to the next. Time is the world's own, and
//! files have that time. Nothing depends on the speed of the machine, so a schedule can be run again.
//!
//! [`State::may_pass`] and [`State::may_end`] say what it must not do because the protocol promises nothing in that
//! case.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, SystemTime};

use jlock::seam::Verdict;

use crate::oracle::{Oracle, Standing};
use crate::scenario::{Place, Scenario};
use crate::schedule::{Choice, Chooser};

pub const SETTLE: Duration = Duration::from_millis(100);
/// A shipped peer takes a lock that is older than this to be dead.
pub const SHIPPED_STALE: Duration = Duration::from_secs(30);
/// A library peer settles again if its sign of life is older than this.
const LATE: Duration = Duration::from_secs(29);
/// A private file's mtime is renewed only once it is older than this.
const FRESH: Duration = Duration::from_secs(1);
/// A shipped peer that stamps its lock later than this after creating it has lost it.
const STAMPED_WITHIN: Duration = Duration::from_secs(5);
/// Calls that a library peer makes because it has just seen that the lock is its own; they cannot be undone.
const RELYING: [&str; 2] = ["unlinkat", "renameat"];
/// A shipped peer takes a lock that is 30 s old; a library peer gives its own up for lost at 29 s, until it has
/// settled.
const RELYING_WITHIN: Duration = Duration::from_secs(1);
/// How long everybody is frozen at a time: past each of the ages that the protocol uses.
const FREEZES: [Duration; 4] = [
    Duration::from_secs(6),
    Duration::from_secs(16),
    Duration::from_millis(29_500),
    Duration::from_secs(31),
];
/// The call that comes next for a shipped peer that has created a lock and not stamped it yet.
pub const CREATED: &str = "write: lock";
/// How long a process is stopped: longer than every threshold.
const STOPPED: Duration = Duration::from_secs(31);
/// By how much the wall clock is set.
const CLOCKS_MS: [i64; 2] = [3_600_000, -3_600_000];
/// When a process is killed, the kernel ends its write at the end of a page of the file.
const PAGE: u64 = 4096;
/// What the wall clock shows when the monotonic one shows 0: long ago, so that no file has a time of the machine's.
const EPOCH_MS: i64 = 1_600_000_000_000;
/// No schedule takes this many steps, unless it goes round in circles.
const MANY_STEPS: usize = 20_000;
/// Whose turn it is when all peers are gone.
const NOBODY: usize = usize::MAX;

/// What the scheduler must respect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// No library process releases and ends between the moment when a shipped peer reads its lock and the moment when
    /// that peer asks whether it is alive: the shipped peer would take the next holder to be dead, and nobody can
    /// promise exclusion then.
    pub nobody_ends_while_judged: bool,
    /// If that happens nevertheless, nobody is blamed for it. `Oracle` says what it may lead to.
    pub forgives_the_instant: bool,
    /// Time passes only when nobody can go on, so a peer that runs is never slower than a settle.
    pub prompt: bool,
    /// The wall clock may be set.
    pub clocks: bool,
    /// A shipped peer may be stopped between creating a lock and stamping it. When it goes on, it always believes
    /// that it holds the lock, so its holds do not count.
    pub late_creator: bool,
}

impl Rules {
    pub const STRICT: Rules = Rules {
        nobody_ends_while_judged: true,
        forgives_the_instant: false,
        prompt: false,
        clocks: false,
        late_creator: false,
    };
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Ready,
    Asleep {
        until: Duration,
        /// It also wakes when the directory changes, like a wait that inotify ends.
        since: Option<u64>,
    },
    Gone,
}

struct Peer {
    phase: Phase,
    shipped: bool,
    /// Since when it has been about to make a call that relies on the lock being its own.
    relying: Option<Duration>,
    /// The call that it is about to make.
    call: &'static str,
    /// Until when it is stopped.
    stopped: Duration,
    /// It is about to write to the journal, which has this size, and the write may be cut off.
    tearing: Option<u64>,
    /// The write was cut off.
    torn: bool,
    begun: bool,
    doomed: bool,
    /// The step at which it began what it is doing.
    since: usize,
    /// When it began what it is doing, or was about to refresh, by the wall clock: its lock is not older.
    signed_ms: i64,
    /// Its stamp has been in the lock at some time since it began what it is doing.
    won: bool,
    /// It gave up although it had won the lock, and left the lock behind.
    gave_up: bool,
    /// Its last call, apart from those that close a file: the step, and the wall clock at that time.
    acted: (usize, i64),
    /// It has done all that it was to do, and its process is about to end.
    ending: bool,
    crashed: bool,
}

/// What the shipped peer is in the middle of, by the time at which that began.
#[derive(Debug, Default)]
pub struct Judging {
    /// From opening the lock in order to read it until it has renamed over it or left it alone.
    pub lock: Option<Duration>,
    /// Whose lock that is, as long as it has not asked whether that process is alive.
    pub owner: Option<usize>,
    /// That process has released the lock and ended meanwhile: the instant that stays.
    pub ended: bool,
    /// From creating a lock to stamping it.
    pub unstamped: Option<Duration>,
    /// Holding a lock.
    pub holds: Option<Duration>,
}

/// The state before a call that removes or replaces something.
pub struct Before {
    /// When the peer made its last call.
    looked: usize,
    owner: Option<Option<usize>>,
    journal: Option<u64>,
}

pub struct State {
    pub now: Duration,
    /// By how much the wall clock was set.
    clock_ms: i64,
    pub oracle: Oracle,
    pub judging: Judging,
    pub violation: Option<String>,
    pub steps: usize,
    pub crashes: usize,
    dir: PathBuf,
    rules: Rules,
    place: Place,
    focus: Option<&'static [&'static str]>,
    peers: Vec<Peer>,
    /// Who ran last.
    last: Option<usize>,
    nonces: u64,
    changes: u64,
    chooser: Option<Box<dyn Chooser>>,
    menu: Vec<Choice>,
    trace: Trace,
    /// Stands for the whole trace.
    so_far: DefaultHasher,
    /// The trace of the schedule before.
    trace_before: Trace,
}

/// Who did what, and when.
type Trace = Vec<(usize, Duration, Cow<'static, str>)>;

/// The number of the peer that drew this nonce.
pub fn owner_of(stamp: &str) -> Option<usize> {
    let (_, random) = stamp.lines().nth(1)?.split_once('-')?;
    let number = u64::from_str_radix(random, 16).ok()?;
    usize::try_from(number >> 32).ok()?.checked_sub(1)
}

fn system_time(ms: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms.unsigned_abs())
}

impl State {
    fn new(dir: &Path) -> State {
        State {
            now: Duration::from_secs(1000),
            clock_ms: 0,
            oracle: Oracle::default(),
            judging: Judging::default(),
            violation: None,
            steps: 0,
            crashes: 0,
            dir: dir.to_owned(),
            rules: Rules::STRICT,
            place: Place::LOCAL,
            focus: None,
            peers: Vec::new(),
            last: None,
            nonces: 0,
            changes: 0,
            chooser: None,
            menu: Vec::new(),
            trace: Vec::new(),
            so_far: DefaultHasher::new(),
            trace_before: Vec::new(),
        }
    }

    pub fn realtime_ms(&self) -> i64 {
        EPOCH_MS + self.clock_ms + self.now.as_millis() as i64
    }

    /// The random part of a nonce, which says who drew it.
    pub fn nonce(&mut self, peer: usize) -> u64 {
        self.nonces += 1;
        ((peer as u64 + 1) << 32) | self.nonces
    }

    pub fn note(&mut self, peer: usize, what: impl Into<Cow<'static, str>>) {
        let what = what.into();
        (peer, self.now, &what).hash(&mut self.so_far);
        self.trace.push((peer, self.now, what));
    }

    /// Something outside the schedule had an influence, so the exploration would prove nothing.
    fn stray(&mut self) {
        let differ = self
            .trace
            .iter()
            .zip(&self.trace_before)
            .position(|(now, before)| now != before);
        let before = differ.map(|at| &self.trace_before[at]);
        self.violate(format!(
            "the same decisions led to another place: at step {differ:?}, where the schedule before had {before:?}"
        ));
    }

    /// Something forbidden has happened: the schedule ends here.
    pub fn violate(&mut self, what: String) {
        if self.violation.is_none() {
            self.violation = Some(what);
            for peer in &mut self.peers {
                peer.doomed = true;
            }
        }
    }

    pub fn is_alive(&self, peer: usize) -> bool {
        !matches!(self.peers[peer].phase, Phase::Gone)
    }

    pub fn has_shipped(&self) -> bool {
        self.peers.iter().any(|peer| peer.shipped)
    }

    pub fn is_shipped_alive(&self) -> bool {
        self.peers
            .iter()
            .any(|peer| peer.shipped && !matches!(peer.phase, Phase::Gone))
    }

    /// The shipped peer is about to rename over the present lock, or to remove it.
    pub fn steal(&mut self) {
        let Some(victim) = self.lock_owner() else { return };
        match self.judging.ended && self.rules.forgives_the_instant {
            true => self.oracle.steal_in_the_instant(victim, self.steps),
            false => self.oracle.steal(victim, self.steps),
        }
    }

    /// The shipped peer has found that the present lock is older than 30 s. It may take it if its holder has given no
    /// sign of life for that long. (A lock is no older than that, apart from the second for which a sign is not
    /// renewed.)
    pub fn judge_by_age(&mut self) {
        let is_silent = |owner: &usize| {
            let signed = self.peers.get(*owner).map(|peer| peer.signed_ms);
            signed.is_none_or(|at| self.realtime_ms() - at > SHIPPED_STALE.as_millis() as i64)
        };
        let victim = self.lock_owner().filter(is_silent);
        self.oracle.judge_by_age(victim, self.steps);
    }

    /// This peer made a call that removes or replaces something; `before` is what the lock and the journal were.
    fn check_change(&mut self, peer: usize, before: &Before) {
        let now = self.steps;
        let checked = match (before.owner, self.lock_owner_if_any()) {
            (Some(owner), None) if owner != Some(peer) => {
                let shipped = self.peers.iter().position(|it| it.shipped);
                // A lock that is not stamped yet is a shipped peer's.
                let owner = owner.or(shipped.filter(|_| self.judging.unstamped.is_some()));
                let is_shipped = owner.is_some() && owner == shipped;
                self.oracle.remove_anothers(peer, before.looked, now, owner, is_shipped)
            }
            _ => Ok(()),
        };
        let replaced = before.journal.is_some() && self.journal_inode() != before.journal;
        let checked = checked.and_then(|()| match replaced && before.owner != Some(Some(peer)) {
            true => self.oracle.replace_anothers(peer, before.looked, now),
            false => Ok(()),
        });
        if let Err(violation) = checked {
            self.violate(violation);
        }
    }

    fn journal_inode(&self) -> Option<u64> {
        Some(fs::metadata(self.dir.join("changes.journal")).ok()?.ino())
    }

    /// The shipped peer's hold is over.
    pub fn let_go(&mut self, peer: usize) {
        self.judging.holds = None;
        self.oracle.settle_accounts(peer, self.steps);
    }

    /// Whether somebody ran out of time while it settled, and left its lock to the next peer (PROTOCOL.md, *Settle*).
    pub fn has_given_up(&self) -> bool {
        self.peers.iter().any(|peer| peer.gave_up)
    }

    pub fn has_crashed_shipped(&self) -> bool {
        self.peers.iter().any(|peer| peer.shipped && peer.crashed)
    }

    /// The wall clock, as files show it.
    pub fn system_time(&self) -> SystemTime {
        system_time(self.realtime_ms())
    }

    /// Whose stamp is in the lock.
    pub fn lock_owner(&self) -> Option<usize> {
        self.lock_owner_if_any().flatten()
    }

    /// Like [`lock_owner`](Self::lock_owner), but `None` if there is no lock.
    pub fn lock_owner_if_any(&self) -> Option<Option<usize>> {
        let text = fs::read_to_string(self.dir.join("changes.journal.lock")).ok()?;
        Some(owner_of(&text))
    }

    /// Whether the lock's last sign of life was too old to be relied on when the wall clock showed this.
    fn was_lock_old(&self, then_ms: i64) -> bool {
        let modified = fs::metadata(self.dir.join("changes.journal.lock")).and_then(|meta| meta.modified());
        modified.is_ok_and(|at| system_time(then_ms).duration_since(at).is_ok_and(|age| age > LATE))
    }

    /// Whether this much time may pass. The shipped peer renames within the settle time after reading (P2), stamps
    /// within 5 s after creating, and holds no lock for more than 30 s. Beside one, no library peer is frozen for a
    /// second between its last look at the lock and the call that relies on it.
    fn may_pass(&self, to: Duration) -> bool {
        let judging = &self.judging;
        if self.rules.late_creator {
            return true;
        }
        judging.lock.is_none_or(|since| to < since + SETTLE)
            && judging.unstamped.is_none_or(|since| to <= since + STAMPED_WITHIN)
            && judging.holds.is_none_or(|since| to <= since + SHIPPED_STALE)
            && self
                .peers
                .iter()
                .all(|peer| peer.relying.is_none_or(|since| to <= since + RELYING_WITHIN))
    }

    /// Whether a peer's process may end now, by itself or by a crash.
    fn may_end(&self, peer: usize) -> bool {
        !self.rules.nobody_ends_while_judged
            || self.judging.owner != Some(peer)
            || self.violation.is_some()
            || self.lock_owner() == Some(peer)
    }

    /// Whether a peer may be stopped where it is. The protocol promises nothing if a shipped peer is stopped, or if,
    /// beside one, a library peer is stopped between its last look at the lock and the call that relies on it.
    fn may_stop(&self, peer: usize) -> bool {
        let it = &self.peers[peer];
        let is_late_creator = self.rules.late_creator && it.call == CREATED;
        it.begun && (!it.shipped || is_late_creator) && !it.ending && it.relying.is_none() && self.is_able(peer)
    }

    /// Whether the wall clock may be set: not while a shipped peer holds the lock, which would then look older than
    /// 30 s, and, beside one, not while a peer relies on its last look.
    fn may_set_clock(&self) -> bool {
        let at_peace = self.judging.holds.is_none() && self.judging.unstamped.is_none();
        self.rules.clocks && at_peace && self.peers.iter().all(|peer| peer.relying.is_none())
    }

    fn is_able(&self, peer: usize) -> bool {
        let it = &self.peers[peer];
        match it.phase {
            Phase::Gone => false,
            _ if it.doomed => true,
            _ if it.stopped > self.now => false,
            Phase::Ready => !it.ending || self.may_end(peer),
            Phase::Asleep { until, since } => until <= self.now || since.is_some_and(|seen| seen < self.changes),
        }
    }

    /// Who sleeps or is stopped, and until when.
    fn sleepers(&self) -> impl Iterator<Item = (usize, Duration)> {
        self.peers.iter().enumerate().filter_map(|(peer, it)| match it.phase {
            // A change wakes it, but not while it is stopped.
            Phase::Asleep { since: Some(seen), .. } if seen < self.changes => Some((peer, it.stopped)),
            Phase::Asleep { until, .. } => Some((peer, until.max(it.stopped))),
            Phase::Ready if it.stopped > self.now => Some((peer, it.stopped)),
            Phase::Ready | Phase::Gone => None,
        })
    }

    /// Cuts off what a peer wrote to the journal where the kernel may have ended its write.
    fn tear(&mut self, peer: usize) {
        let Some(before) = self.peers[peer].tearing else { return };
        let journal = File::options().write(true).open(self.dir.join("changes.journal"));
        let cut = journal.and_then(|journal| {
            let page = (before / PAGE + 1) * PAGE;
            match journal.metadata()?.len() > page {
                true => journal.set_len(page),
                false => Ok(()), // within one page, where no kill cuts it
            }
        });
        if let Err(error) = cut {
            self.violate(format!("the journal cannot be cut: {error}"));
        }
    }

    /// Whose turn it is; `None` if everybody is gone.
    fn decide(&mut self) -> Option<usize> {
        loop {
            if self.peers.iter().all(|peer| matches!(peer.phase, Phase::Gone)) {
                return None;
            }
            if !(0..self.peers.len()).any(|peer| self.is_able(peer)) {
                match self.sleepers().map(|(_, until)| until).min() {
                    Some(until) if self.may_pass(until) => self.now = until,
                    _ => self.violate("nobody can go on".to_owned()),
                }
                continue;
            }
            let choice = self.choose();
            let peer = match choice {
                Choice::Go(peer) | Choice::Preempt(peer) => peer,
                Choice::Wake(peer) => {
                    let woken = self.sleepers().find(|(sleeper, _)| *sleeper == peer);
                    self.now = woken.expect("who wakes was asleep").1;
                    peer
                }
                Choice::Freeze(time) => {
                    self.now += time;
                    continue;
                }
                Choice::Stop(peer) => {
                    self.note(peer, "is stopped");
                    self.peers[peer].stopped = self.now + STOPPED;
                    continue;
                }
                Choice::Clock(ms) => {
                    self.note(0, format!("the wall clock is set by {ms} ms"));
                    self.clock_ms += ms;
                    continue;
                }
                Choice::Crash(peer) | Choice::Tear(peer) => {
                    self.peers[peer].torn = matches!(choice, Choice::Tear(_));
                    self.note(
                        peer,
                        if self.peers[peer].torn {
                            "dies as it writes"
                        } else {
                            "dies"
                        },
                    );
                    self.crashes += 1;
                    self.peers[peer].doomed = true;
                    self.peers[peer].crashed = true;
                    self.peers[peer].phase = Phase::Ready;
                    return Some(peer);
                }
            };
            self.peers[peer].phase = Phase::Ready;
            self.last = Some(peer);
            return Some(peer);
        }
    }

    fn choose(&mut self) -> Choice {
        let mut menu = std::mem::take(&mut self.menu);
        menu.clear();
        let everyone = 0..self.peers.len();
        let mut strays = self.violation.is_none();
        if let Some(last) = self.last.filter(|last| self.is_able(*last)) {
            menu.push(Choice::Go(last));
            strays &= self.focus.is_none_or(|calls| calls.contains(&self.peers[last].call));
            if strays {
                menu.extend(
                    everyone
                        .clone()
                        .filter(|p| *p != last && self.is_able(*p))
                        .map(Choice::Preempt),
                );
            }
        } else {
            menu.extend(everyone.clone().filter(|p| self.is_able(*p)).map(Choice::Go));
        }
        if strays {
            let wakes = |(peer, until): &(usize, Duration)| !self.is_able(*peer) && self.may_pass(*until);
            if !self.rules.prompt {
                menu.extend(self.sleepers().filter(wakes).map(|(peer, _)| Choice::Wake(peer)));
            }
            let crashes = |p: &usize| self.peers[*p].begun && self.is_alive(*p) && self.may_end(*p);
            // If a shipped peer comes first, nobody takes back what was cut.
            let tears = |p: &usize| !self.has_shipped() && crashes(p) && self.peers[*p].tearing.is_some();
            menu.extend(everyone.clone().filter(crashes).map(Choice::Crash));
            menu.extend(everyone.clone().filter(tears).map(Choice::Tear));
            if !self.rules.prompt {
                menu.extend(
                    FREEZES
                        .into_iter()
                        .filter(|time| self.may_pass(self.now + *time))
                        .map(Choice::Freeze),
                );
                menu.extend(self.last.filter(|last| self.may_stop(*last)).map(Choice::Stop));
            }
            if self.may_set_clock() {
                menu.extend(CLOCKS_MS.map(Choice::Clock));
            }
        }
        let so_far = self.so_far.finish();
        let choice = match &mut self.chooser {
            Some(chooser) if self.violation.is_none() => chooser.choose(&menu, so_far),
            _ => Some(menu[0]),
        };
        let choice = choice.unwrap_or_else(|| {
            self.stray();
            menu[0]
        });
        self.menu = menu;
        choice
    }

    /// The steps, one a line.
    fn trace(&self, names: &[String]) -> String {
        let mut text = String::new();
        for (peer, now, what) in &self.trace {
            let at = now.as_micros() as f64 / 1000.0;
            writeln!(
                text,
                "{at:>12.3} ms  {:indent$}{}: {what}",
                "",
                names[*peer],
                indent = 4 * peer
            )
            .expect("a String takes everything");
        }
        text
    }
}

// ------------------------------------------------------------------------------------------------------- the world

pub struct World {
    pub dir: PathBuf,
    state: Mutex<State>,
    turn: AtomicUsize,
    threads: OnceLock<(Vec<Thread>, Thread)>,
}

impl World {
    pub fn new(dir: PathBuf) -> Arc<World> {
        Arc::new(World {
            state: Mutex::new(State::new(&dir)),
            dir,
            turn: AtomicUsize::new(NOBODY),
            threads: OnceLock::new(),
        })
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // only the peer whose turn it is changes it
    }

    /// Sets the threads of the peers, and the one that waits for them.
    pub fn set_threads(&self, peers: Vec<Thread>, director: Thread) {
        let unset = self.threads.set((peers, director));
        assert!(unset.is_ok(), "a world has one set of threads");
    }

    /// Starts everything from the beginning with these peers; `shipped` says which of them are shipped ones.
    pub fn reset(&self, shipped: impl Iterator<Item = bool>, scenario: &Scenario) {
        let mut state = self.state();
        let trace_before = std::mem::take(&mut state.trace);
        *state = State::new(&self.dir);
        state.trace_before = trace_before;
        state.rules = scenario.rules;
        state.place = scenario.place;
        state.focus = scenario.focus;
        state.peers.extend(shipped.map(|shipped| Peer {
            phase: Phase::Ready,
            shipped,
            relying: None,
            call: "",
            stopped: Duration::ZERO,
            tearing: None,
            torn: false,
            begun: false,
            doomed: false,
            since: 0,
            signed_ms: 0,
            won: false,
            gave_up: false,
            acted: (0, 0),
            ending: false,
            crashed: false,
        }));
    }

    pub fn place(&self) -> Place {
        self.state().place
    }

    /// Runs all peers until they end.
    pub fn run(&self, chooser: Box<dyn Chooser>) {
        let first = {
            let mut state = self.state();
            state.chooser = Some(chooser);
            state.decide()
        };
        self.pass_to(first);
        self.await_turn(NOBODY);
        self.state().chooser = None;
    }

    fn pass_to(&self, peer: Option<usize>) {
        let (peers, director) = self.threads.get().expect("the threads were set");
        self.turn.store(peer.unwrap_or(NOBODY), Ordering::Release);
        peer.map_or(director, |peer| &peers[peer]).unpark();
    }

    /// Gives a peer its turn outside of any schedule.
    pub fn give_turn(&self, peer: usize) {
        self.pass_to(Some(peer));
    }

    pub fn await_turn(&self, me: usize) {
        while self.turn.load(Ordering::Acquire) != me {
            std::thread::park();
        }
    }

    pub fn trace(&self, names: &[String]) -> String {
        self.state().trace(names)
    }
}

/// A peer's place in the world.
#[derive(Clone)]
pub struct Seat {
    pub world: Arc<World>,
    pub me: usize,
}

/// The peer is dead and does nothing more.
#[derive(Debug)]
pub struct Died;

impl Seat {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.world.state()
    }

    pub fn begin(&self) {
        self.state().peers[self.me].begun = true;
    }

    /// Like [`step`](Self::step), before a call that writes to the end of the journal. Returns `true` if the write is
    /// cut off, and this peer dies of it.
    pub fn step_to_write(&self, call: &'static str) -> Result<bool, Died> {
        let size = fs::metadata(self.world.dir.join("changes.journal")).map(|meta| meta.len());
        self.state().peers[self.me].tearing = size.ok();
        let stepped = self.step(call);
        let mut state = self.state();
        let it = &mut state.peers[self.me];
        match stepped {
            Err(Died) if it.torn => Ok(true),
            _ => {
                it.tearing = None;
                stepped.map(|()| false)
            }
        }
    }

    /// To be called before a system call: lets others run first.
    pub fn step(&self, call: &'static str) -> Result<(), Died> {
        self.yield_turn(|state| {
            let relies = RELYING.contains(&call) && state.is_shipped_alive();
            state.peers[self.me].call = call;
            state.peers[self.me].relying = relies.then_some(state.now);
        });
        let mut state = self.state();
        state.peers[self.me].relying = None;
        if state.peers[self.me].doomed {
            return Err(Died);
        }
        state.steps += 1;
        if state.steps == MANY_STEPS {
            state.violate("it never ends".to_owned());
        }
        state.note(self.me, call);
        if call != "close" {
            state.peers[self.me].acted = (state.steps, state.realtime_ms());
        }
        Ok(())
    }

    /// A call whose exact moment no other peer can notice.
    pub fn step_alone(&self) -> Result<(), Died> {
        match self.state().peers[self.me].doomed {
            true => Err(Died),
            false => Ok(()),
        }
    }

    /// To be called after a call that changed the directory.
    pub fn changed(&self) {
        self.state().changes += 1;
    }

    /// Sleeps until then, or, with `until_change`, until somebody changes the directory.
    pub fn sleep(&self, until: Duration, until_change: bool) {
        self.yield_turn(|state| {
            let since = until_change.then_some(state.changes);
            state.note(self.me, "sleeps");
            state.peers[self.me].phase = Phase::Asleep { until, since };
        });
    }

    /// The process is about to end by itself, unless it is dead.
    pub fn end(&self) {
        if !self.state().peers[self.me].doomed {
            self.yield_turn(|state| state.peers[self.me].ending = true);
        }
    }

    /// The process has ended.
    pub fn gone(&self) {
        let next = {
            let mut state = self.state();
            if !state.peers[self.me].crashed {
                state.note(self.me, "ends");
            }
            state.oracle.leave(self.me);
            if state.peers[self.me].shipped {
                state.let_go(self.me);
            }
            if state.judging.owner == Some(self.me) && state.lock_owner() != Some(self.me) {
                state.judging.ended = true;
            }
            if state.peers[self.me].torn {
                state.tear(self.me);
            }
            state.changes += 1;
            state.peers[self.me].phase = Phase::Gone;
            state.decide()
        };
        self.world.pass_to(next);
    }

    fn yield_turn(&self, before: impl FnOnce(&mut State)) {
        let next = {
            let mut state = self.state();
            before(&mut state);
            state.decide()
        };
        if next != Some(self.me) {
            self.world.pass_to(next);
            self.world.await_turn(self.me);
        }
    }

    // ------------------------------------------------------------------------------------------- for the oracle

    pub fn violate(&self, what: String) {
        self.state().violate(what);
    }

    /// This peer begins something.
    pub fn begin_operation(&self) {
        let mut state = self.state();
        let signed_ms = state.realtime_ms() - FRESH.as_millis() as i64;
        let since = state.steps;
        let it = &mut state.peers[self.me];
        (it.since, it.signed_ms, it.won) = (since, signed_ms, false);
    }

    /// This peer has refreshed, which it was about to do at this time by the wall clock.
    pub fn sign(&self, at_ms: i64) {
        self.state().peers[self.me].signed_ms = at_ms;
    }

    /// This peer ran out of time.
    pub fn time_out(&self) {
        let mut state = self.state();
        state.oracle.timeouts += 1;
        let it = &mut state.peers[self.me];
        it.gave_up |= it.won;
    }

    /// To be called after a call that may have won the lock.
    pub fn look_whether_won(&self) {
        let mut state = self.state();
        let won = state.lock_owner() == Some(self.me);
        state.peers[self.me].won |= won;
    }

    /// To be called before a call that removes or replaces something.
    pub fn before_change(&self, looked: usize) -> Before {
        let state = self.state();
        Before {
            looked,
            owner: state.lock_owner_if_any(),
            journal: state.journal_inode(),
        }
    }

    pub fn after_change(&self, before: &Before) {
        self.state().check_change(self.me, before);
    }

    /// When this peer made its last call.
    pub fn looked(&self) -> usize {
        self.state().peers[self.me].acted.0
    }

    /// Whether this peer may be told that it has lost the lock.
    pub fn may_be_lost(&self) -> bool {
        let state = self.state();
        state.oracle.may_be_lost(self.me, state.peers[self.me].since)
    }

    /// This peer holds the lock.
    pub fn enter(&self) -> Result<(), Died> {
        let mut state = self.state();
        state.note(self.me, "HOLDS");
        if state.rules.late_creator && state.peers[self.me].shipped {
            return Ok(());
        }
        let shipped = state.peers[self.me].shipped;
        // Whatever happens after its last call happens in its hold.
        let (since, acted_ms) = state.peers[self.me].acted;
        let is_own = state.lock_owner() == Some(self.me);
        let is_old = state.was_lock_old(acted_ms) && state.was_lock_old(state.realtime_ms());
        let began = state.peers[self.me].since;
        let entered = match state.oracle.enter(self.me, since, began, is_own) {
            Ok(Standing::Good) if !is_own => Err("acquire reports a hold of another's lock".to_owned()),
            Ok(Standing::Good) if !shipped && is_old => {
                Err("acquire reports a hold of a lock that is already old".to_owned())
            }
            entered => entered.map(drop),
        };
        entered.map_err(|violation| {
            state.violate(format!("peer {}: {violation}", self.me));
            Died
        })
    }

    /// It has given a sign of life, and was told that it holds the lock.
    pub fn renew(&self) -> Result<(), Died> {
        let mut state = self.state();
        let (since, _) = state.peers[self.me].acted;
        match state.oracle.renew(self.me, since) {
            Ok(()) => Ok(()),
            Err(violation) => {
                state.violate(violation);
                Err(Died)
            }
        }
    }

    /// It is about to release.
    pub fn leave(&self) -> Option<Standing> {
        let mut state = self.state();
        state.note(self.me, "releases");
        state.oracle.leave(self.me)
    }

    /// A new entry to append: its path and its number.
    pub fn new_entry(&self) -> (String, usize) {
        let mut state = self.state();
        let path = format!("peer-{}/entry-{}", self.me, state.steps);
        let now = state.steps;
        let entry = state.oracle.append(path.clone(), now);
        (path, entry)
    }

    pub fn acknowledge(&self, entry: usize) {
        let mut state = self.state();
        state.note(self.me, format!("has appended entry {entry}"));
        let now = state.steps;
        state.oracle.acknowledge(entry, now);
    }

    // --------------------------------------------------------------------------------- for peers without the seam

    /// Gives a file that was created or written to the world's time.
    pub fn written(&self, file: &File) {
        file.set_modified(self.state().system_time())
            .expect("the file's time can be set");
    }

    pub fn write(&self, file: &mut File, content: &str) {
        file.write_all(content.as_bytes()).expect("the file can be written to");
        self.written(file);
    }

    /// What the seam is to return for a step.
    pub fn verdict(step: Result<(), Died>) -> Verdict {
        match step {
            Ok(()) => Verdict::Proceed,
            Err(Died) => Verdict::Die,
        }
    }
}

//! A library peer: the real code, behind the seam.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use jlock::seam::{self, Hook, Verdict};
use jlock::{Entry, ErrorKind, Lock};

use crate::oracle::Standing;
use crate::scenario::{Op, Place};
use crate::world::{Before, Died, Seat};

/// Calls whose exact moment no other peer can notice: they look at nothing that others change, and change nothing
/// that others see. All other calls are scheduled, also those that are unknown here.
const ALONE: [&str; 10] = [
    "getrandom",
    "fstatfs",
    "eventfd2",
    "timerfd_create",
    "timerfd_settime",
    "epoll_create1",
    "epoll_ctl",
    "fchmod",
    "fdatasync",
    "fsync",
];
/// Calls that wake a waiting peer.
const WAKING: [&str; 3] = ["unlinkat", "renameat", "renameat2"];
/// Calls that can win a lock.
const WINNING: [&str; 4] = ["linkat", "pwrite64", "renameat", "renameat2"];
/// How late a short sleep ends at most. Any sleep may end late; delaying only short ones saves steps.
const LATE: Duration = Duration::from_millis(200);
const EMFILE: i32 = 24;
const ESRCH: i32 = 3;
const EINVAL: i32 = 22;
const EOPNOTSUPP: i32 = 95;

/// Lets the world schedule each call of this thread's library.
pub struct Stepper {
    seat: Seat,
    place: Place,
    /// The state before the call that is being made, if it removes or replaces something.
    changing: Option<Before>,
}

impl Stepper {
    fn new(seat: Seat) -> Stepper {
        let place = seat.world.place();
        Stepper {
            seat,
            place,
            changing: None,
        }
    }

    /// Whether a process is alive: the one that stamped the lock, or the shipped peer that made a private file.
    fn lives(&self) -> bool {
        let state = self.seat.state();
        let lives = |owner: Option<usize>| owner.is_some_and(|owner| state.is_alive(owner));
        let owner_lives = state.lock_owner_if_any().map(lives);
        match state.has_shipped() {
            true => state.is_shipped_alive() || owner_lives == Some(true),
            false => owner_lives.unwrap_or(true),
        }
    }

    /// The error of a call that this place does not support.
    fn lacks(&self, call: &str) -> Option<i32> {
        match call {
            "flock" if !self.place.flock => Some(EOPNOTSUPP),
            "fcntl" if !self.place.leases => Some(EINVAL),
            _ => None,
        }
    }

    /// Lets others run before a call is made.
    fn schedule(&self, call: &'static str) -> Verdict {
        match call {
            // The kernel takes 10 ms to close a real queue. Without one, the world wakes sleepers as the queue would.
            "inotify_init1" => Verdict::Fail(EMFILE),
            _ if ALONE.contains(&call) => Seat::verdict(self.seat.step_alone()),
            // All stamps have the PID of this process; the nonce says whose it stands for.
            "kill" => match Seat::verdict(self.seat.step(call)) {
                Verdict::Proceed if !self.lives() => Verdict::Fail(ESRCH),
                verdict => verdict,
            },
            "write" => match self.seat.step_to_write(call) {
                Ok(true) => Verdict::DieAfter,
                Ok(false) => Verdict::Proceed,
                Err(Died) => Verdict::Die,
            },
            _ => match (Seat::verdict(self.seat.step(call)), self.lacks(call)) {
                (Verdict::Proceed, Some(errno)) => Verdict::Fail(errno),
                (verdict, _) => verdict,
            },
        }
    }
}

impl Hook for Stepper {
    fn before(&mut self, call: &'static str) -> Verdict {
        let looked = self.seat.looked();
        let verdict = self.schedule(call);
        self.changing =
            (WAKING.contains(&call) && verdict == Verdict::Proceed).then(|| self.seat.before_change(looked));
        verdict
    }

    fn after(&mut self, call: &'static str) {
        if let Some(before) = self.changing.take() {
            self.seat.after_change(&before);
        }
        if WAKING.contains(&call) {
            self.seat.changed();
        }
        if WINNING.contains(&call) {
            self.seat.look_whether_won();
        }
    }

    fn monotonic(&mut self) -> Option<Duration> {
        Some(self.seat.state().now)
    }

    fn process(&mut self) -> u64 {
        self.seat.me as u64 + 1
    }

    fn realtime_ms(&mut self) -> Option<i64> {
        Some(self.seat.state().realtime_ms())
    }

    fn random(&mut self) -> Option<u64> {
        Some(self.seat.state().nonce(self.seat.me))
    }

    fn has_died(&mut self) -> bool {
        self.seat.step_alone().is_err()
    }

    fn pause(&mut self, call: &'static str, until: Duration) -> bool {
        let now = self.seat.state().now;
        match call {
            "ppoll" => self.seat.sleep(until.max(now + LATE), true),
            _ => self.seat.sleep(until, false),
        }
        true
    }
}
/// Acts as a library peer.
pub fn live(seat: &Seat, ops: &[Op]) -> Result<(), Died> {
    seam::install(Stepper::new(seat.clone()));
    let lived = Life::open(seat).and_then(|life| ops.iter().try_for_each(|op| life.run(*op)));
    seam::uninstall();
    lived
}

struct Life<'s> {
    seat: &'s Seat,
    lock: Lock,
}

impl<'s> Life<'s> {
    fn open(seat: &'s Seat) -> Result<Self, Died> {
        match Lock::open(&seat.world.dir) {
            Ok(lock) => Ok(Life { seat, lock }),
            Err(error) => Err(fail(seat, "open", &error)),
        }
    }

    fn run(&self, op: Op) -> Result<(), Died> {
        self.seat.begin_operation();
        match op {
            Op::Wait(time) => self.pass(time),
            Op::Hold => self.hold(|_| self.seat.step("works")),
            Op::HoldFor(time) => self.hold(|_| self.pass(time)),
            Op::HoldRefreshed(time) => self.hold(|_| {
                for _ in 0..2 {
                    self.pass(time)?;
                    let begun_ms = self.seat.state().realtime_ms();
                    let refreshed = self.lock.refresh();
                    if self.accept("refresh", refreshed)? {
                        self.seat.sign(begun_ms);
                        self.seat.renew()?;
                    }
                }
                self.pass(time)
            }),
            Op::HoldAppend => self.hold(|_| {
                self.seat.step("works")?;
                self.append(None)
            }),
            Op::Append => self.append(None),
            Op::Stamped => {
                let now_ms = self.seat.state().realtime_ms();
                self.append(Some(now_ms))
            }
            Op::Header => self.write_header(),
            Op::Checkpoint => self.checkpoint(),
        }
    }

    fn pass(&self, time: Duration) -> Result<(), Died> {
        let until = self.seat.state().now + time;
        self.seat.sleep(until, false);
        self.seat.step("works")
    }

    fn hold(&self, act: impl FnOnce(&Self) -> Result<(), Died>) -> Result<(), Died> {
        let guard = match self.lock.acquire() {
            Ok(guard) => guard,
            Err(error) => return self.accept("acquire", Err(error)).map(drop),
        };
        self.seat.enter()?;
        act(self)?;
        let standing = self.seat.leave();
        let released = guard.release();
        match (standing, released) {
            (Some(Standing::Robbed), Ok(())) => {
                self.seat
                    .violate("a robbed holder was told that it still holds".to_owned());
                Err(Died)
            }
            (_, released) => self.accept("release", released.map_err(Into::into)).map(drop),
        }
    }

    fn append(&self, stamp: Option<i64>) -> Result<(), Died> {
        let (path, entry) = self.seat.new_entry();
        let journal = self.lock.journal();
        let appended = match stamp {
            None => journal.append([Entry::changed(&path)]),
            Some(timestamp_ms) => journal.append_stamped([Entry::changed(&path)], timestamp_ms),
        };
        if self.accept("append", appended)? {
            self.seat.acknowledge(entry);
        }
        Ok(())
    }

    fn write_header(&self) -> Result<(), Died> {
        let (header, now) = {
            let mut state = self.seat.state();
            let steps = state.steps;
            (state.oracle.write_header(steps), state.realtime_ms())
        };
        let written = self.lock.journal().write_header(now);
        if self.accept("write the header", written)? {
            let mut state = self.seat.state();
            let steps = state.steps;
            state.oracle.header_written(header, steps);
        }
        Ok(())
    }

    fn checkpoint(&self) -> Result<(), Died> {
        let snapshot = match self.lock.journal().read() {
            Ok(snapshot) => snapshot,
            // There is no journal yet, or nobody has stamped it.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Os(2) | ErrorKind::Header | ErrorKind::Unstamped
                ) =>
            {
                return Ok(());
            }
            Err(error) => return Err(fail(self.seat, "read", &error)),
        };
        let now = {
            let mut state = self.seat.state();
            let seen = snapshot
                .changed()
                .map(|path| String::from_utf8_lossy(path).into_owned());
            state.oracle.consume(seen);
            state.realtime_ms()
        };
        let written = self.lock.journal().checkpoint(&snapshot, now).map(drop);
        self.accept("checkpoint", written).map(drop)
    }

    /// Whether it succeeded. A wait that takes too long may fail, and so may anything under a hold that was lost.
    fn accept(&self, what: &str, result: jlock::Result<()>) -> Result<bool, Died> {
        let Err(error) = result else { return Ok(true) };
        match error.kind() {
            _ if seam::is_dead() => Err(Died),
            ErrorKind::TimedOut => {
                self.seat.time_out();
                Ok(false)
            }
            ErrorKind::Lost if self.seat.may_be_lost() => Ok(false),
            _ => Err(fail(self.seat, what, &error)),
        }
    }
}

/// Nothing else may fail, unless the peer is dead.
fn fail(seat: &Seat, what: &str, error: &jlock::Error) -> Died {
    if !seam::is_dead() {
        seat.violate(format!("peer {}: {what}: {error:?}", seat.me));
    }
    Died
}

/// When everybody is gone, the lock can be acquired within its timeout, an append goes into the journal, and nothing
/// is left behind. This runs in the world's time, with nobody else to run.
pub fn aftermath(seat: &Seat) -> jlock::Result<()> {
    seam::install(Alone { seat: seat.clone() });
    let done = (|| {
        let lock = Lock::open(&seat.world.dir)?;
        let guard = lock.acquire_for(AFTERMATH)?;
        let (path, entry) = seat.new_entry();
        lock.journal().append([Entry::changed(&path)])?;
        seat.acknowledge(entry);
        Ok(guard.release()?)
    })();
    seam::uninstall();
    done
}

/// A lock that a shipped peer's death left empty is taken over when it is 5 s old.
const AFTERMATH: Duration = Duration::from_millis(5500);

/// Waits until everything there is old, then opens and closes a handle, which sweeps.
pub fn sweep(seat: &Seat) -> jlock::Result<()> {
    seat.state().now += Duration::from_secs(31);
    seam::install(Alone { seat: seat.clone() });
    let swept = Lock::open(&seat.world.dir).map(drop);
    seam::uninstall();
    swept
}

/// Nobody else is there, so calls are simply made, and sleeps end at once.
struct Alone {
    seat: Seat,
}

impl Hook for Alone {
    fn before(&mut self, call: &'static str) -> Verdict {
        match call {
            "inotify_init1" => Verdict::Fail(EMFILE),
            "kill" => Verdict::Fail(ESRCH),
            _ => Verdict::Proceed,
        }
    }

    fn monotonic(&mut self) -> Option<Duration> {
        Some(self.seat.state().now)
    }

    fn process(&mut self) -> u64 {
        self.seat.me as u64 + 1
    }

    fn realtime_ms(&mut self) -> Option<i64> {
        Some(self.seat.state().realtime_ms())
    }

    fn random(&mut self) -> Option<u64> {
        Some(self.seat.state().nonce(self.seat.me))
    }

    fn pause(&mut self, _call: &'static str, until: Duration) -> bool {
        let mut state = self.seat.state();
        state.now = state.now.max(until);
        true
    }
}

/// Makes its calls, and counts them.
struct Counting(Rc<Cell<usize>>);

impl Hook for Counting {
    fn before(&mut self, _call: &'static str) -> Verdict {
        self.0.set(self.0.get() + 1);
        Verdict::Proceed
    }
}

/// Reads whatever is read only once per process before any schedule runs, since the steps must not depend on which
/// schedule is first. If another stage is doing the same at this moment, that shows in the number of calls.
pub fn warm_up(dir: &Path) -> jlock::Result<()> {
    let mut before = None;
    loop {
        let calls = Rc::new(Cell::new(0));
        seam::install(Counting(Rc::clone(&calls)));
        let used = Lock::open(dir).and_then(|lock| Ok(lock.acquire()?.release()?));
        seam::uninstall();
        used?;
        if before.replace(calls.get()) == Some(calls.get()) {
            return Ok(());
        }
    }
}

//! Acquiring, as a state machine that never sleeps: a step returns "held", or "wait for this, until then", or an error.
//!
//! ```text
//! Fresh ── taken ──▶ Queued ── head ──▶ Contending ──▶ Paused ── taken ──▶ InLine ──▶ Behind ──▶ Following
//!   │                  ▲ (the handles of this process)     │ (the holder)     ▲ (the processes)          │
//!   │                  └── gives way                       ▼                  └──────────────────────────┘
//!   └── free ──▶ held ◀──────────────────────────────── Settling (a dead holder's lock was claimed)
//! ```
//!
//! The blocking call is a loop around it (`wait.rs`), and so are the interface for event loops and the test that tries every
//! schedule.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{EAGAIN, ECANCELED, EDEADLK, ETIMEDOUT, Error, Result};
use crate::lock::bell::{Bell, Waiting};
use crate::lock::dir::Name;
use crate::lock::hold::{Begun, Hold, Won};
use crate::lock::line::Before;
use crate::lock::look::Corpse;
use crate::lock::participant::Participant;
use crate::lock::pauses::Pauses;
use crate::lock::settle::{Settled, Settling};
use crate::lock::time::{Deadline, Seconds};
use crate::sys::{self, Fd, FileId};

/// How often a lock that changes while we look at it is tried again at once, if there is no time left to wait.
const EAGER_TRIES: u32 = 16;

/// How long an acquire waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Not at all; it fails with `EAGAIN`.
    Try,
    /// For so long; it fails with `ETIMEDOUT`.
    For(Option<Duration>),
}

impl Patience {
    /// The same, but not beyond this deadline.
    pub(crate) fn less(self, deadline: Deadline) -> Patience {
        match self {
            Patience::Try => Patience::Try,
            Patience::For(_) => Patience::For(deadline.left(sys::monotonic())),
        }
    }

    pub(crate) fn timeout(self) -> Option<Duration> {
        match self {
            Patience::Try => Some(Duration::ZERO),
            Patience::For(timeout) => timeout,
        }
    }
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Step {
    Held,
    Wait(Wait),
}

/// Step again when one of these has happened; stepping too early does no harm.
#[derive(Debug)]
pub(crate) struct Wait {
    /// The monotonic clock has reached this time.
    pub until: Duration,
    /// This inotify queue is readable (or the handle's bell was rung).
    pub queue: Option<Arc<Fd>>,
}

/// An acquire in progress.
#[derive(Debug)]
pub(crate) struct Acquire {
    patience: Patience,
    pub(super) begun: Duration,
    pub(super) deadline: Deadline,
    waiting: Waiting,
    pub(super) pauses: Pauses,
    pub(super) eager: u32,
    /// How often in a row a look has found the lock changed, and then it was taken.
    pub(super) changes: u32,
    /// A settle has gone beyond the deadline, and no other may begin.
    pub(super) has_overrun: bool,
    state: State,
    has_ended: bool,
}

#[derive(Debug)]
pub(super) enum State {
    /// Nothing has been tried yet.
    Fresh,
    /// Behind other handles of this process.
    Queued(Queued),
    /// The next look at the lock decides what to do.
    Contending,
    /// Waits for the holder.
    Paused(FileId),
    /// The next look at the line decides what to do.
    InLine,
    /// Has waited for the waiter before us since then.
    Behind { before: Before, since: Duration },
    /// The waiter that was before us has its turn.
    Following { before: FileId, ends: Duration },
    /// Claimed, or linked late: nobody may rely on the hold yet.
    Settling(Settling),
    /// The time is over: one last look, which is repeated if the lock changes meanwhile.
    Last,
}

#[derive(Debug, Default)]
pub(super) struct Queued {
    /// When it checks whether those before it still do something.
    pub glance_at: Option<Duration>,
    /// How many were before it when it last looked, if the lock was free then.
    pub free_at: Option<usize>,
}

impl Queued {
    pub(super) fn until(at: Duration) -> Queued {
        Queued {
            glance_at: Some(at),
            free_at: None,
        }
    }

    pub(super) fn wait(self) -> Next {
        let at = self.glance_at.unwrap_or_default();
        Next::Wait(State::Queued(self), at)
    }
}

pub(super) enum Next {
    Go(State),
    Held(Hold),
    Wait(State, Duration),
}

impl Acquire {
    /// `waiting`: since when it may be cancelled; `None`: from now on.
    pub(crate) fn begin(
        participant: &mut Participant,
        patience: Patience,
        bell: &Bell,
        waiting: Option<Waiting>,
    ) -> Result<Acquire> {
        if !participant.is_free() {
            return Err(Error::about(Name(&participant.dir.lock), -EDEADLK));
        }
        participant.recovered = false;
        participant.inherited = None;
        Ok(Acquire {
            patience,
            begun: sys::monotonic(),
            deadline: Deadline::after(patience.timeout()),
            waiting: waiting.unwrap_or_else(|| bell.begin()),
            pauses: Pauses::new(participant.options.retry),
            eager: EAGER_TRIES,
            changes: 0,
            has_overrun: false,
            state: State::Fresh,
            has_ended: false,
        })
    }

    /// Goes on as far as possible. Once it returns `Held` or an error, the acquire is over.
    pub(crate) fn step(&mut self, participant: &mut Participant, bell: &Bell) -> Result<Step> {
        let stepped = self.go_on(participant, bell);
        match &stepped {
            Ok(Step::Wait(_)) => {}
            Ok(Step::Held) => self.end(participant, bell, true),
            Err(_) => self.end(participant, bell, false),
        }
        stepped
    }

    /// Whether it was cancelled.
    pub(crate) fn is_over(&self, bell: &Bell) -> bool {
        bell.is_cancelled(self.waiting)
    }

    /// Leaves the directory in which it waits, to begin anew in another. What settles there is given up.
    pub(crate) fn leave(&mut self, participant: &mut Participant) {
        self.give_up_settling(participant, State::Fresh);
        participant.leave_line(false);
    }

    fn give_up_settling(&mut self, participant: &mut Participant, state: State) {
        if let State::Settling(settling) = std::mem::replace(&mut self.state, state) {
            participant.give_up(settling);
        }
    }

    /// The same acquire in another directory, with the time that is left, after an error has ended it.
    pub(crate) fn begin_anew(&self, participant: &mut Participant, bell: &Bell) -> Result<Acquire> {
        let anew = Acquire::begin(participant, self.patience.less(self.deadline), bell, None)?;
        Ok(Acquire {
            begun: self.begun,
            waiting: self.waiting, // a cancel since then counts
            has_overrun: self.has_overrun,
            ..anew
        })
    }

    /// Gives up an acquire that is in progress. Does nothing if it is over already.
    pub(crate) fn abandon(mut self, participant: &mut Participant, bell: &Bell) {
        self.end(participant, bell, false);
    }

    fn end(&mut self, participant: &mut Participant, bell: &Bell, acquired: bool) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        self.give_up_settling(participant, State::Last);
        participant.leave_line(acquired);
        bell.end(self.waiting);
    }

    fn go_on(&mut self, participant: &mut Participant, bell: &Bell) -> Result<Step> {
        loop {
            let now = sys::monotonic();
            if bell.is_cancelled(self.waiting) {
                return Err(self.cancelled(participant, now));
            }
            match self.advance(participant, now)? {
                Next::Go(state) => self.state = state,
                Next::Held(hold) => match leave_then_begin(participant, hold)? {
                    Some(late) => self.state = State::Settling(late),
                    None => return Ok(Step::Held),
                },
                Next::Wait(state, until) => {
                    let queue = state.watched().and_then(|id| participant.watch.queue_for(id));
                    let queue = queue.map(Arc::clone);
                    let until = state.end_of_wait(until, self.deadline);
                    self.state = state;
                    return Ok(Step::Wait(Wait { until, queue }));
                }
            }
        }
    }

    fn advance(&mut self, participant: &mut Participant, now: Duration) -> Result<Next> {
        let over = self.deadline.has_passed(now);
        match std::mem::replace(&mut self.state, State::Last) {
            State::Fresh => self.try_first(participant, over),
            State::Settling(settling) => self.settle(participant, settling, now),
            State::Last => self.try_last(participant, now),
            _ if over => Ok(Next::Go(State::Last)),
            State::Queued(queued) => self.wait_in_queue(participant, queued, now),
            State::Contending => self.contend(participant, now),
            State::Paused(_) => {
                if participant.watch.take_report() {
                    self.pauses.reported();
                }
                self.put(participant, State::InLine)
            }
            State::InLine => match participant.find_before(self.begun) {
                Some(before) => Ok(self.pause_behind(participant, before, now)),
                None => Ok(Next::Go(State::Contending)),
            },
            State::Behind { before, since } => self.wait_behind(participant, before, since, now),
            State::Following { before, ends } => self.follow(participant, before, ends, now),
        }
    }

    // ------------------------------------------------------------------------------------------------- trying

    /// The common case makes one system call.
    fn try_first(&mut self, participant: &mut Participant, over: bool) -> Result<Next> {
        let gives_way = !over && participant.gives_way();
        if !gives_way {
            let begun = participant.place()?;
            if let Some(begun) = begun {
                return begin(participant, begun);
            }
        }
        if over {
            return Ok(Next::Go(State::Last));
        }
        participant.seat.join();
        Ok(Next::Go(match gives_way && participant.seat.position() == 0 {
            true => State::InLine,
            false => State::Queued(Queued::default()),
        }))
    }

    pub(super) fn put(&mut self, participant: &mut Participant, taken: State) -> Result<Next> {
        match participant.place()? {
            Some(begun) => begin(participant, begun),
            None => Ok(Next::Go(taken)),
        }
    }

    pub(super) fn claim(&mut self, participant: &mut Participant, corpse: Corpse, now: Duration) -> Result<Next> {
        let id = corpse.id;
        if let Some(settling) = participant.claim(corpse)? {
            return Ok(Next::Go(State::Settling(settling)));
        }
        match participant.place()? {
            Some(begun) => begin(participant, begun),
            // On SMB, what was unlinked may stand there a while longer.
            None => {
                let pause = self.pauses.length(false, id);
                Ok(Next::Wait(State::InLine, now.saturating_add(pause)))
            }
        }
    }

    pub(super) fn hold_ours(&mut self, participant: &mut Participant) -> Result<Next> {
        match participant.begin_parked() {
            Some(begun) => begin(participant, begun),
            None => Ok(Next::Go(State::Contending)),
        }
    }

    fn settle(&mut self, participant: &mut Participant, settling: Settling, now: Duration) -> Result<Next> {
        if now < settling.until {
            let until = settling.until;
            return Ok(Next::Wait(State::Settling(settling), until));
        }
        self.has_overrun = self.deadline.has_passed(now);
        match participant.settled(settling)? {
            Settled::Held(hold) => Ok(Next::Held(hold)),
            // The timeout has passed during one settle, and there is no second one: whoever comes next claims the lock.
            Settled::Again(again) if self.has_overrun => {
                participant.give_up(again);
                Err(self.not_acquired(participant, now))
            }
            Settled::Again(again) => Ok(Next::Go(State::Settling(again))),
            Settled::Lost => Ok(Next::Go(State::Contending)),
        }
    }

    // ------------------------------------------------------------------------------------------------- failing

    fn cancelled(&self, participant: &Participant, now: Duration) -> Error {
        let waited = Seconds(now.saturating_sub(self.begun));
        let message = format!("{}: cancelled after {waited}", Name(&participant.dir.lock));
        Error::new(-ECANCELED, message)
    }

    pub(super) fn not_acquired(&self, participant: &Participant, now: Duration) -> Error {
        let lock = Name(&participant.dir.lock);
        let holder = participant.describe_holder();
        match self.patience {
            Patience::Try => Error::new(-EAGAIN, format!("{lock}: {holder}")),
            Patience::For(_) => {
                let waited = Seconds(now.saturating_sub(self.begun));
                Error::new(-ETIMEDOUT, format!("{lock}: {holder}; gave up after {waited}"))
            }
        }
    }
}

/// Leaves the line, and only then checks for the last time whether the sign of life is overdue: this process may have been
/// stopped meanwhile. `None`: it holds.
fn leave_then_begin(participant: &mut Participant, hold: Hold) -> Result<Option<Settling>> {
    participant.leave_line(true);
    match hold.begin(Won::Settled) {
        Begun::Held(hold) => {
            participant.hold(hold);
            Ok(None)
        }
        Begun::Late(hold) => participant.settle_late(hold).map(Some),
    }
}

pub(super) fn begin(participant: &mut Participant, begun: Begun) -> Result<Next> {
    match begun {
        Begun::Held(hold) => Ok(Next::Held(hold)),
        Begun::Late(hold) => participant
            .settle_late(hold)
            .map(|late| Next::Go(State::Settling(late))),
    }
}

impl State {
    /// The file that is watched: its change ends the wait.
    fn watched(&self) -> Option<FileId> {
        match self {
            State::Paused(id) => Some(*id),
            State::Behind { before, .. } => Some(before.id),
            State::Following { before, .. } => Some(*before),
            _ => None,
        }
    }

    /// Only settling, and the last tries at a lock that keeps changing, may go beyond the deadline.
    fn end_of_wait(&self, until: Duration, deadline: Deadline) -> Duration {
        match self {
            State::Settling(_) | State::Last => until,
            _ => deadline.cap(until),
        }
    }
}

//! The states in which an acquire waits: for the handles before it in this process, for the waiter before it in line, or for
//! the holder. And the last look, when the time is over.

use std::time::Duration;

use crate::error::Result;
use crate::lock::acquire::{Acquire, Next, Queued, State, begin};
use crate::lock::line::{Before, NAP, TURN};
use crate::lock::look::{Busy, Look, Purpose};
use crate::lock::participant::Participant;
use crate::sys::FileId;

/// How often in a row a waiter begins again at once.
const CHANGES: u32 = 16;
const EAGER_PAUSE: Duration = Duration::from_micros(50);

impl Acquire {
    pub(super) fn try_last(&mut self, participant: &mut Participant, now: Duration) -> Result<Next> {
        match participant.look(Purpose::Try, self.begun)? {
            Look::Busy(_) => return Err(self.not_acquired(participant, now)),
            Look::Ours => return self.hold_ours(participant),
            // Whoever comes next claims the lock.
            Look::Corpse(corpse) if self.has_overrun => {
                drop(corpse); // its flock would look like a living holder's
                return Err(self.not_acquired(participant, now));
            }
            Look::Corpse(corpse) => {
                if let Some(settling) = participant.claim(corpse)? {
                    return Ok(Next::Go(State::Settling(settling)));
                }
            }
            Look::Changed => {
                if let Some(begun) = participant.place()? {
                    return begin(participant, begun);
                }
            }
        }
        match self.eager.checked_sub(1) {
            Some(left) => self.eager = left,
            None => return Err(self.not_acquired(participant, now)),
        }
        Ok(Next::Wait(State::Last, now + EAGER_PAUSE))
    }

    pub(super) fn wait_in_queue(
        &mut self,
        participant: &mut Participant,
        queued: Queued,
        now: Duration,
    ) -> Result<Next> {
        let position = participant.seat.position();
        if position == 0 {
            return Ok(Next::Go(State::Contending));
        }
        // The head of the queue may not have been asked to step for a while, and then somebody else has to notice that the
        // lock is free. But a thousand waiters must not look a thousand times as often, so those further behind look less.
        let retry = self
            .pauses
            .longest
            .saturating_mul(u32::try_from(position).unwrap_or(u32::MAX));
        let later = Queued::until(now.saturating_add(retry));
        match queued.glance_at {
            Some(at) if at <= now => self.glance(participant, queued.free_at == Some(position), later, now),
            Some(_) => Ok(queued.wait()),
            None => Ok(later.wait()),
        }
    }

    /// Looks at the lock itself, as anybody may: those before us may have stopped. A lock that is free for a moment is on its
    /// way to the head. It is ours if it is still free after a pause, and nobody before us has had it meanwhile.
    fn glance(&mut self, participant: &mut Participant, was_free: bool, later: Queued, now: Duration) -> Result<Next> {
        match participant.look(Purpose::Glance, self.begun)? {
            Look::Busy(_) => Ok(later.wait()),
            Look::Ours => self.hold_ours(participant),
            Look::Corpse(corpse) => self.claim(participant, corpse, now),
            Look::Changed if was_free => self.put(participant, State::Queued(later)),
            Look::Changed => Ok(Queued {
                free_at: Some(participant.seat.position()),
                ..Queued::until(now.saturating_add(self.pauses.longest))
            }
            .wait()),
        }
    }

    pub(super) fn contend(&mut self, participant: &mut Participant, now: Duration) -> Result<Next> {
        let was_in_line = participant.line.has_ticket();
        match participant.look(Purpose::Wait, self.begun)? {
            Look::Busy(Busy { id, until }) => {
                self.changes = 0;
                // Whoever has only now lined up may have others before it: the release is theirs to hear of.
                if !was_in_line {
                    if let Some(before) = participant.find_before(self.begun) {
                        return Ok(self.pause_behind(participant, before, now));
                    }
                }
                let watched = participant.watch.queue_for(id).is_some();
                let pause = now.saturating_add(self.pauses.length(watched, id));
                Ok(Next::Wait(
                    State::Paused(id),
                    until.map_or(pause, |until| until.min(pause)),
                ))
            }
            Look::Ours => self.hold_ours(participant),
            Look::Corpse(corpse) => self.claim(participant, corpse, now),
            Look::Changed => self.begin_again(participant, now),
        }
    }

    /// At once; but no peer changes a lock again and again just when we look. (Over SMB, what was unlinked stands there until
    /// nobody has it open, and cannot be opened.)
    fn begin_again(&mut self, participant: &mut Participant, now: Duration) -> Result<Next> {
        self.changes = self.changes.saturating_add(1);
        match participant.place()? {
            Some(begun) => begin(participant, begun),
            None if self.changes <= CHANGES => Ok(Next::Go(State::InLine)),
            None => Ok(Next::Wait(State::InLine, now.saturating_add(self.pauses.longest))),
        }
    }

    pub(super) fn pause_behind(&mut self, participant: &Participant, before: Before, now: Duration) -> Next {
        self.changes = 0;
        let watched = participant.watch.queue_for(before.id).is_some();
        let until = now.saturating_add(self.pauses.length_behind(watched, before.id));
        Next::Wait(State::Behind { before, since: now }, until)
    }

    pub(super) fn wait_behind(
        &mut self,
        participant: &mut Participant,
        before: Before,
        since: Duration,
        now: Duration,
    ) -> Result<Next> {
        let watched = participant.watch.queue_for(before.id).is_some();
        if participant.watch.take_report() {
            self.pauses.reported();
            return Ok(Next::Go(match participant.follow(&before)? {
                true => State::Following {
                    before: before.id,
                    ends: self.deadline.cap(now + TURN),
                },
                false => State::InLine,
            }));
        }
        if !participant.is_waiting(&before) {
            return Ok(Next::Go(State::InLine));
        }
        let was_silent = watched && now.saturating_sub(since) >= self.pauses.longest;
        let behind = |before| State::Behind { before, since: now };
        match participant.look(Purpose::Glance, self.begun)? {
            Look::Busy(_) => Ok(self.pause_behind(participant, before, now)),
            Look::Ours => self.hold_ours(participant),
            Look::Corpse(corpse) => self.claim(participant, corpse, now),
            Look::Changed => match participant.place()? {
                Some(begun) => {
                    if was_silent {
                        participant.pass_over(before);
                    }
                    begin(participant, begun)
                }
                None => Ok(Next::Wait(behind(before), now + NAP)),
            },
        }
    }

    pub(super) fn follow(
        &mut self,
        participant: &mut Participant,
        before: FileId,
        ends: Duration,
        now: Duration,
    ) -> Result<Next> {
        participant.watch.take_report(); // perhaps it tells of the end of its turn; the lock's name says more
        if !participant.dir.is_lock(before)? {
            return self.put(participant, State::Contending);
        }
        match now < ends {
            true => Ok(Next::Wait(State::Following { before, ends }, ends.min(now + NAP))),
            false => Ok(Next::Go(State::Contending)),
        }
    }
}

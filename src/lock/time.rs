//! The thresholds of the protocol, in the order of PROTOCOL.md, and the times that are compared with them.

use std::time::Duration;

use crate::sys;

/// A parked stamp's mtime is renewed before the stamp is linked, unless it is younger than this.
const FRESH_MS: i64 = 1_000;
/// A shipped peer takes over a lock whose mtime is older than this.
pub(crate) const SHIPPED_STALE_MS: i64 = 30_000;
/// If a stamp is linked later than this after its mtime was renewed, it may have been judged stale as it appeared.
const LATE_LINK_MS: i64 = SHIPPED_STALE_MS / 2;
/// A hold whose last sign of life is older than this may have been judged stale. The second less leaves room for file
/// systems that keep coarse times.
const OVERDUE_MS: i64 = SHIPPED_STALE_MS - 1_000;
/// A clock that was set back by less than this was corrected, and has not jumped.
const CORRECTED_MS: i64 = 1_000;
/// If nothing shows whether a lock that is cut short is still being stamped, then after this time it is not. This is longer
/// than any peer takes, and shorter than the default timeout, with room for two settles.
pub(crate) const CUT: Duration = Duration::from_secs(3);

/// A file's last sign of life: the wall clock just before its mtime was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SignOfLife {
    at_ms: i64,
}

impl SignOfLife {
    /// Now. Call it before the file is touched: if the process stands still between the two, it takes its file for older
    /// than it is, never for younger.
    pub(crate) fn now() -> SignOfLife {
        SignOfLife {
            at_ms: sys::realtime_ms(),
        }
    }

    #[cfg(test)]
    pub(crate) fn ago(time: Duration) -> SignOfLife {
        SignOfLife {
            at_ms: sys::realtime_ms() - time.as_millis() as i64,
        }
    }

    pub(crate) fn at_ms(self) -> i64 {
        self.at_ms
    }

    /// Whether a parked stamp may be linked as it is.
    pub(crate) fn is_fresh(self) -> bool {
        (0..=FRESH_MS).contains(&self.age_ms())
    }

    /// Whether a stamp that was linked just now may have looked old to a shipped peer as it appeared.
    pub(crate) fn is_late_link(self) -> bool {
        !(-CORRECTED_MS..LATE_LINK_MS).contains(&self.age_ms())
    }

    /// Whether a shipped peer may have judged the hold stale, and be about to rename over it.
    pub(crate) fn is_overdue(self) -> bool {
        !(-CORRECTED_MS..OVERDUE_MS).contains(&self.age_ms())
    }

    fn age_ms(self) -> i64 {
        sys::realtime_ms().saturating_sub(self.at_ms)
    }
}

/// Since when a lock has looked as it does; its age is judged by this.
///
/// By the wall clock alone, a lock that is dated in the future would never grow old. So a peer that looks also remembers when
/// it first saw this very state: if it has not changed for a time on the monotonic clock, it is at least that old.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observed {
    id: sys::FileId,
    modified_ms: i64,
    first_seen: Duration,
}

impl Observed {
    /// The age of a file that we see now; `before` is what we saw last.
    pub(crate) fn age(before: &mut Option<Observed>, meta: &sys::Meta) -> Duration {
        let now = sys::monotonic();
        let known = before.filter(|seen| seen.id == meta.id && seen.modified_ms == meta.modified_ms);
        let seen = known.unwrap_or(Observed {
            id: meta.id,
            modified_ms: meta.modified_ms,
            first_seen: now,
        });
        *before = Some(seen);
        wall_age(meta).max(now.saturating_sub(seen.first_seen))
    }
}

/// How long ago a file was modified, by the wall clock; zero if it is dated in the future.
pub(crate) fn wall_age(meta: &sys::Meta) -> Duration {
    let age_ms = sys::realtime_ms().saturating_sub(meta.modified_ms).max(0);
    Duration::from_millis(age_ms.unsigned_abs())
}

/// When to give up, on the monotonic clock. `None`: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline(Option<Duration>);

impl Deadline {
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        // A timeout beyond the clock's range is as good as none.
        Deadline(timeout.and_then(|timeout| sys::monotonic().checked_add(timeout)))
    }

    pub(crate) fn has_passed(self, now: Duration) -> bool {
        self.0.is_some_and(|at| at <= now)
    }

    /// This time, but not beyond the deadline.
    pub(crate) fn cap(self, until: Duration) -> Duration {
        self.0.map_or(until, |at| at.min(until))
    }

    /// The time left; `None`: forever.
    pub(crate) fn left(self, now: Duration) -> Option<Duration> {
        self.0.map(|at| at.saturating_sub(now))
    }
}

/// A time in a message, to a tenth of a second. (A float's own formatting is larger than the lock.)
pub(crate) struct Seconds(pub Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rounded = self.0.saturating_add(Duration::from_millis(50));
        write!(f, "{}.{} s", rounded.as_secs(), rounded.subsec_millis() / 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_time_is_said_to_a_tenth_of_a_second() {
        let said = |ms| Seconds(Duration::from_millis(ms)).to_string();
        assert_eq!(
            [0, 49, 50, 1_249, 1_950].map(said),
            ["0.0 s", "0.0 s", "0.1 s", "1.2 s", "2.0 s"]
        );
    }

    #[test]
    fn a_sign_of_life_is_given_now() {
        let before = sys::realtime_ms();
        assert!(SignOfLife::now().at_ms() >= before);
    }

    /// Or else each acquire would renew it. (The clock may be set, or the process stand still, but not each time.)
    #[test]
    fn a_sign_of_life_that_was_given_just_now_is_fresh() {
        assert!((0..50).any(|_| SignOfLife::now().is_fresh()));
        assert!(!SignOfLife::ago(2 * SECOND).is_fresh());
    }

    #[test]
    fn a_deadline_ends_what_would_go_on_beyond_it() {
        let now = sys::monotonic();
        let deadline = Deadline(Some(now + SECOND));
        assert_eq!([now, now + 2 * SECOND].map(|at| deadline.cap(at)), [now, now + SECOND]);
        assert_eq!(
            [now, now + 2 * SECOND].map(|at| deadline.left(at)),
            [SECOND, Duration::ZERO].map(Some)
        );
        let never = Deadline::after(None);
        assert_eq!((never.cap(now), never.left(now)), (now, None));
    }

    /// It is dated in the future, so that the wall clock says nothing.
    #[test]
    fn a_lock_grows_old_from_when_it_was_first_seen_as_it_is() {
        let [one, other] = [sys::open_dir(c"/"), sys::eventfd()].map(|file| sys::fstat(&file.unwrap()).unwrap());
        let future = |of, ms| sys::Meta {
            modified_ms: sys::realtime_ms() + 3_600_000 + ms,
            ..of
        };
        let mut seen = None;
        let (first, touched, another) = (future(one, 0), future(one, 5), future(other, 0));
        for meta in [&first, &touched, &another] {
            let begun = sys::monotonic();
            assert_eq!(Observed::age(&mut seen, meta), Duration::ZERO);
            while sys::monotonic() < begun + Duration::from_millis(1) {}
            let age = Observed::age(&mut seen, meta);
            assert!(!age.is_zero() && age <= sys::monotonic() - begun, "{age:?}");
        }
    }
}

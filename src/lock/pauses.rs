//! How long a waiter sleeps between two looks.

use std::time::Duration;

use crate::sys::FileId;

/// The lengths of the pauses of one wait: as long as the watch allows, short and growing where it cannot tell.
#[derive(Debug)]
pub(crate) struct Pauses {
    pub longest: Duration,
    next: Duration,
    /// What the last pause was for.
    on: Option<FileId>,
    /// There was a report about it, but the lock is still held.
    was_reported: bool,
}

impl Pauses {
    const SHORTEST: Duration = Duration::from_micros(50);
    /// Whoever waits for another waiter looks at the lock less often by this factor, and only in case that one has stopped.
    const BEHIND: u32 = 4;

    pub(crate) fn new(longest: Duration) -> Self {
        Pauses {
            longest,
            next: Self::SHORTEST,
            on: None,
            was_reported: false,
        }
    }

    /// A dying holder's files are closed before its flock ends. So after a report about a lock that is still held, look
    /// again soon.
    pub(crate) fn length(&mut self, watched: bool, id: FileId) -> Duration {
        if self.on.replace(id) != Some(id) {
            self.was_reported = false;
        }
        if watched && !self.was_reported {
            return self.longest;
        }
        let length = self.next.min(self.longest);
        self.was_reported &= length < self.longest;
        self.next = (self.next * 2).min(self.longest);
        length
    }

    /// Its length for somebody who waits for a waiter, not for the lock.
    pub(crate) fn length_behind(&mut self, watched: bool, id: FileId) -> Duration {
        let length = self.length(watched, id);
        match watched && length == self.longest {
            true => length.saturating_mul(Self::BEHIND),
            false => length,
        }
    }

    pub(crate) fn reported(&mut self) {
        self.next = Self::SHORTEST;
        self.was_reported = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys;

    const LONGEST: Duration = Duration::from_millis(25);

    /// What is waited for: any file will do.
    fn files() -> [FileId; 2] {
        let (dir, queue) = (sys::open_dir(c"/").unwrap(), sys::eventfd().unwrap());
        [dir, queue].map(|file| sys::fstat(&file).unwrap().id)
    }

    #[test]
    fn a_pause_is_as_long_as_the_watch_allows() {
        let [id, _] = files();
        let mut pauses = Pauses::new(LONGEST);
        assert_eq!([(); 3].map(|()| pauses.length(true, id)), [LONGEST; 3]);
    }

    #[test]
    fn behind_a_waiter_only_a_watched_pause_is_longer() {
        let [id, _] = files();
        let mut pauses = Pauses::new(LONGEST);
        assert_eq!(pauses.length_behind(true, id), 4 * LONGEST);
        pauses.reported();
        assert_eq!(pauses.length_behind(true, id), Pauses::SHORTEST);
        let mut pauses = Pauses::new(LONGEST);
        assert_eq!([(); 11].map(|()| pauses.length_behind(false, id))[9..], [LONGEST; 2]);
    }

    #[test]
    fn pauses_without_a_watch_grow() {
        let [id, _] = files();
        let mut pauses = Pauses::new(LONGEST);
        let lengths = [(); 11].map(|()| pauses.length(false, id).as_micros());
        assert_eq!(
            lengths,
            [50, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25_000, 25_000]
        );
        pauses.reported();
        assert_eq!(pauses.length(false, id), Pauses::SHORTEST);
        let mut pauses = Pauses::new(LONGEST);
        pauses.length(false, id);
        assert_eq!(pauses.length(true, id), LONGEST, "now there is one");
    }

    #[test]
    fn after_a_report_about_what_is_held_still_one_looks_again_soon_and_then_trusts_the_watch() {
        let [id, other] = files();
        let mut pauses = Pauses::new(LONGEST);
        pauses.length(true, id);
        pauses.reported();
        let lengths = [(); 11].map(|()| pauses.length(true, id));
        assert_eq!(lengths[..2], [50, 100].map(Duration::from_micros));
        assert_eq!(lengths[9..], [LONGEST; 2]);
        pauses.reported();
        assert_eq!(
            pauses.length(true, other),
            LONGEST,
            "nothing was reported about this one"
        );
    }
}

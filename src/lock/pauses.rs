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

    pub(crate) fn reported(&mut self) {
        self.next = Self::SHORTEST;
        self.was_reported = true;
    }
}

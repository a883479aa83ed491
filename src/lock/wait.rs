//! Waiting for somebody else's lock: until it changes, until the time is over, or until another thread cancels. No
//! signal is sent, no thread is started, and nothing spins.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering, fence};
use std::time::Duration;

use crate::sys::{self, Fd, FileId, Watched};

/// When to give up, on the monotonic clock. `None`: never.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Duration>);

impl Deadline {
    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        // A time-out beyond the clock's range is for ever.
        Deadline(timeout.and_then(|timeout| sys::monotonic().checked_add(timeout)))
    }

    /// The time left; `None`: it is over.
    pub(crate) fn left(self) -> Option<Duration> {
        match self.0 {
            None => Some(Duration::MAX),
            Some(at) => at.checked_sub(sys::monotonic()).filter(|left| !left.is_zero()),
        }
    }
}

// --------------------------------------------------------------------------------------------------------- cancel

const IDLE: u8 = 0;
const WAITING: u8 = 1;
const CANCELED: u8 = 2;

/// What another thread ends a wait with. It never waits itself, and has no effect on a wait that has not begun.
#[derive(Debug)]
pub(crate) struct Waker {
    state: AtomicU8,
    /// Made by the first wait. Without one a wait notices a cancel when it next looks at the lock.
    eventfd: OnceLock<Fd>,
}

impl Waker {
    pub(crate) fn new() -> Self {
        Waker {
            state: AtomicU8::new(IDLE),
            eventfd: OnceLock::new(),
        }
    }

    pub(crate) fn cancel(&self) {
        let waiting = self
            .state
            .compare_exchange(WAITING, CANCELED, Ordering::AcqRel, Ordering::Acquire);
        // With the fence in `eventfd`: this thread sees the eventfd, or that one sees the cancel.
        fence(Ordering::SeqCst);
        if let (Ok(_), Some(eventfd)) = (waiting, self.eventfd.get()) {
            sys::wake(eventfd);
        }
    }

    pub(crate) fn begin(&self) {
        self.state.store(WAITING, Ordering::Release);
    }

    pub(crate) fn end(&self) {
        self.state.store(IDLE, Ordering::Release);
    }

    pub(crate) fn is_canceled(&self) -> bool {
        self.state.load(Ordering::Acquire) == CANCELED
    }

    /// For a poll, before which [`is_canceled`](Self::is_canceled) must be asked again.
    pub(crate) fn eventfd(&self) -> Option<&Fd> {
        if self.eventfd.get().is_none() {
            if let Ok(eventfd) = sys::eventfd() {
                let _ = self.eventfd.set(eventfd); // only the thread that waits sets it
            }
        }
        fence(Ordering::SeqCst);
        self.eventfd.get()
    }
}

// ---------------------------------------------------------------------------------------------------------- watch

/// An inotify watch on the lock that is being waited for: it fires once.
#[derive(Debug)]
pub(crate) enum Watch {
    Untried,
    On {
        queue: Fd,
        armed: Option<(FileId, Watched)>,
    },
    /// No inotify to be had (limits, no /proc): sleep with back-off.
    Off,
}

impl Watch {
    /// Watches this lock. It must be armed before the last look: what happens after that look is reported.
    pub(crate) fn arm(&mut self, file: &Fd, id: FileId, what: Watched) {
        if let Watch::Untried = self {
            *self = match sys::inotify() {
                Ok(queue) => Watch::On { queue, armed: None },
                Err(_) => Watch::Off, // EMFILE, ENFILE, ENOMEM, ENOSYS: waiting works without
            };
        }
        match self {
            Watch::On { queue, armed } if *armed != Some((id, what)) => {
                *armed = sys::watch(queue, file, what).is_ok().then_some((id, what));
            }
            _ => {}
        }
    }

    fn queue_for(&self, id: FileId) -> Option<&Fd> {
        match self {
            Watch::On { queue, armed } if armed.is_some_and(|(armed, _)| armed == id) => Some(queue),
            _ => None,
        }
    }

    /// Tries anew what failed when the last wait began.
    pub(crate) fn reset(&mut self) {
        if let Watch::Off = self {
            *self = Watch::Untried;
        }
    }

    /// Reads what was reported: the watch is spent.
    pub(crate) fn rearm(&mut self) {
        if let Watch::On { queue, armed } = self {
            *armed = None;
            if sys::drain(queue).is_err() {
                *self = Watch::Off;
            }
        }
    }
}

/// What came of a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paused {
    /// A report, or somebody canceled.
    Reported,
    /// Nothing, for as long as a pause can be, though it would have been reported.
    Silence,
    /// Nothing, but it was short, or not watched.
    Short,
}

/// The sleeps of one wait: as long as the watch allows, short and growing where the watch cannot tell.
pub(crate) struct Pauses {
    longest: Duration,
    next: Duration,
    /// The lock that the last pause was for.
    on: Option<FileId>,
}

impl Pauses {
    const SHORTEST: Duration = Duration::from_micros(50);

    pub(crate) fn new(longest: Duration) -> Self {
        Pauses {
            longest,
            next: Self::SHORTEST,
            on: None,
        }
    }

    /// Sleeps until the lock `busy` changes, somebody cancels, `left` is over, or it is time for another look.
    pub(crate) fn pause(&mut self, watch: &mut Watch, waker: &Waker, busy: FileId, left: Duration) -> Paused {
        // A dying holder's files are closed before its flock is let go: after a report about a lock that is still
        // held, look again soon. (A first report is worth a full pause.)
        let length = match watch.queue_for(busy) {
            Some(_) if self.on != Some(busy) => self.longest,
            _ => self.grow(),
        };
        self.on = Some(busy);
        let (watched, begun) = (watch.queue_for(busy).is_some(), sys::monotonic());
        if sleep(watch, waker, busy, length.min(left)) {
            self.next = Self::SHORTEST;
            return Paused::Reported;
        }
        match watched && sys::monotonic().saturating_sub(begun) >= self.longest {
            true => Paused::Silence,
            false => Paused::Short,
        }
    }

    fn grow(&mut self) -> Duration {
        let length = self.next.min(self.longest);
        self.next = (self.next * 2).min(self.longest);
        length
    }
}

/// Sleeps so long, or until the watch on the lock `busy` has something to report, or somebody cancels. Whether there was
/// a report.
pub(crate) fn sleep(watch: &mut Watch, waker: &Waker, busy: FileId, length: Duration) -> bool {
    let eventfd = waker.eventfd();
    if waker.is_canceled() {
        return false;
    }
    match sys::poll(&[watch.queue_for(busy), eventfd], length) {
        Ok(true) => {
            if let Some(eventfd) = eventfd {
                let _ = sys::drain(eventfd); // it is readable or empty; both are fine
            }
            watch.rearm();
            true
        }
        Ok(false) => false,
        Err(_) => {
            // ENOMEM: sleep as without descriptors.
            let _ = sys::sleep_until(sys::monotonic().saturating_add(length)); // then the caller looks sooner
            false
        }
    }
}

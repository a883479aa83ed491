//! One inotify watch, on the file whose change we wait for. It fires once.
//!
//! A user may have 128 inotify queues in all, and closing one takes the kernel 10 ms. So a waiter has a queue only while it
//! waits, and the process keeps a few that nobody uses at the moment.

use std::sync::{Arc, Mutex, PoisonError};

use crate::sys::{self, Fd, FileId, PerProcess, Watched};

/// How many unused queues are kept.
const SPARE: usize = 4;

/// With the process that it belongs to, where a test plays several in one.
type Spare = (u64, Arc<Fd>);

static QUEUES: PerProcess<Mutex<Vec<Spare>>> = PerProcess::new();

#[derive(Debug, Default)]
pub(crate) struct Watch {
    queue: Option<Arc<Fd>>,
    armed: Option<Armed>,
    /// There is no queue for us (limits, no /proc): sleep with back-off.
    is_off: bool,
}

#[derive(Clone, Copy, Debug)]
struct Armed {
    id: FileId,
    what: Watched,
    number: i32,
}

impl Watch {
    /// Watches this file. Arm it before the last look, so that whatever happens after that look is reported.
    pub(crate) fn arm(&mut self, file: &Fd, id: FileId, what: Watched) {
        if self.armed.is_some_and(|armed| (armed.id, armed.what) == (id, what)) || self.is_off {
            return;
        }
        self.disarm();
        if self.queue.is_none() {
            self.queue = take_queue();
        }
        match &self.queue {
            // EMFILE, ENOSPC (too many watches), ENOSYS: we can wait without it.
            Some(queue) => {
                let watched = sys::watch(queue, file, what);
                self.armed = watched.ok().map(|number| Armed { id, what, number });
            }
            None => self.is_off = true,
        }
    }

    /// The queue that reports what happens to this file.
    pub(crate) fn queue_for(&self, id: FileId) -> Option<&Arc<Fd>> {
        self.queue
            .as_ref()
            .filter(|_| self.armed.is_some_and(|armed| armed.id == id))
    }

    /// Whether there was a report. If so, the watch is spent.
    pub(crate) fn take_report(&mut self) -> bool {
        let (Some(queue), Some(_)) = (&self.queue, self.armed) else {
            return false;
        };
        let reported = sys::drain(queue).unwrap_or(true); // a broken queue: look, and watch anew
        if reported {
            self.armed = None;
        }
        reported
    }

    fn disarm(&mut self) {
        if let (Some(queue), Some(armed)) = (&self.queue, self.armed.take()) {
            sys::unwatch(queue, armed.number);
            let _ = sys::drain(queue); // earlier reports do not matter any more
        }
    }

    /// Ends the wait, and gives the queue back to the process.
    pub(crate) fn end(&mut self) {
        self.disarm();
        self.is_off = false;
        if let Some(queue) = self.queue.take() {
            let mut spare = QUEUES.get().lock().unwrap_or_else(PoisonError::into_inner);
            if spare.len() < SPARE && spare.try_reserve(1).is_ok() {
                spare.push((sys::process_domain(), queue));
            }
        }
    }
}

fn take_queue() -> Option<Arc<Fd>> {
    let queue = take_spare().or_else(|| sys::inotify().ok().map(Arc::new))?;
    sys::drain(&queue).is_ok().then_some(queue)
}

fn take_spare() -> Option<Arc<Fd>> {
    let mut spare = QUEUES.get().lock().unwrap_or_else(PoisonError::into_inner);
    let ours = sys::process_domain();
    let at = spare.iter().position(|(process, _)| *process == ours)?;
    Some(spare.swap_remove(at).1)
}

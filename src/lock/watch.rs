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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Open;
    use crate::sys::tests::Scratch;

    struct Files {
        scratch: Scratch,
        files: [(Fd, FileId); 2],
    }

    impl Files {
        fn new() -> Files {
            let scratch = Scratch::new();
            let files = [c"one", c"other"].map(|name| {
                let file = sys::open(&scratch.dir, name, Open::CreateNew).unwrap();
                let id = sys::fstat(&file).unwrap().id;
                (file, id)
            });
            Files { scratch, files }
        }

        fn arm(&self, watch: &mut Watch, which: usize) {
            let (file, id) = &self.files[which];
            watch.arm(file, *id, Watched::Change);
        }

        /// What a release does: another name of it goes.
        fn change(&self, which: usize) {
            let name = [c"one", c"other"][which];
            sys::link(&self.scratch.dir, name, c"link").unwrap();
            sys::unlink(&self.scratch.dir, c"link").unwrap();
        }
    }

    #[test]
    fn only_what_is_watched_now_is_reported_and_only_once() {
        let files = Files::new();
        let mut watch = Watch::default();
        assert!(!watch.take_report(), "nothing is watched");
        files.arm(&mut watch, 0);
        assert!(watch.queue_for(files.files[0].1).is_some());
        assert!(watch.queue_for(files.files[1].1).is_none());
        files.change(0);
        files.arm(&mut watch, 0);
        assert!(watch.take_report(), "to watch it again does not lose its report");
        assert!(watch.queue_for(files.files[0].1).is_none(), "the watch is spent");
        files.arm(&mut watch, 0);
        files.arm(&mut watch, 1);
        files.change(0);
        assert!(!watch.take_report());
        files.change(1);
        assert!(watch.take_report());
        assert!(!watch.take_report());
        watch.end();
    }

    #[test]
    fn a_queue_that_cannot_be_read_is_not_relied_on() {
        let id = sys::fstat(&sys::open_dir(c"/").unwrap()).unwrap().id;
        let mut watch = Watch {
            queue: Some(Arc::new(sys::open_dir(c"/").unwrap())),
            armed: Some(Armed {
                id,
                what: Watched::Change,
                number: 1,
            }),
            is_off: false,
        };
        assert!(watch.take_report());
        assert!(watch.queue_for(id).is_none());
    }

    #[test]
    fn only_a_few_queues_that_nobody_uses_are_kept() {
        let files = Files::new();
        let mut watches = [(); SPARE + 2].map(|()| Watch::default());
        watches.iter_mut().for_each(|watch| files.arm(watch, 0));
        watches.iter_mut().for_each(Watch::end);
        let kept = QUEUES.get().lock().unwrap_or_else(PoisonError::into_inner).len();
        assert!(kept <= SPARE, "{kept}");
    }
}

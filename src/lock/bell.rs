//! Wakes a waiter from within its own process: another thread that cancels rings it, or the handle before it in the queue.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::memory::survive;
use crate::sys::{self, Fd};

#[derive(Debug, Default)]
pub(crate) struct Bell {
    /// How often waits were cancelled in all.
    cancels: AtomicU32,
    /// How many waits are in progress.
    waits: AtomicU32,
    /// Made by the first wait, or by whoever rings before that. Without it, a wait notices a cancel when it next looks at the
    /// lock.
    eventfd: OnceLock<Fd>,
}

/// A wait in progress.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    cancels: u32,
}

impl Bell {
    pub(crate) fn begin(&self) -> Waiting {
        self.waits.fetch_add(1, Ordering::SeqCst);
        Waiting {
            cancels: self.cancels.load(Ordering::SeqCst),
        }
    }

    pub(crate) fn end(&self, _waiting: Waiting) {
        self.waits.fetch_sub(1, Ordering::SeqCst);
    }

    /// Ends the waits in progress, and none that begins later. Returns whether there was one.
    pub(crate) fn cancel(&self) -> bool {
        // Count it in any case: an acquire that begins anew elsewhere is between two waits for a moment.
        self.cancels.fetch_add(1, Ordering::SeqCst);
        if self.waits.load(Ordering::SeqCst) == 0 {
            return false;
        }
        self.ring();
        true
    }

    pub(crate) fn is_cancelled(&self, waiting: Waiting) -> bool {
        self.cancels.load(Ordering::SeqCst) != waiting.cancels
    }

    pub(crate) fn ring(&self) {
        // Makes the eventfd if there is none: the waiter may have looked, and be about to wait for the first time. (If it
        // cannot be made, the waiter notices when it next looks.)
        // It may have to make it just when memory has run out, while order is being restored.
        if let Ok(Ok(eventfd)) = survive(|| self.fd()) {
            sys::wake(eventfd);
        }
    }

    /// For a poll. Once it was rung, it stays readable until [`clear`](Self::clear).
    pub(crate) fn fd(&self) -> sys::Result<&Fd> {
        if let Some(known) = self.eventfd.get() {
            return Ok(known);
        }
        let made = sys::eventfd()?;
        Ok(self.eventfd.get_or_init(|| made)) // if another thread was faster, its eventfd is as good
    }

    /// Silences it, once it was heard.
    pub(crate) fn clear(&self) {
        if let Some(eventfd) = self.eventfd.get() {
            let _ = sys::drain(eventfd); // readable or empty, both are fine
        }
    }
}

#[cfg(test)]
impl Bell {
    pub(crate) fn is_rung(&self) -> bool {
        sys::poll(&[self.fd().ok()], std::time::Duration::ZERO) == Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lock::acquire::{Acquire, Patience, Step};
    use crate::lock::participant::tests::participant;
    use crate::lock::settle::Inherited;
    use crate::options::Options;
    use crate::sys::tests::Scratch;

    /// As when an acquire begins anew in another directory.
    #[test]
    fn a_cancel_between_two_waits_of_one_acquire_counts() {
        let bell = Bell::default();
        let waiting = bell.begin();
        bell.end(waiting);
        assert!(!bell.cancel());
        let _again = bell.begin();
        assert!(bell.is_cancelled(waiting));
    }

    #[test]
    fn a_cancel_rings_for_whoever_waits_until_it_is_heard() {
        let bell = Bell::default();
        let waiting = bell.begin();
        assert!(bell.cancel());
        assert!(bell.is_rung());
        bell.clear();
        assert!(!bell.is_rung());
        bell.end(waiting);
        assert!(!bell.cancel());
        assert!(!bell.is_rung(), "nobody waits");
    }

    /// Whether it succeeded or not.
    #[test]
    fn an_acquire_that_is_over_cannot_be_cancelled() {
        let scratch = Scratch::new();
        let bells = [(); 2].map(|()| Arc::new(Bell::default()));
        let [mut holder, mut other] = bells.each_ref().map(|bell| participant(&scratch, Options::new(), bell));
        let mut acquire = Acquire::begin(&mut holder, Patience::Try, &bells[0], None).unwrap();
        assert!(matches!(acquire.step(&mut holder, &bells[0]), Ok(Step::Held)));
        let mut refused = Acquire::begin(&mut other, Patience::Try, &bells[1], None).unwrap();
        assert!(refused.step(&mut other, &bells[1]).is_err());
        refused.abandon(&mut other, &bells[1]);
        for bell in bells {
            assert!(!bell.cancel());
        }
        holder.close().unwrap();
        other.close().unwrap();
    }

    /// After a panic or without memory, nobody has acted on it; and by now somebody else has, who took over.
    #[test]
    fn an_acquire_does_not_begin_with_what_an_earlier_one_took_over() {
        let (scratch, bell) = (Scratch::new(), Arc::new(Bell::default()));
        let mut one = participant(&scratch, Options::new(), &bell);
        one.recovered = true;
        one.inherited = Some(Inherited {
            postscript: b"append=0:0:0\n".to_vec(),
            user: 0,
        });
        let acquire = Acquire::begin(&mut one, Patience::Try, &bell, None).unwrap();
        assert!(!one.recovered && one.inherited.is_none());
        acquire.abandon(&mut one, &bell);
    }
}

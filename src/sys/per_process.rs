//! What the handles of one process share. A forked child must not use its parent's: a thread that does not exist there may
//! have it locked.

use std::sync::atomic::{AtomicPtr, Ordering};

use super::fork::Generation;

/// A value of which each process has its own.
#[derive(Debug)]
pub(crate) struct PerProcess<T: 'static> {
    current: AtomicPtr<Slot<T>>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: Generation,
    value: T,
}

impl<T: Default + Send + Sync> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        PerProcess {
            current: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// This process's value. What a child finds of its parent's is left as it is: one value for each fork.
    pub(crate) fn get(&'static self) -> &'static T {
        let now = Generation::current();
        loop {
            let seen = self.current.load(Ordering::Acquire);
            // SAFETY: null, or a slot that was leaked below.
            if let Some(slot) = unsafe { seen.as_ref() }.filter(|slot| slot.generation == now) {
                return &slot.value;
            }
            let new = Box::into_raw(Box::new(Slot {
                generation: now,
                value: T::default(),
            }));
            let swapped = self
                .current
                .compare_exchange(seen, new, Ordering::AcqRel, Ordering::Acquire);
            if swapped.is_err() {
                // SAFETY: made above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(new) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn a_forked_child_has_another_value() {
        static COUNT: PerProcess<AtomicU32> = PerProcess::new();
        let ours = COUNT.get();
        assert!(crate::sys::tests::ends_in_a_child(|| {
            if std::ptr::eq(COUNT.get(), ours) {
                std::process::abort();
            }
        }));
    }

    #[test]
    fn a_process_has_one_value() {
        static COUNT: PerProcess<AtomicU32> = PerProcess::new();
        COUNT.get().store(7, Ordering::Relaxed);
        assert_eq!(COUNT.get().load(Ordering::Relaxed), 7);
    }
}

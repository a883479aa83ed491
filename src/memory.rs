//! Running out of memory. The library that is installed then unwinds (`capi/contain.rs`) to a place where its state can be
//! put in order; otherwise std ends the process, as in every Rust program.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What unwinds when an allocation has failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutOfMemory;

/// Runs `act`, which may run out of memory anywhere. A panic is passed on.
pub(crate) fn survive<T>(act: impl FnOnce() -> T) -> Result<T, OutOfMemory> {
    catch_unwind(AssertUnwindSafe(act)).map_err(out_of_memory)
}

fn out_of_memory(payload: Box<dyn Any + Send>) -> OutOfMemory {
    match payload.is::<OutOfMemory>() {
        true => OutOfMemory,
        false => resume_unwind(payload),
    }
}

#[cfg(test)]
mod tests {
    use crate::Lock;
    use crate::abi;
    use crate::error::EDEADLK;
    use crate::sys::tests::Scratch;

    #[test]
    fn a_hold_that_was_given_up_is_told_until_it_is_released() {
        let scratch = Scratch::new();
        let lock = Lock::open(&scratch.path).unwrap();
        let code = |result: crate::Result<()>| result.map_or_else(|error| error.code(), |()| 0);
        let append = || code(lock.journal().append([crate::Entry::changed("path")]));

        let held = lock.acquire().unwrap();
        // In an append across pages: what it wrote may be half of it, which only the next holder may take back.
        assert_eq!(code(lock.run_out_in_an_append()), -libc::ENOMEM);
        assert_eq!(append(), abi::JLOCK_ELOST, "not under a hold that it does not have");
        assert_eq!(lock.acquire().unwrap_err().code(), -EDEADLK);
        assert_eq!(code(held.release().map_err(Into::into)), abi::JLOCK_ELOST);
        assert_eq!(append(), 0);
        drop(lock);
    }
}

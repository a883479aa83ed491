//! Running out of memory. As it is installed, the library unwinds then (`capi/contain.rs`) to where its state can be put
//! in order; elsewhere std ends the process, as in every Rust program.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What unwinds when an allocation has failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutOfMemory;

/// Runs `act`, which may run out of memory anywhere. A panic goes on as it came.
pub(crate) fn survive<T>(act: impl FnOnce() -> T) -> Result<T, OutOfMemory> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|payload| match payload.is::<OutOfMemory>() {
        true => OutOfMemory,
        false => resume_unwind(payload),
    })
}

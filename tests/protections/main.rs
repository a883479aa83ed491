//! Protections that matter for an instant, each in the one schedule in which it does: something happens at a system call, or
//! between two, and the test says what must not come of it. `tests/mutants` takes each of them out, and a test here turns red.
//!
//! What matters among several peers, in schedules that nobody has thought of, is for `tests/stepped`.

mod claim;
mod commit;
mod late;
mod look;
mod places;
mod reading;
mod rewrite;
mod scene;
mod sweeps;

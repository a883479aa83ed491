//! Protections that matter only for an instant, each in the one schedule where it does: something happens at a system
//! call or between two, and the test says what must not come of it. `tests/mutants` takes each protection out, and
//! then a test here turns red.
//!
//! Schedules of several peers that nobody has thought of are left to `tests/stepped`.

mod claim;
mod commit;
#[path = "../fresh/mod.rs"]
mod fresh;
mod late;
mod line;
mod look;
mod places;
mod probe;
mod reading;
mod refusals;
mod rewrite;
mod scene;
mod sweeps;
#[path = "../guest/tried.rs"]
mod tried;
mod wait;

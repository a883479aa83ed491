//! The journal's own tests: how it treats files that are odd, large, damaged or another user's.

mod checkpoint;
mod child;
#[path = "../fresh/mod.rs"]
mod fresh;
mod limits;
mod meanwhile;
mod ownership;
mod reading;
mod scratch;
mod script;
#[path = "../guest/tried.rs"]
mod tried;

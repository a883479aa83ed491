//! The library is a guest in programs that it does not know. Whatever they or the system do to its directory, its
//! rights, its system calls or its memory, it neither hangs nor crashes, loses nothing, and harms nobody.
//! `docs/guest.md` says what happens in each case, and which test shows it.

mod attributes;
mod child;
mod directory;
#[path = "../fresh/mod.rs"]
mod fresh;
mod leased;
mod privileges;
mod process;
mod refused;
mod scene;
mod steps;
mod tried;
mod unloaded;

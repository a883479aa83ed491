//! The library is a guest in programs that it does not know: whatever they, or the system around them, do to its directory,
//! its rights, its system calls and its memory, it neither hangs nor crashes, loses nothing and harms nobody.
//! `docs/guest.md` says for each kind of event what happens, and which test shows it.

mod attributes;
mod child;
mod directory;
mod leased;
mod privileges;
mod process;
mod refused;
mod scene;
mod steps;
mod unloaded;

//! The C interface: each function checks its arguments, calls the Rust interface and converts the result; there is no
//! logic here. `include/jlock.h` is made from these files, so their documentation is written for the reader of C.

// The header says in prose what is safe; the `# Safety` sections are left out of it.
#[cfg(all(feature = "installed", not(feature = "seam")))]
mod contain;
mod guard;
mod handle;
mod journal;
mod lock;

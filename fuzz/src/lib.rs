//! What the fuzz targets share: their own directory, the C interface, and oracles that share no code with the
//! library.

pub mod c;
pub mod journal;
pub mod process;

use std::path::PathBuf;

/// A directory for this process alone, in `JLOCK_FUZZ_DIR`. The program that starts a target removes it in the end, because
/// nothing can run when a fuzzer ends.
pub fn directory() -> PathBuf {
    let base = std::env::var_os("JLOCK_FUZZ_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = base.join(format!("jlock-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    dir
}

/// Splits the input into its first byte, which says what to do, and the rest, to which it is done.
pub fn split(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}

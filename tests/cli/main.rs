//! The `jlock` command does what its help and its manual page say, and every function has a manual page.

mod help;
mod journal;
mod pages;
mod probe;
mod run;
mod scene;
mod status;
#[path = "../abi/tools.rs"]
mod tools;
mod watch;

use tools::{root, run, tool};

/// A second compiler accepts it too.
#[test]
fn the_command_is_c99_to_clang() {
    run(tool("clang")
        .args(scene::STRICT)
        .args(["-Wshadow", "-fsyntax-only"])
        .args(scene::sources())
        .current_dir(root()));
}

//! Misuse, and many threads on one handle. Here they run without sanitizers; `make sanitize` runs them under
//! AddressSanitizer and ThreadSanitizer.

#[path = "../abi/tools.rs"]
#[allow(dead_code)]
mod tools;

#[path = "threads/share.rs"]
mod threads;

use tools::{Scratch, library, root, run, tool};

#[test]
fn whatever_is_called_however_nothing_crashes() {
    let scratch = Scratch::new("misuse");
    let program = scratch.path().join("misuse");
    run(tool("cc")
        .args(["-std=gnu11", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-I"])
        .arg(root().join("include"))
        .arg("-o")
        .arg(&program)
        .arg(root().join("tests/sanitize/misuse.c"))
        .arg(library("libjlock.a"))
        .args(["-lgcc_s", "-lpthread", "-ldl", "-lm"]));
    let seed = std::env::var("JLOCK_SEED").unwrap_or_else(|_| "1".to_owned()); // the program prints it when it fails
    run(tool(program).args([seed.as_str(), "20000"]).arg(scratch.path()));
}

#[test]
fn threads_share_a_handle_and_its_snapshots() {
    let scratch = Scratch::new("threads");
    threads::share_a_handle_and_its_snapshots(scratch.path());
}

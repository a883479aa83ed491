//! What a test does that cannot try here what it is about.

use std::io::Write;

/// Says why, past the test harness: that swallows what a test prints that passes, and nobody would know that nothing was tried.
pub fn not_tried(why: &str) {
    let thread = std::thread::current();
    let text = format!("not tried: {}: {why}\n", thread.name().unwrap_or("a test"));
    std::io::stderr().write_all(text.as_bytes()).expect("stderr");
}

/// Whether a test can act as other users.
pub fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    match is_root {
        true => crate::fresh::is_open_to_all(),
        false => not_tried("it needs root"),
    }
    is_root
}

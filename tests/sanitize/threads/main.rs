//! The thread test as a program, `threads DIR`: what a sanitizer has built anew need not be all that the tests need.

mod share;

fn main() {
    let dir = std::env::args_os().nth(1).expect("threads DIR");
    share::share_a_handle_and_its_snapshots(dir.as_ref());
}

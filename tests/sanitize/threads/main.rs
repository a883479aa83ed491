//! The thread test as a program, `threads DIR`, so that not everything that the tests need has to be rebuilt for a
//! sanitizer.

mod share;

fn main() {
    let dir = std::env::args_os().nth(1).expect("threads DIR");
    share::share_a_handle_and_its_snapshots(dir.as_ref());
}

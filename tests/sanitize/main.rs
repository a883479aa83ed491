//! Misuse, and many threads on one handle: as they are here, and under AddressSanitizer and ThreadSanitizer in
//! `make sanitize`.

#[path = "../abi/tools.rs"]
#[allow(dead_code)]
mod tools;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jlock::{Entry, ErrorKind, Lock, Options};
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
    let given = std::env::var("JLOCK_SEED").ok().and_then(|seed| seed.parse().ok());
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(1, |now| now.as_secs())
    };
    let seed = given.unwrap_or_else(now).to_string(); // the program says it when it fails
    run(tool(program).args([&seed, "20000"]).arg(scratch.path()));
}

#[test]
fn threads_share_a_handle_and_its_snapshots() {
    const THREADS: u32 = 8;
    const ENTRIES: u32 = 100;
    let scratch = Scratch::new("threads");
    let options = Options::new().timeout(Duration::from_secs(30)).keepalive(true);
    let lock = options.open(scratch.path()).expect("the lock opens");
    let busy = AtomicU32::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (lock, busy) = (&lock, &busy);
            scope.spawn(move || {
                append_all(lock, thread, ENTRIES);
                busy.fetch_sub(1, Ordering::Relaxed);
            });
        }
        while busy.load(Ordering::Relaxed) > 0 {
            lock.cancel().expect("never waits");
            lock.inspect().expect("a look");
        }
    });
    let snapshot = lock.journal().read().expect("a journal");
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| assert_eq!(snapshot.changed().count(), (THREADS * ENTRIES) as usize));
        }
    });
}

fn append_all(lock: &Lock, thread: u32, count: u32) {
    for number in 0..count {
        let path = format!("{thread}/{number}");
        // Whoever waited when the cancel came tries again.
        loop {
            match lock
                .journal()
                .append_stamped([Entry::changed(&path)], 1_700_000_000_000)
            {
                Ok(()) => break,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Canceled, "{error}"),
            }
        }
    }
}

//! Many threads on one handle, while another thread cancels all the time.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jlock::{Entry, ErrorKind, Lock, Options};

pub fn share_a_handle_and_its_snapshots(dir: &Path) {
    const THREADS: u32 = 8;
    const ENTRIES: u32 = 100;
    let options = Options::new().timeout(Duration::from_secs(30)).keepalive(true);
    let lock = options.open(dir).expect("the lock opens");
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
        // A thread that was waiting when the cancel came tries again.
        loop {
            match lock
                .journal()
                .append_stamped([Entry::changed(&path)], 1_700_000_000_000)
            {
                Ok(()) => break,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}"),
            }
        }
    }
}

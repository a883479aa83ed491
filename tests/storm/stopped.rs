//! A process that is stopped: as a holder it is waited for, as a waiter it is not.

use std::time::{Duration, Instant};

use jlock::{ErrorKind, Options};
use rustix::process::Signal;

use crate::crowd::Process;
use crate::oracle;
use crate::scene::{Scene, expect_exclusion, keeper, names, say, spawn_holders, wait_for_log, wait_until};
use crate::worker;

#[test]
fn a_stopped_holder_is_waited_for_and_named() {
    let scene = Scene::new();
    let mut holder = keeper(&scene, "keeper");
    holder.signal(Signal::STOP);

    // However old the lock looks.
    let options = Options::new()
        .stale(Duration::from_millis(50))
        .timeout(Duration::from_millis(500));
    let contender = options.open(worker::journal_dir(&scene)).expect("the lock opens");
    let begun = Instant::now();
    let refused = contender.acquire().expect_err("it is held");
    assert!(begun.elapsed() >= Duration::from_millis(500));
    assert_eq!(refused.kind(), ErrorKind::TimedOut);
    let named = format!("held by pid {} (library peer)", holder.pid());
    assert!(refused.message().contains(&named), "{refused}");

    holder.signal(Signal::CONT);
    holder.close_input();
    let held = contender.acquire_for(Duration::from_secs(10)).expect("it was released");
    assert!(!held.recovered().expect("ours"));
    held.release().expect("ours");
    holder.expect_success();
    wait_for_log(&scene, "keeper", "acquired\nreleased\n");
}

/// The waiter behind it tries by itself after a pause of at most four times retry_ms.
#[test]
fn a_stopped_waiter_delays_nobody_and_gets_the_lock_once_it_goes_on() {
    const HOLDS: u32 = 100;
    let scene = Scene::new();
    let mut holder = keeper(&scene, "keeper");
    let line_up = |names: &[String], count| {
        let holders = spawn_holders(&scene, names, count);
        for holder in &holders {
            wait_until(&format!("{} waits in line", holder.name), || {
                oracle::waits_in_line(&scene, holder.pid())
            });
        }
        holders
    };

    // The first in line stops; the others line up behind it.
    let stopped = line_up(&["stopped".to_owned()], 1);
    stopped[0].signal(Signal::STOP);
    wait_until("it has stopped", || stopped[0].is_stopped());
    let others = names("other", 3);
    let waiting = line_up(&others, HOLDS);

    let begun = oracle::monotonic_ns();
    holder.close_input();
    holder.expect_success();
    waiting.into_iter().for_each(Process::expect_success);
    let longest = oracle::longest_wait(&scene, &others, begun);
    say(&format!(
        "longest time without a holder, behind a stopped waiter: {longest:?}"
    ));
    assert!(longest < Duration::from_secs(20), "{longest:?}"); // otherwise they would wait for 60 s
    assert!(stopped[0].is_stopped());

    stopped[0].signal(Signal::CONT);
    stopped.into_iter().for_each(Process::expect_success);
    let all = [others, vec!["stopped".to_owned()]].concat();
    expect_exclusion(&scene, &all, 1 + 3 * HOLDS as usize);
    assert_eq!(oracle::leftovers(&scene), []);
}

//! Many processes on one journal, killed and stopped at random; and oracles that share nothing with the library.
//!
//! Processes are this binary again (`worker.rs`), the shipped peer, and the example writers: those in C and Python, and
//! with `JLOCK_PROVE=1`, under which the bounds are larger, in all languages.

mod crowd;
mod oracle;
#[path = "../fault/scratch.rs"]
mod scratch;
mod weather;
mod worker;
mod writers;

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jlock::{ErrorKind, Lock, Options};
use rustix::process::Signal;

use crowd::Process;
use oracle::{Audit, Exclusion};
use scratch::Scratch;
use weather::{Slot, Storm};
use worker::Job;

#[test]
#[ignore = "a process of the other tests, which start it themselves"]
fn worker() {
    worker::work();
}

/// One storm at a time: they are to disturb themselves, not each other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn proving() -> bool {
    std::env::var_os("JLOCK_PROVE").is_some()
}

/// Says a figure past the test harness, which keeps what a successful test prints to itself.
fn say(figure: &str) {
    std::io::stderr()
        .write_all(format!("{figure}\n").as_bytes())
        .expect("stderr");
}

/// A root for workers, with a journal that has a header.
fn root() -> Scratch {
    let root = Scratch::new("storm");
    let dir = worker::journal_dir(root.path());
    std::fs::create_dir(&dir).expect("a directory");
    std::fs::write(dir.join("changes.journal"), "# codegraph-journal v1 1700000000000\n").expect("a journal");
    std::fs::write(worker::counter_path(root.path()), "0").expect("a counter");
    root
}

fn spawn(job: Job, root: &Path, name: &str) -> Process {
    Process::spawn(name, &mut worker::command(job, root, name))
}

fn spawn_all(job: Job, root: &Path, names: &[String]) -> Vec<Process> {
    names.iter().map(|name| spawn(job, root, name)).collect()
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("{prefix}-{number}")).collect()
}

// ------------------------------------------------------------------------------------------------------ exclusion

fn exclude(processes: usize, count: u32, locked: bool) -> Exclusion {
    let _alone = alone();
    let root = root();
    let names = names("holder", processes);
    let begun = Instant::now();
    for process in spawn_all(Job::Hold { count, locked }, root.path(), &names) {
        process.expect_success();
    }
    let seen = Exclusion::judge(root.path(), &names);
    let took = begun.elapsed().as_secs_f64();
    say(&format!(
        "{processes} processes, locked: {locked}: {seen:?}, {took:.1} s"
    ));
    seen
}

#[test]
fn holds_never_overlap() {
    let (processes, count) = if proving() { (16, 10_000) } else { (8, 2_500) };
    let expected = Exclusion {
        holds: processes * count as usize,
        clashes: 0,
        uncounted: 0,
        overlaps: 0,
    };
    assert_eq!(exclude(processes, count, true), expected);
    say(&format!("figure: holds, none of which overlap = {}", expected.holds));
}

#[test]
fn each_oracle_sees_a_missing_lock() {
    let seen = exclude(4, 1_000, false);
    assert!(seen.clashes > 0 && seen.uncounted != 0 && seen.overlaps > 0, "{seen:?}");
}

// -------------------------------------------------------------------------------------------------------- journal

#[test]
fn the_audit_sees_a_missing_lock() {
    let _alone = alone();
    let root = root();
    let names = names("careless", 4);
    let job = Job::Append {
        count: 200,
        stamp_every: 0,
        pause_us: 0,
        until_stop: false,
        locked: false,
    };
    for process in spawn_all(job, root.path(), &names) {
        process.expect_success();
    }
    let audit = Audit::of(root.path(), &names);
    say(&format!(
        "4 writers without a lock: {} of {} lost",
        audit.lost.len(),
        audit.acknowledged
    ));
    assert!(!audit.lost.is_empty());
}

fn beside_a_shipped_peer(stamp_every: u32) {
    let _alone = alone();
    let root = root();
    let mut names = names("library", 4);
    let job = Job::Append {
        count: 400,
        stamp_every,
        pause_us: 1_000, // so that they have not finished before the other has begun
        until_stop: false,
        locked: true,
    };
    let mut processes = spawn_all(job, root.path(), &names);
    let shipped = writers::shipped(60, stamp_every == 1);
    processes.push(Process::spawn("shipped", &mut shipped(root.path(), "shipped")));
    processes.into_iter().for_each(Process::expect_success);
    names.push("shipped".to_owned());

    let audit = Audit::of(root.path(), &names);
    audit.assert_clean();
    assert_eq!(audit.acknowledged, 4 * 400 + 60);
    let among = oracle::among_others(root.path(), "shipped");
    assert!(
        among >= 30,
        "only {among} of the shipped peer's entries stand among the others'"
    );
    expect_readers_agree(root.path(), 4 * 400 + 60);
    expect_nothing_left(root.path());
}

#[test]
fn beside_a_shipped_peer_every_entry_is_there() {
    beside_a_shipped_peer(0);
}

#[test]
fn beside_a_shipped_peer_every_stamped_entry_is_there() {
    beside_a_shipped_peer(1);
}

/// The library's reader and the shipped one find the same, which is all of it.
fn expect_readers_agree(root: &Path, count: usize) {
    let lock = Lock::open(worker::journal_dir(root)).expect("the lock opens");
    let snapshot = lock.journal().read().expect("a journal");
    let ours: Vec<String> = snapshot
        .changed()
        .map(|path| String::from_utf8_lossy(path).into_owned())
        .collect();
    assert_eq!(ours.len(), count);
    let theirs = writers::shipped_read(root);
    for path in &ours {
        assert!(
            theirs.contains(&format!("\"{path}\"")),
            "{path}: the shipped reader does not see it"
        );
    }
}

// --------------------------------------------------------------------------------------------------------- storms

/// What decides who is killed and when: printed, so that the same choices can be had again.
fn seed() -> u64 {
    let given = std::env::var("JLOCK_SEED").ok().and_then(|seed| seed.parse().ok());
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(1, |now| now.as_secs())
    };
    let seed = given.unwrap_or_else(now);
    say(&format!("JLOCK_SEED={seed}"));
    seed
}

#[test]
fn while_others_are_killed_three_finish_and_nothing_is_lost() {
    let _alone = alone();
    let root = root();
    let survivors = names("survivor", 3);
    let job = Job::Append {
        count: 4_000,
        stamp_every: 10,
        pause_us: 0,
        until_stop: true,
        locked: true,
    };
    let processes = spawn_all(job, root.path(), &survivors);
    let victims = (1..=2).map(|number| Slot::new(format!("victim{number}"), writers::library(1_000)));
    let mut storm = Storm::new(root.path(), seed(), victims.collect(), Vec::new());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(20) {
        storm.kill_one();
    }
    storm.calm();
    std::fs::write(worker::stop_path(root.path()), "").expect("a file");
    processes.into_iter().for_each(Process::expect_success);

    let least = survivors
        .iter()
        .map(|name| oracle::acknowledged(root.path(), name).len())
        .min();
    assert!(least >= Some(4_000), "{least:?}");
    storm.names.extend(survivors);
    let audit = Audit::of(root.path(), &storm.names);
    say(&format!(
        "{} kills beside 3 writers: {} acknowledged, {} lost",
        storm.kills,
        audit.acknowledged,
        audit.lost.len()
    ));
    say(&format!("figure: kills = {}", storm.kills));
    say(&format!(
        "figure: entries acknowledged, none of which is lost = {}",
        audit.acknowledged
    ));
    audit.assert_clean();
    expect_nothing_left(root.path());
}

#[test]
fn kills_and_stops_lose_nothing_beside_a_shipped_peer() {
    let _alone = alone();
    let root = root();
    let (kills, stops) = if proving() { (1_000, 200) } else { (100, 20) };
    let victims = if proving() {
        writers::all_languages(root.path())
    } else {
        writers::some_languages(root.path())
    };
    let shipped = Slot::new("shipped", writers::shipped(60, true));
    let mut storm = Storm::new(root.path(), seed(), victims, vec![shipped]);
    while storm.kills < kills {
        storm.kill_one();
        if storm.stops * kills < storm.kills * stops {
            storm.stop_one();
        }
    }
    storm.calm();

    let audit = Audit::of(root.path(), &storm.names);
    let of_shipped = storm.names.iter().filter(|name| name.starts_with("shipped"));
    let by_shipped: usize = of_shipped
        .map(|name| oracle::acknowledged(root.path(), name).len())
        .sum();
    say(&format!(
        "{} kills and {} stops of {} writers: {} acknowledged, {} of them by a shipped peer, {} lost, {} malformed",
        storm.kills,
        storm.stops,
        storm.names.len(),
        audit.acknowledged,
        by_shipped,
        audit.lost.len(),
        audit.malformed.len()
    ));
    say(&format!("figure: kills = {}", storm.kills));
    say(&format!("figure: stops = {}", storm.stops));
    say(&format!(
        "figure: entries acknowledged, none of which is lost = {}",
        audit.acknowledged
    ));
    audit.assert_clean();
    expect_nothing_left(root.path());
}

/// Nothing remains beside the journal. A private file that its owner was killed before it wrote to may be somebody's who
/// is about to: it goes once it is old.
fn expect_nothing_left(root: &Path) {
    let dir = worker::journal_dir(root);
    for (name, size) in oracle::leftovers(root) {
        assert!(
            name.ends_with(".tmp") && size == 0,
            "{name} was left, with {size} bytes"
        );
        let file = std::fs::File::open(dir.join(&name)).expect("a leftover");
        let old = SystemTime::now() - Duration::from_secs(31);
        file.set_modified(old).expect("its time can be set");
        say(&format!("left: {name}, empty"));
    }
    drop(Lock::open(&dir).expect("the lock opens"));
    assert_eq!(oracle::leftovers(root), []);
}

// --------------------------------------------------------------------------------------------------------- frozen

#[test]
fn a_stopped_holder_is_waited_for_and_named() {
    let _alone = alone();
    let root = root();
    let mut command = worker::command(Job::Keep, root.path(), "keeper");
    let mut keeper = Process::spawn("keeper", command.stdin(Stdio::piped()));
    wait_for_log(root.path(), "keeper", "acquired\n");
    keeper.signal(Signal::STOP);

    // However old it looks.
    let dir = worker::journal_dir(root.path());
    let options = Options::new()
        .stale(Duration::from_millis(50))
        .timeout(Duration::from_millis(500));
    let contender = options.open(&dir).expect("the lock opens");
    let begun = Instant::now();
    let refused = contender.acquire().expect_err("it is held");
    assert!(begun.elapsed() >= Duration::from_millis(500));
    assert_eq!(refused.kind(), ErrorKind::TimedOut);
    let named = format!("held by pid {} (library peer)", keeper.pid());
    assert!(refused.message().contains(&named), "{refused}");

    keeper.signal(Signal::CONT);
    keeper.close_input();
    let held = contender.acquire_for(Duration::from_secs(10)).expect("it was let go");
    assert!(!held.recovered().expect("ours"));
    held.release().expect("ours");
    keeper.expect_success();
    wait_for_log(root.path(), "keeper", "acquired\nreleased\n");
}

/// Whoever waits behind it tries for itself after a pause, retry_ms at the latest.
#[test]
fn a_stopped_waiter_holds_up_nobody_and_gets_the_lock_once_it_goes_on() {
    const HOLDS: u32 = 100;
    let _alone = alone();
    let root = root();
    let mut command = worker::command(Job::Keep, root.path(), "keeper");
    let mut keeper = Process::spawn("keeper", command.stdin(Stdio::piped()));
    wait_for_log(root.path(), "keeper", "acquired\n");
    let holder = |name: &str, count| {
        let locked = true;
        let process = spawn(Job::Hold { count, locked }, root.path(), name);
        wait_until(&format!("{name} waits in line"), || {
            oracle::waits_in_line(root.path(), process.pid())
        });
        process
    };

    // The first in line stops; the others line up behind it.
    let stopped = holder("stopped", 1);
    stopped.signal(Signal::STOP);
    wait_until("it has stopped", || stopped.is_stopped());
    let others = names("other", 3);
    let waiting: Vec<Process> = others.iter().map(|name| holder(name, HOLDS)).collect();

    let begun = oracle::monotonic_ns();
    keeper.close_input();
    keeper.expect_success();
    waiting.into_iter().for_each(Process::expect_success);
    let longest = oracle::longest_wait(root.path(), &others, begun);
    say(&format!(
        "longest time without a holder, behind a stopped waiter: {longest:?}"
    ));
    assert!(longest < Duration::from_secs(1), "{longest:?}"); // of which the machine may take its part
    assert!(stopped.is_stopped());

    stopped.signal(Signal::CONT);
    stopped.expect_success();
    let expected = Exclusion {
        holds: 1 + others.len() * HOLDS as usize,
        clashes: 0,
        uncounted: 0,
        overlaps: 0,
    };
    let all = [others, vec!["stopped".to_owned()]].concat();
    assert_eq!(Exclusion::judge(root.path(), &all), expected);
    expect_nothing_left(root.path());
}

fn wait_for_log(root: &Path, name: &str, expected: &str) {
    wait_until(&format!("{name} says {expected:?}"), || {
        std::fs::read_to_string(worker::log_path(root, name)).is_ok_and(|log| log == expected)
    });
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "not after 30 s: {what}");
        std::thread::sleep(Duration::from_millis(1)); // a file tells nobody
    }
}

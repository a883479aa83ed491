//! A second implementation (`second/peer.py`), written from PROTOCOL.md alone, in one crowd with the library and a shipped
//! peer: the document is complete if nothing is lost and nobody holds beside another.
//!
//! With `JLOCK_PROVE=1` the storm is longer, and the example writers in all languages take part.

#![allow(dead_code, reason = "the storms' tools, of which this test needs a part")]

#[path = "storm/crowd.rs"]
mod crowd;
#[path = "storm/oracle.rs"]
mod oracle;
#[path = "fault/scratch.rs"]
mod scratch;
#[path = "storm/weather.rs"]
mod weather;
#[path = "storm/worker.rs"]
mod worker;
#[path = "storm/writers.rs"]
mod writers;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crowd::Process;
use oracle::{Audit, Exclusion};
use scratch::Scratch;
use weather::{Slot, Storm};
use worker::{Job, journal_dir, log_path};

#[test]
#[ignore = "a process of the other tests, which start it themselves"]
fn worker() {
    worker::work();
}

/// One crowd at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn proving() -> bool {
    std::env::var_os("JLOCK_PROVE").is_some()
}

fn root() -> Scratch {
    let root = Scratch::new("second");
    fs::create_dir(journal_dir(root.path())).expect("a directory");
    fs::write(worker::counter_path(root.path()), "0").expect("a counter");
    root
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("{prefix}-{number}")).collect()
}

// ----------------------------------------------------------------------------------------------- the second peer

fn peer(script: &str) -> Command {
    let second = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/second");
    let mut command = Command::new("python3");
    command.arg("-B").arg(second.join(script)); // leaves no __pycache__ in the tree
    command
}

/// A writer of so many entries in one life.
fn second(label: &str, count: u32) -> Slot {
    let make = move |root: &Path, name: &str| {
        let mut command = peer("storm.py");
        command.arg(journal_dir(root)).arg(name);
        crowd::redirect(&mut command, &log_path(root, name), &paths(root, count));
        command
    };
    Slot::new(label, Box::new(make))
}

fn paths(root: &Path, count: u32) -> PathBuf {
    let path = root.join(format!("second-{count}.paths"));
    let lines: String = (1..=count).map(|number| format!("{number}.rs\n")).collect();
    fs::write(&path, lines).expect("paths");
    path
}

fn second_holder(root: &Path, name: &str, count: u32) -> Process {
    let mut command = peer("storm.py");
    command
        .arg("--hold")
        .arg(count.to_string())
        .arg(journal_dir(root))
        .arg(root);
    Process::spawn(name, command.stdout(File::create(log_path(root, name)).expect("a log")))
}

/// One that acquires, and waits to be killed.
fn second_keeper(root: &Path, name: &str) -> Process {
    let mut command = peer("storm.py");
    command.arg("--keep").arg(journal_dir(root)).stdin(Stdio::piped());
    Process::spawn(name, command.stdout(File::create(log_path(root, name)).expect("a log")))
}

fn library_keeper(root: &Path, name: &str) -> Process {
    Process::spawn(name, worker::command(Job::Keep, root, name).stdin(Stdio::piped()))
}

fn wait_until_acquired(root: &Path, name: &str) {
    let begun = Instant::now();
    while !fs::read_to_string(log_path(root, name)).is_ok_and(|log| log == "acquired\n") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{name} does not acquire");
        std::thread::sleep(Duration::from_millis(1)); // the log tells nobody
    }
}

// --------------------------------------------------------------------------------------------------------- claims

#[test]
fn holds_never_overlap_while_other_holders_are_killed() {
    let _alone = alone();
    let root = root();
    let (peers, library) = (names("second", 2), names("library", 2));
    let (by_peer, by_library) = if proving() { (10_000, 40_000) } else { (500, 2_000) };
    let mut holders: Vec<Process> = peers
        .iter()
        .map(|name| second_holder(root.path(), name, by_peer))
        .collect();
    let job = Job::Hold {
        count: by_library,
        locked: true,
    };
    let spawn = |name: &String| Process::spawn(name, &mut worker::command(job, root.path(), name));
    holders.extend(library.iter().map(spawn));

    let kills = if proving() { 100 } else { 4 };
    for number in 0..kills {
        let name = format!("keeper-{number}");
        let keeper = if number % 2 == 0 { second_keeper } else { library_keeper };
        let keeper = keeper(root.path(), &name);
        wait_until_acquired(root.path(), &name);
        keeper.kill();
    }
    holders.into_iter().for_each(Process::expect_success);

    let expected = Exclusion {
        holds: 2 * (by_peer + by_library) as usize,
        clashes: 0,
        uncounted: 0,
        overlaps: 0,
    };
    assert_eq!(Exclusion::judge(root.path(), &[peers, library].concat()), expected);
    println!("figure: holds, none of which overlap = {}", expected.holds);
    println!("figure: holders killed = {kills}");
    assert_eq!(oracle::leftovers(root.path()), []);
}

#[test]
fn kills_lose_nothing_beside_the_library_and_a_shipped_peer() {
    let _alone = alone();
    let root = root();
    let (kills, mut victims) = if proving() {
        (400, writers::all_languages(root.path()))
    } else {
        (40, writers::library_only(2))
    };
    victims.extend(["second1", "second2", "second3"].map(|label| second(label, 300)));
    let seed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let seed = std::env::var("JLOCK_SEED").map_or(seed, |seed| seed.parse().expect("a number"));
    println!("JLOCK_SEED={seed}");
    let shipped = Slot::new("shipped", writers::shipped(60, true));
    let mut storm = Storm::new(root.path(), seed, victims, vec![shipped]);
    while storm.kills < kills {
        storm.kill_one();
    }
    storm.calm();

    let audit = Audit::of(root.path(), &storm.names);
    audit.assert_clean();
    let by = |label| storm.names.iter().filter(move |name| name.starts_with(label));
    let acknowledged = |label| -> usize {
        by(label)
            .map(|name| oracle::acknowledged(root.path(), name).len())
            .sum()
    };
    let figures = ["second", "library", "shipped"].map(|label| (label, by(label).count(), acknowledged(label)));
    println!("figure: writers killed = {kills}");
    println!(
        "figure: entries acknowledged, none of which is lost = {}",
        audit.acknowledged
    );
    println!("{kills} kills; writers and what they were told is there: {figures:?}");
    assert!(by("second").count() > 2, "none of the second implementation was killed");
    assert!(acknowledged("second") >= 300 && acknowledged("shipped") >= 60);
    expect_nothing_left(root.path());
}

/// What killed writers leave beside the journal, even the last of all, the second peer removes.
fn expect_nothing_left(root: &Path) {
    let last = library_keeper(root, "last");
    wait_until_acquired(root, "last");
    last.kill();
    assert_eq!(oracle::leftovers(root).len(), 2, "the lock and its private file");
    let mut command = peer("storm.py");
    command.arg(journal_dir(root)).arg("cleaner");
    crowd::redirect(&mut command, &log_path(root, "cleaner"), &paths(root, 1));
    Process::spawn("cleaner", &mut command).expect_success();
    assert_eq!(oracle::acknowledged(root, "cleaner"), ["cleaner/1.rs"]);
    assert_eq!(oracle::leftovers(root), []);
}

#[test]
fn it_keeps_the_test_vectors() {
    let run = peer("vectors.py").arg(std::process::id().to_string()).output();
    let run = run.expect("python3 is needed");
    let said = [run.stdout, run.stderr].concat();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&said));
}

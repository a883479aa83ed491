//! The shipped peer with its lock mended (`docs/codegraph-lock.js`): many of them, beside library peers and one peer as it
//! is shipped, killed at random, before the storms' oracles. Once as it is, and once where there is no flock(1).
//!
//! With `JLOCK_PROVE=1` the storms are longer.

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
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crowd::Process;
use oracle::{Audit, Exclusion};
use scratch::Scratch;
use weather::{Make, Slot, Storm};
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

/// Says a figure past the test harness, which keeps what a successful test prints to itself.
fn say(figure: &str) {
    std::io::stderr()
        .write_all(format!("{figure}\n").as_bytes())
        .expect("stderr");
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("{prefix}-{number}")).collect()
}

fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let seed = std::env::var("JLOCK_SEED").map_or(now.as_secs(), |seed| seed.parse().expect("a number"));
    say(&format!("JLOCK_SEED={seed}"));
    seed
}

// ------------------------------------------------------------------------------------------------ the mended peer

/// Whether the mended peer finds a flock(1), or has to do without.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flock {
    There,
    Missing,
}

/// Where the copies of the shipped module are, and a journal's directory.
struct Scene {
    root: Scratch,
    flock: Flock,
}

impl Scene {
    fn new(flock: Flock) -> Scene {
        let root = Scratch::new("mended");
        let dir = journal_dir(root.path());
        fs::create_dir(&dir).expect("a directory");
        fs::write(dir.join("changes.journal"), "# codegraph-journal v1 1700000000000\n").expect("a journal");
        fs::write(worker::counter_path(root.path()), "0").expect("a counter");
        writers::fetch_peer();
        let made = Command::new("node")
            .arg(repository("tests/mended/mend.mjs"))
            .arg(root.path())
            .output();
        let made = made.expect("node is needed");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Scene { root, flock }
    }

    fn path(&self) -> &Path {
        self.root.path()
    }

    /// One that holds by the lock of the copy `module`, so often; or, without a count, until it is killed.
    fn holder(&self, module: &str, name: &str, count: Option<u32>) -> Process {
        let root = self.path();
        let mut command = node(self.flock);
        command.arg(repository("tests/mended/holder.mjs"));
        command.arg(journal_of(root, module)).arg(journal_dir(root));
        if let Some(count) = count {
            command.arg(root).arg(count.to_string());
        }
        let log = File::create(log_path(root, name)).expect("a log");
        Process::spawn(name, command.stdin(Stdio::piped()).stdout(log))
    }

    /// Has one after the other acquire and die of it: one with the lock of `module`, and a library peer.
    fn kill_holders(&self, module: &str, kills: u32) {
        for number in 0..kills {
            let name = format!("keeper-{number}");
            let keeper = if number % 2 == 0 {
                self.holder(module, &name, None)
            } else {
                let mut command = worker::command(Job::Keep, self.path(), &name);
                Process::spawn(&name, command.stdin(Stdio::piped()))
            };
            wait_until_acquired(self.path(), &name);
            keeper.kill();
        }
    }
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn journal_of(root: &Path, module: &str) -> PathBuf {
    root.join(module).join("domain/graph/journal.js")
}

fn node(flock: Flock) -> Command {
    let mut command = Command::new(node_itself());
    if flock == Flock::Missing {
        command.env("PATH", "/nowhere");
    }
    command
}

/// Its path, which it is found by even where there is none to look in.
fn node_itself() -> PathBuf {
    let path = std::env::var_os("PATH").expect("a path");
    let mut candidates = std::env::split_paths(&path).map(|dir| dir.join("node"));
    candidates
        .find(|candidate| candidate.is_file())
        .expect("node is needed")
}

fn wait_until_acquired(root: &Path, name: &str) {
    let begun = Instant::now();
    while !fs::read_to_string(log_path(root, name)).is_ok_and(|log| log == "acquired\n") {
        assert!(begun.elapsed() < Duration::from_secs(60), "{name} does not acquire");
        std::thread::sleep(Duration::from_millis(1)); // the log tells nobody
    }
}

// ------------------------------------------------------------------------------------------------------ exclusion

fn exclude(flock: Flock) {
    let _alone = alone();
    let scene = Scene::new(flock);
    let (peers, library) = (names("mended", 3), names("library", 2));
    let (by_peer, by_library, kills) = if proving() {
        (1_000, 20_000, 100)
    } else {
        (200, 2_000, 8)
    };
    let mut holders: Vec<Process> = peers
        .iter()
        .map(|name| scene.holder("mended", name, Some(by_peer)))
        .collect();
    let job = Job::Hold {
        count: by_library,
        locked: true,
    };
    let spawn = |name: &String| Process::spawn(name, &mut worker::command(job, scene.path(), name));
    holders.extend(library.iter().map(spawn));
    scene.kill_holders("mended", kills);
    holders.into_iter().for_each(Process::expect_success);

    let expected = Exclusion {
        holds: (3 * by_peer + 2 * by_library) as usize,
        clashes: 0,
        uncounted: 0,
        overlaps: 0,
    };
    assert_eq!(Exclusion::judge(scene.path(), &[peers, library].concat()), expected);
    say(&format!("figure: holds, none of which overlap = {}", expected.holds));
    say(&format!("figure: holders killed = {kills}"));
}

#[test]
fn mended_and_library_peers_exclude_each_other_while_holders_are_killed() {
    exclude(Flock::There);
}

#[test]
fn without_flock_they_exclude_each_other_too() {
    exclude(Flock::Missing);
}

/// What the same oracles say of the lock as it is shipped: sooner or later, two hold it.
#[test]
fn unmended_peers_do_not_exclude_each_other() {
    let _alone = alone();
    let overlaps = |round: u32| {
        let seen = shipped_alone();
        say(&format!("8 peers as shipped, round {round}: {seen:?}"));
        seen.overlaps > 0
    };
    assert!((1..=20).any(overlaps));
}

fn shipped_alone() -> Exclusion {
    let scene = Scene::new(Flock::There);
    let peers = names("shipped", 8);
    let spawn = |name: &String| scene.holder("shipped", name, Some(50));
    let holders: Vec<Process> = peers.iter().map(spawn).collect();
    scene.kill_holders("shipped", 4);
    for holder in holders {
        holder.wait(); // one that finds no marker to remove fails
    }
    Exclusion::judge(scene.path(), &peers)
}

// --------------------------------------------------------------------------------------------------------- storms

/// A writer through the journal module with the mended lock.
fn mended(flock: Flock, count: u32) -> Make {
    Box::new(move |root, name| {
        let mut command = node(flock);
        command.env("CODEGRAPH_JOURNAL", journal_of(root, "mended"));
        command.arg(repository("tests/interop/shipped-writer.mjs"));
        command.arg("--stamped").arg(root).arg(name);
        crowd::redirect(&mut command, &log_path(root, name), &writers::paths(root, count));
        command
    })
}

fn storm(flock: Flock) {
    let _alone = alone();
    let scene = Scene::new(flock);
    let kills = if proving() { 500 } else { 30 };
    let mut victims = writers::library_only(2);
    victims.extend(["mended1", "mended2", "mended3"].map(|label| Slot::new(label, mended(flock, 60))));
    let shipped = Slot::new("shipped", writers::shipped(60, true));
    let mut storm = Storm::new(scene.path(), seed(), victims, vec![shipped]);
    let has_killed_mended = |storm: &Storm| storm.names.iter().filter(|name| name.starts_with("mended")).count() > 5;
    while storm.kills < kills || !has_killed_mended(&storm) {
        storm.kill_one();
    }
    storm.calm();

    let audit = Audit::of(scene.path(), &storm.names);
    audit.assert_clean();
    let by = |label| storm.names.iter().filter(move |name| name.starts_with(label));
    let acknowledged = |label| -> usize {
        by(label)
            .map(|name| oracle::acknowledged(scene.path(), name).len())
            .sum()
    };
    let figures = ["mended", "library", "shipped"].map(|label| (label, by(label).count(), acknowledged(label)));
    let kills = storm.kills;
    say(&format!(
        "{kills} kills; writers and what they were told is there: {figures:?}"
    ));
    say(&format!("figure: kills = {kills}"));
    say(&format!(
        "figure: entries acknowledged, none of which is lost = {}",
        audit.acknowledged
    ));
    // The last one killed is not replaced; the others have finished.
    assert!(acknowledged("mended") >= 120 && acknowledged("shipped") >= 60);
}

#[test]
fn kills_lose_nothing_beside_library_peers_and_a_peer_as_shipped() {
    storm(Flock::There);
}

#[test]
fn without_flock_kills_lose_nothing_either() {
    storm(Flock::Missing);
}

// --------------------------------------------------------------------------------------------------------- adopted

/// Whether a writer through the adopting module can write an entry that only codegraph's own code takes.
fn writes_what_the_library_refuses(scene: &Scene) -> bool {
    let mut command = node(Flock::There);
    command.env("CODEGRAPH_JOURNAL", journal_of(scene.path(), "adopted"));
    command.env("JLOCK_LIBRARY", writers::shared_object());
    command.arg(repository("tests/interop/shipped-writer.mjs"));
    let run = command
        .arg(scene.path())
        .args(["#", "1"])
        .output()
        .expect("node is needed");
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() || errors.contains("#/1"), "{errors}");
    run.status.success()
}

#[test]
fn where_the_library_is_missing_the_adopting_module_falls_back() {
    let scene = Scene::new(Flock::There);
    assert!(writes_what_the_library_refuses(&scene));
    if proving() {
        // Only there is the package for Node known to be installed.
        let modules = scene.path().join("adopted/node_modules");
        fs::create_dir(&modules).expect("a directory");
        symlink(repository("examples/node"), modules.join("jlock")).expect("a link");
        assert!(!writes_what_the_library_refuses(&scene), "not the library");
    }
}

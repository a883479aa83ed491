//! The shipped peer with its lock fixed (`docs/codegraph-lock.js`): several of them, beside library peers and one
//! unfixed shipped peer, are killed at random, and judged by the storms' oracles; once with a flock(1), and once
//! without.

use std::fs::{self, File};
use std::ops::Deref;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::crowd::Process;
use crate::oracle::Exclusion;
use crate::scene::{
    Scene, count_acknowledged, expect_exclusion, expect_kills_lose_nothing, kill_holders, names, proving, say,
    spawn_holders,
};
use crate::weather::{Make, Slot};
use crate::worker::{journal_dir, log_path};
use crate::writers::{self, repository, succeed};

/// Whether the fixed peer finds a flock(1) or has to do without it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flock {
    There,
    Missing,
}

/// A scene with copies of the shipped module: `shipped`, `fixed` and `adopted`.
struct Copies(Scene);

impl Deref for Copies {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Copies {
    fn new() -> Copies {
        let scene = Scene::new();
        writers::fetch_peer();
        succeed(Command::new("node").arg(repository("tests/fixed/fix.mjs")).arg(&*scene));
        Copies(scene)
    }

    /// A process that holds with the lock of the copy `module`, `count` times or, without a count, until it is killed.
    fn holder(&self, flock: Flock, module: &str, name: &str, count: Option<u32>) -> Process {
        let mut command = node(flock);
        command.arg(repository("tests/fixed/holder.mjs"));
        command.arg(journal_of(self, module)).arg(journal_dir(self));
        if let Some(count) = count {
            command.arg(&**self).arg(count.to_string());
        }
        let log = File::create(log_path(self, name)).expect("a log");
        Process::spawn(name, command.stdin(Stdio::piped()).stdout(log))
    }
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

/// The path of node, by which it is found even where PATH leads nowhere.
fn node_itself() -> PathBuf {
    let path = std::env::var_os("PATH").expect("a path");
    let mut candidates = std::env::split_paths(&path).map(|dir| dir.join("node"));
    candidates
        .find(|candidate| candidate.is_file())
        .expect("node is needed")
}

// ------------------------------------------------------------------------------------------------------ exclusion

fn exclude(flock: Flock) {
    let scene = Copies::new();
    let (peers, library) = (names("fixed", 3), names("library", 2));
    let (by_peer, by_library, kills) = if proving() {
        (1_000, 20_000, 100)
    } else {
        (200, 2_000, 8)
    };
    let holder = |name: &String| scene.holder(flock, "fixed", name, Some(by_peer));
    let mut holders: Vec<Process> = peers.iter().map(holder).collect();
    holders.extend(spawn_holders(&scene, &library, by_library));
    kill_holders(&scene, kills, |name| scene.holder(flock, "fixed", name, None));
    holders.into_iter().for_each(Process::expect_success);
    let holds = 3 * by_peer + 2 * by_library;
    expect_exclusion(&scene, &[peers, library].concat(), holds as usize);
    say(&format!("figure: holders killed = {kills}"));
}

#[test]
fn fixed_and_library_peers_exclude_each_other_while_holders_are_killed() {
    exclude(Flock::There);
}

#[test]
fn without_flock_they_exclude_each_other_too() {
    exclude(Flock::Missing);
}

/// The same oracles judge the lock as it is shipped: sooner or later, two peers hold it at once.
#[test]
fn unfixed_peers_do_not_exclude_each_other() {
    let overlaps = |round: u32| {
        let seen = shipped_alone();
        say(&format!("8 peers as shipped, round {round}: {seen:?}"));
        seen.overlaps > 0
    };
    assert!((1..=20).any(overlaps));
}

fn shipped_alone() -> Exclusion {
    let scene = Copies::new();
    let peers = names("shipped", 8);
    let holder = |name: &String| scene.holder(Flock::There, "shipped", name, Some(50));
    let holders: Vec<Process> = peers.iter().map(holder).collect();
    kill_holders(&scene, 4, |name| scene.holder(Flock::There, "shipped", name, None));
    for holder in holders {
        holder.wait(); // it fails if it finds no marker to remove
    }
    Exclusion::judge(&scene, &peers)
}

// --------------------------------------------------------------------------------------------------------- storms

/// A writer that uses the journal module with the fixed lock.
fn fixed(flock: Flock, count: u32) -> Make {
    let program = move |root: &Path| {
        let mut command = node(flock);
        command.env("CODEGRAPH_JOURNAL", journal_of(root, "fixed"));
        command
    };
    writers::shipped_by(program, count, true)
}

fn storm(flock: Flock) {
    let scene = Copies::new();
    let kills = if proving() { 500 } else { 30 };
    let mut victims = writers::library_only(2);
    victims.extend(Slot::several("fixed", 3, || fixed(flock, 60)));
    let storm = expect_kills_lose_nothing(&scene, kills, "fixed", victims);
    // The last one that was killed is not replaced; the others have finished.
    assert!(count_acknowledged(&scene, &storm, "fixed") >= 120);
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

/// Whether a writer that uses the adopting module can write an entry that only codegraph's own code accepts.
fn writes_what_the_library_refuses(scene: &Copies) -> bool {
    let mut command = node(Flock::There);
    command.env("CODEGRAPH_JOURNAL", journal_of(scene, "adopted"));
    command.env("JLOCK_LIBRARY", writers::shared_object());
    command.arg(repository("tests/interop/shipped-writer.mjs"));
    let run = command.arg(&**scene).args(["#", "1"]).output().expect("node is needed");
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() || errors.contains("#/1"), "{errors}");
    run.status.success()
}

#[test]
fn where_the_library_is_missing_the_adopting_module_falls_back() {
    let scene = Copies::new();
    assert!(writes_what_the_library_refuses(&scene));
    if proving() {
        // Only then is the package for Node sure to be installed.
        let modules = scene.join("adopted/node_modules");
        fs::create_dir(&modules).expect("a directory");
        symlink(repository("examples/node"), modules.join("jlock")).expect("a link");
        assert!(!writes_what_the_library_refuses(&scene), "it does not use the library");
    }
}

// --------------------------------------------------------------------------------------------------------- robbed

/// Lets the fixed module write, and robs it meanwhile. Returns how often it wrote, and the journal.
fn robbed(call: &str) -> (u32, String) {
    let scene = Copies::new();
    let journal = journal_dir(&scene).join("changes.journal");
    if call == "create" {
        fs::remove_file(&journal).expect("a journal");
    }
    let mut command = node(Flock::There);
    command.arg(repository("tests/fixed/robbed.mjs"));
    command.arg(journal_of(&scene, "fixed")).arg(&*scene).arg(call);
    let run = command.output().expect("node is needed");
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && errors.is_empty(), "{errors}");
    let writes = String::from_utf8_lossy(&run.stdout).trim().parse().expect("a number");
    (writes, fs::read_to_string(journal).expect("a journal"))
}

/// A writer that is robbed (for example in "the instant that stays") repeats what it did, and takes no entry from the
/// robber.
#[test]
fn a_robbed_writer_loses_nothing_and_takes_nothing() {
    let journal = |lines: &str| format!("# codegraph-journal v1 {lines}");
    assert_eq!(robbed("append"), (2, journal("1700000000000\ntheirs\nours\n")));
    assert_eq!(robbed("stamp"), (2, journal("1800000000000\ntheirs\nours\n")));
    // A header below the first line is skipped, and so is a line that occurs twice.
    let twice = journal("1700000000000\ntheirs\n# codegraph-journal v1 0\nours\nours\n");
    assert_eq!(robbed("create"), (3, twice));
    // A header leaves nothing below it, whoever wrote that.
    assert_eq!(robbed("header"), (2, journal("1800000000000\n")));
}

//! Implementations that were written from PROTOCOL.md alone, in Python (`tests/second`) and in Perl (`tests/third`),
//! in one crowd with the library and a shipped peer. If nothing is lost and no two hold at once, the document is
//! complete.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::crowd::{self, Process};
use crate::oracle;
use crate::scene::{
    Scene, count_acknowledged, expect_exclusion, expect_kills_lose_nothing, keeper, kill_holders, names, proving, say,
    spawn_holders,
};
use crate::weather::Slot;
use crate::worker::{journal_dir, log_path};
use crate::writers;

/// An implementation, with the programs `storm` and `vectors` in its directory.
#[derive(Clone, Copy)]
struct Peer {
    name: &'static str,
    interpreter: &'static [&'static str],
    extension: &'static str,
    /// How many writers are killed, unless the large bounds are wanted.
    kills: usize,
}

const PYTHON: Peer = Peer {
    name: "second",
    interpreter: &["python3", "-B"], // leaves no __pycache__ in the tree
    extension: "py",
    kills: 40,
};

const PERL: Peer = Peer {
    name: "third",
    interpreter: &["perl"],
    extension: "pl",
    kills: 20,
};

impl Peer {
    fn command(self, program: &str) -> Command {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests");
        let script = tests.join(self.name).join(program).with_extension(self.extension);
        let mut command = Command::new(self.interpreter[0]);
        command.args(&self.interpreter[1..]).arg(script);
        command
    }

    /// A writer that writes this many entries in its life.
    fn writer(self, root: &Path, name: &str, count: u32) -> Command {
        let mut command = self.command("storm");
        command.arg(journal_dir(root)).arg(name);
        crowd::redirect(&mut command, &log_path(root, name), &writers::paths(root, count));
        command
    }

    fn holder(self, root: &Path, name: &str, count: u32) -> Process {
        let mut command = self.command("storm");
        command.arg("--hold").arg(count.to_string());
        command.arg(journal_dir(root)).arg(root);
        Process::spawn(name, command.stdout(log(root, name)))
    }

    /// A process that acquires and waits to be killed.
    fn holder_for_good(self, root: &Path, name: &str) -> Process {
        let mut command = self.command("storm");
        command.arg("--keep").arg(journal_dir(root)).stdin(Stdio::piped());
        Process::spawn(name, command.stdout(log(root, name)))
    }

    fn holds_never_overlap_while_other_holders_are_killed(self) {
        let scene = Scene::new();
        let (peers, library) = (names(self.name, 2), names("library", 2));
        let (by_peer, by_library, kills) = if proving() {
            (10_000, 40_000, 100)
        } else {
            (500, 2_000, 4)
        };
        let mut holders: Vec<Process> = peers.iter().map(|name| self.holder(&scene, name, by_peer)).collect();
        holders.extend(spawn_holders(&scene, &library, by_library));
        kill_holders(&scene, kills, |name| self.holder_for_good(&scene, name));
        holders.into_iter().for_each(Process::expect_success);

        expect_exclusion(&scene, &[peers, library].concat(), 2 * (by_peer + by_library) as usize);
        say(&format!("figure: holders killed = {kills}"));
        assert_eq!(oracle::leftovers(&scene), []);
    }

    fn kills_lose_nothing_beside_the_library_and_a_shipped_peer(self) {
        let scene = Scene::new();
        fs::remove_file(journal_dir(&scene).join("changes.journal")).expect("a journal"); // they create it themselves
        let (kills, mut victims) = if proving() {
            (400, writers::all_languages(&scene))
        } else {
            (self.kills, writers::library_only(2))
        };
        victims.extend(Slot::several(self.name, 3, || {
            Box::new(move |root, name| self.writer(root, name, 300))
        }));
        let storm = expect_kills_lose_nothing(&scene, kills, self.name, victims);
        assert!(count_acknowledged(&scene, &storm, self.name) >= 300);
        self.expect_it_leaves_nothing(&scene);
    }

    /// The peer removes what killed writers leave beside the journal, even the last of them.
    fn expect_it_leaves_nothing(self, root: &Path) {
        keeper(root, "last").kill();
        assert_eq!(oracle::leftovers(root).len(), 2, "the lock and its private file");
        Process::spawn("cleaner", &mut self.writer(root, "cleaner", 1)).expect_success();
        assert_eq!(oracle::acknowledged(root, "cleaner"), ["cleaner/1.rs"]);
        assert_eq!(oracle::leftovers(root), []);
    }

    fn keeps_the_test_vectors(self) {
        let _alone = Scene::new(); // so that other storms do not disturb its times
        let run = self.command("vectors").arg(std::process::id().to_string()).output();
        let run = run.unwrap_or_else(|e| panic!("{} is needed: {e}", self.interpreter[0]));
        let said = [run.stdout, run.stderr].concat();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&said));
    }
}

fn log(root: &Path, name: &str) -> File {
    File::create(log_path(root, name)).expect("a log")
}

#[test]
fn holds_never_overlap_while_other_holders_are_killed() {
    PYTHON.holds_never_overlap_while_other_holders_are_killed();
}

#[test]
fn kills_lose_nothing_beside_the_library_and_a_shipped_peer() {
    PYTHON.kills_lose_nothing_beside_the_library_and_a_shipped_peer();
}

#[test]
fn it_keeps_the_test_vectors() {
    PYTHON.keeps_the_test_vectors();
}

#[test]
fn holds_of_the_third_peer_never_overlap_while_other_holders_are_killed() {
    PERL.holds_never_overlap_while_other_holders_are_killed();
}

#[test]
fn kills_lose_nothing_beside_the_third_peer() {
    PERL.kills_lose_nothing_beside_the_library_and_a_shipped_peer();
}

#[test]
fn the_third_peer_keeps_the_test_vectors() {
    PERL.keeps_the_test_vectors();
}

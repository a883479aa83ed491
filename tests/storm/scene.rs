//! What every storm needs: its place, its workers, the verdict.

use std::fs::{self, File};
use std::io::Write;
use std::ops::Deref;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use jlock::Lock;

use crate::crowd::Process;
use crate::oracle::{self, Audit, Exclusion};
use crate::scratch::Scratch;
use crate::weather::{Slot, Storm};
use crate::worker::{self, Job, journal_dir, log_path};
use crate::writers;

/// A root for workers, with a journal and a counter. There is only one at a time, so that storms do not disturb each
/// other.
pub struct Scene {
    root: Scratch,
    _alone: MutexGuard<'static, ()>,
}

impl Scene {
    pub fn new() -> Scene {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let root = Scratch::new("storm");
        let dir = journal_dir(root.path());
        fs::create_dir(&dir).expect("a directory");
        fs::write(dir.join("changes.journal"), "# codegraph-journal v1 1700000000000\n").expect("a journal");
        fs::write(worker::counter_path(root.path()), "0").expect("a counter");
        Scene { root, _alone: alone }
    }
}

impl Deref for Scene {
    type Target = Path;

    fn deref(&self) -> &Path {
        self.root.path()
    }
}

/// Whether the large bounds are wanted.
pub fn proving() -> bool {
    std::env::var_os("JLOCK_PROVE").is_some()
}

/// Prints a figure past the test harness, which swallows the output of tests that succeed.
pub fn say(figure: &str) {
    std::io::stderr()
        .write_all(format!("{figure}\n").as_bytes())
        .expect("stderr");
}

/// Decides who is killed, and after how long. (What the victim is doing then depends on the machine.)
pub fn seed() -> u64 {
    let seed = std::env::var("JLOCK_SEED").map_or(1, |seed| seed.parse().expect("JLOCK_SEED: a number"));
    say(&format!("JLOCK_SEED={seed}"));
    seed
}

// -------------------------------------------------------------------------------------------------------- workers

pub fn names(prefix: &str, count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("{prefix}-{number}")).collect()
}

pub fn spawn_all(job: Job, root: &Path, names: &[String]) -> Vec<Process> {
    let spawn = |name: &String| Process::spawn(name, &mut worker::command(job, root, name));
    names.iter().map(spawn).collect()
}

/// Starts holders of the library's, which take the lock.
pub fn spawn_holders(root: &Path, names: &[String], count: u32) -> Vec<Process> {
    spawn_all(Job::Hold { count, locked: true }, root, names)
}

/// A library process that has acquired, and holds until its standard input ends.
pub fn keeper(root: &Path, name: &str) -> Process {
    let keeper = Process::spawn(name, worker::command(Job::Keep, root, name).stdin(Stdio::piped()));
    wait_for_log(root, name, "acquired\n");
    keeper
}

/// Lets one process after another acquire and kills it, in turn one made by `other` and one of the library's.
pub fn kill_holders(root: &Path, kills: u32, other: impl Fn(&str) -> Process) {
    for number in 0..kills {
        let name = format!("keeper-{number}");
        let holder = match number % 2 {
            0 => other(&name),
            _ => keeper(root, &name),
        };
        wait_for_log(root, &name, "acquired\n");
        holder.kill();
    }
}

pub fn wait_for_log(root: &Path, name: &str, expected: &str) {
    wait_until(&format!("{name} says {expected:?}"), || {
        fs::read_to_string(log_path(root, name)).is_ok_and(|log| log == expected)
    });
}

pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(300), "not after 300 s: {what}");
        std::thread::sleep(Duration::from_millis(1)); // a file notifies nobody
    }
}

// -------------------------------------------------------------------------------------------------------- verdicts

/// Checks that all holds of the workers are there, one after the other.
pub fn expect_exclusion(root: &Path, workers: &[String], holds: usize) {
    let expected = Exclusion {
        holds,
        clashes: 0,
        uncounted: 0,
        overlaps: 0,
    };
    assert_eq!(Exclusion::judge(root, workers), expected);
    say(&format!("figure: holds, none of which overlap = {holds}"));
}

/// Checks that all entries that were acknowledged to the storm's writers are in the journal, and that it is intact.
pub fn expect_nothing_lost(root: &Path, storm: &Storm) {
    let audit = Audit::of(root, &storm.names);
    say(&format!(
        "{} kills and {} stops of {} writers: {} lost, {} malformed",
        storm.killed.len(),
        storm.stops,
        storm.names.len(),
        audit.lost.len(),
        audit.malformed.len()
    ));
    say(&format!("figure: kills = {}", storm.killed.len()));
    if storm.stops > 0 {
        say(&format!("figure: stops = {}", storm.stops));
    }
    audit.assert_clean();
    say(&format!(
        "figure: entries acknowledged, none of which is lost = {}",
        audit.acknowledged
    ));
}

/// Lets a storm rage among these, beside a shipped peer, until `kills` are killed, at least three of them with this
/// label.
pub fn expect_kills_lose_nothing(root: &Path, kills: usize, label: &str, victims: Vec<Slot>) -> Storm {
    let shipped = Slot::new("shipped", writers::shipped(60, true));
    let mut storm = Storm::new(root, seed(), victims, vec![shipped]);
    while storm.killed.len() < kills || storm.has_killed(label) < 3 {
        storm.kill_one();
    }
    storm.calm();
    expect_nothing_lost(root, &storm);
    assert!(count_acknowledged(root, &storm, "shipped") >= 60);
    storm
}

/// How many entries were acknowledged to the storm's writers with this label.
pub fn count_acknowledged(root: &Path, storm: &Storm, label: &str) -> usize {
    let writers = storm.names.iter().filter(|name| name.starts_with(label));
    let count = writers.map(|name| oracle::acknowledged(root, name).len()).sum();
    say(&format!("of them by {label}: {count}"));
    count
}

/// The next peer that comes removes what the killed ones have left beside the journal, with one exception. An empty
/// private file whose PID is alive may belong to somebody who is about to write to it, so it goes only once it is old.
pub fn expect_nothing_left(root: &Path) {
    let dir = worker::journal_dir(root);
    for (name, size) in oracle::leftovers(root) {
        say(&format!("left: {name}, {size} bytes"));
        if name.ends_with(".tmp") && size == 0 {
            let file = File::open(dir.join(&name)).expect("a leftover");
            let old = SystemTime::now() - Duration::from_secs(31);
            file.set_modified(old).expect("its time can be set");
        }
    }
    let lock = Lock::open(&dir).expect("the lock opens");
    lock.acquire().expect("nobody holds it").release().expect("it is ours");
    drop(lock);
    assert_eq!(oracle::leftovers(root), []);
}

//! One point is a scene, a call and a fault; and here is what must hold after each.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::errnos;
use crate::scene::{self, Content, Lock, Scene};
use crate::scratch::Scratch;
use crate::trace::{self, Call, Fault, Program, Run};

/// How long a holder keeps a contender waiting.
const MOMENT: Duration = Duration::from_millis(20);
const SETTLE_MS: i64 = 100;
/// Enough for a busy machine, or for one whose disk stalls. Waiting for a lock to grow old would take 30 s.
const MARGIN_MS: i64 = 15_000;
/// An operation does not always make the same calls, so each point is tried this many times.
const TRIES: usize = 3;
/// How often an operation is listed at most. (A waiter looks a different number of times each time.)
const LISTS: usize = 10;

/// What happened at a point.
pub struct Outcome {
    /// The call was made again, so the fault could be injected.
    pub hit: bool,
    /// What the operation returned; `None` if it was killed.
    pub rc: Option<i64>,
    /// How long the next writer took.
    pub next_ms: i64,
    /// The operation failed, but the journal holds its entries.
    pub failed_but_written: bool,
    pub faults: Vec<String>,
}

/// A new directory, prepared for a scene.
struct Stage {
    scratch: Scratch,
    dir: PathBuf,
    log: PathBuf,
    copy: PathBuf,
}

impl Stage {
    fn set(scene: &Scene, program: &Program) -> Stage {
        let scratch = Scratch::new("fault");
        let dir = scratch.path().join("deep/er");
        if scene.lock != Lock::NoDirectory {
            std::fs::create_dir_all(&dir).expect("a directory");
            if let Some(content) = &scene.initial {
                std::fs::write(dir.join("changes.journal"), content).expect("a journal");
            }
            scene.lock.set(&dir, program);
        }
        let (log, copy) = (scratch.path().join("log"), scratch.path().join("copy"));
        Stage {
            scratch,
            dir,
            log,
            copy,
        }
    }

    fn journal(&self) -> Content {
        scene::read(&self.dir.join("changes.journal"))
    }

    /// Runs the program; if the scene asks for it, another peer holds the lock for a moment.
    fn run<T>(&self, scene: &Scene, run: impl FnOnce() -> T) -> T {
        if scene.lock != Lock::Held {
            return run();
        }
        let holder = jlock::Lock::open(&self.dir).expect("a holder");
        let held = holder.acquire().expect("the lock is free");
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                if trace::has_begun(&self.log, || over.load(Ordering::Relaxed)) {
                    std::thread::sleep(MOMENT); // from outside, one cannot see when it waits
                }
                held.release().expect("nobody took it");
            });
            let result = run();
            over.store(true, Ordering::Relaxed);
            result
        })
    }
}

/// The calls that an operation makes. One that was stopped for a while makes calls that a faster one does not make: it settles
/// once more, or sweeps. So it is listed until the shortest list has been seen twice.
pub fn list(scene: &Scene, program: &Program) -> Vec<Call> {
    let mut lists: Vec<Vec<Call>> = Vec::new();
    for _ in 0..LISTS {
        let stage = Stage::set(scene, program);
        lists.push(stage.run(scene, || program.calls(scene.operation, &stage.dir, &stage.log)));
        lists.sort_by_key(Vec::len);
        if lists.len() > 1 && lists[0].len() == lists[1].len() {
            break;
        }
    }
    lists.swap_remove(0)
}

/// Tries a point until it is hit.
pub fn run(scene: &Scene, program: &Program, call: &Call, fault: Fault) -> Outcome {
    for _ in 0..TRIES {
        let stage = Stage::set(scene, program);
        let run = stage.run(scene, || {
            program.fault(scene.operation, &stage.dir, &stage.log, &stage.copy, call, fault)
        });
        if !run.hit(fault) {
            continue;
        }
        let outcome = match fault {
            Fault::Error(errno) => after_error(scene, &stage, program, &run, (call, errno)),
            Fault::Kill => after_kill(scene, &stage, program),
        };
        if !outcome.faults.is_empty() {
            eprintln!(
                "{}:\n{}{}{}",
                stage.scratch.path().display(),
                run.log,
                run.stdout,
                run.stderr
            );
        }
        return outcome;
    }
    Outcome {
        hit: false,
        rc: None,
        next_ms: 0,
        failed_but_written: false,
        // How often a waiter looks depends on the speed of the machine, so its last look may not come again.
        faults: match scene.lock {
            Lock::Held => Vec::new(),
            _ => vec!["this call was not made again".to_owned()],
        },
    }
}

fn after_error(scene: &Scene, stage: &Stage, program: &Program, run: &Run, (call, errno): (&Call, &str)) -> Outcome {
    let mut faults = Vec::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            faults.push(what);
        }
    };
    expect(run.status.success(), format!("it ended with {}", run.status));
    let rc = run.value("rc").unwrap_or(i64::MIN);
    expect(is_answer_to(rc, errno), format!("it returned {rc}"));
    // That it is not on disk does not show in the journal.
    let is_sync = matches!(call.name.as_str(), "fdatasync" | "fsync") && scene.operation != "probe";
    let is_told = rc == -i64::from(errnos::number(errno)) || errno == "EINTR";
    expect(!is_sync || is_told, format!("it returned {rc} without a sync"));
    expect(
        run.value("usable") == Some(0),
        format!("the handle is not usable: {:?}", run.value("usable")),
    );
    expect(
        run.value("leaked") == Some(0),
        format!("{:?} descriptors leaked", run.value("leaked")),
    );

    let left = scene::read(&stage.copy);
    // A name that seems to lead elsewhere looks like a thief's work, so the entries are written once more. Readers
    // still see them once.
    let twice = errno == "ENOENT" && left == scene::with_entry(&scene.after, "new");
    let written = (left == scene.after || twice) && scene.after != scene.before;
    let whole = written
        || if rc == 0 {
            left == scene.after
        } else {
            left == scene.before
        };
    expect(whole, format!("the journal is {}", show(&left)));

    let used = scene::with_entry(&left, "usable");
    let next_ms = next_writer(stage, program, &used, &mut faults);
    Outcome {
        hit: true,
        rc: Some(rc),
        next_ms,
        failed_but_written: rc < 0 && written,
        faults,
    }
}

fn after_kill(scene: &Scene, stage: &Stage, program: &Program) -> Outcome {
    let mut faults = Vec::new();
    let left = stage.journal();
    if left != scene.before && left != scene.after && !scene.between.contains(&left) {
        faults.push(format!("the journal is {}", show(&left)));
    }
    let next_ms = next_writer(stage, program, &left, &mut faults);
    Outcome {
        hit: true,
        rc: None,
        next_ms,
        failed_but_written: false,
        faults,
    }
}

/// The error itself, success, or one of the library's own states; but never EINTR.
fn is_answer_to(rc: i64, errno: &str) -> bool {
    let own = i64::from(jlock_own::LAST)..=i64::from(jlock_own::FIRST);
    rc == 0 || own.contains(&rc) || (rc == -i64::from(errnos::number(errno)) && errno != "EINTR")
}

/// The library's own states, except JLOCK_EPANIC, which is a bug.
mod jlock_own {
    pub const FIRST: i32 = jlock::abi::JLOCK_ELOST;
    pub const LAST: i32 = jlock::abi::JLOCK_EPANIC + 1;
}

/// A new process appends in time, and leaves exactly the expected journal and nothing else.
fn next_writer(stage: &Stage, program: &Program, before: &Content, faults: &mut Vec<String>) -> i64 {
    let run = program.plain("next", &stage.dir);
    let took = run.value("ms").unwrap_or(i64::MAX);
    if run.value("rc") != Some(0) {
        faults.push(format!("the next writer returned {:?} {}", run.value("rc"), run.stderr));
    }
    if took > SETTLE_MS + MARGIN_MS {
        faults.push(format!("the next writer took {took} ms"));
    }
    let expected = scene::with_entry(before, "next");
    if stage.journal() != expected {
        faults.push(format!(
            "then the journal is {}, not {}",
            show(&stage.journal()),
            show(&expected)
        ));
    }
    faults.extend(leftovers(&stage.dir));
    took
}

/// What is left beside the journal. A private file that its owner did not get to write to might belong to somebody
/// who is about to write to it, so it goes only when it is old.
fn leftovers(dir: &Path) -> Option<String> {
    let others = || -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).expect("the directory stands");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        paths.filter(|path| !path.ends_with("changes.journal")).collect()
    };
    let found = others();
    for path in &found {
        let is_private = path.extension().is_some_and(|extension| extension == "tmp");
        let is_empty = std::fs::metadata(path).is_ok_and(|meta| meta.len() == 0);
        if !is_private || !is_empty {
            return Some(format!("{} was left", path.display()));
        }
        scene::age(path, Duration::from_secs(31));
    }
    if !found.is_empty() {
        drop(jlock::Lock::open(dir).expect("it opens"));
    }
    let still = others();
    (!still.is_empty()).then(|| format!("{still:?} remain forever"))
}

fn show(content: &Content) -> String {
    match content {
        None => "missing".to_owned(),
        Some(bytes) => format!("\"{}\"", bytes.escape_ascii()),
    }
}

//! Under strace, every operation of the built shared object is killed at each of its system calls, or has the call
//! fail.
//!
//! First the calls that an operation makes are listed. Then there is one run for each point: the operation is killed
//! before each of its calls and after the last one (to the files, before a call is the same as after the one before
//! it), and each call returns each error that its manual page allows. `trial.rs` says what must hold afterwards. By
//! default, all kills and a selection of the errors are run; with `JLOCK_PROVE=1`, all errors.

mod errnos;
mod scene;
mod scratch;
mod trace;
mod trial;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use scene::{Lock, Scene};
use scratch::Scratch;
use trace::{Call, Fault, Program};
use trial::Outcome;

/// By default, one in this many errors is run.
const SPREAD: usize = 6;
const AT_A_TIME: usize = 2;

struct Point<'s> {
    scene: &'s Scene,
    call: &'s Call,
    fault: Fault,
}

#[test]
fn a_kill_at_any_call_loses_nothing_and_blocks_nobody() {
    run_all("kills", |_, _| vec![Fault::Kill]);
}

#[test]
fn an_error_at_any_call_is_reported_and_breaks_nothing() {
    let all = std::env::var_os("JLOCK_PROVE").is_some();
    let number = AtomicUsize::new(0);
    run_all("errors", |_, call| {
        let errors = errnos::of(&call.name, &call.text).iter();
        let chosen = errors.filter(|_| all || number.fetch_add(1, Ordering::Relaxed) % SPREAD == 0);
        chosen.map(|errno| Fault::Error(errno)).collect()
    });
}

fn run_all(what: &str, faults: impl Fn(&Scene, &Call) -> Vec<Fault>) {
    let scratch = Scratch::new("fault-program");
    let program = Program::build(scratch.path());
    let scenes: Vec<(Scene, Vec<Call>)> = scene::all()
        .into_iter()
        .map(|scene| {
            let calls = trial::list(&scene, &program);
            (scene, calls)
        })
        .collect();
    let calls = scenes.iter().flat_map(|(_, calls)| calls);
    let unknown: Vec<&str> = calls
        .filter(|call| !trace::is_known(call))
        .map(|call| call.text.as_str())
        .collect();
    let question = "which errors can these calls return? Add them to tests/fault/errnos.rs";
    assert!(unknown.is_empty(), "{question}\n{}", unknown.join("\n"));
    let mut points = Vec::new();
    for (scene, calls) in &scenes {
        for call in calls {
            for fault in faults(scene, call) {
                points.push(Point { scene, call, fault });
            }
        }
    }
    let outcomes = in_parallel(&points, &program);
    report(what, &scenes, &points, &outcomes);
    let failures: Vec<String> = points.iter().zip(&outcomes).flat_map(failures).collect();
    let not_hit = points
        .iter()
        .zip(&outcomes)
        .filter(|(point, outcome)| !outcome.hit && point.scene.lock == Lock::Held);
    let held = points.iter().filter(|point| point.scene.lock == Lock::Held);
    assert!(
        2 * not_hit.count() < held.count(),
        "hardly any of the waiters' calls are made again"
    );
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        points.len(),
        failures.join("\n")
    );
}

fn in_parallel(points: &[Point<'_>], program: &Program) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(point) = points.get(index) else { return };
                    let outcome = trial::run(point.scene, program, point.call, point.fault);
                    done.lock().expect("no other panicked").insert(index, outcome);
                }
            });
        }
    });
    done.into_inner().expect("none panicked").into_values().collect()
}

fn failures<'p>((point, outcome): (&'p Point<'p>, &'p Outcome)) -> impl Iterator<Item = String> + 'p {
    let Point { scene, call, fault } = point;
    let at = format!("{}: {fault:?} at {} (number {})", scene.name, call.text, call.nth);
    outcome.faults.iter().map(move |what| format!("{at}: {what}"))
}

/// Prints a line for each scene past the test harness, which swallows the output of tests that succeed.
fn report(what: &str, scenes: &[(Scene, Vec<Call>)], points: &[Point<'_>], outcomes: &[Outcome]) {
    let mut text = format!("{:<28} {:>6} {what:>6}  answers\n", "operation", "calls");
    for (scene, calls) in scenes {
        let of_scene = || {
            points
                .iter()
                .zip(outcomes)
                .filter(|(point, _)| std::ptr::eq(point.scene, scene))
        };
        let mut answers: BTreeMap<String, usize> = BTreeMap::new();
        for (point, outcome) in of_scene() {
            *answers.entry(answer(point, outcome)).or_default() += 1;
        }
        let answers: Vec<String> = answers
            .iter()
            .map(|(answer, count)| format!("{answer} {count}"))
            .collect();
        let (count, calls) = (of_scene().count(), calls.len() - 1); // without the end mark
        text += &format!("{:<28} {calls:>6} {count:>6}  {}\n", scene.name, answers.join(", "));
    }
    let slowest = outcomes.iter().map(|outcome| outcome.next_ms).max().unwrap_or(0);
    text += &format!(
        "{:<28} {:>6} {:>6}  slowest next writer {slowest} ms\n",
        "all",
        "",
        points.len()
    );
    text += &format!("figure: points, {what} = {}\n", points.len());
    std::io::stderr().write_all(text.as_bytes()).expect("stderr");
}

fn answer(point: &Point<'_>, outcome: &Outcome) -> String {
    match (point.fault, outcome.rc) {
        _ if !outcome.hit => "not hit".to_owned(),
        (Fault::Kill, _) => "killed".to_owned(),
        (_, None) => "no answer".to_owned(),
        (_, Some(0)) => "success".to_owned(),
        (_, Some(_)) if outcome.failed_but_written => "the error, but written".to_owned(),
        (_, Some(rc)) if rc > -4096 => "the error".to_owned(),
        (_, Some(rc)) => format!("own code {rc}"),
    }
}

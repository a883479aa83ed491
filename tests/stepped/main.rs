//! The real code, one system call at a time. Our scheduler lets one of several peers run at a time, from one system
//! call to the next, on a real directory. It goes through all schedules within a bound, or draws them from a seed.
//!
//! | what | where |
//! | --- | --- |
//! | who moves next | `schedule.rs` |
//! | whose turn it is, what time it is, who dies | `world.rs` |
//! | the threads and the directory that it all happens in | `stage.rs` |
//! | who takes part and what they do | `scenario.rs`, `library.rs`, `shipped.rs` |
//! | what must be true | `oracle.rs` |
//! | bugs that must be found | `copy.rs` |
//! | where the protections matter | `protections.rs` |
//! | a panic at each call | `panics.rs` |
//! | what all this has found | `regressions.rs` |
//!
//! Random schedules are drawn from the same seeds each time; `JLOCK_SEED=S` draws others, and `JLOCK_PROVE=1` more of
//! them. `JLOCK_STEPPED_SCHEDULES=N` runs N schedules, `JLOCK_STEPPED_SEED=S` runs one of them again, and
//! `JLOCK_STEPPED_DIR=PATH` runs everything on another file system.

mod copy;
#[path = "../fresh/mod.rs"]
mod fresh;
mod library;
mod oracle;
mod panics;
mod pin;
mod protections;
mod regressions;
mod scenario;
mod schedule;
mod shipped;
mod stage;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use copy::Bug;
use scenario::Op::{Append, Checkpoint, Header, Hold, HoldAppend, HoldFor, HoldRefreshed, Stamped, Wait};
use scenario::{Before, Op, Peer, Scenario};
use schedule::{Bound, Random};
use stage::{Stage, Tally, Violation};
use world::Rules;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn library(ops: &[Op]) -> Peer {
    Peer::Library(ops.to_vec())
}

fn shipped(ops: &[Op]) -> Peer {
    Peer::Shipped(ops.to_vec())
}

fn copy(bug: Option<Bug>, ops: &[Op]) -> Peer {
    Peer::Copy(bug, ops.to_vec())
}

/// Whether the full bounds are wanted.
fn prove() -> bool {
    std::env::var_os("JLOCK_PROVE").is_some_and(|value| value != "0")
}

// --------------------------------------------------------------------------------- every schedule within a bound

/// Within these bounds on preemptions and crashes, no schedule of these scenarios breaks a promise.
fn none_breaks(preemptions: usize, crashes: usize, scenarios: &[Scenario]) {
    let bound = Bound {
        crashes,
        ..Bound::preemptions(preemptions)
    };
    none_breaks_within(bound, scenarios);
}

fn none_breaks_within(bound: Bound, scenarios: &[Scenario]) {
    let mut stage = Stage::new();
    for scenario in scenarios {
        let begun = Instant::now();
        stage.tally = Tally::default();
        let explored = stage.explore(scenario, bound);
        println!(
            "{}: every schedule within {bound:?}: {} in {:.1?}",
            scenario.name,
            stage.tally,
            begun.elapsed()
        );
        println!("figure: schedules, all within a bound = {}", stage.tally.schedules);
        explored.unwrap_or_else(|violation| panic!("{}", violation.told(scenario)));
    }
}

#[test]
fn no_schedule_of_two_handles_breaks_a_promise() {
    let two = |name, before, ops: [&[Op]; 2]| Scenario::new(name, before, ops.map(library).to_vec());
    none_breaks(
        2,
        0,
        &[
            two("hold, hold", Before::Free, [&[Hold], &[Hold]]),
            two("append, append", Before::Free, [&[Append], &[Append]]),
            two("stamped, stamped", Before::Free, [&[Stamped], &[Stamped]]),
            two("append, header", Before::Free, [&[Append], &[Header]]),
            two(
                "stamped twice, checkpoint",
                Before::Free,
                [&[Stamped, Append], &[Stamped, Checkpoint]],
            ),
        ],
    );
}

#[test]
fn no_schedule_of_two_handles_that_find_a_corpse_breaks_a_promise() {
    let corpse = |name, before| Scenario::new(name, before, vec![library(&[Hold]), library(&[Hold])]);
    none_breaks(
        2,
        0,
        &[
            corpse("a library peer's corpse", Before::LibraryCorpse),
            corpse("a shipped peer's corpse", Before::ShippedCorpse),
            corpse("an empty lock", Before::Empty),
            corpse("a foreign lock", Before::Foreign),
        ],
    );
}

#[test]
fn no_schedule_of_a_handle_and_a_shipped_peer_that_find_a_corpse_breaks_a_promise() {
    let corpse = |name, before| Scenario::new(name, before, vec![library(&[Hold]), shipped(&[Hold])]);
    none_breaks(
        2,
        0,
        &[
            corpse("a library peer's corpse, a shipped peer", Before::LibraryCorpse),
            corpse("a shipped peer's corpse, a shipped peer", Before::ShippedCorpse),
            corpse("an empty lock, a shipped peer", Before::Empty),
            corpse("a foreign lock, a shipped peer", Before::Foreign),
        ],
    );
}

#[test]
fn no_schedule_of_two_handles_and_a_shipped_peer_breaks_a_promise() {
    let three = |name, before, own: Op, theirs: Op| {
        Scenario::new(name, before, vec![library(&[own]), library(&[own]), shipped(&[theirs])])
    };
    let holds = three("hold, hold, shipped hold", Before::Free, Hold, Hold);
    none_breaks(2, 0, &[holds]);
    let preemptions = if prove() { 2 } else { 1 };
    none_breaks(
        preemptions,
        0,
        &[
            three("append, append, shipped stamped", Before::Free, Append, Stamped),
            three(
                "two handles, a shipped peer, a corpse",
                Before::LibraryCorpse,
                Hold,
                Hold,
            ),
            three("two handles, a shipped peer, an empty lock", Before::Empty, Hold, Hold),
        ],
    );
}

#[test]
fn no_schedule_with_a_crash_breaks_a_promise() {
    let crash = |name, peers| Scenario::new(name, Before::Free, peers);
    let preemptions = if prove() { 2 } else { 1 };
    none_breaks(
        preemptions,
        1,
        &[
            crash("append, append", vec![library(&[Append]), library(&[Append])]),
            crash("append, shipped append", vec![library(&[Append]), shipped(&[Append])]),
            crash("stamped, checkpoint", vec![library(&[Stamped]), library(&[Checkpoint])]),
            crash(
                "hold, hold, shipped hold",
                vec![library(&[Hold]), library(&[Hold]), shipped(&[Hold])],
            ),
        ],
    );
}

#[test]
fn no_schedule_of_a_long_hold_breaks_a_promise() {
    let long = |name, hold, wait| {
        let peers = vec![library(&[hold]), shipped(&[Wait(ms(wait)), Hold])];
        Scenario::new(name, Before::Free, peers)
    };
    none_breaks(
        2,
        0,
        &[
            long("robbed after 30 s", HoldFor(ms(31_000)), 30_000),
            long("released before 30 s", HoldFor(ms(29_900)), 29_800),
        ],
    );
    let refreshed = long("refreshed", HoldRefreshed(ms(20_000)), 59_900);
    none_breaks(if prove() { 2 } else { 1 }, 0, &[refreshed]);
    let next = Scenario::new(
        "robbed after 30 s, and a next holder",
        Before::Free,
        vec![
            library(&[HoldFor(ms(31_000))]),
            shipped(&[Wait(ms(30_900)), Hold]),
            library(&[Wait(ms(31_000)), HoldAppend]),
        ],
    );
    none_breaks(if prove() { 2 } else { 1 }, 0, &[next]);
}

// ------------------------------------------------------------------------------------------------ random schedules

/// The number for which `make test` has time.
const SCHEDULES: u64 = 5_000;
/// The number that `make prove` runs at least.
const SCHEDULES_TO_PROVE: u64 = 100_000;

fn number_from(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={value}: not a number")),
    )
}

/// Plays scenarios drawn from one seed after another, on all processors, up to the first violation.
fn roll(seeds: std::ops::Range<u64>, draw: fn(&mut Random) -> Scenario) -> Result<Tally, (u64, Scenario, Violation)> {
    let next = AtomicU64::new(seeds.start);
    let player = || {
        let mut stage = Stage::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) {
                return Ok(stage.tally);
            }
            let mut random = Random::new(seed);
            let scenario = draw(&mut random);
            if let Err(violation) = stage.roll(&scenario, random, 3) {
                next.store(seeds.end, Ordering::Relaxed);
                return Err((seed, scenario, violation));
            }
        }
    };
    std::thread::scope(|scope| {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let players: Vec<_> = (0..count).map(|_| scope.spawn(player)).collect();
        let mut all = Tally::default();
        for player in players {
            all += player.join().expect("a player does not panic")?;
        }
        Ok(all)
    })
}

/// Each `JLOCK_SEED` has seeds of its own, for more schedules than anybody runs.
fn first_seed() -> u64 {
    number_from("JLOCK_SEED").unwrap_or(0) << 24
}

/// None of this many random schedules breaks a promise. If one does, its seed is printed.
fn none_of_many_breaks(share: u64, draw: fn(&mut Random) -> Scenario) -> Tally {
    let schedules =
        number_from("JLOCK_STEPPED_SCHEDULES").unwrap_or(if prove() { SCHEDULES_TO_PROVE } else { SCHEDULES });
    let seeds = match number_from("JLOCK_STEPPED_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let first = first_seed();
            first..first + schedules / share
        }
    };
    println!(
        "random schedules, JLOCK_STEPPED_SEED={} to {}",
        seeds.start,
        seeds.end - 1
    );
    let begun = Instant::now();
    match roll(seeds, draw) {
        Ok(tally) => {
            println!("random schedules: {tally} in {:.1?}", begun.elapsed());
            println!("figure: schedules, random = {}", tally.schedules);
            println!("figure: crashes in random schedules = {}", tally.crashes);
            tally
        }
        Err((seed, scenario, violation)) => panic!(
            "again with JLOCK_STEPPED_SEED={seed}\n{scenario:#?}\n{}",
            violation.told(&scenario)
        ),
    }
}

#[test]
fn no_random_schedule_breaks_a_promise() {
    none_of_many_breaks(1, Scenario::drawn);
}

// -------------------------------------------------------------------------------------------------- the known hole

/// Library processes may end at any time.
const ENDING: Rules = Rules {
    nobody_ends_while_judged: false,
    ..Rules::STRICT
};

#[test]
fn a_process_that_ends_while_a_shipped_peer_judges_it_can_cost_the_next_holder_its_lock() {
    let mut scenario = Scenario::new(
        "the known hole",
        Before::Free,
        vec![
            library(&[HoldFor(ms(10))]),
            shipped(&[Hold]),
            library(&[HoldFor(ms(10))]),
        ],
    );
    scenario.rules = ENDING;
    expect_found(&scenario, &DOUBLE);
}

/// If a theft in the instant that stays falls between its victim's last look and the call that relies on it, the victim
/// removes the thief's lock or replaces its journal. That must be the worst; the oracle knows when each theft happened.
#[test]
fn even_then_no_acknowledged_entry_is_lost() {
    let tally = none_of_many_breaks(5, |random| {
        let ops = [Append, Stamped, HoldFor(ms(1))];
        let mut peers: Vec<Peer> = (0..2 + random.below(3))
            .map(|_| Peer::Library((0..1 + random.below(2)).map(|_| random.of(&ops)).collect()))
            .collect();
        peers.push(Peer::Shipped(vec![random.of(&[Append, Stamped]); 2]));
        let mut scenario = Scenario::new("beyond the known hole", Before::Free, peers);
        scenario.rules = Rules {
            forgives_the_instant: true,
            ..ENDING
        };
        scenario
    });
    println!(
        "victims that removed or replaced something before they could know: {}",
        tally.undone
    );
}

#[test]
fn a_release_without_the_identity_check_is_no_part_of_the_known_hole() {
    let mut scenario = Scenario::new(
        "beyond the known hole, without the identity check",
        Before::Free,
        vec![
            library(&[HoldFor(ms(10))]),
            shipped(&[Hold]),
            copy(Some(Bug::NoIdentityCheck), &[HoldFor(ms(10))]),
        ],
    );
    scenario.rules = Rules {
        forgives_the_instant: true,
        ..ENDING
    };
    expect_found(&scenario, &[ANOTHERS]);
    // With the check, such thefts are forgiven, also between a victim's last look and its unlink.
    scenario.peers[2] = library(&[Hold]);
    scenario.focus = Some(&["kill 0", "works", "unlinkat"]);
    let mut stage = Stage::new();
    let explored = stage.explore(&scenario, Bound::preemptions(3));
    explored.unwrap_or_else(|violation| panic!("{}", violation.told(&scenario)));
    println!("{}; {} could not know yet", stage.tally, stage.tally.undone);
    assert!(stage.tally.robbed > 0 && stage.tally.undone > 0, "{}", stage.tally);
}

// ---------------------------------------------------------------------------------------------------- seeded bugs

/// How two holders show themselves, to the first or to the second.
const DOUBLE: [&str; 2] = ["two holders", "a hold of another's lock"];
/// What comes before that if nobody checks whose lock it is.
const ANOTHERS: &str = "removes a lock that is not its own";

/// Some schedule with at most two preemptions leads to this.
fn expect_found(scenario: &Scenario, what: &[&str]) {
    let bound = Bound::preemptions(2);
    let mut stage = Stage::new();
    match stage.explore(scenario, bound) {
        Ok(schedules) => panic!("{}: not found in {schedules} schedules", scenario.name),
        Err(violation) => {
            println!(
                "found after {} schedules\n{}",
                stage.tally.schedules,
                violation.told(scenario)
            );
            assert!(
                what.iter().any(|what| violation.what.contains(what)),
                "{}",
                violation.what
            );
        }
    }
}

/// A scenario in which each of the bugs can show.
fn for_bug(bug: Option<Bug>, which: Bug) -> Scenario {
    match which {
        Bug::NoSettle => Scenario::new(
            "a claim without settling",
            Before::LibraryCorpse,
            vec![copy(bug, &[Hold]), shipped(&[Hold])],
        ),
        Bug::StampAfterLink => Scenario::new(
            "a stamp after the link",
            Before::Free,
            vec![copy(bug, &[Hold]), shipped(&[Hold])],
        ),
        Bug::NoIdentityCheck => Scenario::new(
            "a release without the identity check",
            Before::Free,
            vec![
                copy(bug, &[HoldFor(ms(31_000))]),
                shipped(&[Wait(ms(30_500)), Hold]),
                copy(None, &[Wait(ms(30_900)), Hold]),
            ],
        ),
    }
}

#[test]
fn a_claim_without_settling_is_found() {
    expect_found(&for_bug(Some(Bug::NoSettle), Bug::NoSettle), &DOUBLE);
}

#[test]
fn a_stamp_after_the_link_is_found() {
    expect_found(&for_bug(Some(Bug::StampAfterLink), Bug::StampAfterLink), &DOUBLE);
}

#[test]
fn a_release_without_the_identity_check_is_found() {
    expect_found(&for_bug(Some(Bug::NoIdentityCheck), Bug::NoIdentityCheck), &[ANOTHERS]);
}

#[test]
fn the_copy_without_a_bug_breaks_no_promise() {
    none_breaks(
        2,
        0,
        &[Bug::NoSettle, Bug::StampAfterLink].map(|which| for_bug(None, which)),
    );
    none_breaks(1, 0, &[for_bug(None, Bug::NoIdentityCheck)]);
}

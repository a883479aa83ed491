//! The library's own peers, alone and beside a shipped peer.

use std::fs;
use std::path::Path;
use std::time::Instant;

use jlock::Lock;

use crate::crowd::Process;
use crate::oracle::{self, Audit, Exclusion};
use crate::scene::{
    Scene, count_acknowledged, expect_exclusion, expect_nothing_left, expect_nothing_lost, names, proving, say, seed,
    spawn_all, spawn_holders, wait_until,
};
use crate::weather::{Slot, Storm};
use crate::worker::{self, Job};
use crate::writers;

// ------------------------------------------------------------------------------------------------------ exclusion

#[test]
fn holds_never_overlap() {
    let scene = Scene::new();
    let (processes, count) = if proving() { (16, 10_000) } else { (8, 2_500) };
    let names = names("holder", processes);
    let begun = Instant::now();
    let holders = spawn_holders(&scene, &names, count);
    holders.into_iter().for_each(Process::expect_success);
    say(&format!(
        "{processes} processes, each {count} holds: {:.1} s",
        begun.elapsed().as_secs_f64()
    ));
    expect_exclusion(&scene, &names, processes * count as usize);
}

#[test]
fn each_oracle_sees_a_missing_lock() {
    let scene = Scene::new();
    let names = names("careless", 4);
    let job = Job::Hold {
        count: 1_000,
        locked: false,
    };
    let holders = spawn_all(job, &scene, &names);
    holders.into_iter().for_each(Process::expect_success);
    let seen = Exclusion::judge(&scene, &names);
    say(&format!("4 processes without a lock: {seen:?}"));
    assert!(seen.clashes > 0 && seen.uncounted != 0 && seen.overlaps > 0, "{seen:?}");
}

// -------------------------------------------------------------------------------------------------------- journal

#[test]
fn the_audit_sees_a_missing_lock() {
    let scene = Scene::new();
    let names = names("careless", 4);
    let job = Job::Append {
        count: 200,
        stamp_every: 0,
        pause_us: 0,
        until_stop: false,
        locked: false,
    };
    let writers = spawn_all(job, &scene, &names);
    writers.into_iter().for_each(Process::expect_success);
    let audit = Audit::of(&scene, &names);
    say(&format!(
        "4 writers without a lock: {} of {} lost",
        audit.lost.len(),
        audit.acknowledged
    ));
    assert!(!audit.lost.is_empty());
}

fn beside_a_shipped_peer(stamp_every: u32) {
    let scene = Scene::new();
    let names = names("library", 4);
    let job = Job::Append {
        count: 1,
        stamp_every,
        pause_us: 1_000, // the shipped peer looks only every 25 ms, and must find the lock free sometimes
        until_stop: true,
        locked: true,
    };
    let processes = spawn_all(job, &scene, &names);
    for name in &names {
        wait_until(&format!("{name} writes"), || {
            !oracle::acknowledged(&scene, name).is_empty()
        });
    }
    let shipped = writers::shipped(60, stamp_every == 1);
    Process::spawn("shipped", &mut shipped(&scene, "shipped")).expect_success();
    fs::write(worker::stop_path(&scene), "").expect("a file");
    processes.into_iter().for_each(Process::expect_success);

    let all = [names, vec!["shipped".to_owned()]].concat();
    let audit = Audit::of(&scene, &all);
    audit.assert_clean();
    assert_eq!(oracle::acknowledged(&scene, "shipped").len(), 60);
    let among = oracle::among_others(&scene, "shipped");
    assert!(
        among >= 30,
        "only {among} of the shipped peer's entries are among the others'"
    );
    expect_readers_agree(&scene, audit.acknowledged);
    assert_eq!(oracle::leftovers(&scene), []);
}

#[test]
fn beside_a_shipped_peer_every_entry_is_there() {
    beside_a_shipped_peer(0);
}

#[test]
fn beside_a_shipped_peer_every_stamped_entry_is_there() {
    beside_a_shipped_peer(1);
}

/// The library's reader and the shipped one find the same entries, and all of them.
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

#[test]
fn while_others_are_killed_three_finish_and_nothing_is_lost() {
    let scene = Scene::new();
    let survivors = names("survivor", 3);
    let job = Job::Append {
        count: 4_000,
        stamp_every: 10,
        pause_us: 0,
        until_stop: true,
        locked: true,
    };
    let processes = spawn_all(job, &scene, &survivors);
    let victims = Slot::several("victim", 2, || writers::library(1_000));
    let mut storm = Storm::new(&scene, seed(), victims, Vec::new());
    let kills = if proving() { 2_000 } else { 200 };
    while storm.killed.len() < kills {
        storm.kill_one();
    }
    storm.calm();
    fs::write(worker::stop_path(&scene), "").expect("a file");
    processes.into_iter().for_each(Process::expect_success);

    let least = survivors
        .iter()
        .map(|name| oracle::acknowledged(&scene, name).len())
        .min();
    assert!(least >= Some(4_000), "{least:?}");
    storm.names.extend(survivors);
    expect_nothing_lost(&scene, &storm);
    expect_nothing_left(&scene);
}

#[test]
fn kills_and_stops_lose_nothing_beside_a_shipped_peer() {
    let scene = Scene::new();
    let (kills, stops) = if proving() { (1_000, 200) } else { (100, 20) };
    let victims = if proving() {
        writers::all_languages(&scene)
    } else {
        writers::some_languages(&scene)
    };
    let shipped = Slot::new("shipped", writers::shipped(60, true));
    let mut storm = Storm::new(&scene, seed(), victims, vec![shipped]);
    while storm.killed.len() < kills {
        storm.kill_one();
        if storm.stops * kills < storm.killed.len() * stops {
            storm.stop_one();
        }
    }
    storm.calm();
    expect_nothing_lost(&scene, &storm);
    assert!(count_acknowledged(&scene, &storm, "shipped") >= 60);
    expect_nothing_left(&scene);
}

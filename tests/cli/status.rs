//! `jlock status` says who holds the lock: in words, in JSON, and by its exit code.

use std::time::{Duration, SystemTime};

use crate::scene::Scene;

const LOCK: &str = "d/changes.journal.lock";

/// A lock as the shipped peer writes it, held by a living process: this one.
fn held_by_a_shipped_peer(scene: &Scene) {
    let pid = std::process::id();
    scene.write(LOCK, format!("{pid}\n{pid}-0123456789abcdef\n"));
}

fn let_it_be_old(scene: &Scene, age: Duration) {
    let lock = std::fs::File::options()
        .write(true)
        .open(scene.path(LOCK))
        .expect("it is there");
    lock.set_modified(SystemTime::now() - age).expect("it is ours");
}

#[test]
fn a_free_lock_gives_0() {
    let scene = Scene::new("free");
    scene.jlock("status d").exits(0).prints("d: free\n");
}

#[test]
fn a_held_lock_gives_1_and_says_by_whom() {
    let scene = Scene::new("status-held");
    let holder = scene.hold("", "exec cat");
    let outcome = scene.jlock("status d").exits(1);
    let said = format!("d: held by pid {} (library peer) on ", holder.child.id());
    assert!(outcome.out.starts_with(&said), "{outcome:?}");
    assert!(outcome.out.contains("; last sign of life "), "{outcome:?}");
}

#[test]
fn an_abandoned_lock_gives_2() {
    let scene = Scene::new("abandoned");
    scene.abandon();
    let outcome = scene.jlock("status d").exits(2);
    assert!(outcome.out.starts_with("d: abandoned by pid "), "{outcome:?}");
    assert_eq!(
        scene.python("status --json d", "o['state'], o['stale']"),
        "abandoned True"
    );
}

#[test]
fn a_shipped_peer_is_reported_as_one() {
    let scene = Scene::new("shipped");
    held_by_a_shipped_peer(&scene);
    let outcome = scene.jlock("status d").exits(1);
    let said = format!("d: held by pid {} (shipped peer); ", std::process::id());
    assert!(outcome.out.starts_with(&said), "{outcome:?}");
}

#[test]
fn a_lock_without_a_stamp_is_reported_as_one() {
    let scene = Scene::new("unknown");
    scene.write(LOCK, "somebody's own idea of a lock\n");
    let outcome = scene.jlock("status d").exits(1);
    assert!(outcome.out.starts_with("d: held (no stamp); "), "{outcome:?}");
    let said = scene.python("status --json d", "o['peer'], o['pid'], o['nonce'], o['host']");
    assert_eq!(said, "unknown None None None");
}

#[test]
fn an_old_lock_without_a_stamp_is_abandoned_by_nobody() {
    let scene = Scene::new("unknown-old");
    scene.write(LOCK, "somebody's own idea of a lock\n");
    let_it_be_old(&scene, Duration::from_secs(3600));
    let outcome = scene.jlock("status d").exits(2);
    let said = "d: abandoned (no stamp); the next to acquire takes it over; ";
    assert!(outcome.out.starts_with(said), "{outcome:?}");
}

#[test]
fn json_says_all_of_a_holder() {
    let scene = Scene::new("status-json");
    held_by_a_shipped_peer(&scene);
    let_it_be_old(&scene, Duration::from_secs(7));
    let said = scene.python(
        "status --json d",
        "o['dir'], o['state'], o['stale'], o['peer'], o['host'], o['fallback']",
    );
    assert_eq!(said, "d held False shipped None []");
    let pid = std::process::id();
    let said = scene.python("status --json d", "o['pid'], o['nonce']");
    assert_eq!(said, format!("{pid} {pid}-0123456789abcdef"));
    assert_eq!(scene.python("status --json d", "7000 <= o['age_ms'] < 30000"), "True");
    let last = "__import__('datetime').datetime.strptime(o['last_sign'], '%Y-%m-%dT%H:%M:%S.%f%z').timestamp()";
    let age = format!("7 <= __import__('time').time() - {last} < 30");
    assert_eq!(scene.python("status --json d", &age), "True");
}

#[test]
fn a_shipped_peer_does_not_say_since_when_it_holds() {
    let scene = Scene::new("status-since-unknown");
    held_by_a_shipped_peer(&scene);
    assert!(!scene.jlock("status d").exits(1).out.contains("since"));
    assert_eq!(scene.python("status --json d", "o['held_ms'], o['since']"), "None None");
}

#[test]
fn a_library_peer_says_since_when_it_holds_beside_its_last_sign_of_life() {
    let scene = Scene::new("status-since");
    let _holder = scene.hold("", "exec cat");
    let outcome = scene.jlock("status d").exits(1);
    assert!(
        outcome.out.contains("; since ") && outcome.out.contains("; last sign of life "),
        "{outcome:?}"
    );
    assert_eq!(scene.python("status --json d", "0 <= o['held_ms'] < 30000"), "True");
}

#[test]
fn json_of_a_free_lock_has_the_same_members() {
    let scene = Scene::new("status-free");
    let keys = scene.python("status --json d", "*o");
    assert_eq!(
        scene.python("status --json d", "*[k for k in o if o[k] is None]"),
        "peer pid host nonce held_ms since age_ms last_sign"
    );
    held_by_a_shipped_peer(&scene);
    assert_eq!(scene.python("status --json d", "*o"), keys);
}

#[test]
fn a_directory_of_any_name_survives_json() {
    let scene = Scene::new("status-odd");
    scene
        .sh("mkdir \"$(printf 'q\"\\377')\" && jlock status --json q* >json")
        .exits(0);
    scene
        .sh("python3 -c 'import json,os; assert os.fsencode(json.load(open(\"json\"))[\"dir\"]) == b\"q\\\"\\xff\"'")
        .exits(0);
}

#[test]
fn quiet_says_it_only_by_the_exit_code() {
    let scene = Scene::new("quiet");
    scene.jlock("status -q d").exits(0).prints("");
    held_by_a_shipped_peer(&scene);
    scene.jlock("status --quiet --json d").exits(1).prints("");
}

#[test]
fn it_takes_and_changes_nothing() {
    let scene = Scene::new("nothing");
    let before = scene.files();
    scene.sh("chmod 555 d; jlock status d; jlock status --json d").exits(0);
    assert_eq!(scene.files(), before);
    scene.abandon();
    let before = (scene.files(), std::fs::read(scene.path(LOCK)).expect("it stands"));
    scene.jlock("status d").exits(2);
    assert_eq!(before.1, std::fs::read(scene.path(LOCK)).expect("it stands"));
}

#[test]
fn a_missing_directory_gives_66_and_is_not_created() {
    let scene = Scene::new("status-missing");
    scene
        .jlock("status nowhere")
        .exits(66)
        .prints("")
        .complains("jlock: nowhere: no such file");
    assert!(!scene.path("nowhere").exists());
}

#[test]
fn something_other_than_a_lock_gives_65() {
    let scene = Scene::new("not-a-lock");
    std::fs::create_dir(scene.path(LOCK)).expect("it can be made");
    scene
        .jlock("status d")
        .exits(65)
        .complains("jlock: d: changes.journal.lock");
    scene.jlock("run -n d -- echo no").exits(65).prints("");
}

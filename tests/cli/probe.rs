//! `jlock probe` says what a directory can promise.

use crate::scene::Scene;

#[test]
fn it_says_who_excludes_whom_and_leaves_nothing_behind() {
    let scene = Scene::new("probe");
    let outcome = scene.jlock("probe d").exits(0);
    assert!(outcome.out.starts_with("d: "), "{outcome:?}");
    assert!(
        outcome
            .out
            .contains("\n  yes  all processes of this machine exclude each other\n"),
        "{outcome:?}"
    );
    assert_eq!(scene.files(), ["changes.journal"]);
}

#[test]
fn json_says_the_same() {
    let scene = Scene::new("probe-json");
    assert_eq!(
        scene.python("probe --json d", "*o"),
        "dir file_system promises missing reason"
    );
    assert_eq!(
        scene.python("probe --json d", "*o['promises']"),
        "mount machine other_machines takeover durable order"
    );
    assert_eq!(
        scene.python("probe --json d", "o['dir'], o['promises']['machine'], o['missing']"),
        "d True []"
    );
}

#[test]
fn a_missing_directory_gives_66_and_is_not_created() {
    let scene = Scene::new("probe-missing");
    let outcome = scene.jlock("probe nowhere").exits(66).prints("");
    outcome.complains("jlock: nowhere: no such file");
    assert!(!scene.path("nowhere").exists());
}

#[test]
fn something_other_than_a_directory_gives_66() {
    let scene = Scene::new("probe-file");
    scene.jlock("probe d/changes.journal").exits(66).prints("");
}

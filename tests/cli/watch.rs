//! `jlock watch` says who holds the lock each time that changes.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use crate::scene::{Running, Scene, program};

fn watch(scene: &Scene, options: &str) -> Running {
    scene.start(
        scene
            .tool(program())
            .arg("watch")
            .args(options.split_whitespace())
            .arg("d"),
    )
}

/// The next line, without its time.
fn change(watching: &mut Running) -> String {
    let line = watching.line();
    let (time, change) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
    assert!(time.len() == 24 && time.ends_with('Z'), "{line:?}");
    change.to_owned()
}

#[test]
fn a_line_is_printed_at_once_and_at_each_change() {
    let scene = Scene::new("watch");
    let mut watching = watch(&scene, "");
    assert_eq!(change(&mut watching), "free");
    let mut holder = scene.hold("", "exec cat");
    let held = change(&mut watching);
    assert!(
        held.starts_with(&format!("held by pid {} (library peer)", holder.child.id())),
        "{held}"
    );
    holder.end();
    assert_eq!(change(&mut watching), "free");
}

#[test]
fn a_holders_death_is_a_change() {
    let scene = Scene::new("watch-death");
    let mut holder = scene.hold("", "exec cat");
    let mut watching = watch(&scene, "");
    assert!(change(&mut watching).starts_with("held by pid "));
    holder.signal(libc::SIGKILL);
    let said = change(&mut watching);
    assert!(
        said.starts_with(&format!("abandoned by pid {}", holder.child.id())),
        "{said}"
    );
    holder.end();
}

#[test]
fn a_shipped_peers_death_is_a_change() {
    let scene = Scene::new("watch-shipped");
    let mut peer = scene.start(&mut scene.tool("cat"));
    let pid = peer.child.id();
    scene.write("d/changes.journal.lock", format!("{pid}\n{pid}-0123456789abcdef\n"));
    let mut watching = watch(&scene, "");
    assert_eq!(change(&mut watching), format!("held by pid {pid} (shipped peer)"));
    peer.end();
    assert!(change(&mut watching).starts_with(&format!("abandoned by pid {pid} (shipped peer)")));
}

#[test]
fn each_holder_of_a_relay_is_seen() {
    let scene = Scene::new("relay");
    let mut watching = watch(&scene, "");
    assert_eq!(change(&mut watching), "free");
    for _ in 0..5 {
        let mut holder = scene.hold("", "exec cat");
        assert!(change(&mut watching).contains(&format!("pid {} ", holder.child.id())));
        holder.end();
        assert_eq!(change(&mut watching), "free");
    }
}

#[test]
fn it_ends_after_as_many_lines_as_told() {
    let scene = Scene::new("count");
    let mut watching = watch(&scene, "-c 2");
    assert_eq!(change(&mut watching), "free");
    let _holder = scene.hold("", "exec cat");
    assert!(change(&mut watching).starts_with("held"));
    assert!(watching.end().success());
}

#[test]
fn json_is_an_object_a_line() {
    let scene = Scene::new("watch-json");
    assert_eq!(
        scene.python("watch --json --count=1 d", "o['state'], o['dir'], len(o['time'])"),
        "free d 24"
    );
    let status = scene.python("status --json d", "['time', *o]");
    assert_eq!(scene.python("watch --json -c1 d", "[*o]"), status);
}

#[test]
fn it_never_takes_the_lock() {
    let scene = Scene::new("watch-looks");
    let mut watching = watch(&scene, "");
    assert_eq!(change(&mut watching), "free");
    for _ in 0..50 {
        scene.jlock("run -n d -- true").exits(0);
    }
    assert_eq!(scene.files(), ["changes.journal"]);
}

#[test]
fn it_goes_on_when_the_directory_is_removed_and_made_again() {
    let scene = Scene::new("watch-removed");
    let mut watching = watch(&scene, "");
    assert_eq!(change(&mut watching), "free");
    let mut holder = scene.hold("", "exec cat");
    assert!(change(&mut watching).starts_with("held by pid "));
    fs::remove_dir_all(scene.path("d")).expect("it is ours");
    assert_eq!(change(&mut watching), "free");
    holder.end();
    let next = scene.hold("", "exec cat");
    let held = change(&mut watching);
    assert!(held.starts_with(&format!("held by pid {}", next.child.id())), "{held}");
}

/// Between its look at the directory and that at the lock. Here, each look takes 5 ms longer, and the directory goes sooner or
/// later in that time.
#[test]
fn it_goes_on_when_the_directory_is_removed_between_two_looks() {
    let slow = "-qq -o strace -e trace=newfstatat -e inject=newfstatat:delay_exit=5000";
    for half_milliseconds in 0..24 {
        let scene = Scene::new("watch-between");
        let mut command = scene.tool("strace");
        command
            .args(slow.split_whitespace())
            .arg(program())
            .args(["watch", "d"]);
        let mut watching = scene.start(&mut command);
        assert_eq!(change(&mut watching), "free");
        scene.write("d/event", String::new());
        std::thread::sleep(std::time::Duration::from_micros(500 * half_milliseconds));
        fs::remove_dir_all(scene.path("d")).expect("it is ours");
        let holder = scene.hold("", "exec cat");
        let held = change(&mut watching);
        assert!(
            held.starts_with(&format!("held by pid {}", holder.child.id())),
            "{held}"
        );
    }
}

#[test]
fn it_goes_on_with_the_directory_that_has_come_in_its_place() {
    let scene = Scene::new("watch-moved");
    let mut watching = watch(&scene, "");
    assert_eq!(change(&mut watching), "free");
    fs::rename(scene.path("d"), scene.path("d.old")).expect("it is ours");
    let holder = scene.hold("", "exec cat");
    let held = change(&mut watching);
    assert!(
        held.starts_with(&format!("held by pid {}", holder.child.id())),
        "{held}"
    );
}

#[test]
fn it_ends_when_nobody_reads_it_any_more() {
    let scene = Scene::new("watch-pipe");
    let mut command = scene.tool(program());
    let mut watching = command
        .args(["watch", "d"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it can be run");
    drop(watching.stdout.take());
    let _holder = scene.hold("", "exec cat"); // gives it something to print
    let status = watching.wait().expect("it is ours");
    assert_eq!(status.signal(), Some(libc::SIGPIPE));
}

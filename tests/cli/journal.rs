//! `jlock append`, `delete`, `stamp`, `read` and `checkpoint`: the journal from the shell.

use std::fs::OpenOptions;

use crate::scene::{Scene, program};

// ---------------------------------------------------------------------------------------------------------- write

#[test]
fn paths_are_appended_in_order() {
    let scene = Scene::new("append");
    scene
        .outcome(scene.tool(program()).args(["append", "d", "b", "a b", "c"]))
        .exits(0);
    assert_eq!(scene.journal(), "# codegraph-journal v1 1000\nb\na b\nc\n");
}

#[test]
fn deleted_paths_are_marked() {
    let scene = Scene::new("delete");
    scene.jlock("delete d a b").exits(0);
    assert_eq!(scene.journal(), "# codegraph-journal v1 1000\nDELETED a\nDELETED b\n");
}

#[test]
fn without_paths_standard_input_names_them() {
    let scene = Scene::new("input");
    scene.jlock_with_input("append d", b"a\nb c\nlast").exits(0);
    scene.jlock_with_input("delete d", b"gone\n").exits(0);
    scene.jlock_with_input("stamp --stdin -t 2000 d", b"z\n").exits(0);
    assert_eq!(
        scene.journal(),
        "# codegraph-journal v1 2000\na\nb c\nlast\nDELETED gone\nz\n"
    );
}

#[test]
fn a_dash_stands_for_standard_input() {
    let scene = Scene::new("dash-input");
    scene.jlock_with_input("append d -", b"a\nb\n").exits(0);
    scene.jlock_with_input("delete --no-create - d", b"").exits(66); // the first names the directory
    scene.jlock_with_input("stamp -t 2000 d -", b"c\n").exits(0);
    assert_eq!(scene.journal(), "# codegraph-journal v1 2000\na\nb\nc\n");
}

#[test]
fn a_file_that_is_called_dash_can_be_named() {
    let scene = Scene::new("dash-file");
    scene.jlock("append d -- -").exits(0);
    scene.jlock("append d ./-").exits(0);
    scene.jlock("delete -- d -").exits(0);
    assert_eq!(scene.journal(), "# codegraph-journal v1 1000\n-\n./-\nDELETED -\n");
}

#[test]
fn a_terminal_is_told_what_input_is_expected_and_a_pipe_is_not() {
    let scene = Scene::new("terminal");
    let outcome = scene.sh("printf 'a\\n' | jlock append d").exits(0);
    assert_eq!(outcome.err, "");
    // script(1) runs it on a terminal of its own. When script's input ends, so does the terminal's.
    let said = scene.sh("printf 'b\\n\\004' | script -qec 'jlock append d' /dev/null");
    assert!(said.out.contains("reading paths from the terminal"), "{said:?}");
    assert!(scene.journal().ends_with("a\nb\n"), "{}", scene.journal());
}

#[test]
fn paths_on_standard_input_may_be_ended_by_nul() {
    let scene = Scene::new("nul");
    scene.jlock_with_input("append -0 d", b"a\0b c\0last").exits(0);
    scene.jlock_with_input("stamp --null -d -t 1001 d", b"gone\0").exits(0);
    assert_eq!(
        scene.journal(),
        "# codegraph-journal v1 1001\na\nb c\nlast\nDELETED gone\n"
    );
}

#[test]
fn an_empty_standard_input_appends_nothing() {
    let scene = Scene::new("empty");
    scene.jlock_with_input("append d", b"").exits(0);
    assert_eq!(scene.journal(), "# codegraph-journal v1 1000\n");
}

#[test]
fn a_hundred_thousand_paths_are_one_append() {
    let scene = Scene::new("many");
    let paths: String = (0..100_000).map(|number| format!("some/path/{number}\n")).collect();
    scene.jlock_with_input("append d", paths.as_bytes()).exits(0);
    assert!(scene.jlock("read --changed d").exits(0).out == paths);
}

#[test]
fn all_paths_are_added_or_none() {
    let scene = Scene::new("refused");
    for refused in ["a\n\nb\n", "a\n b\n", "a\n#b\n", "a\r\n", "DELETED a\n"] {
        let outcome = scene.jlock_with_input("append d", refused.as_bytes()).exits(65);
        outcome.complains("jlock: d: entry ").complains("nothing was written");
    }
    assert_eq!(scene.journal(), "# codegraph-journal v1 1000\n");
}

#[test]
fn a_path_may_begin_with_a_dash() {
    let scene = Scene::new("dash");
    scene.jlock("append d -- -n").exits(0);
    assert_eq!(scene.journal(), "# codegraph-journal v1 1000\n-n\n");
}

#[test]
fn stamping_keeps_the_entries_and_advances_the_header() {
    let scene = Scene::new("stamp");
    scene.jlock("append d a").exits(0);
    scene.jlock("stamp -t 2000 d b").exits(0);
    scene.jlock("stamp -t 2001 -d d c").exits(0);
    assert_eq!(scene.journal(), "# codegraph-journal v1 2001\na\nb\nDELETED c\n");
    scene.jlock("stamp -t 3000 d").exits(0);
    assert_eq!(scene.journal(), "# codegraph-journal v1 3000\na\nb\nDELETED c\n");
}

#[test]
fn stamping_is_by_the_clock_unless_told_otherwise() {
    let scene = Scene::new("clock");
    let now = || std::time::UNIX_EPOCH.elapsed().expect("it is past 1970").as_millis();
    let before = now();
    scene.jlock("stamp d").exits(0);
    let stamped: u128 = scene.journal()["# codegraph-journal v1 ".len()..]
        .trim_end()
        .parse()
        .expect("a number");
    assert!((before..=now()).contains(&stamped));
}

#[test]
fn a_reset_drops_the_entries() {
    let scene = Scene::new("reset");
    scene.jlock("append d a").exits(0);
    scene.jlock("stamp --reset -t 4000 d").exits(0);
    assert_eq!(scene.journal(), "# codegraph-journal v1 4000\n");
}

#[test]
fn a_journal_call_waits_for_the_lock_no_longer_than_told() {
    let scene = Scene::new("busy");
    let holder = scene.hold("", "exec cat");
    for call in [
        "append -w 0.01 d a",
        "delete -n d a",
        "stamp -w 0.01 d",
        "checkpoint -n d",
    ] {
        let outcome = scene.jlock(call).exits(1);
        outcome.complains(&format!("held by pid {}", holder.child.id()));
    }
    assert_eq!(scene.journal(), "# codegraph-journal v1 1000\n");
}

#[test]
fn syncing_puts_the_journal_on_disk() {
    let scene = Scene::new("sync");
    let syncs = |option: &str| {
        scene
            .sh(&format!(
                "strace -f -qq -o trace -e trace=fdatasync jlock append {option} d a"
            ))
            .exits(0);
        std::fs::read_to_string(scene.path("trace"))
            .expect("it was written")
            .matches("fdatasync")
            .count()
    };
    assert_eq!((syncs(""), syncs("--sync")), (0, 1));
}

/// The journal, and then the name's directory; and a new journal before it takes the name.
#[test]
fn what_is_put_on_disk_is_what_was_written() {
    let scene = Scene::new("synced");
    let synced = |call: &str| -> Vec<String> {
        let traced = "strace -f -qq -y -o trace -e trace=fdatasync,fsync,renameat";
        scene.sh(&format!("{traced} jlock {call}")).exits(0);
        let trace = std::fs::read_to_string(scene.path("trace")).expect("it was written");
        let calls = trace.lines().map(|line| {
            let (call, file) = line
                .split_once(' ')
                .expect("a process")
                .1
                .split_once('(')
                .expect("a call");
            let path = file.split(['<', '>']).nth(1).expect("a descriptor's path");
            let name = path.rsplit('/').next().expect("a name");
            let kind = if name.ends_with(".tmp") { "a new file" } else { name };
            format!("{} {kind}", call.trim_start())
        });
        calls.collect()
    };
    let last = ["fdatasync changes.journal", "fsync d"];
    assert_eq!(synced("append --sync d a"), last);
    let rewrites = ["fdatasync a new file", "renameat d"];
    assert_eq!(synced("stamp --sync -t 1 d b"), [rewrites, last].concat());
    assert_eq!(synced("stamp -t 22 d c"), rewrites);
}

#[test]
fn another_journal_in_the_directory_can_be_named() {
    let scene = Scene::new("named");
    scene.jlock("stamp -t 5 -j other.log d x").exits(0);
    scene
        .jlock("read -j other.log d")
        .exits(0)
        .prints("# codegraph-journal v1 5\nx\n");
    assert_eq!(scene.files(), ["changes.journal", "other.log"]);
    scene.jlock("append -j x/y d a").exits(64);
    scene.jlock("append -j x missing a").exits(66);
}

// ----------------------------------------------------------------------------------------------------------- read

fn with_entries(name: &str) -> Scene {
    let scene = Scene::new(name);
    scene
        .sh("jlock append d b 'a c' b && jlock delete d gone b && jlock append d d")
        .exits(0);
    scene
}

#[test]
fn text_is_a_journal_with_each_path_once() {
    let scene = with_entries("text");
    let text = "# codegraph-journal v1 1000\nb\na c\nd\nDELETED gone\nDELETED b\n";
    scene.jlock("read d").exits(0).prints(text);
}

#[test]
fn changed_and_deleted_paths_can_be_printed_alone_and_bare() {
    let scene = with_entries("alone");
    scene.jlock("read --changed d").exits(0).prints("b\na c\nd\n");
    scene.jlock("read -d d").exits(0).prints("gone\nb\n");
    scene.jlock("read d --deleted -0").exits(0).prints("gone\0b\0");
    scene
        .jlock("read --json --deleted d")
        .exits(0)
        .prints("{\"timestamp\":1000,\"deleted\":[\"gone\",\"b\"]}\n");
}

#[test]
fn json_is_an_object_that_parses() {
    let scene = with_entries("json");
    let out = "{\"timestamp\":1000,\"changed\":[\"b\",\"a c\",\"d\"],\"deleted\":[\"gone\",\"b\"]}\n";
    scene.jlock("read --json d").exits(0).prints(out);
    scene.sh("jlock read --json d | python3 -m json.tool").exits(0);
}

#[test]
fn json_of_an_empty_journal_has_empty_arrays() {
    let scene = Scene::new("json-empty");
    let out = "{\"timestamp\":1000,\"changed\":[],\"deleted\":[]}\n";
    scene.jlock("read --json d").exits(0).prints(out);
}

#[test]
fn a_timestamp_with_a_fraction_is_printed_as_it_is() {
    let scene = Scene::new("fraction");
    scene.write("d/changes.journal", "# codegraph-journal v1 1.5e0\n");
    assert_eq!(scene.python("read --json d", "o['timestamp']"), "1.5");
    scene.write("d/changes.journal", "# codegraph-journal v1 1e300\n");
    assert_eq!(scene.python("read --json d", "o['timestamp'] == 1e300"), "True");
}

/// One path a line: quotes, backslashes, control characters, UTF-8 of each length, and every way of not being UTF-8.
const ODD: &[u8] =
    b"q\"q\nb\\b\nt\tt\nc\x01\x1f\x7fc\nu\xc3\xa9\nu\xe2\x82\xac\nu\xf0\x9f\x94\x92\nu\xed\x9f\xbf\nu\xf4\x8f\xbf\xbf
n\xff\nn\xc3\nn\xc0\xafn\nn\xe0\x80\xafn\nn\xed\xa0\x80n\nn\xf0\x80\x80\xafn\nn\xf4\x90\x80\x80n\nn\xe2\x82n\nn\x80n
n\xf8\x88\x80\x80\x80n\nn\xf0\x9f\x94n\nn\xc3\"n\n";

#[test]
fn any_path_survives_json() {
    let scene = Scene::new("odd");
    scene.jlock_with_input("append d", ODD).exits(0);
    scene.sh("jlock read --json d | python3 -m json.tool").exits(0);
    let same = "[os.fsencode(p) for p in o['changed']] == open('input', 'rb').read().splitlines()";
    // splitlines also splits at \x0b and the like, but there are none here.
    assert_eq!(scene.python("read --json d", same), "True");
    assert_eq!(scene.python("read --json d", "ascii(o['changed'][9])"), "'n\\udcff'");
}

#[test]
fn any_path_survives_text() {
    let scene = Scene::new("odd-text");
    scene.jlock_with_input("append d", ODD).exits(0);
    scene.sh("jlock read --changed d | cmp - input").exits(0);
}

#[test]
fn a_journal_that_was_never_stamped_gives_65() {
    let scene = Scene::new("unstamped");
    scene.jlock("append fresh a").exits(0);
    for read in ["read fresh", "read --json fresh", "checkpoint fresh"] {
        scene
            .jlock(read)
            .exits(65)
            .prints("")
            .complains("jlock: fresh: changes.journal: the journal has never been stamped")
            .complains("jlock stamp");
    }
    scene.jlock("stamp fresh").exits(0);
    scene.jlock("read --changed fresh").exits(0).prints("a\n");
}

#[test]
fn a_missing_journal_gives_66_and_nothing_is_created() {
    let scene = Scene::new("missing-journal");
    for read in ["read", "checkpoint"] {
        scene
            .jlock(&format!("{read} nowhere"))
            .exits(66)
            .prints("")
            .complains("jlock: nowhere: ");
    }
    assert!(!scene.path("nowhere").exists());
}

#[test]
fn output_that_cannot_be_written_gives_74() {
    let scene = Scene::new("full");
    let full = || OpenOptions::new().write(true).open("/dev/full").expect("there is one");
    let outcome = scene
        .outcome(scene.tool("sh").args(["-c", "jlock read d >/dev/full"]))
        .exits(74);
    outcome.complains("jlock: standard output: No space left on device");
    let helped = scene
        .tool(program())
        .arg("--help")
        .stdout(full())
        .status()
        .expect("it can be run");
    assert_eq!(helped.code(), Some(74));
}

// ----------------------------------------------------------------------------------------------------- checkpoint

#[test]
fn a_checkpoint_prints_the_journal_and_drops_it() {
    let scene = with_entries("checkpoint");
    scene
        .jlock("checkpoint -t 2000 --changed d")
        .exits(0)
        .prints("b\na c\nd\n");
    assert_eq!(scene.journal(), "# codegraph-journal v1 2000\n");
}

#[test]
fn a_checkpoint_feeds_its_command_and_keeps_what_comes_meanwhile() {
    let scene = with_entries("feeds");
    let script = "jlock checkpoint -t 2000 -d d -- sh -c 'cat; jlock append d later'";
    scene.sh(script).exits(0).prints("gone\nb\n");
    assert_eq!(scene.journal(), "# codegraph-journal v1 2000\nlater\n");
}

#[test]
fn a_checkpoint_of_a_journal_that_was_replaced_drops_nothing_and_says_so() {
    let scene = Scene::new("replaced");
    scene.jlock("append d a").exits(0);
    let replace = "cp d/changes.journal d/new; mv d/new d/changes.journal";
    let outcome = scene.sh(&format!("jlock checkpoint d -- sh -c '{replace}'")).exits(0);
    outcome.complains("nothing was dropped");
    scene.jlock("read --changed d").exits(0).prints("a\n");
}

#[test]
fn a_command_that_fails_leaves_the_journal_alone() {
    let scene = with_entries("fails");
    let before = scene.journal();
    scene
        .sh("jlock checkpoint d -- sh -c 'cat >/dev/null; exit 3'")
        .exits(3);
    scene
        .sh("jlock checkpoint d -- sh -c 'kill $$'")
        .exits(128 + libc::SIGTERM);
    scene.jlock("checkpoint d -- no-such-command").exits(127);
    assert_eq!(scene.journal(), before);
}

#[test]
fn output_that_cannot_be_written_leaves_the_journal_alone() {
    let scene = with_entries("checkpoint-full");
    let before = scene.journal();
    scene.sh("jlock checkpoint d >/dev/full").exits(74);
    assert_eq!(scene.journal(), before);
}

#[test]
fn a_checkpoints_command_need_not_read_all_of_it() {
    let scene = with_entries("unread");
    let paths: String = (0..50_000).map(|number| format!("some/path/{number}\n")).collect();
    scene.jlock_with_input("append d", paths.as_bytes()).exits(0);
    scene.jlock("checkpoint -t 2000 d -- true").exits(0);
    assert_eq!(scene.journal(), "# codegraph-journal v1 2000\n");
}

#[test]
fn the_header_of_a_checkpoint_is_the_time_of_the_reading() {
    let scene = with_entries("time");
    scene
        .sh("jlock checkpoint d -- sh -c 'sleep 0.05; date +%s%3N >now'")
        .exits(0);
    let now = std::fs::read_to_string(scene.path("now")).expect("it was written");
    let now: u64 = now.trim_end().parse().expect("a number");
    let stamped: u64 = scene.journal()["# codegraph-journal v1 ".len()..]
        .trim_end()
        .parse()
        .expect("a number");
    assert!(stamped <= now - 50, "{stamped}, {now}");
}

//! `jlock run` holds the lock while its command runs, and ends the way the command does.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use jlock::{ErrorKind, Lock};

use crate::scene::{Scene, program, until};

// ---------------------------------------------------------------------------------------------------- the command

#[test]
fn the_command_gets_its_arguments_and_standard_files() {
    let scene = Scene::new("arguments");
    scene
        .jlock("run d -- printf %s|%s -n --help")
        .exits(0)
        .prints("-n|--help");
    scene
        .jlock_with_input("run d cat", b"through")
        .exits(0)
        .prints("through");
}

#[test]
fn options_may_follow_the_directory_and_end_where_the_command_begins() {
    let scene = Scene::new("options");
    scene.jlock("run d -n -E 3 echo -n x").exits(0).prints("x");
    scene.jlock("run -- d echo x").exits(0).prints("x\n");
}

#[test]
fn the_exit_code_is_the_commands() {
    let scene = Scene::new("exit");
    for code in [0, 1, 7, 255] {
        scene.sh(&format!("jlock run d -- sh -c 'exit {code}'")).exits(code);
    }
}

#[test]
fn a_command_that_a_signal_ends_gives_128_and_its_number() {
    let scene = Scene::new("ended");
    scene
        .sh("jlock run d -- sh -c 'kill -SEGV $$'")
        .exits(128 + libc::SIGSEGV);
    scene
        .sh("jlock run d -- sh -c 'kill -KILL $$'")
        .exits(128 + libc::SIGKILL);
}

#[test]
fn a_command_that_is_not_found_gives_127() {
    let scene = Scene::new("missing");
    scene
        .jlock("run d -- no-such-command")
        .exits(127)
        .complains("jlock: no-such-command: No such file");
    scene.jlock("status d").exits(0);
}

#[test]
fn a_command_that_cannot_be_executed_gives_126() {
    let scene = Scene::new("cannot");
    scene.write("plain", "");
    scene
        .jlock("run d -- ./plain")
        .exits(126)
        .complains("jlock: ./plain: Permission denied");
    scene.jlock("run d -- ./d").exits(126);
    scene.jlock("status d").exits(0);
}

#[test]
fn the_command_inherits_no_descriptor_of_the_lock() {
    let scene = Scene::new("descriptors");
    let without = scene.sh("ls /proc/self/fd").exits(0).out; // the program that runs the tests may have passed some on
    scene.sh("jlock run d ls /proc/self/fd").exits(0).prints(&without);
}

#[test]
fn the_command_gets_the_signal_mask_that_jlock_was_given() {
    let scene = Scene::new("mask");
    let mask = |command: &str| {
        let said = scene
            .sh(&format!("{command} grep -E '^Sig(Blk|Ign)' /proc/self/status"))
            .exits(0);
        said.out
    };
    assert_eq!(mask("jlock run d"), mask(""));
}

// ------------------------------------------------------------------------------------------------------- the lock

#[test]
fn the_lock_is_held_while_the_command_runs_and_released_after() {
    let scene = Scene::new("held");
    let mut holder = scene.hold("", "exec cat");
    let other = Lock::open(scene.path("d")).expect("it can be opened");
    let tried = other.try_acquire().map(drop).expect_err("it is held");
    assert_eq!(tried.code(), -libc::EAGAIN);
    assert!(holder.end().success());
    other.try_acquire().expect("it is free").release().expect("it was held");
    drop(other);
    assert_eq!(scene.files(), ["changes.journal"], "nothing is left behind");
}

#[test]
fn a_timeout_gives_1_and_names_the_holder() {
    let scene = Scene::new("timeout");
    let holder = scene.hold("", "exec cat");
    let begun = Instant::now();
    let outcome = scene.jlock("run -w 0.25 d -- echo no").exits(1).prints("");
    assert!(begun.elapsed() >= Duration::from_millis(250));
    outcome
        .complains("jlock: d: changes.journal.lock: held by pid ")
        .complains(&format!("held by pid {} (library peer)", holder.child.id()))
        .complains("; gave up after ");
}

#[test]
fn without_waiting_it_gives_up_at_once() {
    let scene = Scene::new("nonblock");
    let _holder = scene.hold("", "exec cat");
    for option in ["-n", "--nonblock", "--nb", "-w 0", "--wait 0", "--timeout=0"] {
        let begun = Instant::now();
        scene
            .jlock(&format!("run {option} d -- echo no"))
            .exits(1)
            .prints("")
            .complains("held by pid");
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{option}: the library's own timeout"
        );
    }
}

#[test]
fn the_exit_code_of_a_conflict_can_be_another() {
    let scene = Scene::new("conflict");
    let _holder = scene.hold("", "exec cat");
    scene.jlock("run -n -E 42 d -- true").exits(42);
    scene.jlock("run -w 0.01 --conflict-exit-code=0 d -- true").exits(0);
    scene.jlock("append -n -E 43 d path").exits(43);
}

#[test]
fn unless_told_otherwise_it_waits_until_the_lock_is_free() {
    let scene = Scene::new("waits");
    let mut holder = scene.hold("", "exec cat");
    let mut waiter = scene.start(scene.tool(program()).args(["run", "d", "echo", "mine"]));
    until("the waiter has a stamp ready", || scene.files().len() >= 4);
    assert!(holder.end().success());
    assert_eq!(waiter.line(), "mine");
    assert!(waiter.end().success());
}

#[test]
fn a_process_that_the_command_leaves_behind_does_not_keep_the_lock() {
    let scene = Scene::new("orphan");
    let pid = scene
        .sh("jlock run d -- sh -c 'sleep 60 >/dev/null 2>&1 & echo $!'")
        .exits(0)
        .out;
    scene.jlock("status d").exits(0);
    scene.sh(&format!("kill {pid}")).exits(0);
}

#[test]
fn a_thread_keeps_the_lock_fresh_unless_told_not_to() {
    let scene = Scene::new("keepalive");
    let threads = |options| {
        let holder = scene.hold(options, "exec cat");
        fs::read_dir(format!("/proc/{}/task", holder.child.id()))
            .expect("it runs")
            .count()
    };
    assert_eq!((threads(""), threads("--no-keepalive")), (2, 1));
    assert_eq!(threads("--no-keepalive --keepalive"), 2);
}

#[test]
fn a_lock_that_was_taken_away_is_reported_and_gives_75() {
    let scene = Scene::new("lost");
    scene
        .sh("jlock run d -- rm d/changes.journal.lock")
        .exits(75)
        .complains("taken away");
}

#[test]
fn the_exit_code_of_a_failed_command_comes_before_that_of_a_lost_lock() {
    let scene = Scene::new("lost-failed");
    scene
        .sh("jlock run d -- sh -c 'rm d/*.lock; exit 3'")
        .exits(3)
        .complains("taken away");
}

#[test]
fn a_missing_directory_is_created_unless_told_not_to() {
    let scene = Scene::new("create");
    scene
        .jlock("run --no-create a/b -- true")
        .exits(66)
        .complains("jlock: a/b: no such file");
    scene.jlock("run a/b -- true").exits(0);
    assert!(scene.path("a/b").is_dir());
}

#[test]
fn another_journal_has_another_lock() {
    let scene = Scene::new("other");
    let _holder = scene.hold("", "exec cat");
    scene
        .jlock("run -n -j other d -- ls d/other.lock")
        .exits(0)
        .prints("d/other.lock\n");
    scene.jlock("run -n -j changes.journal d -- true").exits(1);
}

#[test]
fn a_directory_that_may_not_be_written_to_gives_77() {
    let scene = Scene::new("permission");
    // Root may write anywhere, so as root the test runs the command as another user.
    fs::set_permissions(scene.path("d"), fs::Permissions::from_mode(0o555)).expect("it is ours");
    fs::set_permissions(scene.path("."), fs::Permissions::from_mode(0o755)).expect("it is ours");
    // SAFETY: geteuid cannot fail.
    let outcome = if unsafe { libc::geteuid() } == 0 {
        // Not by this process: until a child that another thread starts meanwhile executes something, it would have the copy
        // open for writing, and nobody could execute it.
        let copy = scene.path("jlock");
        scene
            .outcome(scene.tool("install").args(["-m", "755"]).args([program(), &copy]))
            .exits(0);
        scene.outcome(
            scene
                .tool("setpriv")
                .args(["--reuid=65534", "--clear-groups", "./jlock", "run", "d", "true"]),
        )
    } else {
        scene.jlock("run d true")
    };
    outcome.exits(77).complains("ermission denied");
}

// ------------------------------------------------------------------------------------------- crashes and signals

#[test]
fn killing_it_frees_the_lock_and_ends_the_command() {
    let scene = Scene::new("killed");
    let mut holder = scene.hold("", "echo $$; exec cat");
    let command = holder.line();
    holder.signal(libc::SIGKILL);
    // Judged by its age, the lock would be taken over only after 30 s.
    scene.jlock("run -w 25 d -- echo mine").exits(0).prints("mine\n");
    until("the command has ended", || !is_alive(&command));
}

fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
}

#[test]
fn a_command_after_a_dead_holder_is_told_so() {
    let scene = Scene::new("recovered");
    scene.abandon();
    let told = "jlock run d -- sh -c 'echo \"${JLOCK_RECOVERED-unset}\"'";
    scene
        .sh(told)
        .exits(0)
        .prints("1\n")
        .complains("jlock: d: taken over from a dead holder");
    let outcome = scene
        .sh(&format!("JLOCK_RECOVERED=1 {told}"))
        .exits(0)
        .prints("unset\n");
    assert_eq!(outcome.err, "");
}

fn passes_on(name: &str, number: i32) {
    let scene = Scene::new(name);
    let mut holder = scene.hold("", "exec cat");
    holder.signal(number);
    let status = holder.ends();
    assert_eq!(
        status.code(),
        Some(128 + number),
        "{status}: the command, not jlock, was ended by it"
    );
    let other = Lock::open(scene.path("d")).expect("it can be opened");
    assert!(other.try_acquire().map(drop).map_err(|error| error.kind()) != Err(ErrorKind::WouldBlock));
}

#[test]
fn a_hang_up_is_passed_on() {
    passes_on("hup", libc::SIGHUP);
}

#[test]
fn an_interrupt_is_passed_on() {
    passes_on("int", libc::SIGINT);
}

#[test]
fn a_quit_is_passed_on() {
    passes_on("quit", libc::SIGQUIT);
}

#[test]
fn a_termination_is_passed_on() {
    passes_on("term", libc::SIGTERM);
}

#[test]
fn the_users_signals_and_an_alarm_are_passed_on() {
    passes_on("usr1", libc::SIGUSR1);
    passes_on("usr2", libc::SIGUSR2);
    passes_on("alrm", libc::SIGALRM);
}

#[test]
fn the_lock_is_held_until_the_command_has_dealt_with_a_signal() {
    let scene = Scene::new("dealt");
    let script = "trap 'jlock status -q d; echo $?; exit 9' TERM; echo set; while :; do sleep 0.01; done";
    let mut holder = scene.hold("", script);
    assert_eq!(holder.line(), "set");
    holder.signal(libc::SIGTERM);
    assert_eq!(holder.line(), "1", "status says held");
    assert_eq!(holder.end().code(), Some(9));
}

const DEFAULT_HANG_UP: &str = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); print('set', flush=True); \
                               signal.pause()";

#[test]
fn a_signal_that_jlock_was_told_to_ignore_is_not_passed_on() {
    let scene = Scene::new("ignored");
    let mut shell = scene.tool("sh");
    shell.args([
        "-c",
        "trap '' HUP; exec jlock run d -- python3 -c \"$0\"",
        DEFAULT_HANG_UP,
    ]);
    let mut running = scene.start(&mut shell);
    assert_eq!(running.line(), "set");
    running.signal(libc::SIGHUP);
    running.signal(libc::SIGTERM); // had the first one been passed on, it would have come before this one
    assert_eq!(running.end().code(), Some(128 + libc::SIGTERM));
}

const IGNORING: &str = "import os, signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); \
                        os.execvp('jlock', ['jlock', 'run', 'd', '--', 'sh', '-c', 'exit 5'])";

#[test]
fn a_child_is_waited_for_even_where_jlock_was_told_to_ignore_its_end() {
    let scene = Scene::new("sigchld");
    scene
        .outcome(
            scene
                .tool("timeout")
                .args(["-s", "KILL", "20", "python3", "-c", IGNORING]),
        )
        .exits(5);
}

/// Control-C on a terminal, while the command has left jlock's process group: any signal that reaches the command was
/// passed on by jlock.
const TERMINAL: &str = r#"
import os, pty, signal, sys
command = """
import os, signal
os.setpgid(0, 0)
signal.signal(signal.SIGINT, lambda *_: os.write(1, b'interrupted'))
signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b' bye'), os._exit(0)))
os.write(1, b'ready')
while True: signal.pause()
"""
pid, terminal = pty.fork()
if pid == 0: os.execvp("jlock", ["jlock", "run", "d", "--", sys.executable, "-c", command])
said = b""
def until(what):
    global said
    while what not in said: said += os.read(terminal, 1000)
until(b"ready")
os.write(terminal, b"\x03")
until(b"^C") # echoed after the signal was sent
os.kill(pid, signal.SIGTERM) # had the interrupt been passed on, it would have come before this
until(b" bye")
print(said.count(b"interrupted"), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

#[test]
fn an_interrupt_from_the_terminal_is_not_passed_on_as_the_terminal_sends_it_to_both() {
    let scene = Scene::new("terminal");
    let mut python = scene.tool("timeout");
    scene
        .outcome(python.args(["20", "python3", "-c", TERMINAL]))
        .exits(0)
        .prints("0 0\n");
}

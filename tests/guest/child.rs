//! This test program again, as a separate process: with other rights, in another namespace, under a filter.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::Command;

use crate::scene::Scene;
use crate::tried::not_tried;

/// What a child does in its directory.
type Part = fn(&Path);

const PARTS: [&[(&str, Part)]; 6] = [
    crate::attributes::PARTS,
    crate::directory::PARTS,
    crate::privileges::PARTS,
    crate::process::PARTS,
    crate::refused::PARTS,
    crate::unloaded::PARTS,
];

const ARGUMENTS: [&str; 4] = ["--exact", "child::does_as_it_is_told", "--ignored", "--nocapture"];

pub fn child(part: &str, dir: &Path) -> Command {
    under(&[], part, dir)
}

/// A child that another user starts.
pub fn child_as(user: u32, scene: &Scene, part: &str, dir: &Path) -> Command {
    let mut command = told(Command::new(crate::fresh::program_for_all(&scene.0)), part, dir);
    command.uid(user).gid(user);
    command
}

/// Runs a child through another program; if that program does not work here, says so.
pub fn run_under(before: &[&str], part: &str, dir: &Path) {
    let (program, arguments) = before.split_first().expect("a program");
    let available = Command::new(program).args(arguments).arg("true").output().unwrap();
    match available.status.success() {
        true => run(&mut under(before, part, dir)),
        false => not_tried(String::from_utf8_lossy(&available.stderr).trim_end()),
    }
}

/// A child that another program starts, which gets these arguments first.
pub fn under(before: &[&str], part: &str, dir: &Path) -> Command {
    let exe = std::env::current_exe().unwrap();
    let command = match before {
        [] => Command::new(exe),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(exe);
            command
        }
    };
    told(command, part, dir)
}

fn told(mut command: Command, part: &str, dir: &Path) -> Command {
    command.args(ARGUMENTS);
    command.env("JLOCK_CHILD_PART", part).env("JLOCK_CHILD_DIR", dir);
    let usual = || {
        // SAFETY: it changes only the new process, and is async-signal-safe.
        unsafe { libc::umask(0o022) };
        Ok(())
    };
    // SAFETY: `usual` is async-signal-safe. Whoever runs the tests may have another mask.
    unsafe { command.pre_exec(usual) };
    command
}

/// Runs a child to its end; it must succeed.
#[track_caller]
pub fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && output.status.signal().is_none(),
        "{command:?}\n{out}\n{err}"
    );
    assert!(out.contains("1 passed"), "{command:?}\n{out}\n{err}");
}

#[test]
#[ignore = "what the other tests start"]
fn does_as_it_is_told() {
    let part = std::env::var("JLOCK_CHILD_PART").expect("it is told");
    let dir = std::env::var_os("JLOCK_CHILD_DIR").expect("it is told");
    let all = PARTS.iter().flat_map(|parts| parts.iter());
    let (_, act) = all
        .into_iter()
        .find(|(name, _)| *name == part)
        .expect("one of the parts");
    act(Path::new(&dir));
}

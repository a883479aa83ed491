//! docs/tutorial.md is run in one shell from the first command to the last, and prints what it shows.

use std::path::Path;
use std::process::Command;

use crate::commands::in_front_of;
use crate::read;
use crate::scene::program;
use crate::tools::{Scratch, library, root, tool};

/// A command, and the lines that it must print.
struct Step {
    command: String,
    prints: Vec<String>,
}

/// Separates the output of one command from the next.
const MARK: &str = "-- next command --";

/// The code blocks that begin with this line, each with the line before it.
fn blocks(text: &str, opening: impl Fn(&str) -> bool) -> Vec<(&str, Vec<&str>)> {
    let lines: Vec<&str> = text.lines().collect();
    let openings = (1..lines.len()).filter(|at| opening(lines[*at]));
    openings
        .map(|at| {
            let code = lines[at + 1..].iter().take_while(|line| **line != "```");
            (lines[at - 1], code.copied().collect())
        })
        .collect()
}

fn steps(tutorial: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in blocks(tutorial, |line| line == "```console")
        .into_iter()
        .flat_map(|block| block.1)
    {
        match line.strip_prefix("$ ") {
            Some(command) => steps.push(Step {
                command: command.to_owned(),
                prints: Vec::new(),
            }),
            None => {
                let step = steps.last_mut().expect("a command comes before what it prints");
                step.prints.push(line.to_owned());
            }
        }
    }
    steps
}

/// The programs that the reader is told to write.
fn write_files(tutorial: &str, scratch: &Scratch) {
    let mut written = 0;
    for (before, code) in blocks(tutorial, |line| line.starts_with("```") && line.len() > 3) {
        let named = before
            .strip_prefix("<!-- file: ")
            .and_then(|rest| rest.strip_suffix(" -->"));
        if let Some(name) = named {
            scratch.write(name, &(code.join("\n") + "\n"));
            written += 1;
        }
    }
    assert_eq!(written, 3, "the tutorial's programs");
}

/// A line without what changes from run to run: numbers and the host, in lines about processes or times.
fn lasting(line: &str) -> String {
    if !line.contains("pid ") && !line.contains("journal v1") {
        return line.to_owned();
    }
    let mut out = String::new();
    let mut before = "";
    for word in line.split(' ') {
        let name = word.trim_end_matches([';', ',', ':']);
        match before {
            "on" => out += &word.replace(name, "HOST"),
            _ => word.chars().for_each(|letter| {
                let letter = if letter.is_ascii_digit() { '0' } else { letter };
                if letter != '0' || !out.ends_with('0') {
                    out.push(letter);
                }
            }),
        }
        out.push(' ');
        before = word;
    }
    out
}

/// Whether bash itself prints this line when a program that it started is killed.
fn is_of_the_shell(line: &str) -> bool {
    line.contains(" Killed ")
}

fn shell(dir: &Path) -> Command {
    // A timeout, so that the test fails if a program never prints what is waited for.
    let mut shell = tool("timeout");
    shell
        .args(["120", "bash"])
        .current_dir(dir)
        .env(
            "PATH",
            in_front_of("PATH", &[program().parent().expect("a directory").to_owned()]),
        )
        .env("JLOCK_LIBRARY", library("libjlock.so"))
        .env("PYTHONPATH", root().join("examples/python"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    shell
}

#[test]
fn the_tutorial_prints_what_it_shows() {
    let tutorial = read("docs/tutorial.md");
    let scratch = Scratch::new("tutorial");
    write_files(&tutorial, &scratch);
    let steps = steps(&tutorial);
    assert!(steps.len() >= 15, "only {} commands", steps.len());

    // If a step fails and leaves a program running, it ends with the shell.
    let mut script = "trap 'kill -9 $(jobs -p)' EXIT\nexec 2>&1\n".to_owned();
    for step in &steps {
        script += &format!("{}\nresult=$?; echo '{MARK}'; (exit $result)\n", step.command);
    }
    let output = shell(scratch.path()).args(["-c", &script]).output().expect("bash");
    let printed = String::from_utf8(output.stdout).expect("text");
    for (step, part) in steps.iter().zip(printed.split(&format!("{MARK}\n"))) {
        let found: Vec<String> = part
            .lines()
            .filter(|line| !is_of_the_shell(line))
            .map(lasting)
            .collect();
        let expected: Vec<String> = step.prints.iter().map(|line| lasting(line)).collect();
        assert_eq!(found, expected, "{}:\n{part}", step.command);
    }
}

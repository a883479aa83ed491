//! Help, manual page and completions name the same commands and options, and the command accepts them.

use std::collections::BTreeSet;
use std::fs;

use crate::scene::{Scene, program};
use crate::tools::{root, run, text, tool};

const COMMANDS: [&str; 9] = [
    "run",
    "append",
    "delete",
    "stamp",
    "read",
    "checkpoint",
    "status",
    "watch",
    "probe",
];

/// flock's names for two of the options; help need not list them.
const ALIASES: [&str; 2] = ["--timeout", "--nb"];

fn help(command: &str) -> String {
    text(tool(program()).args([command, "--help"]))
}

/// The options that begin a line of a help text: the short and long names, and whether they take a value.
fn options_of(help: &str) -> Vec<(Vec<&str>, bool)> {
    let lines = help
        .lines()
        .filter(|line| line.starts_with("  -") || line.starts_with("      --"));
    lines
        .map(|line| {
            let words = line.trim().split("  ").next().expect("one at least").replace(',', "");
            let words: Vec<&str> = line.split_whitespace().take(words.split_whitespace().count()).collect();
            let names = words.iter().map(|word| word.trim_end_matches(','));
            let (options, values): (Vec<&str>, Vec<&str>) = names.partition(|name| name.starts_with('-'));
            (options, !values.is_empty())
        })
        .collect()
}

fn names_of(help: &str) -> BTreeSet<&str> {
    options_of(help).into_iter().flat_map(|(names, _)| names).collect()
}

fn completions(command: &str) -> BTreeSet<String> {
    let script = format!(". cli/completions/jlock.bash; _jlock_options {command}");
    let said = text(tool("bash").current_dir(root()).args(["-c", &script]));
    said.split_whitespace().map(str::to_owned).collect()
}

fn complete(scene: &Scene, words: &[&str]) -> String {
    let script = format!(
        ". {}; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _jlock; printf '%s\\n' \"${{COMPREPLY[@]}}\" | LC_ALL=C sort",
        root().join("cli/completions/jlock.bash").display()
    );
    let outcome = scene
        .outcome(scene.tool("bash").args(["-c", &script, "bash"]).args(words))
        .exits(0);
    outcome.out.split_whitespace().collect::<Vec<_>>().join(" ")
}

// ----------------------------------------------------------------------------------------------------------- help

#[test]
fn the_overview_names_every_command() {
    let overview = text(tool(program()).arg("--help"));
    for command in COMMANDS {
        assert!(overview.contains(&format!("\n  {command} ")), "{command}");
    }
    assert_eq!(overview, text(tool(program()).arg("help")));
}

#[test]
fn every_commands_help_begins_with_its_usage_and_ends_with_examples() {
    for command in COMMANDS {
        let help = help(command);
        assert!(help.starts_with(&format!("Usage: jlock {command} ")), "{help}");
        assert!(
            help.contains(&format!("\n  jlock {command} ")) || help.contains("| jlock "),
            "{help}"
        );
        assert_eq!(help, text(tool(program()).args(["help", command])));
    }
}

#[test]
fn no_line_of_help_is_wider_than_90_columns() {
    for command in [&COMMANDS[..], &[""]].concat() {
        let command = Some(command).filter(|command| !command.is_empty());
        for line in text(tool(program()).arg("help").args(command)).lines() {
            assert!(line.len() <= 90, "{command:?}: {line}");
        }
    }
}

#[test]
fn every_option_that_help_names_is_taken() {
    for command in COMMANDS {
        for (names, has_value) in options_of(&help(command)) {
            for name in names {
                let value = has_value.then_some("7");
                text(tool(program()).arg(command).arg(name).args(value).arg("--help"));
            }
        }
    }
}

#[test]
fn an_option_of_another_command_is_refused() {
    let scene = Scene::new("refuses");
    let all: BTreeSet<String> = COMMANDS.iter().flat_map(|command| completions(command)).collect();
    for command in COMMANDS {
        for option in all.difference(&completions(command)) {
            let arguments = format!("{command} {option}=7 d x");
            let outcome = scene.jlock(&arguments).exits(64);
            assert!(outcome.err.contains("see jlock"), "{arguments}: {outcome:?}");
        }
    }
}

#[test]
fn the_version_is_the_librarys() {
    let said = text(tool(program()).arg("--version"));
    assert_eq!(said, format!("jlock {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_gives_64_and_says_where_to_look() {
    let scene = Scene::new("usage");
    for wrong in [
        "frobnicate",
        "help frobnicate",
        "run",
        "run d",
        "run d --",
        "run -w",
        "run -w soon d true",
        "run -w -1 d true",
        "run -w nan d true",
        "run -E 256 d true",
        "run -E x d true",
        "run --frobnicate d true",
        "run -j .. d true",
        "append",
        "append --stdin d x",
        "append d - x",
        "append d x -",
        "probe",
        "probe d d",
        "stamp -t -5 d",
        "stamp -t 99999999999999999999 d",
        "stamp --reset d x",
        "stamp --reset --stdin d",
        "read d d",
        "status d d",
        "watch -c x d",
    ] {
        let outcome = scene.jlock(wrong).exits(64).prints("");
        assert!(
            outcome.err.starts_with("jlock") && outcome.err.contains("ee jlock "),
            "{wrong}: {outcome:?}"
        );
    }
    assert_eq!(scene.journal(), "# codegraph-journal v1 1000\n");
}

#[test]
fn the_command_alone_prints_its_usage_and_fails() {
    let outcome = Scene::new("alone").jlock("").exits(64).prints("");
    assert_eq!(outcome.err, text(tool(program()).arg("--help")));
}

// ---------------------------------------------------------------------------------------------------- manual page

#[test]
fn the_manual_page_has_every_command_and_option() {
    let page = text(
        tool("mandoc")
            .args(["-Tascii", "-Owidth=1000", "man/jlock.1"])
            .current_dir(root()),
    );
    // A letter struck over itself is bold.
    let mut plain = String::new();
    for letter in page.chars() {
        if letter == '\u{8}' {
            plain.pop();
        } else {
            plain.push(letter);
        }
    }
    for command in COMMANDS {
        assert!(plain.contains(&format!("\n     {command} ")), "{command}");
        for option in completions(command) {
            let listed = |line: &str| line.starts_with("     -") && line.split([' ', ',']).any(|word| word == option);
            assert!(plain.lines().any(listed), "{command} {option}");
        }
    }
}

// ---------------------------------------------------------------------------------------------------- completions

#[test]
fn bash_completes_the_options_that_help_names() {
    for command in COMMANDS {
        let offered = completions(command);
        let offered = offered
            .iter()
            .map(String::as_str)
            .filter(|option| !ALIASES.contains(option));
        assert_eq!(offered.collect::<BTreeSet<_>>(), names_of(&help(command)), "{command}");
    }
}

#[test]
fn bash_completes_commands_directories_and_paths() {
    let scene = Scene::new("complete");
    scene.write("data", "");
    assert_eq!(complete(&scene, &["jlock", "st"]), "stamp status");
    assert_eq!(complete(&scene, &["jlock", "help", "w"]), "watch");
    assert_eq!(complete(&scene, &["jlock", "append", "d"]), "d");
    assert_eq!(complete(&scene, &["jlock", "append", "-w", "1", "d"]), "d");
    assert_eq!(complete(&scene, &["jlock", "append", "d", "da"]), "data");
    assert_eq!(complete(&scene, &["jlock", "status", "d", "da"]), "");
    assert_eq!(complete(&scene, &["jlock", "watch", "d", "--j"]), "--journal --json");
}

#[test]
fn bash_completes_what_run_runs() {
    let scene = Scene::new("complete-run");
    for words in [
        &["jlock", "run", "d", "mkfif"][..],
        &["jlock", "run", "-n", "d", "--", "mkfif"],
    ] {
        assert!(complete(&scene, words).contains("mkfifo"), "{words:?}");
    }
}

#[test]
fn the_bash_completion_is_clean_to_shellcheck() {
    run(tool("shellcheck").arg("cli/completions/jlock.bash").current_dir(root()));
}

/// What zsh offers, asked of its own completion system on a separate terminal.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty shell 'TERM=dumb COLUMNS=200 zsh -f -i'
zpty -w shell "PS1=; PROMPT_SP=; fpath=($1 \$fpath); autoload -U compinit && compinit -u -D; setopt no_list_beep;"
zpty -w shell "LISTMAX=1000; bindkey '^I' list-choices; print rea''dy"
zpty -r -m shell said '*ready'$'\r*'
zpty -n -w shell "jlock $2"$'\t'
zpty -r -m shell said '*--help*' # every list has it; what is typed before would keep it from being shown
list=$said
zpty -n -w shell $'\C-u'"print do''ne"$'\n'
zpty -r -m shell said '*done'$'\r*'
print -r -- "$list$said"
zpty -d shell
"#;

fn zsh_offers(words: &str) -> BTreeSet<String> {
    let completions = root().join("cli/completions");
    let said = text(
        tool("timeout")
            .args(["300", "zsh", "-c", ZSH, "zsh"])
            .arg(completions)
            .arg(words),
    );
    said.split_whitespace()
        .filter(|word| *word != "--")
        .map(str::to_owned)
        .collect()
}

#[test]
fn zsh_completes_the_commands() {
    let offered = zsh_offers("");
    for command in COMMANDS {
        assert!(offered.contains(command), "{command}: {offered:?}");
    }
}

#[test]
fn zsh_completes_the_options_that_help_names() {
    for command in COMMANDS {
        let long = |options: &BTreeSet<String>| -> BTreeSet<String> {
            let long = options.iter().filter(|option| option.starts_with("--"));
            long.cloned().collect()
        };
        assert_eq!(
            long(&zsh_offers(&format!("{command} --"))),
            long(&completions(command)),
            "{command}"
        );
    }
}

#[test]
fn both_completions_are_named_as_their_shells_look_for_them() {
    let bash = fs::read_to_string(root().join("cli/completions/jlock.bash")).expect("bash");
    let zsh = fs::read_to_string(root().join("cli/completions/_jlock")).expect("zsh");
    assert!(bash.ends_with("complete -F _jlock jlock\n"));
    assert!(zsh.starts_with("#compdef jlock\n"));
}

//! README's commands run as they are written, in the project of somebody who tries them; what they install is kept
//! apart.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{read, root};

struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        Scratch(crate::tools::fresh::directory("readme"))
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(path, content).expect(name);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("the test's own directory");
    }
}

/// A project in every language, with what README shows and nothing else from the library.
fn project(scratch: &Scratch) {
    for name in ["first.sh", "lock.c", "first.cpp", "first.py", "main.go", "first.mjs"] {
        scratch.write(&format!("project/{name}"), &read(&format!("examples/first/{name}")));
    }
    scratch.write("project/src/main.rs", &read("examples/first/main.rs"));
    scratch.write("project/go.mod", "module project\n\ngo 1.21\n");
    scratch.write("project/package.json", "{ \"private\": true }\n");
    scratch.write("project/Makefile", "index:\n\t@echo indexed\n");
    scratch.write(
        "project/Cargo.toml",
        "[package]\nname = \"project\"\nedition = \"2021\"\n",
    );
    // Kept, so that the dependencies are compiled only once.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme-target");
    let config = format!("[build]\ntarget-dir = {target:?}\n");
    scratch.write("project/.cargo/config.toml", &config);
}

/// Each text between these two words.
fn all_between<'a>(text: &'a str, begin: &str, end: &str) -> Vec<&'a str> {
    let parts = text.split(begin).skip(1);
    parts
        .map(|rest| rest.split(end).next().expect("one at least"))
        .collect()
}

/// README's commands: the second column of the table of languages, and the commands that run each first program.
fn commands() -> Vec<String> {
    let readme = read("README.md");
    let table = all_between(&readme, "\n| for | install line |", "\n\n");
    let rows = table[0].lines().skip(2);
    let install = rows.map(|row| row.split('`').nth(1).expect(row).to_owned());
    let summaries = all_between(&readme, "<summary>", "</summary>");
    let run = summaries
        .iter()
        .map(|text| all_between(text, "<code>", "</code>")[0].to_owned());
    install.chain(run).collect()
}

pub fn in_front_of(name: &str, paths: &[PathBuf]) -> OsString {
    let old = std::env::var_os(name).unwrap_or_default();
    let all = paths.iter().cloned().chain(std::env::split_paths(&old));
    std::env::join_paths(all).expect("paths without colons")
}

/// A shell that finds what is installed here, as if it were installed system-wide.
fn shell(scratch: &Path) -> Command {
    let installed = scratch.join("installed");
    let usr = installed.join("usr");
    let mut command = Command::new("sh");
    command
        .args(["-eux"])
        .current_dir(scratch.join("project"))
        .stdin(Stdio::null())
        .env("JLOCK", root())
        .env("DESTDIR", &installed)
        .env("prefix", "/usr")
        .env(
            "PATH",
            in_front_of("PATH", &[scratch.join("venv/bin"), usr.join("bin")]),
        )
        .env("LD_LIBRARY_PATH", usr.join("lib"))
        .env("PKG_CONFIG_PATH", usr.join("lib/pkgconfig"))
        .env("PKG_CONFIG_SYSROOT_DIR", &installed)
        .env("PKG_CONFIG_ALLOW_SYSTEM_CFLAGS", "1")
        .env("PKG_CONFIG_ALLOW_SYSTEM_LIBS", "1")
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .env("GOFLAGS", "-mod=mod")
        // Go caches what pkg-config said about another installation; this makes it ask again.
        .env("CGO_LDFLAGS", format!("-L{}", usr.join("lib").display()))
        .env("GOPROXY", "off")
        .env("npm_config_prefer_offline", "true")
        .env("CARGO_NET_OFFLINE", "true");
    for foreign in [
        "JLOCK_LIBRARY",
        "MAKEFLAGS",
        "MAKELEVEL",
        "RUSTFLAGS",
        "CARGO_BUILD_TARGET",
    ] {
        command.env_remove(foreign);
    }
    command
}

/// Runs the script to its end, and returns what it wrote to its standard output.
fn run(command: &mut Command, script: &str) -> String {
    let output = command.args(["-c", script]).output().expect("sh");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{}: {out}\n{err}", output.status);
    out.into_owned()
}

#[test]
fn the_commands_run_as_they_stand() {
    let scratch = Scratch::new();
    project(&scratch);
    run(&mut shell(&scratch.0), "python3 -m venv ../venv");
    let commands = commands();
    assert_eq!(commands.len(), 6 + 7, "{commands:?}");
    let out = run(&mut shell(&scratch.0), &commands.join("\n"));

    for line in ["indexed", "no other program is here", "no other program writes now"] {
        assert!(out.lines().any(|said| said == line), "{line}: {out}");
    }
    let journal = fs::read_to_string(scratch.0.join("project/.codegraph/changes.journal")).expect("a journal");
    for entry in [
        "src/main.c",
        "src/main.cpp",
        "src/main.py",
        "src/main.go",
        "src/main.js",
        "src/main.rs",
    ] {
        assert!(journal.lines().any(|line| line == entry), "no {entry}: {journal}");
    }
}

#[test]
fn what_the_documents_say_to_make_can_be_made() {
    let documents: String = crate::links::documents().iter().map(|name| read(name)).collect();
    let mut rules = read("Makefile");
    for entry in fs::read_dir(root().join("mk")).expect("mk") {
        let path = entry.expect("mk").path();
        if path.extension().is_some_and(|extension| extension == "mk") {
            rules += &fs::read_to_string(path).expect("rules");
        }
    }
    let quoted = documents
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| code.starts_with("make "));
    let indented = documents
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with("make "));
    let mut seen = 0;
    for line in quoted.chain(indented) {
        let mut words = line["make ".len()..].split_whitespace();
        let first = words.next().expect(line);
        // make -C DIRECTORY GOAL
        let goal = if first == "-C" {
            words.nth(1).expect(line)
        } else {
            first
        };
        assert!(
            rules.lines().any(|rule| rule.starts_with(&format!("{goal}:"))),
            "{line}: there is no such goal"
        );
        seen += 1;
    }
    assert!(seen >= 5, "only {seen}");
}

//! What README says is so: its programs are those of `examples/`, its commands run, its links lead somewhere, and each of
//! its numbers stands where it comes from. (The table of other locks has a test of its own, `make test-locks`.)
//!
//! `BLESS=1` puts the programs there. That they build and run is shown by their languages' own tests.

mod commands;
mod links;
mod numbers;

use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// README with the content of each file that a comment names in the code block after it.
fn with_examples(readme: &str) -> String {
    let mut out = String::new();
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        let named = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
        let Some(name) = named.filter(|name| name.starts_with("examples/")) else {
            continue;
        };
        let opening = lines.next().expect("a code block follows");
        assert!(opening.starts_with("```"), "{name}: a code block follows");
        lines.by_ref().find(|line| *line == "```").expect("the code block ends");
        let example = read(name);
        out.push_str(&format!("{opening}\n{example}```\n"));
    }
    out
}

#[test]
fn readme_shows_the_examples_as_they_are() {
    let readme = read("README.md");
    let made = with_examples(&readme);
    if std::env::var_os("BLESS").is_some() {
        fs::write(root().join("README.md"), &made).expect("README.md can be written");
        return;
    }
    assert!(
        made == readme,
        "README.md shows an example as it was: BLESS=1 cargo test --test readme"
    );
    assert_eq!(made.matches("<!-- examples/").count(), 3, "C, Python and Go");
}

//! What README and the documents say is true: the programs that they show are those of `examples/`, their commands
//! run, their links lead somewhere, and each of their numbers is found where it comes from. (The table of other locks
//! has a test of its own, `make test-locks`.)
//!
//! `BLESS=1` puts the programs into README. `commands` shows that they build and run.

mod commands;
mod links;
mod numbers;
#[path = "../cli/scene.rs"]
#[allow(dead_code)] // only the command is used
mod scene;
#[path = "../abi/tools.rs"]
#[allow(dead_code)] // only what the command needs is used
mod tools;
mod tutorial;

use std::fs;

use tools::root;

/// README has to be understood in ten minutes.
const MOST_WORDS: usize = 900;

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The text without fenced and indented code.
fn without_code(text: &str) -> String {
    let mut fenced = false;
    let lines = text.lines().filter(|line| {
        let fence = line.starts_with("```");
        fenced ^= fence;
        !fenced && !fence && !line.starts_with("    ")
    });
    lines.map(|line| format!("{line}\n")).collect()
}

/// What a comment such as `<!-- examples/a.go from func main -->` names: a file, and the words with which the part
/// begins that is shown.
fn shown(line: &str) -> Option<(&str, &str)> {
    let named = line.strip_prefix("<!-- examples/")?.strip_suffix(" -->")?;
    Some(named.split_once(" from ").unwrap_or((named, "")))
}

fn example(name: &str, from: &str) -> String {
    let content = read(&format!("examples/{name}"));
    let begin = content.find(from).unwrap_or_else(|| panic!("{name} has no {from}"));
    content[begin..].to_owned()
}

/// The text with each code block that follows such a comment replaced by the file that the comment names.
fn with_examples(text: &str) -> String {
    let mut out = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        let Some((name, from)) = shown(line) else {
            continue;
        };
        let opening = lines.next().expect("a code block follows");
        assert!(opening.starts_with("```"), "{name}: a code block follows");
        lines.by_ref().find(|line| *line == "```").expect("the code block ends");
        out.push_str(&format!("{opening}\n{}```\n", example(name, from)));
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
        "README.md shows an old version of an example: BLESS=1 cargo test --test readme"
    );
}

#[test]
fn readme_has_a_first_program_of_ten_lines_in_each_language() {
    let readme = read("README.md");
    let programs: Vec<(&str, &str)> = readme.lines().filter_map(shown).collect();
    let endings = ["sh", "c", "cpp", "py", "go", "mjs", "rs"];
    for ending in endings {
        let has_it = |program: &&(&str, &str)| program.0.rsplit('.').next() == Some(ending);
        let (name, from) = programs
            .iter()
            .find(has_it)
            .unwrap_or_else(|| panic!("there is none in {ending}"));
        let lines = example(name, from).lines().filter(|line| !line.is_empty()).count();
        assert!(lines <= 10, "{name}: {lines} lines");
    }
    assert_eq!(programs.len(), endings.len());
}

#[test]
fn readme_is_short() {
    let text = without_code(&read("README.md"));
    let is_word = |word: &&str| word.contains(char::is_alphanumeric);
    let words = text.split_whitespace().filter(is_word).count();
    assert!(
        words <= MOST_WORDS,
        "README.md has {words} words, code apart; {MOST_WORDS} are enough"
    );
}

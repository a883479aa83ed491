//! The picture of the protocol's states (`docs/states.svg`) is drawn from its description (`docs/states.txt`), which
//! agrees with PROTOCOL.md. `BLESS=1` draws it again.

mod description;
mod draw;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use description::{Description, Who, code_words};

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).expect(name)
}

fn description() -> Description {
    Description::parse(&read("docs/states.txt"))
}

/// The section of PROTOCOL.md whose heading begins with `name`.
fn section(protocol: &str, name: &str) -> String {
    let is_heading = |line: &str| line.starts_with("## ") || line.starts_with("### ");
    let title = |line: &str| line.trim_start_matches('#').trim_start().starts_with(name);
    let mut lines = protocol.lines().skip_while(|line| !(is_heading(line) && title(line)));
    lines
        .next()
        .unwrap_or_else(|| panic!("PROTOCOL.md has no section {name}"));
    lines
        .take_while(|line| !is_heading(line))
        .collect::<Vec<_>>()
        .join("\n")
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
        .collect()
}

#[test]
fn the_picture_is_drawn_from_its_description() {
    let path: &Path = &root().join("docs/states.svg");
    let made = draw::svg(&description());
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, &made).expect("the picture can be written");
    }
    let shown = fs::read_to_string(path).unwrap_or_default();
    assert!(
        made == shown,
        "docs/states.svg is not what its description says: BLESS=1 cargo test --test picture"
    );
}

#[test]
fn no_words_of_the_picture_lie_on_others() {
    let boxes = draw::boxes(&description());
    for (place, (one, first)) in boxes.iter().enumerate() {
        assert!(
            first.left >= 0.0 && first.right <= draw::WIDTH,
            "{one:?} is cut off: {first:?}"
        );
        for (other, second) in &boxes[place + 1..] {
            assert!(!first.meets(second), "{one:?} lies on {other:?}: {first:?}, {second:?}");
        }
    }
}

#[test]
fn no_line_passes_through_words() {
    let described = description();
    for step in &described.moves {
        let points = draw::line(&described, step);
        for (words, area) in draw::boxes(&described) {
            assert!(!area.is_crossed_by(&points), "{:?} passes through {words:?}", step.text);
        }
    }
}

#[test]
fn the_words_of_a_state_fit_into_it() {
    for text in description().states.iter().flat_map(|state| &state.text) {
        assert!(draw::width(text) <= draw::BOX.0 - 12.0, "{text}");
    }
}

#[test]
fn each_move_is_made_by_calls_that_its_section_of_the_protocol_names() {
    let protocol = read("PROTOCOL.md");
    for step in &description().moves {
        let section = section(&protocol, &step.section);
        let known = words(&section);
        let calls = code_words(&step.text);
        assert!(
            step.who == Who::Nobody || !calls.is_empty(),
            "{} -> {}: which call makes it?",
            step.from.state,
            step.to.state
        );
        for call in words(&calls.join(" ")) {
            assert!(
                known.contains(call),
                "{}: PROTOCOL.md, {}, has no {call}",
                step.text.join(" "),
                step.section
            );
        }
    }
}

#[test]
fn the_times_in_the_picture_are_those_of_the_protocol() {
    let protocol = read("PROTOCOL.md");
    let described = description();
    let texts = described.moves.iter().map(|step| step.text.join(" "));
    for text in texts.chain([described.notes.join(" ")]) {
        for (number, unit) in text.split(' ').zip(text.split(' ').skip(1)) {
            if number.parse::<u32>().is_ok() {
                let time = format!("{number} {}", unit.trim_end_matches([':', ',', '.']));
                assert!(protocol.contains(&time), "PROTOCOL.md knows no {time}");
            }
        }
    }
}

#[test]
fn the_picture_has_every_kind_of_lock_and_everything_that_moves_one() {
    let protocol = read("PROTOCOL.md");
    let described = description();
    let states: String = described
        .states
        .iter()
        .map(|state| state.text.join(" ") + "\n")
        .collect();
    let table = protocol.split("| kind | what |").nth(1).expect("the kinds of stamps");
    for row in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let kind = row.split('|').nth(1).expect("a kind").trim().trim_end_matches(" stamp");
        assert!(states.contains(kind), "no state for the kind {kind}");
    }
    let told: BTreeSet<&str> = described.moves.iter().map(|step| step.section.as_str()).collect();
    for section in [
        "Acquire",
        "Look",
        "Claim",
        "Settle",
        "Release",
        "What a shipped peer does",
    ] {
        assert!(told.contains(section), "no move belongs to {section}");
    }
    for state in &described.states {
        let left = described.moves.iter().any(|step| step.from.state == state.name);
        let entered = described.moves.iter().any(|step| step.to.state == state.name);
        assert!(left, "{}: no arrow leads out of it", state.name);
        assert!(
            entered || state.name == "foreign",
            "{}: no arrow leads there",
            state.name
        );
    }
}

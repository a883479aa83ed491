//! Links to files, and to headings, lead to some.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{read, root};

/// The documents at the top and in `docs/`, and each language's own.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for dir in ["", "docs", "examples/node", "examples/python", "tests/vectors"] {
        let entries = fs::read_dir(root().join(dir)).expect(dir);
        let names = entries.map(|entry| Path::new(dir).join(entry.expect(dir).file_name()));
        found.extend(names.filter(|name| name.extension().is_some_and(|extension| extension == "md")));
    }
    found
}

/// A document without its code.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let lines = text.lines().filter(|line| {
        let fence = line.starts_with("```");
        fenced ^= fence;
        !fenced && !fence && !line.starts_with("    ")
    });
    lines.map(|line| format!("{line}\n")).collect()
}

/// The targets of `](target)`.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1);
    targets
        .map(|rest| rest.split(')').next().expect("one at least"))
        .collect()
}

/// The anchors that a document's headings make, as GitHub does.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    let anchor = |title: &str| {
        title
            .to_lowercase()
            .chars()
            .filter(kept)
            .collect::<String>()
            .replace(' ', "-")
    };
    headings
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let mut seen = 0;
    for document in documents() {
        let text = prose(&read(document.to_str().expect("a name")));
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => document.clone(),
                _ => document.parent().expect("a directory").join(file),
            };
            assert!(
                root().join(&target).exists(),
                "{}: nothing at {link}",
                document.display()
            );
            if !anchor.is_empty() {
                let there = anchors(&prose(&read(target.to_str().expect("a name"))));
                assert!(there.contains(anchor), "{}: no heading for {link}", document.display());
            }
            seen += 1;
        }
    }
    assert!(
        seen >= 15,
        "only {seen} links: are they looked for as they are written?"
    );
}

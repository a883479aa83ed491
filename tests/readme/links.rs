//! Links to files and to headings lead somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::tools::root;
use crate::{read, without_code};

/// The documents at the top and in `docs/`, and those of each language.
pub fn documents() -> Vec<String> {
    let mut found = Vec::new();
    for dir in ["", "docs", "examples/node", "examples/python", "tests/vectors"] {
        let entries = fs::read_dir(root().join(dir)).expect(dir);
        let names = entries.map(|entry| Path::new(dir).join(entry.expect(dir).file_name()));
        let documents = names.filter(|name| name.extension().is_some_and(|extension| extension == "md"));
        found.extend(documents.map(|name| name.display().to_string()));
    }
    found
}

/// The targets of `](target)`.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1);
    targets
        .map(|rest| rest.split(')').next().expect("one at least"))
        .collect()
}

/// The anchors that GitHub makes of a document's headings.
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
        let text = without_code(&read(&document));
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => PathBuf::from(&document),
                _ => Path::new(&document).parent().expect("a directory").join(file),
            };
            assert!(root().join(&target).exists(), "{document}: nothing at {link}");
            if !anchor.is_empty() {
                let there = anchors(&without_code(&read(target.to_str().expect("a name"))));
                assert!(there.contains(anchor), "{document}: no heading for {link}");
            }
            seen += 1;
        }
    }
    assert!(
        seen >= 15,
        "only {seen} links: does the search still match how they are written?"
    );
}

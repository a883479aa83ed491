//! README shows the example programs as they are. `BLESS=1` puts them there. (That they build and run is shown by their
//! languages' own tests.)

use std::path::Path;

/// README with the content of each file that a comment names in the code block after it.
fn with_examples(readme: &str, root: &Path) -> String {
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
        let example = std::fs::read_to_string(root.join(name)).expect(name);
        out.push_str(&format!("{opening}\n{example}```\n"));
    }
    out
}

#[test]
fn readme_shows_the_examples_as_they_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("README.md");
    let readme = std::fs::read_to_string(&path).expect("README.md");
    let made = with_examples(&readme, root);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &made).expect("README.md can be written");
        return;
    }
    assert!(
        made == readme,
        "README.md shows an example as it was: BLESS=1 cargo test --test readme"
    );
    assert_eq!(made.matches("<!-- examples/").count(), 3, "C, Python and Go");
}

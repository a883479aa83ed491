//! The layout of the sources: each floor uses only those below it, and files and functions are short.

use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom to the top. A floor may use itself and those below it.
const FLOORS: [&str; 6] = ["ground", "sys", "lock", "journal", "handle", "capi"];
/// Modules that belong to no floor: types and texts that everybody uses.
const GROUND: [&str; 4] = ["abi", "error", "memory", "options"];
const LONGEST_FILE: usize = 400;
const LONGEST_FUNCTION: usize = 40;

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../src")
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory of the sources") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => sources(&path, found),
            false => found.push(path),
        }
    }
}

fn all() -> Vec<(String, String)> {
    let mut found = Vec::new();
    sources(&src(), &mut found);
    let mut all: Vec<(String, String)> = found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(src()).expect("beneath src").display().to_string();
            (name, fs::read_to_string(&path).expect("a source file"))
        })
        .collect();
    all.sort();
    assert!(all.len() > 40, "the sources are found");
    all
}

/// The floor of a file or module, by the first part of its name.
fn floor(name: &str) -> Option<usize> {
    let first = name.split(['/', '.', ':', ';', ' ']).next()?;
    let first = if GROUND.contains(&first) { "ground" } else { first };
    FLOORS.iter().position(|floor| *floor == first)
}

/// What a file imports from the crate, its tests and comments aside.
fn imports(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines
        .flat_map(|line| {
            line.match_indices("crate::")
                .map(|(at, _)| line[at + "crate::".len()..].to_owned())
        })
        .collect()
}

/// Imports of a higher floor.
fn arrows_back(all: &[(String, String)]) -> Vec<String> {
    let mut back = Vec::new();
    for (name, text) in all.iter().filter(|(name, _)| name != "lib.rs") {
        let here = floor(name).unwrap_or_else(|| panic!("{name} is on no floor"));
        for import in imports(text) {
            let modules: Vec<&str> = match import.strip_prefix('{') {
                Some(several) => several.split('}').next().unwrap_or_default().split(',').collect(),
                None => vec![&import],
            };
            for module in modules {
                match floor(module.trim()) {
                    Some(there) if there <= here || (here == 0 && is_sys_type(module)) => {}
                    _ => back.push(format!("{name} uses crate::{}", module.trim())),
                }
            }
        }
    }
    back
}

/// An error is made from an errno, whose texts come from sys.
fn is_sys_type(import: &str) -> bool {
    import.starts_with("sys::Errno") || import.starts_with("sys::errno")
}

#[test]
fn no_floor_uses_one_above_it() {
    assert_eq!(arrows_back(&all()), Vec::<String>::new());
}

#[test]
fn an_arrow_back_is_found() {
    let upstairs = ("lock/line.rs".to_owned(), "use crate::journal::Snapshot;\n".to_owned());
    assert_eq!(arrows_back(&[upstairs]).len(), 1);
    let several = ("sys/fs.rs".to_owned(), "use crate::{error, lock};\n".to_owned());
    assert_eq!(arrows_back(&[several]).len(), 1);
}

/// A function begins where a line has `fn`, and ends with the first brace in the column where that line begins.
fn functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let is_function = code.split("fn ").next().is_some_and(|before| {
            let words = [
                "",
                "pub ",
                "pub(crate) ",
                "pub(super) ",
                "unsafe ",
                "const ",
                "extern \"C\" ",
            ];
            code.contains("fn ")
                && before
                    .split_inclusive(' ')
                    .all(|word| words.contains(&word) || word == "\"C\" " || word == "extern ")
        });
        if is_function && !code.starts_with("//") {
            let end = format!("{}}}", &line[..line.len() - code.len()]);
            let length = lines[at..]
                .iter()
                .position(|line| *line == end)
                .map_or(1, |end| end + 1);
            found.push((code.to_owned(), length));
        }
    }
    found
}

#[test]
fn every_file_holds_one_idea_and_every_function_fits_a_screen() {
    let mut long = Vec::new();
    for (name, text) in all() {
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            long.push(format!("{name}: {lines} lines"));
        }
        let functions = functions(text.split("#[cfg(test)]").next().unwrap_or_default());
        let longest = functions.into_iter().filter(|(_, length)| *length > LONGEST_FUNCTION);
        long.extend(longest.map(|(function, length)| format!("{name}: {function} … {length} lines")));
    }
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn a_long_function_is_found() {
    let body = "        step();\n".repeat(50);
    let text = format!("impl X {{\n    pub(crate) fn long(&self) {{\n{body}    }}\n}}\n");
    assert_eq!(functions(&text), [("pub(crate) fn long(&self) {".to_owned(), 52)]);
}

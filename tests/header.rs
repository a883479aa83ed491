//! The committed C header is what cbindgen generates from the sources today. `BLESS=1` rewrites it.

use std::path::Path;

/// The order in the header: types and constants, then the functions in the order in which a program calls them.
const SOURCES: [&str; 4] = [
    "src/abi.rs",
    "src/capi/handle.rs",
    "src/capi/lock.rs",
    "src/capi/journal.rs",
];

const INTRODUCTION: &str = include_str!("header-introduction.h");

fn generate(root: &Path) -> String {
    let mut config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml is a configuration");
    config.header = Some(INTRODUCTION.trim_end().to_owned());
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in SOURCES {
        builder = builder.with_src(root.join(source));
    }
    let bindings = builder
        .with_src(root.join("src/capi/guard.rs"))
        .generate()
        .expect("cbindgen reads the sources");
    let mut header = Vec::new();
    bindings.write(&mut header);
    for_c(&String::from_utf8(header).expect("a header is UTF-8"))
}

/// Drops what is meant for Rust readers only. A comment of one line goes onto one line, in a form that C90 knows. A
/// constant is unsigned if it is in Rust, and a negative one is put in parentheses.
fn for_c(header: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut in_safety = false;
    for line in header.lines() {
        if line.trim() == "* # Safety" {
            in_safety = true;
            while lines.last().is_some_and(|last: &String| last.trim() == "*") {
                lines.pop();
            }
        }
        in_safety &= line.trim() != "*/";
        if !in_safety {
            lines.push(constant(comment(line.trim_end().replace('`', ""))));
        }
        match lines.as_slice() {
            [.., opening, text, closing] if (opening.trim(), closing.trim()) == ("/**", "*/") => {
                let one = text.replacen("* ", "/** ", 1) + " */";
                let one = one.replacen(" /**", "/**", 1);
                lines.truncate(lines.len() - 3);
                lines.push(one);
            }
            _ => {}
        }
    }
    lines.join("\n") + "\n"
}

fn comment(line: String) -> String {
    match line.split_once("//") {
        Some((code, said)) if code.starts_with('#') => format!("{} /*{said} */", code.trim_end()),
        _ => line,
    }
}

fn constant(line: String) -> String {
    let Some((name, value)) = line.strip_prefix("#define ").and_then(|rest| rest.split_once(' ')) else {
        return line;
    };
    if value.starts_with('-') {
        return format!("#define {name} ({value})");
    }
    match include_str!("../src/abi.rs").contains(&format!("pub const {name}: u32")) {
        true => format!("#define {name} {value}u"),
        false => line,
    }
}

#[test]
fn the_committed_header_is_what_the_sources_say() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let path = root.join("include/jlock.h");
    let made = generate(root);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &made).expect("include/jlock.h can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        made == committed,
        "include/jlock.h is out of date: BLESS=1 cargo test --test header"
    );
}

//! Every function of `jlock.h` has a manual page that says what the header says.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::tools::{Scratch, make, root, run, text, tool};

fn page(name: &str) -> String {
    fs::read_to_string(root().join("man").join(name)).unwrap_or_else(|error| panic!("man/{name}: {error}"))
}

/// The pages that are not links, by name.
fn pages() -> BTreeMap<String, String> {
    let entries = fs::read_dir(root().join("man")).expect("man");
    let names = entries.map(|entry| entry.expect("man").file_name().into_string().expect("ASCII"));
    let pages = names.map(|name| (name.clone(), page(&name)));
    pages.filter(|(_, text)| !text.starts_with(".so ")).collect()
}

/// The header without its comments.
fn header() -> String {
    let text = text(
        tool("gcc")
            .args(["-E", "-P", "-fpreprocessed", "-x", "c"])
            .arg(root().join("include/jlock.h")),
    );
    text.split("extern \"C\" {").nth(1).map_or(text.clone(), str::to_owned)
}

/// The text without the white space that C does not need.
fn bare(c: &str) -> String {
    let mut bare = c.split_whitespace().collect::<Vec<_>>().join(" ");
    for (long, short) in [("( ", "("), (" )", ")"), ("* ", "*"), (" (", "("), (" ;", ";")] {
        bare = bare.replace(long, short);
    }
    bare
}

/// The header's prototypes, by function name.
fn prototypes() -> BTreeMap<String, String> {
    let header = header();
    let statements = header
        .split(';')
        .map(|statement| statement.rsplit('#').next().expect("one at least"));
    let functions = statements.filter(|statement| statement.contains("jlock_") && statement.contains('('));
    functions
        .map(|statement| {
            let prototype = bare(statement.trim_start_matches("endif"));
            let head = prototype.split('(').next().expect("one at least");
            let name = head.rsplit([' ', '*']).next().expect("one at least").to_owned();
            (name, prototype)
        })
        .collect()
}

/// The arguments of a macro: words, or text between double quotes.
fn arguments(line: &str) -> Vec<String> {
    let mut quoted = false;
    let mut arguments = vec![String::new()];
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            ' ' if !quoted => arguments.push(String::new()),
            _ => arguments.last_mut().expect("one at least").push(letter),
        }
    }
    arguments
}

/// The prototypes in a page's synopsis.
fn synopsis(page: &str) -> Vec<String> {
    let synopsis = page
        .split(".Sh SYNOPSIS\n")
        .nth(1)
        .and_then(|rest| rest.split(".Sh ").next());
    let (mut found, mut returned, mut open) = (Vec::new(), String::new(), Vec::new());
    for line in synopsis.expect("a synopsis").lines() {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut arguments = arguments(rest);
        match name {
            ".Ft" => returned = arguments.remove(0),
            ".Fn" => found.push((returned.clone(), arguments)),
            ".Fo" | ".Fa" => open.append(&mut arguments),
            ".Fc" => found.push((returned.clone(), std::mem::take(&mut open))),
            _ => {}
        }
    }
    let prototype =
        |(returned, words): (String, Vec<String>)| bare(&format!("{returned} {}({})", words[0], words[1..].join(", ")));
    found.into_iter().map(prototype).collect()
}

/// The contents of a page's literal blocks, as printed.
fn literal_blocks(text: &str) -> Vec<String> {
    let blocks = text.split(".Bd -literal").skip(1);
    let contents = blocks.map(|block| {
        block
            .split_once('\n')
            .expect("a line")
            .1
            .split(".Ed")
            .next()
            .expect("an end")
    });
    contents
        .map(|content| content.replace("\\-", "-").replace("\\e", "\\"))
        .collect()
}

#[test]
fn every_function_has_a_page_with_its_prototype() {
    let prototypes = prototypes();
    assert!(prototypes.len() > 20, "{prototypes:?}");
    for (function, prototype) in &prototypes {
        let mut text = page(&format!("{function}.3"));
        if let Some(target) = text.strip_prefix(".so man3/") {
            text = page(target.trim_end());
        }
        assert!(
            synopsis(&text).contains(prototype),
            "{prototype}: {:?}",
            synopsis(&text)
        );
        let named = text
            .lines()
            .any(|line| line.trim_end_matches(" ,") == format!(".Nm {function}"));
        assert!(named, "{function}: not one of the page's names");
    }
}

#[test]
fn no_page_is_for_a_function_that_does_not_exist() {
    let prototypes = prototypes();
    for entry in fs::read_dir(root().join("man")).expect("man") {
        let name = entry.expect("man").file_name().into_string().expect("ASCII");
        let function = name.trim_end_matches(".3");
        assert!(
            ["jlock.1", "jlock"].contains(&function) || prototypes.contains_key(function),
            "{name}"
        );
    }
    for (name, text) in pages() {
        for prototype in synopsis(&text) {
            assert!(
                prototypes.values().any(|known| *known == prototype),
                "{name}: {prototype}"
            );
        }
    }
}

#[test]
fn every_constant_is_explained_in_some_page() {
    let header = fs::read_to_string(root().join("include/jlock.h")).expect("the header");
    let constants = header
        .lines()
        .filter_map(|line| line.strip_prefix("#define JLOCK_")?.split_once(' '));
    let pages: String = pages().into_values().collect();
    let words: Vec<&str> = pages
        .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .collect();
    for (name, _) in constants {
        assert!(words.contains(&format!("JLOCK_{name}").as_str()), "JLOCK_{name}");
    }
}

#[test]
fn the_pages_show_the_structs_as_they_are() {
    let all = text(
        tool("gcc")
            .args(["-E", "-P", "-fpreprocessed", "-x", "c"])
            .arg(root().join("include/jlock.h")),
    );
    let all = bare(&all);
    for name in ["jlock_options", "jlock_holder", "jlock_place", "jlock_entry"] {
        let from = all
            .find(&format!("struct {name} {{"))
            .unwrap_or_else(|| panic!("{name}"));
        let whole = &all[from..from + all[from..].find('}').expect("it ends")];
        let blocks: Vec<String> = pages().values().flat_map(|page| literal_blocks(page)).collect();
        assert!(blocks.iter().any(|block| bare(block).starts_with(whole)), "{whole}");
    }
}

#[test]
fn every_page_has_the_sections_of_its_kind() {
    for (name, text) in pages() {
        let sections: &[&str] = match name.as_str() {
            "jlock.1" => &["ENVIRONMENT", "FILES", "EXIT STATUS", "CAVEATS"],
            "jlock_version.3" => &["RETURN VALUES"],
            _ => &["RETURN VALUES", "ERRORS", "CAVEATS"],
        };
        let common = ["NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "SEE ALSO"];
        for section in common.iter().chain(sections) {
            assert!(text.contains(&format!("\n.Sh {section}\n")), "{name}: {section}");
        }
    }
}

#[test]
fn the_examples_compile() {
    let mut compiled = 0;
    for (name, text) in pages().iter().filter(|(name, _)| name.ends_with(".3")) {
        let examples = text
            .split(".Sh EXAMPLES\n")
            .nth(1)
            .and_then(|rest| rest.split("\n.Sh ").next());
        for example in literal_blocks(examples.expect("examples")) {
            let scratch = Scratch::new("example");
            let source = scratch.write("example.c", &example);
            let strict = [
                "-std=c99",
                "-Wall",
                "-Wextra",
                "-Wpedantic",
                "-Werror",
                "-Iinclude",
                "-fsyntax-only",
            ];
            println!("{name}");
            run(tool("gcc").args(strict).arg(source).current_dir(root()));
            compiled += 1;
        }
    }
    assert!(compiled >= 10, "{compiled}");
}

#[test]
fn mandoc_has_no_complaints() {
    for name in pages().keys() {
        let output = tool("mandoc")
            .args(["-Tlint", name])
            .current_dir(root().join("man"))
            .output();
        let output = output.expect("mandoc is needed: install it");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.is_empty() && !output.stderr.starts_with(b"mandoc: see"), "{said}");
        // What it writes to standard error is about the other manuals that are installed here.
    }
}

#[test]
fn man_has_no_warnings() {
    for name in pages().keys() {
        let mut man = tool("man");
        let page = Path::new("man").join(name);
        man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"]).arg(page);
        let output = man
            .env("MANWIDTH", "80")
            .env("LC_ALL", "C.UTF-8")
            .current_dir(root())
            .output();
        let output = output.expect("man is needed: install man-db");
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{name}: {output:?}"
        );
    }
}

#[test]
fn what_is_installed_is_found_and_what_is_uninstalled_is_gone() {
    let scratch = Scratch::new("install");
    let install = |target: &str| {
        let dir = |name| scratch.path().join(name).display().to_string();
        run(make()
            .current_dir(root())
            .args(["-f", "mk/library.mk", "-f", "mk/cli.mk", target, "prefix=/usr"])
            .args([format!("DESTDIR={}", dir("root")), format!("DIST={}", dir("dist"))]));
    };
    let usr = scratch.path().join("root/usr");
    install("install");
    let version = text(tool(usr.join("bin/jlock")).arg("--version"));
    assert_eq!(version, format!("jlock {}\n", env!("CARGO_PKG_VERSION")));
    for name in ["3 jlock_try_acquire", "1 jlock", "3 jlock_snapshot_free"] {
        let mut man = tool("man");
        man.arg("-M").arg(usr.join("share/man")).args(name.split(' '));
        assert!(text(man.env("LC_ALL", "C.UTF-8")).contains("SYNOPSIS"), "{name}");
    }
    assert!(usr.join("share/bash-completion/completions/jlock").is_file());
    assert!(usr.join("share/zsh/site-functions/_jlock").is_file());

    install("uninstall");
    let left = text(tool("find").arg(&usr).args(["!", "-type", "d"]));
    assert_eq!(left, "");
}

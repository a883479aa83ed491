//! The C interface is what `include/jlock.h` says: to a C compiler, to a C++ compiler, in the Rust code that implements
//! it, and in the files that are installed.

mod interface;
mod tools;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use interface::Interface;
use tools::{Scratch, library, make, root, run, text, tool};

const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

fn include() -> String {
    format!("-I{}", root().join("include").display())
}

/// Compiles one file and throws the result away.
fn check(compiler: &str, standard: &str, language: &str, source: &Path) {
    run(tool(compiler)
        .args(STRICT)
        .args([standard, "-fsyntax-only", "-x", language])
        .arg(include())
        .arg(source));
}

// ------------------------------------------------------------------------------------------------------- the header

fn check_header_alone(compiler: &str, standard: &str, language: &str) {
    let scratch = Scratch::new("header");
    let source = scratch.write("alone", "#include <jlock.h>\n");
    check(compiler, standard, language, &source);
}

#[test]
fn the_header_alone_is_c90_with_the_types_of_c99_to_gcc() {
    check_header_alone("gcc", "-std=c90", "c");
}

#[test]
fn the_header_alone_is_c99_to_gcc() {
    check_header_alone("gcc", "-std=c99", "c");
}

#[test]
fn the_header_alone_is_c99_to_clang() {
    check_header_alone("clang", "-std=c99", "c");
}

#[test]
fn the_header_alone_is_cpp11_to_gpp() {
    check_header_alone("g++", "-std=c++11", "c++");
}

#[test]
fn the_header_alone_is_cpp11_to_clang() {
    check_header_alone("clang++", "-std=c++11", "c++");
}

#[test]
fn the_header_keeps_the_published_contract() {
    let contract = root().join("tests/abi/contract.c");
    check("gcc", "-std=c11", "c", &contract);
    check("clang", "-std=c11", "c", &contract);
}

// ------------------------------------------------------------------------------------------- the header and the Rust

#[test]
fn the_prototypes_are_those_of_the_rust_functions() {
    let scratch = Scratch::new("prototypes");
    let source = scratch.write("prototypes.c", &Interface::read().as_c_prototypes());
    check("gcc", "-std=c99", "c", &source);
}

fn rustc_host() -> String {
    let version = text(tool("rustc").arg("-vV"));
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc -vV names its host").to_owned()
}

#[test]
fn types_constants_and_addresses_are_the_same_in_c_and_rust() {
    let scratch = Scratch::new("ctest");
    let mirror = scratch.write("mirror.rs", &Interface::read().as_rust_imports());
    let mut generator = ctest::TestGenerator::new();
    generator
        .header("jlock.h")
        .target(&rustc_host())
        .out_dir(scratch.path())
        .type_name(|name, _, _| match name {
            "f64" => "double".to_owned(),
            _ if name.starts_with("jlock") => format!("struct {name}"),
            _ => name.to_owned(),
        });
    generator.generate_files(&mirror, "checks.rs");

    let object = scratch.path().join("checks.o");
    run(tool("gcc")
        .args(["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-c", "-o"])
        .arg(&object)
        .arg(include())
        .arg(scratch.path().join("checks.c")));
    let program = scratch.write(
        "program.rs",
        "mod libc { pub use std::ffi::*; }\ninclude!(\"mirror.rs\");\ninclude!(\"checks.rs\");\n",
    );
    let binary = scratch.path().join("program");
    let shared = library("libjlock.so");
    run(tool("rustc")
        .args(["--edition=2021", "-Awarnings", "-o"])
        .arg(&binary)
        .arg(&program)
        .args([&object, &shared].map(|file| format!("-Clink-arg={}", file.display()))));
    let checked = tool(&binary).env("LD_LIBRARY_PATH", library("")).output();
    let said = String::from_utf8(checked.expect("it runs").stderr).expect("it is text");
    let passed = said
        .lines()
        .find_map(|line| line.strip_prefix("PASSED ")?.strip_suffix(" tests"));
    let count: usize = passed.unwrap_or_else(|| panic!("{said}")).parse().expect("a count");
    assert!(count > 100, "{said}");
}

// ------------------------------------------------------------------------------------------------------ the baseline

/// What `make test-abi` prints about the types and functions of a header, and whether they match libjlock.abi.
fn compared_with_baseline(header: &str) -> (bool, String) {
    let scratch = Scratch::new("baseline");
    scratch.write("jlock.h", header);
    let directory = |name: &str| format!("{name}={}", scratch.path().display());
    let output = make()
        .current_dir(root())
        .args(["-f", "mk/library.mk", "-f", "mk/abi.mk", "abi-types"])
        .args(["ABI", "INCLUDE"].map(directory))
        .output()
        .expect("make can be run");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn header() -> String {
    std::fs::read_to_string(root().join("include/jlock.h")).expect("include/jlock.h")
}

#[test]
fn the_header_has_the_interface_of_the_baseline() {
    let (same, said) = compared_with_baseline(&header());
    assert!(same, "{said}");
}

#[test]
fn the_baseline_sees_what_would_break_programs() {
    let header = header();
    let breakages = [
        (
            "a field that moves",
            "uint32_t flags;",
            "uint64_t before; uint32_t flags;",
            "flags",
        ),
        (
            "a field that widens",
            "int32_t timeout_ms;",
            "int64_t timeout_ms;",
            "timeout_ms",
        ),
        (
            "a struct that grows",
            "int64_t age_ms;",
            "int64_t age_ms; int64_t more;",
            "jlock_holder",
        ),
        (
            "a function that is removed",
            "int jlock_cancel(struct jlock *lock);",
            "",
            "jlock_cancel",
        ),
        (
            "an additional parameter",
            "jlock_cancel(struct jlock *lock)",
            "jlock_cancel(struct jlock *lock, int why)",
            "jlock_cancel",
        ),
        (
            "another return type",
            "uint32_t jlock_version(void)",
            "uint64_t jlock_version(void)",
            "jlock_version",
        ),
    ];
    for (what, from, to, named) in breakages {
        assert!(header.contains(from), "{what}: the header has no {from}");
        let (same, said) = compared_with_baseline(&header.replacen(from, to, 1));
        assert!(!same, "{what}: the difference was not noticed");
        assert!(
            said.contains(named) && said.contains("make abi-baseline"),
            "{what}: {said}"
        );
    }
}

// ------------------------------------------------------------------------------------------------- the crate for Rust

/// A Rust program that depends on the crate must not export the C interface to its own users.
#[test]
fn a_rust_program_exports_nothing_of_the_c_interface() {
    let scratch = Scratch::new("rust");
    let manifest = format!(
        "[package]\nname = \"program\"\nedition = \"2024\"\n[lib]\nname = \"program\"\npath = \"program.rs\"\n\
         crate-type = [\"cdylib\"]\n[dependencies]\njlock = {{ path = {:?} }}\n[workspace]\n",
        root()
    );
    scratch.write("Cargo.toml", &manifest);
    scratch.write(
        "program.rs",
        "#[unsafe(no_mangle)]\npub extern \"C\" fn program() -> bool { jlock::Lock::open(\".\").is_ok() }\n",
    );
    std::fs::copy(root().join("Cargo.lock"), scratch.path().join("Cargo.lock")).expect("a lock file"); // nothing is fetched
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("program"); // kept: the dependencies are compiled once
    run(tool(env!("CARGO"))
        .current_dir(scratch.path())
        .args(["build", "--offline", "--target-dir"])
        .arg(&target)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET"));
    let exported = symbols(&["--dynamic"], &target.join("debug/libprogram.so"));
    assert!(exported.contains("program"), "{exported:?}");
    assert_eq!(of_this_library(exported), BTreeSet::new());
}

#[test]
fn the_crate_offers_no_features() {
    let metadata = text(tool(env!("CARGO")).current_dir(root()).args([
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version=1",
        "--manifest-path=Cargo.toml",
    ]));
    let crate_ = metadata
        .split(r#"{"name":"jlock","version""#)
        .nth(1)
        .expect("the crate");
    let features = crate_.split(r#""features":{"#).nth(1).expect("its features"); // a dependency's are an array
    assert!(features.starts_with('}'), "{features:.80}");
}

/// Cargo looks for tests beside a package's manifest. Ours are elsewhere, so one that is not listed would never run.
#[test]
fn every_test_is_listed() {
    let manifest = std::fs::read_to_string(root().join("capi/Cargo.toml")).expect("capi/Cargo.toml");
    let entries = std::fs::read_dir(root().join("tests")).expect("tests");
    for path in entries.map(|entry| entry.expect("tests").path()) {
        let source = if path.is_dir() { path.join("main.rs") } else { path };
        let name = source
            .strip_prefix(root().join("tests"))
            .expect("below it")
            .display()
            .to_string();
        let listed = manifest.contains(&format!("path = \"../tests/{name}\""));
        assert!(listed || !source.is_file() || !name.ends_with(".rs"), "{name}");
    }
}

// ------------------------------------------------------------------------------------------------------ the symbols

/// What the preprocessor makes of the header has only function names in front of parentheses.
fn functions_of_the_header() -> BTreeSet<String> {
    let header = text(tool("gcc").args(["-E", "-P"]).arg(root().join("include/jlock.h")));
    let mut functions = BTreeSet::new();
    for (at, _) in header.match_indices('(') {
        let before = header[..at].trim_end();
        let start = before.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = &before[start.map_or(0, |start| start + 1)..];
        if name.starts_with("jlock_") {
            functions.insert(name.to_owned());
        }
    }
    assert!(functions.len() >= 25, "{functions:?}");
    functions
}

fn symbols(options: &[&str], file: &Path) -> BTreeSet<String> {
    let listed = text(
        tool("nm")
            .args(["--defined-only", "--format=just-symbols"])
            .args(options)
            .arg(file),
    );
    let is_symbol = |line: &&str| !line.is_empty() && !line.ends_with(':');
    listed.lines().filter(is_symbol).map(str::to_owned).collect()
}

fn of_this_library(symbols: BTreeSet<String>) -> BTreeSet<String> {
    symbols.into_iter().filter(|name| name.starts_with("jlock")).collect()
}

#[test]
fn the_header_declares_what_the_rust_defines() {
    let defined: BTreeSet<String> = Interface::read().function_names().collect();
    assert_eq!(functions_of_the_header(), defined);
}

#[test]
fn what_cargo_builds_exports_the_functions_of_the_header() {
    let functions = functions_of_the_header();
    assert_eq!(
        of_this_library(symbols(&["--dynamic"], &library("libjlock.so"))),
        functions,
        "libjlock.so"
    );
    assert_eq!(
        of_this_library(symbols(&["--extern-only"], &library("libjlock.a"))),
        functions,
        "libjlock.a"
    );
}

fn make_library(scratch: &Scratch, goal: &str) {
    run(make()
        .current_dir(root())
        .args(["-f", "mk/library.mk", goal, "prefix=/usr"])
        .arg(format!("DESTDIR={}", scratch.path().join("root").display()))
        .arg(format!("DIST={}", scratch.path().join("dist").display())));
}

/// What `make install` puts under a prefix.
fn installed(scratch: &Scratch) -> PathBuf {
    make_library(scratch, "install");
    scratch.path().join("root/usr")
}

#[test]
fn the_installed_library_exports_the_functions_of_the_header_and_nothing_else() {
    let scratch = Scratch::new("installed");
    let lib = installed(&scratch).join("lib");
    let functions = functions_of_the_header();

    let versioned: BTreeSet<String> = functions.iter().map(|name| format!("{name}@@JLOCK_0.1")).collect();
    let mut exported = symbols(&["--dynamic", "--with-symbol-versions"], &lib.join("libjlock.so.0"));
    exported.retain(|name| !name.starts_with("JLOCK_0.1")); // the symbol of the version itself
    assert_eq!(exported, versioned, "libjlock.so.0");
    assert_eq!(symbols(&["--extern-only"], &lib.join("jlock.o")), functions, "jlock.o");
    assert_eq!(
        symbols(&["--extern-only"], &lib.join("libjlock.a")),
        functions,
        "libjlock.a"
    );

    let dynamic = text(
        tool("readelf")
            .args(["--dynamic", "--wide"])
            .arg(lib.join("libjlock.so.0")),
    );
    assert!(dynamic.contains("Library soname: [libjlock.so.0]"), "{dynamic}");
}

//! `make install` installs everything that is needed: every example builds with it, or finds it, and runs.

mod place;
#[path = "../abi/tools.rs"]
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use place::{ARCHIVE, OBJECT, SHARED, journal, needs_the_library, pkg_config, prefix, with_library};
use tools::{Scratch, make, root, run, text, tool};

const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];
/// What the quick start writes below the header that it stamps.
const QUICK_START: &str = "src/main.c\nDELETED src/old.c\n";

#[track_caller]
fn is_quick_start(dir: &Path) {
    let journal = journal(dir);
    let (header, entries) = journal.split_once('\n').expect("a header");
    assert!(header > "# codegraph-journal v1 1700000000000", "{header}");
    assert_eq!(entries, QUICK_START);
}

/// Feeds some paths to a writer. It must acknowledge all of them, and all must be in the journal.
#[track_caller]
fn writes(scratch: &Scratch, writer: &mut Command) {
    let paths: Vec<String> = (1..=12).map(|number| format!("path/{number}")).collect();
    let stdin = scratch.write("paths", &paths.join("\n"));
    let said = text(
        writer
            .args([scratch.path().join("written").as_os_str(), "who".as_ref()])
            .stdin(fs::File::open(stdin).expect("it was written just now")),
    );
    let entries: Vec<String> = paths.iter().map(|path| format!("who/{path}")).collect();
    let acknowledged: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("ack ")).collect();
    assert_eq!(acknowledged, entries, "{said}");
    let journal = journal(&scratch.path().join("written"));
    let (_header, lines) = journal.split_once('\n').expect("a header");
    assert_eq!(lines.lines().collect::<Vec<_>>(), entries);
}

// ------------------------------------------------------------------------------------------------------- C and C++

/// Compiles one file as README says, with the options that pkg-config prints.
fn compile(scratch: &Scratch, compiler: &str, standard: &str, source: &Path, libraries: &[String]) -> PathBuf {
    let program = scratch.path().join("program");
    run(tool(compiler)
        .args(STRICT)
        .arg(standard)
        .args(pkg_config(&["--cflags"]))
        .arg("-o")
        .arg(&program)
        .arg(source)
        .args(libraries));
    program
}

fn check_examples_in_c(way: place::Way) {
    let libraries = way.libraries();
    for name in ["quickstart", "writer"] {
        let scratch = Scratch::new("c");
        let source = root().join("examples/c").join(name).with_extension("c");
        let program = compile(&scratch, "gcc", "-std=c99", &source, &libraries);
        assert_eq!(needs_the_library(&program), way.is_shared(), "{name}, {way:?}");
        let mut program = with_library(tool(&program), way);
        if name == "writer" {
            writes(&scratch, &mut program);
        } else {
            run(program.arg(scratch.path()));
            is_quick_start(scratch.path());
        }
    }
}

fn check_example_in_cpp(way: place::Way) {
    let scratch = Scratch::new("cpp");
    let source = root().join("examples/cpp/example.cpp");
    let program = compile(&scratch, "g++", "-std=c++17", &source, &way.libraries());
    assert_eq!(needs_the_library(&program), way.is_shared(), "{way:?}");
    check_what_cpp_says(text(with_library(tool(&program), way).arg(scratch.path())));
}

fn check_what_cpp_says(said: String) {
    let expected = "changed src/main.cpp\nchanged src/lock.cpp\ndeleted src/old.cpp\ndropped\nrefused: ";
    assert!(said.starts_with(expected), "{said}");
}

#[test]
fn the_examples_in_c_run_with_the_shared_library() {
    check_examples_in_c(SHARED);
}

#[test]
fn the_examples_in_c_run_with_the_archive_inside() {
    check_examples_in_c(ARCHIVE);
}

#[test]
fn the_examples_in_c_run_with_the_object_inside() {
    check_examples_in_c(OBJECT);
}

#[test]
fn the_example_in_cpp_runs_with_the_shared_library() {
    check_example_in_cpp(SHARED);
}

#[test]
fn the_example_in_cpp_runs_with_the_archive_inside() {
    check_example_in_cpp(ARCHIVE);
}

#[test]
fn the_examples_own_makefile_takes_what_is_installed() {
    let scratch = Scratch::new("makefile");
    let sources = root().join("examples/c");
    run(make()
        .current_dir(scratch.path())
        .arg("-f")
        .arg(sources.join("Makefile"))
        .arg(format!("--eval=vpath %.c {}", sources.display()))
        .env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig")));
    let program = scratch.path().join("quickstart");
    assert!(needs_the_library(&program));
    run(with_library(tool(program), SHARED).arg(scratch.path()));
    is_quick_start(scratch.path());
}

#[test]
fn cmake_finds_what_is_installed() {
    let scratch = Scratch::new("cmake");
    let build = scratch.path().join("build");
    run(tool("cmake")
        .env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig"))
        .arg("-S")
        .arg(root().join("examples/cpp"))
        .arg("-B")
        .arg(&build));
    run(tool("cmake")
        .arg("--build")
        .arg(&build)
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL"));
    let program = build.join("example");
    assert!(needs_the_library(&program));
    check_what_cpp_says(text(
        with_library(tool(program), SHARED).arg(scratch.path().join("journal")),
    ));
}

/// The claims of tests/c/contained.c, which provoke a panic in the library, in a program without any shared library.
#[test]
fn a_panic_is_contained_in_a_static_program() {
    for compiler in ["gcc", "clang"] {
        let scratch = Scratch::new("static");
        let program = scratch.path().join("contained");
        let sources = ["contained.c", "claim.c"].map(|source| root().join("tests/c").join(source));
        run(tool(compiler)
            .args(["-static", "-std=c11", "-pthread"])
            .args(["memchr", "malloc", "calloc", "realloc", "posix_memalign"].map(|name| format!("-Wl,--wrap={name}")))
            .args(pkg_config(&["--cflags"]))
            .arg("-o")
            .arg(&program)
            .args(sources)
            .args(pkg_config(&["--libs", "--static"])));
        assert!(is_static(&program), "{compiler}");
        run(tool(program)
            .arg("a_panic_is_silent_and_its_message_arrives")
            .arg(scratch.path()));
    }
}

fn is_static(program: &Path) -> bool {
    !text(tool("readelf").args(["--program-headers", "--wide"]).arg(program)).contains("INTERP")
}

/// A directory with one project file, for CMake or Meson, which builds a program with each of the libraries.
fn project(scratch: &Scratch, file: &str, content: &str) -> PathBuf {
    let source = scratch.path().join("project");
    fs::create_dir(&source).expect("a directory for the project");
    fs::copy(root().join("examples/c/quickstart.c"), source.join("quickstart.c")).expect("the example");
    fs::write(source.join(file), content).expect("the project's file");
    source
}

fn check_projects_programs(build: &Path) {
    for (name, way) in [
        ("with-shared", SHARED),
        ("with-archive", ARCHIVE),
        ("all-static", ARCHIVE),
    ] {
        let scratch = Scratch::new(name);
        let program = build.join(name);
        assert_eq!(needs_the_library(&program), way.is_shared(), "{name}");
        assert_eq!(is_static(&program), name == "all-static", "{name}");
        run(with_library(tool(program), way).arg(scratch.path()));
        is_quick_start(scratch.path());
    }
}

#[test]
fn cmake_has_a_target_for_each_library() {
    let scratch = Scratch::new("targets");
    let source = project(
        &scratch,
        "CMakeLists.txt",
        "cmake_minimum_required(VERSION 3.13)\nproject(user LANGUAGES C)\nset(CMAKE_C_STANDARD 99)\n\
         find_package(jlock 0.1 REQUIRED)\n\
         foreach(name with-shared with-archive all-static)\n  add_executable(${name} quickstart.c)\nendforeach()\n\
         target_link_libraries(with-shared jlock::jlock)\ntarget_link_libraries(with-archive jlock::static)\n\
         target_link_libraries(all-static jlock::static -static)\n",
    );
    let build = scratch.path().join("build");
    let cmake = || {
        let mut cmake = tool("cmake");
        cmake.env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
        cmake
    };
    run(cmake()
        .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix().display()))
        .arg("-S")
        .arg(source)
        .arg("-B")
        .arg(&build));
    run(cmake().arg("--build").arg(&build));
    check_projects_programs(&build);
}

#[test]
fn meson_finds_either_library_through_pkg_config() {
    let scratch = Scratch::new("meson");
    let source = project(
        &scratch,
        "meson.build",
        "project('user', 'c', default_options: ['c_std=c99'])\n\
         executable('with-shared', 'quickstart.c', dependencies: dependency('jlock'))\n\
         archive = dependency('jlock', static: true)\n\
         executable('with-archive', 'quickstart.c', dependencies: archive)\n\
         executable('all-static', 'quickstart.c', dependencies: archive, link_args: '-static')\n",
    );
    let build = scratch.path().join("build");
    run(tool("meson")
        .env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig"))
        .arg("setup")
        .arg(&build)
        .arg(source));
    run(tool("meson").arg("compile").arg("-C").arg(&build));
    check_projects_programs(&build);
}

/// As a subproject of another project, which then builds the library.
#[test]
fn meson_builds_it_as_a_subproject() {
    let scratch = Scratch::new("subproject");
    let source = project(
        &scratch,
        "meson.build",
        "project('user', 'c', default_options: ['c_std=c99'])\n\
         executable('user', 'quickstart.c', dependencies: dependency('jlock', fallback: 'jlock'))\n",
    );
    fs::create_dir(source.join("subprojects")).expect("a directory for subprojects");
    std::os::unix::fs::symlink(root(), source.join("subprojects/jlock")).expect("the checkout as a subproject");
    let build = scratch.path().join("build");
    run(tool("meson")
        .env("PKG_CONFIG_LIBDIR", scratch.path())
        .arg("setup")
        .arg(&build)
        .arg(source));
    run(tool("meson").arg("compile").arg("-C").arg(&build));
    let program = build.join("user");
    assert!(!needs_the_library(&program));
    run(tool(program).arg(scratch.path()));
    is_quick_start(scratch.path());
}

#[test]
fn install_says_in_two_lines_what_comes_next() {
    let scratch = Scratch::new("told");
    let prefix = scratch.path().join("prefix");
    let said = text(
        place::make_in(&scratch.path().join("dist"))
            .arg("install")
            .arg(format!("prefix={}", prefix.display())),
    );
    let lines: Vec<&str> = said.lines().collect();
    let [compile, find] = lines[..] else { panic!("{said}") };
    let path = format!("PKG_CONFIG_PATH={}/lib/pkgconfig", prefix.display());
    assert!(
        compile.contains("pkg-config --cflags --libs jlock") && compile.contains(&path),
        "{compile}"
    );
    assert!(
        find.contains(&format!("LD_LIBRARY_PATH={}/lib", prefix.display())),
        "{find}"
    );
}

#[test]
fn the_prefix_may_be_written_in_capitals() {
    let scratch = Scratch::new("capitals");
    let said = text(place::make_in(&scratch.path().join("dist")).args(["-n", "install", "PREFIX=/elsewhere"]));
    assert!(
        said.contains(" /elsewhere/bin/") && !said.contains("/usr/local"),
        "{said}"
    );
}

// ---------------------------------------------------------------------------------------------- the other languages

#[test]
fn go_finds_it_through_pkg_config() {
    let scratch = Scratch::new("go");
    for package in ["./example_quickstart", "./cmd/writer"] {
        let program = scratch.path().join("program");
        run(tool("go")
            .current_dir(root().join("examples/go"))
            .env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig"))
            .args(["build", "-tags", "jlock_pkgconfig", "-o"])
            .arg(&program)
            .arg(package));
        assert!(needs_the_library(&program), "{package}");
        let mut program = with_library(tool(program), SHARED);
        if package == "./cmd/writer" {
            writes(&scratch, &mut program);
        } else {
            assert_eq!(text(program.arg(scratch.path())), "[src/a.go] [src/b.go]\n");
        }
    }
}

/// Copies a module out of the checkout, because there it would find what was built there.
fn module(scratch: &Scratch, language: &str, files: &[&str]) -> PathBuf {
    let to = scratch.path().join(language);
    fs::create_dir(&to).expect("a directory for the module");
    let from = root().join("examples").join(language);
    run(tool("cp")
        .arg("-R")
        .args(files.iter().map(|file| from.join(file)))
        .arg(&to));
    to
}

/// By the memory map that a program printed, it has loaded the installed library.
#[track_caller]
fn loaded_what_is_installed(said: &str) {
    let library = prefix().join("lib/libjlock.so.0");
    let library = fs::canonicalize(&library).unwrap_or_else(|error| panic!("{}: {error}", library.display()));
    let paths = said.lines().filter_map(|line| line.split_whitespace().last());
    let loaded: Vec<&str> = paths.filter(|path| path.contains("libjlock")).collect();
    assert!(
        !loaded.is_empty() && loaded.iter().all(|path| Path::new(path) == library),
        "{loaded:?}"
    );
}

#[test]
fn python_finds_it_by_its_name() {
    let scratch = Scratch::new("python");
    let module = module(&scratch, "python", &["jlock", "writer.py", "quickstart.py"]);
    let python = || {
        let mut python = with_library(tool("python3"), SHARED);
        python.current_dir(&module).env("PYTHONDONTWRITEBYTECODE", "1");
        python
    };
    loaded_what_is_installed(&text(
        python().args(["-c", "import jlock; print(open('/proc/self/maps').read())"]),
    ));
    let said = text(python().arg("quickstart.py").arg(scratch.path()));
    assert_eq!(said, "src/a.py src/c.py src/d.py\n");
    writes(&scratch, python().arg("writer.py"));
}

#[test]
fn node_finds_it_by_its_name() {
    let scratch = Scratch::new("node");
    let module = module(&scratch, "node", &["package.json", "lib", "writer.mjs"]);
    let modules = root().join("examples/node/node_modules");
    assert!(modules.is_dir(), "{}: make deps installs it", modules.display());
    std::os::unix::fs::symlink(modules, module.join("node_modules")).expect("a link to what it depends on");
    let node = || {
        let mut node = with_library(tool("node"), SHARED);
        node.current_dir(&module);
        node
    };
    let maps = "import 'jlock'; import fs from 'fs'; console.log(fs.readFileSync('/proc/self/maps', 'utf8'))";
    loaded_what_is_installed(&text(node().args(["--input-type=module", "--eval", maps])));
    writes(&scratch, node().arg("writer.mjs"));
}

#[test]
fn the_command_needs_no_library() {
    let command = prefix().join("bin/jlock");
    assert!(!needs_the_library(&command));
    let scratch = Scratch::new("command");
    run(tool(&command).arg("append").arg(scratch.path()).arg("src/main.c"));
    assert_eq!(journal(scratch.path()), "# codegraph-journal v1 0\nsrc/main.c\n");
}

// ------------------------------------------------------------------------------------------------------- the linkers

#[test]
fn pkg_config_names_what_the_archive_needs_only_to_those_who_take_it() {
    let mut asked = pkg_config(&["--libs"]);
    assert_eq!(asked.pop().as_deref(), Some("-ljlock"));
    assert_eq!(asked, [format!("-L{}", prefix().join("lib").display())]);
    let told = pkg_config(&["--libs", "--static"]);
    for library in ["-lpthread", "-ldl", "-lm"] {
        assert!(told.iter().any(|word| word == library), "{library}: {told:?}");
    }
    // Every compiler adds its unwinder by itself, a static one for a static program.
    assert!(!told.iter().any(|word| word.contains("gcc")), "{told:?}");
    assert_eq!(pkg_config(&["--modversion"]), [env!("CARGO_PKG_VERSION")]);
}

/// Another library that is written in Rust.
fn stranger(scratch: &Scratch) -> PathBuf {
    let code = "#[no_mangle]\npub extern \"C\" fn stranger() -> usize { std::env::args().map(|a| a.len()).sum() }\n";
    let source = scratch.write("stranger.rs", code);
    let archive = scratch.path().join("libstranger.a");
    run(tool("rustc")
        .args(["--edition=2021", "--crate-type=staticlib", "-O", "-o"])
        .arg(&archive)
        .arg(source));
    archive
}

#[test]
fn the_archive_and_another_of_rusts_fit_whole_into_one_program() {
    let scratch = Scratch::new("whole");
    let program = "#include <jlock.h>\nextern size_t stranger(void);\n\
                   int main(void) { return stranger() == 0 || jlock_version() == 0; }\n";
    let source = scratch.write("both.c", program);
    let mut libraries = vec!["-Wl,--whole-archive".to_owned()];
    libraries.push(stranger(&scratch).display().to_string());
    for word in ARCHIVE.libraries() {
        let is_archive = word == place::ARCHIVE_WORD;
        libraries.push(word);
        if is_archive {
            libraries.push("-Wl,--no-whole-archive".to_owned());
        }
    }
    let program = compile(&scratch, "gcc", "-std=c99", &source, &libraries);
    assert!(!needs_the_library(&program));
    run(&mut tool(program));
}

#[test]
fn uninstall_removes_what_install_put_there() {
    let scratch = Scratch::new("uninstalled");
    let staged = scratch.path().join("root");
    let installed = || {
        text(tool("find").arg(&staged).args(["-not", "-type", "d"]))
            .lines()
            .count()
    };
    let do_make = |goal| {
        run(place::make_in(&scratch.path().join("dist"))
            .args([goal, "prefix=/usr"])
            .arg(format!("DESTDIR={}", staged.display())));
    };
    do_make("install");
    assert!(installed() > 10);
    do_make("uninstall");
    assert_eq!(installed(), 0);
}

#[test]
fn the_library_is_built_for_the_target_that_cargo_is_given() {
    let scratch = Scratch::new("target");
    let version = text(tool("rustc").arg("-vV"));
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    run(place::make_in(scratch.path())
        .arg("built")
        .env("CARGO_BUILD_TARGET", host.expect("rustc -vV names its host")));
    let library = scratch.path().join("libjlock.so.0");
    let exported = text(tool("readelf").args(["--dyn-syms", "--wide"]).arg(library));
    assert!(exported.contains(" jlock_open@@JLOCK_0.1"), "{exported}");
}

#[test]
fn what_is_installed_is_small() {
    let scratch = Scratch::new("sizes");
    run(place::make_in(&scratch.path().join("dist")).arg("sizes"));
}

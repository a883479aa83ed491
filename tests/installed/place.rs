//! Where the library is installed for these tests, and how programs find it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::tools::{make, root, run, text, tool};

/// `make`, with a directory of its own for what it builds.
pub fn make_in(dist: &Path) -> Command {
    let mut command = make();
    command
        .current_dir(root())
        .args(["-f", "mk/library.mk", "-f", "mk/cli.mk"])
        .arg(format!("DIST={}", dist.display()));
    command
}

/// The prefix of an installation that is made once, from scratch.
pub fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("installed");
        if let Err(error) = fs::remove_dir_all(&place) {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{}", place.display());
        }
        let prefix = place.join("prefix");
        run(make_in(&place.join("dist"))
            .arg("install")
            .arg(format!("prefix={}", prefix.display())));
        fs::remove_dir_all(place.join("dist")).expect("what was installed was made here");
        prefix
    })
}

/// What pkg-config says about the installed library, split into words.
pub fn pkg_config(options: &[&str]) -> Vec<String> {
    let said = text(
        tool("pkg-config")
            .env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig"))
            .args(options)
            .arg("jlock"),
    );
    said.split_whitespace().map(str::to_owned).collect()
}

/// How a program gets the library.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    Shared,
    Archive,
    Object,
}

pub const SHARED: Way = Way::Shared;
pub const ARCHIVE: Way = Way::Archive;
pub const OBJECT: Way = Way::Object;

/// Replaces `-ljlock`, which prefers the shared library.
pub const ARCHIVE_WORD: &str = "-l:libjlock.a";

impl Way {
    pub fn is_shared(self) -> bool {
        self == Way::Shared
    }

    /// pkg-config's options for the linker, with the word replaced that chooses the library.
    pub fn libraries(self) -> Vec<String> {
        let chosen = match self {
            Way::Shared => return pkg_config(&["--libs"]),
            Way::Archive => ARCHIVE_WORD.to_owned(),
            Way::Object => prefix().join("lib/jlock.o").display().to_string(),
        };
        let mut words = pkg_config(&["--libs", "--static"]);
        let choice = words.iter_mut().find(|word| *word == "-ljlock");
        *choice.expect("pkg-config names the library") = chosen;
        words
    }
}

/// For a program that must find the library in the prefix and nowhere else, if it looks for it at all.
pub fn with_library(mut program: Command, way: Way) -> Command {
    program.env_remove("JLOCK_LIBRARY").env_remove("LD_LIBRARY_PATH");
    if way.is_shared() {
        program.env("LD_LIBRARY_PATH", prefix().join("lib"));
    }
    program
}

/// Whether a program asks the dynamic linker for the library, by the soname that compatible versions share.
pub fn needs_the_library(program: &Path) -> bool {
    let dynamic = text(tool("readelf").args(["--dynamic", "--wide"]).arg(program));
    dynamic.contains("Shared library: [libjlock.so.0]")
}

pub fn journal(directory: &Path) -> String {
    let path = directory.join("changes.journal");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

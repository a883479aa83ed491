//! Directories for tests, which nobody else has.

use std::io::ErrorKind::AlreadyExists;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Makes one. A process number alone does not make its name unique: a run that was killed may have left one, and one in
/// another container may have the same number now.
pub fn directory_in(place: &Path, purpose: &str) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = place.join(format!("{purpose}-{}-{number}", std::process::id()));
        match std::fs::create_dir(&path) {
            Ok(()) => return path,
            Err(error) if error.kind() == AlreadyExists => {}
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
}

#[allow(dead_code)] // not every target uses it
pub fn directory(purpose: &str) -> PathBuf {
    directory_in(&std::env::temp_dir(), &format!("jlock-{purpose}"))
}

/// For a test that acts as another user, too: fails if others may not go where the tests' directories are.
#[allow(dead_code)]
pub fn is_open_to_all() {
    use std::os::unix::fs::PermissionsExt;
    let temporary = std::env::temp_dir();
    for above in temporary.ancestors() {
        let is_open = std::fs::metadata(above).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0);
        assert!(
            is_open || above.as_os_str().is_empty(),
            "other users may not search {}: set TMPDIR to a directory where they may, such as /tmp",
            above.display()
        );
    }
}

/// A copy of this program that every user may execute: they may not be let into the directory where it was built.
#[allow(dead_code)]
pub fn program_for_all(place: &Path) -> PathBuf {
    let copy = place.join("program");
    // Written by another process: a child that another thread starts meanwhile must not inherit a descriptor that writes to
    // it, since until that child executes something, nobody could execute the copy.
    let this = std::env::current_exe().expect("this test has a path");
    let made = std::process::Command::new("install")
        .args(["-m", "755"])
        .args([&this, &copy])
        .status();
    assert!(made.expect("install is needed").success());
    copy
}

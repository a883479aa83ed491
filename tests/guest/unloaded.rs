//! The library as a plugin that is unloaded while the library's own thread runs.

use std::ffi::{CStr, CString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use jlock::abi::{JLOCK_KEEPALIVE, jlock_options};

use crate::child::{child, run};
use crate::scene::{Scene, lock_of, until};

pub const PARTS: &[crate::scene::Part] = &[("unloaded", unloaded)];

/// The library that cargo built for this test, or the one that `make install` would install.
fn built() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    exe.with_file_name("libjlock.so")
}

#[test]
fn a_library_is_not_unloaded_under_its_keepalive() {
    let scene = Scene::new();
    run(child("unloaded", &scene.0).env("JLOCK_LIBRARY", built()));
}

#[test]
fn both_shared_libraries_are_linked_to_stay() {
    let makefile = concat!(env!("CARGO_MANIFEST_DIR"), "/../mk/library.mk");
    let makefile = std::fs::read_to_string(makefile).unwrap();
    let linked = makefile.split("-shared").nth(1).expect("it links a shared library");
    assert!(linked.contains("-Wl,-z,nodelete"), "what is installed");
    let dynamic = Command::new("readelf").args(["-d"]).arg(built()).output().unwrap();
    assert!(
        String::from_utf8_lossy(&dynamic.stdout).contains("NODELETE"),
        "what cargo builds"
    );
}

fn symbol(library: *mut c_void, name: &CStr) -> *mut c_void {
    // SAFETY: the library is loaded.
    let symbol = unsafe { libc::dlsym(library, name.as_ptr()) };
    assert!(!symbol.is_null(), "{name:?}");
    symbol
}

type Init = unsafe extern "C" fn(*mut jlock_options, usize);
type Open = unsafe extern "C" fn(*const c_char, *const jlock_options, usize, *mut *mut c_void) -> i32;
type Acquire = unsafe extern "C" fn(*mut c_void) -> i32;

/// Leaves a handle open whose keepalive has something to do.
fn hold(library: *mut c_void, path: &CStr) {
    // SAFETY: the functions have these types.
    unsafe {
        let init: Init = std::mem::transmute(symbol(library, c"jlock_options_init"));
        let open: Open = std::mem::transmute(symbol(library, c"jlock_open"));
        let acquire: Acquire = std::mem::transmute(symbol(library, c"jlock_acquire"));
        let mut options: jlock_options = std::mem::zeroed();
        init(&raw mut options, size_of::<jlock_options>());
        (options.flags, options.stale_ms) = (JLOCK_KEEPALIVE, 300);
        let mut lock = std::ptr::null_mut();
        let size = size_of::<jlock_options>();
        assert_eq!(open(path.as_ptr(), &raw const options, size, &raw mut lock), 0);
        assert_eq!(acquire(lock), 0);
    }
}

fn unloaded(dir: &Path) {
    let file = std::env::var("JLOCK_LIBRARY").unwrap();
    let file = CString::new(file).unwrap();
    let path = CString::new(dir.as_os_str().as_bytes()).unwrap();
    // In a thread that ends, because its thread-local variables would keep the library loaded.
    let loaded = std::thread::spawn(move || {
        // SAFETY: the string outlives the call.
        let library = unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_NOW) };
        assert!(!library.is_null(), "{file:?}");
        hold(library, &path);
        library as usize
    });
    let library = loaded.join().unwrap() as *mut c_void;
    // SAFETY: it was loaded once.
    assert_eq!(unsafe { libc::dlclose(library) }, 0);
    let sign = || std::fs::metadata(lock_of(dir)).unwrap().modified().unwrap();
    for _ in 0..2 {
        let last = sign();
        until("the keepalive goes on", || sign() > last);
    }
    // SAFETY: the child exits at once. It runs the fork handlers that the library has set.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: in a forked child.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: the status has room.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0);
}

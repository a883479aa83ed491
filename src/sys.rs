//! Every system call that the library makes, each as one small function. No other file names `rustix` or `libc`.
//!
//! | what | file |
//! | --- | --- |
//! | names in a directory | `fs.rs`, `mount.rs` |
//! | what is in a file and beside it | `io.rs`, `meta.rs`, `owner.rs`, `flock.rs` |
//! | waiting | `watch.rs`, `time.rs`, `thread.rs` |
//! | descriptors, this process and others | `fd.rs`, `table.rs`, `fork.rs`, `process.rs` |
//! | the rest | `random.rs`, `memory.rs`, `capacity.rs`, `errno.rs` |
//!
//! There is one seam: [`seam`] runs before and after each call, so that a test can step, fail or end a peer at each of them.
//! Without the feature `seam` it is empty.
//!
//! Every descriptor is an [`Fd`], which makes sure that its number still is its file before anything that cannot be
//! undone, and is known to the fork handler in [`fork`]: a forked child closes its copies at once, so that it keeps no
//! lock alive (`flock` belongs to the open file, and the child shares it).

pub(crate) mod capacity;
pub(crate) mod errno;
mod fd;
mod flock;
pub(crate) mod fork;
mod fs;
mod io;
mod limit;
mod memory;
mod meta;
mod mount;
mod number;
pub(crate) mod owner;
mod per_process;
pub(crate) mod process;
mod random;
#[cfg(feature = "seam")]
pub mod seam;
mod table;
pub(crate) mod thread;
mod time;
mod watch;

pub(crate) use fd::Fd;
pub(crate) use flock::{
    Lease, flock_exclusive, flock_shared, is_locked_against_reading, means_no_flock, read_lease, unlock,
};
pub(crate) use fs::{
    Open, Rename, born, borrow_raw, fstat_anew, link, link_between, list_some, means_no_link, means_no_rename_flag,
    mkdir, mkdir_at, open, open_dir, open_dir_from, open_proc, open_subdir, rename, rmdir_at, root_id, stat, stat_anew,
    stat_path, unlink,
};
pub(crate) use io::{
    append, chmod, forget_cached, fstat, go_on_appending, read_at, read_behind, read_once, set_accessed, set_modified,
    stop_appending, sync_data, sync_dir, touch, touch_modified, truncate, write_at,
};
pub(crate) use memory::{expect_much, find_byte, find_byte_or_nul};
pub(crate) use meta::{Accessed, FileId, FileKind, Meta};
pub(crate) use mount::{Mounted, fs_name, is_local, mounted};
pub(crate) use number::decimal;
pub(crate) use per_process::PerProcess;
pub(crate) use process::process_domain;
pub(crate) use random::random_u64;
pub(crate) use rustix::io::Errno;
pub(crate) use time::{boot_ms, monotonic, realtime_ms, sleep_until};
pub(crate) use watch::{
    Watched, drain, epoll, epoll_add, epoll_remove, eventfd, inotify, poll, set_timer, timerfd, unwatch, wake, watch,
};

pub(crate) type Result<T> = std::result::Result<T, Errno>;

#[cfg(feature = "seam")]
use seam::{around, written};

#[cfg(not(feature = "seam"))]
#[inline(always)]
fn around<T>(call: &'static str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    errno::noting_refusal(call, run())
}

#[cfg(not(feature = "seam"))]
#[inline(always)]
fn written(_file: std::os::fd::BorrowedFd<'_>) -> Result<()> {
    Ok(())
}

/// Calls again while a signal interrupts; not forever: a sandbox may refuse a call with `EINTR`, and a timer of the
/// program's interrupt one each time before it gets done.
fn uninterrupted<T>(call: &'static str, mut run: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 1..TRIES {
        match around(call, &mut run) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
    around(call, run)
}

const TRIES: u32 = 1024;

#[cfg(test)]
pub(crate) mod tests {
    use std::ffi::CString;
    use std::io::Write;
    use std::os::unix::ffi::OsStrExt;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Says what a test cannot try here, past the test harness, which swallows what a test prints that passes.
    pub(super) fn not_tried(why: &str) {
        std::io::stderr()
            .write_all(format!("not tried: {why}\n").as_bytes())
            .unwrap();
    }

    pub(super) fn is_open(number: i32) -> bool {
        // SAFETY: a command without an argument.
        unsafe { libc::fcntl(number, libc::F_GETFD) != -1 }
    }

    /// A test's own directory.
    pub(crate) struct Scratch {
        pub(crate) dir: Fd,
        pub(crate) path: PathBuf,
    }

    impl Scratch {
        pub(crate) fn new() -> Scratch {
            static MADE: AtomicU32 = AtomicU32::new(0);
            // A run that was killed, or one in another container, may have left or made one with this process's number.
            let path = loop {
                let number = MADE.fetch_add(1, Ordering::Relaxed);
                let path = std::env::temp_dir().join(format!("jlock-sys-{}-{number}", std::process::id()));
                match std::fs::create_dir(&path) {
                    Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                    made => break made.map(|()| path).unwrap(),
                }
            };
            let name = CString::new(path.as_os_str().as_bytes()).unwrap();
            let dir = open_dir(&name).unwrap();
            Scratch { dir, path }
        }

        pub(super) fn path(&self, name: &str) -> PathBuf {
            self.path.join(name)
        }

        pub(super) fn path_of(&self, name: &str) -> CString {
            CString::new(self.path.join(name).into_os_string().into_encoded_bytes()).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.path).unwrap();
        }
    }

    /// Runs `run` in a forked child, which has none of the other threads. Whether it came to its end, and did not panic. What it
    /// has is not dropped here.
    pub(crate) fn ends_in_a_child(run: impl FnOnce()) -> bool {
        const PATIENCE: u32 = 10; // seconds, after which a child that waits is ended
        // SAFETY: the child does what a test has it do, and returns to no other test.
        unsafe {
            match libc::fork() {
                0 => {
                    libc::alarm(PATIENCE);
                    // A panic that unwound further would end the child's only thread, and the child with 0.
                    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
                    libc::_exit(i32::from(ended.is_err()))
                }
                child => {
                    std::mem::forget(run);
                    let mut status = -1;
                    assert_eq!(libc::waitpid(child, &mut status, 0), child);
                    status == 0
                }
            }
        }
    }

    #[test]
    fn a_child_that_panics_does_not_come_to_its_end() {
        assert!(ends_in_a_child(|| {}));
        assert!(!ends_in_a_child(|| panic!("as an assertion that fails")));
    }

    #[test]
    fn a_call_that_is_interrupted_is_made_again_but_not_forever() {
        let mut made = 0;
        let mut interrupted = |times| {
            made = 0;
            let result = uninterrupted("read", || {
                made += 1;
                if made <= times { Err(Errno::INTR) } else { Ok(()) }
            });
            (result, made)
        };
        assert_eq!(interrupted(2), (Ok(()), 3));
        assert_eq!(interrupted(TRIES - 1), (Ok(()), TRIES));
        assert_eq!(interrupted(u32::MAX), (Err(Errno::INTR), TRIES));
    }
}

//! Who this process is, and whether another one lives.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::sync::{Arc, RwLock};

use super::fork::Generation;
use super::{Errno, around, open_proc, read_once};

/// What a stamp says about its process. Unknown parts are empty or 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub pid: i32,
    pub boot: String,
    pub pid_namespace: u64,
    /// In clock ticks since boot.
    pub start: u64,
    pub host: String,
    /// In which the start time counts.
    pub time_namespace: u64,
}

impl Identity {
    /// This process's; read once, and again after a fork.
    pub(crate) fn current() -> Arc<Identity> {
        static KNOWN: RwLock<Option<(Generation, Arc<Identity>)>> = RwLock::new(None);
        let now = Generation::current();
        // Never waits: a thread that fork left behind may have it locked. Threads that only look do not disturb each
        // other.
        if let Ok(known) = KNOWN.try_read() {
            match &*known {
                Some((then, identity)) if *then == now => return Arc::clone(identity),
                _ => {}
            }
        }
        let identity = Arc::new(Identity::read());
        // What could not be read, because no descriptor was left, say, is asked for again the next time.
        if identity.is_complete() {
            if let Ok(mut known) = KNOWN.try_write() {
                *known = Some((now, Arc::clone(&identity)));
            }
        }
        identity
    }

    fn is_complete(&self) -> bool {
        !self.boot.is_empty() && self.pid_namespace != 0 && self.start != 0
    }

    fn read() -> Identity {
        Identity {
            pid: rustix::process::getpid().as_raw_nonzero().get(),
            boot: proc_file(c"/proc/sys/kernel/random/boot_id").unwrap_or_default(),
            pid_namespace: namespace(c"/proc/self/ns/pid").unwrap_or(0),
            start: start_time(c"/proc/self/stat").unwrap_or(0),
            host: host(),
            time_namespace: namespace(c"/proc/self/ns/time").unwrap_or(0),
        }
    }
}

/// Which of the processes that a test simulates in this one the thread belongs to; 0 without the seam. What the library
/// shares among the handles of a process, it shares among those of one domain.
pub(crate) fn process_domain() -> u64 {
    #[cfg(feature = "seam")]
    return super::seam::process();
    #[cfg(not(feature = "seam"))]
    0
}

/// The host's name, without what would break the stamp's line.
fn host() -> String {
    let mut uname = MaybeUninit::<libc::utsname>::zeroed();
    // By the C library: `rustix` takes this call for one that cannot be refused, as a sandbox may do.
    // SAFETY: all zero is a value, and the name ends within it. Where the call is refused, it is empty.
    let name = unsafe {
        libc::uname(uname.as_mut_ptr());
        CStr::from_ptr(uname.assume_init_ref().nodename.as_ptr())
    };
    let name = name.to_string_lossy();
    name.chars().filter(|c| c.is_ascii_graphic()).take(63).collect()
}

/// The first bytes of a small file beneath /proc, without the newline. `None` where there is no /proc: the
/// stamp's third line then says less, and nothing else changes.
pub(super) fn proc_file(path: &CStr) -> Option<String> {
    let mut buf = [MaybeUninit::uninit(); 1024];
    let bytes = read_once(&open_proc(path).ok()?, &mut buf).ok()?;
    Some(String::from_utf8_lossy(bytes).trim_end().to_owned())
}

fn namespace(path: &CStr) -> Option<u64> {
    let cwd = rustix::fs::CWD; // the path is absolute
    let stat = rustix::fs::statat(cwd, path, rustix::fs::AtFlags::empty()).ok()?;
    Some(stat.st_ino)
}

/// The user whose rights this process has now.
pub(crate) fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// When a process began: field 22 of /proc/PID/stat, counted after the name, which may contain anything.
fn start_time(stat_file: &CStr) -> Option<u64> {
    let stat = proc_file(stat_file)?;
    let after_name = &stat[stat.rfind(')')? + 1..];
    after_name.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// When another process of this PID namespace began; `None`: unknown.
pub(crate) fn start_time_of(pid: i32) -> Option<u64> {
    let path = std::ffi::CString::new(format!("/proc/{pid}/stat")).ok()?;
    start_time(&path)
}

/// Whether a process with this PID lives in this PID namespace. It is found out as a shipped peer does it: a process that we
/// may not signal lives.
///
/// Numbers that do not name a single process never reach `kill`.
pub(crate) fn is_alive(pid: i32) -> bool {
    const PID_MAX_LIMIT: i32 = 4 * 1024 * 1024; // linux/threads.h
    let Some(number) = rustix::process::Pid::from_raw(pid) else {
        return false;
    };
    if !(1..=PID_MAX_LIMIT).contains(&pid) {
        return false;
    }
    around("kill", || rustix::process::test_kill_process(number)) != Err(Errno::SRCH)
}

/// Runs `run` while the cancellation of this thread (pthread_cancel(3)) is put off: it would unwind, which neither Rust nor a
/// lock that is held survives. A cancellation that is requested meanwhile happens at the caller's next cancellation point.
pub(crate) fn without_cancellation<T>(run: impl FnOnce() -> T) -> T {
    #[cfg(target_os = "android")] // which has no cancellation
    return run();
    #[cfg(not(target_os = "android"))]
    {
        unsafe extern "C" {
            fn pthread_setcancelstate(state: libc::c_int, before: *mut libc::c_int) -> libc::c_int;
        }
        const DISABLE: libc::c_int = 1; // PTHREAD_CANCEL_DISABLE of glibc, musl and uClibc
        let mut before = 0;
        // SAFETY: this thread's own state; the place is ours.
        unsafe { pthread_setcancelstate(DISABLE, &mut before) };
        let result = run();
        // SAFETY: the state as it was.
        unsafe { pthread_setcancelstate(before, &mut before) };
        result
    }
}

/// Runs `run` with every signal blocked in this thread: a thread started within never handles the program's signals.
pub(crate) fn without_signals<T>(run: impl FnOnce() -> T) -> T {
    // SAFETY: both sets are initialised by the C library before they are read; the mask is this thread's own.
    let before = unsafe {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(all.as_mut_ptr());
        let rc = libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
        (rc == 0).then(|| before.assume_init())
    };
    let result = run();
    if let Some(before) = before {
        // SAFETY: the mask as it was.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut()) };
    }
    result
}

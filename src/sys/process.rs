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
            start: stat(c"/proc/self/stat").map_or(0, |stat| stat.start),
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
    read_proc(path).ok()
}

/// The same, for who must know why it cannot be read.
pub(super) fn read_proc(path: &CStr) -> super::Result<String> {
    let mut buf = [MaybeUninit::uninit(); 1024];
    let bytes = read_once(&open_proc(path)?, &mut buf)?;
    Ok(String::from_utf8_lossy(bytes).trim_end().to_owned())
}

/// What follows this in a line of such a file.
pub(super) fn value_in<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(key))
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

/// The user whom this thread is to the file system: the effective one, unless the thread has called setfsuid(2). Asking for
/// that by the same call would have a sandbox end the process that does not let it change its user.
pub(crate) fn file_user() -> u32 {
    let status = proc_file(c"/proc/thread-self/status").unwrap_or_default();
    let users = value_in(&status, "Uid:");
    let user = users.and_then(|users| users.split_ascii_whitespace().nth(3)?.parse().ok());
    user.unwrap_or_else(effective_uid)
}

/// What /proc/PID/stat says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Its number, in the PID namespace whose /proc this is.
    number: i32,
    /// When it began.
    pub start: u64,
    /// Whether it has ended, and nobody has asked for its result. All its files are closed by then.
    pub has_ended: bool,
}

impl Stat {
    /// The fields are counted after the name, which may contain anything.
    fn parse(text: &str) -> Option<Stat> {
        const FIRST_AFTER_NAME: usize = 3;
        let number = text.split(' ').next()?.parse().ok()?;
        let after_name = &text[text.rfind(')')? + 1..];
        let field = |n: usize| after_name.split_ascii_whitespace().nth(n - FIRST_AFTER_NAME);
        let threads: u64 = field(20)?.parse().ok()?;
        Some(Stat {
            number,
            start: field(22)?.parse().ok()?,
            // A first thread that has ended is one while others go on.
            has_ended: matches!(field(3)?, "Z" | "X" | "x") && threads <= 1,
        })
    }
}

fn stat(path: &CStr) -> Option<Stat> {
    Stat::parse(&proc_file(path)?)
}

/// What is known of another process of this PID namespace. `None`: nothing, also where /proc is that of another namespace,
/// as after `unshare --pid` without `--mount-proc`: the numbers there are those of other processes.
pub(crate) fn stat_of(pid: i32) -> Option<Stat> {
    let path = std::ffi::CString::new(format!("/proc/{pid}/stat")).ok()?;
    let found = stat(&path)?;
    let myself = stat(c"/proc/self/stat")?;
    let numbers = proc_file(c"/proc/self/status").unwrap_or_default();
    let own = rustix::process::getpid().as_raw_nonzero().get();
    (found.number == pid && myself.number == own && !is_seen_from_above(&numbers)).then_some(found)
}

/// Whether /proc/self/status counts this process in more than one PID namespace: from that of /proc down to its own.
fn is_seen_from_above(status: &str) -> bool {
    let numbers = value_in(status, "NStgid:");
    numbers.is_some_and(|numbers| numbers.split_ascii_whitespace().count() > 1)
}

/// Whether a process with this PID lives in this PID namespace. It is found out as a shipped peer does it: a process that we
/// may not signal lives.
///
/// Numbers that do not name a single process never reach `kill`.
pub(crate) fn is_alive(pid: i32) -> bool {
    const PID_MAX_LIMIT: i32 = 4 * 1024 * 1024; // linux/threads.h
    let number = Some(pid).filter(|pid| (1..=PID_MAX_LIMIT).contains(pid));
    let Some(number) = number.and_then(rustix::process::Pid::from_raw) else {
        return false;
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(state: &str, threads: u32) -> Stat {
        let text = format!("4711 (a) b ({state}) {state} 1 4711 4711 0 -1 4 0 0 0 0 0 0 0 0 20 0 {threads} 0 987 0 0");
        Stat::parse(&text).unwrap()
    }

    #[test]
    fn a_process_that_nobody_has_reaped_has_ended() {
        assert_eq!((parsed("S", 1).number, parsed("S", 1).start), (4711, 987));
        assert!(!parsed("S", 1).has_ended);
        assert!(parsed("Z", 1).has_ended);
        assert!(parsed("X", 0).has_ended);
        assert!(!parsed("Z", 2).has_ended, "only its first thread has");
    }

    #[test]
    fn what_proc_says_counts_if_it_is_of_this_namespace() {
        assert!(!is_seen_from_above("Name:\ta\nNStgid:\t7\nNSpid:\t7\n"));
        assert!(is_seen_from_above("Name:\ta\nNStgid:\t7\t7\nNSpid:\t7\t7\n"));
        assert!(!is_seen_from_above("Name:\ta\n"), "an old kernel");
        let me = std::process::id() as i32;
        assert_eq!(stat_of(me).map(|stat| stat.start), Some(Identity::current().start));
    }

    /// What its parent knew of itself has been copied into it.
    #[test]
    fn a_forked_child_says_who_it_is_itself() {
        let parent = Identity::current();
        assert!(crate::sys::tests::ends_in_a_child(|| {
            let child = Identity::current();
            assert_eq!(child.pid, std::process::id() as i32);
            assert!(child.pid != parent.pid && child.boot == parent.boot);
        }));
    }

    #[test]
    fn a_number_that_no_process_has_is_nobodys() {
        for number in [0, -1, i32::MIN, 4 * 1024 * 1024 + 1, i32::MAX] {
            assert!(!is_alive(number), "{number}");
        }
        assert!(is_alive(std::process::id() as i32));
    }
}

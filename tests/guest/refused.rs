//! Each system call that the library makes is refused for good, is slow, or is interrupted all the time. Every function
//! still ends in time, with what it was asked for or with an error that names what failed, and nothing is left half
//! done.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jlock::seam::{self, Hook, Verdict};

use crate::child::{child, under};
use crate::scene::{LONG, SETTLE, Scene};
use crate::steps::{Done, Handles, Stage, Steps, TIMEOUT};

pub const PARTS: &[crate::scene::Part] = &[("refused", refused), ("interrupted", interrupted), ("traced", traced)];

macro_rules! calls {
    ($($call:ident)*) => { [$((stringify!($call), libc::$call)),*] };
}

/// The calls that a sandbox can refuse without bringing down the C library, and with it the program.
const CALLS: [(&str, libc::c_long); 47] = calls! {
    SYS_openat SYS_newfstatat SYS_statx SYS_fstat SYS_flock SYS_fcntl SYS_linkat SYS_unlinkat SYS_mkdirat SYS_renameat
    SYS_renameat2 SYS_ftruncate SYS_pread64 SYS_pwrite64 SYS_read SYS_write SYS_utimensat SYS_fchmod SYS_fchown
    SYS_fsync SYS_fdatasync SYS_getdents64 SYS_fstatfs SYS_statfs SYS_flistxattr SYS_fgetxattr SYS_inotify_init1
    SYS_inotify_add_watch SYS_inotify_rm_watch SYS_eventfd2 SYS_epoll_create1 SYS_epoll_ctl SYS_timerfd_create
    SYS_timerfd_settime SYS_ppoll SYS_clock_nanosleep SYS_getrandom SYS_kill SYS_uname SYS_madvise SYS_prlimit64
    SYS_rt_sigprocmask SYS_rt_sigpending SYS_rt_sigtimedwait SYS_clone3 SYS_sched_getaffinity SYS_mprotect
};

/// The library's other calls: those without which no program can live (memory, threads and their locks), and those that
/// never fail.
const VITAL: [&str; 15] = [
    "close",
    "getpid",
    "geteuid",
    "mmap",
    "munmap",
    "mremap",
    "brk",
    "futex",
    "exit",
    "rseq",
    "set_robust_list",
    "prctl",
    "sigaltstack",
    "gettid",
    "clock_gettime",
];

const ERRNOS: [(&str, i32); 3] = [
    ("EPERM", libc::EPERM),
    ("EACCES", libc::EACCES),
    ("ENOSYS", libc::ENOSYS),
];

// -------------------------------------------------------------------------------------------------------- filters

/// From now on these calls fail with `errno`, in this thread and those that it starts, or, with `everywhere`, in the
/// whole process.
fn filter(calls: &[libc::c_long], errno: i32, everywhere: bool) {
    const OF_THE_PROCESS: libc::c_ulong = 1; // SECCOMP_FILTER_FLAG_TSYNC
    let statement = |code: u32, k: u32, jt: u8| libc::sock_filter {
        code: u16::try_from(code).expect("a code"),
        jt,
        jf: 0,
        k,
    };
    let load = statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0); // the call's number
    let mut code = vec![load];
    for (before, call) in calls.iter().enumerate() {
        let to_refusal = u8::try_from(calls.len() - before).expect("few");
        let number = u32::try_from(*call).expect("a number");
        code.push(statement(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            number,
            to_refusal,
        ));
    }
    let then = |action| statement(libc::BPF_RET | libc::BPF_K, action, 0);
    code.push(then(libc::SECCOMP_RET_ALLOW));
    code.push(then(libc::SECCOMP_RET_ERRNO | errno.unsigned_abs()));
    let program = libc::sock_fprog {
        len: u16::try_from(code.len()).expect("short"),
        filter: code.as_mut_ptr(),
    };
    let flags = if everywhere { OF_THE_PROCESS } else { 0 };
    // SAFETY: the program outlives the calls.
    let rc = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    assert_eq!(rc, 0, "{}", std::io::Error::last_os_error());
}

pub fn refuse_everywhere(calls: &[libc::c_long], errno: i32) {
    filter(calls, errno, true);
}

// --------------------------------------------------------------------------------------------------- in the child

/// Where the child reports what happened: in shared memory, since it may not be able to write.
struct Report(*mut u8);

const ROOM: usize = 64 * 1024;

impl Report {
    fn map(dir: &Path) -> Report {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(dir.join("report"))
            .unwrap();
        // SAFETY: the mapping is new, and of a file of that size.
        let at = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                ROOM,
                rustix::mm::ProtFlags::READ | rustix::mm::ProtFlags::WRITE,
                rustix::mm::MapFlags::SHARED,
                &file,
                0,
            )
        };
        Report(at.unwrap().cast())
    }

    fn write(&self, done: &[Done]) {
        let mut text = String::new();
        for done in done {
            let (took, computed) = (done.took.as_millis(), done.computed.as_millis());
            let complaint = done.complaint.as_deref().unwrap_or_default().replace(['\n', '\t'], " ");
            text += &format!("{}\t{took}\t{computed}\t{complaint}\n", done.function);
        }
        text += END;
        assert!(text.len() < ROOM);
        // SAFETY: the text fits, and nobody else writes there.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), self.0, text.len()) };
    }
}

const END: &str = "the end\n";

fn told(dir: &Path) -> Option<Vec<Done>> {
    let text = String::from_utf8(fs::read(dir.join("report")).unwrap()).unwrap();
    let (lines, _) = text.split_once(END)?;
    let millis = |text: &str| Duration::from_millis(text.parse().unwrap());
    let done = lines.lines().map(|line| {
        let parts: Vec<&str> = line.split('\t').collect();
        let [function, took, computed, complaint] = parts[..] else {
            panic!("{line:?}")
        };
        Done {
            function: function.to_owned(),
            complaint: Some(complaint.to_owned()).filter(|complaint| !complaint.is_empty()),
            took: millis(took),
            computed: millis(computed),
        }
    });
    Some(done.collect())
}

fn number(name: &str) -> i64 {
    std::env::var(name).unwrap().parse().unwrap()
}

fn refused(dir: &Path) {
    let report = Report::map(dir);
    let handles = match number("JLOCK_OPEN_FIRST") {
        0 => Handles::default(),
        _ => Handles::open(dir),
    };
    let errno = i32::try_from(number("JLOCK_ERRNO")).unwrap();
    let call = number("JLOCK_CALL");
    let mut calls = vec![call];
    #[cfg(target_arch = "x86_64")]
    if call == libc::SYS_openat {
        calls.push(libc::SYS_open); // the older form of the call
    }
    filter(&calls, errno, false);
    report.write(&Steps::run(dir, handles));
    // SAFETY: it ends at once. An ordinary exit of the test may need the calls that are refused.
    unsafe { libc::_exit(0) };
}

fn interrupted(dir: &Path) {
    let report = Report::map(dir);
    interrupt_every(Duration::from_micros(50));
    report.write(&Steps::run(dir, Handles::default()));
    // SAFETY: as above.
    unsafe { libc::_exit(0) };
}

static INTERRUPTIONS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_signal: i32) {
    INTERRUPTIONS.fetch_add(1, Ordering::Relaxed);
}

/// Starts a timer of this thread, whose signal interrupts any system call that is in progress.
fn interrupt_every(period: Duration) {
    let nanoseconds = libc::c_long::from(period.subsec_nanos());
    // SAFETY: the C library's structs, zeroed and then filled in.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = count as extern "C" fn(i32) as usize; // without SA_RESTART
        assert_eq!(
            libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()),
            0
        );
        let mut event: libc::sigevent = std::mem::zeroed();
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGALRM;
        event.sigev_notify_thread_id = libc::gettid();
        let mut timer = std::mem::zeroed();
        assert_eq!(
            libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer),
            0
        );
        let mut times: libc::itimerspec = std::mem::zeroed();
        (times.it_value.tv_nsec, times.it_interval.tv_nsec) = (nanoseconds, nanoseconds);
        assert_eq!(libc::timer_settime(timer, 0, &raw const times, std::ptr::null_mut()), 0);
    }
}

/// Runs all steps between two marks: calls that nothing else makes.
fn traced(dir: &Path) {
    let mark = || {
        let name = CString::new("jlock:mark").unwrap();
        // SAFETY: the string outlives the call. It does not matter that the file does not exist.
        unsafe { libc::access(name.as_ptr(), libc::F_OK) };
    };
    mark();
    let done = Steps::run(dir, Handles::default());
    mark();
    assert!(done.iter().all(|done| done.complaint.is_none()), "{done:?}");
}

// -------------------------------------------------------------------------------------------------------- judging

/// What a run reported in which every function was in time. A machine that stalls makes some run late, but not each.
fn in_time(what: &str, run: impl Fn() -> Vec<Done>) -> Vec<Done> {
    const BUSY: Duration = Duration::from_secs(8);
    let is_late = |done: &Done| done.took > TIMEOUT + SETTLE + Duration::from_secs(1) + BUSY;
    let mut late = Vec::new();
    for _ in 0..5 {
        let done = run();
        match done.iter().find(|done| is_late(done)) {
            None => return done,
            Some(one) => late.push(one.clone()),
        }
    }
    panic!("{what}: {late:?}");
}

/// Using much CPU time means spinning.
fn none_spins_or_panics(done: &[Done], what: &str) {
    const SPIN: Duration = Duration::from_millis(500);
    for done in done {
        assert!(done.computed <= SPIN, "{what} spins: {done:?}");
        assert_ne!(done.complaint.as_deref(), Some("PANICS"), "{what}: {done:?}");
    }
}

/// The complaints of the functions; functions with the same complaint are listed together.
fn complaints(done: &[Done]) -> String {
    let mut by_text: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for done in done {
        if let Some(complaint) = &done.complaint {
            by_text.entry(complaint).or_default().push(&done.function);
        }
    }
    if by_text.is_empty() {
        return "all work".to_owned();
    }
    let said = by_text
        .iter()
        .map(|(text, functions)| format!("{}: {text}", functions.join(", ")));
    said.collect::<Vec<_>>().join("; ")
}

fn slowest(done: &[Done]) -> u128 {
    done.iter().map(|done| done.took.as_millis()).max().unwrap_or(0)
}

fn in_a_child(part: &str, settings: &[(&str, String)], what: &str) -> Vec<Done> {
    in_time(what, || once_in_a_child(part, settings, what))
}

/// Runs a part in a child, and waits for its end.
fn once_in_a_child(part: &str, settings: &[(&str, String)], what: &str) -> Vec<Done> {
    let scene = Scene::new();
    let stage = Stage::set(&scene.0);
    fs::write(scene.path("report"), vec![0; ROOM]).unwrap();
    let mut command = child(part, &scene.0);
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if begun.elapsed() < 2 * LONG => std::thread::sleep(Duration::from_millis(5)), // there is no wait with a timeout
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{what}: hangs");
            }
        }
    };
    let done = told(&scene.0).unwrap_or_else(|| panic!("{what}: {status}, and it reported nothing"));
    none_spins_or_panics(&done, what);
    let struck = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stage.strike(&done, what)));
    assert!(struck.is_ok(), "{what}: {}", complaints(&done));
    done
}

/// Runs several at a time, since they mostly wait. All failures are printed, not only the first.
fn each<T: Sync>(all: &[T], run: impl Fn(&T) -> String + Sync) {
    let next = AtomicUsize::new(0);
    let failed = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(one))) {
                        Ok(line) => println!("{line}"),
                        Err(_) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    assert_eq!(failed.into_inner(), 0, "see above");
}

#[test]
fn a_call_that_is_refused_for_good_ends_no_program_and_halves_no_entry() {
    let only = std::env::var("JLOCK_REFUSE").ok(); // one call only, to investigate it
    let mut all = Vec::new();
    for (name, call) in CALLS {
        for (errno_name, errno) in ERRNOS {
            for open_first in [false, true] {
                let name = name.trim_start_matches("SYS_");
                if only.as_ref().is_none_or(|only| only == name) {
                    all.push((name, call, errno_name, errno, open_first));
                }
            }
        }
    }
    each(&all, |(name, call, errno_name, errno, open_first)| {
        let when = if *open_first {
            "once it is open"
        } else {
            "from the start"
        };
        let what = format!("{name} {errno_name} {when}");
        let settings = [
            ("JLOCK_CALL", call.to_string()),
            ("JLOCK_ERRNO", errno.to_string()),
            ("JLOCK_OPEN_FIRST", i32::from(*open_first).to_string()),
        ];
        let done = in_a_child("refused", &settings, &what);
        format!("{what:<40} {:>5} ms  {}", slowest(&done), complaints(&done))
    });
}

#[test]
fn the_table_of_calls_is_complete() {
    let scene = Scene::new();
    let stage = Stage::set(&scene.0);
    let log = scene.path("log");
    let strace = ["strace", "-f", "-qq", "-o", log.to_str().unwrap()];
    crate::child::run(&mut under(&strace, "traced", &scene.0));
    stage.strike(&[], "traced");
    let log = fs::read_to_string(&log).unwrap();
    let marked = log.split("jlock:mark").nth(1).expect("two marks");
    let thread = log
        .lines()
        .find(|line| line.contains("jlock:mark"))
        .and_then(|line| line.split(' ').next());
    let thread = thread.expect("a number");
    let ours = marked.lines().filter(|line| line.starts_with(thread));
    let made: BTreeSet<&str> = ours
        .filter_map(|line| line[thread.len()..].trim_start().split_once('('))
        .map(|(name, _)| name)
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
        .collect();
    assert!(made.len() > 20, "{made:?}");
    let in_table: BTreeSet<&str> = CALLS.iter().map(|(name, _)| name.trim_start_matches("SYS_")).collect();
    let missing: Vec<_> = made
        .iter()
        .filter(|name| {
            !in_table.contains(**name) && !VITAL.contains(name) && !["poll", "access", "clone", "open"].contains(name)
        })
        .collect();
    assert!(missing.is_empty(), "not tried: {missing:?}");
    println!("made: {made:?}");
}

#[test]
fn a_timer_that_interrupts_every_call_delays_and_breaks_nothing() {
    let done = in_a_child("interrupted", &[], "interrupted");
    println!("{:>5} ms  {}", slowest(&done), complaints(&done));
    assert!(
        done.iter().all(|done| done.complaint.is_none()),
        "{}",
        complaints(&done)
    );
}

// ----------------------------------------------------------------------------------------------------------- slow

/// Each time, the call takes this long, as on a file system that has to wake up.
struct Slow {
    call: &'static str,
    seen: &'static std::sync::Mutex<BTreeSet<&'static str>>,
}

const SLOW: Duration = Duration::from_millis(30);

impl Hook for Slow {
    fn before(&mut self, call: &'static str) -> Verdict {
        self.seen.lock().unwrap().insert(call);
        if call == self.call {
            std::thread::sleep(SLOW);
        }
        Verdict::Proceed
    }
}

#[test]
fn a_call_that_is_slow_delays_each_function_by_a_few_calls() {
    static SEEN: std::sync::Mutex<BTreeSet<&'static str>> = std::sync::Mutex::new(BTreeSet::new());
    let once = |call: &'static str| {
        let scene = Scene::new();
        let stage = Stage::set(&scene.0);
        seam::install(Slow { call, seen: &SEEN });
        let done = Steps::run(&scene.0, Handles::default());
        seam::uninstall();
        none_spins_or_panics(&done, call);
        stage.strike(&done, call);
        done
    };
    let steps = |call: &'static str| in_time(call, || once(call));
    let done = steps("none");
    assert!(
        done.iter().all(|done| done.complaint.is_none()),
        "{}",
        complaints(&done)
    );
    let calls: Vec<&str> = SEEN.lock().unwrap().iter().copied().collect();
    assert!(calls.len() > 20, "{calls:?}");
    each(&calls, |call| {
        let done = steps(call);
        format!("{call:<20} {:>5} ms  {}", slowest(&done), complaints(&done))
    });
}

//! Calls every function of the interface, one after another, and notes what each reports and how long it takes.

use std::ffi::CString;
use std::fmt::Display;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use jlock::{Entry, Lock, Options, Result};

use crate::scene::{SETTLE, append, entries, journal_of, lock_of, open, stamp};

pub const TIMEOUT: Duration = Duration::from_millis(60);

/// What a function did.
#[derive(Clone, Debug)]
pub struct Done {
    pub function: String,
    /// The error; `None` if it succeeded.
    pub complaint: Option<String>,
    pub took: Duration,
    pub computed: Duration,
}

/// Where the functions work: a free lock, a living holder's, and a dead holder's.
pub struct Stage<'s> {
    dir: &'s Path,
    holder: Option<Lock>,
}

impl<'s> Stage<'s> {
    pub fn set(dir: &'s Path) -> Stage<'s> {
        let places = ["free", "held", "dead"].map(|place| dir.join(place));
        for place in &places {
            stamp(&open(place), "before").unwrap();
        }
        let holder = open(&places[1]);
        std::mem::forget(holder.acquire().unwrap()); // released when the stage is struck
        // A stamp without a living `flock` looks like a dead holder's.
        std::fs::copy(lock_of(&places[1]), lock_of(&places[2])).unwrap();
        let holder = Some(holder);
        Stage { dir, holder }
    }

    /// A peer that comes afterwards finds whole entries and can acquire the lock.
    pub fn strike(mut self, done: &[Done], what: &str) {
        self.holder = None;
        for place in ["free", "held", "dead"] {
            let dir = self.dir.join(place);
            for entry in entries(&dir) {
                assert!(
                    entry == "before" || is_whole(&entry),
                    "{what}: {place}: half an entry: {entry:?}"
                );
            }
            // If a holder could not even read the boot id, its lock is taken over only when it is stale.
            let after = Options::new().settle(SETTLE).stale(Duration::from_millis(300));
            let appended = append(&after.open(&dir).unwrap(), "afterwards");
            assert!(appended.is_ok(), "{what}: {place}: {appended:?}");
        }
        let there = std::fs::read_to_string(journal_of(&self.dir.join("free"))).unwrap();
        let appends = done
            .iter()
            .filter(|done| done.function.starts_with("append") && !done.function.contains("(held)"));
        for append in appends.filter(|append| append.complaint.is_none()) {
            assert!(
                there.contains(&path_of(&append.function)),
                "{what}: {} was acknowledged",
                append.function
            );
        }
    }
}

fn path_of(function: &str) -> String {
    let long = function.contains("page");
    format!(
        "{}{}/whole",
        function.replace(' ', "-"),
        "/x".repeat(if long { 3_000 } else { 3 })
    )
}

fn is_whole(entry: &str) -> bool {
    entry.ends_with("/whole")
}

/// Handles that were opened before any call was refused.
#[derive(Default)]
pub struct Handles {
    free: Option<Lock>,
    held: Option<Lock>,
    dead: Option<Lock>,
}

fn short() -> Options {
    Options::new()
        .timeout(TIMEOUT)
        .settle(SETTLE)
        .retry(Duration::from_millis(10))
}

impl Handles {
    pub fn open(stage: &Path) -> Handles {
        let open = |place| Some(short().open(stage.join(place)).unwrap());
        Handles {
            free: open("free"),
            held: open("held"),
            dead: open("dead"),
        }
    }
}

pub struct Steps<'s> {
    stage: &'s Path,
    done: Vec<Done>,
}

fn computed() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

impl Steps<'_> {
    /// Runs all steps, except those that depend on something that failed.
    pub fn run(stage: &Path, handles: Handles) -> Vec<Done> {
        let mut steps = Steps {
            stage,
            done: Vec::with_capacity(64),
        };
        steps.on_a_free_lock(handles.free);
        steps.on_a_lock_that_lives(handles.held);
        steps.on_a_dead_holders_lock(handles.dead);
        steps.with_a_thread();
        steps.step("probe", || probe(stage));
        steps.done
    }

    fn step<T, E: Display>(&mut self, function: &str, act: impl FnOnce() -> std::result::Result<T, E>) -> Option<T> {
        let (begun, before) = (Instant::now(), computed());
        let acted = catch_unwind(AssertUnwindSafe(act));
        let (took, computed) = (begun.elapsed(), computed().saturating_sub(before));
        let (complaint, value) = match acted {
            Ok(Ok(value)) => (None, Some(value)),
            Ok(Err(error)) => (Some(error.to_string()), None),
            Err(_) => (Some("PANICS".to_owned()), None),
        };
        self.done.push(Done {
            function: function.to_owned(),
            complaint,
            took,
            computed,
        });
        value
    }

    fn open(&mut self, place: &str, opened: Option<Lock>) -> Option<Lock> {
        let dir = self.stage.join(place);
        opened.or_else(|| self.step(&format!("open ({place})"), || short().open(dir)))
    }

    fn append(&mut self, lock: &Lock, function: &str) {
        let path = path_of(function);
        let entry = [Entry::changed(&path)];
        self.step(function, || match function.contains("stamped") {
            true => lock.journal().append_stamped(entry, 1_700_000_000_001),
            false => lock.journal().append(entry),
        });
    }

    fn on_a_free_lock(&mut self, opened: Option<Lock>) {
        let Some(lock) = self.open("free", opened) else { return };
        self.step("inspect", || lock.inspect());
        if let Some(snapshot) = self.step("read", || lock.journal().read()) {
            self.step("checkpoint", || lock.journal().checkpoint(&snapshot, 1_700_000_000_000));
        }
        self.step("write_header", || lock.journal().write_header(1_700_000_000_000));
        for function in ["append", "append_stamped", "append across pages"] {
            self.append(&lock, function);
        }
        if let Some(guard) = self.step("acquire", || lock.acquire()) {
            self.step("refresh", || guard.refresh());
            for function in ["append under a hold", "append_stamped under a hold"] {
                self.append(&lock, function);
            }
            self.step("inspect under a hold", || lock.inspect());
            self.step("release", || guard.release());
        }
        if let Some(guard) = self.step("try_acquire", || lock.try_acquire()) {
            drop(guard);
        }
        let synced = short().sync(true).open(self.stage.join("free"));
        if let Ok(synced) = synced {
            self.append(&synced, "append with sync");
        }
        self.step("recovered", || lock.recovered());
        self.step("cancel", || lock.cancel());
        self.step("close", || lock.close());
    }

    fn on_a_lock_that_lives(&mut self, opened: Option<Lock>) {
        let Some(lock) = self.open("held", opened) else { return };
        self.step("inspect (held)", || lock.inspect());
        self.step("acquire (held)", || {
            expecting(lock.acquire().map(drop), libc::ETIMEDOUT)
        });
        self.step("try_acquire (held)", || {
            expecting(lock.try_acquire().map(drop), libc::EAGAIN)
        });
        self.step("append (held)", || expecting(append(&lock, "THEIRS"), libc::ETIMEDOUT));
        self.step("read (held)", || lock.journal().read());
        self.step("start, poll (held)", || expecting(poll(&lock), libc::ETIMEDOUT));
        self.step("close (held)", || lock.close());
    }

    fn on_a_dead_holders_lock(&mut self, opened: Option<Lock>) {
        let Some(lock) = self.open("dead", opened) else { return };
        self.step("inspect (dead)", || lock.inspect());
        if let Some(guard) = self.step("acquire (dead)", || lock.acquire()) {
            self.step("release (dead)", || guard.release());
        }
        self.step("close (dead)", || lock.close());
    }

    fn with_a_thread(&mut self) {
        let dir = self.stage.join("free");
        if let Some(lock) = self.step("open (keepalive)", || short().keepalive(true).open(dir)) {
            self.step("acquire (keepalive)", || lock.acquire().map(drop));
            self.step("close (keepalive)", || lock.close());
        }
    }
}

/// The function must fail with `errno`, or with another error: success would mean that two hold the lock.
fn expecting(result: Result<()>, errno: i32) -> Result<()> {
    match result {
        Ok(()) => panic!("it acquired a lock that is held"),
        Err(error) if error.code() == -errno => Ok(()),
        Err(error) => Err(error),
    }
}

/// Does what an event loop does.
fn poll(lock: &Lock) -> Result<()> {
    let fd = lock.wait_fd()?;
    let mut started = lock.start_acquire(TIMEOUT)?;
    loop {
        let mut ready = libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one descriptor, which outlives the call.
        unsafe { libc::poll(&mut ready, 1, 5) };
        if started.poll()?.is_some() {
            return Ok(());
        }
    }
}

unsafe extern "C" {
    fn jlock_probe(dir: *const std::ffi::c_char, out: *mut jlock::abi::jlock_place, size: usize) -> i32;
    fn jlock_strerror(rc: i32) -> *const std::ffi::c_char;
}

fn probe(stage: &Path) -> std::result::Result<(), String> {
    let dir = CString::new(stage.join("free").as_os_str().as_bytes()).unwrap();
    let mut place = std::mem::MaybeUninit::<jlock::abi::jlock_place>::zeroed();
    // SAFETY: the string outlives the call, and the place has the size that is given.
    let rc = unsafe { jlock_probe(dir.as_ptr(), place.as_mut_ptr(), size_of::<jlock::abi::jlock_place>()) };
    // SAFETY: the text is static.
    let text = unsafe { std::ffi::CStr::from_ptr(jlock_strerror(rc)) };
    match rc {
        0 => Ok(()),
        _ => Err(text.to_string_lossy().into_owned()),
    }
}

//! A bug in the library stays inside: a panic at any call becomes `JLOCK_EPANIC`, and the next peer can use the lock.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::rc::Rc;

use jlock::abi::{JLOCK_CHANGED, JLOCK_EPANIC, jlock_entry, jlock_options};
use jlock::seam::{self, Hook, Verdict};

/// struct jlock, as seen from C.
type Handle = *mut c_void;

unsafe extern "C" {
    fn jlock_open(dir: *const c_char, options: *const jlock_options, size: usize, out: *mut Handle) -> c_int;
    fn jlock_close(lock: Handle) -> c_int;
    fn jlock_acquire(lock: Handle) -> c_int;
    fn jlock_release(lock: Handle) -> c_int;
    fn jlock_refresh(lock: Handle) -> c_int;
    fn jlock_cancel(lock: Handle) -> c_int;
    fn jlock_append(lock: Handle, entries: *const jlock_entry, count: usize) -> c_int;
    fn jlock_append_stamped(lock: Handle, entries: *const jlock_entry, count: usize, timestamp_ms: i64) -> c_int;
    fn jlock_write_header(lock: Handle, timestamp_ms: i64) -> c_int;
}

/// Panics at the call with this number, and counts the calls.
struct Fuse {
    at: usize,
    calls: Rc<Cell<usize>>,
}

impl Hook for Fuse {
    fn before(&mut self, call: &'static str) -> Verdict {
        if call == "close" {
            return Verdict::Proceed; // made while a descriptor's owner is dropped: it cannot fail
        }
        let number = self.calls.replace(self.calls.get() + 1);
        match number == self.at {
            true => Verdict::Panic,
            false => Verdict::Proceed,
        }
    }
}

/// As the next peer is.
struct AnotherProcess;

impl Hook for AnotherProcess {
    fn before(&mut self, _call: &'static str) -> Verdict {
        Verdict::Proceed
    }
    fn process(&mut self) -> u64 {
        1
    }
}

/// An open handle, which is closed at the end.
struct Open(Handle);

impl Open {
    fn new(dir: &Path) -> Open {
        let dir = CString::new(dir.as_os_str().as_bytes()).expect("no NUL");
        let mut handle = ptr::null_mut();
        // SAFETY: the string outlives the call, there are no options, and the handle has a place.
        let rc = unsafe { jlock_open(dir.as_ptr(), ptr::null(), 0, &mut handle) };
        assert_eq!(rc, 0);
        Open(handle)
    }

    fn append(&self, stamp: Option<i64>) -> c_int {
        let path = c"some/path";
        let entry = jlock_entry {
            path: path.as_ptr(),
            path_len: usize::MAX,
            kind: JLOCK_CHANGED,
            reserved: 0,
        };
        // SAFETY: the handle is open, and there is one entry.
        unsafe {
            match stamp {
                None => jlock_append(self.0, &entry, 1),
                Some(timestamp_ms) => jlock_append_stamped(self.0, &entry, 1, timestamp_ms),
            }
        }
    }

    fn acquire_and_release(&self) -> c_int {
        // SAFETY: the handle is open.
        unsafe {
            match jlock_acquire(self.0) {
                0 => jlock_release(self.0),
                rc => rc,
            }
        }
    }

    fn write_header(&self) -> c_int {
        // SAFETY: the handle is open.
        unsafe { jlock_write_header(self.0, 1_700_000_000_000) }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // SAFETY: `new` opened it, and it is not used any more.
        unsafe { jlock_close(self.0) };
    }
}

/// Makes `act` panic at each of its calls in turn. Returns how many calls there were.
fn at_each_call(act: impl Fn(&Open) -> c_int) -> usize {
    let dir = crate::fresh::directory("panics");
    for at in 0.. {
        let victim = Open::new(&dir);
        let calls = Rc::new(Cell::new(0));
        seam::install(Fuse {
            at,
            calls: Rc::clone(&calls),
        });
        let rc = act(&victim);
        seam::uninstall();
        if calls.get() <= at {
            assert_eq!(rc, 0);
            drop(victim);
            std::fs::remove_dir_all(&dir).expect("the directory can be removed");
            return at;
        }
        assert_eq!(rc, JLOCK_EPANIC, "at call {at}");
        // SAFETY: the handle is open.
        assert_eq!(unsafe { jlock_refresh(victim.0) }, JLOCK_EPANIC, "after call {at}");
        assert_eq!(victim.append(None), JLOCK_EPANIC, "after call {at}");
        // SAFETY: the handle is open.
        assert_eq!(unsafe { jlock_cancel(victim.0) }, JLOCK_EPANIC, "after call {at}");
        drop(victim);
        // This process has swept, and does not sweep again for a while.
        seam::install(AnotherProcess);
        let next = Open::new(&dir);
        assert_eq!(next.append(None), 0, "the next peer, after a panic at call {at}");
        drop(next);
        seam::uninstall();
        assert_only_the_journal_is_left(&dir, at);
    }
    unreachable!("there are no more numbers")
}

/// Empty files that were made just before the panic may be left too: until they are old, their owner might still be
/// about to write to them.
fn assert_only_the_journal_is_left(dir: &Path, at: usize) {
    for entry in std::fs::read_dir(dir).expect("the directory can be read") {
        let path = entry.expect("an entry").path();
        let empty =
            path.extension().is_some_and(|end| end == "tmp") && path.metadata().is_ok_and(|meta| meta.len() == 0);
        match path.ends_with("changes.journal") {
            true => {}
            false if empty => std::fs::remove_file(path).expect("it can be removed"),
            false => panic!("{} is left after a panic at call {at}", path.display()),
        }
    }
}

#[test]
fn a_panic_at_any_call_is_contained_and_the_next_peer_finds_the_lock() {
    // These panics are expected, and not worth printing.
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let expected = info
            .payload()
            .downcast_ref::<String>()
            .is_some_and(|text| text.starts_with("seam: "));
        if !expected {
            print(info);
        }
    }));
    let points = [
        at_each_call(Open::acquire_and_release),
        at_each_call(|handle| handle.append(None)),
        at_each_call(|handle| handle.append(Some(1_700_000_000_000))),
        at_each_call(Open::write_header),
    ];
    println!("panicked at {} calls", points.iter().sum::<usize>());
    assert!(points.iter().all(|calls| *calls > 4), "{points:?}");
}

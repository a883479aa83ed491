//! Starts a thread by pthread alone: what std adds to one (names, handles, a stack guard's signal handler, the thread's
//! results) is larger than all the code for waiting.

use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Errno, Result, process};

/// Neither joined nor detached when it is dropped: in a forked child there is no such thread.
#[derive(Debug)]
pub(crate) struct Thread(libc::pthread_t);

// SAFETY: a number, or on some systems a pointer that only pthread follows, from whatever thread.
unsafe impl Send for Thread {}

impl Thread {
    /// Starts a thread that takes none of the program's signals. A panic in `run` ends that thread alone.
    pub(crate) fn start<F: FnOnce() + Send + 'static>(name: &'static CStr, run: F) -> Result<Thread> {
        let run = Box::into_raw(Box::new(run));
        let mut thread = MaybeUninit::uninit();
        let mut create = |attributes| {
            // SAFETY: `begin` gets what it asks for, once: a thread that was not started has not run.
            unsafe { libc::pthread_create(thread.as_mut_ptr(), attributes, begin::<F>, run.cast()) }
        };
        let rc = process::without_signals(|| match with_small_stack(&mut create) {
            libc::EINVAL => create(std::ptr::null()), // too small for this program's thread-local variables
            rc => rc,
        });
        if rc != 0 {
            // SAFETY: made above, and no thread has it.
            drop(unsafe { Box::from_raw(run) });
            return Err(Errno::from_raw_os_error(rc));
        }
        // SAFETY: it was started. A name that is too long for the system is left out.
        unsafe {
            let thread = thread.assume_init();
            libc::pthread_setname_np(thread, name.as_ptr());
            Ok(Thread(thread))
        }
    }

    /// Waits for its end.
    pub(crate) fn join(self) {
        // SAFETY: started by `start`, and joined nowhere else.
        unsafe { libc::pthread_join(self.0, std::ptr::null_mut()) };
    }
}

/// A thread of ours uses 12 KiB of it, and a panic that prints a stack trace finds room, too. The usual stack of 8 MiB
/// counts against the program's limits.
const STACK: usize = 64 * 1024;

fn with_small_stack(create: impl FnOnce(*const libc::pthread_attr_t) -> i32) -> i32 {
    let mut attributes = MaybeUninit::uninit();
    // SAFETY: initialised here, and destroyed after its last use.
    unsafe {
        let failed = libc::pthread_attr_init(attributes.as_mut_ptr());
        if failed != 0 {
            return failed;
        }
        let size = STACK.max(libc::PTHREAD_STACK_MIN) + thread_locals(attributes.as_ptr());
        let failed = libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), size);
        let rc = if failed == 0 {
            create(attributes.as_ptr())
        } else {
            failed
        };
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        rc
    }
}

/// glibc takes the room for the program's thread-local variables from the stack, whole pages of it, and says how much only
/// through a function of its own that std asks as well.
fn thread_locals(attributes: *const libc::pthread_attr_t) -> usize {
    type MinStack = unsafe extern "C" fn(*const libc::pthread_attr_t) -> libc::size_t;
    const PAGES: usize = 64 * 1024; // of any architecture
    // SAFETY: a symbol of the C library's with this signature, or null.
    let least = unsafe {
        let found = libc::dlsym(libc::RTLD_DEFAULT, c"__pthread_get_minstack".as_ptr());
        match std::mem::transmute::<*mut c_void, Option<MinStack>>(found) {
            Some(least) => least(attributes),
            None => 0,
        }
    };
    least.saturating_sub(STACK / 2).next_multiple_of(PAGES)
}

/// `run` is a leaked `Box<F>`.
extern "C" fn begin<F: FnOnce()>(run: *mut c_void) -> *mut c_void {
    // SAFETY: made by `start` for this thread.
    let run = unsafe { Box::from_raw(run.cast::<F>()) };
    if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
        std::mem::forget(payload); // to drop it may panic in turn; and there is nobody to tell
    }
    std::ptr::null_mut()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Writes to each of so many bytes of stack.
    #[inline(never)]
    fn use_stack(bytes: usize) -> u8 {
        let page = std::hint::black_box([1u8; 1024]);
        match bytes.checked_sub(page.len()) {
            Some(rest) => use_stack(rest).wrapping_add(std::hint::black_box(page)[rest % page.len()]),
            None => page[0],
        }
    }

    #[test]
    fn the_small_stack_holds_what_a_thread_of_ours_needs_and_a_panic() {
        let ran = Arc::new(AtomicBool::new(false));
        let thread = {
            let ran = Arc::clone(&ran);
            Thread::start(c"jlock-test", move || {
                use_stack(16 * 1024);
                ran.store(true, Ordering::Release);
                panic!("contained, with a stack trace if the environment asks for one");
            })
        };
        thread.unwrap().join();
        assert!(ran.load(Ordering::Acquire));
    }
}

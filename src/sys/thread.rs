//! A thread of the library's own, by pthread alone: what std adds to one (names, handles, a stack guard's signal handler,
//! the thread's results) is larger than all of the waiting.

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
        // SAFETY: `begin` gets what it asks for, once.
        let rc = process::without_signals(|| unsafe {
            libc::pthread_create(thread.as_mut_ptr(), std::ptr::null(), begin::<F>, run.cast())
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

/// `run` is a leaked `Box<F>`.
extern "C" fn begin<F: FnOnce()>(run: *mut c_void) -> *mut c_void {
    // SAFETY: made by `start` for this thread.
    let run = unsafe { Box::from_raw(run.cast::<F>()) };
    if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
        std::mem::forget(payload); // to drop it may panic in turn; and there is nobody to tell
    }
    std::ptr::null_mut()
}

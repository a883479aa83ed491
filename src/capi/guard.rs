//! The boundary: nothing unwinds into C, and nothing that comes from C is trusted.

use std::any::Any;
use std::borrow::Cow;
use std::ffi::c_char;
use std::mem::{MaybeUninit, size_of};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::abi;
use crate::error::{self, E2BIG, EINVAL, Error, Result};
use crate::handle::Lock;
use crate::memory::OutOfMemory;
use crate::sys::errno::preserving_errno;
use crate::sys::fork::is_whole;
use crate::sys::process::without_cancellation;

/// A handle. Made by jlock_open() or jlock_open_at(), ended by jlock_close().
#[allow(non_camel_case_types)]
pub struct jlock {
    lock: Lock,
    /// The last failure's message.
    failure: Mutex<Cow<'static, str>>,
    /// A panic was contained: the handle may be half changed.
    poisoned: AtomicBool,
}

impl jlock {
    fn failure(&self) -> MutexGuard<'_, Cow<'static, str>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner) // a message is never half written
    }

    pub(super) fn new(lock: Lock) -> jlock {
        jlock {
            lock,
            failure: Mutex::default(),
            poisoned: AtomicBool::new(false),
        }
    }

    /// Keeps a failure's message; not in a forked child, where a thread that does not exist may have it locked.
    fn keep(&self, error: Error) {
        if self.lock.check_process().is_ok() {
            *self.failure() = error.into_message();
        }
    }

    pub(super) fn close(self) -> Result<()> {
        let jlock {
            lock,
            failure,
            poisoned,
        } = self;
        if !is_whole(&failure) {
            std::mem::forget(failure);
        }
        let ours = lock.check_process().is_ok();
        let closed = lock.close();
        match ours && poisoned.into_inner() {
            true => Err(Error::plain(abi::JLOCK_EPANIC)),
            false => closed,
        }
    }
}

/// Runs `act`; a panic becomes `JLOCK_EPANIC`.
pub(super) fn contain(act: impl Fn() -> Result<i32>) -> i32 {
    contain_dyn(&act)
}

/// Compiled once for all calls, as is [`with_dyn`].
fn contain_dyn(act: &dyn Fn() -> Result<i32>) -> i32 {
    leaving_the_thread_as_it_was(|| attempt(act).unwrap_or_else(|error| error.code()))
}

/// Leaves `errno` alone, and lets a thread be cancelled only between calls.
fn leaving_the_thread_as_it_was<T>(run: impl FnOnce() -> T) -> T {
    preserving_errno(|| without_cancellation(run))
}

fn attempt(act: &dyn Fn() -> Result<i32>) -> Result<i32> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|payload| Err(contained(payload)))
}

/// What unwound, as an error; for a panic, with its message. Allocates nothing.
fn contained(payload: Box<dyn Any + Send>) -> Error {
    if payload.is::<OutOfMemory>() {
        return OutOfMemory.into();
    }
    let message = match payload.downcast::<String>() {
        Ok(message) => Cow::Owned(*message),
        Err(payload) => {
            let message = payload.downcast_ref::<&'static str>().copied();
            // Dropping a payload runs code that may panic in turn.
            std::mem::forget(payload);
            Cow::Borrowed(message.unwrap_or(error::text(abi::JLOCK_EPANIC)))
        }
    };
    Error::new(abi::JLOCK_EPANIC, message)
}

/// Runs `act` on a handle's lock; a panic poisons the handle.
///
/// # Safety
/// `handle` is NULL or was made by this library and not closed yet.
pub(super) unsafe fn with(handle: *const jlock, act: impl Fn(&Lock) -> Result<i32>) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { with_dyn(handle, &act) }
}

/// # Safety
/// As [`with`].
unsafe fn with_dyn(handle: *const jlock, act: &dyn Fn(&Lock) -> Result<i32>) -> i32 {
    // SAFETY: as the caller promises. Shared: other threads may use the handle at the same time.
    let Some(handle) = (unsafe { handle.as_ref() }) else {
        return -EINVAL;
    };
    if handle.poisoned.load(Ordering::Acquire) {
        return abi::JLOCK_EPANIC;
    }
    let run = || {
        attempt(&|| act(&handle.lock)).unwrap_or_else(|error| {
            let code = error.code();
            if code == abi::JLOCK_EPANIC {
                handle.poisoned.store(true, Ordering::Release);
            }
            handle.keep(error);
            code
        })
    };
    leaving_the_thread_as_it_was(run)
}

/// Runs `act` on the last failure's message, which it does not change.
///
/// # Safety
/// As [`with`].
pub(super) unsafe fn with_message(handle: *const jlock, act: impl Fn(&str) -> Result<i32>) -> i32 {
    // SAFETY: as the caller promises.
    let Some(handle) = (unsafe { handle.as_ref() }) else {
        return -EINVAL;
    };
    // A forked child must not wait for a thread that does not exist there.
    contain(|| handle.lock.check_process().and_then(|()| act(&handle.failure())))
}

/// A bad argument.
pub(super) fn invalid(why: &'static str) -> Error {
    Error::new(-EINVAL, why)
}

/// The size of the caller's struct, if it can be that of some version.
fn check_size(size: usize, first_size: usize) -> Result<()> {
    match size {
        _ if size < first_size => Err(invalid("the struct's size is below that of the first version")),
        _ if size > MAX_SIZE => Err(Error::new(-E2BIG, "the struct's size is beyond that of any version")),
        _ => Ok(()),
    }
}

/// Copies a struct of `size` bytes, by the kernel's rule for structs that grow (openat2(2)): fields that a shorter one lacks
/// are zero, and the additional fields of a longer one must be zero.
///
/// # Safety
/// `from` points to `size` readable bytes.
pub(super) unsafe fn read_sized<T: Copy>(from: *const T, size: usize, first_size: usize) -> Result<T> {
    let bytes = from.cast::<u8>();
    check_size(size, first_size)?;
    for at in size_of::<T>()..size {
        // SAFETY: within the size that the caller gave.
        if unsafe { bytes.add(at).read() } != 0 {
            return Err(Error::new(
                -E2BIG,
                "a struct with fields that this version does not know",
            ));
        }
    }
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: the shorter of the two is readable there and fits here.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes, value.as_mut_ptr().cast(), size.min(size_of::<T>()));
        // Every T of this library is valid when zero, and any bytes are.
        Ok(value.assume_init())
    }
}

/// A struct of the caller's that a call is to fill. Its size has been checked.
#[derive(Clone, Copy)]
pub(super) struct Room<T> {
    to: *mut T,
    size: usize,
}

impl<T: Copy> Room<T> {
    pub(super) fn new(to: *mut T, size: usize, first_size: usize) -> Result<Room<T>> {
        if to.is_null() {
            return Err(invalid("NULL"));
        }
        check_size(size, first_size)?;
        Ok(Room { to, size })
    }

    /// Writes as much of `value` as there is room for, and zeros beyond it.
    ///
    /// # Safety
    /// The caller's struct has as many writable bytes as the caller said.
    pub(super) unsafe fn fill(self, value: &T) {
        let common = self.size.min(size_of::<T>());
        let (from, to) = (std::ptr::from_ref(value).cast::<u8>(), self.to.cast::<u8>());
        // SAFETY: within the size that the caller gave, and within the value.
        unsafe {
            std::ptr::copy_nonoverlapping(from, to, common);
            std::ptr::write_bytes(to.add(common), 0, self.size - common);
        }
    }
}

/// Text for a struct: NUL-terminated, cut to fit.
pub(super) fn chars<const N: usize>(text: &str) -> [c_char; N] {
    let mut chars = [0; N];
    for (to, from) in chars[..N - 1].iter_mut().zip(text.bytes()) {
        *to = from as c_char;
    }
    chars
}

/// No struct of any version is larger. (The kernel has the same limit: a page.)
const MAX_SIZE: usize = 4096;

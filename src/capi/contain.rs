//! In the library that is installed, these functions replace std's handlers of a panic and of a failed allocation
//! (`mk/library.mk` links it so). std's handlers print to standard error, where a library should not write, and the code for
//! printing a stack trace would be half the library's size. These print nothing, and unwind to the boundary.
//!
//! If something fails while a thread unwinds already, the process ends, as everywhere in Rust.

use core::panic::PanicInfo;
use std::alloc::{GlobalAlloc, Layout, System};
use std::any::Any;
use std::cell::UnsafeCell;
use std::fmt::Write;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::memory::OutOfMemory;

/// In place of `rust_begin_unwind`.
#[unsafe(no_mangle)]
fn __jlock_panicked(info: &PanicInfo<'_>) -> ! {
    end_if_unwinding();
    resume_unwind(message(info))
}

/// In place of `__rust_alloc_error_handler`.
#[unsafe(no_mangle)]
fn __jlock_out_of_memory(_size: usize, _align: usize) -> ! {
    end_if_unwinding();
    resume_unwind(Box::new(OutOfMemory)) // of no size: nothing is allocated
}

fn end_if_unwinding() {
    if std::thread::panicking() {
        std::process::abort();
    }
}

/// Where and what, as a `String`; less of it, or nothing, if there is no memory. (A bug is reported as a bug even then.)
fn message(info: &PanicInfo<'_>) -> Box<dyn Any + Send> {
    let mut text = Text(String::new());
    let _ = match info.location() {
        Some(location) => write!(text, "{location}: {}", info.message()),
        None => write!(text, "{}", info.message()),
    };
    boxed(text.0).unwrap_or_else(|| Box::new(()))
}

/// A text that is cut where memory runs out.
struct Text(String);

impl Write for Text {
    fn write_str(&mut self, more: &str) -> std::fmt::Result {
        self.0.try_reserve(more.len()).map_err(|_| std::fmt::Error)?;
        self.0.push_str(more);
        Ok(())
    }
}

/// A `Box::new` that may fail.
fn boxed(text: String) -> Option<Box<dyn Any + Send>> {
    // SAFETY: a String has a size, and the place is written before it is anybody's.
    unsafe {
        let place = std::alloc::alloc(Layout::new::<String>()).cast::<String>();
        (!place.is_null()).then(|| {
            place.write(text);
            Box::from_raw(place) as _
        })
    }
}

// ------------------------------------------------------------------------------------------------------- the reserve

/// The system's memory, with a reserve for what std allocates to unwind.
struct Heap;

#[global_allocator]
static HEAP: Heap = Heap;

// SAFETY: the system's, or a slot that nobody else has until it is given back.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let place = unsafe { System.alloc(layout) };
        match place.is_null() && std::thread::panicking() {
            true => take(layout),
            false => place,
        }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        match slot_at(place) {
            Some(slot) => slot.taken.store(false, Ordering::Release),
            // SAFETY: as the caller promises, and not from the reserve.
            None => unsafe { System.dealloc(place, layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        match slot_at(place) {
            Some(_) => std::ptr::null_mut(),
            // SAFETY: as the caller promises, and not from the reserve.
            None => unsafe { System.realloc(place, layout, size) },
        }
    }
}

/// One for each thread that unwinds without memory at the same time; more than these end the process.
static RESERVE: [Slot; 16] = [const { Slot::new() }; 16];

/// Room for what std throws: about 110 bytes on 32-bit ARM, whose unwinder keeps most in it.
const SLOT_SIZE: usize = 128;

#[repr(C, align(16))]
struct Slot {
    bytes: UnsafeCell<[u8; SLOT_SIZE]>,
    taken: AtomicBool,
}

// SAFETY: the bytes are touched by whoever has taken the slot.
unsafe impl Sync for Slot {}

impl Slot {
    const fn new() -> Slot {
        Slot {
            bytes: UnsafeCell::new([0; SLOT_SIZE]),
            taken: AtomicBool::new(false),
        }
    }
}

fn take(layout: Layout) -> *mut u8 {
    if layout.size() > SLOT_SIZE || layout.align() > align_of::<Slot>() {
        return std::ptr::null_mut();
    }
    let free = RESERVE.iter().find(|slot| !slot.taken.swap(true, Ordering::Acquire));
    free.map_or(std::ptr::null_mut(), |slot| slot.bytes.get().cast())
}

fn slot_at(place: *mut u8) -> Option<&'static Slot> {
    let offset = (place as usize).wrapping_sub(RESERVE.as_ptr() as usize);
    RESERVE.get(offset / size_of::<Slot>())
}

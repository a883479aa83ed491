//! Decimal numbers, read by the C library: the parser of Rust's standard library is 16 KB of code and tables.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

unsafe extern "C" {
    fn newlocale(mask: c_int, locale: *const c_char, base: *mut c_void) -> *mut c_void;
    fn freelocale(locale: *mut c_void);
    fn strtod_l(text: *const c_char, end: *mut *mut c_char, locale: *mut c_void) -> f64;
}

/// What the text begins with, rounded to the nearest double. The program's locale may want a comma where we have a point, so
/// the one of C is used. `None`: there is no memory for it.
pub(crate) fn decimal(text: &CStr) -> Option<f64> {
    // SAFETY: a name that ends in NUL, and no locale to change.
    let locale = unsafe { newlocale(1 << libc::LC_NUMERIC, c"C".as_ptr(), ptr::null_mut()) };
    if locale.is_null() {
        return None;
    }
    // SAFETY: a text that ends in NUL, and the locale just made, which nobody uses afterwards.
    unsafe {
        let number = strtod_l(text.as_ptr(), ptr::null_mut(), locale);
        freelocale(locale);
        Some(number)
    }
}

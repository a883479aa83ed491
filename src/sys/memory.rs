//! Memory in bulk: huge pages for what is about to be filled, and the C library's search.

/// Asks for huge pages for the unused room of a vector, if that is large: to fault in each small page takes longer than to
/// fill it. This is a hint; without it everything is slower, but the same.
pub(crate) fn expect_much<T>(vector: &mut Vec<T>) {
    const HUGE: usize = 2 << 20;
    let room = vector.spare_capacity_mut();
    let bytes = std::mem::size_of_val(room);
    let start = room.as_mut_ptr().cast::<u8>();
    let skipped = start.align_offset(HUGE);
    if bytes < skipped.saturating_add(HUGE) {
        return;
    }
    // SAFETY: the range lies within the vector's own room; the advice changes no content.
    let advised = unsafe {
        let aligned = start.add(skipped).cast();
        rustix::mm::madvise(
            aligned,
            (bytes - skipped) / HUGE * HUGE,
            rustix::mm::Advice::LinuxHugepage,
        )
    };
    let _ = advised; // a kernel without them: then they stay small
}

/// The first byte `needle` in `haystack`, by the C library's vectorised search.
#[inline]
pub(crate) fn find_byte(needle: u8, haystack: &[u8]) -> Option<usize> {
    // SAFETY: pointer and length come from one slice; memchr returns NULL or a pointer into it.
    let found = unsafe { libc::memchr(haystack.as_ptr().cast(), needle.into(), haystack.len()) };
    (!found.is_null()).then(|| found as usize - haystack.as_ptr() as usize)
}

/// Where the first `byte` or NUL is in what ends with a NUL: two searches for the price of one.
#[inline]
pub(crate) fn find_byte_or_nul(byte: u8, terminated: &[u8]) -> usize {
    assert_eq!(terminated.last(), Some(&0), "it ends with a NUL");
    // SAFETY: a NUL ends the search within the slice.
    let found = unsafe { libc::strchrnul(terminated.as_ptr().cast(), byte.into()) };
    found as usize - terminated.as_ptr() as usize
}

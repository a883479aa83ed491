//! Structs from C with arbitrary bytes: they are never read or written beyond what their size says (AddressSanitizer checks
//! that, because each is a separate allocation), and accepted or refused by the kernel's rule for structs that grow.
#![no_main]

use std::ffi::c_int;
use std::mem::size_of;
use std::ptr;
use std::sync::LazyLock;

use jlock::abi::{JLOCK_EENTRY, jlock_entry, jlock_holder, jlock_options};
use jlock_fuzz::c::{Handle, jlock_acquire, jlock_append, jlock_inspect, jlock_message, jlock_open_at, open};
use jlock_fuzz::{directory, split};
use libfuzzer_sys::fuzz_target;

struct Scene {
    free: *mut Handle,
    mine: *mut Handle,
}

// SAFETY: a handle may be used by any thread.
unsafe impl Send for Scene {}
// SAFETY: at the same time, too.
unsafe impl Sync for Scene {}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let dir = directory();
    let scene = Scene {
        free: open(&dir.join("free")),
        mine: open(&dir.join("mine")),
    };
    // SAFETY: an open handle.
    assert_eq!(unsafe { jlock_acquire(scene.mine) }, 0);
    scene
});

fuzz_target!(|data: &[u8]| {
    let (what, bytes) = split(data);
    match what % 4 {
        0 => options(bytes),
        1 => holder(bytes, if what & 4 == 0 { SCENE.free } else { SCENE.mine }),
        2 => entries(bytes),
        _ => message(bytes),
    }
});

/// The size that the first two bytes give, and a struct of that many bytes, filled with those that follow. If the size is beyond
/// a page, the library looks at nothing, so there is nothing.
fn sized(bytes: &[u8]) -> Option<(Box<[u8]>, usize)> {
    let (size, bytes) = bytes.split_first_chunk()?;
    let size = usize::from(u16::from_ne_bytes(*size));
    let mut whole = bytes.to_vec();
    whole.resize(if size > 4096 { 0 } else { size }, 0);
    Some((whole.into_boxed_slice(), size))
}

fn options(bytes: &[u8]) {
    const FIRST: usize = 20;
    let Some((whole, size)) = sized(bytes) else { return };
    let field = |at: usize| {
        whole
            .get(at..at + 4)
            .map_or(0, |b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]))
    };
    let known = size_of::<jlock_options>();
    let expected = match () {
        () if size < FIRST => -libc::EINVAL,
        () if size > 4096 || whole.iter().skip(known).any(|b| *b != 0) => -libc::E2BIG,
        () if field(0) > 7 || field(8) == 0 || field(12) == 0 => -libc::EINVAL,
        () => -libc::EBADF,
    };
    let mut handle = ptr::dangling_mut();
    // SAFETY: as many bytes as the size says, or as the library looks at. There is no such directory.
    let rc = unsafe { jlock_open_at(-1, c"a".as_ptr(), whole.as_ptr().cast(), size, &mut handle) };
    assert_eq!(rc, expected, "{size}: {whole:?}");
    assert!(handle.is_null());
}

fn holder(bytes: &[u8], handle: *mut Handle) {
    const FIRST: usize = 152;
    let Some((mut whole, size)) = sized(bytes) else { return };
    whole.fill(0xaa);
    let before = whole.clone();
    // SAFETY: as many bytes as the size says, or as the library looks at.
    let rc = unsafe { jlock_inspect(handle, whole.as_mut_ptr().cast(), size) };
    if (FIRST..=4096).contains(&size) {
        assert_eq!(rc, 0);
        assert!(whole.iter().skip(size_of::<jlock_holder>()).all(|b| *b == 0));
    } else {
        assert_eq!(rc, if size < FIRST { -libc::EINVAL } else { -libc::E2BIG });
        assert_eq!(whole, before);
    }
}

/// Entries that end with one that is always refused, so that nothing is ever written.
fn entries(bytes: &[u8]) {
    let mut paths: Vec<Box<[u8]>> = Vec::new();
    let mut entries: Vec<jlock_entry> = Vec::new();
    let (mut expected, mut rest) = (JLOCK_EENTRY, bytes);
    while let [how, kind, length, after @ ..] = rest {
        let (path, after) = after.split_at(usize::from(*length).min(after.len()));
        let (entry, rc) = entry(*how, *kind, path, &mut paths);
        if expected == JLOCK_EENTRY {
            expected = rc;
        }
        entries.push(entry);
        rest = after;
    }
    entries.push(jlock_entry {
        path: c"".as_ptr(),
        path_len: 0,
        kind: 0,
        reserved: 0,
    });
    let entries = entries.into_boxed_slice();
    // SAFETY: this many entries, whose paths live on.
    assert_eq!(
        unsafe { jlock_append(SCENE.mine, entries.as_ptr(), entries.len()) },
        expected
    );
}

/// One entry, and the call's result because of it: JLOCK_EENTRY if it is valid, because the last entry is refused like that.
fn entry(how: u8, kind: u8, path: &[u8], paths: &mut Vec<Box<[u8]>>) -> (jlock_entry, c_int) {
    let terminated = how & 1 != 0;
    let mut bytes = path.to_vec();
    if terminated {
        bytes.push(0);
    }
    paths.push(bytes.into_boxed_slice());
    let mut entry = jlock_entry {
        path: paths.last().expect("pushed just now").as_ptr().cast(),
        path_len: if terminated { usize::MAX } else { path.len() },
        kind: kind.into(),
        reserved: 0,
    };
    match how >> 1 {
        1 => entry.path = ptr::null(),
        2 => entry.path_len = isize::MAX as usize + 1 + path.len(),
        3 => entry.reserved = 1,
        _ => {}
    }
    let malformed = kind > 1 || matches!(how >> 1, 1..=3);
    (entry, if malformed { -libc::EINVAL } else { JLOCK_EENTRY })
}

fn message(bytes: &[u8]) {
    let room = bytes.len();
    let mut whole = bytes.to_vec().into_boxed_slice();
    // SAFETY: this much room, after a failure that has a message.
    let (again, length) = unsafe {
        let again = jlock_acquire(SCENE.mine);
        (again, jlock_message(SCENE.mine, whole.as_mut_ptr().cast(), room))
    };
    assert_eq!(again, -libc::EDEADLK);
    let fits = room.saturating_sub(1).min(length as usize);
    assert!(length > 0 && (room == 0 || whole[fits] == 0));
    assert!(whole[..fits].iter().all(|b| *b != 0));
    assert_eq!(whole.get(fits + 1..), bytes.get(fits + 1..));
}

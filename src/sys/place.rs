//! What the system knows about the place where a file stands.

use std::os::fd::AsRawFd;

use super::{Errno, Fd, Result, around, open_proc, read_behind, uninterrupted};

/// A mounted file system.
#[derive(Debug, Default)]
pub(crate) struct Mount {
    /// Its type: "ext4"; or, where the system does not say, its magic number in hexadecimal.
    pub kind: String,
    /// The options of the mount and of the file system, separated by commas.
    pub options: String,
}

/// The mount that an open file was reached through. What the mount itself says is believed rather than `statfs`, in which
/// a file server's word may stand.
pub(crate) fn mount(file: &Fd) -> Result<Mount> {
    if let Some(mount) = mount_in_proc(file) {
        return Ok(mount);
    }
    // f_type is signed on some architectures and wider than the magic number on others.
    #[allow(clippy::unnecessary_cast, clippy::cast_possible_truncation)]
    let magic = uninterrupted("fstatfs", || rustix::fs::fstatfs(file.borrow()?))?.f_type as u32;
    let kind = format!("{magic:#x}");
    Ok(Mount {
        kind,
        options: String::new(),
    })
}

/// `None`: there is no /proc, or it does not show this mount. (By bytes: what searches for text is large.)
fn mount_in_proc(file: &Fd) -> Option<Mount> {
    let path = std::ffi::CString::new(format!("/proc/self/fdinfo/{}", file.number().ok()?)).ok()?;
    let info = read_proc(&path)?;
    let id = lines(&info)
        .find_map(|line| line.strip_prefix(b"mnt_id:"))?
        .trim_ascii();
    let mounts = read_proc(c"/proc/self/mountinfo")?;
    // proc_pid_mountinfo(5): ID PARENT DEVICE ROOT POINT OPTIONS [FIELD]... - TYPE SOURCE OPTIONS
    let mut mount = lines(&mounts)
        .map(|line| line.split(|byte| *byte == b' '))
        .find(|fields| fields.clone().next() == Some(id))?;
    let mut options = mount.nth(5)?.to_vec();
    mount.find(|field| *field == b"-")?;
    let kind = String::from_utf8(mount.next()?.to_vec()).ok()?;
    options.push(b',');
    options.extend_from_slice(mount.nth(1)?);
    let options = String::from_utf8(options).ok()?;
    Some(Mount { kind, options })
}

fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split(|byte| *byte == b'\n')
}

fn read_proc(path: &std::ffi::CStr) -> Option<Vec<u8>> {
    let file = open_proc(path).ok()?;
    let mut content = Vec::new();
    loop {
        content.try_reserve(4096).ok()?;
        let (at, room) = (content.len() as u64, content.capacity() - content.len());
        read_behind(&file, &mut content, at, room).ok()?;
        if content.len() < content.capacity() {
            return Some(content);
        }
    }
}

/// From asm-generic/fcntl.h, for all architectures that Rust and Linux share; the crate libc lacks it.
const F_SETSIG: libc::c_int = 10;

/// Whether a read lease on this file, which is open to read only, is granted. It is given back at once. `Ok(false)`:
/// somebody has the file open to write.
pub(crate) fn lease(file: &Fd) -> Result<bool> {
    let lease = |kind: libc::c_int| {
        around("fcntl", || {
            let fd = file.borrow()?.as_raw_fd();
            // SAFETY: the descriptor is open, and the argument is a number.
            match unsafe { libc::fcntl(fd, libc::F_SETLEASE, kind) } {
                0 => Ok(()),
                _ => Err(last_error()),
            }
        })
    };
    around("fcntl", || {
        let fd = file.borrow()?.as_raw_fd();
        // A break would be reported with SIGIO, which ends a process that does not expect it; SIGURG is ignored.
        // SAFETY: as above.
        match unsafe { libc::fcntl(fd, F_SETSIG, libc::SIGURG) } {
            0 => Ok(()),
            _ => Err(last_error()),
        }
    })?;
    match lease(libc::F_RDLCK) {
        Ok(()) => lease(libc::F_UNLCK).map(|()| true),
        Err(Errno::AGAIN) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

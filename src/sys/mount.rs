//! What file system a directory is on.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::sync::Mutex;

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};

use super::process::{read_proc, value_in};
use super::{Errno, Fd, Result, uninterrupted};

/// A type of file system whose locks are this kernel's alone.
struct Local {
    /// As in linux/magic.h.
    magic: u32,
    names: &'static [&'static str],
    on_disk: bool,
}

const fn on_disk(magic: u32, names: &'static [&'static str]) -> Local {
    let on_disk = true;
    Local { magic, names, on_disk }
}

const fn in_memory(magic: u32, names: &'static [&'static str]) -> Local {
    let on_disk = false;
    Local { magic, names, on_disk }
}

const LOCAL: [Local; 15] = [
    on_disk(0xef53, &["ext4", "ext3", "ext2"]),
    on_disk(0x5846_5342, &["xfs"]),
    on_disk(0x9123_683e, &["btrfs"]),
    on_disk(0x794c_7630, &["overlay"]),
    on_disk(0xf2f5_2010, &["f2fs"]),
    on_disk(0x2fc1_2fc1, &["zfs"]),
    on_disk(0xca45_1a4e, &["bcachefs"]),
    on_disk(0x4d44, &["vfat", "msdos"]),
    on_disk(0x2011_bab0, &["exfat"]),
    on_disk(0x5265_4973, &["reiserfs"]),
    on_disk(0x3153_464a, &["jfs"]),
    on_disk(0x3434, &["nilfs2"]),
    on_disk(0x2405_1905, &["ubifs"]),
    in_memory(0x0102_1994, &["tmpfs", "devtmpfs", "rootfs"]),
    in_memory(0x8584_58f6, &["ramfs", "rootfs"]),
];

/// Whether the file system keeps its locks on this machine alone. If that cannot be found out, it counts as a network's.
///
/// The magic number is not enough: a 9p mount passes on the number of its server's file system. The mount's own type
/// decides, but we look it up only if the number says "local", because that takes longer.
pub(crate) fn is_local(file: &Fd) -> Result<bool> {
    let asked = uninterrupted("fstatfs", || {
        let magic = magic(file.borrow()?)?;
        Ok(match LOCAL.iter().find(|local| local.magic == magic) {
            Some(local) => match Mount::of(file)? {
                Some(mount) => mount.is_one_of(local.names)?,
                None => false,
            },
            None => false,
        })
    });
    Ok(answer(asked)?.unwrap_or(false))
}

/// The type of the file system, for a message.
pub(crate) fn fs_name(file: &Fd) -> String {
    let Ok(dir) = file.borrow() else {
        return "unknown".into();
    };
    let mount = Mount::of(file).ok().flatten();
    let named = mount.and_then(|mount| mounted_as(mount.id).ok()?);
    named.map_or_else(
        || match magic(dir) {
            Ok(magic) => format!("type {magic:#x}"),
            Err(_) => "unknown".into(),
        },
        |named| named.kind,
    )
}

/// A file system as it is mounted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Mounted {
    /// Its type: "ext4"; or, where the system does not say, its magic number in hexadecimal.
    pub kind: String,
    /// The options of the mount and of the file system, separated by commas.
    pub options: String,
}

impl Mounted {
    /// Whether [`is_local`] says so of this type, on a kernel that tells which mount a directory is on; and then, whether it is
    /// on a disk.
    pub fn local_disk(&self) -> Option<bool> {
        let local = LOCAL.iter().find(|local| local.names.contains(&self.kind.as_str()))?;
        Some(local.on_disk)
    }
}

/// How the file system through which an open file was reached is mounted. We rely on what the mount itself says rather than
/// on `statfs`, which may pass on what a file server says.
pub(crate) fn mounted(file: &Fd) -> Result<Mounted> {
    if let Some(id) = mount_id(file)? {
        if let Some(mounted) = mounted_as(id)? {
            return Ok(mounted);
        }
    }
    let magic = uninterrupted("fstatfs", || magic(file.borrow()?))?;
    Ok(Mounted {
        kind: format!("{magic:#x}"),
        options: String::new(),
    })
}

/// `None` where the system does not answer. An error if this process just has no room to ask: a handle that is opened now must
/// not use weaker means for the rest of its life.
fn answer<T>(asked: Result<T>) -> Result<Option<T>> {
    match asked {
        Ok(answer) => Ok(Some(answer)),
        Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => Err(errno),
        Err(_) => Ok(None),
    }
}

/// Also from a kernel that `statx` cannot ask. `None`: there is no /proc.
fn mount_id(file: &Fd) -> Result<Option<u64>> {
    let path = CString::new(format!("/proc/self/fdinfo/{}", file.number()?)).map_err(|_| Errno::INVAL)?;
    let info = answer(read_proc(&path))?.unwrap_or_default();
    let id = value_in(&info, "mnt_id:");
    Ok(id.and_then(|id| id.trim_ascii().parse().ok()))
}

// f_type is signed on some architectures and wider than the magic number on others.
#[allow(clippy::unnecessary_cast, clippy::cast_possible_truncation)]
fn magic(dir: BorrowedFd<'_>) -> Result<u32> {
    Ok(rustix::fs::fstatfs(dir)?.f_type as u32)
}

/// A mount of this process's mount namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Mount {
    id: u64,
    device: (u32, u32),
}

impl Mount {
    /// A kernel before 5.8 does not say it to `statx`; qemu-user says that it does, and leaves it zero. Then /proc says it.
    /// `None`: nobody does.
    fn of(file: &Fd) -> Result<Option<Mount>> {
        let asked = rustix::fs::statx(file.borrow()?, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID);
        let Some(statx) = answer(asked)? else {
            return Ok(None);
        };
        let knows = statx.stx_mask & StatxFlags::MNT_ID.bits() != 0 && statx.stx_mnt_id != 0;
        let id = if knows { Some(statx.stx_mnt_id) } else { mount_id(file)? };
        let device = (statx.stx_dev_major, statx.stx_dev_minor);
        Ok(id.map(|id| Mount { id, device }))
    }

    /// Whether its type is one of these. Asked once for each mount: to read the table of mounts takes longer than all
    /// else that opening a handle does.
    fn is_one_of(self, names: &[&str]) -> Result<bool> {
        if let Some(is) = self.remembered() {
            return Ok(is);
        }
        let Some(mounted) = mounted_as(self.id)? else {
            return Ok(false); // nothing to remember: another time the table may be there to read
        };
        let is = names.contains(&mounted.kind.as_str());
        self.remember(is);
        Ok(is)
    }

    fn remembered(self) -> Option<bool> {
        let known = KNOWN.try_lock().ok()?;
        let mut entries = known.iter().flatten();
        entries.find(|(mount, _)| *mount == self).map(|(_, is)| *is)
    }

    fn remember(self, is: bool) {
        if let Ok(mut known) = KNOWN.try_lock() {
            known.rotate_right(1);
            known[0] = Some((self, is));
        }
    }
}

/// The last mounts that were asked for. Nobody waits for it: a thread that fork left behind may have it locked.
static KNOWN: Mutex<[Option<(Mount, bool)>; 8]> = Mutex::new([None; 8]);

/// From the table of mounts. `None`: unknown. An error: this process has no room to read it just now.
fn mounted_as(id: u64) -> Result<Option<Mounted>> {
    let table = answer(mounts())?.unwrap_or_default();
    let mut lines = table.split(|byte| *byte == b'\n');
    Ok(lines.find_map(|line| mounted_in(line, id)))
}

/// proc_pid_mountinfo(5): ID PARENT DEVICE ROOT POINT OPTIONS [FIELD]... - TYPE SOURCE OPTIONS
fn mounted_in(line: &[u8], id: u64) -> Option<Mounted> {
    let mut fields = line.split(|byte| *byte == b' ');
    let text = |field: &[u8]| String::from_utf8(field.to_vec()).ok();
    if text(fields.next()?)?.parse() != Ok(id) {
        return None;
    }
    let mut options = text(fields.nth(4)?)?;
    fields.find(|field| *field == b"-")?;
    let kind = text(fields.next()?)?;
    options.push(',');
    options.push_str(&text(fields.nth(1)?)?);
    Some(Mounted { kind, options })
}

/// Not through the seam: it is a part of the one question that each caller asks, and [`is_local`] does not ask it each time.
fn mounts() -> Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(c"/proc/self/mountinfo", flags, Mode::empty())?;
    let mut content = Vec::new();
    loop {
        content.try_reserve(4096).map_err(|_| Errno::NOMEM)?;
        let length = content.len();
        let room: &mut [MaybeUninit<u8>] = content.spare_capacity_mut();
        match rustix::io::pread(&file, room, length as u64).map(|(read, _)| read.len()) {
            Ok(0) => return Ok(content),
            // SAFETY: `pread` has initialised so many bytes more.
            Ok(read) => unsafe { content.set_len(length + read) },
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::ends_in_a_child;
    use super::*;

    #[test]
    fn the_type_follows_the_optional_fields() {
        let line = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
        let type_in = |line: &str, id| mounted_in(line.as_bytes(), id).map(|mounted| mounted.kind);
        assert_eq!(type_in(line, 36).as_deref(), Some("ext3"));
        assert_eq!(
            type_in("36 35 98:0 / /a\\040-\\040b rw - 9p host rw", 36).as_deref(),
            Some("9p")
        );
        assert_eq!(type_in(line, 35), None);
        assert_eq!(type_in("", 35), None);
        let options = mounted_in(line.as_bytes(), 36).map(|mounted| mounted.options);
        assert_eq!(options.as_deref(), Some("rw,noatime,rw,errors=continue"));
    }

    #[test]
    fn what_the_mount_says_counts_and_not_what_the_server_passes_on() {
        let shm = super::super::open_dir(c"/dev/shm").unwrap();
        assert_eq!(is_local(&shm), Ok(true));
        assert_eq!(is_local(&shm), Ok(true)); // as remembered
        assert_eq!(fs_name(&shm), "tmpfs");
        let proc = super::super::open_dir(c"/proc").unwrap();
        assert_eq!(is_local(&proc), Ok(false));
        assert_eq!(fs_name(&proc), "proc");
        let mount = Mount::of(&shm).unwrap().unwrap();
        assert_eq!(
            mount_id(&shm),
            Ok(Some(mount.id)),
            "what /proc says to older kernels' users"
        );
        let other = Mount {
            id: mount.id + (1 << 30),
            ..mount
        };
        assert_eq!(other.is_one_of(&["tmpfs"]), Ok(false), "no such mount");
    }

    /// In a child, because the limit is the whole process's. The child opens the directory: it may not use its parent's.
    #[test]
    fn whoever_has_no_descriptor_left_is_told_so() {
        let none = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        assert!(ends_in_a_child(|| {
            let shm = super::super::open_dir(c"/dev/shm").unwrap();
            // SAFETY: the limits are a struct of its own.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const none) }, 0);
            assert_eq!(mount_id(&shm), Err(Errno::MFILE));
        }));
    }
}

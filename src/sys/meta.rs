//! What is known about a file: its identity, and the part of `struct stat` that the protocol looks at.

use std::time::Duration;

/// What tells one file from all others, as long as it is held open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// No file.
    pub(super) const NONE: FileId = FileId { device: 0, inode: 0 };

    pub(crate) fn inode(self) -> u64 {
        self.inode
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Regular,
    Symlink,
    Other,
}

/// The part of `struct stat` that the protocol looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    pub id: FileId,
    pub kind: FileKind,
    pub size: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// How many names it has.
    pub nlink: u64,
    /// Milliseconds since 1970.
    pub modified_ms: i64,
    pub accessed: Accessed,
}

/// A file's access time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Accessed {
    /// Since 1970.
    pub seconds: i64,
    pub(super) nanoseconds: i64,
}

impl Accessed {
    /// A time so long after `start`, in seconds since 1970.
    pub(crate) fn at(after: Duration, start: i64) -> Self {
        Accessed {
            seconds: start.saturating_add_unsigned(after.as_secs()),
            nanoseconds: after.subsec_nanos().into(),
        }
    }
}

impl From<rustix::fs::Stat> for Meta {
    // The field types of struct stat differ between architectures.
    #[allow(clippy::unnecessary_cast)]
    fn from(stat: rustix::fs::Stat) -> Self {
        Meta {
            id: FileId {
                device: stat.st_dev as u64,
                inode: stat.st_ino as u64,
            },
            kind: match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
                rustix::fs::FileType::RegularFile => FileKind::Regular,
                rustix::fs::FileType::Symlink => FileKind::Symlink,
                _ => FileKind::Other,
            },
            size: stat.st_size as u64,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            nlink: stat.st_nlink as u64,
            accessed: Accessed {
                seconds: stat.st_atime as i64,
                nanoseconds: stat.st_atime_nsec as i64,
            },
            modified_ms: milliseconds(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        }
    }
}

impl From<rustix::fs::Statx> for Meta {
    #[allow(clippy::unnecessary_cast)] // as above
    fn from(stat: rustix::fs::Statx) -> Self {
        Meta {
            id: FileId {
                device: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor) as u64,
                inode: stat.stx_ino,
            },
            kind: match rustix::fs::FileType::from_raw_mode(stat.stx_mode.into()) {
                rustix::fs::FileType::RegularFile => FileKind::Regular,
                rustix::fs::FileType::Symlink => FileKind::Symlink,
                _ => FileKind::Other,
            },
            size: stat.stx_size,
            mode: u32::from(stat.stx_mode) & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            nlink: stat.stx_nlink.into(),
            accessed: Accessed {
                seconds: stat.stx_atime.tv_sec,
                nanoseconds: stat.stx_atime.tv_nsec.into(),
            },
            modified_ms: milliseconds(stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec.into()),
        }
    }
}

fn milliseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000)
}

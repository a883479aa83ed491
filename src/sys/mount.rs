//! What file system a directory is on.

use super::{Fd, Result, uninterrupted};

/// Whether the file system keeps its locks on this machine alone. What is not known to do so is taken for a network's.
pub(crate) fn is_local(dir: &Fd) -> Result<bool> {
    // linux/magic.h: ext, xfs, btrfs, tmpfs, ramfs, overlayfs, f2fs, zfs, bcachefs, squashfs, vfat, exfat, reiserfs,
    // jfs, nilfs, ubifs, erofs.
    const LOCAL: [u32; 17] = [
        0xef53,
        0x5846_5342,
        0x9123_683e,
        0x0102_1994,
        0x8584_58f6,
        0x794c_7630,
        0xf2f5_2010,
        0x2fc1_2fc1,
        0xca45_1a4e,
        0x7371_7368,
        0x4d44,
        0x2011_bab0,
        0x5265_4973,
        0x3153_464a,
        0x3434,
        0x2405_1905,
        0xe0f5_e1e2,
    ];
    // f_type is signed on some architectures and wider than the magic number on others.
    #[allow(clippy::unnecessary_cast, clippy::cast_possible_truncation)]
    let magic = uninterrupted("fstatfs", || rustix::fs::fstatfs(dir.borrow()?))?.f_type as u32;
    Ok(LOCAL.contains(&magic))
}

//! The directory of a journal, and the names in it.

use std::ffi::{CStr, CString};
use std::fmt::Write;

use crate::error::{EINVAL, Error, Result};
use crate::lock::stamp;
use crate::sys::{self, Errno, Fd, FileId, FileKind, Meta, Open};

/// The longest file name that Linux takes.
const NAME_MAX: usize = 255;
/// What a private file's name adds to the lock's: `.<10 digits>-<16 digits>.tmp`.
const PRIVATE_EXTRA: usize = 1 + 10 + 1 + 16 + 4;

/// S_ISVTX.
const STICKY: u32 = 0o1000;

/// All names are resolved beneath the descriptor that was opened first, wherever the directory has been moved since.
#[derive(Debug)]
pub(crate) struct Dir {
    pub fd: Fd,
    pub journal: CString,
    pub lock: CString,
    /// The directory in which waiters line up.
    pub line: CString,
    /// The directory itself; valid as long as `fd` keeps it open.
    pub id: FileId,
    /// Whether the file system is known to be this kernel's alone.
    pub local: bool,
    /// Whether only a file's owner may remove it there, and the directory's owner, and root.
    pub is_sticky: bool,
}

impl Dir {
    pub(crate) fn new(fd: Fd, journal: &CStr) -> Result<Dir> {
        let name = journal.to_bytes();
        if name.is_empty() || name.contains(&b'/') || name == b"." || name == b".." {
            return Err(Error::new(-EINVAL, format!("\"{}\": not a file name", Name(journal))));
        }
        if is_of_a_lock(name) {
            let message = format!("\"{}\": a journal must not be named like a lock's files", Name(journal));
            return Err(Error::new(-EINVAL, message));
        }
        if name.len() + ".lock".len() + PRIVATE_EXTRA > NAME_MAX {
            let code = -sys::errno::ENAMETOOLONG;
            return Err(Error::new(
                code,
                format!("{}: too long beside the names of its lock", Name(journal)),
            ));
        }
        let local = sys::is_local(&fd).map_err(|e| Error::os(e, "look at the mount of the directory"))?;
        let meta = sys::fstat(&fd).map_err(|e| Error::os(e, "look at the directory"))?;
        Ok(Dir {
            fd,
            journal: journal.to_owned(),
            lock: suffixed(journal, ".lock"),
            line: suffixed(journal, ".lock.line"),
            id: meta.id,
            local,
            is_sticky: meta.mode & STICKY != 0,
        })
    }

    /// The name of a private file, for the stamp with this nonce or for a new journal.
    pub(crate) fn private_name(&self, nonce: &str) -> CString {
        suffixed(&self.lock, &format!(".{nonce}.tmp"))
    }

    /// Whether this is the name of some peer's private file.
    pub(crate) fn is_private_name(&self, name: &[u8]) -> bool {
        name.strip_prefix(self.lock.to_bytes())
            .is_some_and(|rest| rest.len() > ".tmp".len() && rest.starts_with(b".") && rest.ends_with(b".tmp"))
    }

    /// The PID in a private file's name.
    pub(crate) fn private_owner(&self, name: &CStr) -> Option<i32> {
        let rest = name.to_bytes().strip_prefix(self.lock.to_bytes())?.strip_prefix(b".")?;
        std::str::from_utf8(rest).ok()?.split_once('-')?.0.parse().ok()
    }

    /// What stands at `name`. `None`: nothing, or something that is just being removed.
    pub(crate) fn stat(&self, name: &CStr) -> sys::Result<Option<Meta>> {
        let looked = match self.local {
            true => sys::stat(&self.fd, name),
            false => sys::stat_anew(&self.fd, name),
        };
        match looked {
            Err(errno) if is_gone(errno) => Ok(None),
            other => other,
        }
    }

    /// What is known about an open file. If other machines may have written to it, what is cached is not enough.
    pub(crate) fn fstat(&self, file: &Fd) -> sys::Result<Meta> {
        match self.local {
            true => sys::fstat(file),
            false => sys::fstat_anew(file),
        }
    }

    /// Whether `name` still names this file.
    pub(crate) fn names(&self, name: &CStr, id: FileId) -> sys::Result<bool> {
        Ok(self.stat(name)?.is_some_and(|meta| meta.id == id))
    }

    /// Whether the lock's name still names this file.
    pub(crate) fn is_lock(&self, id: FileId) -> Result<bool> {
        self.names(&self.lock, id).map_err(|e| Error::os(e, Name(&self.lock)))
    }

    /// Whether a failed `flock` means that there is none here. `ENOLCK` from a file server means that, too: it cannot give
    /// locks, and a server's locks count for little anyway.
    pub(crate) fn means_no_flock(&self, errno: Errno) -> bool {
        sys::means_no_flock(errno) || (!self.local && errno == Errno::NOLCK)
    }

    /// Opens what stands at the lock's name. `None`: nothing is there, or not any more.
    ///
    /// For reading only, so that a contender does not wake all others when it closes the file.
    pub(crate) fn open_lock(&self) -> Result<Option<(Fd, FileId)>> {
        let os = |e| Error::os(e, Name(&self.lock));
        // Check before the open: to open a device or a FIFO can have side effects.
        let Some(meta) = self.stat(&self.lock).map_err(os)? else {
            return Ok(None);
        };
        self.expect_regular(&self.lock, &meta)?;
        let opened = sys::open(&self.fd, &self.lock, Open::Read).and_then(|file| Ok((sys::fstat(&file)?, file)));
        let (meta, file) = match opened {
            Ok(opened) => opened,
            Err(errno) if is_gone(errno) => return Ok(None),
            Err(errno) => return Err(not_opened(errno, &self.lock)),
        };
        self.expect_regular(&self.lock, &meta)?;
        Ok(Some((file, meta.id)))
    }

    /// Whether the directory was removed: no name leads to it any more.
    pub(crate) fn is_removed(&self) -> bool {
        sys::fstat(&self.fd).is_ok_and(|meta| meta.nlink == 0)
    }

    /// The error for a file system on which a lock would not be safe.
    pub(crate) fn refuse(&self, what: &str) -> Error {
        let name = sys::fs_name(&self.fd);
        let what = format_args!("this file system ({name}) {what}: a lock here would not be safe");
        Error::os(Errno::OPNOTSUPP, what)
    }

    /// Returns a clearer error if this one comes from a directory that was removed: its path may name another one by now.
    pub(crate) fn explain(&self, error: Error) -> Error {
        match error.code() == -sys::errno::ENOENT && self.is_removed() {
            true => Error::new(
                -sys::errno::ESTALE,
                format!("{}: its directory was removed", Name(&self.journal)),
            ),
            false => error,
        }
    }

    /// Refuses what is not a regular file.
    pub(crate) fn expect_regular(&self, name: &CStr, meta: &Meta) -> Result<()> {
        match meta.kind {
            FileKind::Regular => Ok(()),
            FileKind::Symlink => Err(Error::os(Errno::LOOP, Name(name))),
            FileKind::Other => Err(Error::about(Name(name), crate::abi::JLOCK_ENOTLOCK)),
        }
    }
}

/// Whether this error means that somebody else has removed the file. A network file system can notice that late (`ESTALE`).
pub(crate) fn is_gone(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::STALE)
}

/// Why a file could not be opened.
pub(crate) fn not_opened(errno: Errno, name: &CStr) -> Error {
    match errno {
        // A file server has leased it to a client, or a program wants to be told before others open it.
        Errno::AGAIN => {
            let message = format!(
                "{}: somebody has a lease on it, and was asked to give it back",
                Name(name)
            );
            Error::new(-sys::errno::EAGAIN, message)
        }
        _ => Error::os(errno, Name(name)),
    }
}

/// Whether a file of this name can belong to the lock of another journal, which would remove it.
fn is_of_a_lock(name: &[u8]) -> bool {
    let is_private = name.ends_with(b".tmp") && name.windows(6).any(|part| part == b".lock.");
    is_private || name.ends_with(b".lock") || name.ends_with(b".lock.line")
}

/// A file's name in a message, in one line, and without what a terminal would obey.
pub(crate) struct Name<'a>(pub &'a CStr);

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.to_string_lossy().chars().try_for_each(|c| match c.is_control() {
            true => write!(f, "\\x{:02x}", u32::from(c)),
            false => f.write_char(c),
        })
    }
}

fn suffixed(name: &CStr, suffix: &str) -> CString {
    let mut bytes = name.to_bytes().to_vec();
    bytes.extend_from_slice(suffix.as_bytes());
    // Neither part contains a NUL: one comes from a C string, the other is our own.
    CString::new(bytes).unwrap_or_default()
}

/// The beginning of a lock or of a parked stamp, as much of it as is ever read.
pub(crate) fn read_stamp(file: &Fd) -> sys::Result<Vec<u8>> {
    let mut buf = [std::mem::MaybeUninit::uninit(); stamp::MAX_LEN];
    Ok(sys::read_at(file, &mut buf, 0)?.to_vec())
}

/// Makes a lock end with `bytes`, from `at` on. It writes the content first and sets the length after, so that between the two
/// calls the first lines are whole. If a sandbox forbids shortening files, newlines fill the rest: behind a stamp they do no
/// harm.
pub(crate) fn end_with(file: &Fd, bytes: &[u8], at: u64) -> sys::Result<()> {
    if !bytes.is_empty() {
        sys::write_at(file, bytes, at)?;
    }
    let end = at + bytes.len() as u64;
    match sys::truncate(file, end) {
        Err(errno @ (Errno::ACCESS | Errno::PERM | Errno::NOSYS)) => {
            let rest = sys::fstat(file)?.size.saturating_sub(end);
            let rest = usize::try_from(rest).map_err(|_| errno)?.min(stamp::MAX_LEN);
            match rest {
                0 => Ok(()),
                _ => sys::write_at(file, &[b'\n'; stamp::MAX_LEN][..rest], end),
            }
        }
        shortened => shortened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::tests::Scratch;

    #[test]
    fn a_journal_is_not_named_like_the_files_of_another_journals_lock() {
        for name in [
            c"changes.journal.lock",
            c"changes.journal.lock.line",
            c"changes.journal.lock.mine.tmp",
        ] {
            let dir = sys::open_dir(c"/").unwrap();
            assert_eq!(Dir::new(dir, name).unwrap_err().code(), -EINVAL, "{name:?}");
        }
        for name in [c"changes.journal", c"lock", c"a.tmp", c"another.tmp", c"a.lock.b"] {
            assert!(Dir::new(sys::open_dir(c"/").unwrap(), name).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn a_journal_has_a_file_name_that_leaves_room_for_those_of_its_lock() {
        let code = |name: &CStr| Dir::new(sys::open_dir(c"/").unwrap(), name).map_err(|e| e.code());
        for name in [c"", c".", c"..", c"a/b", c"/"] {
            assert_eq!(code(name).unwrap_err(), -EINVAL, "{name:?}");
        }
        let longest = CString::new("a".repeat(NAME_MAX - ".lock".len() - PRIVATE_EXTRA)).unwrap();
        let private = code(&longest).unwrap().private_name("2147483647-0123456789abcdef");
        assert_eq!(private.to_bytes().len(), NAME_MAX);
        assert_eq!(code(&suffixed(&longest, "a")).unwrap_err(), -sys::errno::ENAMETOOLONG);
    }

    /// A sweep removes such a file once it is old.
    #[test]
    fn only_what_begins_and_ends_like_a_private_file_is_one() {
        let dir = Dir::new(sys::open_dir(c"/").unwrap(), c"j").unwrap();
        assert!(dir.is_private_name(b"j.lock.1-0123456789abcdef.tmp"));
        let others = ["", ".line", ".tmp", ".a.backup", "-old.tmp", "ed.tmp"].map(|end| format!("j.lock{end}"));
        for name in others.iter().map(String::as_str).chain(["k.lock.a.tmp", "x"]) {
            assert!(!dir.is_private_name(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn only_a_name_that_is_missing_is_explained_and_only_by_a_directory_that_was_removed() {
        let scratch = Scratch::new();
        sys::mkdir_at(&scratch.dir, c"d", 0o700).unwrap();
        let dir = Dir::new(sys::open_subdir(&scratch.dir, c"d").unwrap(), c"j").unwrap();
        let explained = |errno| dir.explain(Error::os(errno, "look")).code();
        let codes = || [Errno::NOENT, Errno::IO].map(explained);
        assert_eq!(codes(), [-sys::errno::ENOENT, -crate::error::EIO]);
        sys::rmdir_at(&scratch.dir, c"d").unwrap();
        assert_eq!(codes(), [-sys::errno::ESTALE, -crate::error::EIO]);
    }

    #[test]
    fn a_name_in_a_message_is_one_line_and_tells_a_terminal_nothing() {
        assert_eq!(Name(c"a\nb\x1b[2Jc").to_string(), "a\\x0ab\\x1b[2Jc");
        assert_eq!(Name(c"\u{e4} \u{f6}").to_string(), "\u{e4} \u{f6}");
    }
}

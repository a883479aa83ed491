//! Where a handle's directory is. A handle that was opened by a path follows it: at most once a second it checks whether the
//! path still leads to the directory that it has open.

use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::handle::JOURNAL_FILENAME;
use crate::lock::dir::{Dir, Name};
use crate::options::Options;
use crate::sys::owner::{self, Owner};
use crate::sys::{self, Errno, Fd, FileId};

/// How long we rely on a path to lead where it led.
const BELIEVED: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Whereabouts {
    /// `None`: the handle was opened by a descriptor, and stays there.
    path: Option<AbsolutePath>,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct AbsolutePath {
    path: CString,
    /// The root from which it was meant. From another one (chroot) it leads elsewhere.
    root: FileId,
}

#[derive(Debug)]
struct Known {
    dir: Arc<Dir>,
    /// `None`: it may lead elsewhere by now.
    looked: Option<Duration>,
}

impl Whereabouts {
    /// The directory at a path. A relative one counts from the working directory of now, wherever the process goes later.
    pub(crate) fn of_path(path: &CStr, options: &Options) -> Result<Whereabouts> {
        let dir = open_or_make(path, Some(options))?;
        // A working directory without a path cannot be followed.
        let path = absolute(path).and_then(|path| {
            let root = sys::root_id()?;
            Some(AbsolutePath { path, root })
        });
        Ok(Whereabouts::new(path, dir))
    }

    /// The directory that is open as `from`, whatever its path is.
    pub(crate) fn beneath(from: BorrowedFd<'_>, journal: &CStr) -> Result<Whereabouts> {
        let fd = sys::open_dir_from(from, c".").map_err(|e| Error::os(e, "open the directory"))?;
        Ok(Whereabouts::new(None, Dir::new(fd, journal)?))
    }

    fn new(path: Option<AbsolutePath>, dir: Dir) -> Whereabouts {
        Whereabouts {
            path,
            known: Mutex::new(Known {
                dir: Arc::new(dir),
                looked: Some(sys::monotonic()),
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner) // never half changed
    }

    /// The directory as it was last known.
    pub(crate) fn known(&self) -> Arc<Dir> {
        Arc::clone(&self.lock().dir)
    }

    /// The directory seems to have been removed: look again at once. `false`: there is nowhere to look.
    pub(crate) fn doubt(&self) -> bool {
        self.lock().looked = None;
        self.path.is_some()
    }

    /// The directory that the path leads to, or led to at most a second ago. With `make`, it creates a missing one if these
    /// options say so.
    pub(crate) fn dir(&self, make: Option<&Options>) -> Result<Arc<Dir>> {
        let Some(path) = &self.path else {
            return Ok(self.known());
        };
        let now = sys::monotonic();
        let dir = {
            let known = self.lock();
            // A process that enters another time namespace can find its clock set back.
            if known
                .looked
                .is_some_and(|looked| looked <= now && now - looked < BELIEVED)
            {
                return Ok(Arc::clone(&known.dir));
            }
            Arc::clone(&known.dir)
        };
        // Without the mutex locked: the path may lead to a file system that does not respond.
        let dir = match path.leads_to(&dir)? {
            true => dir,
            false => Arc::new(open_or_make(&path.path, make)?),
        };
        let mut known = self.lock();
        // Another thread may have opened it meanwhile.
        if known.dir.id != dir.id {
            known.dir = dir;
        }
        known.looked = Some(now);
        Ok(Arc::clone(&known.dir))
    }
}

impl AbsolutePath {
    /// Whether the path leads where it led, as far as this process can see.
    fn leads_to(&self, dir: &Dir) -> Result<bool> {
        match sys::stat_path(&self.path) {
            Ok(Some(meta)) if meta.id == dir.id => Ok(true),
            _ if sys::root_id() != Some(self.root) => Ok(true),
            Ok(Some(_) | None) => Ok(false),
            Err(errno @ (Errno::NOTDIR | Errno::LOOP)) => Err(Error::os(errno, Name(&self.path))),
            // This process gave up its privileges, or is in a sandbox, or works so deep that the path from the root is too
            // long: it may use what is open as before.
            Err(_) => Ok(true),
        }
    }
}

fn open_or_make(path: &CStr, make: Option<&Options>) -> Result<Dir> {
    let os = |e| Error::os(e, Name(path));
    let fd = match (sys::open_dir(path), make.filter(|options| options.create)) {
        (Err(Errno::NOENT), Some(options)) if !path.is_empty() => make_dirs(path, options.sync).map_err(os)?,
        (opened, _) => opened.map_err(os)?,
    };
    let journal = CString::new(JOURNAL_FILENAME).unwrap_or_default(); // it has no NUL
    Dir::new(fd, &journal)
}

/// Makes a directory and those above it, and opens it.
fn make_dirs(path: &CStr, sync: bool) -> sys::Result<Fd> {
    let bytes = path.to_bytes();
    let ends = (1..=bytes.len()).filter(|&end| end == bytes.len() || bytes[end] == b'/');
    let mut refused = None;
    for end in ends {
        let part = CString::new(&bytes[..end]).map_err(|_| Errno::INVAL)?;
        match sys::mkdir(&part) {
            Ok(()) => {
                made(&bytes[..end], sync)?;
                refused = None;
            }
            Err(Errno::EXIST) => refused = None,
            // A directory above it could not be made, and the first error says why.
            Err(Errno::NOENT) if end == bytes.len() => return Err(refused.unwrap_or(Errno::NOENT)),
            Err(errno) if end == bytes.len() => return Err(errno),
            // It may exist where we may not look.
            Err(errno) => refused = refused.or(Some(errno)),
        }
    }
    sys::open_dir(path)
}

/// The path from the root. `None`: the working directory has no path any more, or the path names a descriptor or another
/// process's view, which is something else as soon as that changes.
fn absolute(path: &CStr) -> Option<CString> {
    let bytes = path.to_bytes();
    let whole = match bytes.starts_with(b"/") {
        true => bytes.to_owned(),
        false => {
            let here = std::env::current_dir().ok()?.into_os_string().into_encoded_bytes();
            [&here, b"/".as_slice(), bytes].concat()
        }
    };
    (!is_magic(&whole)).then(|| CString::new(whole).ok())?
}

/// Whether the path goes through /proc or /dev/fd, however many slashes and dots there are in it.
fn is_magic(path: &[u8]) -> bool {
    let mut parts = path
        .split(|byte| *byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."));
    match parts.next() {
        Some(b"proc") => true,
        Some(b"dev") => parts.next() == Some(b"fd"),
        _ => false,
    }
}

/// Gives what root makes in somebody's directory to them: otherwise they could not use it. With `sync`, puts its name on disk.
fn made(path: &[u8], sync: bool) -> sys::Result<()> {
    let is_root = sys::process::effective_uid() == 0;
    if !is_root && !sync {
        return Ok(());
    }
    let (above, name) = split(path)?;
    let above = sys::open_dir(&above)?;
    let theirs = Owner::of(&sys::fstat(&above)?);
    if is_root && theirs.user != 0 {
        let made = sys::open_subdir(&above, &name)?;
        let ours = Owner::of(&sys::fstat(&made)?);
        // Only if it is still what we made: the owner of the directory above may have put something else there. If the file
        // system has no owners to give it to, everybody may use it whatever we do.
        if ours.user == 0 && sys::list_some(&made, 0, |_| {})? {
            let _ = owner::give(&made, ours, theirs);
        }
    }
    match sync {
        true => sys::sync_dir(&above),
        false => Ok(()),
    }
}

/// The path of the directory above, and the name in it, as `dirname` and `basename` return them.
fn split(path: &[u8]) -> sys::Result<(CString, CString)> {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    let slash = path[..end].iter().rposition(|byte| *byte == b'/');
    let (above, name): (&[u8], &[u8]) = match slash {
        None => (b".", &path[..end]),
        Some(0) => (b"/", &path[1..end]),
        Some(at) => (&path[..at], &path[at + 1..end]),
    };
    let owned = |part: &[u8]| CString::new(part).map_err(|_| Errno::INVAL);
    Ok((owned(above)?, owned(name)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_split_as_dirname_and_basename_do() {
        let text = |part: CString| part.into_string().unwrap();
        for (path, above, name) in [
            ("/a", "/", "a"),
            ("/a/b", "/a", "b"),
            ("/a/b//", "/a", "b"),
            ("a", ".", "a"),
            ("a/", ".", "a"),
            ("a/b", "a", "b"),
        ] {
            let (found_above, found_name) = split(path.as_bytes()).unwrap();
            assert_eq!(
                (text(found_above).as_str(), text(found_name).as_str()),
                (above, name),
                "{path}"
            );
        }
    }

    #[test]
    fn a_relative_path_is_beneath_the_working_directory() {
        let here = std::env::current_dir().unwrap().into_os_string().into_string().unwrap();
        assert_eq!(absolute(c"a/b").unwrap().into_string().unwrap(), format!("{here}/a/b"));
        assert_eq!(absolute(c"/a/b").unwrap().as_c_str(), c"/a/b");
    }

    #[test]
    fn a_descriptor_is_no_path_to_follow() {
        for path in [
            c"/proc/self/fd/3",
            c"//proc/self/cwd",
            c"/./proc//self/fd/3",
            c"/dev/fd/3",
            c"/dev//fd/3",
        ] {
            assert_eq!(absolute(path), None, "{path:?}");
        }
        for path in [c"/process", c"/dev/shm/fd", c"/srv/proc/self"] {
            assert_eq!(absolute(path).as_deref(), Some(path));
        }
    }
}

//! Where a handle's directory is. Opened by path, a handle follows the path: at most once a second it looks whether the path
//! still leads to the directory that it has open.

use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::handle::JOURNAL_FILENAME;
use crate::lock::dir::{Dir, Name};
use crate::options::Options;
use crate::sys::{self, Errno, Fd, FileId};

/// How long a path is believed to lead where it led.
const BELIEVED: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Whereabouts {
    /// `None`: the directory is where the caller's descriptor was.
    path: Option<AbsolutePath>,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct AbsolutePath {
    path: CString,
    /// The root that it was meant from. From another one (chroot) it leads elsewhere.
    root: FileId,
}

#[derive(Debug)]
struct Known {
    dir: Arc<Dir>,
    /// `None`: it is doubted.
    looked: Option<Duration>,
}

impl Whereabouts {
    /// The directory at a path. A relative one is meant as it is now, wherever the process goes.
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

    /// The directory that is known was removed, it seems: look again at once. `false`: there is nowhere to look.
    pub(crate) fn doubt(&self) -> bool {
        self.lock().looked = None;
        self.path.is_some()
    }

    /// The directory that the path leads to, as of a second ago at most. `make`: a missing one is created, if these options
    /// say so.
    pub(crate) fn dir(&self, make: Option<&Options>) -> Result<Arc<Dir>> {
        let Some(path) = &self.path else {
            return Ok(self.known());
        };
        let now = sys::monotonic();
        let dir = {
            let known = self.lock();
            if known.looked.is_some_and(|looked| now.saturating_sub(looked) < BELIEVED) {
                return Ok(Arc::clone(&known.dir));
            }
            Arc::clone(&known.dir)
        };
        // Not with the mutex locked: the path may lead to a file system that does not respond.
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
    /// Whether it leads where it led, as far as this process can see.
    fn leads_to(&self, dir: &Dir) -> Result<bool> {
        match sys::stat_path(&self.path) {
            Ok(Some(meta)) if meta.id == dir.id => Ok(true),
            _ if sys::root_id() != Some(self.root) => Ok(true),
            Ok(Some(_) | None) => Ok(false),
            Err(errno @ (Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG)) => Err(Error::os(errno, Name(&self.path))),
            // A process that gave up its privileges, a sandbox: what is open may be used as before.
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
            // One above it could not be made, and the first refusal says why.
            Err(Errno::NOENT) if end == bytes.len() => return Err(refused.unwrap_or(Errno::NOENT)),
            Err(errno) if end == bytes.len() => return Err(errno),
            // It may stand, where we may not look.
            Err(errno) => refused = refused.or(Some(errno)),
        }
    }
    sys::open_dir(path)
}

/// The path from the root. `None`: of a working directory that has none any more.
fn absolute(path: &CStr) -> Option<CString> {
    if path.to_bytes().starts_with(b"/") {
        return Some(path.to_owned());
    }
    let here = std::env::current_dir().ok()?.into_os_string().into_encoded_bytes();
    CString::new([&here, b"/".as_slice(), path.to_bytes()].concat()).ok()
}

/// What root makes in somebody's directory is theirs: else they could not use it. With `sync`, its name is on disk.
fn made(path: &[u8], sync: bool) -> sys::Result<()> {
    let is_root = sys::process::effective_uid() == 0;
    if !is_root && !sync {
        return Ok(());
    }
    let (above, name) = split(path)?;
    let above = sys::open_dir(&above)?;
    let theirs = sys::fstat(&above)?;
    if is_root && theirs.uid != 0 {
        let made = sys::open_subdir(&above, &name)?;
        // Only what is as it was made: whoever owns the directory above may have put another there. Where the file system
        // has no owners to give it to, all may use it whatever one does.
        if sys::fstat(&made)?.uid == 0 && sys::list_some(&made, 0, |_| {})? {
            let _ = sys::owner::change_owner(&made, Some(theirs.uid), theirs.gid);
        }
    }
    match sync {
        true => sys::sync_dir(&above),
        false => Ok(()),
    }
}

/// The path of the directory above, and the name beneath it: what `dirname` and `basename` give.
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
}

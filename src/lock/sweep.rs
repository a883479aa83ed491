//! Leftovers: private files of the dead, which are parked stamps, and journals that were never finished.
//!
//! A directory can hold a hundred thousand other files, and most have no leftovers. So nobody lists it to open, to close or
//! to take over: a peer that claims a dead holder's lock knows the name of the dead one's private file, and waiters find dead
//! waiters by themselves. For the rest, a process looks through the beginning of the directory when it parks a stamp, at
//! most once a second.

use std::ffi::{CStr, CString};

use crate::lock::dir::{Dir, is_gone, read_stamp};
use crate::lock::line::is_ticket;
use crate::lock::participant::Participant;
use crate::lock::stamp::Stamp;
use crate::lock::time::wall_age;
use crate::sys::process::is_alive;
use crate::sys::{self, Errno, Fd, FileKind, Open};

/// How many names of a directory are looked at in one sweep. To read a thousand takes ten times as long as everything else
/// that an open, an append and a close do.
const NAMES: usize = 64;
/// How many in one sweep of thirty-two, and in one of a thousand, so that what stands further behind goes in time. More would
/// take longer than a call may be late.
const MANY_NAMES: usize = 1024;
const MOST_NAMES: usize = 8192;
const SELDOM: u128 = 32;
/// How many private files whose PID lives are opened in one sweep. (Another process may have that PID by now, but most of
/// these files belong to idle handles.)
const LIVING: usize = 3;

impl Participant {
    /// Removes what dead peers have left, unless this process has looked for it within the last second. If something cannot be
    /// looked at or removed now, it is left to the next sweep.
    pub(crate) fn sweep_at_times(&self) {
        if !self.seat.is_sweep_due() {
            return;
        }
        let now = sys::monotonic().as_millis();
        let names = match now {
            _ if now % (SELDOM * SELDOM) == 0 => MOST_NAMES,
            _ if now % SELDOM == 0 => MANY_NAMES,
            _ => NAMES,
        };
        let found = leftovers(&self.dir, names);
        if found.line {
            self.sweep_line();
        }
        let mut asked: Vec<(i32, bool)> = Vec::new(); // a process may have many handles
        let mut lives = |pid| {
            let known = asked.iter().find(|(known, _)| *known == pid).map(|(_, lives)| *lives);
            known.unwrap_or_else(|| {
                let lives = is_alive(pid);
                asked.push((pid, lives));
                lives
            })
        };
        let (living, gone): (Vec<CString>, Vec<CString>) = found
            .private_files
            .into_iter()
            .partition(|name| self.dir.private_owner(name).is_some_and(&mut lives));
        // Not always the same ones of the living.
        let skipped = (now as usize) % living.len().max(1);
        let some = living.iter().cycle().skip(skipped).take(living.len().min(LIVING));
        for name in gone.iter().chain(some) {
            let _ = self.sweep_one(name);
        }
    }

    /// Removes the tickets of the dead, and the waiters' directory if nobody is in line.
    fn sweep_line(&self) {
        let dir = &self.dir;
        let Ok(line) = sys::open_subdir(&dir.fd, &dir.line) else {
            return; // another user's, or gone by now
        };
        let mut tickets = Vec::new();
        let _ = sys::list_some(&line, MANY_NAMES, |name| tickets.push(name.to_owned())); // as many as could be read
        for ticket in tickets.iter().filter(|name| is_ticket(name)) {
            if matches!(open_flocked(&line, ticket), Ok((_, Ok(true)))) {
                let _ = sys::unlink(&line, ticket); // if it stays, the next sweep finds it
            }
        }
        let _ = sys::rmdir_at(&dir.fd, &dir.line); // not while somebody is in line
    }

    fn sweep_one(&self, name: &CStr) -> sys::Result<()> {
        let dir = &self.dir;
        if dir.stat(name)?.is_none_or(|meta| meta.kind != FileKind::Regular) {
            return Ok(());
        }
        let (file, flocked) = match open_flocked(&dir.fd, name) {
            Err(errno) if is_gone(errno) => return Ok(()),
            other => other?,
        };
        // First the flock, then the content: a library peer locks its file before it writes to it. So if it has written, and
        // the flock is free, it is dead. The owner of a file that is still empty may be about to lock it.
        let unlocked = match flocked {
            Err(errno) if dir.means_no_flock(errno) => true,
            other => other?,
        };
        if !unlocked {
            return Ok(());
        }
        let meta = sys::fstat(&file)?;
        let content = read_stamp(&file)?;
        let says_flock = match Stamp::parse(&content) {
            Stamp::Library(stamp) => stamp.flock,
            // The other thing that a library peer prepares in a private file is a journal, whose header begins like this.
            _ => content.starts_with(b"# "),
        };
        let by_flock = says_flock && dir.local;
        // The file has no content yet, or it is a shipped peer's, which may be about to rename it; but not if the PID in its
        // name is gone. (An owner in another PID namespace finds its file missing, and makes another.)
        let by_pid = dir.private_owner(name).is_some_and(|pid| !is_alive(pid));
        let stale = wall_age(&meta) > self.options.stale;
        if (by_flock || by_pid || stale) && dir.names(name, meta.id)? {
            sys::unlink(&dir.fd, name)?;
        }
        Ok(())
    }
}

/// Opens a file and tries for its `flock`. For reading, if that is enough: on NFS, an exclusive `flock` needs a file that
/// is open for writing.
fn open_flocked(dir: &Fd, name: &CStr) -> sys::Result<(Fd, sys::Result<bool>)> {
    let try_as = |how| sys::open(dir, name, how).map(|file| (sys::flock_exclusive(&file), file));
    let (flocked, file) = match try_as(Open::Read)? {
        (Err(Errno::BADF), _) => try_as(Open::ReadWrite)?,
        tried => tried,
    };
    Ok((file, flocked))
}

#[derive(Default)]
struct Leftovers {
    private_files: Vec<CString>,
    /// Whether the waiters' directory is there.
    line: bool,
}

/// What may be a leftover; nothing, if the directory cannot be read.
fn leftovers(dir: &Dir, names: usize) -> Leftovers {
    let mut found = Leftovers::default();
    let listed = sys::list_some(&dir.fd, names, |name| {
        if dir.is_private_name(name.to_bytes()) {
            found.private_files.push(name.to_owned());
        }
        found.line |= *name == *dir.line;
    });
    match listed {
        Ok(_) => found,
        Err(_) => Leftovers::default(),
    }
}

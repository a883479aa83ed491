//! Finds out by trying what a directory can promise. It uses a private file, which it removes in the end. If the process is
//! killed in between, the next sweep removes it, like any other private file of the dead.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use crate::error::{EINVAL, Error, Result};
use crate::lock::dir::{Dir, Name};
use crate::lock::stamp::OwnStamp;
use crate::sys::{self, Errno, Fd, Lease, Mounted, Open, Rename, Watched};

/// How long the report of an event that we cause may take.
const REPORT: Duration = Duration::from_millis(250);

/// What a directory can promise to programs that lock and journal in it; [`Place::probe`] finds out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// Processes that reach the directory through the same mount exclude each other.
    pub processes_of_mount: bool,
    /// So do all processes of this machine, through whatever mount.
    pub processes_of_machine: bool,
    /// So do processes of other machines that share the file system.
    pub other_machines: bool,
    /// The lock of a dead library peer is taken over at once.
    pub takeover: bool,
    /// With [`Options::sync`](crate::Options::sync), what was acknowledged survives a power cut.
    pub durable: bool,
    /// Waiters are woken and served in the order in which they came.
    pub order: bool,
    /// There are no hard links.
    pub without_link: bool,
    /// There is no `flock` that excludes; a holder's death is judged by PID and age.
    pub without_flock: bool,
    /// There are no leases, which show that a shipped peer still has its lock open.
    pub without_lease: bool,
    /// There is no inotify; a wait looks again every [`Options::retry`](crate::Options::retry).
    pub without_inotify: bool,
    /// There is no rename that leaves an existing file alone.
    pub without_noreplace: bool,
    /// The file system's type, such as `ext4`; its magic number in hexadecimal if the system does not name it.
    pub file_system: String,
    /// Why something is not promised; empty: all of it is.
    pub reason: String,
}

impl Place {
    /// Finds out what an existing directory can promise. Takes a second at most, takes no lock and leaves nothing behind.
    ///
    /// # Errors
    /// What the system says of the directory: `ENOENT`, `ENOTDIR`, `EACCES`, `EROFS`, `ENOSPC`, …
    pub fn probe(dir: impl AsRef<Path>) -> Result<Place> {
        let path = CString::new(dir.as_ref().as_os_str().as_bytes())
            .map_err(|_| Error::new(-EINVAL, "directory: contains a NUL byte"))?;
        probe(&path)
    }
}

pub(crate) fn probe(path: &CStr) -> Result<Place> {
    let os = |e| Error::os(e, Name(path));
    let fd = sys::open_dir(path).map_err(os)?;
    let mounted = sys::mounted(&fd).map_err(os)?;
    let dir = Dir::new(fd, c"changes.journal")?;
    let trial = Trial::begin(&dir)?;
    let mut place = Place::default();
    let readable = trial.look(&mut place).map_err(os)?;
    conclude(&mut place, &mounted, trial.is_synced(), readable);
    Ok(place)
}

// ---------------------------------------------------------------------------------------------------------- trying

/// A private file to try things with. It has one of two names, and both are removed in the end.
struct Trial<'d> {
    dir: &'d Dir,
    file: Fd,
    name: CString,
    other: CString,
}

impl<'d> Trial<'d> {
    fn begin(dir: &'d Dir) -> Result<Trial<'d>> {
        let new_name = || OwnStamp::new().map(|stamp| dir.private_name(stamp.nonce()));
        let (name, other) = (new_name()?, new_name()?);
        let file = sys::open(&dir.fd, &name, Open::CreateNew)
            .map_err(|e| Error::os(e, format_args!("create {}", Name(&name))))?;
        Ok(Trial { dir, file, name, other })
    }

    fn open(&self) -> sys::Result<Fd> {
        sys::open(&self.dir.fd, &self.name, Open::Read)
    }

    /// Returns whether a file with a `flock` can be read. An error ends the trial only if it comes from a call that
    /// everything needs.
    fn look(&self, place: &mut Place) -> sys::Result<bool> {
        place.without_flock = !self.has_flock()?;
        let readable = self.is_readable()?;
        place.without_lease = !self.has_leases()?;
        let queue = self.watch();
        place.without_link = !self.has_links()?;
        place.without_noreplace = !self.has_noreplace()?;
        place.without_inotify = !queue.is_some_and(|queue| self.was_reported(&queue));
        Ok(readable)
    }

    /// Whether the `flock` of one open file keeps another from it.
    fn has_flock(&self) -> sys::Result<bool> {
        match sys::flock_exclusive(&self.file) {
            Ok(true) => {}
            Ok(false) => return Ok(true), // somebody's sweep has it just now
            Err(errno) if self.dir.means_no_flock(errno) => return Ok(false),
            Err(errno) => return Err(errno),
        }
        Ok(matches!(sys::flock_shared(&self.open()?), Ok(false)))
    }

    /// Whether others can read a file with a `flock`; the file has it by now, if there is any.
    fn is_readable(&self) -> sys::Result<bool> {
        let _ = sys::write_at(&self.file, b"\n", 0); // where there is no room, nothing is locked against reading either
        Ok(!sys::is_locked_against_reading(&self.open()?))
    }

    /// Whether a lease is refused, as it must be while we have the file open for writing.
    fn has_leases(&self) -> sys::Result<bool> {
        Ok(sys::read_lease(&self.open()?) == Lease::Refused)
    }

    fn watch(&self) -> Option<Fd> {
        let queue = sys::inotify().ok()?;
        sys::watch(&queue, &self.file, Watched::Change).ok()?;
        Some(queue)
    }

    fn was_reported(&self, queue: &Fd) -> bool {
        // The link or the rename is a change; if there is neither, setting the time is one.
        let _ = sys::touch(&self.file); // if the file system keeps no times, it has reported the other change, or nothing
        sys::poll(&[Some(queue), None], REPORT).unwrap_or(false)
    }

    fn has_links(&self) -> sys::Result<bool> {
        match sys::link(&self.dir.fd, &self.name, &self.other) {
            Ok(()) => {
                let id = sys::fstat(&self.file)?.id;
                let linked = self.dir.names(&self.other, id)?;
                sys::unlink(&self.dir.fd, &self.other)?;
                Ok(linked)
            }
            Err(errno) if sys::means_no_link(errno) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Whether a rename that must not replace fails where there is something, and works where there is nothing.
    fn has_noreplace(&self) -> sys::Result<bool> {
        let rename = |from, to| sys::rename(&self.dir.fd, from, to, Rename::NoReplace);
        drop(sys::open(&self.dir.fd, &self.other, Open::CreateNew)?);
        let refused = rename(&self.name, &self.other) == Err(Errno::EXIST);
        sys::unlink(&self.dir.fd, &self.other)?;
        let id = sys::fstat(&self.file)?.id;
        let renamed = rename(&self.name, &self.other).is_ok() && self.dir.names(&self.other, id)?;
        Ok(refused && renamed)
    }

    fn is_synced(&self) -> bool {
        sys::sync_data(&self.file).is_ok() && sys::sync_dir(&self.dir.fd).is_ok()
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        for name in [&self.name, &self.other] {
            let _ = sys::unlink(&self.dir.fd, name); // one of them exists; if it stays, a sweep takes it
        }
    }
}

// ------------------------------------------------------------------------------------------------------- concluding

/// File systems whose server keeps the `flock`, for all machines alike, and whose sync reaches the server's disk.
const SHARED: [&str; 5] = ["nfs4", "nfs", "ceph", "gfs2", "ocfs2"];

/// Concludes what the place promises, from what was tried and from what is known about the file system.
fn conclude(place: &mut Place, mounted: &Mounted, synced: bool, readable: bool) {
    let has = |option: &str| mounted.options.split(',').any(|o| o == option);
    let local = mounted.local_disk();
    let shared = SHARED.contains(&mounted.kind.as_str());
    let locks_here = has("nolock") || has("local_lock=all") || has("local_lock=flock");
    let exclusive = !place.without_link || !place.without_noreplace;
    let excludes = exclusive && readable;
    place.file_system = mounted.kind.clone();
    place.processes_of_mount = excludes;
    // An overlay's locks are not those of its layers, nor of another overlay over them.
    let whole_machine = local.is_some() && mounted.kind != "overlay";
    // Two such mounts of one server confuse the kernel about what is open through which.
    let unshared = has("nosharecache");
    place.processes_of_machine = excludes && (whole_machine || shared && !unshared);
    place.other_machines = excludes && shared && !locks_here && !place.without_flock;
    place.takeover = local.is_some() && !place.without_flock;
    place.durable = synced && !has("volatile") && (shared || local == Some(true));
    place.order = local.is_some() && !place.without_inotify && !place.without_link;
    place.reason = reasons(place, exclusive, readable, local.is_some());
}

/// The reasons in sentences, the most important first, because the C interface cuts off what does not fit.
fn reasons(place: &Place, exclusive: bool, readable: bool, local: bool) -> String {
    const NAME: &str = "\0"; // stands for the file system's
    let sentences: [(bool, &[&str]); 8] = [
        (!exclusive, &["No link and no rename is exclusive here."]),
        (
            !readable,
            &["Nobody can read a file with a flock here, so a lock is refused."],
        ),
        (
            place.without_flock,
            &["No flock: a holder's death is judged by PID and age."],
        ),
        (
            !place.processes_of_machine,
            &["Two mounts of ", NAME, " may not see each other's locks and entries."],
        ),
        (
            !place.durable,
            &[NAME, " does not promise that synced data is on a disk."],
        ),
        (place.without_inotify, &["No inotify: waits look again every retry_ms."]),
        (local, &["The locks of ", NAME, " end at this machine."]),
        (
            !local && !place.takeover,
            &["Other machines may hold the lock, so only age shows that a holder died."],
        ),
    ];
    let mut reasons = String::new();
    for (_, parts) in sentences.iter().filter(|(applies, _)| *applies) {
        if !reasons.is_empty() {
            reasons.push(' ');
        }
        for part in *parts {
            reasons.push_str(if *part == NAME { &place.file_system } else { part });
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::tests::Scratch;

    fn concluded(kind: &str, options: &str, tried: Place) -> Place {
        let (kind, options) = (kind.to_owned(), options.to_owned());
        let mut place = tried;
        conclude(&mut place, &Mounted { kind, options }, true, true);
        place
    }

    #[test]
    fn a_probe_leaves_nothing_behind() {
        let scratch = Scratch::new();
        let dir = scratch.path.join("d");
        std::fs::create_dir(&dir).unwrap();
        let place = Place::probe(&dir).unwrap();
        assert!(place.processes_of_mount, "{place:?}");
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
        std::fs::remove_dir(&dir).unwrap();
        assert_eq!(Place::probe(&dir).unwrap_err().code(), -libc::ENOENT);
    }

    /// What is promised, in a word each.
    fn promises(place: &Place) -> String {
        let promises = [
            (place.processes_of_mount, "mount"),
            (place.processes_of_machine, "machine"),
            (place.other_machines, "others"),
            (place.takeover, "takeover"),
            (place.durable, "durable"),
            (place.order, "order"),
        ];
        let kept: Vec<&str> = { promises }
            .iter()
            .filter(|(kept, _)| *kept)
            .map(|(_, word)| *word)
            .collect();
        kept.join(" ")
    }

    #[test]
    fn what_a_place_lacks_takes_away_what_needs_it_and_is_said() {
        const HERE: &str = "The locks of ext4 end at this machine.";
        const OTHERS: &str = "Other machines may hold the lock, so only age shows that a holder died.";
        const MOUNTS: &str = "may not see each other's locks and entries.";
        const UNREADABLE: &str = "Nobody can read a file with a flock here, so a lock is refused.";
        const NEITHER: &str = "No link and no rename is exclusive here.";
        const NO_FLOCK: &str = "No flock: a holder's death is judged by PID and age.";
        const NO_INOTIFY: &str = "No inotify: waits look again every retry_ms.";
        let disk = "does not promise that synced data is on a disk.";
        let two = |kind| format!("Two mounts of {kind} {MOUNTS}");
        // What it lacks: a link, an exclusive rename, a flock, inotify, a sync, or a file that can be read under a flock.
        for (kind, lacks, promised, reason) in [
            ("ext4", "", "mount machine takeover durable order", HERE.to_owned()),
            ("ext4", "l", "mount machine takeover durable", HERE.to_owned()),
            ("ext4", "n", "mount machine takeover durable order", HERE.to_owned()),
            (
                "ext4",
                "ln",
                "takeover durable",
                format!("{NEITHER} {} {HERE}", two("ext4")),
            ),
            ("ext4", "f", "mount machine durable order", format!("{NO_FLOCK} {HERE}")),
            (
                "ext4",
                "i",
                "mount machine takeover durable",
                format!("{NO_INOTIFY} {HERE}"),
            ),
            (
                "ext4",
                "s",
                "mount machine takeover order",
                format!("ext4 {disk} {HERE}"),
            ),
            (
                "ext4",
                "r",
                "takeover durable order",
                format!("{UNREADABLE} {} {HERE}", two("ext4")),
            ),
            ("nfs4", "", "mount machine others durable", OTHERS.to_owned()),
            ("nfs4", "f", "mount machine durable", format!("{NO_FLOCK} {OTHERS}")),
            ("nfs4", "r", "durable", format!("{UNREADABLE} {} {OTHERS}", two("nfs4"))),
            ("9p", "", "mount", format!("{} 9p {disk} {OTHERS}", two("9p"))),
        ] {
            let has_not = |what| lacks.contains(what);
            let mut place = Place {
                without_link: has_not('l'),
                without_noreplace: has_not('n'),
                without_flock: has_not('f'),
                without_inotify: has_not('i'),
                ..Place::default()
            };
            let (kind, options) = (kind.to_owned(), "rw".to_owned());
            conclude(&mut place, &Mounted { kind, options }, !has_not('s'), !has_not('r'));
            assert_eq!(
                (promises(&place).as_str(), &place.reason),
                (promised, &reason),
                "{lacks}"
            );
        }
    }

    #[test]
    fn an_overlay_and_its_layers_do_not_share_their_locks() {
        let place = concluded("overlay", "rw", Place::default());
        assert!(place.processes_of_mount && place.takeover && !place.processes_of_machine);
        assert!(
            place
                .reason
                .contains("Two mounts of overlay may not see each other's locks")
        );
    }

    #[test]
    fn memory_is_not_durable_and_a_volatile_overlay_neither() {
        assert!(!concluded("tmpfs", "rw", Place::default()).durable);
        assert!(!concluded("overlay", "rw,volatile", Place::default()).durable);
    }

    #[test]
    fn only_locks_that_the_server_keeps_reach_other_machines() {
        assert!(concluded("nfs4", "rw", Place::default()).other_machines);
        assert!(!concluded("nfs", "rw,nolock", Place::default()).other_machines);
        for option in ["all", "flock"] {
            let place = concluded("nfs4", &format!("rw,local_lock={option}"), Place::default());
            assert!(!place.other_machines, "{option}");
        }
    }

    #[test]
    fn two_mounts_of_a_server_in_one_kernel_are_promised_only_if_they_share_what_is_open() {
        assert!(concluded("nfs4", "rw", Place::default()).processes_of_machine);
        let place = concluded("nfs4", "rw,nosharecache", Place::default());
        assert!(place.processes_of_mount && !place.processes_of_machine);
        assert!(
            place
                .reason
                .contains("Two mounts of nfs4 may not see each other's locks")
        );
    }

    #[test]
    fn an_unknown_file_system_promises_its_own_mount_alone() {
        let place = concluded("fuse.bindfs", "rw", Place::default());
        assert!(place.processes_of_mount && !place.processes_of_machine && !place.takeover && !place.order);
    }
}

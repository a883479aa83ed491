//! Who is alive: the evidence, and what each piece of it is worth.
//!
//! A lock is taken from its holder only on proof of death. The absence of a sign is no proof where the sign could not have
//! reached us, and an unknown value is never equal to anything, not even to another unknown one.
//!
//! [`judge`] is a pure function, so that each line of PROTOCOL.md's table is a test here, and every combination can be
//! enumerated. `look.rs` gathers the evidence.

use std::time::Duration;

use crate::lock::time::CUT;
pub(crate) use crate::sys::Lease;

/// What stands in the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A library stamp, whose holder says that it keeps the lock's `flock`, or that there is none.
    Library { flock: bool, boot: Boot },
    /// A stamp of two lines, or the line with the PID alone.
    Pid,
    /// Empty, zeros, or the beginning of a stamp, without a PID.
    Cut,
    /// Something else.
    Foreign,
}

/// When the writer of a library stamp ran, as far as its boot id says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boot {
    /// Under the kernel that runs here now.
    Ours,
    /// Under another one, and the lock is older than this boot: it is from an earlier boot of this machine.
    Earlier,
    /// Under another one that may be running now, or we do not know under which.
    Unknown,
}

/// The result of trying the lock's `flock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flock {
    Busy,
    Free,
    /// The file system has none.
    None,
}

/// The process that a stamp names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    Lives,
    /// No process has this PID, or another one has it by now.
    Gone,
    /// It belongs to another boot or PID namespace, or the PID is not known.
    Unknown,
}

/// Everything that is known about a lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub kind: Kind,
    /// Whether `flock` and leases are this kernel's alone here.
    pub local: bool,
    pub flock: Flock,
    pub process: Process,
    /// `None`: not asked for yet.
    pub lease: Option<Lease>,
    /// Since the last sign of life.
    pub age: Duration,
    pub stale: Duration,
    pub settle: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Alive,
    Dead,
    /// Not yet known to be dead: judge again after this time.
    CannotTell(Duration),
    /// The holder is dead if nobody has the lock open for writing: ask for a lease.
    AskLease,
}

/// Whether the holder of a lock is alive.
pub(crate) fn judge(seen: &Seen) -> Verdict {
    if seen.flock == Flock::Busy {
        return Verdict::Alive;
    }
    match seen.kind {
        Kind::Library { flock, boot } => judge_library(seen, flock, boot),
        Kind::Pid | Kind::Cut | Kind::Foreign => judge_by_lease(seen),
    }
}

fn judge_library(seen: &Seen, says_flock: bool, boot: Boot) -> Verdict {
    if seen.local && says_flock && seen.flock == Flock::Free {
        return match boot {
            // The kernel has released the flock, so the holder is dead: clocks and namespaces do not matter.
            Boot::Ours | Boot::Earlier => Verdict::Dead,
            Boot::Unknown => dead_at(seen, seen.stale),
        };
    }
    match seen.process {
        Process::Lives => Verdict::Alive,
        Process::Gone => Verdict::Dead,
        Process::Unknown => dead_at(seen, seen.stale),
    }
}

/// A shipped peer keeps its lock open for writing as long as it holds it, and the kernel refuses a lease for reading while
/// anybody has it open so. The lease is asked for last: if nobody has died, it is never needed.
fn judge_by_lease(seen: &Seen) -> Verdict {
    let by_itself = judge_by_pid_and_age(seen);
    let counts = seen.local && seen.flock == Flock::Free;
    match (seen.lease, seen.kind) {
        _ if !counts => by_itself,
        (Some(Lease::Refused), _) => Verdict::Alive,
        // Nobody has it open. But a shipped peer that has just taken it over does not either, between its rename and its
        // open. So the lock is dead only once its mtime is older than the settle time.
        (Some(Lease::Granted), Kind::Cut) => dead_at(seen, seen.settle),
        (Some(Lease::Granted), Kind::Pid) if seen.process == Process::Gone => dead_at(seen, seen.settle),
        // Beside a PID that lives it proves nothing: a peer of another make may close its file, and a PID may be used again.
        (Some(Lease::Granted | Lease::Unknown), _) => by_itself,
        (None, Kind::Cut) => Verdict::AskLease,
        (None, _) if by_itself == Verdict::Dead => Verdict::AskLease,
        (None, _) => by_itself,
    }
}

fn judge_by_pid_and_age(seen: &Seen) -> Verdict {
    match (seen.kind, seen.process) {
        (Kind::Pid, Process::Gone) => Verdict::Dead,
        (Kind::Cut, _) => dead_at(seen, CUT.min(seen.stale)),
        _ => dead_at(seen, seen.stale),
    }
}

fn dead_at(seen: &Seen, age: Duration) -> Verdict {
    match age.checked_sub(seen.age) {
        Some(left) if !left.is_zero() => Verdict::CannotTell(left),
        _ => Verdict::Dead,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE: Duration = Duration::from_secs(30);
    const SETTLE: Duration = Duration::from_millis(100);

    const LIBRARY: Kind = Kind::Library {
        flock: true,
        boot: Boot::Ours,
    };

    fn seen(kind: Kind, age_ms: u64) -> Seen {
        Seen {
            kind,
            local: true,
            flock: Flock::Free,
            process: Process::Unknown,
            lease: None,
            age: Duration::from_millis(age_ms),
            stale: STALE,
            settle: SETTLE,
        }
    }

    /// Every combination of what can be seen.
    fn all() -> impl Iterator<Item = Seen> {
        let boots = [Boot::Ours, Boot::Earlier, Boot::Unknown];
        let library = boots
            .into_iter()
            .flat_map(|boot| [true, false].map(|flock| Kind::Library { flock, boot }));
        let kinds: Vec<Kind> = library.chain([Kind::Pid, Kind::Cut, Kind::Foreign]).collect();
        let mut every = Vec::new();
        for kind in kinds {
            for local in [true, false] {
                for flock in [Flock::Busy, Flock::Free, Flock::None] {
                    for process in [Process::Lives, Process::Gone, Process::Unknown] {
                        for lease in [None, Some(Lease::Granted), Some(Lease::Refused), Some(Lease::Unknown)] {
                            for age_ms in [0, 99, 100, 2_999, 3_000, 29_999, 30_000, 3_600_000] {
                                every.push(Seen {
                                    local,
                                    flock,
                                    process,
                                    lease,
                                    ..seen(kind, age_ms)
                                });
                            }
                        }
                    }
                }
            }
        }
        every.into_iter()
    }

    #[test]
    fn a_busy_flock_is_life_whatever_else_is_seen() {
        for seen in all().filter(|seen| seen.flock == Flock::Busy) {
            assert_eq!(judge(&seen), Verdict::Alive, "{seen:?}");
        }
    }

    #[test]
    fn a_refused_lease_is_life_on_a_local_file_system() {
        let refused =
            all().filter(|seen| seen.local && seen.flock == Flock::Free && seen.lease == Some(Lease::Refused));
        for seen in refused.filter(|seen| !matches!(seen.kind, Kind::Library { .. })) {
            assert_eq!(judge(&seen), Verdict::Alive, "{seen:?}");
        }
    }

    #[test]
    fn a_process_that_lives_vetoes_all_but_a_free_flock_on_a_local_file_system() {
        for seen in all().filter(|seen| seen.process == Process::Lives) {
            let kernel_knows = seen.local && seen.flock == Flock::Free;
            if let Kind::Library { flock, .. } = seen.kind {
                if !(kernel_knows && flock) {
                    assert_eq!(judge(&seen), Verdict::Alive, "{seen:?}");
                }
            }
        }
    }

    #[test]
    fn a_free_flock_says_nothing_where_it_may_be_another_kernels() {
        for mut seen in all().filter(|seen| !seen.local && seen.flock != Flock::Busy) {
            let free = judge(&seen);
            seen.flock = Flock::None;
            assert_eq!(judge(&seen), free, "{seen:?}");
        }
    }

    #[test]
    fn a_lease_is_asked_for_only_when_it_can_decide() {
        for seen in all().filter(|seen| judge(seen) == Verdict::AskLease) {
            assert_eq!(seen.lease, None);
            assert!(seen.local && seen.flock == Flock::Free, "{seen:?}");
            let young = seen.age < STALE && seen.process != Process::Gone;
            assert!(!young || seen.kind == Kind::Cut, "nobody died: {seen:?}");
        }
    }

    #[test]
    fn nobody_is_dead_on_no_evidence() {
        for seen in all().filter(|seen| judge(seen) == Verdict::Dead) {
            let flock = seen.local && seen.flock == Flock::Free;
            let kernel = flock
                && matches!(
                    seen.kind,
                    Kind::Library {
                        flock: true,
                        boot: Boot::Ours | Boot::Earlier
                    }
                );
            let lease = flock && seen.lease == Some(Lease::Granted) && seen.age >= SETTLE;
            let old = seen.age >= if seen.kind == Kind::Cut { CUT } else { STALE };
            assert!(kernel || lease || old || seen.process == Process::Gone, "{seen:?}");
        }
    }

    #[test]
    fn the_lines_of_the_table() {
        let dead_in = |ms| Verdict::CannotTell(Duration::from_millis(ms));
        let judged = |change: fn(&mut Seen), kind, age_ms| {
            let mut seen = seen(kind, age_ms);
            change(&mut seen);
            judge(&seen)
        };
        let granted: fn(&mut Seen) = |seen| (seen.lease, seen.process) = (Some(Lease::Granted), Process::Gone);
        let none: fn(&mut Seen) = |_| {};
        assert_eq!(judged(none, LIBRARY, 0), Verdict::Dead);
        let unknown = Kind::Library {
            flock: true,
            boot: Boot::Unknown,
        };
        assert_eq!(judged(none, unknown, 1_000), dead_in(29_000));
        assert_eq!(judged(none, unknown, 30_000), Verdict::Dead);
        assert_eq!(judged(granted, Kind::Pid, 40), dead_in(60));
        assert_eq!(judged(granted, Kind::Pid, 100), Verdict::Dead);
        assert_eq!(judged(granted, Kind::Cut, 100), Verdict::Dead);
        assert_eq!(judged(granted, Kind::Foreign, 100), dead_in(29_900));
        let lives: fn(&mut Seen) = |seen| (seen.lease, seen.process) = (Some(Lease::Granted), Process::Lives);
        assert_eq!(judged(lives, Kind::Pid, 1_000), dead_in(29_000));
        assert_eq!(judged(lives, Kind::Pid, 30_000), Verdict::Dead);
        let no_lease: fn(&mut Seen) = |seen| seen.lease = Some(Lease::Unknown);
        assert_eq!(judged(no_lease, Kind::Cut, 1_000), dead_in(2_000));
        assert_eq!(judged(no_lease, Kind::Cut, 3_000), Verdict::Dead);
        assert_eq!(judged(none, Kind::Cut, 0), Verdict::AskLease);
        assert_eq!(judged(none, Kind::Pid, 30_000), Verdict::AskLease);
        assert_eq!(judged(none, Kind::Pid, 29_000), dead_in(1_000));
    }
}

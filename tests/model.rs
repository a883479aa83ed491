//! A search of the lock protocol: every interleaving of library peers and shipped peers, one system call a step, where
//! each peer may crash at any point.
//!
//! `cargo test --test model -- --nocapture` prints the states searched and the counterexamples; `JLOCK_PROVE=1` or
//! `JLOCK_MODEL_FULL=1` searches further (about 2 GB and several minutes).
//!
//! There are three kinds of test: what holds; what is found as soon as one protection is taken away; and where the
//! guarantees end. A step that touches only what no other peer can see (making a parked file, closing a private
//! descriptor) is joined to the step next to it. The settle is modelled by what it promises: it does not end while a
//! shipped peer that opened the lock before the claim's write has yet to rename over it or unlink it. Time is
//! modelled by `freezes`: 30 s pass at once, longer than every threshold, wherever the peers are. A peer that is
//! stopped longer than the others is one that takes no step before and after. PIDs are not used again. A lock with a
//! PID and nothing else is judged like one with a shipped stamp, a lock that was cut short like an empty one.

mod model {
    pub mod journal;
    pub mod library;
    pub mod lock;
    pub mod search;
    pub mod shipped;
}

use std::fmt::Debug;
use std::time::Instant;

use model::journal::{Journal, LOST, TORN};
use model::lock::{Claim, DOUBLE, GivesUp, LIBS, Lateness, Lease, Lock, REMOVED, STALE, STUCK, State, UNTOLD};
use model::search::{Model, Step, Trace, search_for};

/// Whether to search further than there is time for on each run.
fn full() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| value != "0");
    is_set("JLOCK_MODEL_FULL") || is_set("JLOCK_PROVE")
}

/// Searches `model` for the `wanted` faults, and prints how many states there were.
fn look<M: Model + Debug>(model: &M, wanted: &[&str]) -> Option<Trace> {
    let start = Instant::now();
    let outcome = search_for(model, |fault| wanted.contains(&fault));
    let found = outcome
        .trace
        .as_ref()
        .map_or("no fault".to_owned(), |trace| format!("found:\n{trace}"));
    let seconds = start.elapsed().as_secs_f32();
    println!(
        "{model:?}\n{} states, {} steps, {seconds:.1} s: {found}",
        outcome.states, outcome.steps
    );
    println!("figure: states searched = {}", outcome.states);
    outcome.trace
}

const ALL: [&str; 7] = [DOUBLE, REMOVED, UNTOLD, STUCK, STALE, LOST, TORN];

fn holds<M: Model + Debug>(model: &M) {
    let trace = look(model, &ALL);
    assert!(trace.is_none(), "{}", trace.unwrap());
}

fn finds<M: Model + Debug>(model: &M, fault: &str) -> Trace {
    look(model, &[fault]).unwrap_or_else(|| panic!("not found: {fault}"))
}

// What holds.

/// P1 at the full bound; and a peer that comes afterwards always gets the lock.
#[test]
fn library_peers_exclude_each_other_whatever_crashes() {
    for corpse in [false, true] {
        for claim in [Claim::InPlace, Claim::Exchange, Claim::Rename] {
            holds(&Lock {
                acquisitions: 3,
                crashes: 3,
                corpse,
                claim,
                ..Lock::new(4, 0)
            });
        }
    }
}

/// P1, wherever a peer is stopped for longer than every threshold.
#[test]
fn library_peers_exclude_each_other_wherever_they_are_stopped() {
    let (libs, freezes) = if full() { (4, 2) } else { (3, 1) };
    for corpse in [false, true] {
        for claim in [Claim::InPlace, Claim::Exchange, Claim::Rename] {
            holds(&Lock {
                freezes,
                freezes_in_release: true,
                acquisitions: 2,
                crashes: 2,
                corpse,
                claim,
                ..Lock::new(libs, 0)
            });
        }
    }
}

/// P2.
#[test]
fn library_peers_and_a_shipped_peer_exclude_each_other_whatever_crashes() {
    let bounds: &[(usize, u8)] = if full() { &[(4, 2)] } else { &[(4, 1), (3, 2)] };
    for corpse in [false, true] {
        for &(libs, acquisitions) in bounds {
            holds(&Lock {
                acquisitions,
                crashes: 3,
                corpse,
                ..Lock::new(libs, 1)
            });
        }
    }
}

/// P2 where there are no leases.
#[test]
fn without_leases_library_peers_and_a_shipped_peer_exclude_each_other_as_well() {
    let (acquisitions, freezes) = if full() { (2, 1) } else { (1, 0) };
    for corpse in [false, true] {
        holds(&Lock {
            lease: Lease::Missing,
            acquisitions,
            freezes,
            crashes: 3,
            corpse,
            ..Lock::new(3, 1)
        });
    }
}

/// P2 with a shipped peer whose PID looks gone: having the lock open shows that it is alive.
#[test]
fn a_shipped_peer_in_another_pid_namespace_is_not_robbed() {
    let (libs, acquisitions, crashes) = if full() { (3, 2, 3) } else { (2, 1, 2) };
    for corpse in [false, true] {
        holds(&Lock {
            foreign: true,
            freezes: 1,
            acquisitions,
            crashes,
            corpse,
            ..Lock::new(libs, 1)
        });
    }
}

/// P3 with a shipped peer to which all library peers look gone, so that it steals every lock it finds: the peers that
/// it robs are told, and the others exclude each other. (A theft between the two calls of a release is not noticed.)
#[test]
fn a_shipped_peer_that_sees_no_pid_robs_holders_and_they_are_told() {
    let with = Lock {
        foreign: true,
        blind: true,
        torn_release: false,
        acquisitions: if full() { 2 } else { 1 },
        crashes: 2,
        ..Lock::new(2, 1)
    };
    needs(
        &with,
        &Lock {
            torn_release: true,
            ..with
        },
        REMOVED,
    );
}

/// P2 when a shipped peer is started where another one ended or crashed.
#[test]
fn shipped_peers_that_follow_one_another_are_as_good_as_one() {
    let bounds: &[(usize, u8)] = if full() { &[(4, 2)] } else { &[(3, 1), (2, 2)] };
    for &(libs, acquisitions) in bounds {
        holds(&Lock {
            in_turn: true,
            acquisitions,
            crashes: 3,
            corpse: true,
            ..Lock::new(libs, 2)
        });
    }
}

/// P3: if a library holder is stopped for more than 30 s, the worst is that it is robbed; then it is told, and removes
/// nothing. A shipped holder is not even robbed, nor is a peer that is stopped anywhere but in its hold.
#[test]
fn a_robbed_holder_is_told_and_removes_nothing() {
    let (libs, acquisitions, crashes) = if full() { (3, 2, 3) } else { (3, 1, 2) };
    for corpse in [false, true] {
        holds(&Lock {
            freezes: 1,
            acquisitions,
            crashes,
            corpse,
            ..Lock::new(libs, 1)
        });
    }
    holds(&Lock {
        freezes: 1,
        in_turn: true,
        acquisitions: 1,
        crashes: if full() { 2 } else { 1 },
        ..Lock::new(2, 2)
    });
}

/// Every acknowledged entry of a library peer survives appends and rewrites on both sides, and crashes.
#[test]
fn no_acknowledged_entry_is_lost() {
    holds(&Journal {
        lock: Lock {
            acquisitions: 2,
            ..Lock::new(3, 1)
        },
        rewrites: true,
        notes: false,
    });
    holds(&Journal {
        lock: Lock {
            crashes: 3,
            corpse: true,
            ..Lock::new(4, 1)
        },
        rewrites: true,
        notes: false,
    });
}

/// The same with a holder that is stopped, or that claimed what another left.
#[test]
fn no_acknowledged_entry_is_lost_by_a_holder_that_is_stopped() {
    holds(&Journal {
        lock: Lock {
            freezes: 1,
            acquisitions: if full() { 2 } else { 1 },
            torn_release: false,
            ..Lock::new(2, 1)
        },
        rewrites: false,
        notes: false,
    });
}

/// When a holder is killed in an append, the half that it wrote is taken back before anybody goes on, even if others
/// are killed while they do that.
#[test]
fn what_a_killed_append_left_is_taken_back() {
    let with = Journal {
        lock: Lock {
            crashes: 3,
            freezes: 1,
            freezes_in_release: true,
            acquisitions: if full() { 2 } else { 1 },
            ..Lock::new(if full() { 4 } else { 3 }, 0)
        },
        rewrites: false,
        notes: true,
    };
    holds(&with);
    let without = Journal {
        lock: Lock {
            carries: false,
            ..with.lock
        },
        ..with
    };
    finds(&without, TORN);
}

// What shipped peers do to each other, which nobody else can prevent.

#[test]
fn two_shipped_peers_steal_a_lock_between_its_creation_and_its_stamp() {
    let trace = finds(
        &Lock {
            crashes: 0,
            ..Lock::new(0, 2)
        },
        DOUBLE,
    );
    assert!(trace.has("S", "empty, PID 0"));
}

/// They start with a dead holder's lock, so no stamp is ever missing: the second rename comes too late.
#[test]
fn two_shipped_peers_both_steal_a_dead_lock() {
    let trace = finds(
        &Lock {
            crashes: 0,
            corpse: true,
            ..Lock::new(0, 2)
        },
        DOUBLE,
    );
    assert!(!trace.has("S", "empty, PID 0"));
}

// What each protection is for: with it nothing is found; without it the search shows why it is there.

fn needs(with: &Lock, without: &Lock, fault: &str) -> Trace {
    holds(with);
    finds(without, fault)
}

/// Among library peers the `flock` alone would do, but a shipped peer takes an empty lock to be stale.
#[test]
fn without_the_parked_stamp_a_shipped_peer_steals_the_empty_lock() {
    let with = Lock::new(2, 1);
    let trace = needs(&with, &Lock { parked: false, ..with }, DOUBLE);
    assert!(trace.has("S", "empty, PID 0"));
    holds(&Lock {
        parked: false,
        ..Lock::new(3, 0)
    });
}

/// If they judge by PID alone, two contenders claim the same corpse, the second after the first has settled.
#[test]
fn without_flock_two_contenders_claim_one_corpse() {
    let with = Lock::new(3, 0);
    needs(&with, &Lock { flock: false, ..with }, DOUBLE);
}

/// With `flock`, nobody claims a living library peer's lock in place. Without it (or where the kernel can lose it, as
/// on NFS), a holder that was stopped for too long is robbed within its own inode, and the check of identity alone
/// would find nothing wrong. So there a release must read the stamp too.
#[test]
fn without_flock_the_identity_of_the_file_does_not_tell_a_holder_that_it_was_robbed() {
    let with = Lock {
        freezes: 1,
        ..Lock::new(2, 0)
    };
    needs(&with, &Lock { flock: false, ..with }, UNTOLD);
}

/// The contender got the `flock` of a file that had been released meanwhile, and the path names somebody's live lock.
/// That is fatal to a claim that replaces the lock.
///
/// A claim in place is safe without the check: it writes into an orphan, and the check after the settle notices.
/// There the check only saves a useless settle. It stays because one rule for both kinds of claim is simpler, and
/// because it costs one `fstatat` on a path that is taken only after a crash.
#[test]
fn without_the_recheck_a_claim_by_exchange_or_rename_hits_a_live_lock() {
    for claim in [Claim::Exchange, Claim::Rename] {
        let with = Lock {
            claim,
            ..Lock::new(4, 0)
        };
        needs(&with, &Lock { recheck: false, ..with }, DOUBLE);
    }
    holds(&Lock {
        recheck: false,
        acquisitions: 2,
        crashes: 2,
        ..Lock::new(3, 1)
    });
    holds(&Lock {
        recheck: false,
        acquisitions: 2,
        crashes: 3,
        ..Lock::new(4, 0)
    });
}

/// The shipped peer took the dead lock over between the contender's last look and its rename.
#[test]
fn a_claim_by_rename_hits_the_lock_of_a_shipped_peer() {
    let with = Lock {
        corpse: true,
        ..Lock::new(2, 1)
    };
    needs(
        &with,
        &Lock {
            claim: Claim::Rename,
            ..with
        },
        DOUBLE,
    );
}

/// The shipped peer read the dead stamp before the claim, and renames after it.
#[test]
fn without_settle_a_shipped_peer_renames_over_a_claimed_lock() {
    let with = Lock {
        corpse: true,
        ..Lock::new(2, 1)
    };
    let trace = needs(&with, &Lock { settle: false, ..with }, DOUBLE);
    assert!(trace.has("S", "rename(tmp, lock)"));
}

/// The same at the other end: a shipped peer that held for more than 30 s has seen its own nonce, is robbed, and
/// unlinks what has become the robber's lock. So `settle_ms` must be longer than this step of it, too.
#[test]
fn a_settle_shorter_than_a_shipped_release_lets_it_unlink_a_claimed_lock() {
    let with = Lock {
        freezes: 1,
        crashes: 0,
        ..Lock::new(3, 1)
    };
    let trace = needs(
        &with,
        &Lock {
            settle_covers_release: false,
            ..with
        },
        DOUBLE,
    );
    assert!(trace.has("S", "unlink(lock)"));
}

/// This shows only if a holder was robbed, which takes a stop of more than 30 s: P3.
#[test]
fn a_release_without_the_identity_check_removes_the_robbers_lock() {
    let with = Lock {
        freezes: 1,
        crashes: 0,
        ..Lock::new(3, 1)
    };
    needs(
        &with,
        &Lock {
            identity: false,
            ..with
        },
        REMOVED,
    );
    needs(
        &with,
        &Lock {
            identity: false,
            ..with
        },
        DOUBLE,
    );
}

/// The shipped peer has its lock open, which shows that it is alive, whether it is stopped or in another PID namespace.
#[test]
fn without_the_lease_a_shipped_peer_is_robbed_that_is_stopped_or_cannot_be_seen() {
    let stopped = Lock {
        freezes: 1,
        crashes: 0,
        ..Lock::new(2, 1)
    };
    let hidden = Lock {
        foreign: true,
        freezes: 0,
        ..stopped
    };
    for with in [stopped, hidden] {
        let ignored = Lock {
            lease: Lease::Ignored,
            ..with
        };
        needs(&with, &ignored, DOUBLE);
    }
}

/// A contender gets the lease, and is stopped before it looks at the lock's age. Meanwhile the shipped peer opens the
/// lock that it has just stolen, and holds it.
#[test]
fn a_lease_that_is_asked_for_before_the_age_robs_a_shipped_peer() {
    let with = Lock {
        freezes: 1,
        ..Lock::new(2, 1)
    };
    let first = Lock {
        lease: Lease::First,
        ..with
    };
    let trace = needs(&with, &first, DOUBLE);
    assert!(trace.has("S", "open(lock, r+): holds"));
}

/// A shipped peer has its lock open all the time, except between the rename that steals it and the open. Peers in its
/// own PID namespace see that it is alive.
#[test]
fn without_a_second_look_a_shipped_peer_of_another_namespace_is_robbed_as_it_steals() {
    let with = Lock {
        foreign: true,
        corpse: true,
        crashes: 0,
        ..Lock::new(2, 1)
    };
    let once = Lock { confirm: false, ..with };
    let trace = needs(&with, &once, DOUBLE);
    assert!(trace.has("S", "rename(tmp, lock)"));
    holds(&Lock { foreign: false, ..once });
}

/// A claimant, or a peer that has linked, is stopped for 30 s before it holds. So its lock is old when acquire
/// returns, and the next shipped peer takes it.
#[test]
fn whoever_was_stopped_while_it_acquired_settles_again() {
    let with = Lock {
        freezes: 1,
        corpse: true,
        crashes: 0,
        ..Lock::new(2, 1)
    };
    let never = Lock {
        lateness: Lateness::Never,
        ..with
    };
    needs(&with, &never, STALE);
    finds(&never, DOUBLE);
    let linked = Lock { corpse: false, ..never };
    finds(&linked, STALE);
}

/// If the claimant checks before its last look at the lock, it is too early.
#[test]
fn whether_it_is_late_a_claimant_asks_last() {
    let with = Lock {
        freezes: 1,
        corpse: true,
        crashes: 0,
        ..Lock::new(2, 1)
    };
    let first = Lock {
        lateness: Lateness::First,
        ..with
    };
    needs(&with, &first, DOUBLE);
}

/// A claimant whose time is over may have been judged by its age, so a lock that it makes room for would be stolen.
#[test]
fn a_late_claimant_that_gives_up_leaves_a_corpse_and_removes_nothing() {
    let with = Lock {
        freezes: 1,
        corpse: true,
        crashes: 0,
        ..Lock::new(2, 1)
    };
    let unlinks = Lock {
        gives_up: GivesUp::Unlinks,
        ..with
    };
    let trace = needs(&with, &unlinks, DOUBLE);
    assert!(trace.has("L", "its time is over"));
}

/// A release that is stopped while it settles may be judged again: it would make room for a lock that is then renamed
/// over.
#[test]
fn a_release_that_is_stopped_as_it_settles_settles_again() {
    let with = Lock {
        freezes: 2,
        crashes: 0,
        ..Lock::new(2, 1)
    };
    let once = Lock {
        releases_settle_again: false,
        ..with
    };
    needs(&with, &once, DOUBLE);
}

/// Where there are no leases, a hold of an empty lock moves to the parked file, by a rename over what it claimed. If
/// it was stopped before that, the name may be a shipped peer's lock by now.
#[test]
fn a_hold_that_moves_to_the_parked_file_first_asks_whether_it_is_late() {
    let with = Lock {
        lease: Lease::Missing,
        freezes: 1,
        in_turn: true,
        crashes: 1,
        ..Lock::new(1, 2)
    };
    let blindly = Lock {
        moves_in_time: false,
        ..with
    };
    needs(&with, &blindly, DOUBLE);
}

// Where the guarantees end.

/// While a shipped peer is stopped between stealing a lock and opening it, only its PID and the lock's age show that
/// it is alive.
#[test]
fn a_shipped_peer_that_is_stopped_as_it_steals_is_robbed() {
    let with = Lock {
        freezes: 1,
        corpse: true,
        crashes: 0,
        ..Lock::new(2, 1)
    };
    let stopped = Lock {
        freezes_in_steal: true,
        ..with
    };
    let trace = needs(&with, &stopped, DOUBLE);
    assert!(trace.has("S", "rename(tmp, lock)"));
}

/// P2 has a hole that no step of a library peer can close. The shipped peer opens L1's lock; L1 releases it, and its
/// process ends before the shipped peer asks whether it is alive. By then L2 has the lock: it linked it onto a free
/// path, so there was nothing to settle for. If that ending (and no other) is excluded, P2 holds:
/// `library_peers_and_a_shipped_peer_exclude_each_other_whatever_crashes`.
#[test]
fn a_holder_that_releases_and_ends_under_a_shipped_peers_eyes_leaves_the_next_one_open_to_theft() {
    let with = Lock {
        crashes: 0,
        ..Lock::new(2, 1)
    };
    let trace = needs(&with, &Lock { hole: true, ..with }, DOUBLE);
    assert!(trace.has("L", "its process ends"));
    assert!(!trace.has("L", "pwrite"), "nobody claims anything");
}

/// Even in that hole, the journal keeps its entries: an entry is acknowledged only after a look at the lock that
/// follows the write, and is written again if the lock was lost.
#[test]
fn the_hole_costs_no_acknowledged_entry_where_entries_are_appended() {
    let lock = Lock {
        hole: true,
        torn_release: false,
        ..Lock::new(3, 1)
    };
    holds_its_entries(&Journal {
        lock,
        rewrites: false,
        notes: false,
    });
    holds_its_entries(&Journal {
        lock: Lock {
            acquisitions: 2,
            ..lock
        },
        rewrites: false,
        notes: false,
    });
}

/// In the hole, locks are lost; this test asks only about entries.
fn holds_its_entries(journal: &Journal) {
    let trace = look(journal, &[LOST]);
    assert!(trace.is_none(), "{}", trace.unwrap());
}

/// The hole does cost entries in two cases. A robbed library peer that rewrites the journal (a new file and a rename)
/// puts back what it read before others committed, if all of that falls between its last look at the lock and its
/// rename. And if the theft falls between the two calls of a release, `unlinkat` removes the thief's lock: the next
/// library peer holds beside the thief, sees its own lock in place, acknowledges, and the shipped peer's rewrite
/// drops the entry.
#[test]
fn the_hole_can_cost_entries_to_a_robbed_rewriter_and_to_a_theft_within_a_release() {
    let lock = Lock {
        hole: true,
        ..Lock::new(3, 1)
    };
    let rewriter = Journal {
        lock: Lock {
            torn_release: false,
            ..lock
        },
        rewrites: true,
        notes: false,
    };
    assert!(finds(&rewriter, LOST).has("L", "rename(new journal"));
    let release = Journal {
        lock: Lock { crashes: 0, ..lock },
        rewrites: false,
        notes: false,
    };
    assert!(finds(&release, LOST).has("L", "unlinkat(lock)"));
}

/// P3 has the same gap: a holder is stopped for more than 30 s exactly between the two calls of its release.
#[test]
fn a_holder_stopped_within_its_release_removes_the_robbers_lock() {
    let with = Lock {
        freezes: 1,
        crashes: 0,
        ..Lock::new(2, 1)
    };
    needs(
        &with,
        &Lock {
            freezes_in_release: true,
            ..with
        },
        REMOVED,
    );
}

/// Where there are no leases, a shipped peer that is stopped for more than 5 s between creating its lock and stamping
/// it looks dead, but believes that it holds the lock when it goes on. That alone makes two holders. It also removes
/// the lock of the peer that came after, if it goes through a whole hold between two calls of a claimant.
#[test]
fn without_leases_a_shipped_peer_stopped_before_its_stamp_cannot_be_made_safe() {
    holds(&Lock {
        freezes: 1,
        freezes_in_create: true,
        crashes: 0,
        ..Lock::new(3, 1)
    });
    let with = Lock {
        lease: Lease::Missing,
        freezes: 1,
        crashes: 0,
        ..Lock::new(3, 1)
    };
    needs(
        &with,
        &Lock {
            freezes_in_create: true,
            ..with
        },
        DOUBLE,
    );
    finds(
        &Lock {
            freezes_in_create: true,
            empties_in_place: false,
            ..with
        },
        DOUBLE,
    );
}

/// A claim by exchange is safe among library peers, but not beside a shipped peer. If that one has just renamed over
/// the corpse, the exchange takes out a live lock, and until it is put back another peer may take what is in its
/// place: after a crash of the claimant, or after a release of the lock that is out. Such a claim is for corpses that
/// cannot be written to, and P2 does not cover it.
#[test]
fn a_claim_by_exchange_can_take_out_the_lock_of_a_shipped_peer() {
    let lock = Lock {
        corpse: true,
        claim: Claim::Exchange,
        ..Lock::new(3, 1)
    };
    finds(&lock, DOUBLE);
    finds(&Lock { crashes: 0, ..lock }, DOUBLE);
    finds(&Lock { crashes: 0, ..lock }, STUCK);
}

/// So an empty lock, left by a shipped peer that crashed before its stamp, is better claimed in place, settled, and
/// only then replaced by the parked file, where its maker cannot reach it. Once it has had a live stamp for that
/// long, no shipped peer is about to replace it.
#[test]
fn an_empty_lock_claimed_by_exchange_is_open_to_the_next_shipped_peer() {
    let with = Lock {
        in_turn: true,
        crashes: 2,
        ..Lock::new(2, 2)
    };
    needs(
        &with,
        &Lock {
            empties_in_place: false,
            ..with
        },
        DOUBLE,
    );
}

// The shipped peer, fixed (`docs/codegraph.md`).

const fn fixed(libs: usize, fixed: usize, ships: usize) -> Lock {
    Lock {
        fixed,
        crashes: 2,
        ..Lock::new(libs, ships)
    }
}

/// The crowds in which fixed peers are tried.
const CROWDS: [Lock; 4] = [fixed(1, 2, 1), fixed(2, 1, 1), fixed(0, 3, 1), fixed(1, 3, 0)];

fn fixed_peers_hold(change: impl Fn(Lock) -> Lock) {
    for corpse in [false, true] {
        for crowd in CROWDS {
            holds(&change(Lock {
                corpse,
                acquisitions: if full() { 2 } else { 1 },
                ..crowd
            }));
        }
    }
}

/// With a flock(1), fixed peers are as good as library peers (P2), however long anybody takes from reading a corpse to
/// claiming it.
#[test]
fn fixed_peers_exclude_each_other_and_all_others() {
    fixed_peers_hold(|lock| Lock { timely: false, ..lock });
}

/// Without one, only the settle protects them: nobody may take longer from reading a corpse to writing to it than
/// others settle.
#[test]
fn without_flock_fixed_peers_exclude_each_other_as_long_as_nobody_is_stopped_within_a_claim() {
    let without = |lock| Lock {
        flock_command: false,
        ..lock
    };
    fixed_peers_hold(without);
    for crowd in [fixed(1, 1, 0), fixed(0, 2, 0)] {
        let lock = without(Lock {
            corpse: true,
            crashes: 0,
            ..crowd
        });
        needs(&lock, &Lock { timely: false, ..lock }, DOUBLE);
    }
}

/// P3: the worst that happens to a fixed holder that is stopped for 30 s is that it is robbed. It is told, and
/// removes nothing.
#[test]
fn a_robbed_fixed_holder_is_told_and_removes_nothing() {
    for flock_command in [true, false] {
        fixed_peers_hold(|lock| Lock {
            flock_command,
            acquisitions: 1,
            freezes: 1,
            crashes: 1,
            ..lock
        });
    }
}

/// It may be robbed within its own file, which the file's identity does not show.
#[test]
fn a_fixed_release_has_to_look_at_the_stamp_too() {
    let with = Lock {
        freezes: 1,
        crashes: 0,
        ..fixed(0, 2, 0)
    };
    let without = Lock {
        fixed_stamp: false,
        ..with
    };
    needs(&with, &without, UNTOLD);
    finds(&without, REMOVED);
}

/// It is not enough that the stamp is never missing: if the takeover is by rename as before, two take over one stale
/// lock.
#[test]
fn a_fixed_peer_that_renames_over_a_stale_lock_is_not_fixed() {
    let with = Lock {
        corpse: true,
        crashes: 0,
        timely: false,
        ..fixed(0, 2, 0)
    };
    for flock_command in [true, false] {
        let trace = finds(
            &Lock {
                fixed_claim: Claim::Rename,
                flock_command,
                ..with
            },
            DOUBLE,
        );
        assert!(trace.has("F", "rename(parked, lock)"));
    }
    holds(&with);
}

/// As with library peers: a shipped peer reads the dead stamp before the claim, and renames over it afterwards.
#[test]
fn without_settle_a_shipped_peer_renames_over_a_lock_that_a_fixed_one_claimed() {
    let with = Lock {
        corpse: true,
        crashes: 0,
        ..fixed(0, 1, 1)
    };
    let trace = needs(&with, &Lock { settle: false, ..with }, DOUBLE);
    assert!(trace.has("S", "rename(tmp, lock)"));
}

/// Fixed peers protect nobody else: two unfixed ones beside them still rob each other, and them.
#[test]
fn one_peer_as_shipped_is_the_limit_for_fixed_peers_too() {
    finds(
        &Lock {
            crashes: 0,
            ..fixed(0, 1, 2)
        },
        DOUBLE,
    );
}

// The search itself.

/// The search without its reductions: every peer, and every end of a process, counts by itself.
#[derive(Debug)]
struct Unreduced(Lock);

impl Model for Unreduced {
    type State = State;
    type Packed = [u64; 4];

    fn start(&self) -> State {
        self.0.start()
    }

    fn steps(&self, state: &State, emit: &mut impl FnMut(Step<State>)) {
        self.0.steps(state, emit);
    }

    fn canonical(&self, state: &State) -> State {
        state.with_files_renumbered()
    }

    fn pack(&self, state: &State) -> [u64; 4] {
        self.0.pack(state)
    }

    fn unpack(&self, packed: &[u64; 4]) -> State {
        self.0.unpack(packed)
    }

    fn fault(&self, state: &State) -> Option<&'static str> {
        self.0.fault(state)
    }

    fn describe(&self, state: &State) -> String {
        self.0.describe(state)
    }
}

/// Treating identical peers as one, and a process that nobody remembers as ended, hides nothing.
#[test]
fn the_reductions_change_no_verdict() {
    let base = Lock {
        corpse: true,
        ..Lock::new(2, 1)
    };
    let configs = [
        base,
        Lock {
            freezes: 1,
            crashes: 0,
            ..Lock::new(3, 1)
        },
        Lock {
            acquisitions: 2,
            crashes: 2,
            ..Lock::new(LIBS - 1, 0)
        },
        Lock { settle: false, ..base },
        Lock {
            foreign: true,
            freezes: 1,
            ..base
        },
        Lock {
            lease: Lease::First,
            freezes: 1,
            crashes: 0,
            ..base
        },
        Lock {
            lateness: Lateness::First,
            freezes: 1,
            ..base
        },
        Lock {
            claim: Claim::Rename,
            ..base
        },
        Lock {
            parked: false,
            ..Lock::new(2, 1)
        },
        Lock {
            flock: false,
            ..Lock::new(3, 0)
        },
        Lock {
            hole: true,
            ..Lock::new(2, 1)
        },
        Lock {
            claim: Claim::Exchange,
            corpse: true,
            crashes: 0,
            ..Lock::new(3, 1)
        },
        Lock {
            recheck: false,
            claim: Claim::Exchange,
            ..Lock::new(4, 0)
        },
        Lock {
            identity: false,
            freezes: 1,
            crashes: 0,
            ..Lock::new(3, 1)
        },
    ];
    for config in configs {
        for fault in [DOUBLE, REMOVED, UNTOLD, STUCK] {
            let reduced = search_for(&config, |found| found == fault);
            let plain = search_for(&Unreduced(config), |found| found == fault);
            assert_eq!(reduced.trace.is_some(), plain.trace.is_some(), "{fault}: {config:?}");
            assert!(reduced.states <= plain.states);
        }
    }
}

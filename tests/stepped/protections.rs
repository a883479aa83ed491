//! The schedules in which the protocol's protections matter. Each test here turns red when one of them is taken out
//! of the library: `tests/mutants/README.md` says which.

use crate::scenario::Op::{Append, Hold, HoldAppend, HoldFor, HoldRefreshed, Stamped, Wait};
use crate::scenario::{Before, Op, Place, Scenario};
use crate::schedule::Bound;
use crate::world::{CREATED, Rules};
use crate::{library, ms, none_breaks_within, prove, shipped};

/// A shipped peer that comes just before the end of a stop of 31 s. What the stopped process touched before the stop
/// is older than 30 s by now, and when the process goes on, the shipped peer has yet to act on its decision.
fn latecomer(after_ms: u64, op: Op) -> Vec<Op> {
    vec![Wait(ms(after_ms)), op]
}

const AT_ONCE: u64 = 30_950;
/// The same if the stop began after a settle.
const AFTER_SETTLE: u64 = 31_050;

fn with_stop(preemptions: usize) -> Bound {
    Bound {
        stops: 1,
        ..Bound::preemptions(preemptions)
    }
}

/// A process is stopped for 31 s at any of its steps. Whoever waits for it goes on, and time passes.
#[test]
fn no_schedule_with_a_stop_before_a_hold_breaks_a_promise() {
    let beside = |name, before, after_ms| {
        let peers = vec![library(&[Hold]), shipped(&latecomer(after_ms, Hold))];
        Scenario::new(name, before, peers)
    };
    none_breaks_within(
        with_stop(if prove() { 2 } else { 1 }),
        &[
            beside("whoever links is stopped", Before::Free, AT_ONCE),
            beside(
                "whoever claims is stopped before it writes",
                Before::LibraryCorpse,
                AT_ONCE,
            ),
            beside("whoever claims is stopped", Before::LibraryCorpse, AFTER_SETTLE),
            beside(
                "whoever claims a shipped peer's lock is stopped",
                Before::ShippedCorpse,
                AFTER_SETTLE,
            ),
            beside("whoever claims an empty lock is stopped", Before::Empty, AFTER_SETTLE),
        ],
    );
}

/// A peer that settles again is stopped again.
#[test]
fn no_schedule_with_two_stops_breaks_a_promise() {
    let bound = Bound {
        stops: 2,
        ..Bound::default()
    };
    let alone = |name, before| Scenario::new(name, before, vec![library(&[Hold])]);
    none_breaks_within(
        bound,
        &[
            alone("whoever links is stopped twice", Before::Free),
            alone("a claimant is stopped twice", Before::LibraryCorpse),
        ],
    );
}

/// The same in a hold: a holder that is robbed is told, and commits nothing to a journal that the thief replaces.
#[test]
fn no_schedule_with_a_stop_in_a_hold_breaks_a_promise() {
    let beside = |name, own: Op| {
        let peers = vec![library(&[own]), shipped(&latecomer(AT_ONCE, Stamped))];
        Scenario::new(name, Before::Journal, peers)
    };
    none_breaks_within(
        with_stop(if prove() { 2 } else { 1 }),
        &[
            beside("a holder that appends is stopped, and a thief stamps", HoldAppend),
            beside("a peer that appends is stopped, and a thief stamps", Append),
        ],
    );
    // The thief's decision, or its own commit, falls between two calls of a rewrite.
    let rewrite = Scenario {
        focus: Some(&[
            "pwrite64",
            "renameat",
            "rename: lock tmp to lock",
            "rename: journal tmp to journal",
        ]),
        ..beside("a peer that rewrites is stopped, and a thief stamps", Stamped)
    };
    none_breaks_within(with_stop(2), &[rewrite]);
    // The thief has judged by an age that a refresh renews.
    let refresh = Scenario {
        focus: Some(&["works", "utimensat", "rename: lock tmp to lock"]),
        ..beside(
            "a peer that refreshes is stopped, and a thief stamps",
            HoldRefreshed(ms(10)),
        )
    };
    none_breaks_within(with_stop(1), &[refresh]);
}

/// A shipped peer has judged a lock by its age when the holder goes on and releases it. The next holder must not find
/// the lock free before the shipped peer has acted on its decision.
#[test]
fn no_schedule_with_a_release_after_a_stop_breaks_a_promise() {
    let peers = vec![
        library(&[Hold]),
        shipped(&latecomer(AT_ONCE, Hold)),
        library(&[Wait(ms(31_000)), HoldFor(ms(10))]),
    ];
    let scenario = Scenario {
        focus: Some(&["works", "unlinkat", "rename: lock tmp to lock"]),
        ..Scenario::new(
            "a holder that was stopped releases, and another comes",
            Before::Free,
            peers,
        )
    };
    none_breaks_within(with_stop(if prove() { 2 } else { 1 }), &[scenario]);
}

/// Where there are no leases, a lock that its creator has not stamped for 5 s is claimed. When the creator goes on,
/// it must not find its own nonce in a library peer's lock, and remove it.
#[test]
fn no_schedule_with_a_late_creator_has_two_library_peers_hold() {
    let peers = vec![
        shipped(&[Hold]),
        library(&[Wait(ms(30_780)), HoldFor(ms(300))]),
        library(&[Wait(ms(31_001)), Hold]),
    ];
    let scenario = Scenario {
        rules: Rules {
            late_creator: true,
            ..Rules::STRICT
        },
        place: Place {
            leases: false,
            ..Place::LOCAL
        },
        focus: Some(&[CREATED]),
        ..Scenario::new("a creator that stamps when it is too late", Before::Free, peers)
    };
    none_breaks_within(with_stop(0), &[scenario]);
}

/// Two library peers, one of which is stopped: P1.
#[test]
fn no_schedule_with_a_stop_among_library_peers_breaks_a_promise() {
    let two = |name, before| {
        let peers = vec![library(&[Hold]), library(&latecomer(AT_ONCE, Hold))];
        Scenario::new(name, before, peers)
    };
    let more = usize::from(prove());
    none_breaks_within(with_stop(1 + more), &[two("one of two is stopped", Before::Free)]);
    none_breaks_within(
        with_stop(more),
        &[
            two("one of two that find a corpse is stopped", Before::LibraryCorpse),
            two("one of two that find a foreign lock is stopped", Before::Foreign),
        ],
    );
}

/// A holder is killed within an append that crosses a page boundary; then the peer that claims its lock is killed too.
#[test]
fn no_schedule_with_a_torn_append_breaks_a_promise() {
    let bound = Bound {
        tears: 1,
        crashes: 1,
        ..Bound::preemptions(usize::from(prove()))
    };
    let three = |name, own: Op| {
        let peers = vec![library(&[own]), library(&[Append]), library(&[Append])];
        Scenario::new(name, Before::AlmostPage, peers)
    };
    none_breaks_within(
        bound,
        &[
            three("a torn append, and a killed claimant", Append),
            three("a torn append in a hold, and a killed claimant", HoldAppend),
        ],
    );
}

/// The wall clock is set by an hour.
#[test]
fn no_schedule_in_which_the_clock_is_set_breaks_a_promise() {
    let within = |preemptions, name, before, peers| {
        let bound = Bound {
            clocks: 1,
            ..Bound::preemptions(preemptions)
        };
        let scenario = Scenario {
            rules: Rules {
                clocks: true,
                ..Rules::STRICT
            },
            ..Scenario::new(name, before, peers)
        };
        none_breaks_within(bound, &[scenario]);
    };
    let more = usize::from(prove());
    let two = |first, second| vec![library(&[first]), library(&[second])];
    within(more, "two handles, and the clock", Before::Free, two(Hold, Append));
    within(
        more,
        "two handles, a corpse, and the clock",
        Before::LibraryCorpse,
        two(Hold, Hold),
    );
    let beside = vec![library(&[HoldAppend]), shipped(&[Hold])];
    within(
        1 + more,
        "a handle, a shipped peer, and the clock",
        Before::Free,
        beside,
    );
}

/// Where there is no `flock`, peers that claim the same corpse are told apart by what is in it after they have settled.
#[test]
fn no_schedule_without_flock_breaks_a_promise() {
    let without = |name, before| Scenario {
        rules: Rules {
            prompt: true,
            ..Rules::STRICT
        },
        place: Place {
            flock: false,
            ..Place::LOCAL
        },
        ..Scenario::new(name, before, vec![library(&[Hold]), library(&[Hold])])
    };
    none_breaks_within(
        Bound::preemptions(2),
        &[
            without("two handles without flock", Before::Free),
            without("two handles without flock, a corpse", Before::LibraryCorpse),
        ],
    );
}

/// A contender has opened the lock of a holder, which then releases it and closes its handle. So the `flock` is free
/// on a file that is no longer the lock, while another file is.
#[test]
fn no_schedule_with_a_release_under_a_contenders_eyes_breaks_a_promise() {
    let holds = HoldFor(ms(10));
    let peers = vec![library(&[holds]), library(&[holds]), library(&[Hold])];
    let scenario = Scenario {
        focus: Some(&["flock", "renameat2", "pwrite64"]),
        ..Scenario::new("a release under a contender's eyes", Before::Free, peers)
    };
    none_breaks_within(Bound::preemptions(if prove() { 3 } else { 2 }), &[scenario]);
}

/// A contender stops between its look at a lock and its `flock`, while the holder notes an append and is killed in it.
#[test]
fn no_schedule_with_an_append_torn_under_a_contenders_eyes_breaks_a_promise() {
    let bound = Bound {
        tears: 1,
        ..Bound::preemptions(2)
    };
    let scenario = Scenario {
        focus: Some(&["flock", "pwrite64", "write"]),
        ..Scenario::new(
            "an append torn under a contender's eyes",
            Before::AlmostPage,
            vec![library(&[Append]), library(&[Append])],
        )
    };
    none_breaks_within(bound, &[scenario]);
}

//! Finds out whether something went wrong, without using the library.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use crate::worker;

// ------------------------------------------------------------------------------------------------------ exclusion

/// What three oracles saw of the workers' holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Exclusion {
    pub holds: usize,
    /// How often the marker, which is made with `O_EXCL` in the critical section, existed already.
    pub clashes: usize,
    /// How many holds are missing from the counter, which each worker reads, increments and writes. (Two that write
    /// it at the same time can also make it too large.)
    pub uncounted: i64,
    /// How many intervals on the monotonic clock, which each worker logs for itself, begin before another has ended.
    pub overlaps: usize,
}

impl Exclusion {
    pub fn judge(root: &Path, workers: &[String]) -> Exclusion {
        let (intervals, clashes) = logged(root, workers);
        let counter = std::fs::read_to_string(worker::counter_path(root)).expect("a counter");
        let counted: i64 = counter.parse().expect("a number");
        Exclusion {
            holds: intervals.len(),
            clashes,
            uncounted: intervals.len() as i64 - counted,
            overlaps: overlaps(intervals),
        }
    }
}

/// The workers' holds, and how many of them found the marker.
fn logged(root: &Path, workers: &[String]) -> (Vec<(u64, u64)>, usize) {
    let mut intervals = Vec::new();
    let mut clashes = 0;
    for name in workers {
        let log = std::fs::read_to_string(worker::log_path(root, name)).expect("a log");
        for line in log.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["clash"] => clashes += 1,
                ["held", start, end] => intervals.push((nanoseconds(start), nanoseconds(end))),
                _ => panic!("{line}: no worker prints that"),
            }
        }
    }
    (intervals, clashes)
}

/// The longest time after `begun` in which none of the workers held.
pub fn longest_wait(root: &Path, workers: &[String], begun: u64) -> Duration {
    let (mut intervals, _) = logged(root, workers);
    intervals.sort_unstable();
    let ends = std::iter::once(begun).chain(intervals.iter().map(|(_, end)| *end));
    let waits = intervals
        .iter()
        .zip(ends)
        .map(|((start, _), end)| start.saturating_sub(end));
    Duration::from_nanos(waits.max().expect("somebody held"))
}

/// Whether a process has a ticket in the waiters' directory (PROTOCOL.md, *Line up*).
pub fn waits_in_line(root: &Path, pid: i32) -> bool {
    let line = worker::journal_dir(root).join("changes.journal.lock.line");
    let Ok(tickets) = std::fs::read_dir(line) else {
        return false; // nobody waits yet
    };
    tickets.flatten().any(|ticket| {
        let name = ticket.file_name();
        let owner = name.to_str().and_then(|name| name.split('-').nth(1));
        owner.is_some_and(|owner| owner == pid.to_string())
    })
}

pub fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let ns = now.tv_sec * 1_000_000_000 + now.tv_nsec;
    ns.try_into().expect("the clock starts at boot")
}

fn nanoseconds(text: &str) -> u64 {
    text.parse().expect("a time")
}

fn overlaps(mut intervals: Vec<(u64, u64)>) -> usize {
    intervals.sort_unstable();
    let mut latest = 0;
    let mut count = 0;
    for (start, end) in intervals {
        count += usize::from(start < latest);
        latest = latest.max(end);
    }
    count
}

// -------------------------------------------------------------------------------------------------------- journal

/// How a journal compares with what its writers were told.
#[derive(Debug, Default)]
pub struct Audit {
    pub acknowledged: usize,
    pub lost: Vec<String>,
    /// Lines that no writer wrote like this.
    pub malformed: Vec<String>,
}

impl Audit {
    pub fn of(root: &Path, writers: &[String]) -> Audit {
        let journal = std::fs::read(worker::journal_dir(root).join("changes.journal")).expect("a journal");
        let acknowledged = writers.iter().flat_map(|name| acknowledged(root, name)).collect();
        Audit::new(&journal, acknowledged, writers)
    }

    fn new(journal: &[u8], acknowledged: Vec<String>, writers: &[String]) -> Audit {
        let text = String::from_utf8_lossy(journal);
        let writers: HashSet<&str> = writers.iter().map(String::as_str).collect();
        let lines: HashSet<&str> = text.lines().collect();
        let mut malformed: Vec<String> = text
            .lines()
            .enumerate()
            .filter(|(number, line)| !(*number == 0 && is_header(line) || is_entry(line, &writers)))
            .map(|(number, line)| format!("line {}: {line:?}", number + 1))
            .collect();
        if !text.ends_with('\n') {
            malformed.push("the last line has no end".to_owned());
        }
        Audit {
            acknowledged: acknowledged.len(),
            lost: acknowledged
                .into_iter()
                .filter(|entry| !lines.contains(entry.as_str()))
                .collect(),
            malformed,
        }
    }

    pub fn assert_clean(&self) {
        let Audit { lost, malformed, .. } = self;
        assert!(
            lost.is_empty(),
            "{} of {} lost: {lost:.8?}",
            lost.len(),
            self.acknowledged
        );
        assert!(malformed.is_empty(), "{} malformed: {malformed:.8?}", malformed.len());
    }
}

/// The entries that a writer's log says were acknowledged. (If it was killed, the last line may be cut.)
pub fn acknowledged(root: &Path, name: &str) -> Vec<String> {
    let log = std::fs::read_to_string(worker::log_path(root, name)).unwrap_or_default(); // none if killed too early
    let whole = log.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    whole
        .filter_map(|line| line.strip_prefix("ack ").map(str::to_owned))
        .collect()
}

/// How many of a writer's entries are between two of others, which shows whether they wrote at the same time at all.
pub fn among_others(root: &Path, name: &str) -> usize {
    let journal = std::fs::read_to_string(worker::journal_dir(root).join("changes.journal")).expect("a journal");
    let own: Vec<bool> = journal.lines().skip(1).map(|line| line.starts_with(name)).collect();
    let first = own.iter().position(|own| !own).unwrap_or(0);
    let last = own.iter().rposition(|own| !own).unwrap_or(0);
    own.get(first..last).unwrap_or(&[]).iter().filter(|own| **own).count()
}

fn is_header(line: &str) -> bool {
    line.strip_prefix("# codegraph-journal v1 ")
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether it is `WRITER/NUMBER.rs`, which is no longer true if it is cut anywhere.
fn is_entry(line: &str, writers: &HashSet<&str>) -> bool {
    let Some((writer, number)) = line.strip_suffix(".rs").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    writers.contains(writer) && number.parse().is_ok_and(|value: u32| value.to_string() == number)
}

// ------------------------------------------------------------------------------------------------------ leftovers

/// What is in the directory besides the journal, with sizes.
pub fn leftovers(root: &Path) -> Vec<(String, u64)> {
    let entries = std::fs::read_dir(worker::journal_dir(root)).expect("the directory stands");
    let named = entries.map(|entry| {
        let entry = entry.expect("an entry");
        let size = entry.metadata().expect("nobody removes it").len();
        (entry.file_name().to_string_lossy().into_owned(), size)
    });
    named.filter(|(name, _)| name != "changes.journal").collect()
}

#[test]
fn intervals_overlap_when_one_begins_before_another_ends() {
    assert_eq!(overlaps(vec![(5, 9), (0, 5), (9, 9), (10, 12)]), 0);
    assert_eq!(overlaps(vec![(0, 100), (10, 20), (30, 40)]), 2);
    assert_eq!(overlaps(vec![(4, 9), (0, 5)]), 1);
}

#[test]
fn an_audit_sees_what_is_lost_cut_or_strange() {
    let writers = ["a".to_owned(), "b".to_owned()];
    let audit = |journal: &str| {
        Audit::new(
            journal.as_bytes(),
            vec!["a/1.rs".to_owned(), "b/12.rs".to_owned()],
            &writers,
        )
    };
    let clean = audit("# codegraph-journal v1 17\na/1.rs\nb/12.rs\nb/13.rs\n");
    assert!(clean.lost.is_empty() && clean.malformed.is_empty() && clean.acknowledged == 2);
    assert_eq!(audit("# codegraph-journal v1 17\na/1.rs\n").lost, ["b/12.rs"]);
    for strange in [
        "a/1.r\n",
        "a/1.rsb/12.rs\n",
        "c/1.rs\n",
        "a/01.rs\n",
        "a/1.rs",
        "# codegraph-journal v1 17\n",
    ] {
        let journal = format!("# codegraph-journal v1 17\na/1.rs\nb/12.rs\n{strange}");
        assert_eq!(audit(&journal).malformed.len(), 1, "{strange:?}");
    }
    assert_eq!(audit("# codegraph-journal v1 \na/1.rs\nb/12.rs\n").malformed.len(), 1);
}

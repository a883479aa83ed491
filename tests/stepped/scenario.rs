//! Which peers take part, what they do, and what they find.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::copy::Bug;
use crate::schedule::Random;
use crate::world::Rules;

#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// Acquires, does something, releases.
    Hold,
    /// Holds for this long, without a sign of life.
    HoldFor(Duration),
    /// Holds for this long after each of two refreshes.
    HoldRefreshed(Duration),
    /// Appends under a hold of its own.
    HoldAppend,
    /// Does nothing for this long.
    Wait(Duration),
    Append,
    Stamped,
    Header,
    Checkpoint,
}

#[derive(Clone, Debug)]
pub enum Peer {
    /// The library itself.
    Library(Vec<Op>),
    /// A shipped peer.
    Shipped(Vec<Op>),
    /// A copy of the library's steps, with or without a bug.
    Copy(Option<Bug>, Vec<Op>),
}

/// What has the lock's name at the beginning.
#[derive(Clone, Copy, Debug)]
pub enum Before {
    Free,
    /// The lock of a library peer whose process is dead, with its parked name.
    LibraryCorpse,
    ShippedCorpse,
    /// An empty lock, 6 s old.
    Empty,
    /// A lock without a stamp, 31 s old.
    Foreign,
    /// No lock, and a journal whose header can be stamped only by a rewrite.
    Journal,
    /// No lock, and a journal that the next append takes across a page boundary.
    AlmostPage,
}

/// What the file system supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub flock: bool,
    pub leases: bool,
}

impl Place {
    pub const LOCAL: Place = Place {
        flock: true,
        leases: true,
    };
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub before: Before,
    pub peers: Vec<Peer>,
    pub rules: Rules,
    pub place: Place,
    /// Others run only before these calls, or when a peer cannot go on. That leaves few schedules, which can then
    /// stray far. `None` means before each call.
    pub focus: Option<&'static [&'static str]>,
}

impl Scenario {
    pub fn new(name: &'static str, before: Before, peers: Vec<Peer>) -> Scenario {
        Scenario {
            name,
            before,
            peers,
            rules: Rules::STRICT,
            place: Place::LOCAL,
            focus: None,
        }
    }

    /// Two to four handles and, every other time, a shipped peer. What they do and find is drawn.
    pub fn drawn(random: &mut Random) -> Scenario {
        let hold = |ms| Op::HoldFor(Duration::from_millis(ms));
        let with_headers = random.below(4) == 0;
        let op = |random: &mut Random| match random.below(20) {
            0..3 => Op::Hold,
            3 => random.of(&[hold(10), hold(1_000), hold(29_500), hold(31_000)]),
            4 => Op::HoldRefreshed(Duration::from_secs(20)),
            5..8 => Op::HoldAppend,
            8 if with_headers => Op::Header,
            8..11 => Op::Checkpoint,
            11..15 => Op::Stamped,
            15 => Op::Wait(random.of(&[Duration::from_millis(50), Duration::from_secs(30)])),
            _ => Op::Append,
        };
        let ops = |random: &mut Random| (0..1 + random.below(3)).map(|_| op(random)).collect();
        let mut peers: Vec<Peer> = (0..2 + random.below(3)).map(|_| Peer::Library(ops(random))).collect();
        let with_shipped = random.below(2) == 0;
        if with_shipped {
            peers.push(Peer::Shipped(ops(random)));
        }
        let before = random.of(&[
            Before::Free,
            Before::Free,
            Before::LibraryCorpse,
            Before::ShippedCorpse,
            Before::Empty,
            // A shipped peer that comes next would leave what a kill has cut.
            if with_shipped { Before::Free } else { Before::AlmostPage },
            // A claim by exchange that hits a live lock puts it back: for an instant its holder sees the lock gone.
            // Only a shipped peer can cause that, by stealing the foreign lock at exactly the wrong moment.
            if with_shipped { Before::Free } else { Before::Foreign },
        ]);
        let mut scenario = Scenario::new("drawn", before, peers);
        // A lock without a stamp can be judged only by its age.
        scenario.rules.clocks =
            !with_shipped && matches!(before, Before::Free | Before::LibraryCorpse | Before::AlmostPage);
        scenario
    }

    /// What the trace calls the peers, and the one that comes afterwards.
    pub fn names(&self) -> Vec<String> {
        let name = |(number, peer): (usize, &Peer)| match peer {
            Peer::Library(_) => format!("library {number}"),
            Peer::Shipped(_) => format!("shipped {number}"),
            Peer::Copy(_, _) => format!("copy {number}"),
        };
        let last = "afterwards".to_owned();
        self.peers.iter().enumerate().map(name).chain([last]).collect()
    }
}

/// Above the kernel's largest PID, so nobody has it.
const DEAD_PID: i32 = 4_194_304;

impl Before {
    pub fn set_up(self, dir: &Path, now: SystemTime, place: Place) -> std::io::Result<()> {
        let nonce = format!("{DEAD_PID}-00000000deadbeef");
        let lock = dir.join("changes.journal.lock");
        let (content, age) = match self {
            Before::Free => return Ok(()),
            Before::Journal => {
                return fs::write(dir.join("changes.journal"), "# codegraph-journal v1 1\n");
            }
            Before::AlmostPage => {
                let header = "# codegraph-journal v1 1\n";
                let filler = "#".repeat(4096 - 8 - header.len() - 1);
                return fs::write(dir.join("changes.journal"), format!("{header}{filler}\n"));
            }
            Before::LibraryCorpse => {
                let third = third_line(place);
                (format!("{DEAD_PID}\n{nonce}\n{third}\n"), Duration::from_secs(1))
            }
            Before::ShippedCorpse => (format!("{DEAD_PID}\n{nonce}\n"), Duration::from_secs(1)),
            Before::Empty => (String::new(), Duration::from_secs(6)),
            Before::Foreign => ("what is this?\n".to_owned(), Duration::from_secs(31)),
        };
        fs::write(&lock, content)?;
        File::options().write(true).open(&lock)?.set_modified(now - age)?;
        if let Before::LibraryCorpse = self {
            fs::hard_link(&lock, dir.join(format!("changes.journal.lock.{nonce}.tmp")))?;
        }
        Ok(())
    }
}

/// The third line of a stamp of this boot and PID namespace, by which the process's death can be seen.
fn third_line(place: Place) -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default(); // if empty, only flock counts
    let namespace = fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino());
    let flock = if place.flock { "" } else { " flock=none" };
    format!("jlock/1 boot={} pidns={namespace} start=1 host=h{flock}", boot.trim())
}

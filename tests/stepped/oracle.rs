//! What must be true, whatever the schedule.

use std::collections::{HashMap, HashSet};

/// One entry that somebody appends.
struct Entry {
    path: String,
    begun: usize,
    acknowledged: bool,
}

/// A hold that its holder knows of.
struct Hold {
    peer: usize,
    /// When its acquire, or its last refresh, made its last call.
    since: usize,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody else may hold.
    Good,
    /// A shipped peer took it away, because it was silent for more than 30 s of its hold.
    Robbed,
    /// Somebody else holds as well, in a world that does not promise otherwise.
    Unsure,
}

struct Theft {
    /// When the thief judged the lock by its age.
    judged: usize,
    /// When it renamed its own over it.
    done: usize,
}

#[derive(Default)]
pub struct Oracle {
    holds: Vec<Hold>,
    /// The shipped peer has judged this peer's lock stale by its age, at this moment.
    judged_by_age: Option<(usize, usize)>,
    /// Who was last robbed when, because it was silent for more than 30 s.
    thefts: HashMap<usize, Theft>,
    entries: Vec<Entry>,
    /// When header writes began and ended: what was appended before they ended may be gone.
    headers: Vec<(usize, Option<usize>)>,
    /// What a consumer has seen.
    consumed: HashSet<String>,
    /// Whether a shipped peer died between creating the journal and writing its header.
    pub header_cut: bool,
    pub acknowledged: usize,
    pub held: usize,
    pub timeouts: usize,
    pub robbed: usize,
}

impl Oracle {
    /// Somebody's acquire returns, which made its last call then. `exclusive`: nobody else may hold, unless it was robbed.
    pub fn enter(&mut self, peer: usize, since: usize, exclusive: bool) -> Result<Standing, String> {
        self.held += 1;
        let is_robbed = self.thefts.get(&peer).is_some_and(|theft| theft.judged >= since);
        let mut standing = if is_robbed { Standing::Robbed } else { Standing::Good };
        if !is_robbed {
            for other in self.holds.iter_mut().filter(|other| other.standing == Standing::Good) {
                if exclusive {
                    return Err(format!("two holders: peers {} and {peer}", other.peer));
                }
                (other.standing, standing) = (Standing::Unsure, Standing::Unsure);
            }
        }
        self.holds.push(Hold { peer, since, standing });
        Ok(standing)
    }

    /// Its sign of life was renewed: what a shipped peer judged before counts no more.
    pub fn renew(&mut self, peer: usize, since: usize) -> Result<(), String> {
        match self.holds.iter_mut().find(|hold| hold.peer == peer) {
            Some(hold) if hold.standing == Standing::Robbed => Err(format!(
                "peer {peer}: a robbed holder refreshed, and was told that all was well"
            )),
            Some(hold) => {
                hold.since = since;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// It releases: from now on others may hold it.
    pub fn leave(&mut self, peer: usize) -> Option<Standing> {
        let at = self.holds.iter().position(|hold| hold.peer == peer)?;
        let standing = self.holds.swap_remove(at).standing;
        self.robbed += usize::from(standing == Standing::Robbed);
        Some(standing)
    }

    /// Whether this peer may be told that it lost a hold that it acquired later than this.
    pub fn may_be_lost(&self, peer: usize, since: usize) -> bool {
        self.thefts.get(&peer).is_some_and(|theft| theft.done >= since)
    }

    /// A shipped peer renames over the lock of this one.
    pub fn steal(&mut self, victim: usize, now: usize) {
        let Some((_, at)) = self.judged_by_age.filter(|(judged, _)| *judged == victim) else {
            return; // it must not have been held, which will show
        };
        self.thefts.insert(victim, Theft { judged: at, done: now });
        // Whoever was judged while it acquired has to notice, and starts over.
        if let Some(hold) = self
            .holds
            .iter_mut()
            .find(|hold| hold.peer == victim && hold.since <= at)
        {
            hold.standing = Standing::Robbed;
        }
    }

    /// Its age says that this peer's lock is stale; `None`: whatever it judged before is done with.
    pub fn judge_by_age(&mut self, victim: Option<usize>, now: usize) {
        self.judged_by_age = victim.map(|victim| (victim, now));
    }

    // ------------------------------------------------------------------------------------------------- the journal

    /// An append begins; what it is to be acknowledged by.
    pub fn append(&mut self, path: String, now: usize) -> usize {
        self.entries.push(Entry {
            path,
            begun: now,
            acknowledged: false,
        });
        self.entries.len() - 1
    }

    pub fn acknowledge(&mut self, entry: usize) {
        self.entries[entry].acknowledged = true;
        self.acknowledged += 1;
    }

    pub fn write_header(&mut self, now: usize) -> usize {
        self.headers.push((now, None));
        self.headers.len() - 1
    }

    pub fn header_written(&mut self, header: usize, now: usize) {
        self.headers[header].1 = Some(now);
    }

    /// A checkpoint begins, of a snapshot with these entries.
    pub fn consume(&mut self, seen: impl Iterator<Item = String>) {
        self.consumed.extend(seen);
    }

    /// Whether the journal is well-formed and complete.
    pub fn check_journal(&self, journal: Option<&str>) -> Result<(), String> {
        let text = journal.unwrap_or("");
        let header = text
            .strip_prefix("# codegraph-journal v1 ")
            .and_then(|rest| rest.split_once('\n'));
        let body = match header {
            Some((number, body)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => body,
            _ if text.is_empty() || self.header_cut => text,
            _ => return Err(format!("the journal has no header:\n{text}")),
        };
        if !body.is_empty() && !body.ends_with('\n') {
            return Err(format!("the journal's last line is cut:\n{text}"));
        }
        let standing: HashSet<&str> = body.lines().collect();
        let known: HashSet<&str> = self.entries.iter().map(|entry| entry.path.as_str()).collect();
        if let Some(line) = standing
            .iter()
            .find(|line| !known.contains(*line) && !line.starts_with('#'))
        {
            return Err(format!("the journal has a line that nobody wrote, {line:?}:\n{text}"));
        }
        match self
            .entries
            .iter()
            .find(|entry| self.must_stand(entry) && !standing.contains(entry.path.as_str()))
        {
            Some(entry) => Err(format!("an acknowledged entry is lost, {:?}:\n{text}", entry.path)),
            None => Ok(()),
        }
    }

    fn must_stand(&self, entry: &Entry) -> bool {
        let cleared = |(_, ended): &(usize, Option<usize>)| ended.is_none_or(|ended| ended > entry.begun);
        entry.acknowledged && !self.consumed.contains(&entry.path) && !self.headers.iter().any(cleared)
    }
}

//! What must be true, whatever the schedule.

use std::collections::{HashMap, HashSet};

/// An entry that some peer appends.
struct Entry {
    path: String,
    begun: usize,
    /// When its append returned.
    acknowledged: Option<usize>,
}

/// A hold that its holder knows of.
struct Hold {
    peer: usize,
    /// The step of the last call of its acquire or of its last refresh.
    since: usize,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody else may hold.
    Good,
    /// A shipped peer took it away in one of the ways that PROTOCOL.md lists.
    Robbed,
    /// The hold of a thief whose own lock was removed by its victim, so others may hold as well.
    Undone,
}

/// A theft that PROTOCOL.md lists.
#[derive(Clone, Copy)]
struct Theft {
    /// When the thief judged the lock: it did not judge anything that began later.
    judged: usize,
    /// When the thief renamed its own lock over it.
    done: usize,
    /// The theft is in *the instant that stays*: the victim could not see it coming.
    in_the_instant: bool,
}

/// A time in which two peers wrote the journal, each believing that it was alone.
struct Clash {
    from: usize,
    /// `None` while it goes on.
    to: Option<usize>,
}

#[derive(Default)]
pub struct Oracle {
    holds: Vec<Hold>,
    /// The shipped peer judged this peer's lock to be stale by its age, at this step.
    judged_by_age: Option<(usize, usize)>,
    /// When each peer was last robbed.
    thefts: HashMap<usize, Theft>,
    /// The shipped peer, if a victim has removed its lock.
    undone: Option<usize>,
    clashes: Vec<Clash>,
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
    /// How often a victim removed a thief's lock or replaced its journal.
    pub undone_count: usize,
}

impl Oracle {
    /// A peer's acquire returns. It began at `began`, and made its last call at `since`. `is_own` says that its stamp
    /// is in the lock.
    pub fn enter(&mut self, peer: usize, since: usize, began: usize, is_own: bool) -> Result<Standing, String> {
        self.held += 1;
        // Once it has made its link, an acquire leaves the line without another look at the lock.
        let in_the_instant = |theft: &Theft| theft.in_the_instant && theft.done >= began && !is_own;
        let standing = match self.thefts.get(&peer) {
            Some(theft) if theft.judged >= since || in_the_instant(theft) => Standing::Robbed,
            _ if self.undone == Some(peer) => Standing::Undone,
            _ => Standing::Good,
        };
        if standing == Standing::Good {
            if let Some(other) = self.holds.iter().find(|other| other.standing == Standing::Good) {
                return Err(format!("two holders: peers {} and {peer}", other.peer));
            }
        }
        self.holds.push(Hold { peer, since, standing });
        Ok(standing)
    }

    /// The peer renewed its sign of life, so what a shipped peer judged before no longer counts.
    pub fn renew(&mut self, peer: usize, since: usize) -> Result<(), String> {
        match self.holds.iter_mut().find(|hold| hold.peer == peer) {
            Some(hold) if hold.standing == Standing::Robbed => Err(format!(
                "peer {peer}: a robbed holder refreshed, and was told that it still holds"
            )),
            Some(hold) => {
                hold.since = since;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The peer releases: from now on others may hold.
    pub fn leave(&mut self, peer: usize) -> Option<Standing> {
        let at = self.holds.iter().position(|hold| hold.peer == peer)?;
        let standing = self.holds.swap_remove(at).standing;
        self.robbed += usize::from(standing == Standing::Robbed);
        Some(standing)
    }

    /// Whether this peer may be told that it lost a hold that it acquired after `since`.
    pub fn may_be_lost(&self, peer: usize, since: usize) -> bool {
        self.thefts.get(&peer).is_some_and(|theft| theft.done >= since)
    }

    /// A shipped peer renames over this peer's lock, which it has judged by its age. If it has not, nobody must have
    /// held the lock; other checks will notice.
    pub fn steal(&mut self, victim: usize, now: usize) {
        if let Some((_, judged)) = self.judged_by_age.filter(|(by_age, _)| *by_age == victim) {
            self.rob(victim, judged, now, false);
        }
    }

    /// A shipped peer renames over this peer's lock, or removes it, and nobody could have prevented that.
    pub fn steal_in_the_instant(&mut self, victim: usize, now: usize) {
        self.rob(victim, now, now, true);
    }

    fn rob(&mut self, victim: usize, judged: usize, done: usize, in_the_instant: bool) {
        let theft = Theft {
            judged,
            done,
            in_the_instant,
        };
        self.thefts.insert(victim, theft);
        // A peer that was judged while it acquired has to notice, and starts over.
        let robbed = |hold: &&mut Hold| hold.peer == victim && hold.since <= judged;
        if let Some(hold) = self.holds.iter_mut().find(robbed) {
            hold.standing = Standing::Robbed;
        }
    }

    /// The shipped peer judges this peer's lock to be stale by its age; `None` if its last judgement no longer counts.
    pub fn judge_by_age(&mut self, victim: Option<usize>, now: usize) {
        self.judged_by_age = victim.map(|victim| (victim, now));
    }

    /// Whether this peer was robbed in the instant that stays, after it last looked.
    fn is_unaware(&self, peer: usize, looked: usize) -> bool {
        let theft = self.thefts.get(&peer);
        theft.is_some_and(|theft| theft.in_the_instant && theft.done > looked)
    }

    /// A peer removes the lock of another one, `owner`. That is forbidden, unless the peer was robbed in the instant
    /// that stays between its last look and now. From now on others may hold beside the owner, who is told of it
    /// unless it is a shipped peer.
    pub fn remove_anothers(
        &mut self,
        peer: usize,
        looked: usize,
        now: usize,
        owner: Option<usize>,
        is_shipped: bool,
    ) -> Result<(), String> {
        if !self.is_unaware(peer, looked) {
            return Err(format!("peer {peer} removes a lock that is not its own"));
        }
        self.undone_count += 1;
        let Some(owner) = owner else { return Ok(()) };
        if !is_shipped {
            self.steal_in_the_instant(owner, now);
            return Ok(());
        }
        self.undone = Some(owner);
        self.clashes.push(Clash { from: now, to: None });
        for hold in self.holds.iter_mut().filter(|hold| hold.peer == owner) {
            hold.standing = Standing::Undone;
        }
        Ok(())
    }

    pub fn is_undone(&self, peer: usize) -> bool {
        self.undone == Some(peer)
    }

    /// The thief whose lock was removed is finished.
    pub fn settle_accounts(&mut self, peer: usize, now: usize) {
        if self.undone == Some(peer) {
            self.undone = None;
            for clash in self.clashes.iter_mut().filter(|clash| clash.to.is_none()) {
                clash.to = Some(now);
            }
        }
    }

    /// A peer replaces the journal although the lock is not its own: see [`remove_anothers`](Self::remove_anothers).
    pub fn replace_anothers(&mut self, peer: usize, looked: usize, now: usize) -> Result<(), String> {
        if !self.is_unaware(peer, looked) {
            return Err(format!(
                "peer {peer} replaces the journal under a lock that is not its own"
            ));
        }
        self.undone_count += 1;
        self.clashes.push(Clash {
            from: looked,
            to: Some(now),
        });
        Ok(())
    }

    // ------------------------------------------------------------------------------------------------- the journal

    /// An append begins; returns the number by which it is acknowledged.
    pub fn append(&mut self, path: String, now: usize) -> usize {
        self.entries.push(Entry {
            path,
            begun: now,
            acknowledged: None,
        });
        self.entries.len() - 1
    }

    pub fn acknowledge(&mut self, entry: usize, now: usize) {
        self.entries[entry].acknowledged = Some(now);
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
        let Some(acknowledged) = entry.acknowledged else {
            return false;
        };
        let clashed = |clash: &Clash| clash.from <= acknowledged && clash.to.is_none_or(|ended| entry.begun <= ended);
        !self.clashes.iter().any(clashed) && !self.consumed.contains(&entry.path) && !self.headers.iter().any(cleared)
    }
}

//! What must be true, whatever the schedule.

use std::collections::{HashMap, HashSet};

/// One entry that somebody appends.
struct Entry {
    path: String,
    begun: usize,
    /// When its append returned.
    acknowledged: Option<usize>,
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
    /// A shipped peer took it away, in a way that PROTOCOL.md lists.
    Robbed,
    /// It is a thief's, whose own lock its victim has removed: others may hold as well.
    Undone,
}

/// A theft that PROTOCOL.md lists.
#[derive(Clone, Copy)]
struct Theft {
    /// When the thief judged the lock: what begins later is not what it judged.
    judged: usize,
    /// When it renamed its own over it.
    done: usize,
    /// In *the instant that stays*: the victim could not see it coming.
    in_the_instant: bool,
}

/// A time in which two wrote the journal, each believing that it was alone.
struct Clash {
    from: usize,
    /// `None`: it goes on.
    to: Option<usize>,
}

#[derive(Default)]
pub struct Oracle {
    holds: Vec<Hold>,
    /// The shipped peer has judged this peer's lock stale by its age, at this moment.
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
    /// Locks of a thief's that its victim removed, and journals that it replaced.
    pub undone_count: usize,
}

impl Oracle {
    /// Somebody's acquire returns, which began and made its last call then. `is_own`: its stamp stands in the lock.
    pub fn enter(&mut self, peer: usize, since: usize, began: usize, is_own: bool) -> Result<Standing, String> {
        self.held += 1;
        // Once its link is made, an acquire leaves the line without another look at the lock.
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

    /// A shipped peer renames over the lock of this one, which it has judged by its age; or else it must not have been held,
    /// which will show.
    pub fn steal(&mut self, victim: usize, now: usize) {
        if let Some((_, judged)) = self.judged_by_age.filter(|(by_age, _)| *by_age == victim) {
            self.rob(victim, judged, now, false);
        }
    }

    /// A shipped peer renames over, or removes, the lock of this one, and nobody could have prevented it.
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

    /// Its age says that this peer's lock is stale; `None`: whatever it judged before is done with.
    pub fn judge_by_age(&mut self, victim: Option<usize>, now: usize) {
        self.judged_by_age = victim.map(|victim| (victim, now));
    }

    /// Whether this peer was robbed in the instant that stays after this moment, when it last looked.
    fn is_unaware(&self, peer: usize, looked: usize) -> bool {
        let theft = self.thefts.get(&peer);
        theft.is_some_and(|theft| theft.in_the_instant && theft.done > looked)
    }

    /// A peer removes the lock of another, `owner`. That must not be, unless it was robbed in the instant that stays between
    /// its last look, then, and this. From now on others may hold beside that owner, which learns of it if it is no shipped
    /// peer.
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

    /// The thief whose lock was removed has done.
    pub fn settle_accounts(&mut self, peer: usize, now: usize) {
        if self.undone == Some(peer) {
            self.undone = None;
            for clash in self.clashes.iter_mut().filter(|clash| clash.to.is_none()) {
                clash.to = Some(now);
            }
        }
    }

    /// A peer replaces the journal although the lock is not its own: as [`remove_anothers`](Self::remove_anothers).
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

    /// An append begins; what it is to be acknowledged by.
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

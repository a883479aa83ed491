//! A journal that both write in turn, and what it must contain at each point.

use std::fs::OpenOptions;
use std::io::Write;

use crate::Both;
use crate::generate::carried_path;
use crate::random::Random;
use crate::shipped::{Entry, Reading};

#[derive(Clone, Copy, Debug)]
enum Author {
    Library,
    Shipped,
}

pub struct History {
    /// The header's timestamp. 0 stands for none, whether the header says 0 or there is no header.
    timestamp: f64,
    entries: Vec<Entry>,
    /// Whether the last entry's line lacks its newline. `None` if there is no journal.
    torn: Option<bool>,
    /// What was done so far, for the message of a failure.
    pub told: Vec<String>,
}

impl History {
    /// Begins without a journal.
    pub fn new(both: &mut Both) -> History {
        if both.journal.exists() {
            std::fs::remove_file(&both.journal).expect("a journal");
        }
        History {
            timestamp: 0.0,
            entries: Vec::new(),
            torn: None,
            told: Vec::new(),
        }
    }

    /// Lets one of the two write something, and returns what must be read afterwards.
    pub fn write(&mut self, both: &mut Both, random: &mut Random) -> Reading {
        let author = random.pick(&[Author::Library, Author::Shipped]);
        match random.below(7) {
            0 => self.header(both, random, author),
            1 | 2 => self.stamp(both, random, author),
            3 if self.timestamp > 0.0 => self.checkpoint(both, random, author),
            4 if self.torn == Some(false) => self.tear(both, random),
            _ => self.append(both, random, author),
        }
        self.expected()
    }

    fn append(&mut self, both: &mut Both, random: &mut Random, author: Author) {
        let entries = entries(random);
        self.told.push(format!("{author:?} appends {entries:?}"));
        append(both, author, &entries);
        self.add(entries, author);
    }

    /// The shipped peer appends to whatever is there, even to a torn line.
    fn add(&mut self, mut entries: Vec<Entry>, author: Author) {
        if let (Some(true), Author::Shipped, Some(torn), false) =
            (self.torn, author, self.entries.last_mut(), entries.is_empty())
        {
            let glued = entries.remove(0);
            torn.path += if glued.deleted { "DELETED " } else { "" };
            torn.path += &glued.path;
        }
        self.entries.extend(entries);
        self.torn = Some(false);
    }

    /// A killed writer leaves a part of its last line.
    fn tear(&mut self, both: &mut Both, random: &mut Random) {
        let path = carried_path(random);
        self.told.push(format!("{path:?} is left without a newline"));
        let mut journal = OpenOptions::new().append(true).open(&both.journal).expect("a journal");
        journal.write_all(path.as_bytes()).expect("written");
        self.entries.push(Entry { path, deleted: false });
        self.torn = Some(true);
    }

    fn stamp(&mut self, both: &mut Both, random: &mut Random, author: Author) {
        let (entries, timestamp) = (entries(random), timestamp(random, author));
        self.told
            .push(format!("{author:?} appends {entries:?} and stamps {timestamp}"));
        match author {
            Author::Shipped => both.shipped.append_stamped(&entries, timestamp),
            Author::Library => {
                let stamped = both
                    .lock
                    .journal()
                    .append_stamped(entries.iter().map(as_library), timestamp as i64);
                stamped.expect("stamped");
            }
        }
        self.add(entries, Author::Library); // when it stamps, the shipped peer completes a torn line too
        self.timestamp = timestamp;
    }

    fn header(&mut self, both: &mut Both, random: &mut Random, author: Author) {
        let timestamp = timestamp(random, author);
        self.told.push(format!("{author:?} writes a header of {timestamp}"));
        match author {
            Author::Shipped => both.shipped.write_header(timestamp),
            Author::Library => both.lock.journal().write_header(timestamp as i64).expect("a header"),
        }
        self.entries.clear();
        self.torn = Some(false);
        self.timestamp = timestamp;
    }

    /// A consumer of this library reads, and somebody appends. The checkpoint leaves what was appended, and the last
    /// line if it may not have been whole.
    fn checkpoint(&mut self, both: &mut Both, random: &mut Random, author: Author) {
        let (late, timestamp) = (entries(random), timestamp(random, Author::Library));
        self.told.push(format!(
            "a checkpoint at {timestamp}; before it, {author:?} appends {late:?}"
        ));
        let snapshot = both.lock.journal().read().expect("a snapshot");
        append(both, author, &late);
        both.lock
            .journal()
            .checkpoint(&snapshot, timestamp as i64)
            .expect("a checkpoint");
        let torn = self.entries.pop().filter(|_| self.torn == Some(true));
        self.entries = Vec::from_iter(torn);
        self.add(late, author);
        self.timestamp = timestamp;
    }

    fn expected(&self) -> Reading {
        if self.timestamp <= 0.0 {
            return Reading::Invalid;
        }
        Reading::Valid {
            timestamp: self.timestamp.to_bits(),
            changed: self.distinct(false),
            removed: self.distinct(true),
        }
    }

    fn distinct(&self, deleted: bool) -> Vec<String> {
        let mut paths: Vec<String> = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.deleted == deleted) {
            if !paths.contains(&entry.path) {
                paths.push(entry.path.clone());
            }
        }
        paths
    }
}

fn append(both: &mut Both, author: Author, entries: &[Entry]) {
    match author {
        Author::Shipped => both.shipped.append(entries),
        Author::Library => {
            let appended = both.lock.journal().append(entries.iter().map(as_library));
            appended.expect("appended");
        }
    }
}

fn as_library(entry: &Entry) -> jlock::Entry<'_> {
    match entry.deleted {
        true => jlock::Entry::deleted(&entry.path),
        false => jlock::Entry::changed(&entry.path),
    }
}

fn entries(random: &mut Random) -> Vec<Entry> {
    (0..random.below(5))
        .map(|_| Entry {
            path: carried_path(random),
            deleted: random.one_in(3),
        })
        .collect()
}

/// Mostly a realistic one; sometimes 0 or anything else that the author can write: whole numbers, or any number of
/// JavaScript's.
fn timestamp(random: &mut Random, author: Author) -> f64 {
    let wide = random.next() >> 1;
    match (random.below(10), author) {
        (0, _) => 0.0,
        (1, Author::Library) => wide as i64 as f64,
        (1, Author::Shipped) => f64::from_bits(wide).min(f64::MAX), // NaN becomes the largest
        (2, _) => random.below(1_000) as f64,
        _ => 1_600_000_000_000.0 + random.below(400_000_000_000) as f64,
    }
}

//! Paths without repetition, in the order of their first mention: an index over the journal's own bytes.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::journal::room::{Room, no_memory};
use crate::sys::{self, Errno};

/// Ranges of one buffer, of which each content is to count once.
///
/// Looking each one up in one table would miss every cache: for a million of them that takes ten times as long as reading
/// them. So they are gathered with their hashes, sorted into parts by the upper bits, and compared part by part, in a table
/// that stays in the cache.
pub(crate) struct Distinct<'r> {
    room: &'r Room,
    ranges: Vec<Range<usize>>,
    hashes: Vec<u64>,
}

/// A range, by its index, and the lower half of its hash. It is small because there is one for each line.
#[derive(Clone, Copy)]
struct Item {
    hash: u32,
    place: u32,
}

/// A free place in the table of a part.
const VACANT: Item = Item {
    hash: 0,
    place: u32::MAX,
};
/// How many ranges there may be: each has a place in an [`Item`], and one place is [`VACANT`].
const MOST: usize = u32::MAX as usize;
/// How many ranges a part has, on the average.
const PART: usize = 1024;
/// More parts than this do not sort well: their ends would not stay in the cache.
const MOST_PARTS_BITS: u32 = 12;

impl<'r> Distinct<'r> {
    /// With room for so many, if there is enough memory, because growing moves everything.
    pub(crate) fn with_room(expected: usize, room: &'r Room) -> Self {
        let mut distinct = Distinct {
            room,
            ranges: Vec::new(),
            hashes: Vec::new(),
        };
        if distinct.reserve(expected.min(MOST)).is_ok() {
            sys::expect_much(&mut distinct.ranges);
            sys::expect_much(&mut distinct.hashes);
        }
        distinct
    }

    fn reserve(&mut self, more: usize) -> Result<()> {
        self.room
            .ask(more.saturating_mul(size_of::<Range<usize>>() + size_of::<u64>()))?;
        self.ranges.try_reserve_exact(more).map_err(no_memory)?;
        self.hashes.try_reserve_exact(more).map_err(no_memory)
    }

    pub(crate) fn add(&mut self, content: &[u8], range: Range<usize>) -> Result<()> {
        if self.ranges.len() == self.ranges.capacity().min(self.hashes.capacity()) {
            self.reserve(growth(self.ranges.len())?)?;
        }
        self.hashes.push(hash(&content[range.clone()]));
        self.ranges.push(range);
        Ok(())
    }

    /// Each content once, in the order of its first mention.
    pub(crate) fn into_ranges(mut self, content: &[u8]) -> Result<Vec<Range<usize>>> {
        let mut again = self.repeated(content)?;
        if again.is_empty() {
            return Ok(self.ranges);
        }
        again.sort_unstable();
        let (mut place, mut again) = (0, again.into_iter().peekable());
        self.ranges.retain(|_| {
            place += 1;
            again.next_if_eq(&(place - 1)).is_none()
        });
        Ok(self.ranges)
    }

    /// The places of those whose content stands at an earlier place.
    fn repeated(&self, content: &[u8]) -> Result<Vec<u32>> {
        let (mut again, mut table) = (Vec::new(), Vec::new());
        let (items, ends) = self.parts()?;
        let mut start = 0;
        for end in ends {
            let part = &items[start..end];
            start = end;
            let size = (part.len() * 2).next_power_of_two();
            table.clear();
            table.try_reserve(size).map_err(no_memory)?;
            table.resize(size, VACANT);
            for item in part {
                let range = &self.ranges[item.place as usize];
                let is_same = |other: &Item| {
                    other.hash == item.hash
                        && content[self.ranges[other.place as usize].clone()] == content[range.clone()]
                };
                let mut at = item.hash as usize & (size - 1);
                while table[at].place != VACANT.place && !is_same(&table[at]) {
                    at = (at + 1) & (size - 1);
                }
                if table[at].place == VACANT.place {
                    table[at] = *item;
                } else {
                    again.try_reserve(1).map_err(no_memory)?;
                    again.push(item.place);
                }
            }
        }
        Ok(again)
    }

    /// All of them, sorted into parts by the upper bits of their hashes, and in their original order within each; and where
    /// the parts end.
    fn parts(&self) -> Result<(Vec<Item>, Vec<usize>)> {
        let bits = (self.hashes.len() / PART).max(1).ilog2().min(MOST_PARTS_BITS);
        let part_of = |hash: u64| (hash >> 32 >> (32 - bits)) as usize;
        let (mut items, mut ends) = (Vec::new(), vec![0; 1 << bits]);
        self.room.reserve(&mut items, self.hashes.len())?;
        sys::expect_much(&mut items);
        items.resize(self.hashes.len(), VACANT);
        for hash in &self.hashes {
            ends[part_of(*hash)] += 1;
        }
        let mut sum = 0;
        for end in &mut ends {
            sum += std::mem::replace(end, sum); // where it begins, for now
        }
        for (place, hash) in self.hashes.iter().enumerate() {
            let end = &mut ends[part_of(*hash)];
            items[*end] = Item {
                hash: *hash as u32,
                place: place as u32, // below `MOST`
            };
            *end += 1;
        }
        Ok((items, ends))
    }
}

/// How many more to make room for.
fn growth(held: usize) -> Result<usize> {
    match MOST.saturating_sub(held) {
        0 => Err(Error::os(Errno::OVERFLOW, format_args!("more than {MOST} lines"))),
        left => Ok(held.max(1024).min(left)),
    }
}

/// Takes eight bytes a step, and folds them in by a wide multiplication. It does not resist an attacker: somebody who can write
/// the journal can spoil it in simpler ways, and a collision only costs time.
#[inline]
fn hash(bytes: &[u8]) -> u64 {
    const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = SEED ^ bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        state = fold(state ^ word(chunk), SEED);
    }
    // The last eight bytes, of which some were taken before: cheaper than to copy a rest whose length cannot be predicted.
    let tail = match bytes.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last),
        None => word(bytes),
    };
    fold(fold(state ^ tail, SEED), 0xd6e8_feb8_6659_fd93)
}

/// At most eight bytes as a number.
fn word(bytes: &[u8]) -> u64 {
    match bytes.first_chunk::<8>() {
        Some(all) => u64::from_le_bytes(*all),
        None => bytes.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte)),
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide as u64) ^ (wide >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_ranges_than_places() {
        assert_eq!(growth(0).unwrap(), 1024);
        assert_eq!(growth(MOST / 2 + 1).unwrap(), MOST / 2);
        assert_eq!(growth(MOST - 1).unwrap(), 1);
        assert_eq!(growth(MOST).unwrap_err().code(), -libc::EOVERFLOW);
        assert_eq!(
            u32::try_from(MOST - 1).unwrap(),
            VACANT.place - 1,
            "the last place is nobody's"
        );
    }

    #[test]
    fn ranges_for_which_there_is_no_memory_are_refused() {
        const MANY: usize = 1 << 20;
        let room = Room::of(26 << 20);
        let mut with_room = Distinct::with_room(MANY, &room); // takes nearly all
        let fill = |distinct: &mut Distinct| (0..MANY).try_for_each(|_| distinct.add(b"", 0..0));
        let refused = |result: Result<()>| assert_eq!(result.unwrap_err().code(), -libc::ENOMEM);
        refused(fill(&mut Distinct::with_room(0, &room)));
        refused(Distinct::with_room(0, &room).reserve(MANY));
        fill(&mut with_room).unwrap();
        refused(with_room.into_ranges(b"").map(drop)); // their parts need as much again
    }

    #[test]
    fn each_is_kept_once_and_in_order() {
        let lines: Vec<String> = (0..10_000).map(|i| format!("path/{}", i * i % 5_000)).collect();
        let content = lines.concat().into_bytes();
        let room = Room::default();
        let (mut distinct, mut at) = (Distinct::with_room(0, &room), 0);
        for line in &lines {
            distinct.add(&content, at..at + line.len()).unwrap();
            at += line.len();
        }
        let kept: Vec<&str> = distinct
            .into_ranges(&content)
            .unwrap()
            .into_iter()
            .map(|range| std::str::from_utf8(&content[range]).unwrap())
            .collect();
        let mut seen = std::collections::HashSet::new();
        let expected: Vec<&str> = lines
            .iter()
            .map(String::as_str)
            .filter(|line| seen.insert(*line))
            .collect();
        assert_eq!(kept, expected);
    }
}

//! Paths without repetition, in the order of their first mention: an index over the journal's own bytes.

use std::collections::TryReserveError;
use std::ops::Range;

use crate::sys;

/// Ranges of one buffer, of which each content is to count once.
///
/// Looking each up in one table would miss every cache: a million of them take ten times as long as reading them. So they
/// are gathered with their hashes, sorted into parts by the upper bits, and told apart part by part, in a table that stays
/// in the cache.
pub(crate) struct Distinct {
    ranges: Vec<Range<usize>>,
    hashes: Vec<u64>,
}

/// A range by its place, and the lower half of its hash.
#[derive(Clone, Copy)]
struct Item {
    hash: u32,
    place: u32,
}

/// A line's place in the table of its part that nobody has taken.
const VACANT: Item = Item {
    hash: 0,
    place: u32::MAX,
};
/// How many ranges a part has, on the average.
const PART: usize = 1024;
/// More parts than this do not sort well: their ends would not stay in the cache.
const MOST_PARTS_BITS: u32 = 12;

impl Distinct {
    /// With room for as many, if there is so much memory: growing moves all that is there.
    pub(crate) fn with_room(expected: usize) -> Self {
        let (mut ranges, mut hashes) = (Vec::new(), Vec::new());
        if ranges.try_reserve_exact(expected).is_ok() && hashes.try_reserve_exact(expected).is_ok() {
            sys::expect_much(&mut ranges);
            sys::expect_much(&mut hashes);
        }
        Distinct { ranges, hashes }
    }

    pub(crate) fn add(&mut self, content: &[u8], range: Range<usize>) -> Result<(), TryReserveError> {
        self.ranges.try_reserve(1)?;
        self.hashes.try_reserve(1)?;
        self.hashes.push(hash(&content[range.clone()]));
        self.ranges.push(range);
        Ok(())
    }

    /// Each content once, in the order of its first mention.
    pub(crate) fn into_ranges(mut self, content: &[u8]) -> Result<Vec<Range<usize>>, TryReserveError> {
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
    fn repeated(&self, content: &[u8]) -> Result<Vec<u32>, TryReserveError> {
        let (mut again, mut table) = (Vec::new(), Vec::new());
        let (items, ends) = self.parts()?;
        let mut start = 0;
        for end in ends {
            let part = &items[start..end];
            start = end;
            let size = (part.len() * 2).next_power_of_two();
            table.clear();
            table.try_reserve(size)?;
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
                    again.try_reserve(1)?;
                    again.push(item.place);
                }
            }
        }
        Ok(again)
    }

    /// All of them, sorted into parts by the upper bits of their hashes, in their order within each; and where the parts
    /// end.
    fn parts(&self) -> Result<(Vec<Item>, Vec<usize>), TryReserveError> {
        let bits = (self.hashes.len() / PART).max(1).ilog2().min(MOST_PARTS_BITS);
        let part_of = |hash: u64| (hash >> 32 >> (32 - bits)) as usize;
        let (mut items, mut ends) = (Vec::new(), vec![0; 1 << bits]);
        items.try_reserve_exact(self.hashes.len())?;
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
            // More lines than 2^32 would not fit into this machine's memory.
            items[*end] = Item {
                hash: *hash as u32,
                place: place as u32,
            };
            *end += 1;
        }
        Ok((items, ends))
    }
}

/// Eight bytes a step, each folded in by a wide multiplication. Not against an enemy: whoever can write a journal can
/// spoil it in simpler ways, and a collision costs time alone.
#[inline]
fn hash(bytes: &[u8]) -> u64 {
    const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = SEED ^ bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        state = fold(state ^ word(chunk), SEED);
    }
    // The last eight bytes, some of them again: cheaper than a copy of what is left, whose length nobody foresees.
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
    fn each_is_kept_once_and_in_order() {
        let lines: Vec<String> = (0..10_000).map(|i| format!("path/{}", i * 7919 % 5_000)).collect();
        let content = lines.concat().into_bytes();
        let (mut distinct, mut at) = (Distinct::with_room(0), 0);
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

//! Paths without repetition, in the order of their first mention: an index over the journal's own bytes.

use std::collections::TryReserveError;
use std::ops::Range;

/// A set of ranges of one buffer that remembers their order.
pub(crate) struct Distinct {
    ranges: Vec<Range<usize>>,
    /// Open addressing; 0 is vacant, else the upper half of the hash above the range's index + 1. At most half full.
    table: Vec<u64>,
}

const INDEX_BITS: u32 = 32;

impl Distinct {
    pub(crate) fn new() -> Self {
        Distinct {
            ranges: Vec::new(),
            table: vec![0; 64],
        }
    }

    pub(crate) fn add(&mut self, content: &[u8], range: Range<usize>) -> Result<(), TryReserveError> {
        if (self.ranges.len() + 1) * 2 > self.table.len() {
            self.grow(content)?;
        }
        let bytes = &content[range.clone()];
        let hash = hash(bytes);
        let mask = self.table.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.table[at];
            if slot == 0 {
                break;
            }
            let index = (slot as u32 - 1) as usize;
            if slot >> INDEX_BITS == hash >> INDEX_BITS && content[self.ranges[index].clone()] == *bytes {
                return Ok(());
            }
            at = (at + 1) & mask;
        }
        self.ranges.try_reserve(1)?;
        self.ranges.push(range);
        self.table[at] = entry(hash, self.ranges.len());
        Ok(())
    }

    pub(crate) fn into_ranges(self) -> Vec<Range<usize>> {
        self.ranges
    }

    fn grow(&mut self, content: &[u8]) -> Result<(), TryReserveError> {
        let (mut table, len) = (Vec::new(), self.table.len() * 4);
        table.try_reserve_exact(len)?;
        table.resize(len, 0);
        let mask = table.len() - 1;
        for (index, range) in self.ranges.iter().enumerate() {
            let hash = hash(&content[range.clone()]);
            let mut at = hash as usize & mask;
            while table[at] != 0 {
                at = (at + 1) & mask;
            }
            table[at] = entry(hash, index + 1);
        }
        self.table = table;
        Ok(())
    }
}

/// A journal of more than 2^32 distinct lines would not fit into this machine's memory.
fn entry(hash: u64, number: usize) -> u64 {
    hash >> INDEX_BITS << INDEX_BITS | number as u64 & 0xffff_ffff
}

/// Eight bytes a step, each folded in by a wide multiplication. Not against an enemy: whoever can write a journal can
/// spoil it in simpler ways, and a collision costs time alone.
fn hash(bytes: &[u8]) -> u64 {
    const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = SEED ^ bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        state = fold(state ^ u64::from_le_bytes(word), SEED);
    }
    let mut word = [0; 8];
    word[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    fold(fold(state ^ u64::from_le_bytes(word), SEED), 0xd6e8_feb8_6659_fd93)
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
        let (mut distinct, mut at) = (Distinct::new(), 0);
        for line in &lines {
            distinct.add(&content, at..at + line.len()).unwrap();
            at += line.len();
        }
        let kept: Vec<&str> = distinct
            .into_ranges()
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

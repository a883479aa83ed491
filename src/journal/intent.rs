//! What a kill may cut, and how it is mended.
//!
//! The kernel ends a killed process's `write` where it goes from one page of the file to the next (measured: once in
//! 1 500 kills of a process that does nothing but append), and half a path is another path. So before such a write its
//! writer notes in the lock what it is about to do, as a fourth line of the stamp, and takes the note back afterwards. Who
//! claims the lock of a dead holder finds the note, and takes back what was not finished: nobody was told that it was.

use crate::journal::Standing;
use crate::lock::core::Core;
use crate::sys;

/// The kernel's larger pages end where smaller ones do.
const PAGE: u64 = 4096;

/// An append on its way: the journal's inode number, its size before, and its size after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Intent {
    inode: u64,
    from: u64,
    to: u64,
}

impl Intent {
    /// `None`: it stays within one page, where no kill can cut it.
    pub(super) fn of(journal: &Standing, len: usize) -> Option<Intent> {
        let from = journal.meta.size;
        let to = from + len as u64;
        let intent = Intent {
            inode: journal.meta.id.inode(),
            from,
            to,
        };
        (len > 0 && from / PAGE != (to - 1) / PAGE).then_some(intent)
    }

    /// The line that says so.
    pub(crate) fn line(&self) -> String {
        format!("append={}:{}:{}\n", self.inode, self.from, self.to)
    }

    /// From a library peer's lock.
    pub(crate) fn parse(lock: &[u8]) -> Option<Intent> {
        let line = std::str::from_utf8(lock).ok()?.split_inclusive('\n').nth(3)?;
        let mut numbers = line
            .strip_prefix("append=")?
            .strip_suffix('\n')?
            .split(':')
            .map(str::parse);
        let mut number = || numbers.next()?.ok();
        Some(Intent {
            inode: number()?,
            from: number()?,
            to: number()?,
        })
    }

    /// Takes back what a dead holder has not finished. A journal that is another file by now was not cut.
    pub(crate) fn mend(&self, core: &Core) {
        // What cannot be looked at or mended stays; the next append completes its last line.
        let Ok(Some(journal)) = Standing::open(&core.dir) else {
            return;
        };
        let is_cut = (self.from.saturating_add(1)..self.to).contains(&journal.meta.size);
        if journal.meta.id.inode() == self.inode && is_cut {
            let _ = sys::truncate(&journal.file, self.from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_reads_back_from_the_fourth_line_and_only_whole() {
        let intent = Intent {
            inode: 12,
            from: 4090,
            to: 4100,
        };
        let lock = format!("1\n1-0123456789abcdef\njlock/1 boot=\n{}", intent.line());
        assert_eq!(Intent::parse(lock.as_bytes()), Some(intent));
        assert_eq!(Intent::parse(&lock.as_bytes()[..lock.len() - 1]), None);
        assert_eq!(Intent::parse(b"1\n1-0123456789abcdef\njlock/1 boot=\n"), None);
    }
}

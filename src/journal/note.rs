//! What a kill may cut, and how it is taken back.
//!
//! The kernel can end a killed process's `write` where it goes from one page of the file to the next (measured: once in
//! 1 500 kills of a process that does nothing but append), or from one block to the next if these are smaller, and half a
//! path is another path. So before such a write, the writer leaves a note of what it is about to do, as the postscript of its
//! lock, and removes the note afterwards. The peer that claims a dead holder's lock hands the postscript to [`act_upon`], which
//! takes back what was not finished, and so was not acknowledged to anybody. A reader finds the note, too, and leaves out what
//! is not finished.

use crate::journal::Standing;
use crate::lock::dir::Dir;
use crate::sys::{self, FileId, Meta};

/// The kernel may use larger pages, but they end where smaller ones do.
const PAGE: u64 = 4096;
/// The smallest block of any file system.
const BLOCK: u64 = 512;

/// An append in progress: the journal's inode number, its size before, and its size after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    inode: u64,
    from: u64,
    to: u64,
}

impl Note {
    /// `None`: the append stays within one page and one block, where no kill can cut it.
    pub(super) fn of(journal: &Standing, len: usize) -> Option<Note> {
        let from = journal.meta.size;
        let to = from + len as u64;
        let note = Note {
            inode: journal.meta.id.inode(),
            from,
            to,
        };
        // If the file system does not say, its blocks may be small.
        let block = || sys::capacity::block_size(&journal.file).unwrap_or(BLOCK);
        (len > 0 && may_be_cut(from, to, block)).then_some(note)
    }

    /// The line that says so.
    pub(super) fn line(&self) -> String {
        format!("append={}:{}:{}\n", self.inode, self.from, self.to)
    }

    /// Parses the first line of a lock's postscript, if that line is whole.
    pub(super) fn parse(postscript: &[u8]) -> Option<Note> {
        let end = sys::find_byte(b'\n', postscript)?;
        let line = std::str::from_utf8(&postscript[..end]).ok()?;
        let mut numbers = line.strip_prefix("append=")?.split(':').map(str::parse);
        let mut number = || numbers.next()?.ok();
        Some(Note {
            inode: number()?,
            from: number()?,
            to: number()?,
        })
    }

    /// Where the journal ends without the append, if that was begun and not finished. If the journal is another file by now,
    /// it was not cut.
    pub(super) fn cut(&self, journal: FileId, size: u64) -> Option<u64> {
        let is_begun = (self.from.saturating_add(1)..self.to).contains(&size);
        (journal.inode() == self.inode && is_begun).then_some(self.from)
    }
}

/// Whether a write from one size to the other can end between them. A file system whose blocks are smaller than a page may
/// have room for the first of them only. (Their size is asked for only by the few writes for which it matters.)
fn may_be_cut(from: u64, to: u64, block: impl FnOnce() -> u64) -> bool {
    let crosses = |unit: u64| from / unit != (to - 1) / unit;
    crosses(PAGE) || crosses(BLOCK) && crosses(block().clamp(BLOCK, PAGE))
}

/// Takes back what a dead holder has not finished, according to the postscript of its lock. Call it under the lock that was
/// claimed. A note is acted on only if `user`, whose lock it stood in, could have cut the journal anyway.
pub(crate) fn act_upon(dir: &Dir, postscript: &[u8], user: u32) {
    let Some(note) = Note::parse(postscript) else {
        return;
    };
    // If it cannot be looked at or taken back, it stays, and the next append completes its last line.
    let Ok(Some(journal)) = Standing::open(dir) else {
        return;
    };
    if let Some(size) = note
        .cut(journal.meta.id, journal.meta.size)
        .filter(|_| may_write(user, &journal.meta))
    {
        let _ = sys::truncate(&journal.file, size);
    }
}

/// Whether a user can write to a file. If the group may write, we assume so, without asking who is in the group.
fn may_write(user: u32, file: &Meta) -> bool {
    const OTHERS_MAY_WRITE: u32 = 0o022;
    user == 0 || user == file.uid || file.mode & OTHERS_MAY_WRITE != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_append_that_stays_within_its_page_and_block_cannot_be_cut() {
        let never = || unreachable!("a question that costs a call");
        assert!(!may_be_cut(0, 512, never));
        assert!(!may_be_cut(700, 800, never));
        assert!(may_be_cut(4090, 4100, never));
        assert!(!may_be_cut(1000, 1030, || 4096));
        assert!(!may_be_cut(1000, 1030, || 1 << 20), "pages are smaller");
        assert!(may_be_cut(1000, 1030, || 1024));
        assert!(may_be_cut(500, 520, || 512));
        assert!(!may_be_cut(500, 520, || 1024));
    }

    #[test]
    fn a_note_says_where_its_own_journal_was_cut() {
        let dir = sys::open_dir(c"/").unwrap();
        let id = sys::fstat(&dir).unwrap().id;
        let note = |inode| Note {
            inode,
            from: 100,
            to: 200,
        };
        let cuts = [99, 100, 101, 199, 200].map(|size| note(id.inode()).cut(id, size));
        assert_eq!(cuts, [None, None, Some(100), Some(100), None]);
        assert_eq!(note(id.inode() + 1).cut(id, 150), None);
    }

    /// A note that stands in the lock of a user who may not write to the journal.
    #[test]
    fn a_note_is_believed_of_whoever_could_cut_the_journal_anyway() {
        let scratch = sys::tests::Scratch::new();
        let dir = Dir::new(sys::open_subdir(&scratch.dir, c".").unwrap(), c"j").unwrap();
        let journal = sys::open(&scratch.dir, c"j", sys::Open::CreateNew).unwrap();
        sys::chmod(&journal, 0o600).unwrap();
        sys::write_at(&journal, b"whole\nhal", 0).unwrap();
        let meta = sys::fstat(&journal).unwrap();
        let note = format!("append={}:6:20\n", meta.id.inode());
        let size_after = |user| {
            act_upon(&dir, note.as_bytes(), user);
            sys::fstat(&journal).unwrap().size
        };
        assert_eq!(size_after(meta.uid + 1), 9);
        assert_eq!(size_after(meta.uid), 6);
    }

    #[test]
    fn a_user_may_cut_what_the_user_could_write_to() {
        let dir = sys::open_dir(c"/").unwrap();
        let file = |uid, mode| Meta {
            uid,
            mode,
            ..sys::fstat(&dir).unwrap()
        };
        assert!(may_write(0, &file(7, 0o600)));
        assert!(may_write(7, &file(7, 0o600)));
        assert!(!may_write(8, &file(7, 0o644)));
        assert!(may_write(8, &file(7, 0o664)));
        assert!(may_write(8, &file(7, 0o646)));
    }

    #[test]
    fn a_note_reads_back_from_a_postscript_and_only_whole() {
        let note = Note {
            inode: 12,
            from: 4090,
            to: 4100,
        };
        let line = note.line();
        assert_eq!(Note::parse(line.as_bytes()), Some(note));
        assert_eq!(Note::parse(format!("{line}more\n").as_bytes()), Some(note));
        for end in 0..line.len() {
            assert_eq!(Note::parse(&line.as_bytes()[..end]), None, "{end}");
        }
    }
}

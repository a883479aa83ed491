//! What somebody who takes no lock does to the journal while a call is writing to it.

use std::fs;
use std::path::Path;

use jlock::seam::Verdict;
use jlock::{Entry, ErrorKind, Lock, Options};

use crate::scratch::{HEADER, Scratch};
use crate::script::{at, script};

/// Puts a new journal in the place of the old one.
fn replace(journal: &Path) {
    let new = journal.with_extension("new");
    fs::write(&new, format!("{HEADER}theirs\n")).unwrap();
    fs::rename(new, journal).unwrap();
}

#[test]
fn a_journal_that_is_replaced_each_time_it_is_written_to_is_an_error() {
    let writes: [fn(&Lock) -> jlock::Result<()>; 3] = [
        |lock| lock.journal().append([Entry::changed("ours")]),
        |lock| {
            lock.journal()
                .append_stamped([Entry::changed("ours")], 1_800_000_000_000)
        },
        |lock| lock.journal().append_stamped([Entry::changed("ours")], 18),
    ];
    for write in writes {
        let scratch = Scratch::with("before\n");
        let (lock, journal) = (scratch.open(), scratch.journal());
        let replaces = move |call| {
            if call == "newfstatat" {
                replace(&journal);
            }
            Verdict::Proceed
        };
        let told = script(replaces, || write(&lock)).unwrap_err();
        assert_eq!(told.code(), -libc::EBUSY, "{told}");
        assert_eq!(scratch.entries(), "theirs\n");
        write(&lock).unwrap();
        assert_eq!(scratch.entries(), "theirs\nours\n");
    }
}

/// Appends to a journal that becomes something else once the entry is written, and before it is on disk.
fn sync_while(becomes: fn(&Path)) -> jlock::Result<()> {
    let scratch = Scratch::with("before\n");
    let lock = Options::new().sync(true).open(&scratch.0).unwrap();
    let journal = scratch.journal();
    let change = move || {
        assert!(fs::read_to_string(&journal).unwrap().ends_with("ours\n"));
        fs::remove_file(&journal).unwrap();
        becomes(&journal);
    };
    script(at("fdatasync", change), || {
        lock.journal().append([Entry::changed("ours")])
    })
}

#[test]
fn a_journal_that_is_removed_before_it_is_on_disk_has_nothing_to_wait_for() {
    sync_while(|_| {}).unwrap();
}

#[test]
fn a_journal_that_cannot_be_opened_again_may_not_be_on_disk() {
    let told = sync_while(|journal| fs::create_dir(journal).unwrap()).unwrap_err();
    assert_eq!(told.kind(), ErrorKind::NotLock);
    assert!(told.message().contains("was written, but may not be on disk"), "{told}");
}

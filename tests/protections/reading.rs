//! A header that is written during a read promises nothing that the entries read do not contain.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use crate::scene::{At, HEADER, Scratch, World, append_raw, meanwhile};

/// Longer than any header, so that each look at the header is a single read.
const LONG: &str = "a/path/that/is/longer/than/all/that/a/reader/looks/at/to/find/the/header\n";

fn header(timestamp_ms: u64) -> String {
    format!("# codegraph-journal v1 {timestamp_ms}\n")
}

fn write_header(path: &std::path::Path, timestamp_ms: u64) {
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(header(timestamp_ms).as_bytes(), 0).unwrap();
}

/// The first read sees the digits half written.
#[test]
fn a_header_that_is_written_while_it_is_read_is_read_as_a_whole() {
    let (scratch, world) = (Scratch::new(), World::new());
    fs::write(scratch.journal(), format!("{}{LONG}", header(1_700_000_000_999))).unwrap();
    let lock = scratch.open();
    let dir = scratch.dir();
    let written = meanwhile(At::Before("pread64"), 2, move || {
        write_header(&dir.journal(), 1_700_000_001_000)
    });
    let snapshot = world.run(written, || lock.journal().read()).unwrap();
    assert_eq!(snapshot.timestamp(), 1_700_000_001_000.0);
}

/// Somebody appends and stamps after the reader has looked at the journal's size.
#[test]
fn a_header_that_is_written_after_the_entries_were_counted_does_not_count() {
    let (scratch, world) = (Scratch::with(LONG), World::new());
    let lock = scratch.open();
    let dir = scratch.dir();
    let written = meanwhile(At::Before("pread64"), 3, move || {
        append_raw(&dir.journal(), "after\n");
        write_header(&dir.journal(), 1_700_000_000_001);
    });
    let snapshot = world.run(written, || lock.journal().read()).unwrap();
    assert_eq!(snapshot.changed().count(), 1);
    assert_eq!(format!("# codegraph-journal v1 {}\n", snapshot.timestamp()), HEADER);
}

/// The same, where there is no entry yet. Each look at so short a file is two reads, of which the second finds its end.
#[test]
fn a_first_entry_and_its_header_that_come_after_the_count_do_not_count() {
    let (scratch, world) = (Scratch::with(""), World::new());
    let lock = scratch.open();
    let dir = scratch.dir();
    let written = meanwhile(At::Before("pread64"), 5, move || {
        append_raw(&dir.journal(), "after\n");
        write_header(&dir.journal(), 1_700_000_000_001);
    });
    let snapshot = world.run(written, || lock.journal().read()).unwrap();
    assert_eq!(world.calls().iter().filter(|call| **call == "pread64").count(), 5);
    assert_eq!(snapshot.changed().count(), 0);
    assert_eq!(format!("# codegraph-journal v1 {}\n", snapshot.timestamp()), HEADER);
}

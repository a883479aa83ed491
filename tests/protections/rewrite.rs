//! A new journal in place of the old one: what must be true before it takes the name, and what must not be lost with
//! the old one.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use jlock::seam::Verdict;
use jlock::{Entry, Lock};

use crate::scene::{At, HEADER, Scratch, World, inode, meanwhile, once};

const STAMP_MS: i64 = 1_700_000_000_001;

fn checkpoint(lock: &Lock) -> jlock::Result<bool> {
    let snapshot = lock.journal().read()?;
    lock.journal().checkpoint(&snapshot, STAMP_MS)
}

/// After a power cut, the name must not lead to less than before.
#[test]
fn a_rewrite_is_on_disk_before_its_rename() {
    let (scratch, world) = (Scratch::with("before\n"), World::new());
    let lock = world.parked(&scratch);
    world.quietly(|| checkpoint(&lock)).unwrap();
    assert!(
        world.place_of("fdatasync") < world.place_of("renameat"),
        "{:?}",
        world.calls()
    );
}

#[test]
fn a_rewrite_that_may_not_be_on_disk_takes_no_name() {
    let (scratch, world) = (Scratch::with("before\n"), World::new());
    let lock = world.parked(&scratch);
    let was = inode(&scratch.journal());
    let fails = once(At::Before("fdatasync"), 1, || Verdict::Fail(libc::EIO));
    let told = world.run(fails, || checkpoint(&lock)).unwrap_err();
    assert_eq!(told.code(), -libc::EIO, "{told}");
    assert_eq!(inode(&scratch.journal()), was);
    assert_eq!(scratch.content(), format!("{HEADER}before\n"));
    assert_eq!(scratch.private_files().len(), 1, "the parked stamp's");
}

#[test]
fn a_journal_that_was_replaced_under_a_rewrite_is_not_lost() {
    let (scratch, world) = (Scratch::with("before\n"), World::new());
    let lock = world.parked(&scratch);
    let dir = scratch.dir();
    let replaced = meanwhile(At::Before("fdatasync"), 1, move || {
        dir.replace(&dir.journal(), &format!("{HEADER}another\n"));
    });
    world.run(replaced, || checkpoint(&lock)).unwrap();
    assert!(scratch.content().ends_with("another\n"), "{}", scratch.content());
    assert_eq!(scratch.private_files().len(), 1, "the parked stamp's");
}

#[test]
fn a_journal_that_came_under_a_create_is_not_lost() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = world.parked(&scratch);
    let dir = scratch.dir();
    let comes = move |at: At| {
        if let At::Before("renameat2" | "renameat") = at {
            if !dir.journal().exists() {
                fs::write(dir.journal(), format!("{HEADER}another\n")).unwrap();
            }
        }
        Verdict::Proceed
    };
    world
        .run(comes, || lock.journal().append([Entry::changed("ours")]))
        .unwrap();
    assert_eq!(scratch.content(), format!("{HEADER}another\nours\n"));
}

#[test]
fn a_new_journal_has_its_rights_before_its_content() {
    let (scratch, world) = (Scratch::with("before\n"), World::new());
    fs::set_permissions(scratch.journal(), Permissions::from_mode(0o600)).unwrap();
    let lock = world.parked(&scratch);
    let stamp = scratch.private_file();
    let dir = scratch.dir();
    let looked = meanwhile(At::Before("pwrite64"), 1, move || {
        let new = dir.private_files().into_iter().find(|path| *path != stamp).unwrap();
        let mode = fs::metadata(new).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    });
    world.run(looked, || checkpoint(&lock)).unwrap();
    assert!(world.calls().contains(&"pwrite64"));
}

/// What a journal with this content is after an append whose timestamp does not fit into its header.
fn stamped(content: &str) -> String {
    let scratch = Scratch::new();
    fs::write(scratch.journal(), content).unwrap();
    let lock = scratch.open();
    lock.journal()
        .append_stamped([Entry::changed("ours")], STAMP_MS)
        .unwrap();
    scratch.content()
}

#[test]
fn a_journal_without_a_header_keeps_its_first_entry() {
    assert_eq!(
        stamped("first\nsecond\n"),
        "# codegraph-journal v1 1700000000001\nfirst\nsecond\nours\n"
    );
}

/// A shorter header, with an entry that ends where the new header would, or with nothing behind it.
#[test]
fn an_entry_is_not_overwritten_by_a_longer_header() {
    let (old, new) = ("# codegraph-journal v1 1\n", "# codegraph-journal v1 1700000000001\n");
    let first = format!("{}\n", "a".repeat(new.len() - old.len() - 1));
    for entries in ["", &first] {
        assert_eq!(stamped(&format!("{old}{entries}")), format!("{new}{entries}ours\n"));
    }
}

#[test]
fn a_last_line_that_was_cut_gets_its_newline_in_a_new_journal() {
    assert_eq!(
        stamped("# codegraph-journal v1 1\nbefore\ncut"),
        "# codegraph-journal v1 1700000000001\nbefore\ncut\nours\n"
    );
}

#[test]
fn a_first_journal_is_made_where_no_rename_is_exclusive() {
    let (scratch, world) = (Scratch::new(), World::new());
    let lock = world.parked(&scratch);
    let refused = |at| match at {
        At::Before("renameat2") => Verdict::Fail(22),
        _ => Verdict::Proceed,
    };
    world
        .run(refused, || lock.journal().append([Entry::changed("ours")]))
        .unwrap();
    assert!(scratch.content().ends_with("\nours\n"));
}

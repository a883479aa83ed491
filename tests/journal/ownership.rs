//! A new journal has the owner and the rights of the old one.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Command;

use jlock::Entry;
use rustix::fs::{XattrFlags, fgetxattr, fsetxattr, ioctl_getflags, ioctl_setflags};

use crate::child::{as_child, run};
use crate::scratch::{HEADER, Scratch};
use crate::tried::{is_root, not_tried};

const USER: u32 = 4711;
const OTHER: u32 = 4712;
const GROUP: u32 = 4713;
const ACL: &str = "system.posix_acl_access";

fn owner(scratch: &Scratch) -> (u32, u32, u32) {
    let meta = fs::metadata(scratch.journal()).unwrap();
    (meta.uid(), meta.gid(), meta.mode() & 0o7777)
}

fn give(scratch: &Scratch, user: u32, mode: u32) {
    chown(scratch.journal(), Some(user), Some(GROUP)).unwrap();
    fs::set_permissions(scratch.journal(), Permissions::from_mode(mode)).unwrap();
}

/// user::rw-, user:USER:rw-, group::---, mask::rw-, other::---
fn list() -> Vec<u8> {
    let mut list = 2u32.to_le_bytes().to_vec();
    for (tag, rights, id) in [
        (1u16, 6u16, u32::MAX),
        (2, 6, USER),
        (4, 0, u32::MAX),
        (16, 6, u32::MAX),
        (32, 0, u32::MAX),
    ] {
        list.extend(tag.to_le_bytes());
        list.extend(rights.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    list
}

fn attribute(file: &File, name: &str) -> Option<Vec<u8>> {
    let mut value = [0; 256];
    let length = fgetxattr(file, name, &mut value).ok()?;
    Some(value[..length].to_vec())
}

#[test]
fn what_root_rewrites_stays_the_users() {
    if !is_root() {
        return;
    }
    for mode in [0o640, 0o600, 0o666] {
        let scratch = Scratch::with("a\n");
        give(&scratch, USER, mode);
        let lock = scratch.open();
        let inode = scratch.inode();
        let _old = std::fs::File::open(scratch.journal()).unwrap(); // so that its inode number is not reused
        lock.journal().append_stamped([Entry::changed("b")], 7).unwrap();
        lock.journal().checkpoint(&lock.journal().read().unwrap(), 8).unwrap();
        lock.journal().write_header(9).unwrap();
        assert_ne!(scratch.inode(), inode);
        assert_eq!(owner(&scratch), (USER, GROUP, mode));
    }
}

#[test]
fn a_journal_that_root_makes_is_the_directory_owners() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    chown(&scratch.0, Some(USER), Some(GROUP)).unwrap();
    scratch.open().journal().append([Entry::changed("a")]).unwrap();
    assert_eq!((owner(&scratch).0, owner(&scratch).1), (USER, GROUP));
}

#[test]
fn an_access_control_list_and_the_users_attributes_stay() {
    let scratch = Scratch::with("a\n");
    let file = File::open(scratch.journal()).unwrap();
    if fsetxattr(&file, ACL, &list(), XattrFlags::empty()).is_err() {
        return not_tried("this file system has no access control lists");
    }
    fsetxattr(&file, "user.note", b"mine", XattrFlags::empty()).unwrap();
    scratch.open().journal().write_header(1).unwrap();
    let new = File::open(scratch.journal()).unwrap();
    assert_ne!(new.metadata().unwrap().ino(), file.metadata().unwrap().ino());
    assert_eq!(attribute(&new, ACL), Some(list()));
    assert_eq!(attribute(&new, "user.note"), Some(b"mine".to_vec()));
}

#[test]
fn a_list_that_the_directory_would_give_is_not_taken_over() {
    let scratch = Scratch::with("a\n");
    fs::set_permissions(scratch.journal(), Permissions::from_mode(0o600)).unwrap();
    let dir = File::open(&scratch.0).unwrap();
    if fsetxattr(&dir, "system.posix_acl_default", &list(), XattrFlags::empty()).is_err() {
        return not_tried("this file system has no access control lists");
    }
    scratch.open().journal().write_header(1).unwrap();
    let new = File::open(scratch.journal()).unwrap();
    assert_eq!(attribute(&new, ACL), None);
    assert_eq!(owner(&scratch).2, 0o600);
}

#[test]
fn a_user_who_cannot_give_it_back_does_not_take_it() {
    if !is_root() {
        return;
    }
    // The owner is in the group, like everybody who shares a directory through it. A stranger could not give the new
    // journal that group, so its members would get the rights of others.
    let elsewhere = Scratch::new();
    let program = crate::fresh::program_for_all(&elsewhere.0);
    fs::set_permissions(&elsewhere.0, Permissions::from_mode(0o755)).unwrap();
    let cases = [(0o664, GROUP, 0), (0o666, GROUP, 0), (0o646, OTHER, -libc::EPERM)];
    for (mode, group, code) in cases {
        let scratch = Scratch::with("a\n");
        give(&scratch, USER, mode);
        fs::set_permissions(&scratch.0, Permissions::from_mode(0o777)).unwrap();
        let before = scratch.content();
        let told = run(as_child(Command::new(&program), &scratch.0, "header")
            .uid(OTHER)
            .gid(group));
        assert_eq!(told.0, code, "{mode:o}: {told:?}");
        match code {
            0 => assert_eq!(owner(&scratch), (OTHER, GROUP, mode)),
            _ => assert_eq!((owner(&scratch), scratch.content()), ((USER, GROUP, mode), before)),
        }
        assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 1, "nothing is left behind");
    }
}

#[test]
fn a_journal_that_may_only_be_appended_to_gets_no_entries_without_their_stamp() {
    let scratch = Scratch::with("a\n");
    let file = File::open(scratch.journal()).unwrap();
    let flags = ioctl_getflags(&file).ok();
    let only_append = flags.map(|flags| ioctl_setflags(&file, flags | rustix::fs::IFlags::APPEND));
    let (Some(flags), Some(Ok(()))) = (flags, only_append) else {
        return not_tried("it needs root, and a file system with attributes");
    };
    let lock = scratch.open();
    let appended = lock.journal().append([Entry::changed("b")]);
    let stamped = lock.journal().append_stamped([Entry::changed("c")], 1_800_000_000_000);
    let rewritten = lock.journal().append_stamped([Entry::changed("d")], 18);
    ioctl_setflags(&file, flags).unwrap();
    appended.unwrap();
    assert_eq!(stamped.unwrap_err().code(), -libc::EPERM);
    assert_eq!(rewritten.unwrap_err().code(), -libc::EPERM);
    assert_eq!(scratch.content(), format!("{HEADER}a\nb\n"));
}

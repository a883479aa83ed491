//! Who owns a new journal: the owner of the old one, with all the rights that the old one gave, and no others.

use std::ffi::CString;

use crate::error::{Error, Result};
use crate::lock::dir::{Dir, Name};
use crate::sys::owner::{self, ACL, Owner};
use crate::sys::{self, Errno, Fd, Meta};

const ROOT: u32 = 0;

/// Gives a new journal, while it is still empty, what the old one has: owner, group, access control list, mode and user
/// attributes. It fails, before anything is done, if somebody would lose a right that they have now.
pub(super) fn from_old(dir: &Dir, new: &Fd, old: &Fd, meta: &Meta) -> Result<()> {
    let os = |e| {
        Error::os(
            e,
            format_args!("give a new {} the old one's rights", Name(&dir.journal)),
        )
    };
    let (theirs, ours) = (Owner::of(meta), Owner::of(&sys::fstat(new).map_err(os)?));
    let given = match theirs == ours {
        true => theirs,
        false => give(new, ours, theirs),
    };
    let (old_names, new_names) = (owner::attributes(old).map_err(os)?, owner::attributes(new).map_err(os)?);
    let mode = mode_for(meta.mode, theirs, given).filter(|_| given == theirs || !has(&old_names));
    let mode = mode.ok_or_else(|| locked_out(dir, theirs))?;
    inherit_list(new, old, &old_names, has(&new_names)).map_err(os)?;
    // Last, because each of the calls above may change it.
    if mode != sys::fstat(new).map_err(os)?.mode {
        sys::chmod(new, mode).map_err(os)?;
    }
    for name in old_names.iter().filter(|name| name.to_bytes().starts_with(b"user.")) {
        // As far as the file system allows: they give nobody a right.
        let _ = owner::attribute(old, name).map(|value| value.map(|value| owner::set_attribute(new, name, &value)));
    }
    Ok(())
}

/// If root makes a journal where there is none, in somebody's directory, it becomes theirs.
pub(super) fn from_directory(dir: &Dir, new: &Fd) -> Result<()> {
    let os = |e| Error::os(e, format_args!("look whose {} is", Name(&dir.journal)));
    let ours = Owner::of(&sys::fstat(new).map_err(os)?);
    if ours.user == ROOT {
        let theirs = Owner::of(&sys::fstat(&dir.fd).map_err(os)?);
        if theirs.user != ROOT {
            // If the file system cannot do this, its files belong to somebody whatever we do.
            let _ = owner::give(new, ours, theirs);
        }
    }
    Ok(())
}

/// Returns who owns it then: only root may give a file to anybody, and others only to a group that they are in.
fn give(new: &Fd, ours: Owner, theirs: Owner) -> Owner {
    let theirs = owner::known(theirs, ours);
    if owner::change_owner(new, Some(theirs.user), theirs.group).is_ok() {
        return theirs;
    }
    match ours.group == theirs.group || owner::change_owner(new, None, theirs.group).is_ok() {
        true => Owner {
            group: theirs.group,
            ..ours
        },
        false => ours,
    }
}

/// The mode that a new journal gets. `None`: somebody would be locked out. The former owner is counted with the file's group,
/// if that stays the same: people who share a directory by its group are members of it.
fn mode_for(mode: u32, theirs: Owner, given: Owner) -> Option<u32> {
    let covers = |less: u32, more: u32| less & 0o6 & !more == 0;
    let (user, group, others) = (mode >> 6, mode >> 3, mode);
    let user_keeps =
        given.user == theirs.user || covers(user, if given.group == theirs.group { group } else { others });
    // Another group must not get the old one's rights, nor must the old one get those of the others.
    let group_keeps = given.group == theirs.group || (group ^ others) & 0o6 == 0;
    let mode = if given.group == theirs.group {
        mode
    } else {
        mode & !0o2000
    };
    (user_keeps && group_keeps).then_some(mode)
}

fn has(names: &[CString]) -> bool {
    names.iter().any(|name| name.as_c_str() == ACL)
}

/// Copies the old one's access control list; or removes the list that the directory gave the new one by default.
fn inherit_list(new: &Fd, old: &Fd, old_names: &[CString], given: bool) -> sys::Result<()> {
    let list = match has(old_names) {
        true => owner::attribute(old, ACL)?,
        false => None,
    };
    match list {
        Some(list) => owner::set_attribute(new, ACL, &list),
        None if given => owner::remove_attribute(new, ACL),
        None => Ok(()),
    }
}

fn locked_out(dir: &Dir, owner: Owner) -> Error {
    let what = format_args!(
        "{}: it belongs to user {} and group {}, who could not use a new one of ours; nothing was done",
        Name(&dir.journal),
        owner.user,
        owner.group
    );
    Error::os(Errno::PERM, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEIRS: Owner = Owner { user: 1, group: 1 };

    fn mode(mode: u32, user: u32, group: u32) -> Option<u32> {
        mode_for(mode, THEIRS, Owner { user, group })
    }

    #[test]
    fn nobody_is_locked_out_and_nobody_let_in() {
        assert_eq!(mode(0o600, 1, 1), Some(0o600));
        assert_eq!(mode(0o644, 2, 1), None, "the owner could write");
        assert_eq!(mode(0o664, 2, 1), Some(0o664), "the owner is of the group");
        assert_eq!(mode(0o664, 2, 2), None, "the group could write");
        assert_eq!(mode(0o666, 2, 2), Some(0o666));
        assert_eq!(mode(0o640, 1, 2), None, "the group could read");
        assert_eq!(mode(0o606, 2, 2), None, "the group could not");
        assert_eq!(mode(0o644, 1, 2), Some(0o644));
        assert_eq!(mode(0o2666, 1, 2), Some(0o666));
    }
}

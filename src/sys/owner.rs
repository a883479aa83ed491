//! Who owns a file, and who else may use it.

use std::ffi::{CStr, CString};

use super::process::proc_file;
use super::{Errno, Fd, Meta, Result, around};

/// The access control list, as an extended attribute.
pub(crate) const ACL: &CStr = c"system.posix_acl_access";

/// The most that Linux gives as a list of names, or as one value (linux/limits.h).
const ATTRIBUTES_MAX: usize = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub user: u32,
    pub group: u32,
}

impl Owner {
    /// Of a file or a directory.
    pub(crate) fn of(meta: &Meta) -> Owner {
        Owner {
            user: meta.uid,
            group: meta.gid,
        }
    }
}

/// `user` as `None`: it stays.
pub(crate) fn change_owner(file: &Fd, user: Option<u32>, group: u32) -> Result<()> {
    let user = user.map(rustix::fs::Uid::from_raw);
    let group = rustix::fs::Gid::from_raw(group);
    around("fchown", || rustix::fs::fchown(file.verified()?, user, Some(group)))
}

/// The owner to whom something can be given instead of `theirs`. A user namespace shows all whom it does not know under one
/// number, and that number may well be somebody else's there: they are replaced by `ours`.
pub(crate) fn known(theirs: Owner, ours: Owner) -> Owner {
    let pick = |theirs, ours, overflow, map| if is_known(theirs, overflow, map) { theirs } else { ours };
    Owner {
        user: pick(
            theirs.user,
            ours.user,
            c"/proc/sys/kernel/overflowuid",
            c"/proc/self/uid_map",
        ),
        group: pick(
            theirs.group,
            ours.group,
            c"/proc/sys/kernel/overflowgid",
            c"/proc/self/gid_map",
        ),
    }
}

/// Gives a file of ours to them, as far as they are known.
pub(crate) fn give(file: &Fd, ours: Owner, theirs: Owner) -> Result<()> {
    let theirs = known(theirs, ours);
    change_owner(file, Some(theirs.user), theirs.group)
}

/// Whether all numbers are known here, or this is not the one for the unknown. Without /proc, the first is not known.
fn is_known(id: u32, overflow: &CStr, map: &CStr) -> bool {
    let maps_all = proc_file(map).is_some_and(|map| map.split_ascii_whitespace().nth(2) == Some("4294967295"));
    let unknown = || {
        proc_file(overflow)
            .and_then(|text| text.parse().ok())
            .unwrap_or(USUAL_OVERFLOW)
    };
    maps_all || id != unknown()
}

/// What the two are where nobody has changed them.
const USUAL_OVERFLOW: u32 = 65534;

/// The names of a file's extended attributes. None where the file system has none.
pub(crate) fn attributes(file: &Fd) -> Result<Vec<CString>> {
    let names = match growing(|room| around("flistxattr", || rustix::fs::flistxattr(file.borrow()?, &mut *room))) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Vec::new()),
        names => names?,
    };
    let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(names.filter_map(|name| CString::new(name).ok()).collect())
}

/// `None`: it has gone.
pub(crate) fn attribute(file: &Fd, name: &CStr) -> Result<Option<Vec<u8>>> {
    let value = growing(|room| around("fgetxattr", || rustix::fs::fgetxattr(file.borrow()?, name, &mut *room)));
    match value {
        Err(Errno::NODATA) => Ok(None),
        value => value.map(Some),
    }
}

pub(crate) fn set_attribute(file: &Fd, name: &CStr, value: &[u8]) -> Result<()> {
    around("fsetxattr", || {
        rustix::fs::fsetxattr(file.verified()?, name, value, rustix::fs::XattrFlags::empty())
    })
}

pub(crate) fn remove_attribute(file: &Fd, name: &CStr) -> Result<()> {
    match around("fremovexattr", || rustix::fs::fremovexattr(file.verified()?, name)) {
        Err(Errno::NODATA) => Ok(()),
        other => other,
    }
}

/// What `get` fills in, with little room first: most have none, or few.
fn growing(mut get: impl FnMut(&mut [u8]) -> Result<usize>) -> Result<Vec<u8>> {
    let mut small = [0; 256];
    match get(&mut small) {
        Ok(len) => return Ok(small.get(..len).unwrap_or(&small).to_vec()),
        Err(Errno::RANGE) => {}
        Err(errno) => return Err(errno),
    }
    let mut large = Vec::new();
    large.try_reserve_exact(ATTRIBUTES_MAX).map_err(|_| Errno::NOMEM)?;
    large.resize(ATTRIBUTES_MAX, 0);
    let len = get(&mut large)?;
    large.truncate(len);
    Ok(large)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::tests::{Scratch, not_tried};
    use crate::sys::{Open, open};

    #[test]
    fn the_number_of_the_unknown_is_somebody_only_where_all_are_known() {
        let scratch = Scratch::new();
        let file = |name: &str, text: &str| {
            std::fs::write(scratch.path(name), text).unwrap();
            scratch.path_of(name)
        };
        let overflow = file("overflow", "4711\n");
        let all = file("all", "         0          0 4294967295\n");
        let some = file("some", "0 1000 1\n1 100000 65536\n");
        assert!(is_known(4711, &overflow, &all));
        assert!(!is_known(4711, &overflow, &some));
        assert!(is_known(4712, &overflow, &some));
        let missing = c"/proc/self/no/such/file";
        assert!(!is_known(USUAL_OVERFLOW, missing, missing));
    }

    #[test]
    fn who_is_not_known_is_replaced() {
        let (theirs, ours) = (Owner { user: 1, group: 2 }, Owner { user: 3, group: 4 });
        assert_eq!(known(theirs, ours), theirs);
    }

    #[test]
    fn a_value_gets_the_room_that_it_needs() {
        for len in [0, 256, 257, ATTRIBUTES_MAX] {
            let value = growing(|room| {
                room.get_mut(..len).ok_or(Errno::RANGE)?.fill(7);
                Ok(len)
            });
            assert_eq!(value, Ok(vec![7; len]));
        }
        let refused = growing(|_| Err(Errno::PERM));
        assert_eq!(refused, Err(Errno::PERM));
    }

    #[test]
    fn an_attribute_that_is_gone_is_none() {
        let scratch = Scratch::new();
        let file = open(&scratch.dir, c"file", Open::CreateNew).unwrap();
        let name = c"user.jlock";
        if set_attribute(&file, name, b"value") == Err(Errno::OPNOTSUPP) {
            return not_tried("this file system has no such attributes");
        }
        assert_eq!(attribute(&file, name), Ok(Some(b"value".to_vec())));
        for _ in 0..2 {
            assert_eq!(remove_attribute(&file, name), Ok(()));
            assert_eq!(attribute(&file, name), Ok(None));
        }
    }
}

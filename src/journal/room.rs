//! Memory for data that may be larger than the machine's memory: we ask whether it is there before we take it.

use std::cell::Cell;
use std::collections::TryReserveError;

use crate::error::{ENOMEM, Error, Result};
use crate::sys;

/// Less than this is taken without asking, because to ask costs some file reads.
const MUCH: usize = 8 << 20;

/// The memory that one call may take.
#[derive(Default)]
pub(super) struct Room {
    /// What was left when we first asked, minus what was taken since.
    left: Cell<Option<u64>>,
}

impl Room {
    /// Whether so many more bytes may be taken. `ENOMEM`: the process would be killed for it.
    pub(super) fn ask(&self, bytes: usize) -> Result<()> {
        if bytes < MUCH {
            return Ok(());
        }
        let left = self.left.get().unwrap_or_else(sys::capacity::free_memory);
        // Some of the free memory goes to the page tables, and to other processes meanwhile.
        match left.checked_sub(bytes as u64 + bytes as u64 / 16) {
            Some(left) => {
                self.left.set(Some(left));
                Ok(())
            }
            None => Err(too_little(format_args!("{bytes} bytes, of {left} that are left"))),
        }
    }

    /// Makes room for exactly so many more.
    pub(super) fn reserve<T>(&self, vector: &mut Vec<T>, more: usize) -> Result<()> {
        self.ask(more.saturating_mul(size_of::<T>()))?;
        vector.try_reserve_exact(more).map_err(no_memory)
    }
}

/// An error, in a case in which Rust's collections would end the process.
pub(crate) fn no_memory(_: TryReserveError) -> Error {
    too_little(format_args!("the journal's entries"))
}

fn too_little(what: std::fmt::Arguments<'_>) -> Error {
    Error::new(-ENOMEM, format!("{}: {what}", crate::error::text(-ENOMEM)))
}

#[cfg(test)]
impl Room {
    pub(super) fn of(bytes: u64) -> Room {
        Room {
            left: Cell::new(Some(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_not_there_twice() {
        let room = Room::of(34 << 20);
        room.ask(16 << 20).unwrap();
        assert_eq!(room.left.get(), Some(17 << 20), "a sixteenth goes to others");
        let mut vector = Vec::<u64>::new();
        room.reserve(&mut vector, 2 << 20).unwrap();
        assert_eq!(room.left.get(), Some(0));
        let refused = room.reserve(&mut vector, MUCH / size_of::<u64>());
        assert_eq!(refused.unwrap_err().code(), -ENOMEM);
        room.reserve(&mut vector, MUCH / size_of::<u64>() - 1).unwrap();
    }
}

//! Every type and constant of the C interface, and nothing else. `include/jlock.h` is made from this file and from
//! `src/capi/`.

/// Do not create a missing directory.
pub const JLOCK_NO_CREATE: u32 = 1;
/// A journal call returns once its data is on disk.
pub const JLOCK_SYNC: u32 = 2;
/// Refresh the lock automatically while it is held. (The library starts a thread for that, with all signals blocked.)
pub const JLOCK_KEEPALIVE: u32 = 4;

/// The lock was taken away from this holder; nothing that belongs to the new holder was overwritten or removed.
pub const JLOCK_ELOST: i32 = -4097;
/// Release or refresh without holding.
pub const JLOCK_ENOTHELD: i32 = -4098;
/// The handle was inherited through fork; only jlock_close() works.
pub const JLOCK_EFORKED: i32 = -4099;
/// The journal's header is missing or malformed.
pub const JLOCK_EHEADER: i32 = -4100;
/// An entry that the format cannot carry; nothing was written.
pub const JLOCK_EENTRY: i32 = -4101;
/// There is something other than a regular file at the lock's (or the journal's) path.
pub const JLOCK_ENOTLOCK: i32 = -4102;
/// A bug in the library, contained: jlock_message() says which. The handle's further calls return the same;
/// jlock_close() still works.
pub const JLOCK_EPANIC: i32 = -4103;
/// The journal has never been stamped: its header says 0, as after the first append. jlock_append_stamped() or
/// jlock_write_header() stamps it.
pub const JLOCK_EUNSTAMPED: i32 = -4104;

/// jlock_holder.state: nobody holds the lock.
pub const JLOCK_FREE: i32 = 0;
/// jlock_holder.state: held by a live peer, or by one that is not known to be dead.
pub const JLOCK_HELD: i32 = 1;
/// jlock_holder.state: held by this handle.
pub const JLOCK_MINE: i32 = 2;
/// jlock_holder.state: its holder is dead; the next acquire takes it over.
pub const JLOCK_ABANDONED: i32 = 3;

/// jlock_holder.peer: there is no lock.
pub const JLOCK_PEER_NONE: i32 = 0;
/// jlock_holder.peer: a program that uses this library.
pub const JLOCK_PEER_LIBRARY: i32 = 1;
/// jlock_holder.peer: a program that speaks the protocol without it (codegraph 3.11.2).
pub const JLOCK_PEER_SHIPPED: i32 = 2;
/// jlock_holder.peer: the lock carries no stamp (yet).
pub const JLOCK_PEER_UNKNOWN: i32 = 3;

/// jlock_holder.fallback, jlock_place.missing: there are no hard links.
pub const JLOCK_WITHOUT_LINK: u32 = 1;
/// jlock_holder.fallback, jlock_place.missing: there is no flock that excludes; a holder's death is judged by PID and age.
pub const JLOCK_WITHOUT_FLOCK: u32 = 2;
/// jlock_place.missing: there are no leases, which show that a shipped peer still has its lock open.
pub const JLOCK_WITHOUT_LEASE: u32 = 4;
/// jlock_place.missing: there is no inotify here; a wait looks again every retry_ms.
pub const JLOCK_WITHOUT_INOTIFY: u32 = 8;
/// jlock_place.missing: there is no rename that leaves an existing file alone (RENAME_NOREPLACE).
pub const JLOCK_WITHOUT_NOREPLACE: u32 = 16;

/// jlock_place.promises: processes that reach the directory through the same mount exclude each other.
pub const JLOCK_PLACE_PROCESSES_OF_MOUNT: u32 = 1;
/// jlock_place.promises: so do all processes of this machine, through whatever mount.
pub const JLOCK_PLACE_PROCESSES_OF_MACHINE: u32 = 2;
/// jlock_place.promises: so do processes of other machines that share the file system.
pub const JLOCK_PLACE_OTHER_MACHINES: u32 = 4;
/// jlock_place.promises: the lock of a dead library peer is taken over at once.
pub const JLOCK_PLACE_TAKEOVER: u32 = 8;
/// jlock_place.promises: with JLOCK_SYNC, what was acknowledged survives a power cut.
pub const JLOCK_PLACE_DURABLE: u32 = 16;
/// jlock_place.promises: waiters are woken and served in the order in which they came.
pub const JLOCK_PLACE_ORDER: u32 = 32;

/// jlock_entry.kind: the path was changed.
pub const JLOCK_CHANGED: u32 = 0;
/// jlock_entry.kind: the path was deleted.
pub const JLOCK_DELETED: u32 = 1;

/// How a handle behaves. Call jlock_options_init() first, then change what should differ.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct jlock_options {
    /// JLOCK_NO_CREATE, JLOCK_SYNC, JLOCK_KEEPALIVE; 0.
    pub flags: u32,
    /// Milliseconds to wait for the lock: 5000. Negative: forever. 0: do not wait.
    pub timeout_ms: i32,
    /// Longest sleep, in milliseconds, between two looks at the lock: 25. Not 0. Behind other waiters, sleeps are longer.
    pub retry_ms: u32,
    /// Milliseconds without a sign of life after which a lock counts as dead if the kernel cannot tell: 30000. Not 0.
    pub stale_ms: u32,
    /// Milliseconds to wait after taking over a dead holder's lock: 100. 0 only where every peer uses this library.
    pub settle_ms: u32,
}

/// Who holds the lock, as jlock_inspect() saw it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct jlock_holder {
    /// JLOCK_FREE, JLOCK_HELD, JLOCK_MINE or JLOCK_ABANDONED.
    pub state: i32,
    /// JLOCK_PEER_NONE, JLOCK_PEER_LIBRARY, JLOCK_PEER_SHIPPED or JLOCK_PEER_UNKNOWN.
    pub peer: i32,
    /// The holder's process id in its own PID namespace; 0: unknown.
    pub pid: i32,
    /// Milliseconds since the lock's last sign of life (its mtime).
    pub age_ms: i64,
    /// The holder's nonce, NUL-terminated; empty: unknown.
    pub nonce: [core::ffi::c_char; 64],
    /// The holder's host name, NUL-terminated, cut to fit; empty: unknown.
    pub host: [core::ffi::c_char; 64],
    /// Milliseconds since the holder acquired the lock; -1: unknown, or nobody holds it.
    pub held_ms: i64,
    /// JLOCK_WITHOUT_LINK, JLOCK_WITHOUT_FLOCK: what this handle has to do without here, as far as it has found out by
    /// acquiring; 0: the full protocol.
    pub fallback: u32,
    /// 0.
    pub reserved: u32,
}

/// What a directory can promise, as jlock_probe() found out by trying.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct jlock_place {
    /// JLOCK_PLACE_PROCESSES_OF_MOUNT and so on: what is promised.
    pub promises: u32,
    /// JLOCK_WITHOUT_LINK and so on: what was found missing; 0: the full protocol.
    pub missing: u32,
    /// The file system's name, NUL-terminated: "ext4", "nfs", "fuse"; its magic number in hexadecimal if it has no name here.
    pub file_system: [core::ffi::c_char; 32],
    /// Why something is not promised, in a sentence or a few, NUL-terminated, cut to fit; empty: all is promised.
    pub reason: [core::ffi::c_char; 256],
}

/// One line of the journal.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct jlock_entry {
    /// The path's bytes. No encoding is assumed.
    pub path: *const core::ffi::c_char,
    /// Their number; SIZE_MAX: the path is NUL-terminated.
    pub path_len: usize,
    /// JLOCK_CHANGED or JLOCK_DELETED.
    pub kind: u32,
    /// 0.
    pub reserved: u32,
}

//! Waiting for what happens to files, for other threads, and for several of these at once.

use std::mem::MaybeUninit;
use std::time::Duration;

use rustix::time::Timespec;

#[cfg(feature = "seam")]
use super::seam;
use super::{Errno, Fd, Result, around, fork, uninterrupted};

/// A new inotify queue.
pub(crate) fn inotify() -> Result<Fd> {
    use rustix::fs::inotify::CreateFlags;
    around("inotify_init1", || {
        Fd::register(|| rustix::fs::inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK))
    })
}

/// What [`watch`] reports, once: that an open file's lock may have been released, its holder have died, or its holder
/// have lined up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    /// Its link count changes or both its times are set (`IN_ATTRIB`), it goes or is renamed, or somebody who could write
    /// to it closes it.
    Change,
    /// As before, but its access time instead of its link count: not each acquire and release of one that goes on.
    Share,
}

/// Has `queue` report what becomes of the file. One watch of a file replaces another.
pub(crate) fn watch(queue: &Fd, file: &Fd, what: Watched) -> Result<()> {
    use rustix::fs::inotify::WatchFlags;
    let events = WatchFlags::CLOSE_WRITE | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONESHOT;
    let events = match what {
        Watched::Change => events | WatchFlags::ATTRIB,
        Watched::Share => events | WatchFlags::ACCESS,
    };
    around("inotify_add_watch", || {
        let path = fork::proc_path(file)?;
        rustix::fs::inotify::add_watch(queue.borrow()?, path.as_c_str(), events).map(drop)
    })
}

/// An eventfd that polls readable once [`wake`] was called.
pub(crate) fn eventfd() -> Result<Fd> {
    use rustix::event::EventfdFlags;
    around("eventfd2", || {
        Fd::register(|| rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK))
    })
}

/// Makes an eventfd readable. Its counter cannot overflow: a full one is readable already.
pub(crate) fn wake(eventfd: &Fd) {
    if let Ok(fd) = eventfd.borrow() {
        let _ = rustix::io::write(fd, &1u64.to_ne_bytes()); // EAGAIN: it is readable
    }
}

/// Reads away whatever an inotify queue or an eventfd has to say.
pub(crate) fn drain(queue: &Fd) -> Result<()> {
    let mut buf = [MaybeUninit::<u8>::uninit(); 4096];
    loop {
        match uninterrupted("read", || {
            let (bytes, _) = rustix::io::read(queue.borrow()?, &mut buf)?;
            Ok(bytes.len())
        }) {
            Ok(len) if len == buf.len() => {}
            Ok(_) | Err(Errno::AGAIN) => return Ok(()),
            Err(errno) => return Err(errno),
        }
    }
}

/// Waits until one of the descriptors is readable or the time is over. `Ok(false)`: it is over, or a signal came.
pub(crate) fn poll(fds: &[Option<&Fd>; 2], timeout: Duration) -> Result<bool> {
    #[cfg(feature = "seam")]
    if seam::pause("ppoll", super::monotonic().saturating_add(timeout)) {
        return Ok(false);
    }
    use rustix::event::{PollFd, PollFlags};
    let mut waiting = Vec::with_capacity(fds.len());
    for fd in fds.iter().flatten() {
        waiting.push(PollFd::from_borrowed_fd(fd.borrow()?, PollFlags::IN));
    }
    let timeout = Timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    match around("ppoll", || rustix::event::poll(&mut waiting, Some(&timeout))) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// One descriptor that polls readable when any of `fds` does.
pub(crate) fn epoll(fds: &[&Fd]) -> Result<Fd> {
    use rustix::event::epoll::{CreateFlags, EventData, EventFlags, add, create};
    around("epoll_create1", || {
        let epoll = Fd::register(|| create(CreateFlags::CLOEXEC))?;
        for fd in fds {
            add(epoll.borrow()?, fd.borrow()?, EventData::new_u64(0), EventFlags::IN)?;
        }
        Ok(epoll)
    })
}

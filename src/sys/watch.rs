//! Waiting: for changes of files, for other threads, and for several of these at once.

use std::mem::MaybeUninit;
use std::time::Duration;

use rustix::time::Timespec;

use super::fd::proc_path;
#[cfg(feature = "seam")]
use super::seam;
use super::time::timespec;
use super::{Errno, Fd, Result, TRIES, around, uninterrupted};

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

/// Makes `queue` report what happens to the file. One watch of a file replaces another. Returns the watch's number.
pub(crate) fn watch(queue: &Fd, file: &Fd, what: Watched) -> Result<i32> {
    use rustix::fs::inotify::WatchFlags;
    let events = WatchFlags::CLOSE_WRITE | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONESHOT;
    let events = match what {
        Watched::Change => events | WatchFlags::ATTRIB,
        Watched::Share => events | WatchFlags::ACCESS,
    };
    around("inotify_add_watch", || {
        let path = proc_path(file)?;
        rustix::fs::inotify::add_watch(queue.own()?, path.as_c_str(), events)
    })
}

/// Ends a watch. If it has reported, or its file is gone, it has ended by itself, and the kernel returns EINVAL. After any
/// other failure, the watch reports at most once more.
pub(crate) fn unwatch(queue: &Fd, number: i32) {
    let _ = around("inotify_rm_watch", || {
        rustix::fs::inotify::remove_watch(queue.own()?, number)
    });
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
    if let Ok(fd) = eventfd.own() {
        let _ = rustix::io::write(fd, &1u64.to_ne_bytes()); // EAGAIN: it is readable
    }
}

/// Empties an inotify queue, an eventfd or a timer. If reports come faster than they are read, some stay. Returns whether
/// there was any.
pub(crate) fn drain(queue: &Fd) -> Result<bool> {
    let mut was_readable = false;
    let mut buf = [MaybeUninit::<u8>::uninit(); 4096];
    for _ in 0..TRIES {
        match uninterrupted("read", || {
            let (bytes, _) = rustix::io::read(queue.own()?, &mut buf)?;
            Ok(bytes.len())
        }) {
            // The next event did not fit.
            Ok(len) if len > buf.len() - LARGEST_EVENT => was_readable = true,
            Ok(_) => return Ok(true),
            Err(Errno::AGAIN) => return Ok(was_readable),
            Err(errno) => return Err(errno),
        }
    }
    Ok(was_readable)
}

/// inotify(7): with the longest name.
const LARGEST_EVENT: usize = 16 + 255 + 1;

/// A timer that polls readable from its time on, until [`set_timer`] sets another time or [`drain`] reads it.
pub(crate) fn timerfd() -> Result<Fd> {
    use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
    around("timerfd_create", || {
        Fd::register(|| {
            timerfd_create(
                TimerfdClockId::Monotonic,
                TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
            )
        })
    })
}

/// Sets a timer to a time on the clock of [`monotonic`](super::monotonic): a time that is past makes it readable at
/// once. `None`: it never becomes readable.
pub(crate) fn set_timer(timer: &Fd, at: Option<Duration>) -> Result<()> {
    use rustix::time::{Itimerspec, TimerfdTimerFlags, timerfd_settime};
    const NEVER: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
    // Zero would switch it off.
    let it_value = at.map_or(NEVER, |at| timespec(on_kernel_clock(at).max(Duration::from_nanos(1))));
    let new = Itimerspec {
        it_interval: NEVER,
        it_value,
    };
    around("timerfd_settime", || {
        timerfd_settime(timer.own()?, TimerfdTimerFlags::ABSTIME, &new).map(drop)
    })
}

/// Converts a time of the clock that a test keeps to the kernel's clock.
#[cfg(feature = "seam")]
fn on_kernel_clock(at: Duration) -> Duration {
    match seam::monotonic() {
        Some(now) => super::time::kernel_monotonic().saturating_add(at.saturating_sub(now)),
        None => at,
    }
}

#[cfg(not(feature = "seam"))]
fn on_kernel_clock(at: Duration) -> Duration {
    at
}

/// Waits until one of the descriptors is readable or the time is over. `Ok(false)`: it is over, or a signal came.
pub(crate) fn poll(fds: &[Option<&Fd>], timeout: Duration) -> Result<bool> {
    #[cfg(feature = "seam")]
    if seam::pause("ppoll", super::monotonic().saturating_add(timeout)) {
        return seam::alive().map(|()| false);
    }
    use rustix::event::{PollFd, PollFlags};
    fn readable<'f>(fd: &&'f Fd) -> Result<PollFd<'f>> {
        Ok(PollFd::from_borrowed_fd(fd.borrow()?, PollFlags::IN))
    }
    let mut open = fds.iter().flatten();
    let count = open.clone().count();
    let (mut none, mut few, mut many);
    let waiting: &mut [PollFd<'_>] = match open.next() {
        None => {
            none = [];
            &mut none
        }
        // Without a heap for as many as any caller has.
        Some(first) if count <= 4 => {
            let first = readable(first)?;
            few = std::array::from_fn::<_, 4, _>(|_| first.clone());
            for (place, fd) in few[1..].iter_mut().zip(open) {
                *place = readable(fd)?;
            }
            &mut few[..count]
        }
        Some(_) => {
            many = fds.iter().flatten().map(readable).collect::<Result<Vec<_>>>()?;
            &mut many
        }
    };
    let timeout = timespec(timeout);
    match around("ppoll", || rustix::event::poll(waiting, Some(&timeout))) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// One descriptor that polls readable when any of `fds` does.
pub(crate) fn epoll(fds: &[&Fd]) -> Result<Fd> {
    use rustix::event::epoll::{CreateFlags, create};
    around("epoll_create1", || {
        let epoll = Fd::register(|| create(CreateFlags::CLOEXEC))?;
        fds.iter().try_for_each(|fd| add(&epoll, fd))?;
        Ok(epoll)
    })
}

/// Makes `epoll` poll readable when `fd` does.
pub(crate) fn epoll_add(epoll: &Fd, fd: &Fd) -> Result<()> {
    around("epoll_ctl", || add(epoll, fd))
}

fn add(epoll: &Fd, fd: &Fd) -> Result<()> {
    use rustix::event::epoll::{EventData, EventFlags};
    rustix::event::epoll::add(epoll.own()?, fd.borrow()?, EventData::new_u64(0), EventFlags::IN)
}

/// Ends what [`epoll_add`] began.
pub(crate) fn epoll_remove(epoll: &Fd, fd: &Fd) -> Result<()> {
    around("epoll_ctl", || rustix::event::epoll::delete(epoll.own()?, fd.borrow()?))
}

#[cfg(test)]
mod tests {
    use super::super::{Open, monotonic, open};
    use super::*;
    use crate::sys::tests::Scratch;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn poll_takes_any_number_of_descriptors() {
        let all: Vec<Fd> = (0..6).map(|_| eventfd().unwrap()).collect();
        for count in 0..=all.len() {
            let fds: Vec<Option<&Fd>> = all[..count].iter().map(Some).chain([None]).collect();
            assert_eq!(poll(&fds, Duration::ZERO), Ok(false), "{count}");
            for ready in &all[..count] {
                wake(ready);
                assert_eq!(poll(&fds, LONG), Ok(true), "{count}");
                drain(ready).unwrap();
            }
        }
    }

    #[test]
    fn a_timer_is_readable_from_its_time_on() {
        let timer = timerfd().unwrap();
        let ready = |within| poll(&[Some(&timer)], within);
        assert_eq!(ready(Duration::ZERO), Ok(false));
        for past in [Duration::ZERO, Duration::from_nanos(1), monotonic()] {
            set_timer(&timer, Some(past)).unwrap();
            assert_eq!(ready(LONG), Ok(true), "{past:?}");
        }
        set_timer(&timer, None).unwrap();
        assert_eq!(ready(Duration::ZERO), Ok(false));
        let soon = monotonic() + Duration::from_millis(20);
        set_timer(&timer, Some(soon)).unwrap();
        assert_eq!(ready(LONG), Ok(true));
        assert!(monotonic() >= soon);
        drain(&timer).unwrap();
        assert_eq!(ready(Duration::ZERO), Ok(false));
        set_timer(&timer, Some(Duration::MAX)).unwrap();
        assert_eq!(ready(Duration::ZERO), Ok(false));
    }

    #[test]
    fn an_epoll_descriptor_grows_and_shrinks() {
        let (one, other) = (eventfd().unwrap(), eventfd().unwrap());
        let either = epoll(&[&one]).unwrap();
        let ready = || poll(&[Some(&either)], Duration::ZERO);
        wake(&other);
        assert_eq!(ready(), Ok(false));
        epoll_add(&either, &other).unwrap();
        assert_eq!(ready(), Ok(true));
        epoll_remove(&either, &other).unwrap();
        assert_eq!(ready(), Ok(false));
    }

    #[test]
    fn a_watch_that_was_ended_reports_nothing() {
        let scratch = Scratch::new();
        let file = open(&scratch.dir, c"file", Open::CreateNew).unwrap();
        let queue = inotify().unwrap();
        let ready = || poll(&[Some(&queue)], Duration::ZERO);
        let touch = || super::super::touch(&file).unwrap();
        let spent = watch(&queue, &file, Watched::Change).unwrap();
        touch();
        assert_eq!(ready(), Ok(true));
        drain(&queue).unwrap();
        unwatch(&queue, spent);
        drain(&queue).unwrap();
        let number = watch(&queue, &file, Watched::Change).unwrap();
        unwatch(&queue, number);
        drain(&queue).unwrap(); // IN_IGNORED
        touch();
        assert_eq!(ready(), Ok(false));
    }
}

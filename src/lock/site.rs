//! The handles of this process that share one lock.
//!
//! They wait in a queue in memory, and only its head lines up among the processes: a thousand handles that wait in one
//! process cost one watch, and a release wakes one of them.

use std::collections::VecDeque;
use std::ffi::CString;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::lock::bell::Bell;
use crate::lock::dir::Dir;
use crate::sys::fork::Generation;
use crate::sys::{self, FileId, PerProcess};

/// How often a process looks for leftovers of the dead in one directory.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// How many sites are remembered that have no handle any more: a program may open one for each append, and must not sweep
/// each time.
const REMEMBERED: usize = 8;

static SITES: PerProcess<Mutex<Vec<Arc<Site>>>> = PerProcess::new();

#[derive(Debug)]
struct Site {
    /// Which process it is, because a test can simulate several in one.
    process: u64,
    dir: FileId,
    /// A directory that is made anew may get the number of one that was removed.
    born: Option<Duration>,
    lock: CString,
    waiting: Mutex<VecDeque<Arc<Bell>>>,
    /// When the directory was last swept, in milliseconds of the monotonic clock, plus 1; 0: never.
    swept: AtomicU64,
}

/// One handle's seat. It is in the queue from [`join`](Seat::join) to [`leave`](Seat::leave).
#[derive(Debug)]
pub(crate) struct Seat {
    site: Arc<Site>,
    bell: Arc<Bell>,
    joined: bool,
    generation: Generation,
}

impl Site {
    fn of(dir: &Dir) -> Arc<Site> {
        let (process, born) = (sys::process_domain(), sys::born(&dir.fd));
        let mut sites = SITES.get().lock().unwrap_or_else(PoisonError::into_inner); // never half changed
        forget_unused(&mut sites);
        let known = sites
            .iter()
            .find(|site| (site.process, site.dir, site.born) == (process, dir.id, born) && site.lock == dir.lock);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let site = Arc::new(Site {
            process,
            dir: dir.id,
            born,
            lock: dir.lock.clone(),
            waiting: Mutex::default(),
            swept: AtomicU64::new(0),
        });
        sites.push(Arc::clone(&site));
        site
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Arc<Bell>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner) // never half changed
    }
}

/// Forgets the oldest sites without a handle, and those of simulated processes.
fn forget_unused(sites: &mut Vec<Arc<Site>>) {
    let is_unused = |site: &Arc<Site>| Arc::strong_count(site) == 1;
    let mut surplus = sites
        .iter()
        .filter(|site| is_unused(site))
        .count()
        .saturating_sub(REMEMBERED);
    sites.retain(|site| {
        let forgotten = is_unused(site) && (surplus > 0 || site.process != 0);
        surplus = surplus.saturating_sub(usize::from(forgotten));
        !forgotten
    });
}

impl Seat {
    pub(crate) fn new(dir: &Dir, bell: &Arc<Bell>) -> Seat {
        Seat {
            site: Site::of(dir),
            bell: Arc::clone(bell),
            joined: false,
            generation: Generation::current(),
        }
    }

    /// Takes a place at the end of the queue, unless it has one.
    pub(crate) fn join(&mut self) {
        if !self.joined {
            self.site.waiting().push_back(Arc::clone(&self.bell));
            self.joined = true;
        }
    }

    /// How many handles of this process are before this one.
    pub(crate) fn position(&self) -> usize {
        let waiting = self.site.waiting();
        let place = waiting.iter().position(|bell| Arc::ptr_eq(bell, &self.bell));
        place.unwrap_or(0)
    }

    /// Leaves the queue. If this was the head, the next handle becomes the head, and its bell is rung.
    pub(crate) fn leave(&mut self) {
        if !std::mem::take(&mut self.joined) {
            return;
        }
        let next = {
            let mut waiting = self.site.waiting();
            let place = waiting.iter().position(|bell| Arc::ptr_eq(bell, &self.bell));
            place.and_then(|place| {
                waiting.remove(place);
                waiting.front().filter(|_| place == 0).cloned()
            })
        };
        if let Some(next) = next {
            next.ring();
        }
    }

    /// Whether other handles of this process wait.
    pub(crate) fn others_wait(&self) -> bool {
        let waiting = self.site.waiting();
        waiting.iter().any(|bell| !Arc::ptr_eq(bell, &self.bell))
    }

    /// Whether it is time for a sweep. If so, no other handle of this process sweeps for a while.
    pub(crate) fn is_sweep_due(&self) -> bool {
        let now = u64::try_from(sys::monotonic().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let last = self.site.swept.load(Ordering::Relaxed);
        // A process that enters another time namespace can find its clock set back.
        let due = last == 0 || now < last || now - last >= SWEEP_EVERY.as_millis() as u64;
        due && self
            .site
            .swept
            .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Not in a forked child: the queue is its parent's, and a thread that does not exist here may have it locked.
        if self.generation == Generation::current() {
            self.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::tests::{Scratch, ends_in_a_child};

    #[test]
    fn sites_without_a_handle_are_forgotten_in_the_end() {
        let scratch = Scratch::new();
        let mut sites = (0..3 * REMEMBERED).map(|number| {
            let name = CString::new(number.to_string()).unwrap();
            sys::mkdir_at(&scratch.dir, &name, 0o700).unwrap();
            let dir = Dir::new(sys::open_subdir(&scratch.dir, &name).unwrap(), c"j").unwrap();
            Arc::downgrade(&Seat::new(&dir, &Arc::default()).site)
        });
        let first = sites.next().unwrap();
        sites.for_each(drop);
        assert!(first.upgrade().is_none());
    }

    #[test]
    fn a_forked_child_leaves_its_parents_queue_alone() {
        let scratch = Scratch::new();
        let dir = Dir::new(sys::open_subdir(&scratch.dir, c".").unwrap(), c"j").unwrap();
        let mut seat = Seat::new(&dir, &Arc::default());
        seat.join();
        let site = Arc::clone(&seat.site);
        // As a thread that is not there in the child may have it.
        let locked = site.waiting();
        assert!(ends_in_a_child(|| drop(seat)));
        assert_eq!(locked.len(), 1);
    }

    /// A site without a handle.
    fn site(process: u64) -> Arc<Site> {
        let scratch = Scratch::new();
        Arc::new(Site {
            process,
            dir: sys::fstat(&scratch.dir).unwrap().id,
            born: None,
            lock: CString::default(),
            waiting: Mutex::default(),
            swept: AtomicU64::new(0),
        })
    }

    /// A process would sweep at each open.
    #[test]
    fn the_last_sites_without_a_handle_are_remembered_and_those_with_one_always() {
        let used = [site(0), site(1)];
        let mut sites: Vec<_> = used.iter().map(Arc::clone).collect();
        sites.push(site(1)); // of a simulated process
        sites.extend((0..REMEMBERED + 2).map(|_| site(0)));
        let kept = sites[..2]
            .iter()
            .chain(&sites[5..])
            .map(Arc::as_ptr)
            .collect::<Vec<_>>();
        forget_unused(&mut sites);
        // The simulated one has counted, too.
        assert_eq!(sites.iter().map(Arc::as_ptr).collect::<Vec<_>>(), kept);
        let mut few = vec![site(1), site(0)];
        forget_unused(&mut few);
        assert_eq!(few.iter().map(|site| site.process).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn whoever_leaves_the_head_of_the_queue_wakes_the_next_and_nobody_else_does() {
        let scratch = Scratch::new();
        let dir = Dir::new(sys::open_subdir(&scratch.dir, c".").unwrap(), c"j").unwrap();
        let bells = [(); 4].map(|()| Arc::new(Bell::default()));
        let [mut head, mut middle, mut last, mut idle] = bells.each_ref().map(|bell| Seat::new(&dir, bell));
        let rung = || bells.each_ref().map(|bell| bell.is_rung());
        assert!(!idle.others_wait());
        for seat in [&mut head, &mut middle, &mut last] {
            seat.join();
        }
        head.join();
        assert_eq!([&head, &middle, &last].map(Seat::position), [0, 1, 2]);
        assert!(idle.others_wait());
        idle.leave();
        middle.leave();
        assert_eq!([&head, &last].map(Seat::position), [0, 1]);
        assert_eq!(rung(), [false; 4]);
        drop(head);
        assert_eq!(rung(), [false, false, true, false]);
        assert_eq!(last.position(), 0);
        assert!(!last.others_wait());
        last.leave();
        assert!(!idle.others_wait());
    }

    #[test]
    fn a_process_sweeps_once_in_a_while() {
        let scratch = Scratch::new();
        let dir = Dir::new(sys::open_subdir(&scratch.dir, c".").unwrap(), c"j").unwrap();
        let [one, other] = [(); 2].map(|()| Seat::new(&dir, &Arc::default()));
        let begun = sys::monotonic();
        assert!(one.is_sweep_due());
        let again = [one.is_sweep_due(), other.is_sweep_due()];
        assert!(again == [false; 2] || sys::monotonic() - begun >= SWEEP_EVERY);
        let swept = one.site.swept.load(Ordering::Relaxed);
        let every = SWEEP_EVERY.as_millis() as u64;
        for (last, why) in [(swept + 3_600_000, "set back"), (swept - every, "long ago")] {
            one.site.swept.store(last, Ordering::Relaxed);
            assert!(other.is_sweep_due(), "the clock: {why}");
        }
    }
}

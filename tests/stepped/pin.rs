//! Only one peer's thread runs at a time, so all stay on one CPU: handing over to another CPU takes three times as
//! long. Stages that play at the same time get different CPUs.

use std::sync::{Mutex, PoisonError};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The CPUs that are taken, with one entry for each stage.
static TAKEN: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// While this exists, this thread and those that it starts stay on one CPU.
pub struct Pin {
    cpu: usize,
    before: CpuSet,
}

impl Pin {
    /// Returns `None` if the system does not allow it; then everything only takes longer.
    pub fn new() -> Option<Pin> {
        let before = sched_getaffinity(None).ok()?;
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let load = |cpu: &usize| taken.iter().filter(|other| *other == cpu).count();
        let cpu = (0..CpuSet::MAX_CPU)
            .filter(|cpu| before.is_set(*cpu))
            .min_by_key(load)?;
        let mut one = CpuSet::new();
        one.set(cpu);
        sched_setaffinity(None, &one).ok()?;
        taken.push(cpu);
        Some(Pin { cpu, before })
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = taken.iter().position(|cpu| *cpu == self.cpu) {
            taken.swap_remove(at);
        }
        let _ = sched_setaffinity(None, &self.before); // restored if possible
    }
}

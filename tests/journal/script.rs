//! Lets something happen at a system call.

use jlock::seam::{self, Hook, Verdict};

struct Script<A>(A);

impl<A: FnMut(&'static str) -> Verdict> Hook for Script<A> {
    fn before(&mut self, call: &'static str) -> Verdict {
        (self.0)(call)
    }
}

/// Calls `act` before each system call that `run` makes.
pub fn script<T>(act: impl FnMut(&'static str) -> Verdict + 'static, run: impl FnOnce() -> T) -> T {
    seam::install(Script(act));
    let result = run();
    seam::uninstall();
    result
}

/// Acts once, before the first call of this name.
pub fn at(call: &'static str, act: impl FnOnce() + 'static) -> impl FnMut(&'static str) -> Verdict + 'static {
    let mut act = Some(act);
    move |now| {
        if now == call {
            act.take().into_iter().for_each(|act| act());
        }
        Verdict::Proceed
    }
}

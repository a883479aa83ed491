//! Decides who moves next: in every schedule within a bound, or in one drawn from a seed.

use std::time::Duration;

/// What the world offers at each system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The peer that ran last goes on, or, if it cannot, this one does.
    Go(usize),
    /// This one runs, although the last one could go on.
    Preempt(usize),
    /// Time passes until this sleeper wakes, although others could run.
    Wake(usize),
    /// This one dies.
    Crash(usize),
    /// Everybody is frozen for this long.
    Freeze(Duration),
    /// This one is stopped where it is, while the others go on and time passes.
    Stop(usize),
    /// This one dies in the middle of the write that it is about to make.
    Tear(usize),
    /// The wall clock is set by this many milliseconds, while the monotonic clock goes on.
    Clock(i64),
}

pub trait Chooser: Send {
    /// Picks one of the choices, of which there is always at least one. `so_far` stands for everything that has
    /// happened until now. Returns `None` if the earlier choices have led to another place this time.
    fn choose(&mut self, choices: &[Choice], so_far: u64) -> Option<Choice>;
}

// ------------------------------------------------------------------------------------------------- every schedule

/// How far the schedules may stray from running each peer to its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bound {
    pub preemptions: usize,
    pub crashes: usize,
    pub stops: usize,
    pub tears: usize,
    pub clocks: usize,
    pub freezes: usize,
}

impl Bound {
    pub fn preemptions(preemptions: usize) -> Bound {
        Bound {
            preemptions,
            ..Bound::default()
        }
    }

    /// What is left of the budget that pays for a choice; `None` if the choice costs nothing.
    fn budget(&mut self, choice: Choice) -> Option<&mut usize> {
        match choice {
            Choice::Go(_) => None,
            Choice::Preempt(_) | Choice::Wake(_) => Some(&mut self.preemptions),
            Choice::Crash(_) => Some(&mut self.crashes),
            Choice::Stop(_) => Some(&mut self.stops),
            Choice::Tear(_) => Some(&mut self.tears),
            Choice::Clock(_) => Some(&mut self.clocks),
            Choice::Freeze(_) => Some(&mut self.freezes),
        }
    }
}

/// Goes through all schedules within a bound, depth first. Each run repeats the decisions of the one before, up to
/// the last decision that can still be changed.
pub struct Explorer {
    bound: Bound,
    path: Vec<Decision>,
    depth: usize,
    left: Bound,
}

/// Which choice was made, among how many, and what had happened until then.
struct Decision {
    chosen: usize,
    count: usize,
    so_far: u64,
}

impl Explorer {
    pub fn new(bound: Bound) -> Self {
        Explorer {
            bound,
            path: Vec::new(),
            depth: 0,
            left: bound,
        }
    }

    /// Goes on to the next schedule. Returns `false` if that was the last one.
    pub fn advance(&mut self) -> bool {
        assert_eq!(self.depth, self.path.len(), "the same decisions led to an early end");
        self.depth = 0;
        self.left = self.bound;
        while let Some(mut last) = self.path.pop() {
            last.chosen += 1;
            if last.chosen < last.count {
                self.path.push(last);
                return true;
            }
        }
        false
    }
}

impl Chooser for Explorer {
    fn choose(&mut self, choices: &[Choice], so_far: u64) -> Option<Choice> {
        let mut left = self.left;
        let is_affordable = |choice: &Choice| left.budget(*choice).is_none_or(|budget| *budget > 0);
        let affordable: Vec<Choice> = choices.iter().copied().filter(is_affordable).collect();
        if self.depth == self.path.len() {
            self.path.push(Decision {
                chosen: 0,
                count: affordable.len(),
                so_far,
            });
        }
        let decision = &self.path[self.depth];
        if (decision.count, decision.so_far) != (affordable.len(), so_far) {
            return None;
        }
        let choice = affordable[decision.chosen];
        self.depth += 1;
        if let Some(budget) = self.left.budget(choice) {
            *budget -= 1;
        }
        Some(choice)
    }
}

// --------------------------------------------------------------------------------------------------- one of a seed

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

/// A schedule drawn from a seed. How restless and how deadly it is is drawn first, since different races need
/// different schedules.
pub struct Dice {
    random: Random,
    /// How many of 1000 decisions stray in each way.
    preempt: usize,
    wake: usize,
    freeze: usize,
    stop: usize,
    clock: usize,
    crash: usize,
    crashes_left: usize,
    /// The wall clock is set at most once: if it were set back and forth, a file written to in between would have a
    /// time that makes no sense to anybody.
    clocks_left: usize,
}

impl Dice {
    pub fn new(mut random: Random, crashes: usize) -> Self {
        Dice {
            preempt: random.of(&[30, 100, 300, 700]),
            wake: random.of(&[0, 5, 50]),
            freeze: random.of(&[0, 0, 2, 10]),
            stop: random.of(&[0, 0, 2, 10]),
            clock: random.of(&[0, 0, 2, 10]),
            crash: random.of(&[0, 5, 20]),
            crashes_left: crashes,
            clocks_left: 1,
            random,
        }
    }

    fn any(&mut self, choices: &[Choice], like: fn(&Choice) -> bool) -> Option<Choice> {
        let count = choices.iter().filter(|c| like(c)).count();
        let index = self.random.below(count.max(1));
        choices.iter().copied().filter(like).nth(index)
    }
}

impl Chooser for Dice {
    fn choose(&mut self, choices: &[Choice], _so_far: u64) -> Option<Choice> {
        let mut roll = self.random.below(1000);
        let mut stray = |per_mille: usize| {
            let hit = roll < per_mille;
            roll = roll.wrapping_sub(per_mille);
            hit
        };
        let strayed = if self.crashes_left > 0 && stray(self.crash) {
            self.any(choices, |c| matches!(c, Choice::Crash(_) | Choice::Tear(_)))
        } else if stray(self.stop) {
            self.any(choices, |c| matches!(c, Choice::Stop(_)))
        } else if self.clocks_left > 0 && stray(self.clock) {
            self.any(choices, |c| matches!(c, Choice::Clock(_)))
        } else if stray(self.freeze) {
            self.any(choices, |c| matches!(c, Choice::Freeze(_)))
        } else if stray(self.wake) {
            self.any(choices, |c| matches!(c, Choice::Wake(_)))
        } else if stray(self.preempt) {
            self.any(choices, |c| matches!(c, Choice::Preempt(_)))
        } else {
            None
        };
        if let Some(Choice::Crash(_) | Choice::Tear(_)) = strayed {
            self.crashes_left -= 1;
        }
        if let Some(Choice::Clock(_)) = strayed {
            self.clocks_left -= 1;
        }
        let goes_on = strayed.or_else(|| self.any(choices, |c| matches!(c, Choice::Go(_))));
        Some(goes_on.unwrap_or(choices[0]))
    }
}

//! Who moves next: every schedule within a bound, or one drawn from a seed.

use std::time::Duration;

/// What the world offers at each system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The peer that ran last goes on, or, when it cannot, this one does.
    Go(usize),
    /// This one runs, although the last could go on.
    Preempt(usize),
    /// Time passes until this sleeper wakes, although others could run.
    Wake(usize),
    /// This one dies.
    Crash(usize),
    /// Everybody is frozen for so long.
    Freeze(Duration),
}

pub trait Chooser: Send {
    /// One of the choices, which are never empty.
    fn choose(&mut self, choices: &[Choice]) -> Choice;
}

// ------------------------------------------------------------------------------------------------- every schedule

/// How far from running each peer to its end the schedules may stray.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    pub preemptions: usize,
    pub crashes: usize,
}

/// Walks through all schedules within a bound, depth first. Each run repeats the decisions of the last but for the last
/// one that could have been another.
pub struct Explorer {
    bound: Bound,
    /// For each decision, which of how many.
    path: Vec<(usize, usize)>,
    depth: usize,
    left: Bound,
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

    /// Goes on to the next schedule. `false`: that was the last one.
    pub fn advance(&mut self) -> bool {
        self.depth = 0;
        self.left = self.bound;
        while let Some((chosen, count)) = self.path.pop() {
            if chosen + 1 < count {
                self.path.push((chosen + 1, count));
                return true;
            }
        }
        false
    }

    fn affords(&self, choice: Choice) -> bool {
        match choice {
            Choice::Go(_) => true,
            Choice::Preempt(_) | Choice::Wake(_) => self.left.preemptions > 0,
            Choice::Crash(_) => self.left.crashes > 0,
            Choice::Freeze(_) => false,
        }
    }
}

impl Chooser for Explorer {
    fn choose(&mut self, choices: &[Choice]) -> Choice {
        let affordable: Vec<Choice> = choices.iter().copied().filter(|c| self.affords(*c)).collect();
        if self.depth == self.path.len() {
            self.path.push((0, affordable.len()));
        }
        let (index, count) = self.path[self.depth];
        assert_eq!(
            count,
            affordable.len(),
            "the same decisions led to another place: a schedule cannot be replayed"
        );
        self.depth += 1;
        match affordable[index] {
            Choice::Preempt(_) | Choice::Wake(_) => self.left.preemptions -= 1,
            Choice::Crash(_) => self.left.crashes -= 1,
            Choice::Go(_) | Choice::Freeze(_) => {}
        }
        affordable[index]
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

/// A schedule drawn from a seed. How restless it is, and how deadly, is drawn first: races differ in what finds them.
pub struct Dice {
    random: Random,
    /// Of 1000 decisions, how many stray in each way.
    preempt: usize,
    wake: usize,
    freeze: usize,
    crash: usize,
    crashes_left: usize,
}

impl Dice {
    pub fn new(mut random: Random, crashes: usize) -> Self {
        Dice {
            preempt: random.of(&[30, 100, 300, 700]),
            wake: random.of(&[0, 5, 50]),
            freeze: random.of(&[0, 0, 2, 10]),
            crash: random.of(&[0, 5, 20]),
            crashes_left: crashes,
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
    fn choose(&mut self, choices: &[Choice]) -> Choice {
        let mut roll = self.random.below(1000);
        let mut stray = |per_mille: usize| {
            let hit = roll < per_mille;
            roll = roll.wrapping_sub(per_mille);
            hit
        };
        let strayed = if self.crashes_left > 0 && stray(self.crash) {
            self.any(choices, |c| matches!(c, Choice::Crash(_)))
        } else if stray(self.freeze) {
            self.any(choices, |c| matches!(c, Choice::Freeze(_)))
        } else if stray(self.wake) {
            self.any(choices, |c| matches!(c, Choice::Wake(_)))
        } else if stray(self.preempt) {
            self.any(choices, |c| matches!(c, Choice::Preempt(_)))
        } else {
            None
        };
        if let Some(Choice::Crash(_)) = strayed {
            self.crashes_left -= 1;
        }
        strayed
            .or_else(|| self.any(choices, |c| matches!(c, Choice::Go(_))))
            .unwrap_or(choices[0])
    }
}

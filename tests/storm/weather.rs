//! A storm: writers that end after a while and are then replaced, and that are killed and stopped at random.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::crowd::{Dice, Process};
use crate::worker::log_path;

/// Makes the command of a writer with this name, whose acknowledgements go to its log.
pub type Make = Box<dyn Fn(&Path, &str) -> Command>;

/// A place that is always taken by some writer.
pub struct Slot {
    label: String,
    make: Make,
    lives: u32,
    process: Option<Process>,
}

impl Slot {
    pub fn new(label: impl Into<String>, make: Make) -> Slot {
        Slot {
            label: label.into(),
            make,
            lives: 0,
            process: None,
        }
    }

    /// Several places, numbered after the label.
    pub fn several(label: &str, count: u32, make: impl Fn() -> Make) -> Vec<Slot> {
        let one = |number| Slot::new(format!("{label}{number}"), make());
        (1..=count).map(one).collect()
    }
}

pub struct Storm {
    root: PathBuf,
    dice: Dice,
    /// Those that may be killed and stopped.
    victims: Vec<Slot>,
    /// Those that may not.
    others: Vec<Slot>,
    /// Every writer that there has ever been.
    pub names: Vec<String>,
    pub killed: Vec<String>,
    pub stops: usize,
}

impl Storm {
    pub fn new(root: &Path, seed: u64, victims: Vec<Slot>, others: Vec<Slot>) -> Storm {
        Storm {
            root: root.to_owned(),
            dice: Dice::new(seed),
            victims,
            others,
            names: Vec::new(),
            killed: Vec::new(),
            stops: 0,
        }
    }

    /// After a moment, kills a writer that has begun to write, and replaces those that have ended.
    pub fn kill_one(&mut self) {
        let victim = self.choose();
        let process = self.victims[victim].process.take().expect("the chosen one runs");
        self.killed.push(process.name.clone());
        process.kill();
    }

    /// After a moment, stops a writer that has begun to write, and lets it go on after another moment.
    pub fn stop_one(&mut self) {
        let victim = self.choose();
        let process = self.victims[victim].process.as_ref().expect("the chosen one runs");
        process.signal(Signal::STOP);
        self.dice.pause(1_000, 40_000);
        process.signal(Signal::CONT);
        self.stops += 1;
    }

    /// How many with this label were killed.
    pub fn has_killed(&self, label: &str) -> usize {
        self.killed.iter().filter(|name| name.starts_with(label)).count()
    }

    /// Starts no more writers; those that run finish their work.
    pub fn calm(&mut self) {
        for slot in self.victims.iter_mut().chain(&mut self.others) {
            if let Some(process) = slot.process.take() {
                process.expect_success();
            }
        }
    }

    fn choose(&mut self) -> usize {
        loop {
            self.replace_ended();
            self.dice.pause(200, 8_000);
            let victim = self.dice.between(0, self.victims.len() as u64) as usize;
            if self.victims[victim].is_writing(&self.root) {
                return victim;
            }
        }
    }

    fn replace_ended(&mut self) {
        for slot in self.victims.iter_mut().chain(&mut self.others) {
            if slot.process.as_mut().is_some_and(Process::has_ended) {
                slot.process.take().expect("it was there").expect_success();
            }
            if slot.process.is_none() {
                slot.lives += 1;
                let name = format!("{}-{}", slot.label, slot.lives);
                slot.process = Some(Process::spawn(&name, &mut (slot.make)(&self.root, &name)));
                self.names.push(name);
            }
        }
    }
}

impl Slot {
    /// Whether it still runs, as far as is known, and has had an entry acknowledged.
    fn is_writing(&mut self, root: &Path) -> bool {
        let Some(process) = &mut self.process else { return false };
        let has_said = std::fs::metadata(log_path(root, &process.name)).is_ok_and(|log| log.len() > 0);
        has_said && !process.has_ended()
    }
}

//! A shipped peer: journal.js of @optave/codegraph 3.11.2, one system call at a time. The functions have the names
//! from there.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::scenario::Op;
use crate::world::{CREATED, Died, SHIPPED_STALE, Seat, owner_of};

const LOCK_TIMEOUT: Duration = Duration::from_millis(5000);
const LOCK_RETRY: Duration = Duration::from_millis(25);

struct Shipped<'s> {
    seat: &'s Seat,
    dir: &'s Path,
    lock: PathBuf,
    journal: PathBuf,
    journal_tmp: PathBuf,
}

/// Its lock, which it has open for writing while it holds.
struct Held {
    nonce: String,
    file: File,
}

/// Acts as a shipped peer.
pub fn live(seat: &Seat, ops: &[Op]) -> Result<(), Died> {
    let dir = &seat.world.dir;
    let peer = Shipped {
        seat,
        dir,
        lock: dir.join("changes.journal.lock"),
        journal: dir.join("changes.journal"),
        journal_tmp: dir.join("changes.journal.tmp"),
    };
    let lived = ops.iter().try_for_each(|op| peer.run(*op));
    seat.state().judging = Default::default();
    lived
}

impl Shipped<'_> {
    fn run(&self, op: Op) -> Result<(), Died> {
        if let Op::Wait(time) = op {
            let until = self.seat.state().now + time;
            self.seat.sleep(until, false);
            return Ok(());
        }
        self.seat.begin_operation();
        self.sweep_stale_tmp_files()?;
        let Some(lock) = self.acquire_journal_lock()? else {
            self.seat.time_out();
            return Ok(());
        };
        self.seat.enter()?;
        match op {
            Op::Append => self.append_journal_entries()?,
            Op::Stamped => self.append_journal_entries_and_stamp_header()?,
            Op::Header => self.write_journal_header()?,
            _ => self.seat.step("works")?,
        }
        self.seat.leave();
        self.release_journal_lock(lock)
    }

    fn step(&self, call: &'static str) -> Result<(), Died> {
        self.seat.step(call)
    }

    // ------------------------------------------------------------------------------------------------------ the lock

    fn acquire_journal_lock(&self) -> Result<Option<Held>, Died> {
        let start = self.seat.state().now;
        loop {
            if let Some(lock) = self.try_fresh_acquire()? {
                return Ok(Some(lock));
            }
            if self.is_lock_stale()? {
                if let Some(lock) = self.try_steal()? {
                    return Ok(Some(lock));
                }
            }
            let now = self.seat.state().now;
            if now - start > LOCK_TIMEOUT {
                return Ok(None);
            }
            self.seat.sleep(now + LOCK_RETRY, false);
        }
    }

    fn try_fresh_acquire(&self) -> Result<Option<Held>, Died> {
        let (nonce, stamp) = self.stamp();
        self.step("open wx: lock")?;
        let Ok(mut file) = File::options().write(true).create_new(true).open(&self.lock) else {
            return Ok(None);
        };
        self.seat.written(&file);
        {
            let mut state = self.seat.state();
            state.judging.unstamped = Some(state.now);
            state.judging.holds = Some(state.now);
            state.oracle.judge_by_age(None, 0);
        }
        self.step(CREATED)?;
        self.seat.write(&mut file, &stamp);
        self.seat.state().judging.unstamped = None;
        Ok(Some(Held { nonce, file }))
    }

    fn is_lock_stale(&self) -> Result<bool, Died> {
        self.step("open r: lock")?;
        let opened = File::open(&self.lock);
        {
            let mut state = self.seat.state();
            state.judging.lock = Some(state.now);
            state.judging.owner = state.lock_owner();
            state.judging.ended = false;
            state.oracle.judge_by_age(None, 0);
        }
        let holder_alive = match opened {
            Ok(file) => self.is_holder_alive(file)?,
            Err(_) => true, // unreadable: falls through to the age
        };
        self.seat.state().judging.owner = None;
        if !holder_alive {
            return Ok(true);
        }
        self.step("stat: lock")?;
        let mut state = self.seat.state();
        let now = state.system_time();
        let modified = fs::metadata(&self.lock).and_then(|meta| meta.modified());
        let stale = modified.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > SHIPPED_STALE));
        if stale {
            state.judge_by_age();
        } else {
            state.judging.lock = None;
        }
        Ok(stale)
    }

    fn is_holder_alive(&self, mut file: File) -> Result<bool, Died> {
        self.step("read: lock")?;
        let content = read(&mut file);
        self.seat.state().judging.owner = owner_of(&content);
        let pid = content.lines().next().and_then(|line| line.trim().parse::<u32>().ok());
        let Some(pid) = pid.filter(|pid| *pid > 0) else {
            return Ok(false);
        };
        self.step("kill 0")?;
        // All peers live in this process; the nonce says whose PID it stands for.
        let owner = owner_of(&content);
        Ok(pid == std::process::id() && owner.is_some_and(|owner| self.seat.state().is_alive(owner)))
    }

    fn try_steal(&self) -> Result<Option<Held>, Died> {
        let (nonce, stamp) = self.stamp();
        let tmp = self.dir.join(format!("changes.journal.lock.{nonce}.tmp"));
        self.step("open w: lock tmp")?;
        let mut file = File::create(&tmp).expect("the directory can be written to");
        self.seat.written(&file);
        self.step("write: lock tmp")?;
        self.seat.write(&mut file, &stamp);
        let stamped = self.seat.state().now;
        self.step("rename: lock tmp to lock")?;
        {
            let mut state = self.seat.state();
            state.steal();
            state.judging.lock = None;
            state.judging.holds = Some(stamped);
        }
        if fs::rename(&tmp, &self.lock).is_err() {
            let _ = fs::remove_file(&tmp); // failures are ignored there too
            self.seat.state().let_go(self.seat.me);
            return Ok(None);
        }
        self.seat.changed();
        if !self
            .read_whole(&self.lock)?
            .is_some_and(|content| content.contains(&nonce))
        {
            self.seat.state().let_go(self.seat.me);
            return Ok(None);
        }
        self.step("open r+: lock")?;
        match File::options().read(true).write(true).open(&self.lock) {
            Ok(file) => Ok(Some(Held { nonce, file })),
            Err(_) => {
                self.seat.state().let_go(self.seat.me);
                Ok(None)
            }
        }
    }

    fn release_journal_lock(&self, lock: Held) -> Result<(), Died> {
        let Held { nonce, file } = lock;
        self.step("close: lock")?;
        drop(file);
        if self
            .read_whole(&self.lock)?
            .is_some_and(|content| content.contains(&nonce))
        {
            self.step("unlink: lock")?;
            self.rob_by_release();
            let _ = fs::remove_file(&self.lock); // failures are ignored there too
            self.seat.changed();
        }
        self.seat.state().let_go(self.seat.me);
        Ok(())
    }

    /// Its own lock was removed after its last look, and it is about to remove the next holder's.
    fn rob_by_release(&self) {
        let mut state = self.seat.state();
        let (owner, now) = (state.lock_owner(), state.steps);
        if let Some(victim) = owner.filter(|owner| *owner != self.seat.me && state.oracle.is_undone(self.seat.me)) {
            state.oracle.steal_in_the_instant(victim, now);
        }
    }

    fn sweep_stale_tmp_files(&self) -> Result<(), Died> {
        self.step("readdir")?;
        let entries = fs::read_dir(self.dir).expect("the directory can be read");
        let mut names: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        names.sort(); // the file system lists them in any order
        for path in names {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !name.starts_with("changes.journal.lock.") || !name.ends_with(".tmp") {
                continue;
            }
            self.step("stat: a tmp")?;
            let now = self.seat.state().system_time();
            let modified = fs::metadata(&path).and_then(|meta| meta.modified());
            if modified.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > SHIPPED_STALE)) {
                self.step("unlink: a tmp")?;
                let _ = fs::remove_file(&path); // failures are ignored there too
            }
        }
        Ok(())
    }

    fn stamp(&self) -> (String, String) {
        let pid = std::process::id();
        let nonce = format!("{pid}-{:016x}", self.seat.state().nonce(self.seat.me));
        let stamp = format!("{pid}\n{nonce}\n");
        (nonce, stamp)
    }

    // --------------------------------------------------------------------------------------------------- the journal

    fn append_journal_entries(&self) -> Result<(), Died> {
        let (path, entry) = self.seat.new_entry();
        self.step("access: journal")?;
        if !self.journal.exists() {
            self.step("open w: journal")?;
            let mut file = File::create(&self.journal).expect("the directory can be written to");
            self.seat.state().oracle.header_cut = true;
            self.step("write: journal")?;
            self.seat.write(&mut file, "# codegraph-journal v1 0\n");
            self.seat.state().oracle.header_cut = false;
        }
        self.step("open a: journal")?;
        let mut file = File::options()
            .append(true)
            .create(true)
            .open(&self.journal)
            .expect("the journal opens");
        self.step("write: journal")?;
        self.seat.write(&mut file, &format!("{path}\n"));
        self.seat.acknowledge(entry);
        Ok(())
    }

    fn write_journal_header(&self) -> Result<(), Died> {
        let (header, now) = {
            let mut state = self.seat.state();
            let steps = state.steps;
            (state.oracle.write_header(steps), state.realtime_ms())
        };
        self.replace_journal(&format!("# codegraph-journal v1 {now}\n"))?;
        let mut state = self.seat.state();
        let steps = state.steps;
        state.oracle.header_written(header, steps);
        Ok(())
    }

    fn append_journal_entries_and_stamp_header(&self) -> Result<(), Died> {
        let (path, entry) = self.seat.new_entry();
        let content = self.read_whole(&self.journal)?.unwrap_or_default();
        let mut body = content.split_once('\n').map_or("", |(_, body)| body).to_owned();
        if !body.is_empty() && !body.ends_with('\n') {
            body.push('\n');
        }
        let now = self.seat.state().realtime_ms();
        self.replace_journal(&format!("# codegraph-journal v1 {now}\n{body}{path}\n"))?;
        self.seat.acknowledge(entry);
        Ok(())
    }

    fn replace_journal(&self, content: &str) -> Result<(), Died> {
        self.step("open w: journal tmp")?;
        let mut file = File::create(&self.journal_tmp).expect("the directory can be written to");
        self.step("write: journal tmp")?;
        self.seat.write(&mut file, content);
        self.step("rename: journal tmp to journal")?;
        let _ = fs::rename(&self.journal_tmp, &self.journal); // there a failure is only logged
        Ok(())
    }

    fn read_whole(&self, path: &Path) -> Result<Option<String>, Died> {
        self.step("open r")?;
        let Ok(mut file) = File::open(path) else {
            return Ok(None);
        };
        self.step("read")?;
        Ok(Some(read(&mut file)))
    }
}

fn read(file: &mut File) -> String {
    let mut content = String::new();
    file.read_to_string(&mut content).expect("a regular file can be read");
    content
}

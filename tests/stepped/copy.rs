//! A short and plain copy of the steps by which the library acquires and releases, in which bugs are planted that lock
//! libraries have had. Without a bug it must be as safe as the library.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::scenario::Op;
use crate::world::{Died, SETTLE, Seat};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Release unlinks the lock without checking whose it is.
    NoIdentityCheck,
    /// A claimed lock is held at once.
    NoSettle,
    /// The lock is linked first and stamped afterwards.
    StampAfterLink,
}

const TIMEOUT: Duration = Duration::from_secs(5);
/// A lock that is older than this may have been judged by its age.
const LATE: Duration = Duration::from_secs(15);

/// Acts as a library peer.
pub fn live(seat: &Seat, bug: Option<Bug>, ops: &[Op]) -> Result<(), Died> {
    let mut peer = Copy::park(seat, bug)?;
    for op in ops {
        peer.run(*op)?;
    }
    seat.step("unlink: own tmp")?;
    let _ = fs::remove_file(&peer.tmp); // it may have been swept already
    Ok(())
}

struct Copy<'s> {
    seat: &'s Seat,
    bug: Option<Bug>,
    lock: PathBuf,
    tmp: PathBuf,
    parked: File,
    stamp: String,
}

impl<'s> Copy<'s> {
    fn park_again(&mut self) -> Result<(), Died> {
        *self = Copy::park(self.seat, self.bug)?;
        Ok(())
    }

    fn park(seat: &'s Seat, bug: Option<Bug>) -> Result<Self, Died> {
        let pid = std::process::id();
        let nonce = format!("{pid}-{:016x}", seat.state().nonce(seat.me));
        let dir = &seat.world.dir;
        let tmp = dir.join(format!("changes.journal.lock.{nonce}.tmp"));
        seat.step("open wx: own tmp")?;
        let parked = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&tmp)
            .expect("a new name");
        seat.written(&parked);
        let mut peer = Copy {
            seat,
            bug,
            lock: dir.join("changes.journal.lock"),
            tmp,
            parked,
            stamp: format!("{pid}\n{nonce}\njlock/1 boot=b pidns=1 start=1 host=h\n"),
        };
        seat.step("flock: own tmp")?;
        flock(&peer.parked, FlockOperation::NonBlockingLockExclusive).expect("nobody else knows it");
        if bug != Some(Bug::StampAfterLink) {
            peer.stamp("write: own tmp")?;
        }
        Ok(peer)
    }

    fn stamp(&mut self, call: &'static str) -> Result<(), Died> {
        self.seat.step(call)?;
        self.parked.rewind().expect("a regular file");
        let stamp = self.stamp.clone();
        self.seat.write(&mut self.parked, &stamp);
        Ok(())
    }

    fn run(&mut self, op: Op) -> Result<(), Died> {
        if let Op::Wait(time) = op {
            let until = self.seat.state().now + time;
            self.seat.sleep(until, false);
            return Ok(());
        }
        self.seat.begin_operation();
        let Some(held) = self.acquire()? else {
            self.seat.time_out();
            return Ok(());
        };
        self.seat.enter()?;
        if let Op::HoldFor(time) = op {
            let until = self.seat.state().now + time;
            self.seat.sleep(until, false);
        }
        self.seat.step("works")?;
        self.seat.leave();
        self.release(&held).map(drop)
    }

    /// Returns the inode that is the lock while it is ours.
    fn acquire(&mut self) -> Result<Option<File>, Died> {
        let start = self.seat.state().now;
        loop {
            self.seat.step("utimens: own tmp")?;
            self.seat.written(&self.parked);
            self.seat.step("link: own tmp to lock")?;
            if fs::hard_link(&self.tmp, &self.lock).is_ok() {
                if self.bug == Some(Bug::StampAfterLink) {
                    self.stamp("write: lock")?;
                }
                let own = self.parked.try_clone().expect("another descriptor");
                if let Some(held) = self.in_time(own)? {
                    return Ok(Some(held));
                }
                self.park_again()?;
            } else if let Some(corpse) = self.take_over()? {
                if let Some(held) = self.in_time(corpse)? {
                    return Ok(Some(held));
                }
            }
            let now = self.seat.state().now;
            if now - start > TIMEOUT {
                return Ok(None);
            }
            self.seat.sleep(now + Duration::from_millis(25), true);
        }
    }

    fn take_over(&mut self) -> Result<Option<File>, Died> {
        self.seat.step("open: lock")?;
        let Ok(mut corpse) = File::options().read(true).write(true).open(&self.lock) else {
            return Ok(None);
        };
        self.seat.step("flock: lock")?;
        let dead = flock(&corpse, FlockOperation::NonBlockingLockExclusive).is_ok();
        if !dead || !self.is_lock(&corpse)? {
            return Ok(None);
        }
        self.seat.step("read: lock")?;
        let mut content = String::new();
        corpse.read_to_string(&mut content).expect("a stamp is text");
        let of_library = content.lines().nth(2).is_some_and(|line| line.starts_with("jlock/1 "));
        if !of_library {
            return Ok(None); // a shipped peer's; that part is not copied
        }
        self.seat.step("write: lock")?;
        corpse.rewind().expect("a regular file");
        let stamp = self.stamp.clone();
        self.seat.write(&mut corpse, &stamp);
        self.seat.step("ftruncate: lock")?;
        corpse.set_len(stamp.len() as u64).expect("a shorter file");
        self.seat.written(&corpse);
        if self.bug != Some(Bug::NoSettle) {
            let until = self.seat.state().now + SETTLE;
            self.seat.sleep(until, false);
        }
        Ok(self.is_lock(&corpse)?.then_some(corpse))
    }

    /// Settles again as long as its sign of life is old. Returns `None` if somebody has taken the lock.
    fn in_time(&self, held: File) -> Result<Option<File>, Died> {
        loop {
            let now = self.seat.state().system_time();
            let touched = held.metadata().and_then(|meta| meta.modified()).expect("an open file");
            if now.duration_since(touched).is_ok_and(|age| age < LATE) {
                return Ok(Some(held));
            }
            self.seat.step("utimens: lock")?;
            self.seat.written(&held);
            let until = self.seat.state().now + SETTLE;
            self.seat.sleep(until, false);
            if !self.is_lock(&held)? {
                return Ok(None);
            }
        }
    }

    fn is_lock(&self, file: &File) -> Result<bool, Died> {
        self.seat.step("stat: lock")?;
        let own = file.metadata().expect("an open file");
        Ok(fs::symlink_metadata(&self.lock).is_ok_and(|lock| lock.ino() == own.ino()))
    }

    /// Returns `false` if the lock was taken away.
    fn release(&mut self, held: &File) -> Result<bool, Died> {
        if self.bug != Some(Bug::NoIdentityCheck) && !self.is_lock(held)? {
            return Ok(false);
        }
        let looked = self.seat.looked();
        self.seat.step("unlink: lock")?;
        let before = self.seat.before_change(looked);
        let unlinked = fs::remove_file(&self.lock).is_ok();
        self.seat.after_change(&before);
        self.seat.changed();
        if self.bug == Some(Bug::StampAfterLink) {
            self.seat.step("ftruncate: own tmp")?;
            self.parked.set_len(0).expect("a shorter file");
        }
        Ok(unlinked)
    }
}

//! The library itself, as the test vectors need it.

use std::path::Path;
use std::time::Duration;

use jlock::{Entry, ErrorKind, Kind, Lock, Options, Peer as Of, State};

use crate::judge::{Acquired, Holder, Peer, Read, SETTLE};

pub fn open(dir: &Path, timeout: Duration) -> Box<dyn Peer> {
    let options = Options::new().timeout(timeout).settle(SETTLE);
    Box::new(options.open(dir).expect("the lock opens"))
}

impl Peer for Lock {
    fn inspect(&self) -> Option<Holder> {
        let holder = Lock::inspect(self).ok()?;
        let state = match holder.state {
            State::Free => "free",
            State::Held => "held",
            State::Abandoned => "abandoned",
            State::Mine => "mine",
            other => panic!("{other:?}: not in the vectors"),
        };
        let peer = match holder.peer {
            Of::None => "none",
            Of::Library => "library",
            Of::Shipped => "shipped",
            Of::Unknown => "unknown",
            other => panic!("{other:?}: not in the vectors"),
        };
        Some(Holder {
            state: state.to_owned(),
            peer: peer.to_owned(),
            pid: holder.pid,
            nonce: holder.nonce,
            host: holder.host,
        })
    }

    fn read(&self) -> Option<Read> {
        let read = match self.journal().read() {
            Err(error) if matches!(error.kind(), ErrorKind::Header | ErrorKind::Unstamped) => return None,
            read => read.expect("a journal"),
        };
        Some(Read {
            timestamp: read.timestamp(),
            changed: read.changed().map(Into::into).collect(),
            deleted: read.deleted().map(Into::into).collect(),
        })
    }

    fn append(&self, kind: Kind, paths: &[Vec<u8>], stamp: Option<i64>) -> bool {
        let entries = paths.iter().map(|path| Entry { path, kind });
        let appended = match stamp {
            None => self.journal().append(entries),
            Some(stamp) => self.journal().append_stamped(entries, stamp),
        };
        match appended {
            Err(error) if error.kind() == ErrorKind::Entry => false,
            appended => appended.map(|()| true).expect("an append"),
        }
    }

    fn hold(&self, held: &mut dyn FnMut(Holder)) -> Acquired {
        match self.acquire() {
            Ok(guard) => {
                held(Peer::inspect(self).expect("a holder"));
                guard.release().expect("it is ours");
                Acquired::Had
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => Acquired::TimedOut,
            Err(_) => Acquired::Refused,
        }
    }
}

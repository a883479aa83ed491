//! What stands in a lock: who holds it.
//!
//! ```text
//! <pid>\n
//! <nonce>\n                       the nonce is <pid>-<16 lowercase hex digits>
//! jlock/1 since=… boot=… pidns=… timens=… start=… host=…[ flock=none]\n
//! [<postscript>\n]
//! ```
//!
//! A shipped peer reads the first line and looks for its own nonce. The third line marks a library peer. The postscript is
//! opaque to the lock: a peer that claims a dead holder's lock hands it on.

use std::fmt::Write;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::sys::{self, process::Identity};

/// A lock is never read beyond this.
pub(crate) const MAX_LEN: usize = 4096;

/// This process's stamp.
#[derive(Clone, Debug)]
pub(crate) struct OwnStamp {
    pub text: Arc<str>,
}

/// Where a stamp has room for the time at which the hold began: 13 digits, as many as milliseconds since 1970 have for
/// the next 250 years. Zeros mean that the mtime says it, because the holder has not renewed it yet.
const SINCE: &str = " since=0000000000000";

impl OwnStamp {
    /// With a fresh nonce. It says that its holder keeps the lock's `flock`.
    pub(crate) fn new() -> Result<Self> {
        let me = Identity::current();
        let random = sys::random_u64().map_err(|e| Error::os(e, "make a nonce"))?;
        let nonce = format!("{}-{random:016x}", me.pid);
        let mut text = format!("{}\n{nonce}\njlock/1{SINCE} boot={}", me.pid, me.boot);
        // Writing to a String cannot fail.
        let _ = write!(text, " pidns={} timens={}", me.pid_namespace, me.time_namespace);
        let _ = writeln!(text, " start={} host={}", me.start, me.host);
        Ok(OwnStamp { text: text.into() })
    }

    /// What tells it from all others.
    pub(crate) fn nonce(&self) -> &str {
        self.text.lines().nth(1).unwrap_or("")
    }

    /// The first line, without its newline.
    pub(crate) fn pid(&self) -> &str {
        self.text.lines().next().unwrap_or("")
    }

    /// Whether it says that its holder keeps the lock's `flock`.
    pub(crate) fn says_flock(&self) -> bool {
        !self.text.ends_with(" flock=none\n")
    }

    /// What no other stamp begins with: the first two lines.
    pub(crate) fn head(&self) -> &[u8] {
        let mut ends = (1..).zip(self.text.bytes()).filter(|(_, byte)| *byte == b'\n');
        let third = ends.nth(1).map_or(self.text.len(), |(end, _)| end);
        &self.text.as_bytes()[..third]
    }

    /// The digits that say since when the lock is held, and their offset.
    pub(crate) fn since(&self, since_ms: i64) -> (u64, String) {
        let at = self.head().len() + "jlock/1".len() + SINCE.len() - 13;
        (at as u64, format!("{:013}", since_ms.clamp(0, 9_999_999_999_999)))
    }

    /// The same stamp, which now says since when the lock is held.
    pub(crate) fn held_since(mut self, since_ms: i64) -> OwnStamp {
        let (at, digits) = self.since(since_ms);
        let mut text = self.text.to_string();
        text.replace_range(at as usize..at as usize + digits.len(), &digits);
        self.text = text.into();
        self
    }

    /// Says that the kernel does not vouch for the holder, unless `flock` keeps others out and the place is `local`.
    /// Elsewhere `flock` may keep others out on this mount, and still be free on another mount of the same file, or on the
    /// disk of this machine that the file is on.
    pub(crate) fn say_flock(&mut self, flock: bool, local: bool) {
        if !flock || !local {
            self.without_flock();
        }
    }

    fn without_flock(&mut self) {
        self.text = format!("{} flock=none\n", self.text.trim_end()).into();
    }
}

/// What was read from a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stamp {
    Library(LibraryStamp),
    Shipped {
        pid: i32,
        nonce: String,
    },
    /// Empty, zeros, or the beginning of a stamp, perhaps with the line of the PID whole: somebody is writing it just now, or
    /// died while writing it, or stamps with the PID alone.
    Cut {
        pid: Option<i32>,
    },
    /// Something else.
    Foreign,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LibraryStamp {
    pub pid: i32,
    pub nonce: String,
    pub boot: String,
    pub pid_namespace: u64,
    pub start: u64,
    pub host: String,
    /// The one in which the start time counts; 0: unknown.
    pub time_namespace: u64,
    /// Since when the lock is held, in milliseconds since 1970; 0: since its mtime.
    pub since_ms: i64,
    /// Whether its holder keeps the lock's `flock`, so that the kernel knows when it dies.
    pub flock: bool,
}

impl Stamp {
    pub(crate) fn parse(bytes: &[u8]) -> Stamp {
        // What a power cut can leave. (If they fill all that is read, somebody wrote them on purpose.)
        if bytes.len() < MAX_LEN && bytes.iter().all(|byte| *byte == 0) {
            return Stamp::Cut { pid: None };
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Stamp::Foreign;
        };
        let mut lines = text.split_inclusive('\n');
        let first = lines.next().unwrap_or("");
        let pid = first.strip_suffix('\n').and_then(parse_pid);
        let Some(pid) = pid else {
            // Without its newline, a number is the beginning of a stamp, and anything else is not.
            let beginning = !first.ends_with('\n') && first.bytes().all(|b| b.is_ascii_digit());
            return if beginning {
                Stamp::Cut { pid: None }
            } else {
                Stamp::Foreign
            };
        };
        let second = lines.next().unwrap_or("");
        let Some(nonce) = second.strip_suffix('\n') else {
            let beginning = is_beginning_of_nonce(second);
            return if beginning {
                Stamp::Cut { pid: Some(pid) }
            } else {
                Stamp::Foreign
            };
        };
        if !is_nonce(nonce) {
            return Stamp::Foreign;
        }
        match lines.next().and_then(|line| LibraryStamp::parse(pid, nonce, line)) {
            Some(stamp) => Stamp::Library(stamp),
            None => Stamp::Shipped {
                pid,
                nonce: nonce.to_owned(),
            },
        }
    }

    /// The holder's process id in its own PID namespace, 0 when unknown, and its nonce, empty when unknown.
    pub(crate) fn holder(&self) -> (i32, &str) {
        match self {
            Stamp::Library(stamp) => (stamp.pid, &stamp.nonce),
            Stamp::Shipped { pid, nonce } => (*pid, nonce),
            Stamp::Cut { pid } => (pid.unwrap_or(0), ""),
            Stamp::Foreign => (0, ""),
        }
    }
}

/// What follows the stamp of a library peer: opaque, and whole only with its newline.
pub(crate) fn postscript_of(content: &[u8]) -> &[u8] {
    let is_newline = |byte: &u8| *byte == b'\n';
    let mut lines = content.splitn(4, is_newline);
    let (_, _, third) = (lines.next(), lines.next(), lines.next());
    match (third, lines.next()) {
        (Some(third), Some(rest)) if third.starts_with(b"jlock/1 ") && rest.ends_with(b"\n") => rest,
        _ => b"",
    }
}

impl LibraryStamp {
    fn parse(pid: i32, nonce: &str, line: &str) -> Option<Self> {
        let mut stamp = LibraryStamp {
            pid,
            nonce: nonce.to_owned(),
            boot: String::new(),
            pid_namespace: 0,
            start: 0,
            host: String::new(),
            time_namespace: 0,
            since_ms: 0,
            flock: true,
        };
        // Without its newline the line may lack the last field, which says whether to trust the flock. Fields that a later
        // version adds are skipped.
        for field in line
            .strip_prefix("jlock/1 ")?
            .strip_suffix('\n')?
            .split_ascii_whitespace()
        {
            match field.split_once('=') {
                Some(("boot", value)) => stamp.boot = value.to_owned(),
                Some(("pidns", value)) => stamp.pid_namespace = value.parse().unwrap_or(0),
                Some(("timens", value)) => stamp.time_namespace = value.parse().unwrap_or(0),
                Some(("since", value)) => stamp.since_ms = value.parse().unwrap_or(0),
                Some(("start", value)) => stamp.start = value.parse().unwrap_or(0),
                Some(("host", value)) => stamp.host = value.to_owned(),
                Some(("flock", value)) => stamp.flock = value != "none",
                _ => {}
            }
        }
        Some(stamp)
    }
}

/// A positive number, as a shipped peer's `Number()` reads the first line, white space around it allowed.
fn parse_pid(line: &str) -> Option<i32> {
    let digits = line.trim();
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().filter(|pid| *pid > 0)
}

/// Whether it can become a nonce: a dash comes after digits only.
fn is_beginning_of_nonce(text: &str) -> bool {
    let (pid, hex) = match text.split_once('-') {
        Some(("", _)) => return false,
        Some(parts) => parts,
        None => (text, ""),
    };
    pid.len() <= 10 && pid.bytes().all(|b| b.is_ascii_digit()) && hex.len() <= 16 && hex.bytes().all(is_hex)
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// `<pid>-<16 lowercase hex digits>`. This check also keeps a nonce that was read from a file from naming some other file.
fn is_nonce(text: &str) -> bool {
    let Some((pid, hex)) = text.split_once('-') else {
        return false;
    };
    !pid.is_empty()
        && pid.len() <= 10
        && pid.bytes().all(|b| b.is_ascii_digit())
        && hex.len() == 16
        && hex.bytes().all(is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "4711-0123456789abcdef";

    #[test]
    fn a_stamp_of_our_own_reads_back_as_a_library_stamp() {
        for flock in [true, false] {
            let mut own = OwnStamp::new().unwrap();
            if !flock {
                own.without_flock();
            }
            let Stamp::Library(read) = Stamp::parse(own.text.as_bytes()) else {
                panic!("{}", own.text)
            };
            assert_eq!(read.pid, std::process::id() as i32);
            assert_eq!(read.nonce, own.nonce());
            assert_eq!(read.flock, flock);
            assert!(read.start > 0 && read.pid_namespace > 0 && !read.boot.is_empty());
            assert!(own.text.len() < 512);
        }
    }

    #[test]
    fn a_postscript_is_what_follows_the_third_line_and_only_whole() {
        let own = OwnStamp::new().unwrap();
        let with = |postscript: &str| [own.text.as_bytes(), postscript.as_bytes()].concat();
        assert_eq!(postscript_of(&with("append=1:2:3\n")), b"append=1:2:3\n");
        assert_eq!(postscript_of(&with("append=1:2:3")), b"");
        assert_eq!(postscript_of(&with("")), b"");
        assert_eq!(
            postscript_of(format!("4711\n{NONCE}\nsomething\nmore\n").as_bytes()),
            b""
        );
    }

    #[test]
    fn the_time_of_a_hold_has_its_place_in_the_stamp() {
        let own = OwnStamp::new().unwrap();
        let (at, digits) = own.since(1_700_000_000_000);
        let mut text = own.text.to_string();
        text.replace_range(at as usize..at as usize + 13, &digits);
        assert!(text.as_bytes().starts_with(own.head()));
        let Stamp::Library(read) = Stamp::parse(text.as_bytes()) else {
            panic!("{text}")
        };
        assert_eq!(read.since_ms, 1_700_000_000_000);
    }

    #[test]
    fn zeros_are_cut_short_and_a_pid_line_may_have_a_sign() {
        assert_eq!(Stamp::parse(&[0; 40]), Stamp::Cut { pid: None });
        assert_eq!(Stamp::parse(&[0; MAX_LEN - 1]), Stamp::Cut { pid: None });
        assert_eq!(Stamp::parse(&[0; MAX_LEN]), Stamp::Foreign, "written on purpose");
        assert_eq!(Stamp::parse(b" +4711\r\n"), Stamp::Cut { pid: Some(4711) });
    }

    #[test]
    fn a_nonce_is_never_given_twice() {
        assert_ne!(OwnStamp::new().unwrap().nonce(), OwnStamp::new().unwrap().nonce());
    }

    #[test]
    fn a_shipped_stamp_has_two_lines() {
        let shipped = Stamp::Shipped {
            pid: 4711,
            nonce: NONCE.to_owned(),
        };
        assert_eq!(Stamp::parse(format!("4711\n{NONCE}\n").as_bytes()), shipped);
        assert_eq!(Stamp::parse(format!("4711\n{NONCE}\nsomething\n").as_bytes()), shipped);
    }

    /// The longest PID has ten digits.
    #[test]
    fn every_beginning_of_a_stamp_is_cut_short_and_none_is_foreign() {
        for whole in [
            format!("4711\n{NONCE}\n"),
            "4711\n2147483647-0123456789abcdef\n".to_owned(),
        ] {
            for end in 0..whole.len() {
                let read = Stamp::parse(&whole.as_bytes()[..end]);
                assert!(matches!(read, Stamp::Cut { .. }), "{end}: {read:?}");
            }
            assert!(matches!(Stamp::parse(whole.as_bytes()), Stamp::Shipped { .. }));
        }
    }

    #[test]
    fn what_is_not_a_stamp_is_foreign() {
        for text in [
            "x",
            "\n",
            "0\n",
            "-1\n",
            "4711\nhello\n",
            "99999999999\n",
            "4711\n../../x\n",
            "1 2\n",
            "++4711\n",
            "4711\nhello",
            "4711\n-",
            "4711\n12345678901",
            "4711\n12345678901-",
            "4711\nx-0123",
            "4711\n4711-xyz",
            "4711\n4711-0123456789abcdef0",
            "4711\n-0123456789abcdef\n",
            "4711\nx-0123456789abcdef\n",
            "4711\n12345678901-0123456789abcdef\n",
            "4711\n4711-0123456789abcde\n",
            "4711\n4711-0123456789ABCDEF\n",
        ] {
            assert_eq!(Stamp::parse(text.as_bytes()), Stamp::Foreign, "{text:?}");
        }
        assert_eq!(Stamp::parse(b"\xff\xfe"), Stamp::Foreign);
    }
}

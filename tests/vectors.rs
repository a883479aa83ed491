//! The library does what the test vectors say (`vectors/README.md`), which stand for PROTOCOL.md.

#[path = "vectors/json.rs"]
mod json;
#[path = "fault/scratch.rs"]
mod scratch;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use jlock::{Entry, ErrorKind, Kind, Lock, Options, Peer, State};
use json::Json;
use rustix::fs::{CWD, FileType, FlockOperation, Mode, flock, mknodat};
use scratch::Scratch;

const SETTLE: Duration = Duration::from_millis(100);

fn vectors(file: &str) -> Vec<Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file);
    let text = fs::read_to_string(path).expect("test vectors");
    Json::parse(&text).list().to_vec()
}

/// Runs them all, and then fails if one did.
fn run(file: &str, check: impl Fn(&Json, &Path)) {
    let vectors = vectors(file);
    assert!(!vectors.is_empty());
    let fails = |vector: &&Json| {
        let scratch = Scratch::new("vector");
        let failed = catch_unwind(AssertUnwindSafe(|| check(vector, scratch.path()))).is_err();
        if failed {
            eprintln!("^ {file}: {}\n", vector.get("name").text());
        }
        failed
    };
    let failed = vectors.iter().filter(fails).count();
    assert_eq!(failed, 0, "of {} vectors", vectors.len());
}

/// The bytes that a value stands for; `None` for `null`.
fn bytes(value: &Json) -> Option<Vec<u8>> {
    match value {
        Json::Null => None,
        Json::Text(text) => Some(text.clone().into_bytes()),
        Json::List(parts) => Some(parts.iter().filter_map(bytes).flatten().collect()),
        _ => Some(content(value)),
    }
}

fn content(value: &Json) -> Vec<u8> {
    match (value.get("text"), value.get("base64"), value.get("times")) {
        (Json::Text(text), _, Json::Number(times)) => text.repeat(*times as usize).into_bytes(),
        (Json::Text(text), ..) => text.clone().into_bytes(),
        (_, Json::Text(text), _) => decode_base64(text),
        _ => Vec::new(),
    }
}

fn decode_base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut out, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for digit in text.trim_end_matches('=').bytes() {
        let value = ALPHABET.iter().position(|known| *known == digit).expect("base64");
        (bits, held) = (bits << 6 | value as u32, held + 6);
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    out
}

fn set_age(path: &Path, seconds: f64) {
    let now = SystemTime::now();
    let age = Duration::from_secs_f64(seconds.abs());
    let time = if seconds < 0.0 { now + age } else { now - age };
    File::open(path)
        .expect("a file")
        .set_modified(time)
        .expect("its time can be set");
}

fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|meta| meta.ino())
}

// ------------------------------------------------------------------------------------------- stamps, the journal

#[test]
fn stamps() {
    run("stamps.json", |vector, dir| {
        let lock = dir.join("changes.journal.lock");
        fs::write(&lock, content(vector)).expect("a lock");
        set_age(&lock, 10.0);
        let holder = Lock::open(dir).expect("the lock opens").inspect().expect("a holder");

        let kind = vector.get("kind").text();
        assert_eq!(kind_of(holder.peer, holder.state), kind);
        let pid = match vector.get("pid") {
            Json::Null => 0.0,
            pid => pid.number(),
        };
        assert_eq!(f64::from(holder.pid), pid);
        let nonce = bytes(vector.get("nonce")).unwrap_or_default();
        assert_eq!(holder.nonce.as_bytes(), nonce);
        if kind == "library" {
            assert_eq!(holder.host, vector.get("fields").get("host").text());
        }
    });
}

/// As README of the test vectors says, for a lock of 10 s without a living PID.
fn kind_of(peer: Peer, state: State) -> &'static str {
    match (peer, state) {
        (Peer::Library, _) => "library",
        (Peer::Shipped, _) => "shipped",
        (Peer::Unknown, State::Abandoned) => "cut short",
        (Peer::Unknown, _) => "foreign",
        (Peer::None, _) => "none",
    }
}

#[test]
fn journals() {
    run("journals.json", |vector, dir| {
        fs::write(dir.join("changes.journal"), content(vector)).expect("a journal");
        let lock = Lock::open(dir).expect("the lock opens");
        let read = lock.journal().read();
        if *vector.get("timestamp") == Json::Null {
            assert_eq!(read.map(drop).expect_err("no header").kind(), ErrorKind::Header);
            return;
        }
        let read = read.expect("a header");
        let paths = |key| vector.get(key).list().iter().map(|path| bytes(path).expect("a path"));
        assert_eq!(read.timestamp(), vector.get("timestamp").number());
        assert!(
            read.changed().eq(paths("changed")),
            "changed: {:?}",
            read.changed().collect::<Vec<_>>()
        );
        assert!(
            read.deleted().eq(paths("deleted")),
            "deleted: {:?}",
            read.deleted().collect::<Vec<_>>()
        );
    });
}

#[test]
fn entries() {
    run("entries.json", |vector, dir| {
        const BEFORE: &[u8] = b"# codegraph-journal v1 1\n";
        let journal = dir.join("changes.journal");
        fs::write(&journal, BEFORE).expect("a journal");
        let kind = match vector.get("kind").text() {
            "changed" => Kind::Changed,
            "deleted" => Kind::Deleted,
            other => panic!("{other}: no kind"),
        };
        let path = bytes(vector.get("path")).expect("a path");
        let lock = Lock::open(dir).expect("the lock opens");
        let appended = lock.journal().append([Entry { path: &path, kind }]);

        let line = bytes(vector.get("line"));
        assert_eq!(
            appended.map_err(|error| error.kind()),
            line.as_ref().map(drop).ok_or(ErrorKind::Entry)
        );
        let after = fs::read(&journal).expect("the journal");
        assert_eq!(after, [BEFORE, &line.unwrap_or_default()].concat());
    });
}

#[test]
fn appends() {
    run("appends.json", |vector, dir| {
        let journal = dir.join("changes.journal");
        let before = bytes(vector.get("before"));
        if let Some(before) = &before {
            fs::write(&journal, before).expect("a journal");
        }
        let stood = before.map(|_| File::open(&journal).expect("the journal")); // so that its inode is no other's
        let paths: Vec<Vec<u8>> = vector.get("append").list().iter().filter_map(bytes).collect();
        let entries = paths.iter().map(Entry::changed);
        let lock = Lock::open(dir).expect("the lock opens");
        match vector.get("stamp") {
            Json::Null => lock.journal().append(entries),
            stamp => lock.journal().append_stamped(entries, stamp.number() as i64),
        }
        .expect("an append");

        let after = fs::read(&journal).expect("the journal");
        assert_eq!(
            after.escape_ascii().to_string(),
            bytes(vector.get("after"))
                .expect("a journal")
                .escape_ascii()
                .to_string()
        );
        if let Json::Bool(rewritten) = vector.get("rewritten") {
            let stood = stood.expect("a journal before").metadata().expect("its inode").ino();
            assert_eq!(inode(&journal) != Some(stood), *rewritten);
        }
    });
}

// ---------------------------------------------------------------------------------------------------- directories

/// With what the placeholders stand for.
fn fill(text: &str) -> String {
    static HERE: LazyLock<[(&str, String); 5]> = LazyLock::new(|| {
        let living = std::os::unix::process::parent_id();
        let mut child = Command::new("true").spawn().expect("true");
        child.wait().expect("it ends");
        let read = |path: &str| fs::read_to_string(path).expect(path);
        let stat = read(&format!("/proc/{living}/stat"));
        let after_name = stat.rsplit(')').next().expect("what follows the name");
        [
            ("{living}", living.to_string()),
            ("{dead}", child.id().to_string()),
            (
                "{start}",
                after_name.split_whitespace().nth(19).expect("a start time").to_owned(),
            ),
            ("{boot}", read("/proc/sys/kernel/random/boot_id").trim().to_owned()),
            (
                "{pidns}",
                fs::metadata("/proc/self/ns/pid")
                    .expect("a namespace")
                    .ino()
                    .to_string(),
            ),
        ]
    });
    HERE.iter()
        .fold(text.to_owned(), |text, (name, here)| text.replace(name, here))
}

/// Makes one file; what is returned keeps its `flock`.
fn make(dir: &Path, file: &Json) -> Option<File> {
    let path = dir.join(fill(file.get("name").text()));
    match (file.get("same_as"), file.get("type")) {
        (Json::Text(other), _) => fs::hard_link(dir.join(fill(other)), &path).expect("a link"),
        (_, Json::Text(kind)) => make_other(&path, kind),
        _ => {
            fs::write(&path, fill(file.get("text").text())).expect("a file");
            set_age(&path, file.get("age_s").number());
        }
    }
    file.get("flock").is_true().then(|| {
        let open = File::open(&path).expect("a file");
        flock(&open, FlockOperation::LockExclusive).expect("nobody else knows it");
        open
    })
}

fn make_other(path: &Path, kind: &str) {
    match kind {
        "symlink" => symlink("nowhere", path).expect("a symbolic link"),
        "directory" => fs::create_dir(path).expect("a directory"),
        "fifo" => mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a fifo"),
        other => panic!("{other}: no type"),
    }
}

fn names(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).expect("the directory");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    entries.map(|entry| name(entry).into_string().expect("UTF-8")).collect()
}

#[test]
fn directories() {
    run("directories.json", |vector, dir| {
        let files = vector.get("files").list();
        let _flocked: Vec<File> = files.iter().filter_map(|file| make(dir, file)).collect();
        let remaining = files.iter().filter(|file| !file.get("swept").is_true());
        let mut remaining: BTreeSet<String> = remaining.map(|file| fill(file.get("name").text())).collect();
        let path = dir.join("changes.journal.lock");

        let options = Options::new().timeout(Duration::from_millis(300)).settle(SETTLE);
        let lock = options.open(dir).expect("the lock opens");
        assert_eq!(names(dir), remaining, "once it is open");
        look(&lock, vector.get("lock"));
        if acquire(&lock, &path, vector.get("acquire").text()) {
            remaining.remove("changes.journal.lock");
        }
        drop(lock);
        assert_eq!(names(dir), remaining, "once it is closed");
    });
}

fn look(lock: &Lock, expected: &Json) {
    let holder = match lock.inspect() {
        Ok(holder) => holder,
        Err(error) => return assert_eq!(*expected, Json::Null, "{error}"),
    };
    let state = match holder.state {
        State::Free => "free",
        State::Held => "held",
        State::Abandoned => "abandoned",
        State::Mine => "mine",
    };
    assert_eq!(state, expected.get("state").text());
    let pid = match expected.get("pid") {
        Json::Null => 0,
        Json::Text(pid) => fill(pid).parse().expect("a PID"),
        pid => pid.number() as i32,
    };
    assert_eq!(holder.pid, pid);
    let kinds: &[&str] = match holder.peer {
        Peer::None => &[],
        Peer::Library => &["library"],
        Peer::Shipped => &["shipped"],
        Peer::Unknown => &["cut short", "foreign"],
    };
    match expected.get("kind") {
        Json::Null => assert!(kinds.is_empty(), "{kinds:?}"),
        kind => assert!(kinds.contains(&kind.text()), "{kinds:?}"),
    }
}

/// Whether it was had, as expected.
fn acquire(lock: &Lock, path: &Path, expected: &str) -> bool {
    let regular = |path: &&Path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file());
    let content = || Some(path).filter(regular).map(|path| fs::read(path).expect("the lock"));
    let stood = Some(path).filter(regular).map(File::open); // kept open, so that its inode is no other's
    let (before, read) = (inode(path), content());
    let begun = Instant::now();
    let guard = match lock.acquire() {
        Ok(guard) => guard,
        Err(error) => {
            let how = if error.kind() == ErrorKind::TimedOut {
                "times out"
            } else {
                "refuses"
            };
            assert_eq!(how, expected, "{error}");
            assert_eq!((inode(path), content()), (before, read));
            return false;
        }
    };
    let took = begun.elapsed();
    drop(stood);
    let how = match (before, inode(path)) {
        (None, _) => "links",
        (before, now) if before == now => "claims in place",
        _ => "claims, and moves to another inode",
    };
    assert_eq!(how, expected);
    assert!(before.is_none() || took >= SETTLE, "{took:?} are no settling");
    let holder = lock.inspect().expect("a holder");
    assert_eq!((holder.state, holder.peer), (State::Mine, Peer::Library));
    assert_eq!(holder.pid.unsigned_abs(), std::process::id());
    guard.release().expect("it is ours");
    assert_eq!(inode(path), None);
    true
}

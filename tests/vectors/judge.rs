//! Runs the test vectors through one interface, and judges the results.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use jlock::Kind;
use rustix::fs::{CWD, FileType, FlockOperation, Mode, flock, mknodat};

use crate::json::Json;
use crate::tools::Scratch;

pub const SETTLE: Duration = Duration::from_millis(100);
/// The timeout of an acquire that is expected to time out.
const TIMEOUT: Duration = Duration::from_millis(300);
/// The timeout of any other: however busy the machine is, the lock must be acquired if it can be.
const PATIENCE: Duration = Duration::from_secs(60);

const LOCK: &str = "changes.journal.lock";
const JOURNAL: &str = "changes.journal";

/// A peer in one directory, through the interface under test. Dropping it closes it.
pub trait Peer {
    /// `None` if it is refused.
    fn inspect(&self) -> Option<Holder>;
    /// `None` if there is no header.
    fn read(&self) -> Option<Read>;
    /// Whether the entries were accepted rather than refused.
    fn append(&self, kind: Kind, paths: &[Vec<u8>], stamp: Option<i64>) -> bool;
    /// Acquires; if that succeeds, inspects, calls `held`, and releases.
    fn hold(&self, held: &mut dyn FnMut(Holder)) -> Acquired;
    /// Whose PID the stamp has while the lock is held.
    fn pid(&self) -> u32 {
        std::process::id()
    }
}

pub type Open = fn(&Path, Duration) -> Box<dyn Peer>;

#[derive(Debug)]
pub struct Holder {
    /// `free`, `held`, `mine` or `abandoned`.
    pub state: String,
    /// `none`, `library`, `shipped` or `unknown`.
    pub peer: String,
    pub pid: i32,
    pub nonce: String,
    pub host: String,
}

#[derive(Debug)]
pub struct Read {
    pub timestamp: f64,
    pub changed: Vec<Vec<u8>>,
    pub deleted: Vec<Vec<u8>>,
}

pub enum Acquired {
    Had,
    TimedOut,
    Refused,
}

// -------------------------------------------------------------------------------------------------------- the files

/// What is known here of each file's vectors. Anything else in them is a failure, so that it does not go unnoticed.
const KNOWN: [(&str, &[&str]); 5] = [
    ("appends.json", &["before", "append", "stamp", "after", "rewritten"]),
    ("directories.json", &["files", "lock", "acquire"]),
    ("entries.json", &["path", "kind", "line"]),
    ("journals.json", &["text", "base64", "timestamp", "changed", "deleted"]),
    ("stamps.json", &["text", "base64", "kind", "pid", "nonce", "fields"]),
];
const KNOWN_OF_FILES: [&str; 9] = [
    "name", "text", "base64", "age_s", "flock", "writer", "same_as", "type", "swept",
];

fn only(known: &[&str], object: &Json) {
    let unknown: Vec<&str> = object.keys().filter(|key| !known.contains(key)).collect();
    assert!(unknown.is_empty(), "{unknown:?}: not known");
}

fn vectors_dir() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors"))
}

pub fn expect_no_other_files() {
    let found = names(vectors_dir());
    let found: Vec<&str> = found
        .iter()
        .map(String::as_str)
        .filter(|name| name.ends_with(".json"))
        .collect();
    assert_eq!(found, KNOWN.map(|(file, _)| file));
}

/// PROTOCOL.md shows one of them.
pub fn expect_the_example_of_the_document() {
    let document = include_str!("../../PROTOCOL.md");
    let begin = document.find("    {\"name\"").expect("an example");
    let example = document[begin..].split("\n\n").next().expect("its paragraph");
    let text = fs::read_to_string(vectors_dir().join("directories.json")).expect("test vectors");
    assert!(Json::parse(&text).list().contains(&Json::parse(example)), "{example}");
}

/// Runs all vectors, and fails at the end if one of them failed.
fn run(file: &str, check: impl Fn(&Json, &Path)) {
    let text = fs::read_to_string(vectors_dir().join(file)).expect("test vectors");
    let vectors = Json::parse(&text);
    let vectors = vectors.list();
    assert!(!vectors.is_empty());
    let known: Vec<&str> = KNOWN
        .iter()
        .filter(|(name, _)| *name == file)
        .flat_map(|(_, known)| known.iter().copied())
        .chain(["name"])
        .collect();
    let fails = |vector: &&Json| {
        let scratch = Scratch::new("vector");
        let checked = || {
            only(&known, vector);
            check(vector, scratch.path());
        };
        let failed = catch_unwind(AssertUnwindSafe(checked)).is_err();
        if failed {
            eprintln!("^ {file}: {}\n", vector.get("name").text());
        }
        failed
    };
    let failed = vectors.iter().filter(fails).count();
    println!("{file}: {} vectors, {failed} failures", vectors.len());
    assert_eq!(failed, 0, "of {} vectors", vectors.len());
}

/// The bytes that a value stands for; `None` for `null`.
fn bytes(value: &Json) -> Option<Vec<u8>> {
    match value {
        Json::Null => None,
        Json::Text(text) => Some(text.clone().into_bytes()),
        Json::List(parts) => Some(parts.iter().filter_map(bytes).flatten().collect()),
        _ => {
            only(&["text", "base64", "times"], value);
            Some(content(value))
        }
    }
}

fn content(value: &Json) -> Vec<u8> {
    match (value.get("text"), value.get("base64"), value.get("times")) {
        (Json::Text(text), _, Json::Number(times)) => text.repeat(*times as usize).into_bytes(),
        (Json::Text(text), ..) => text.clone().into_bytes(),
        (_, Json::Text(text), _) => decode_base64(text),
        _ => panic!("no content"),
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

/// The names in a directory; those in a subdirectory are prefixed with its name.
fn names(dir: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(dir).expect("the directory") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("UTF-8");
        if entry.file_type().expect("its type").is_dir() {
            names.extend(self::names(&entry.path()).iter().map(|below| format!("{name}/{below}")));
        }
        names.insert(name);
    }
    names
}

// ---------------------------------------------------------------------------------------------- stamps, the journal

pub fn stamps(open: Open) {
    run("stamps.json", |vector, dir| {
        let lock = dir.join(LOCK);
        fs::write(&lock, content(vector)).expect("a lock");
        set_age(&lock, 10.0);
        let holder = open(dir, PATIENCE).inspect().expect("a holder");

        assert_eq!(kind_of(&holder), vector.get("kind").text());
        let pid = match vector.get("pid") {
            Json::Null => 0.0,
            pid => pid.number(),
        };
        assert_eq!(f64::from(holder.pid), pid);
        assert_eq!(holder.nonce.as_bytes(), bytes(vector.get("nonce")).unwrap_or_default());
        let host = match vector.get("fields") {
            Json::Null => "",
            fields => fields.get("host").text(),
        };
        assert_eq!(holder.host, host);
    });
}

/// The kind as README of the test vectors defines it, for a lock 10 s old without a living PID.
fn kind_of(holder: &Holder) -> &str {
    match (holder.peer.as_str(), holder.state.as_str()) {
        ("unknown", "abandoned") => "cut short",
        ("unknown", _) => "foreign",
        (peer, _) => peer,
    }
}

pub fn journals(open: Open) {
    run("journals.json", |vector, dir| {
        fs::write(dir.join(JOURNAL), content(vector)).expect("a journal");
        let read = open(dir, PATIENCE).read();
        if *vector.get("timestamp") == Json::Null {
            assert!(read.is_none(), "{read:?}");
            return;
        }
        let read = read.expect("a header");
        let paths = |key| -> Vec<Vec<u8>> { vector.get(key).list().iter().filter_map(bytes).collect() };
        assert_eq!(read.timestamp, vector.get("timestamp").number());
        assert_eq!(read.changed, paths("changed"), "changed");
        assert_eq!(read.deleted, paths("deleted"), "deleted");
    });
}

pub fn entries(open: Open) {
    run("entries.json", |vector, dir| {
        const BEFORE: &[u8] = b"# codegraph-journal v1 1\n";
        let journal = dir.join(JOURNAL);
        fs::write(&journal, BEFORE).expect("a journal");
        let kind = match vector.get("kind").text() {
            "changed" => Kind::Changed,
            "deleted" => Kind::Deleted,
            other => panic!("{other}: no such kind"),
        };
        let path = bytes(vector.get("path")).expect("a path");
        let taken = open(dir, PATIENCE).append(kind, &[path], None);

        let line = bytes(vector.get("line"));
        assert_eq!(taken, line.is_some());
        let after = fs::read(&journal).expect("the journal");
        assert_eq!(after, [BEFORE, &line.unwrap_or_default()].concat());
    });
}

pub fn appends(open: Open) {
    run("appends.json", |vector, dir| {
        let journal = dir.join(JOURNAL);
        let before = bytes(vector.get("before"));
        if let Some(before) = &before {
            fs::write(&journal, before).expect("a journal");
        }
        let stood = before.map(|_| File::open(&journal).expect("the journal")); // keeps its inode number in use
        let paths: Vec<Vec<u8>> = vector.get("append").list().iter().filter_map(bytes).collect();
        let stamp = match vector.get("stamp") {
            Json::Null => None,
            stamp => Some(stamp.number() as i64),
        };
        assert!(open(dir, PATIENCE).append(Kind::Changed, &paths, stamp));

        let after = fs::read(&journal).expect("the journal");
        let expected = bytes(vector.get("after")).expect("a journal");
        assert_eq!(after.escape_ascii().to_string(), expected.escape_ascii().to_string());
        if let Json::Bool(rewritten) = vector.get("rewritten") {
            let stood = stood.expect("a journal before").metadata().expect("its inode").ino();
            assert_eq!(inode(&journal) != Some(stood), *rewritten);
        }
    });
}

// ---------------------------------------------------------------------------------------------------- directories

/// The text with the placeholders filled in.
fn fill(text: &str) -> String {
    static HERE: LazyLock<[(&str, String); 6]> = LazyLock::new(|| {
        let living = std::os::unix::process::parent_id();
        let mut child = Command::new("true").spawn().expect("true");
        child.wait().expect("it ends");
        let read = |path: &str| fs::read_to_string(path).expect(path);
        let stat = read(&format!("/proc/{living}/stat"));
        let after_name = stat.rsplit(')').next().expect("what follows the name");
        let start = after_name.split_whitespace().nth(19).expect("a start time");
        let namespace = |kind| {
            fs::metadata(format!("/proc/self/ns/{kind}"))
                .expect("a namespace")
                .ino()
        };
        [
            ("{living}", living.to_string()),
            ("{dead}", child.id().to_string()),
            ("{start}", start.to_owned()),
            ("{boot}", read("/proc/sys/kernel/random/boot_id").trim().to_owned()),
            ("{pidns}", namespace("pid").to_string()),
            ("{timens}", namespace("time").to_string()),
        ]
    });
    HERE.iter()
        .fold(text.to_owned(), |text, (name, here)| text.replace(name, here))
}

/// Makes one file. What is returned keeps its `flock`, or keeps it open for writing.
fn make(dir: &Path, file: &Json) -> Option<File> {
    only(&KNOWN_OF_FILES, file);
    let path = dir.join(fill(file.get("name").text()));
    match (file.get("same_as"), file.get("type")) {
        (Json::Text(other), _) => fs::hard_link(dir.join(fill(other)), &path).expect("a link"),
        (_, Json::Text(kind)) => make_other(&path, kind),
        _ => {
            let text = String::from_utf8(content(file)).expect("UTF-8");
            fs::write(&path, fill(&text)).expect("a file");
            set_age(&path, file.get("age_s").number());
        }
    }
    let is_written = file.get("writer").is_true();
    let open = || {
        let open = File::options().read(!is_written).write(is_written).open(&path);
        open.expect("a file")
    };
    if file.get("flock").is_true() {
        let open = open();
        flock(&open, FlockOperation::LockExclusive).expect("nobody else knows it");
        return Some(open);
    }
    is_written.then(open)
}

fn make_other(path: &Path, kind: &str) {
    match kind {
        "symlink" => symlink("nowhere", path).expect("a symbolic link"),
        "directory" => fs::create_dir(path).expect("a directory"),
        "fifo" => mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a fifo"),
        other => panic!("{other}: no such type"),
    }
}

pub fn directories(open: Open) {
    run("directories.json", |vector, dir| {
        let files = vector.get("files").list();
        let _open: Vec<File> = files.iter().filter_map(|file| make(dir, file)).collect();
        let made = names(dir);
        let swept = files.iter().filter(|file| file.get("swept").is_true());
        let swept: BTreeSet<String> = swept.map(|file| fill(file.get("name").text())).collect();
        let mut remaining: BTreeSet<String> = made.difference(&swept).cloned().collect();

        let peer = open(dir, timeout_for(vector.get("acquire").text()));
        look(&*peer, vector.get("lock"));
        assert_eq!(names(dir), made, "once it is open");
        if acquire(&*peer, &dir.join(LOCK), vector.get("acquire").text()) {
            remaining.remove(LOCK);
        }
        drop(peer);
        assert_eq!(names(dir), remaining, "once it is closed");
    });
}

fn look(peer: &dyn Peer, expected: &Json) {
    let found = peer.inspect();
    if *expected == Json::Null {
        assert!(found.is_none(), "{found:?}");
        return;
    }
    only(&["state", "kind", "pid"], expected);
    let holder = found.expect("not refused");
    assert_eq!(holder.state, expected.get("state").text());
    let pid = match expected.get("pid") {
        Json::Null => 0,
        Json::Text(pid) => fill(pid).parse().expect("a PID"),
        pid => pid.number() as i32,
    };
    assert_eq!(holder.pid, pid);
    let kind = match expected.get("kind") {
        Json::Null => "none",
        Json::Text(kind) if ["cut short", "foreign"].contains(&kind.as_str()) => "unknown",
        kind => kind.text(),
    };
    assert_eq!(holder.peer, kind);
}

fn timeout_for(expected: &str) -> Duration {
    match expected {
        "times out" => TIMEOUT,
        _ => PATIENCE,
    }
}

/// Whether the lock was acquired; checks that this was expected.
fn acquire(peer: &dyn Peer, path: &Path, expected: &str) -> bool {
    let regular = |path: &&Path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file());
    let content = || Some(path).filter(regular).map(|path| fs::read(path).expect("the lock"));
    let stood = Some(path).filter(regular).map(File::open); // kept open, so that its inode number is not reused
    let (before, read) = (inode(path), content());
    let begun = Instant::now();
    let mut how = "";
    let acquired = peer.hold(&mut |holder| {
        let took = begun.elapsed();
        how = match before {
            None => "links",
            before if before == inode(path) => "claims in place",
            _ => "claims, and moves to another inode",
        };
        assert!(
            before.is_none() || took >= SETTLE,
            "{took:?} are too short for a settle"
        );
        assert_eq!((holder.state.as_str(), holder.peer.as_str()), ("mine", "library"));
        assert_eq!(holder.pid.unsigned_abs(), peer.pid());
    });
    drop(stood);
    let had = match acquired {
        Acquired::Had => true,
        Acquired::TimedOut => {
            how = "times out";
            false
        }
        Acquired::Refused => {
            how = "refuses";
            false
        }
    };
    assert_eq!(how, expected);
    let is_left = if had { (None, None) } else { (before, read) };
    assert_eq!((inode(path), content()), is_left);
    had
}

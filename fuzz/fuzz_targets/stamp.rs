//! Whatever is in the lock, however old: who holds it, and is that holder dead?
//!
//! In the input, the bytes 1 to 5 stand for this process's boot id, PID namespace, start time, PID and time namespace.
#![no_main]

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use jlock::{Lock, Peer, State};
use jlock_fuzz::{directory, process, split};
use libfuzzer_sys::fuzz_target;

struct Me {
    pid: i32,
    boot: String,
    pid_namespace: u64,
    start: u64,
    time_namespace: u64,
}

struct Scene {
    me: Me,
    lock: Lock,
    path: PathBuf,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let dir = directory();
    let pid = std::process::id() as i32;
    Scene {
        me: Me {
            pid,
            boot: process::boot(),
            pid_namespace: process::pid_namespace(),
            start: process::start(pid).expect("/proc"),
            time_namespace: fs::metadata("/proc/self/ns/time").map_or(0, |namespace| namespace.ino()),
        },
        lock: Lock::open(&dir).expect("the lock opens"),
        path: dir.join("changes.journal.lock"),
    }
});

#[derive(Debug, PartialEq)]
struct Seen {
    dead: bool,
    peer: Peer,
    pid: i32,
    nonce: String,
    host: String,
}

fuzz_target!(|data: &[u8]| {
    let (age, template) = split(data);
    let age = [0, 10, 40][usize::from(age) % 3];
    let content = expand(template, &SCENE.me);
    fs::write(&SCENE.path, &content).expect("written");
    let begun = Instant::now();
    // Close it again: a process that has it open for writing counts as alive.
    File::options()
        .append(true)
        .open(&SCENE.path)
        .and_then(|file| file.set_modified(SystemTime::now() - Duration::from_secs(age)))
        .expect("aged");

    let before = judge(&content, age, &SCENE.me);
    let holder = SCENE.lock.inspect().expect("a holder");
    let seen = Seen {
        dead: holder.state == State::Abandoned,
        peer: holder.peer,
        pid: holder.pid,
        nonce: holder.nonce,
        host: holder.host,
    };
    // If the machine stalled, the lock may have been as old as the settle time.
    let in_time = begun.elapsed() < Duration::from_millis(50);
    // Any PID may belong to a process, which may begin or end between two looks.
    if in_time && seen != before && before == judge(&content, age, &SCENE.me) {
        panic!("{}: {seen:?}, not {before:?}", content.escape_ascii());
    }
    assert!(matches!(holder.state, State::Abandoned | State::Held));
});

fn expand(template: &[u8], me: &Me) -> Vec<u8> {
    let mut content = Vec::new();
    for byte in template {
        match byte {
            1 => content.extend_from_slice(me.boot.as_bytes()),
            2 => content.extend_from_slice(me.pid_namespace.to_string().as_bytes()),
            3 => content.extend_from_slice(me.start.to_string().as_bytes()),
            4 => content.extend_from_slice(me.pid.to_string().as_bytes()),
            5 => content.extend_from_slice(me.time_namespace.to_string().as_bytes()),
            other => content.push(*other),
        }
    }
    content
}

/// What PROTOCOL.md says about a lock whose `flock` is free, on a local file system, and which nobody has open for writing.
fn judge(content: &[u8], age: u64, me: &Me) -> Seen {
    let seen = |peer, pid, nonce: &str, host: String, dead| Seen {
        dead,
        peer,
        pid,
        nonce: nonce.to_owned(),
        host,
    };
    let foreign = || seen(Peer::Unknown, 0, "", String::new(), age > 30);
    // Nobody has it open: dead once it is older than the settle time.
    let is_quiet = age > 0;
    if content.len() < 4096 && content.iter().all(|byte| *byte == 0) {
        return seen(Peer::Unknown, 0, "", String::new(), is_quiet);
    }
    let Ok(text) = std::str::from_utf8(&content[..content.len().min(4096)]) else {
        return foreign();
    };
    let lines: Vec<&str> = text.split('\n').collect();
    let [first, rest @ ..] = &lines[..] else {
        return foreign();
    };
    if rest.is_empty() {
        let beginning = first.chars().all(|c| c.is_ascii_digit());
        let dead = if beginning { is_quiet } else { age > 30 };
        return seen(Peer::Unknown, 0, "", String::new(), dead);
    }
    let Some(pid) = pid(first) else { return foreign() };
    let [nonce, third, ..] = rest else {
        // No newline after the second line.
        if !begins_nonce(rest[0]) {
            return foreign();
        }
        let dead = if process::lives(pid) { age > 30 } else { is_quiet };
        return seen(Peer::Unknown, pid, "", String::new(), dead);
    };
    if !is_nonce(nonce) {
        return foreign();
    }
    // Its newline is there if a line follows.
    let whole = rest.len() > 2;
    let Some(fields) = third.strip_prefix("jlock/1 ").filter(|_| whole) else {
        let dead = if process::lives(pid) { age > 30 } else { is_quiet };
        return seen(Peer::Shipped, pid, nonce, String::new(), dead);
    };
    let field = |name: &str| {
        let of_name = |token: &&str| token.starts_with(name) && token[name.len()..].starts_with('=');
        let last = fields.split_ascii_whitespace().rfind(of_name);
        last.map_or("", |token| &token[name.len() + 1..])
    };
    let number = |name| field(name).parse::<u64>().unwrap_or(0);
    let same_boot = !me.boot.is_empty() && field("boot") == me.boot;
    let near = same_boot && me.pid_namespace != 0 && number("pidns") == me.pid_namespace;
    let same_clock = me.time_namespace != 0 && number("timens") == me.time_namespace && number("start") != 0;
    let is_another = same_clock && process::start(pid).is_some_and(|start| start != number("start"));
    let dead = match field("flock") {
        "none" if near => !process::lives(pid) || is_another,
        "none" => age > 30,
        _ => same_boot || age > 30,
    };
    seen(Peer::Library, pid, nonce, field("host").to_owned(), dead)
}

fn pid(line: &str) -> Option<i32> {
    let digits = line.trim();
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let value = digits
        .bytes()
        .fold(0u64, |sum, b| (sum * 10 + u64::from(b - b'0')).min(1 << 40));
    i32::try_from(value).ok().filter(|pid| *pid > 0)
}

/// Whether this can be the beginning of a nonce.
fn begins_nonce(line: &str) -> bool {
    (1..=10).any(|digits| {
        let example = format!("{}-{}", "1".repeat(digits), "0".repeat(16));
        line.len() <= example.len() && is_nonce(&format!("{line}{}", &example[line.len()..]))
    })
}

fn is_nonce(line: &str) -> bool {
    let Some(at) = line.len().checked_sub(17) else {
        return false;
    };
    let (pid, rest) = line.as_bytes().split_at(at);
    let hexadecimal = |b: &u8| b"0123456789abcdef".contains(b);
    (1..=10).contains(&pid.len())
        && pid.iter().all(u8::is_ascii_digit)
        && rest[0] == b'-'
        && rest[1..].iter().all(hexadecimal)
}

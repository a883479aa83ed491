//! Whatever stands in the lock, of whatever age: who holds it, and is it dead?
//!
//! In the input, the bytes 1 to 4 stand for this process's boot id, PID namespace, start time and PID.
#![no_main]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use jlock::{Lock, Peer, State};
use jlock_fuzz::{directory, process, split};
use libfuzzer_sys::fuzz_target;

struct Me {
    pid: i32,
    boot: String,
    pid_namespace: u64,
    start: u64,
}

struct Scene {
    me: Me,
    lock: Lock,
    file: File,
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
        },
        lock: Lock::open(&dir).expect("the lock opens"),
        file: File::create(dir.join("changes.journal.lock")).expect("a lock"),
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
    let file = &SCENE.file;
    file.set_len(0).expect("emptied");
    file.write_all_at(&content, 0).expect("written");
    file.set_modified(SystemTime::now() - Duration::from_secs(age))
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
    // Any PID may be somebody's, who may come or go between two looks.
    if seen != before && before == judge(&content, age, &SCENE.me) {
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
            other => content.push(*other),
        }
    }
    content
}

/// What PROTOCOL.md says of a lock whose `flock` is to be had, on a local file system.
fn judge(content: &[u8], age: u64, me: &Me) -> Seen {
    let seen = |peer, pid, nonce: &str, host: String, dead| Seen {
        dead,
        peer,
        pid,
        nonce: nonce.to_owned(),
        host,
    };
    let foreign = || seen(Peer::Unknown, 0, "", String::new(), age > 30);
    let Ok(text) = std::str::from_utf8(&content[..content.len().min(4096)]) else {
        return foreign();
    };
    let lines: Vec<&str> = text.split('\n').collect();
    let [first, rest @ ..] = &lines[..] else {
        return foreign();
    };
    if rest.is_empty() {
        let beginning = first.chars().all(|c| c.is_ascii_digit());
        return seen(
            Peer::Unknown,
            0,
            "",
            String::new(),
            age > if beginning { 5 } else { 30 },
        );
    }
    let Some(pid) = pid(first) else { return foreign() };
    let [nonce, third, ..] = rest else {
        // No newline after the second line.
        if !begins_nonce(rest[0]) {
            return foreign();
        }
        let patience = if process::lives(pid) { 30 } else { 5 };
        return seen(Peer::Unknown, pid, "", String::new(), age > patience);
    };
    if !is_nonce(nonce) {
        return foreign();
    }
    // Its newline is there if a line follows.
    let whole = rest.len() > 2;
    let Some(fields) = third.strip_prefix("jlock/1 ").filter(|_| whole) else {
        return seen(
            Peer::Shipped,
            pid,
            nonce,
            String::new(),
            age > 30 || !process::lives(pid),
        );
    };
    let field = |name: &str| {
        let of_name = |token: &&str| token.starts_with(name) && token[name.len()..].starts_with('=');
        let last = fields.split_ascii_whitespace().rfind(of_name);
        last.map_or("", |token| &token[name.len() + 1..])
    };
    let number = |name| field(name).parse::<u64>().unwrap_or(0);
    let near = field("boot") == me.boot && number("pidns") == me.pid_namespace;
    let gone = !process::lives(pid) || process::start(pid).is_some_and(|start| start != number("start"));
    let dead = field("flock") != "none" || age > 30 || (near && gone);
    seen(Peer::Library, pid, nonce, field("host").to_owned(), dead)
}

fn pid(line: &str) -> Option<i32> {
    let digits = line.trim();
    if !digits.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let value = digits
        .bytes()
        .fold(0u64, |sum, b| (sum * 10 + u64::from(b - b'0')).min(1 << 40));
    i32::try_from(value).ok().filter(|pid| *pid > 0)
}

/// Whether a nonce can come of it.
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

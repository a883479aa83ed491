//! Each number in README's prose stands in the source or the test that it comes from. (What the benchmark and the proofs
//! put there themselves is theirs.)

use std::collections::BTreeMap;

use crate::read;

/// The number with the word after it; a file; and the words there that make it true.
const FACTS: &[(&str, &str, &str)] = &[
    ("3.11.2 on", "tests/interop/fetch-peer.sh", "version=3.11.2"),
    ("3.11.2 does", "tests/interop/fetch-peer.sh", "version=3.11.2"),
    ("4.14 or", "src/sys/fork.rs", "(`MADV_WIPEONFORK`, Linux 4.14)"),
    (
        "Three system",
        "tests/cost.rs",
        "assert_eq!(count(|| pair(&lock)), (3, 0));",
    ),
    ("100 ms", "src/options.rs", "settle: Duration::from_millis(100)"),
    (
        "3 s",
        "src/lock/time.rs",
        "pub(crate) const CUT: Duration = Duration::from_secs(3);",
    ),
    (
        "30 s",
        "src/lock/time.rs",
        "pub(crate) const SHIPPED_STALE_MS: i64 = 30_000;",
    ),
    ("4096", "src/abi.rs", "pub const JLOCK_ELOST: i32 = -4097;"),
    ("0 or", "include/jlock.h", "0"),
    ("10 s", "tests/locks/locks.py", "taken over 10 s later"),
    ("0.1.0 on", "Cargo.toml", "version = \"0.1.0\""),
    (
        "1.0.0 need",
        "README.md",
        "No such version is planned, nor does\n  1.0.0 need to be one",
    ),
    (
        "five languages",
        "examples/demo/demo.py",
        "Five languages and one shipped peer",
    ),
];

const WORDS: [&str; 12] = [
    "three", "four", "five", "six", "seven", "eight", "nine", "ten", "fifteen", "hundred", "thousand", "million",
];

/// README without code, and without what other programs write into it: between two comments, or a table.
fn prose() -> String {
    let readme = read("README.md");
    let mut out = String::new();
    let (mut code, mut theirs) = (false, false);
    for line in readme.lines() {
        match line {
            "<!-- bench:begin -->" | "<!-- figures of make prove -->" => theirs = true,
            "<!-- bench:end -->" | "<!-- end of figures -->" => theirs = false,
            _ if line.starts_with("```") => code = !code,
            _ if code || theirs || line.starts_with('|') => {}
            _ => {
                out += &format!(
                    "{}\n",
                    line.trim_start_matches(['1', '2', '3']).trim_start_matches(". ")
                )
            }
        }
    }
    out.split('`').step_by(2).collect()
}

/// Each number, in digits or as a word, with the word that follows it.
fn numbers(text: &str) -> Vec<String> {
    let bare = |word: &str| {
        word.trim_matches(|letter: char| !letter.is_alphanumeric() && letter != 'µ')
            .to_owned()
    };
    let words: Vec<String> = text
        .split_whitespace()
        .map(bare)
        .filter(|word| !word.is_empty())
        .collect();
    let is_number = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_digit()) || WORDS.contains(&word.to_lowercase().as_str())
    };
    let with_next = |(place, word): (usize, &String)| match words.get(place + 1) {
        Some(next) => format!("{word} {next}"),
        None => word.clone(),
    };
    words
        .iter()
        .enumerate()
        .filter(|(_, word)| is_number(word))
        .map(with_next)
        .collect()
}

#[test]
fn each_number_stands_where_it_comes_from() {
    let text = prose();
    let found = numbers(&text);
    assert!(found.len() >= 10, "only {found:?}");
    let known = |number: &String| FACTS.iter().find(|fact| number.starts_with(fact.0));
    let unknown: Vec<&String> = found.iter().filter(|number| known(number).is_none()).collect();
    assert!(
        unknown.is_empty(),
        "what makes {unknown:?} true? It belongs into FACTS (tests/readme/numbers.rs)"
    );
    for number in &found {
        let (_, file, words) = known(number).expect("all are known");
        assert!(
            read(file).contains(words),
            "README says {number:?}, but {file} has no {words:?}"
        );
    }
}

/// A cost as the benchmark writes it, in nanoseconds.
fn cost(text: &str) -> f64 {
    let (number, unit) = text.trim().split_once(' ').expect(text);
    let scale = match unit {
        "ns" => 1.0,
        "µs" => 1e3,
        "ms" => 1e6,
        _ => panic!("{text}: of what unit?"),
    };
    number.parse::<f64>().expect(text) * scale
}

/// What a pair costs, by what it was measured against.
fn measured(readme: &str) -> BTreeMap<String, f64> {
    let rows = readme
        .lines()
        .filter(|line| line.starts_with("| acquire + release, uncontended |"));
    let mut costs = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (ours, theirs) = cells[6].split_once(" : ").expect(row);
        costs.insert("jlock".to_owned(), cost(ours));
        costs.insert(cells[2].to_owned(), cost(theirs));
    }
    costs
}

#[test]
fn the_costs_of_other_locks_are_those_that_were_measured() {
    const ROWS: [(&str, &[&str]); 8] = [
        ("`flock(2)`", &["plain `flock`", "gofrs/flock"]),
        ("filelock's `FileLock`", &["filelock `FileLock`"]),
        ("a file made with `O_EXCL`", &["raw C"]),
        ("liblockfile", &["liblockfile"]),
        ("nightlyone/lockfile", &["nightlyone/lockfile"]),
        ("proper-lockfile", &["proper-lockfile"]),
        ("filelock's `SoftFileLock`", &["filelock `SoftFileLock`"]),
        ("jlock", &["jlock"]),
    ];
    let readme = read("README.md");
    let measured = measured(&readme);
    for (name, against) in ROWS {
        let row = readme
            .lines()
            .find(|line| line.starts_with(&format!("| {name}")) && line.contains('µ'))
            .expect(name);
        let cell = row.trim_end_matches(" |").rsplit('|').next().expect(row);
        let said: Vec<f64> = cell.split([';', ',']).map(cost).collect();
        assert_eq!(said.len(), against.len(), "{row}");
        for (said, against) in said.into_iter().zip(against) {
            let (_, found) = measured
                .iter()
                .find(|(other, _)| other.starts_with(against))
                .expect(against);
            assert!(
                (0.7..1.4).contains(&(said / found)),
                "{name}: {said} ns, but {against} was measured as {found} ns"
            );
        }
    }
}

//! Each number in the prose of README and of the documents is found in the source or the test that it comes from.
//! (Those that the benchmark and the proofs put there are left to them.)

use std::collections::BTreeMap;

use crate::{read, without_code};

/// The number with the word after it, a file, and the words in that file that make it true.
const FACTS: &[(&str, &str, &str)] = &[
    ("3.11.2", "tests/interop/fetch-peer.sh", "version=3.11.2"),
    ("4.14 or", "src/sys/fork.rs", "(`MADV_WIPEONFORK`, Linux 4.14)"),
    ("100 ms", "src/options.rs", "settle_ms: 100,"),
    ("200 ms", "src/options.rs", "settle_ms: 100,"),
    ("3 s", "src/lock/time.rs", "CUT: Duration = Duration::from_secs(3);"),
    ("5.0 s", "src/options.rs", "timeout_ms: 5000,"),
    ("25 ms", "src/options.rs", "retry_ms: 25,"),
    ("30 s", "src/lock/time.rs", "SHIPPED_STALE_MS: i64 = 30_000;"),
    ("4096", "src/abi.rs", "pub const JLOCK_ELOST: i32 = -4097;"),
    ("0 or", "include/jlock.h", "0 (or a count, where said) on success"),
    ("0 so", "src/error.rs", "its header says 0"),
    ("10 s", "tests/locks/locks.py", "taken over 10 s later"),
    ("2.17 or", "mk/packages.mk", ",$(MACHINE)),2.27,2.17)"),
    ("1.85", "Cargo.toml", "rust-version = \"1.85\""),
    (
        "3.9 and",
        "examples/python/build_backend/jlock_build.py",
        "Requires-Python: >=3.9",
    ),
    ("1.21 or", "examples/go/go.mod", "go 1.21"),
    ("18.18 or", "examples/node/package.json", "\"node\": \">=18.18\""),
    ("0.1.0", "Cargo.toml", "version = \"0.1.0\""),
    ("2026-12-01", "docs/benchmark.md", "; 2026-12-01; medians of"),
    ("2026-11-30", "docs/proof.md", "`make prove`, 2026-11-30,"),
    ("hundred paths", "docs/tutorial.md", "-ge 100 ]"),
    ("fifty paths", "docs/tutorial.md", "-lt 50 ]"),
];

/// Numbers that only say how many things follow or how long reading takes, or belong to a name: nothing else makes
/// them true.
const OWN: [&str; 7] = [
    "Four things",
    "Five figures",
    "Ten minutes",
    "ten minutes",
    "three guarantees",
    "1.0.0 need",
    "9p virtiofs",
];

const PAGES: [&str; 9] = [
    "README.md",
    "docs/benchmark.md",
    "docs/embedding.md",
    "docs/faq.md",
    "docs/guarantees.md",
    "docs/packages.md",
    "docs/proof.md",
    "docs/tutorial.md",
    "docs/which-lock.md",
];

const WORDS: [&str; 13] = [
    "three", "four", "five", "six", "seven", "eight", "nine", "ten", "fifteen", "fifty", "hundred", "thousand",
    "million",
];

/// A page without code and tables, and without what other programs write between two comments.
fn prose(page: &str) -> String {
    let mut out = String::new();
    let mut theirs = false;
    for line in without_code(&read(page)).lines() {
        match line {
            "<!-- bench:begin -->" | "<!-- figures of make prove -->" | "<!-- packages:begin -->" => theirs = true,
            "<!-- bench:end -->" | "<!-- end of figures -->" | "<!-- packages:end -->" => theirs = false,
            _ if theirs || line.starts_with('|') => {}
            _ => {
                // The numbers of a list's items do not count.
                let item = line.split_once(". ").filter(|(number, _)| number.parse::<u8>().is_ok());
                out += &format!("{}\n", item.map_or(line, |(_, rest)| rest));
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
fn each_number_is_found_where_it_comes_from() {
    let mut seen = 0;
    for page in PAGES {
        for number in numbers(&prose(page)) {
            seen += 1;
            if OWN.contains(&number.as_str()) {
                continue;
            }
            let mut facts = FACTS.iter().filter(|fact| number.starts_with(fact.0)).peekable();
            assert!(
                facts.peek().is_some(),
                "{page}: what makes {number:?} true? Add it to FACTS (tests/readme/numbers.rs)"
            );
            for (_, file, words) in facts {
                assert!(
                    read(file).contains(words),
                    "{page} says {number:?}, but {file} has no {words:?}"
                );
            }
        }
    }
    assert!(seen >= 30, "only {seen}");
}

#[test]
fn the_figures_of_readme_are_those_of_the_benchmark_and_the_proofs() {
    let readme = read("README.md");
    let pages = read("docs/benchmark.md") + &read("docs/proof.md");
    let (_, table) = readme.split_once("| what | figure |\n").expect("the five figures");
    let rows: Vec<&str> = table.lines().skip(1).take_while(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 5);
    for row in rows {
        // The number of entries read belongs to the row's name.
        let row = row.replace("read 1,000,000 entries", "");
        let words: Vec<&str> = row.split_whitespace().collect();
        let figures = words
            .windows(2)
            .filter(|pair| pair[0].starts_with(|first: char| first.is_ascii_digit()));
        for figure in figures {
            let unit = figure[1].trim_matches([')', ',', '|']);
            let said = match unit {
                "µs" | "ms" | "s" => format!("{} {unit}", figure[0]),
                _ => format!("| {} |", figure[0]),
            };
            assert!(pages.contains(&said), "{said:?} was not measured");
        }
    }
}

/// A cost as the benchmark prints it, in nanoseconds.
fn cost(text: &str) -> f64 {
    let (number, unit) = text.trim().split_once(' ').expect(text);
    let scale = match unit {
        "ns" => 1.0,
        "µs" => 1e3,
        "ms" => 1e6,
        _ => panic!("{text}: which unit is that?"),
    };
    number.parse::<f64>().expect(text) * scale
}

/// What a pair costs, by what it was compared with.
fn measured(page: &str) -> BTreeMap<String, f64> {
    let rows = page
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
    let page = read("docs/which-lock.md");
    let measured = measured(&read("docs/benchmark.md"));
    for (name, against) in ROWS {
        let row = page
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
                "{name}: {said} ns, but {against} was measured at {found} ns"
            );
        }
    }
}

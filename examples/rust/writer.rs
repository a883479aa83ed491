//! `writer DIR PREFIX < paths`: appends each path to the journal as `PREFIX/path`, every tenth with a stamp, and acknowledges
//! each one on standard output as soon as it is in the journal.

use std::error::Error;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jlock::{Entry, Lock};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(dir), Some(prefix), None) = (args.next(), args.next(), args.next()) else {
        return Err("usage: writer DIR PREFIX < paths".into());
    };
    let lock = Lock::open(dir)?;
    let mut out = std::io::stdout().lock();
    let mut longest = Duration::ZERO;
    for (number, path) in std::io::stdin().lock().lines().enumerate() {
        let entry = format!("{prefix}/{}", path?);
        let begun = Instant::now();
        if number % 10 == 9 {
            let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
            lock.journal()
                .append_stamped([Entry::changed(&entry)], now.try_into()?)?;
        } else {
            lock.journal().append([Entry::changed(&entry)])?;
        }
        longest = longest.max(begun.elapsed());
        writeln!(out, "ack {entry}")?;
        out.flush()?;
    }
    writeln!(out, "wait {:.1}", longest.as_secs_f64() * 1000.0)?;
    Ok(())
}

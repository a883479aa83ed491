use jlock::{Entry, Lock};
use std::time::{SystemTime, UNIX_EPOCH};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    let lock = Lock::open(".codegraph")?;
    let entries = [Entry::changed("src/main.rs"), Entry::deleted("src/old.rs")];
    lock.journal().append_stamped(entries, now.try_into()?)?;
    Ok(())
}

//! Many processes on one journal, some of them killed and stopped at random, and oracles that share nothing with the
//! library.
//!
//! The processes are this binary again (`worker.rs`), the shipped peer, and the example writers: those in C and
//! Python and, with `JLOCK_PROVE=1`, which also makes the bounds larger, those in all languages.
//!
//! | in the crowd | file |
//! | --- | --- |
//! | the library, and the shipped peer | `library.rs` |
//! | a process that was stopped | `stopped.rs` |
//! | two implementations, written from PROTOCOL.md alone | `second.rs` |
//! | the shipped peer with its lock fixed | `fixed.rs` |
//! | the second implementation, with a sentence of PROTOCOL.md misread | `wrong.rs` |

mod crowd;
mod fixed;
mod library;
mod oracle;
mod scene;
#[path = "../fault/scratch.rs"]
mod scratch;
mod second;
mod stopped;
mod weather;
mod worker;
mod writers;
mod wrong;

#[test]
#[ignore = "a process of the other tests, which start it themselves"]
fn worker() {
    worker::work();
}

//! Many processes on one journal, killed and stopped at random; and oracles that share nothing with the library.
//!
//! Processes are this binary again (`worker.rs`), the shipped peer, and the example writers: those in C and Python, and
//! with `JLOCK_PROVE=1`, under which the bounds are larger, in all languages.
//!
//! | in the crowd | file |
//! | --- | --- |
//! | the library, and the peer as it is shipped | `library.rs` |
//! | somebody who has stopped | `stopped.rs` |
//! | two implementations, written from PROTOCOL.md alone | `second.rs` |
//! | the shipped peer with its lock fixed | `mended.rs` |
//! | the second implementation, with a sentence of PROTOCOL.md misread | `wrong.rs` |

mod crowd;
mod library;
mod mended;
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

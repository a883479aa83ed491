//! Runs the test vectors (`vectors/README.md`), which stand for PROTOCOL.md, through the library, the C and C++
//! interfaces, and the `jlock` command. (Python, Go and Node run them in their own tests.)

#[path = "vectors/command.rs"]
mod command;
#[path = "vectors/json.rs"]
mod json;
#[path = "vectors/judge.rs"]
mod judge;
#[path = "vectors/library.rs"]
mod library;
#[path = "vectors/program.rs"]
mod program;
#[path = "cli/scene.rs"]
#[allow(dead_code, reason = "tools of the command's tests; this one only needs the command")]
mod scene;
#[path = "abi/tools.rs"]
#[allow(dead_code, reason = "tools of several tests")]
mod tools;

#[test]
fn no_file_is_forgotten() {
    judge::expect_no_other_files();
}

#[test]
fn the_document_shows_one_of_them() {
    judge::expect_the_example_of_the_document();
}

/// A test for each file and each interface.
macro_rules! through {
    ($($interface:ident: $open:expr;)*) => {$(
        mod $interface {
            use super::*;

            #[test]
            fn stamps() {
                judge::stamps($open);
            }

            #[test]
            fn journals() {
                judge::journals($open);
            }

            #[test]
            fn entries() {
                judge::entries($open);
            }

            #[test]
            fn appends() {
                judge::appends($open);
            }

            #[test]
            fn directories() {
                judge::directories($open);
            }
        }
    )*};
}

through! {
    rust: library::open;
    c: program::open_c;
    cpp: program::open_cpp;
    shell: command::open;
}

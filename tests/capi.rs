//! The C interface keeps its contract, function by function. The programs in `tests/c` are made of claims, which are
//! proved one by one, each in its own process and directory.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

#[path = "abi/tools.rs"]
mod tools;

use tools::{Scratch, library, make, replace, root, run, text, tool};

/// The libraries that the archive needs.
const SYSTEM: [&str; 4] = ["-lgcc_s", "-lpthread", "-ldl", "-lm"];

/// A directory for programs that are compiled once and used by many tests.
fn compiled(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("capi");
    std::fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    dir.join(name)
}

/// Finds memory errors and undefined behaviour in the code that is compiled with them, and leaks of any allocation.
const SANITIZERS: [&str; 3] = [
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
];

/// The archive that `make install` installs. It differs from cargo's in what it does when something goes wrong inside
/// the library.
fn installed() -> PathBuf {
    static DIST: OnceLock<PathBuf> = OnceLock::new();
    let dist = DIST.get_or_init(|| {
        let dist = compiled("dist");
        run(make()
            .current_dir(root())
            .args(["-f", "mk/library.mk", "built"])
            .arg(format!("DIST={}", dist.display())));
        dist
    });
    dist.join("libjlock.a")
}

/// The functions that `contained` defines in place of the C library's.
const WRAPPED: &str = "-Wl,--wrap=memchr,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=posix_memalign";

fn compile_claims(name: &str, kind: &str, archive: &Path, sanitizers: &[&str]) -> PathBuf {
    let program = compiled(&format!("{name}{kind}"));
    let sources = root().join("tests/c");
    replace(&program, |made| {
        run(tool("gcc")
            .args([
                "-std=c11",
                "-g",
                "-Wall",
                "-Wextra",
                "-Wpedantic",
                "-Werror",
                "-pthread",
            ])
            .args(sanitizers)
            .arg("-I")
            .arg(root().join("include"))
            .arg("-o")
            .arg(made)
            .args([sources.join(name).with_extension("c"), sources.join("claim.c")])
            .arg(archive)
            .args(SYSTEM)
            .args((name == "contained").then_some(WRAPPED)));
    });
    program
}

fn prove(program: &Path, claim: &str) {
    let scratch = Scratch::new(claim);
    run(tool(program).arg(claim).arg(scratch.path()));
}

/// A module for each program, with a test for each claim and three more: no claim is forgotten, all hold under
/// sanitizers, and all hold for the installed library.
macro_rules! claims {
    ($($program:ident of $archive:expr => { $($claim:ident)* })*) => {$(
        mod $program {
            use super::*;

            fn program() -> &'static Path {
                static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
                PROGRAM.get_or_init(|| compile_claims(stringify!($program), "", &$archive, &[]))
            }

            #[test]
            fn every_claim_is_proved() {
                let claims = text(&mut tool(program()));
                let proved = BTreeSet::from([$(stringify!($claim)),*]);
                assert_eq!(claims.lines().collect::<BTreeSet<_>>(), proved);
            }

            #[test]
            fn every_claim_holds_under_sanitizers() {
                let program = compile_claims(stringify!($program), "-sanitized", &$archive, &SANITIZERS);
                [$(stringify!($claim)),*].iter().for_each(|claim| prove(&program, claim));
            }

            #[test]
            fn every_claim_holds_for_what_is_installed() {
                let program = compile_claims(stringify!($program), "-installed", &installed(), &[]);
                [$(stringify!($claim)),*].iter().for_each(|claim| prove(&program, claim));
            }

            $(#[test]
            fn $claim() {
                prove(program(), stringify!($claim));
            })*
        }
    )*};
}

claims! {
    options of library("libjlock.a") => {
        init_sets_the_defaults
        init_ignores_null
        init_writes_what_the_size_says_and_nothing_beyond
        init_ignores_a_size_that_no_version_has
        null_options_are_the_defaults_whatever_the_size
        a_struct_of_the_first_size_is_taken
        a_longer_struct_with_a_zero_tail_is_taken
        a_longer_struct_with_something_in_its_tail_is_too_big
        a_struct_larger_than_a_page_is_too_big
        a_struct_shorter_than_the_first_is_invalid
        every_known_flag_is_accepted_and_no_other
        retry_and_stale_must_not_be_zero
        extreme_times_are_taken
        a_missing_directory_is_made_with_those_above_it
        no_create_leaves_a_missing_directory_missing
        a_timeout_of_zero_does_not_wait
        a_holder_of_the_first_size_is_filled_and_nothing_beyond
        a_longer_holder_ends_in_zeros
        a_holder_of_a_size_that_no_version_has_is_refused
        a_place_is_refused_or_filled_by_its_size
    }
    errors of library("libjlock.a") => {
        null_is_refused_wherever_a_value_is_needed
        null_may_be_closed_and_freed
        nothing_to_append_needs_no_entries
        out_is_null_after_a_failure
        every_code_has_a_text_of_its_own
        any_number_has_a_text
        a_positive_errno_is_not_success
        there_is_no_message_before_the_first_failure
        a_message_is_cut_to_fit_as_snprintf_does
        a_handle_reports_its_own_last_failure
        errno_is_neither_read_nor_set
        the_version_is_the_same_in_both_forms
    }
    lock of library("libjlock.a") => {
        the_lock_stands_while_it_is_held
        two_handles_exclude_each_other
        acquiring_what_is_held_is_a_deadlock
        releasing_twice_is_not_held
        refreshing_without_a_hold_is_not_held
        closing_releases_and_leaves_nothing_behind
        a_timeout_comes_in_time_and_names_the_holder
        acquire_waits_for_the_timeout_of_the_options
        a_release_ends_the_wait
        the_holders_death_ends_the_wait
        a_cancel_ends_the_wait_of_another_thread
        a_cancel_ends_the_wait_of_a_journal_call
        a_signal_does_not_end_the_wait
        a_cancel_without_a_wait_does_nothing
        an_acquire_that_is_started_on_a_free_lock_is_over
        an_acquire_that_is_started_goes_on_until_the_release
        an_acquire_that_is_started_goes_on_until_the_holders_death
        an_acquire_that_is_started_times_out_by_its_descriptor
        a_cancel_ends_an_acquire_that_is_started
        one_acquire_is_in_progress_at_a_time
        the_wait_descriptor_is_the_same_for_life_and_silent_without_an_acquire
        acquires_that_are_started_in_three_processes_are_served_in_order
        closing_ends_an_acquire_that_is_started_and_leaves_its_place
        the_wait_descriptor_is_silent_until_the_release
        the_wait_descriptor_is_silent_until_the_holders_death
        the_wait_descriptor_signals_a_cancel
        the_wait_descriptor_signals_the_timeout
        an_acquire_that_is_started_does_not_sleep_to_settle
        a_journal_call_waits_its_own_time_for_an_acquire_that_is_started
        nothing_but_acquiring_waits_for_another_threads_acquire
        eight_threads_share_a_handle_while_a_ninth_cancels
        a_dead_holders_lock_is_taken_over_and_reported_as_recovered
        a_stopped_holder_is_waited_for_and_named
        a_live_shipped_holder_is_waited_for_and_named
        a_shipped_holder_that_is_silent_for_long_is_taken_over
        whoever_loses_the_lock_is_told_and_harms_nothing
        closing_a_lost_lock_says_so_and_harms_nothing
        a_lock_that_somebody_removed_is_lost
        a_refresh_renews_the_sign_of_life
        keepalive_renews_the_sign_of_life_while_the_lock_is_held
        inspect_says_free
        inspect_says_mine
        inspect_says_who_holds_it
        inspect_says_abandoned
        inspect_knows_a_shipped_peer
        inspect_knows_an_empty_lock
        inspect_changes_nothing
    }
    fork of library("libjlock.a") => {
        a_child_is_told_that_the_handle_is_its_parents
        closing_in_the_child_leaves_the_parents_lock
        a_child_may_open_a_handle_of_its_own
        a_handler_of_the_programs_may_open_the_childs_handle
        a_child_that_outlives_its_killed_parent_does_not_keep_the_lock_alive
        a_fork_during_a_wait_on_the_handle_does_not_block_the_child
        a_child_forked_while_a_call_fails_may_use_and_close_the_handle
        a_child_forked_while_a_call_goes_on_may_use_and_close_the_handle
        a_handle_with_keepalive_survives_a_fork
        nothing_of_the_process_is_changed
        the_keepalive_thread_takes_no_signals
        every_descriptor_is_closed_on_exec
        a_thousand_handles_leave_no_descriptor
        a_hundred_waits_leave_a_few_descriptors
        failures_leave_no_descriptor
    }
    journal of library("libjlock.a") => {
        appending_makes_a_missing_journal_with_a_header_of_zero
        a_call_appends_all_its_entries_in_order
        stamping_appends_and_advances_the_header
        a_tail_without_a_newline_is_completed_first
        an_entry_that_the_format_cannot_carry_is_refused_before_anything_is_written
        a_malformed_struct_is_invalid
        a_negative_timestamp_is_invalid
        write_header_leaves_the_header_alone
        a_snapshot_lists_distinct_paths_in_order_of_first_mention
        there_is_no_entry_beyond_the_count_or_of_another_kind
        a_snapshot_outlives_the_handle_and_the_file
        a_journal_without_a_timestamp_above_zero_has_no_header
        a_journal_that_was_only_appended_to_is_unstamped
        a_checkpoint_keeps_what_was_appended_after_the_snapshot
        a_checkpoint_after_the_journal_was_replaced_keeps_everything
        journal_calls_under_a_hold_keep_it
        reading_takes_no_lock
        sync_changes_nothing_but_the_time_it_takes
        any_name_beneath_an_open_directory_is_a_journal
        the_working_directory_is_accepted
        what_is_not_a_file_name_is_refused
    }
    faults of library("libjlock.a") => {
        a_full_disk_undoes_an_append
        a_full_disk_leaves_the_journal_that_was_to_be_replaced
        a_full_disk_leaves_a_missing_journal_missing
        a_full_disk_keeps_a_new_handle_from_acquiring
        running_out_of_descriptors_is_reported_and_survived
        a_lack_of_descriptors_at_the_open_weakens_no_lock
        a_file_size_limit_undoes_an_append
        a_file_size_limit_raises_no_signal
        a_signal_of_the_programs_own_stays_pending
        a_read_only_file_system_is_reported_and_survived
        a_directory_that_may_not_be_written_to_is_reported_and_survived
        a_directory_that_may_not_be_listed_is_good_enough
        a_journal_that_may_not_be_written_to_is_reported_and_survived
        a_lock_that_may_not_be_read_is_waited_for
        a_directory_that_is_gone_is_reported
        a_parked_stamp_that_was_swept_is_made_again
    }
    guest of library("libjlock.a") => {
        standard_numbers_are_never_kept
        a_number_that_the_program_takes_is_the_programs
        nothing_is_made_in_a_directory_that_took_a_number
        after_all_are_closed_a_handle_fails_and_the_next_works
        a_signal_handler_may_fork
        a_child_is_told_where_the_kernel_only_says_that_it_wipes_pages
        a_fork_does_not_wait_for_an_open_of_another_thread
        a_thread_is_cancelled_between_calls
        errno_is_as_the_caller_left_it
        a_sleep_that_is_refused_is_slept_in_another_way
        a_small_stack_is_enough
    }
    place of library("libjlock.a") => {
        a_probe_leaves_nothing_behind
        a_probe_takes_no_lock
        memory_promises_all_but_what_outlives_the_machine
        a_directory_that_cannot_be_written_to_is_not_probed
        only_a_directory_is_probed
    }
    names of library("libjlock.a") => {
        a_link_at_the_locks_name_is_refused
        a_dangling_link_at_the_locks_name_is_refused
        a_directory_at_the_locks_name_is_refused
        a_fifo_at_the_locks_name_is_refused
        a_socket_at_the_locks_name_is_refused
        a_device_at_the_locks_name_is_refused
        a_link_at_the_journals_name_is_refused
        a_dangling_link_at_the_journals_name_is_refused
        a_directory_at_the_journals_name_is_refused
        a_fifo_at_the_journals_name_is_refused
        a_socket_at_the_journals_name_is_refused
        a_device_at_the_journals_name_is_refused
        a_file_without_a_stamp_is_waited_for_and_not_written_into
        an_enormous_file_is_not_read_to_its_end
        links_named_like_parked_stamps_are_not_followed
    }
    contained of installed() => {
        a_panic_is_silent_and_its_message_arrives
        after_a_panic_a_handle_can_only_be_closed
        a_thread_that_met_a_panic_goes_on
        running_out_of_memory_is_reported_and_survived
        running_out_of_memory_under_a_hold_is_survived
        want_of_memory_does_not_cost_a_hold
        running_out_of_memory_in_a_takeover_is_survived
        running_out_of_memory_while_waiting_is_survived
        want_of_memory_keeps_a_handle_from_opening
        want_of_memory_does_not_keep_a_handle_from_closing
    }
}

// --------------------------------------------------------------------------------------------------------- examples

/// The Makefile of the C examples, run in a directory of its own.
fn make_examples(scratch: &Scratch) -> Command {
    let sources = root().join("examples/c");
    let mut command = make();
    command
        .current_dir(scratch.path())
        .arg("-f")
        .arg(sources.join("Makefile"))
        .arg(format!("--eval=vpath %.c {}", sources.display()));
    command
}

/// An example in C, built as in a checkout.
fn example(scratch: &Scratch, name: &str) -> PathBuf {
    run(make_examples(scratch)
        .arg(format!("JLOCK={}", root().display()))
        .arg(format!("JLOCK_LIB={}", library("libjlock.a").display()))
        .arg(name));
    scratch.path().join(name)
}

fn journal(scratch: &Scratch) -> String {
    let path = scratch.path().join("journal/changes.journal");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_quick_start_in_c_appends_both_entries_and_stamps() {
    let scratch = Scratch::new("quickstart");
    run(tool(example(&scratch, "quickstart")).arg(scratch.path().join("journal")));
    let journal = journal(&scratch);
    let (header, entries) = journal.split_once('\n').expect("a header");
    assert!(header > "# codegraph-journal v1 1700000000000", "{header}");
    assert_eq!(entries, "src/main.c\nDELETED src/old.c\n");
}

#[test]
fn the_writer_in_c_acknowledges_what_it_wrote_and_stamps_every_tenth() {
    let scratch = Scratch::new("writer");
    let paths: Vec<String> = (1..=25).map(|number| format!("path/{number}")).collect();
    let stdin = scratch.write("paths", &paths.join("\n"));
    let stdin = std::fs::File::open(stdin).expect("it was written just now");
    let said = text(
        tool(example(&scratch, "writer"))
            .arg(scratch.path().join("journal"))
            .arg("c")
            .stdin(stdin),
    );
    let entries: Vec<String> = paths.iter().map(|path| format!("c/{path}")).collect();
    let (acknowledged, wait) = said.trim_end().rsplit_once('\n').expect("it says more than a line");
    assert_eq!(
        acknowledged
            .lines()
            .map(|line| &line["ack ".len()..])
            .collect::<Vec<_>>(),
        entries
    );
    let wait: f64 = wait.strip_prefix("wait ").and_then(|ms| ms.parse().ok()).expect(wait);
    assert!((0.0..5000.0).contains(&wait));

    let journal = journal(&scratch);
    let (header, lines) = journal.split_once('\n').expect("a header");
    assert_eq!(lines.lines().collect::<Vec<_>>(), entries);
    let stamped: u128 = header["# codegraph-journal v1 ".len()..].parse().expect("a timestamp");
    let now = std::time::UNIX_EPOCH.elapsed().expect("it is past 1970").as_millis();
    assert!((now - 60_000..=now).contains(&stamped), "{stamped}, {now}");
}

#[test]
fn the_writer_in_c_says_what_it_could_not_write_and_fails() {
    let scratch = Scratch::new("writer-refused");
    let stdin = scratch.write("paths", "good\nbad \n");
    let output = tool(example(&scratch, "writer"))
        .arg(scratch.path().join("journal"))
        .arg("c")
        .stdin(std::fs::File::open(stdin).expect("it was written just now"))
        .output()
        .expect("it can be run");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ack c/good\n");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.starts_with("writer: c/bad : ") && said.contains("white space"),
        "{said}"
    );
}

#[test]
fn the_examples_in_c_are_clean_under_valgrind() {
    let scratch = Scratch::new("valgrind");
    let stdin = scratch.write("paths", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\n");
    for name in ["writer", "quickstart"] {
        let example = example(&scratch, name);
        run(tool("valgrind")
            .args([
                "--quiet",
                "--leak-check=full",
                "--errors-for-leak-kinds=definite,indirect,possible",
            ])
            .arg("--error-exitcode=9")
            .arg(example)
            .arg(scratch.path().join("journal"))
            .arg("c")
            .stdin(std::fs::File::open(&stdin).expect("it was written just now")));
    }
}

fn compile_cpp(compiler: &str, sanitizers: &[&str], scratch: &Scratch, source: &str) -> PathBuf {
    let program = scratch.path().join(compiler);
    run(tool(compiler)
        .args([
            "-std=c++17",
            "-g",
            "-Wall",
            "-Wextra",
            "-Wpedantic",
            "-Wshadow",
            "-Wconversion",
            "-Werror",
            "-pthread",
        ])
        .args(sanitizers)
        .args(["include", "examples/cpp"].map(|dir| format!("-I{}", root().join(dir).display())))
        .arg("-o")
        .arg(&program)
        .arg(root().join(source))
        .arg(library("libjlock.a"))
        .args(SYSTEM));
    program
}

#[test]
fn the_cpp_wrapper_does_what_it_says() {
    for (compiler, sanitizers) in [("g++", SANITIZERS.as_slice()), ("clang++", &[])] {
        let scratch = Scratch::new("wrapper");
        let program = compile_cpp(compiler, sanitizers, &scratch, "tests/c/wrapper.cpp");
        run(tool(program).arg(scratch.path().join("journal")));
    }
}

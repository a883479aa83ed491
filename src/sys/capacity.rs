//! What this process may have: memory, and bytes in a file.

use std::ffi::CString;
use std::mem::MaybeUninit;

use super::{Errno, Fd, Result, limit, open_proc, read_at, uninterrupted};

/// The largest file that this process may write (`RLIMIT_FSIZE`). To write beyond it ends a program, by `SIGXFSZ`.
pub(crate) fn file_size_limit() -> u64 {
    limit::size_limit().unwrap_or(u64::MAX)
}

/// The size of the blocks in which the file system allocates space.
pub(crate) fn block_size(file: &Fd) -> Result<u64> {
    let about = uninterrupted("fstatfs", || rustix::fs::fstatfs(file.borrow()?))?;
    u64::try_from(about.f_bsize).map_err(|_| Errno::RANGE)
}

/// How much memory may be asked for now without being killed for it: the least of what the machine and each memory cgroup
/// above this process have left, page cache and swap included. `RLIMIT_AS` and `RLIMIT_DATA` need not be considered, because
/// an allocation beyond them fails. `u64::MAX`: unknown.
pub(crate) fn free_memory() -> u64 {
    free_memory_by(&mut |path| text(path).ok())
}

fn text(path: &str) -> Result<String> {
    let path = CString::new(path).map_err(|_| Errno::INVAL)?;
    let mut buf = [MaybeUninit::uninit(); 4096]; // the caller's stack may be small
    let bytes = read_at(&open_proc(&path)?, &mut buf, 0)?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// What `file` gives is a file's text.
type Files<'f> = &'f mut dyn FnMut(&str) -> Option<String>;

fn free_memory_by(file: Files<'_>) -> u64 {
    let machine = file("/proc/meminfo").unwrap_or_default();
    let kib = |key| field(&machine, key).map(|kib| kib.saturating_mul(1024));
    let swap = kib("SwapFree:").unwrap_or(0);
    let mut free = kib("MemAvailable:").map_or(u64::MAX, |memory| memory.saturating_add(swap));
    for line in file("/proc/self/cgroup").unwrap_or_default().lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let group = match controllers {
            "" => Group::Two,
            _ if controllers.split(',').any(|controller| controller == "memory") => Group::One,
            _ => continue,
        };
        // Each group above it has a limit of its own.
        let mut path = path.trim_end_matches('/');
        loop {
            free = free.min(group.free(path, swap, file).unwrap_or(u64::MAX));
            match path.rfind('/') {
                Some(end) => path = &path[..end],
                None => break,
            }
        }
    }
    free
}

/// A version of the kernel's control groups.
#[derive(Clone, Copy)]
enum Group {
    One,
    Two,
}

impl Group {
    /// What the group at `path` has left. `None`: it has no limit.
    fn free(self, path: &str, swap: u64, file: Files<'_>) -> Option<u64> {
        let (root, limit, usage, cache) = match self {
            Group::One => (
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                ["total_inactive_file", "total_active_file"],
            ),
            Group::Two => (
                "/sys/fs/cgroup",
                "memory.max",
                "memory.current",
                ["inactive_file", "active_file"],
            ),
        };
        let mut number = |name: &str| file(&format!("{root}{path}/{name}"))?.trim().parse::<u64>().ok();
        let limit = number(limit)?; // "max" is no number
        let used = number(usage)?;
        let swap = match (self, number("memory.swap.max")) {
            (Group::Two, Some(most)) => swap.min(most.saturating_sub(number("memory.swap.current").unwrap_or(0))),
            (Group::Two, None) => swap,
            (Group::One, _) => match (
                number("memory.memsw.limit_in_bytes"),
                number("memory.memsw.usage_in_bytes"),
            ) {
                (Some(most), Some(both)) => swap.min(most.saturating_sub(both)),
                _ => swap,
            },
        };
        let about = file(&format!("{root}{path}/memory.stat")).unwrap_or_default();
        // The kernel takes its cache back before it kills.
        let cache: u64 = cache.iter().filter_map(|key| field(&about, key)).sum();
        Some(limit.saturating_sub(used.saturating_sub(cache)).saturating_add(swap))
    }
}

/// The number behind `key` at the beginning of a line.
fn field(text: &str, key: &str) -> Option<u64> {
    let mut words = text.lines().map(str::split_ascii_whitespace);
    words.find_map(|mut words| (words.next() == Some(key)).then(|| words.next()?.parse().ok())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: (&str, &str) = (
        "/proc/meminfo",
        "MemTotal: 9000 kB\nMemFree: 1 kB\nMemAvailable: 4000 kB\nSwapFree: 0 kB\n",
    );

    fn free(files: &[(&str, &str)]) -> u64 {
        free_memory_by(&mut |path| {
            let found = files.iter().find(|(name, _)| *name == path);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn a_machine_that_says_nothing_sets_no_bound() {
        assert_eq!(free(&[]), u64::MAX);
    }

    #[test]
    fn without_groups_it_is_what_the_machine_has() {
        assert_eq!(free(&[MACHINE]), 4000 * 1024);
    }

    #[test]
    fn a_group_of_the_second_version_counts_without_its_cache() {
        let files = [
            MACHINE,
            ("/proc/self/cgroup", "what no kernel writes\n0::/a/b\n"),
            ("/sys/fs/cgroup/a/b/memory.max", "1000000\n"),
            ("/sys/fs/cgroup/a/b/memory.current", "900000\n"),
            (
                "/sys/fs/cgroup/a/b/memory.stat",
                "anon 300000\ninactive_file 500000\nactive_file 50000\n",
            ),
        ];
        assert_eq!(free(&files), 1_000_000 - 350_000);
    }

    #[test]
    fn the_group_above_may_have_less() {
        let files = [
            MACHINE,
            ("/proc/self/cgroup", "0::/a/b\n"),
            ("/sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("/sys/fs/cgroup/a/memory.max", "5000\n"),
            ("/sys/fs/cgroup/a/memory.current", "4000\n"),
        ];
        assert_eq!(free(&files), 1000);
    }

    #[test]
    fn a_group_of_the_first_version_counts_too() {
        let files = [
            MACHINE,
            ("/proc/self/cgroup", "5:cpu:/x\n4:memory:/c\n0::/\n"),
            ("/sys/fs/cgroup/memory/c/memory.limit_in_bytes", "2000\n"),
            ("/sys/fs/cgroup/memory/c/memory.usage_in_bytes", "1500\n"),
            (
                "/sys/fs/cgroup/memory/c/memory.stat",
                "cache 1\ntotal_inactive_file 100\n",
            ),
        ];
        assert_eq!(free(&files), 600);
    }

    #[test]
    fn swap_counts_as_far_as_the_group_may_use_it() {
        let files = [
            ("/proc/meminfo", "MemAvailable: 1000 kB\nSwapFree: 1000 kB\n"),
            ("/proc/self/cgroup", "0::/a\n"),
            ("/sys/fs/cgroup/a/memory.max", "10000\n"),
            ("/sys/fs/cgroup/a/memory.current", "10000\n"),
            ("/sys/fs/cgroup/a/memory.swap.max", "5000\n"),
            ("/sys/fs/cgroup/a/memory.swap.current", "1000\n"),
        ];
        assert_eq!(free(&files), 4000);
    }
}

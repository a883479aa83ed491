//! Processes, as the system itself reports them.

/// Whether a process with this number lives here.
pub fn lives(pid: i32) -> bool {
    // SAFETY: signal 0 only checks, and sends nothing. PID 0 would be our own group.
    (1..=4_194_304).contains(&pid)
        && (unsafe { libc::kill(pid, 0) } == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH))
}

/// When a process began, in ticks; `None` if that is unknown.
pub fn start(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(") ")?;
    after_name.split(' ').nth(19)?.parse().ok()
}

pub fn boot() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    boot.expect("/proc").trim().to_owned()
}

pub fn pid_namespace() -> u64 {
    let link = std::fs::read_link("/proc/self/ns/pid").expect("/proc"); // pid:[4026531836]
    let digits: String = link.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

//! Which errors a call may return, according to its manual page.
//!
//! Errors that a program brings upon itself are left out (EBADF, EFAULT, ENAMETOOLONG, an unknown flag). So are those
//! of `close`: Linux closes the file whatever it returns, but an injected error would leave the file open. `EIO` is
//! added where it depends only on the file system's own code.

/// The errors of a call as strace shows it, by their names.
pub fn of(name: &str, text: &str) -> &'static [&'static str] {
    match name {
        // open(2)
        "openat" if text.contains("O_CREAT") => &[
            "EACCES", "EDQUOT", "EEXIST", "EINTR", "EIO", "EMFILE", "ENFILE", "ENOENT", "ENOMEM", "ENOSPC", "EPERM",
            "EROFS",
        ],
        "openat" if text.contains("O_DIRECTORY") => &[
            "EACCES", "EINTR", "EIO", "ELOOP", "EMFILE", "ENFILE", "ENOENT", "ENOMEM", "ENOTDIR",
        ],
        "openat" => &[
            "EACCES", "EINTR", "EIO", "ELOOP", "EMFILE", "ENFILE", "ENOENT", "ENOMEM", "ENXIO", "EPERM", "EROFS",
            "ETXTBSY",
        ],
        // open(2), of the mount table
        "open" => &["EACCES", "EINTR", "EMFILE", "ENFILE", "ENOENT", "ENOMEM", "EPERM"],
        // mkdir(2); EEXIST comes anyway, for the directories above
        "mkdirat" => &[
            "EACCES", "EDQUOT", "EIO", "EMLINK", "ENOENT", "ENOMEM", "ENOSPC", "ENOTDIR", "EPERM", "EROFS",
        ],
        // stat(2)
        "fstat" => &["EIO", "ENOMEM", "EOVERFLOW"],
        "newfstatat" | "statx" => &["EACCES", "EIO", "ELOOP", "ENOENT", "ENOMEM", "ENOTDIR", "EOVERFLOW"],
        // statfs(2)
        "fstatfs" => &["EINTR", "EIO", "ENOMEM", "ENOSYS", "EOVERFLOW"],
        // getdents(2)
        "getdents64" => &["EIO", "ENOENT", "ENOTDIR"],
        // link(2)
        "linkat" => &[
            "EACCES",
            "EDQUOT",
            "EEXIST",
            "EIO",
            "EMLINK",
            "ENOENT",
            "ENOMEM",
            "ENOSPC",
            "ENOTDIR",
            "EOPNOTSUPP",
            "EPERM",
            "EROFS",
            "EXDEV",
        ],
        // rmdir(2)
        "unlinkat" if text.contains("AT_REMOVEDIR") => &[
            "EACCES",
            "EBUSY",
            "EIO",
            "ENOENT",
            "ENOMEM",
            "ENOTDIR",
            "ENOTEMPTY",
            "EPERM",
            "EROFS",
        ],
        // unlink(2)
        "unlinkat" => &[
            "EACCES", "EBUSY", "EIO", "ENOENT", "ENOMEM", "ENOTDIR", "EPERM", "EROFS",
        ],
        // rename(2)
        "renameat" | "renameat2" => &[
            "EACCES",
            "EBUSY",
            "EDQUOT",
            "EINVAL",
            "EIO",
            "ENOENT",
            "ENOMEM",
            "ENOSPC",
            "ENOTDIR",
            "EOPNOTSUPP",
            "EPERM",
            "EROFS",
            "EXDEV",
        ],
        // flock(2); NFS returns EBADF for an exclusive lock on a file that is open for reading
        "flock" => &["EAGAIN", "EBADF", "EINTR", "ENOLCK", "EOPNOTSUPP"],
        // read(2), pread(2)
        "read" | "pread64" => &["EINTR", "EIO"],
        // write(2), pwrite(2)
        "write" | "pwrite64" => &["EDQUOT", "EFBIG", "EINTR", "EIO", "ENOSPC", "EPERM"],
        // truncate(2)
        "ftruncate" => &["EFBIG", "EINTR", "EIO", "EPERM", "EROFS"],
        // fcntl(2), F_SETFL: the file has the append-only attribute
        "fcntl" if text.contains("F_SETFL") => &["EPERM"],
        // listxattr(2), getxattr(2), setxattr(2)
        "flistxattr" => &["EIO", "ENOMEM", "EOPNOTSUPP", "EPERM"],
        "fgetxattr" => &["EIO", "ENODATA", "ENOMEM", "EOPNOTSUPP", "EPERM"],
        "fsetxattr" => &["EDQUOT", "EIO", "ENOMEM", "ENOSPC", "EOPNOTSUPP", "EPERM"],
        // fcntl(2), F_SETLEASE: somebody has the file open for writing; it is another user's; the file system has no
        // leases
        "fcntl" if text.contains("F_SETLEASE") => &["EACCES", "EAGAIN", "EINVAL", "ENOLCK", "ENOMEM", "EOPNOTSUPP"],
        // chmod(2), chown(2)
        "fchmod" => &["EIO", "ENOMEM", "EPERM", "EROFS"],
        "fchown" => &["EDQUOT", "EIO", "ENOMEM", "EPERM", "EROFS"],
        // utimensat(2)
        "utimensat" => &["EACCES", "EIO", "EPERM", "EROFS"],
        // fsync(2)
        "fdatasync" | "fsync" => &["EDQUOT", "EINTR", "EIO", "ENOSPC", "EROFS"],
        // inotify_init(2), inotify_add_watch(2)
        "inotify_init1" => &["EMFILE", "ENFILE", "ENOMEM"],
        "inotify_add_watch" => &["EACCES", "ENOENT", "ENOMEM", "ENOSPC"],
        // inotify_rm_watch(2): the watch is gone already
        "inotify_rm_watch" => &["EINVAL"],
        // eventfd(2), epoll_create(2), epoll_ctl(2)
        "eventfd2" => &["EMFILE", "ENFILE", "ENODEV", "ENOMEM"],
        "epoll_create1" => &["EMFILE", "ENFILE", "ENOMEM"],
        "epoll_ctl" => &["ENOMEM", "ENOSPC"],
        // timerfd_create(2); setting a timer (timerfd_settime) fails only in a sandbox
        "timerfd_create" => &["EMFILE", "ENFILE", "ENODEV", "ENOMEM", "EPERM"],
        "timerfd_settime" => &["ENOSYS", "EPERM"],
        // poll(2), clock_nanosleep(2)
        "ppoll" => &["EINTR", "ENOMEM"],
        "clock_nanosleep" => &["EINTR"],
        // getrandom(2). (Before Linux 3.17 it fails with ENOSYS.)
        "getrandom" => &["EAGAIN", "EINTR", "ENOSYS"],
        // kill(2)
        "kill" => &["EPERM", "ESRCH"],
        // madvise(2), mmap(2): the page that the kernel wipes in a forked child. (The allocator's calls are not
        // counted as the library's: when memory runs out, Rust ends the program.)
        "madvise" => &["EAGAIN", "EINVAL", "ENOMEM"],
        "mmap" if text.contains("mmap(NULL, 4096, PROT_READ|PROT_WRITE") => &["EAGAIN", "ENOMEM"],
        _ => &[],
    }
}

/// Calls whose errors make no difference: nothing depends on their result, or they cannot fail.
pub fn has_none(name: &str) -> bool {
    // glibc 2.41 itself blocks signals for a moment.
    matches!(
        name,
        "close"
            | "fcntl"
            | "geteuid"
            | "getpid"
            | "prlimit64"
            | "uname"
            | "prctl"
            | "brk"
            | "mmap"
            | "munmap"
            | "mremap"
            | "faccessat"
            | "rt_sigprocmask"
    )
}

/// The number of an error, by its name.
pub fn number(name: &str) -> i32 {
    use rustix::io::Errno;
    let errno = match name {
        "EACCES" => Errno::ACCESS,
        "EAGAIN" => Errno::AGAIN,
        "EBADF" => Errno::BADF,
        "EBUSY" => Errno::BUSY,
        "EDQUOT" => Errno::DQUOT,
        "EEXIST" => Errno::EXIST,
        "EFBIG" => Errno::FBIG,
        "EINTR" => Errno::INTR,
        "EINVAL" => Errno::INVAL,
        "EIO" => Errno::IO,
        "ELOOP" => Errno::LOOP,
        "EMFILE" => Errno::MFILE,
        "EMLINK" => Errno::MLINK,
        "ENFILE" => Errno::NFILE,
        "ENODATA" => Errno::NODATA,
        "ENODEV" => Errno::NODEV,
        "ENOENT" => Errno::NOENT,
        "ENOLCK" => Errno::NOLCK,
        "ENOMEM" => Errno::NOMEM,
        "ENOSPC" => Errno::NOSPC,
        "ENOSYS" => Errno::NOSYS,
        "ENOTDIR" => Errno::NOTDIR,
        "ENOTEMPTY" => Errno::NOTEMPTY,
        "ENXIO" => Errno::NXIO,
        "EOPNOTSUPP" => Errno::OPNOTSUPP,
        "EOVERFLOW" => Errno::OVERFLOW,
        "EPERM" => Errno::PERM,
        "EROFS" => Errno::ROFS,
        "ESRCH" => Errno::SRCH,
        "ETXTBSY" => Errno::TXTBSY,
        "EXDEV" => Errno::XDEV,
        _ => panic!("{name}: not in this list"),
    };
    errno.raw_os_error()
}

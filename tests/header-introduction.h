/* jlock: one lockfile, one stamp, one journal, shared by programs in any language.
 *
 *     struct jlock *lock;
 *     int rc = jlock_open("build/.codegraph", NULL, 0, &lock);
 *     if (rc) return fprintf(stderr, "%s\n", jlock_strerror(rc)), 1;
 *
 *     struct jlock_entry entry = { "src/main.c", SIZE_MAX, JLOCK_CHANGED, 0 };
 *     rc = jlock_append_stamped(lock, &entry, 1, now_ms);          (takes the lock and releases it)
 *     if (rc) { char why[256]; jlock_message(lock, why, sizeof why); fprintf(stderr, "%s\n", why); }
 *
 *     rc = jlock_close(lock);
 *
 * The header of a new journal says 0, and jlock_read() returns JLOCK_EUNSTAMPED until somebody stamps it: so stamp it,
 * as above, or once after a full scan with jlock_write_header(). After that jlock_append() is enough.
 *
 * Guarantees (PROTOCOL.md has the reasons and the fine print):
 *   P1  Any number of programs that use this library exclude each other, whichever of them crashes, at any moment.
 *   P2  They and one shipped peer (@optave/codegraph 3.11.2, which cannot be changed) exclude each other.
 *   P3  A program that loses its lock nevertheless gets JLOCK_ELOST, and nothing that belongs to the new holder is removed.
 *
 * Errors. A function that can fail returns int: 0 (or a count, where said) on success, negative on failure. A system
 * call's error is its negative errno, verbatim; the library's own states lie below -4096. errno is neither read nor set.
 * jlock_strerror() has a text for both; jlock_message() gives the last failure of a handle in full.
 *
 * Threads. A handle is one participant, whichever thread calls, and every function may be called from any thread. Calls
 * that acquire (acquire, append, header, checkpoint) are served one after another, each waiting for its turn no longer
 * than its own timeout. jlock_inspect(), jlock_read(), jlock_message(), jlock_recovered(), jlock_wait_fd() and
 * jlock_cancel() never wait for another thread's call. Threads that want to exclude each other open a handle each: two
 * handles on one journal exclude each other as two processes do. A thread is cancelled (pthread_cancel) only between
 * calls. Do not longjmp() out of a signal handler across a call.
 *
 * Event loops. jlock_acquire_start(), then wait for the descriptor of jlock_wait_fd(), then jlock_acquire_poll(), and so
 * on while it returns -EINPROGRESS. None of the three sleeps.
 *
 * Processes. After fork(), calls on the child's copies of the parent's handles return JLOCK_EFORKED; jlock_close() frees
 * them. The library prints nothing, never ends the process, and changes nothing about it: not its signals, its umask or its
 * working directory. Its descriptors are close-on-exec and never 0, 1 or 2. A program that closes them, or gives their
 * numbers to other files, gets JLOCK_ELOST or -EBADF; the library does not write to, lock or close a file that is not its
 * own.
 *
 * Unusual surroundings. A handle that was opened by path follows the path, even while it waits. After chroot(), or once
 * the process may not search the path any more, it stays with the directory that it has open. A program may give up its
 * privileges or change its user at any time; if JLOCK_KEEPALIVE then cannot give a sign of life, the next call under the
 * hold says so. But in a sticky directory (like /tmp), release the lock as the user who acquired it: others cannot
 * remove it. The umask applies to the files that the library makes, but their owner may always read and write them;
 * what root makes in somebody's directory is given to them. If a system call is refused, the library uses another where
 * that is safe; otherwise it is an error. System calls do not go through the C library, so what LD_PRELOAD replaces there
 * (fakeroot, fakechroot) does not affect them. A copy by hard links (cp -al) of a directory whose lock is held looks held
 * until the release. The shared library stays loaded after dlclose(). A call needs no more than 32 KiB of stack. Release
 * the lock before execve(): where flock does not say who lives (a network file system), it is held until the process
 * ends.
 *
 * Memory. Every function that returns int may also return -ENOMEM; the handle stays usable. (A hold under which that
 * could have left half an append is given up, and the next call under it returns JLOCK_ELOST. If the library came by
 * dlopen(), a thread's first call must find some memory, or the C library ends the process. If the library was built by
 * cargo instead of make, it behaves like other Rust code: running out of memory ends the process, and a contained panic
 * is printed.)
 *
 * Structs that the caller allocates are passed with their size, sizeof by the caller's compiler. If it is shorter than
 * the library's, the rest counts as zero, and nothing beyond it is read or written; if it is longer, -E2BIG unless the
 * tail is zero. Fields are only ever added at the end, and zero in an added field means its default. Unknown flags are
 * -EINVAL. Strings are bytes, NUL-terminated unless a length is given; no encoding is assumed. Timestamps are
 * milliseconds since 1970.
 */

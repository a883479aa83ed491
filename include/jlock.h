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

#ifndef JLOCK_H
#define JLOCK_H

#include <stddef.h>
#include <stdint.h>

/** Do not create a missing directory. */
#define JLOCK_NO_CREATE 1u

/** A journal call returns once its data is on disk. */
#define JLOCK_SYNC 2u

/** Refresh the lock automatically while it is held. (The library starts a thread for that, with all signals blocked.) */
#define JLOCK_KEEPALIVE 4u

/** The lock was taken away from this holder; nothing that belongs to the new holder was overwritten or removed. */
#define JLOCK_ELOST (-4097)

/** Release or refresh without holding. */
#define JLOCK_ENOTHELD (-4098)

/** The handle was inherited through fork; only jlock_close() works. */
#define JLOCK_EFORKED (-4099)

/** The journal's header is missing or malformed. */
#define JLOCK_EHEADER (-4100)

/** An entry that the format cannot carry; nothing was written. */
#define JLOCK_EENTRY (-4101)

/** There is something other than a regular file at the lock's (or the journal's) path. */
#define JLOCK_ENOTLOCK (-4102)

/**
 * A bug in the library, contained: jlock_message() says which. The handle's further calls return the same;
 * jlock_close() still works.
 */
#define JLOCK_EPANIC (-4103)

/**
 * The journal has never been stamped: its header says 0, as after the first append. jlock_append_stamped() or
 * jlock_write_header() stamps it.
 */
#define JLOCK_EUNSTAMPED (-4104)

/** jlock_holder.state: nobody holds the lock. */
#define JLOCK_FREE 0

/** jlock_holder.state: held by a live peer, or by one that is not known to be dead. */
#define JLOCK_HELD 1

/** jlock_holder.state: held by this handle. */
#define JLOCK_MINE 2

/** jlock_holder.state: its holder is dead; the next acquire takes it over. */
#define JLOCK_ABANDONED 3

/** jlock_holder.peer: there is no lock. */
#define JLOCK_PEER_NONE 0

/** jlock_holder.peer: a program that uses this library. */
#define JLOCK_PEER_LIBRARY 1

/** jlock_holder.peer: a program that speaks the protocol without it (codegraph 3.11.2). */
#define JLOCK_PEER_SHIPPED 2

/** jlock_holder.peer: the lock carries no stamp (yet). */
#define JLOCK_PEER_UNKNOWN 3

/** jlock_holder.fallback, jlock_place.missing: there are no hard links. */
#define JLOCK_WITHOUT_LINK 1u

/** jlock_holder.fallback, jlock_place.missing: there is no flock that excludes; a holder's death is judged by PID and age. */
#define JLOCK_WITHOUT_FLOCK 2u

/** jlock_place.missing: there are no leases, which show that a shipped peer still has its lock open. */
#define JLOCK_WITHOUT_LEASE 4u

/** jlock_place.missing: there is no inotify here; a wait looks again every retry_ms. */
#define JLOCK_WITHOUT_INOTIFY 8u

/** jlock_place.missing: there is no rename that leaves an existing file alone (RENAME_NOREPLACE). */
#define JLOCK_WITHOUT_NOREPLACE 16u

/** jlock_place.promises: processes that reach the directory through the same mount exclude each other. */
#define JLOCK_PLACE_PROCESSES_OF_MOUNT 1u

/** jlock_place.promises: so do all processes of this machine, through whatever mount. */
#define JLOCK_PLACE_PROCESSES_OF_MACHINE 2u

/** jlock_place.promises: so do processes of other machines that share the file system. */
#define JLOCK_PLACE_OTHER_MACHINES 4u

/** jlock_place.promises: the lock of a dead library peer is taken over at once. */
#define JLOCK_PLACE_TAKEOVER 8u

/** jlock_place.promises: with JLOCK_SYNC, what was acknowledged survives a power cut. */
#define JLOCK_PLACE_DURABLE 16u

/** jlock_place.promises: waiters are woken and served in the order in which they came. */
#define JLOCK_PLACE_ORDER 32u

/** jlock_entry.kind: the path was changed. */
#define JLOCK_CHANGED 0u

/** jlock_entry.kind: the path was deleted. */
#define JLOCK_DELETED 1u

/** A handle. Made by jlock_open() or jlock_open_at(), ended by jlock_close(). */
struct jlock;

/**
 * What a journal held when it was read. Made by jlock_read(), freed by jlock_snapshot_free(). It never changes, whatever
 * happens to the handle or the file, so any number of threads may use it at the same time.
 */
struct jlock_snapshot;

/** How a handle behaves. Call jlock_options_init() first, then change what should differ. */
struct jlock_options {
  /** JLOCK_NO_CREATE, JLOCK_SYNC, JLOCK_KEEPALIVE; 0. */
  uint32_t flags;
  /** Milliseconds to wait for the lock: 5000. Negative: forever. 0: do not wait. */
  int32_t timeout_ms;
  /** Longest sleep, in milliseconds, between two looks at the lock: 25. Not 0. Behind other waiters, sleeps are longer. */
  uint32_t retry_ms;
  /** Milliseconds without a sign of life after which a lock counts as dead if the kernel cannot tell: 30000. Not 0. */
  uint32_t stale_ms;
  /** Milliseconds to wait after taking over a dead holder's lock: 100. 0 only where every peer uses this library. */
  uint32_t settle_ms;
};

/** What a directory can promise, as jlock_probe() found out by trying. */
struct jlock_place {
  /** JLOCK_PLACE_PROCESSES_OF_MOUNT and so on: what is promised. */
  uint32_t promises;
  /** JLOCK_WITHOUT_LINK and so on: what was found missing; 0: the full protocol. */
  uint32_t missing;
  /** The file system's name, NUL-terminated: "ext4", "nfs", "fuse"; its magic number in hexadecimal if it has no name here. */
  char file_system[32];
  /** Why something is not promised, in a sentence or a few, NUL-terminated, cut to fit; empty: all is promised. */
  char reason[256];
};

/** Who holds the lock, as jlock_inspect() saw it. */
struct jlock_holder {
  /** JLOCK_FREE, JLOCK_HELD, JLOCK_MINE or JLOCK_ABANDONED. */
  int32_t state;
  /** JLOCK_PEER_NONE, JLOCK_PEER_LIBRARY, JLOCK_PEER_SHIPPED or JLOCK_PEER_UNKNOWN. */
  int32_t peer;
  /** The holder's process id in its own PID namespace; 0: unknown. */
  int32_t pid;
  /** Milliseconds since the lock's last sign of life (its mtime). */
  int64_t age_ms;
  /** The holder's nonce, NUL-terminated; empty: unknown. */
  char nonce[64];
  /** The holder's host name, NUL-terminated, cut to fit; empty: unknown. */
  char host[64];
  /** Milliseconds since the holder acquired the lock; -1: unknown, or nobody holds it. */
  int64_t held_ms;
  /**
   * JLOCK_WITHOUT_LINK, JLOCK_WITHOUT_FLOCK: what this handle has to do without here, as far as it has found out by
   * acquiring; 0: the full protocol.
   */
  uint32_t fallback;
  /** 0. */
  uint32_t reserved;
};

/** One line of the journal. */
struct jlock_entry {
  /** The path's bytes. No encoding is assumed. */
  const char *path;
  /** Their number; SIZE_MAX: the path is NUL-terminated. */
  size_t path_len;
  /** JLOCK_CHANGED or JLOCK_DELETED. */
  uint32_t kind;
  /** 0. */
  uint32_t reserved;
};

#ifdef __cplusplus
extern "C" {
#endif /* __cplusplus */

/**
 * Sets the defaults: flags 0, timeout_ms 5000, retry_ms 25, stale_ms 30000, settle_ms 100. size is
 * sizeof(struct jlock_options).
 *
 * Thread-safe. NULL is ignored, and so is a size that jlock_open() would refuse.
 */
void jlock_options_init(struct jlock_options *options, size_t size);

/**
 * Opens the lock of the journal changes.journal in the directory dir (codegraph 3.11.2: ROOT/.codegraph), creating
 * the directory and those above it if they are missing.
 *
 * options may be NULL, which means the defaults; size is sizeof(struct jlock_options), and ignored without options.
 * *out becomes the handle, which jlock_close() ends; NULL after a failure. Nothing is acquired yet, and the directory
 * need not be writable until then. (Acquires remove what dead peers have left there; among many thousands of files, not
 * all of it.)
 *
 * The handle follows the path. If the directory was removed, moved away or replaced since, the next acquire opens the new
 * one, at the latest a second later, and makes it unless the options say JLOCK_NO_CREATE.
 *
 * Returns 0.
 * Errors: -EINVAL (NULL; an unknown flag; a size below 20; retry_ms or stale_ms 0); -E2BIG (options of a newer version,
 * or a size above 4096); -ENOENT (with JLOCK_NO_CREATE), -ENOTDIR, -EACCES, -EROFS, -EMFILE, … (what the system says
 * about the directory); -EAGAIN (with JLOCK_KEEPALIVE: the thread could not be started).
 */
int jlock_open(const char *dir,
               const struct jlock_options *options,
               size_t size,
               struct jlock **out);

/**
 * As jlock_open(), for any journal: the file journal (a name without a slash) in the open directory dirfd, or in the
 * working directory (AT_FDCWD). Its lock has the journal's name with ".lock" after it.
 *
 * The directory must exist, and the handle stays with it wherever it is moved: -ESTALE once it is removed. dirfd remains
 * the caller's, who may close it afterwards.
 *
 * Returns 0.
 * Errors: as jlock_open(); -EINVAL (not a file name, or one that ends as the files of a lock do: ".lock", ".lock.line",
 * ".tmp" behind ".lock."), -ENAMETOOLONG, -EBADF, -ENOTDIR.
 */
int jlock_open_at(int dirfd,
                  const char *journal,
                  const struct jlock_options *options,
                  size_t size,
                  struct jlock **out);

/**
 * Closes the handle: releases the lock if it is held, removes what the handle kept in the directory, and frees the handle,
 * whatever it returns; do not call it again. An acquire that was started ends. In a forked child it closes the child's
 * copies, touches nothing on disk and returns 0.
 *
 * NULL is fine: 0. No other call on this handle may be in progress or follow. Snapshots stay valid.
 *
 * Returns 0.
 * Errors, all of them about the release of a lock that was held: JLOCK_ELOST (it had been taken away); JLOCK_EPANIC (the
 * handle had met a bug); any errno (the lock is left behind as a dead holder's, and the next program to acquire takes it
 * over).
 */
int jlock_close(struct jlock *lock);

/**
 * Finds out by trying what the directory dir can promise. size is sizeof(struct jlock_place). Takes a second at most,
 * needs no handle, takes no lock and leaves nothing behind. The directory must exist and be writable.
 *
 * Returns 0.
 * Errors: -EINVAL (NULL; a size below 296), -E2BIG (a size above 4096); -ENOENT, -ENOTDIR, -EACCES, -EROFS, -ENOSPC, …
 * (what the system says about the directory). *out is left alone then.
 */
int jlock_probe(const char *dir,
                struct jlock_place *out,
                size_t size);

/**
 * Gives the message of the last failure on this handle in full, such as
 * "changes.journal.lock: held by pid 4711 (shipped peer) for 6.2 s; gave up after 5.0 s".
 *
 * Copied into buf as snprintf() would: cut to fit, always NUL-terminated unless size is 0 (then buf may be NULL).
 * Empty before the first failure.
 *
 * Returns the message's length without the NUL, however much of it fitted.
 * Errors: -EINVAL, JLOCK_EFORKED.
 */
int jlock_message(struct jlock *lock,
                  char *buf,
                  size_t size);

/**
 * The meaning of any return value: a static text in English, never NULL, not to be freed. Thread-safe.
 *
 * 0 is "success". No function of the library returns a positive number as a failure; here it counts as an errno, so that
 * jlock_strerror(EACCES) is "permission denied" as well.
 */
const char *jlock_strerror(int rc);

/** The library's version: major << 16 | minor << 8 | patch. Thread-safe. */
uint32_t jlock_version(void);

/** The same as a static text, "0.1.0". Thread-safe. */
const char *jlock_version_string(void);

/**
 * Acquires the lock. It waits for as long as the options' timeout_ms says, and up to settle_ms longer if it takes over from
 * a dead holder. It sleeps while it waits, and needs no signal and no thread for that. The time includes the wait for
 * another thread's call that acquires on the same handle.
 *
 * Returns 0: this handle holds the lock, until jlock_release() or jlock_close().
 * Errors: -ETIMEDOUT (jlock_message() names the holder); -ECANCELED (jlock_cancel()); -EDEADLK (this handle holds it
 * already); JLOCK_ENOTLOCK, -ELOOP (no regular file at the lock's name); -EACCES, -EROFS, -ENOSPC, -EMFILE, -ENOENT, …
 * (errors of system calls). The handle stays usable, and nothing is held.
 */
int jlock_acquire(struct jlock *lock);

/** As jlock_acquire(), but waits for timeout_ms milliseconds; negative: forever; 0: not at all. */
int jlock_acquire_for(struct jlock *lock, int32_t timeout_ms);

/**
 * Acquires the lock if nobody holds it. It takes up to settle_ms if the holder is dead, and otherwise never waits.
 *
 * Returns 0.
 * Errors: -EAGAIN (held by somebody else); otherwise as jlock_acquire().
 */
int jlock_try_acquire(struct jlock *lock);

/**
 * Starts to acquire the lock, for event loops and for languages that must stay interruptible. It never sleeps. While it
 * returns -EINPROGRESS, wait until the descriptor of jlock_wait_fd() polls readable, and call jlock_acquire_poll(). The
 * handle keeps its place in line from here to the end. timeout_ms is as in jlock_acquire_for(); with 0 the acquire ends
 * in this very call, unless the holder is dead, or the lock is just changing hands.
 *
 * Until the acquire is over, other calls that acquire on this handle (jlock_acquire(), jlock_append() and so on) wait for
 * their turn. jlock_cancel() and jlock_close() end it.
 *
 * Returns 0: this handle holds the lock, as after jlock_acquire(); or -EINPROGRESS.
 * Errors: -EALREADY (an acquire that was started on this handle is not over, or another thread's call has the handle just
 * now: use a handle for each); otherwise as jlock_acquire().
 */
int jlock_acquire_start(struct jlock *lock,
                        int32_t timeout_ms);

/**
 * Goes on with the acquire that jlock_acquire_start() began, from any thread. It never sleeps, and may be called at any
 * time; call it when jlock_wait_fd() polls readable. After 0 the hold is like any other: end it with jlock_release() or
 * jlock_close().
 *
 * Returns 0: this handle holds the lock; or -EINPROGRESS: wait on.
 * Errors, after which the acquire is over and nothing is held: -ETIMEDOUT (at the latest settle_ms after its time, if it
 * was about to take over from a dead holder); -ECANCELED (jlock_cancel()); otherwise as jlock_acquire(). -EINVAL (no acquire
 * is in progress on this handle; or it ended in another call, which returned -ENOMEM).
 */
int jlock_acquire_poll(struct jlock *lock);

/**
 * Releases the lock.
 *
 * Returns 0: it was held all the time.
 * Errors: JLOCK_ELOST (it was taken away and is not held any more; nothing that belongs to the new holder was removed);
 * JLOCK_ENOTHELD; any errno of the system calls: then it is still held, and you can try again to release it.
 */
int jlock_release(struct jlock *lock);

/**
 * Renews the sign of life by which shipped peers judge. Call it at least every 30 seconds under a long hold, or open the
 * handle with JLOCK_KEEPALIVE. If it comes later than that, it takes settle_ms, to find out whether the lock was taken
 * meanwhile.
 *
 * Returns 0: it is still held.
 * Errors: JLOCK_ELOST, JLOCK_ENOTHELD, any errno.
 */
int jlock_refresh(struct jlock *lock);

/**
 * Whether the last acquire took over from a dead holder: then what the lock protects may be half done. (The journal is not:
 * the acquire has taken back what was half done there.)
 *
 * Returns 1 or 0.
 * Errors: -EINVAL, JLOCK_EFORKED, JLOCK_EPANIC.
 */
int jlock_recovered(const struct jlock *lock);

/**
 * Ends the wait in progress on this handle, if there is one: the call that waits returns -ECANCELED. For an acquire that
 * was started, jlock_wait_fd() becomes readable and the next jlock_acquire_poll() returns -ECANCELED. Without a wait it
 * does nothing; it does not end one that begins later, nor the wait for a file server's lease on the journal. Any thread
 * may call it, and it never waits. (Do not call it from a signal handler.)
 *
 * Returns 0.
 * Errors: -EINVAL, JLOCK_EFORKED, JLOCK_EPANIC.
 */
int jlock_cancel(struct jlock *lock);

/**
 * A descriptor that polls readable when it is time to call jlock_acquire_poll(): the lock has changed, the time is over, or
 * somebody called jlock_cancel(). It contains a timer, so an event loop needs no other. While no acquire is in progress it
 * is not readable. Do not read from it, write to it or close it.
 *
 * Returns the descriptor. It belongs to the handle, is the same for the handle's life, and is closed with it.
 * Errors: -EMFILE, -ENFILE, -ENOMEM, … (the descriptor could not be made); JLOCK_EFORKED.
 */
int jlock_wait_fd(struct jlock *lock);

/**
 * Finds out who holds the lock. It takes and changes nothing, and never waits for another thread's call. What it says may be
 * out of date when it returns. size is sizeof(struct jlock_holder).
 *
 * Returns 0.
 * Errors: -EINVAL (NULL; a size below 152), -E2BIG (a size above 4096), JLOCK_ENOTLOCK, -ELOOP, any errno. *out is left
 * alone then.
 */
int jlock_inspect(struct jlock *lock,
                  struct jlock_holder *out,
                  size_t size);

/**
 * Appends count entries to the journal: all or none. A missing journal is made, with a header that says 0; it can be
 * read once it has been stamped.
 *
 * Takes the lock and releases it, unless this handle holds it already: then it works under that hold. With JLOCK_SYNC it
 * returns once the entries are on disk.
 *
 * Returns 0.
 * Errors: JLOCK_EENTRY (an entry is empty; contains a newline, carriage return or NUL; starts or ends with white space;
 * starts with '#'; or is a changed path that starts with "DELETED "); -EINVAL (NULL, unknown kind, reserved not 0);
 * those of jlock_acquire(); JLOCK_ELOST (the caller's own hold was taken away); -ENOSPC, -EIO, -EDQUOT, … (the journal is
 * as it was). If only the release fails, or with JLOCK_SYNC the disk, after the entries were written, the message says so:
 * then they are in the journal. After -EIO from the disk under JLOCK_SYNC they may be missing from the disk, and must be
 * appended again. -EAGAIN: somebody (a file server, for its clients) has a lease on the journal, and did not give it back
 * within timeout_ms. -EFBIG: the limit on file sizes, or a journal that ends with more than 64 MiB of NUL bytes: write a
 * new header.
 */
int jlock_append(struct jlock *lock,
                 const struct jlock_entry *entries,
                 size_t count);

/**
 * As jlock_append(), and then advances the header's timestamp to timestamp_ms: a crash in between leaves the entries with
 * the older, more cautious one. The cost does not grow with the journal, as long as the new timestamp has as many digits as
 * the old one.
 *
 * Returns 0.
 * Errors: as jlock_append(); -EINVAL (timestamp_ms is negative).
 */
int jlock_append_stamped(struct jlock *lock,
                         const struct jlock_entry *entries,
                         size_t count,
                         int64_t timestamp_ms);

/**
 * Replaces the journal by one that holds only a header with this timestamp. All entries are gone, even those appended a
 * moment ago; a consumer should call jlock_checkpoint() instead.
 *
 * Returns 0.
 * Errors: as jlock_append_stamped().
 */
int jlock_write_header(struct jlock *lock,
                       int64_t timestamp_ms);

/**
 * A consumer calls this when it has processed a snapshot: it writes a new header, drops what the snapshot held, and keeps
 * every entry that was appended after it. The snapshot remains the caller's.
 *
 * If somebody replaced the journal in between (shipped peers do when they stamp), all entries are kept: what has been
 * processed may be seen again, and nothing is lost.
 *
 * Returns 1: what the snapshot held is dropped; or 0: all entries were kept, as the journal had been replaced.
 * Errors: as jlock_append_stamped().
 */
int jlock_checkpoint(struct jlock *lock,
                     const struct jlock_snapshot *snapshot,
                     int64_t timestamp_ms);

/**
 * Reads the journal as it is now. It takes no lock, and never waits for another thread's call. If somebody has a lease on the
 * journal, it waits for that, but no longer than timeout_ms; then it returns -EAGAIN.
 *
 * *out becomes the snapshot, which jlock_snapshot_free() frees; NULL after a failure.
 *
 * Returns 0.
 * Errors: -ENOENT (there is no journal); JLOCK_EUNSTAMPED (it has only been appended to: its header says 0; stamp it with
 * jlock_append_stamped() or, after a full scan, with jlock_write_header()); JLOCK_EHEADER (its first line is no header
 * with a timestamp, or it is damaged); JLOCK_ENOTLOCK, -ELOOP (no regular file at its name); -ENOMEM; any errno.
 */
int jlock_read(struct jlock *lock,
               struct jlock_snapshot **out);

/**
 * The header's timestamp in milliseconds since 1970, as the shipped reader returns it: any number above 0. 0 if
 * snapshot is NULL.
 */
double jlock_snapshot_timestamp(const struct jlock_snapshot *snapshot);

/**
 * How many distinct paths of this kind (JLOCK_CHANGED, JLOCK_DELETED) there are; 0 for any other kind, and if snapshot
 * is NULL.
 */
size_t jlock_snapshot_count(const struct jlock_snapshot *snapshot,
                            uint32_t kind);

/**
 * One path of this kind, by its index in the order of first mention, from 0.
 *
 * out->path is NUL-terminated, and valid until jlock_snapshot_free().
 *
 * Returns 0.
 * Errors: -EINVAL (NULL, unknown kind, no such index).
 */
int jlock_snapshot_entry(const struct jlock_snapshot *snapshot,
                         uint32_t kind,
                         size_t index,
                         struct jlock_entry *out);

/** Frees a snapshot, and with it the paths of its entries. NULL is fine. */
void jlock_snapshot_free(struct jlock_snapshot *snapshot);

#ifdef __cplusplus
}  // extern "C"
#endif /* __cplusplus */

#endif  /* JLOCK_H */

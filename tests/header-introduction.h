/* jlock: one lockfile, one stamp, one journal, shared by programs in any language.
 *
 *     struct jlock *lock;
 *     int rc = jlock_open("build/.codegraph", NULL, &lock);
 *     if (rc) return fprintf(stderr, "%s\n", jlock_strerror(rc)), 1;
 *
 *     struct jlock_entry entry = { "src/main.c", SIZE_MAX, JLOCK_CHANGED, 0 };
 *     rc = jlock_append(lock, &entry, 1);            (takes the lock and lets it go)
 *     if (rc) { char why[256]; jlock_message(lock, why, sizeof why); fprintf(stderr, "%s\n", why); }
 *
 *     jlock_close(lock);
 *
 * Guarantees (PROTOCOL.md has the proof and the fine print):
 *   P1  Any number of programs that use this library exclude each other, whatever crashes and whenever.
 *   P2  They and one shipped peer (@optave/codegraph 3.11.2, which cannot be changed) exclude each other.
 *   P3  Whoever loses its lock all the same is told: JLOCK_ELOST, and nothing of the new holder is removed.
 *
 * Errors. A function that can fail returns int: 0 (or a count, where said) on success, negative on failure. A system
 * call's error is its negative errno, verbatim; the library's own states lie below -4096. errno is neither read nor set.
 * jlock_strerror() knows both; jlock_message() tells the last failure of a handle in full.
 *
 * Threads. A handle is one participant, whoever calls. Every function may be called from any thread; calls on one handle
 * are serialised inside, except jlock_cancel(), which never waits. Threads that want to exclude each other open a handle
 * each: two handles on one journal exclude each other as two processes do.
 *
 * Processes. After fork(), the child's copies of the parent's handles answer JLOCK_EFORKED; jlock_close() frees them. The
 * library prints nothing, ends nothing, and changes nothing of the process: no signals, no umask, no working directory. Its
 * descriptors are close-on-exec.
 *
 * Memory. Every function that returns int may answer -ENOMEM as well; the handle stays usable. (A hold under which that
 * could have left half an append is given up: the next call under it answers JLOCK_ELOST. And the library that cargo builds,
 * instead of make, is like other Rust there: want of memory ends the process, and a contained panic is printed.)
 *
 * Structs that begin with `size` grow at their end: a shorter one than the library's counts as zero there, which means
 * the default. Strings are bytes, NUL-terminated unless a length is given; no encoding is assumed.
 */

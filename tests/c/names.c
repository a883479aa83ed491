/* If something other than a regular file has the lock's or the journal's name, it is refused: never followed, never
 * waited for, never removed. */
#include "claim.h"

#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

static void put_link(const char *name) {
  write_file("target", "untouched");
  SYSTEM(symlink("target", path_of(name)));
}

static void put_dangling_link(const char *name) { SYSTEM(symlink("nowhere", path_of(name))); }

static void put_directory(const char *name) { SYSTEM(mkdir(path_of(name), 0777)); }

static void put_fifo(const char *name) { SYSTEM(mkfifo(path_of(name), 0666)); }

static void put_socket(const char *name) {
  SYSTEM(chdir(dir)); /* the address has room for a short name only */
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, name);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  SYSTEM(fd);
  SYSTEM(bind(fd, (struct sockaddr *)&address, sizeof address));
  close(fd);
}

/* Only root can make devices. Other users mount one there, in a mount namespace that a handle opened earlier would not
 * see. */
static void before_devices(void) {
  if (geteuid() != 0) have_private_mounts();
}

static void put_device(const char *name) {
  if (mknod(path_of(name), S_IFCHR | 0666, makedev(1, 3)) == 0) return;
  CHECK(errno == EPERM);
  write_file(name, "");
  SYSTEM(mount("/dev/null", path_of(name), NULL, MS_BIND, NULL));
}

static void refused_as_lock(void (*put)(const char *), int expected) {
  struct jlock *lock = open_with(0, -1); /* if it waited, it would wait forever */
  put(LOCK);
  struct stat before, after;
  SYSTEM(lstat(path_of(LOCK), &before));
  IS(jlock_acquire(lock), expected);
  IS(jlock_try_acquire(lock), expected);
  IS(append(lock, "a"), expected);
  struct jlock_holder seen;
  IS(jlock_inspect(lock, &seen, sizeof seen), expected);
  CHECK(strstr(message(lock), LOCK));
  OK(jlock_close(lock));
  OK(jlock_close(open_default())); /* nor does the sweep of an open remove it */
  SYSTEM(lstat(path_of(LOCK), &after));
  CHECK(before.st_ino == after.st_ino && before.st_mode == after.st_mode);
  CHECK(before.st_ctim.tv_sec == after.st_ctim.tv_sec && before.st_ctim.tv_nsec == after.st_ctim.tv_nsec);
  CHECK(!exists("nowhere") && !exists(JOURNAL));
}

static void refused_as_journal(void (*put)(const char *), int expected) {
  struct jlock *lock = open_default();
  put(JOURNAL);
  struct stat before, after;
  SYSTEM(lstat(path_of(JOURNAL), &before));
  IS(append(lock, "a"), expected);
  IS(append_stamped(lock, "a", 1), expected);
  struct jlock_snapshot *snapshot;
  IS(jlock_read(lock, &snapshot), expected);
  CHECK(!snapshot && strstr(message(lock), JOURNAL));
  IS(jlock_write_header(lock, 1), expected);
  SYSTEM(lstat(path_of(JOURNAL), &after));
  CHECK(before.st_ino == after.st_ino && before.st_mode == after.st_mode);
  CHECK(!exists("nowhere") && !exists(LOCK) && !exists(JOURNAL ".tmp"));
  OK(acquire_and_release(lock));
  OK(jlock_close(lock));
}

static void a_link_at_the_locks_name_is_refused(void) {
  refused_as_lock(put_link, -ELOOP);
  holds("target", "untouched");
}
static void a_dangling_link_at_the_locks_name_is_refused(void) { refused_as_lock(put_dangling_link, -ELOOP); }
static void a_directory_at_the_locks_name_is_refused(void) { refused_as_lock(put_directory, JLOCK_ENOTLOCK); }
static void a_fifo_at_the_locks_name_is_refused(void) { refused_as_lock(put_fifo, JLOCK_ENOTLOCK); }
static void a_socket_at_the_locks_name_is_refused(void) { refused_as_lock(put_socket, JLOCK_ENOTLOCK); }
static void a_device_at_the_locks_name_is_refused(void) {
  before_devices();
  refused_as_lock(put_device, JLOCK_ENOTLOCK);
}

static void a_link_at_the_journals_name_is_refused(void) {
  refused_as_journal(put_link, -ELOOP);
  holds("target", "untouched");
}
static void a_dangling_link_at_the_journals_name_is_refused(void) { refused_as_journal(put_dangling_link, -ELOOP); }
static void a_directory_at_the_journals_name_is_refused(void) { refused_as_journal(put_directory, JLOCK_ENOTLOCK); }
static void a_fifo_at_the_journals_name_is_refused(void) { refused_as_journal(put_fifo, JLOCK_ENOTLOCK); }
static void a_socket_at_the_journals_name_is_refused(void) { refused_as_journal(put_socket, JLOCK_ENOTLOCK); }
static void a_device_at_the_journals_name_is_refused(void) {
  before_devices();
  refused_as_journal(put_device, JLOCK_ENOTLOCK);
}

/* A file without a stamp may belong to anybody. */
static void a_file_without_a_stamp_is_waited_for_and_not_written_into(void) {
  write_file(LOCK, "my notes\n");
  ino_t inode = inode_of(LOCK);
  struct jlock *lock = open_with(0, 50);
  IS(jlock_acquire(lock), -ETIMEDOUT);
  CHECK(inode_of(LOCK) == inode);
  holds(LOCK, "my notes\n");
  make_old(LOCK, 31);
  OK(jlock_acquire(lock)); /* as a shipped peer would do */
  CHECK(inode_of(LOCK) != inode);
  OK(jlock_close(lock));
}

static void an_enormous_file_is_not_read_to_its_end(void) {
  write_file(LOCK, "");
  SYSTEM(truncate(path_of(LOCK), (off_t)1 << 40));
  struct jlock *lock = open_with(0, 50);
  IS(jlock_acquire(lock), -ETIMEDOUT);
  CHECK(inspect(lock).peer == JLOCK_PEER_UNKNOWN);
  OK(jlock_close(lock));
}

static void links_named_like_parked_stamps_are_not_followed(void) {
  write_file("target", "untouched");
  SYSTEM(symlink("target", path_of(LOCK ".1-0123456789abcdef.tmp")));
  struct jlock *lock = open_default();
  OK(acquire_and_release(lock));
  OK(jlock_close(lock));
  holds("target", "untouched");
}

const struct claim claims[] = {
    CLAIM(a_link_at_the_locks_name_is_refused),
    CLAIM(a_dangling_link_at_the_locks_name_is_refused),
    CLAIM(a_directory_at_the_locks_name_is_refused),
    CLAIM(a_fifo_at_the_locks_name_is_refused),
    CLAIM(a_socket_at_the_locks_name_is_refused),
    CLAIM(a_device_at_the_locks_name_is_refused),
    CLAIM(a_link_at_the_journals_name_is_refused),
    CLAIM(a_dangling_link_at_the_journals_name_is_refused),
    CLAIM(a_directory_at_the_journals_name_is_refused),
    CLAIM(a_fifo_at_the_journals_name_is_refused),
    CLAIM(a_socket_at_the_journals_name_is_refused),
    CLAIM(a_device_at_the_journals_name_is_refused),
    CLAIM(a_file_without_a_stamp_is_waited_for_and_not_written_into),
    CLAIM(an_enormous_file_is_not_read_to_its_end),
    CLAIM(links_named_like_parked_stamps_are_not_followed),
    END_OF_CLAIMS,
};

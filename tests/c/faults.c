/* If the system refuses something, the caller gets the system's own error, the handle stays usable, and the journal is
 * unchanged to the last byte. */
#include "claim.h"

#include <sys/mount.h>
#include <sys/resource.h>

#define BEFORE "# codegraph-journal v1 1000\nbefore\n"

static struct jlock *open_with_journal(void) {
  struct jlock *lock = open_with(0, 100);
  OK(append_stamped(lock, "before", 1000));
  holds(JOURNAL, BEFORE);
  return lock;
}

static void is_usable_again(struct jlock *lock) {
  CHECK(!exists(LOCK));
  OK(append(lock, "after"));
  holds(JOURNAL, BEFORE "after\n");
  OK(jlock_close(lock));
  CHECK(!exists(LOCK) && !exists(JOURNAL ".tmp"));
}

/* ------------------------------------------------------------------------------------------------------- ENOSPC */

static void on_a_small_disk(void) {
  have_private_mounts();
  SYSTEM(mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=0777"));
}

/* Leaves no free page, and no free part of one in the files that exist. */
static void fill_the_disk(void) {
  int fd = open(path_of("filler"), O_WRONLY | O_CREAT | O_APPEND, 0666);
  SYSTEM(fd);
  static char page[4096];
  while (write(fd, page, sizeof page) > 0) continue;
  CHECK(errno == ENOSPC);
  close(fd);
}

static struct jlock_entry *many_entries(size_t count) {
  struct jlock_entry *entries = calloc(count, sizeof *entries);
  CHECK(entries);
  for (size_t i = 0; i < count; i++) entries[i] = (struct jlock_entry){"a/path/of/some/length", SIZE_MAX, JLOCK_CHANGED, 0};
  return entries;
}

static void a_full_disk_undoes_an_append(void) {
  on_a_small_disk();
  struct jlock *lock = open_with_journal();
  fill_the_disk();
  struct jlock_entry *entries = many_entries(1000);
  IS(jlock_append(lock, entries, 1000), -ENOSPC);
  CHECK(strstr(message(lock), JOURNAL));
  holds(JOURNAL, BEFORE);
  IS(jlock_append_stamped(lock, entries, 1000, 1001), -ENOSPC);
  holds(JOURNAL, BEFORE);
  SYSTEM(unlink(path_of("filler")));
  free(entries);
  is_usable_again(lock);
}

static void a_full_disk_leaves_the_journal_that_was_to_be_replaced(void) {
  on_a_small_disk();
  struct jlock *lock = open_with_journal();
  struct jlock_snapshot *snapshot;
  OK(jlock_read(lock, &snapshot));
  fill_the_disk();
  IS(jlock_write_header(lock, 1), -ENOSPC);
  IS(jlock_checkpoint(lock, snapshot, 1), -ENOSPC);
  IS(append_stamped(lock, "other digits", 1), -ENOSPC);
  holds(JOURNAL, BEFORE);
  SYSTEM(unlink(path_of("filler")));
  jlock_snapshot_free(snapshot);
  is_usable_again(lock);
}

static void a_full_disk_leaves_a_missing_journal_missing(void) {
  on_a_small_disk();
  struct jlock *lock = open_default();
  OK(acquire_and_release(lock));
  fill_the_disk();
  IS(append(lock, "a"), -ENOSPC);
  CHECK(!exists(JOURNAL) && !exists(LOCK));
  SYSTEM(unlink(path_of("filler")));
  OK(append(lock, "a"));
  OK(jlock_close(lock));
}

static void a_full_disk_keeps_a_new_handle_from_acquiring(void) {
  on_a_small_disk();
  fill_the_disk();
  struct jlock *lock = open_default();
  IS(jlock_acquire(lock), -ENOSPC);
  CHECK(!exists(LOCK));
  SYSTEM(unlink(path_of("filler")));
  OK(acquire_and_release(lock));
  OK(jlock_close(lock));
}

/* ------------------------------------------------------------------------------------------------ EMFILE, EFBIG */

static rlim_t limit(int resource, rlim_t soft) {
  struct rlimit limits;
  SYSTEM(getrlimit(resource, &limits));
  rlim_t before = limits.rlim_cur;
  limits.rlim_cur = soft;
  SYSTEM(setrlimit(resource, &limits));
  return before;
}

static void running_out_of_descriptors_is_reported_and_survived(void) {
  struct jlock *lock = open_with_journal(), *other = open_default(), *none;
  OK(acquire_and_release(other));
  struct jlock_snapshot *snapshot;
  rlim_t before = limit(RLIMIT_NOFILE, 3); /* descriptors that are open already stay open */
  IS(jlock_open(dir, NULL, 0, &none), -EMFILE);
  CHECK(!none);
  IS(append(lock, "a"), -EMFILE);
  IS(append_stamped(lock, "a", 1), -EMFILE);
  IS(jlock_write_header(lock, 1), -EMFILE);
  IS(jlock_read(lock, &snapshot), -EMFILE);
  OK(jlock_acquire(other)); /* it needs no new descriptor */
  IS(jlock_acquire_for(lock, 10), -EMFILE);
  IS(jlock_wait_fd(lock), -EMFILE);
  OK(jlock_release(other));
  limit(RLIMIT_NOFILE, before);
  holds(JOURNAL, BEFORE);
  OK(jlock_close(other));
  is_usable_again(lock);
}

/* A handle that could not look at its mount must not use weaker means for the rest of its life. */
static void a_lack_of_descriptors_at_the_open_weakens_no_lock(void) {
  struct jlock *lock = NULL;
  int rc = -EMFILE;
  for (rlim_t descriptors = 3; rc == -EMFILE; descriptors++) {
    rlim_t before = limit(RLIMIT_NOFILE, descriptors);
    rc = jlock_open(dir, NULL, 0, &lock);
    limit(RLIMIT_NOFILE, before);
  }
  OK(rc);
  for (int i = 0; i < 2; i++) {
    OK(jlock_acquire(lock));
    char *stamp = read_file(LOCK);
    CHECK(stamp && !strstr(stamp, "flock=none"));
    free(stamp);
    OK(jlock_close(lock));
    if (!i) lock = open_default(); /* nor may that weaken a handle that is opened later */
  }
}

static void a_file_size_limit_undoes_an_append(void) {
  signal(SIGXFSZ, SIG_IGN);
  struct jlock *lock = open_with_journal();
  struct jlock_entry *entries = many_entries(100);
  rlim_t before = limit(RLIMIT_FSIZE, 1024); /* room for only a part of the entries */
  IS(jlock_append(lock, entries, 100), -EFBIG);
  limit(RLIMIT_FSIZE, before);
  holds(JOURNAL, BEFORE);
  free(entries);
  is_usable_again(lock);
}

static void a_file_size_limit_raises_no_signal(void) {
  struct jlock *lock = open_with_journal(); /* SIGXFSZ would end this process */
  struct jlock_entry *entries = many_entries(100);
  rlim_t before = limit(RLIMIT_FSIZE, 1024);
  IS(jlock_append(lock, entries, 100), -EFBIG);
  limit(RLIMIT_FSIZE, 10); /* less than the file has already */
  IS(append(lock, "a"), -EFBIG);
  IS(append_stamped(lock, "a", 1001), -EFBIG);
  IS(jlock_write_header(lock, 1), -EFBIG);
  limit(RLIMIT_FSIZE, before);
  holds(JOURNAL, BEFORE);
  free(entries);
  is_usable_again(lock);
}

static void a_signal_of_the_programs_own_stays_pending(void) {
  struct jlock *lock = open_with_journal();
  sigset_t size, pending;
  sigemptyset(&size);
  sigaddset(&size, SIGXFSZ);
  CHECK(pthread_sigmask(SIG_BLOCK, &size, NULL) == 0);
  rlim_t before = limit(RLIMIT_FSIZE, 10);
  IS(append(lock, "a"), -EFBIG);
  CHECK(sigpending(&pending) == 0 && !sigismember(&pending, SIGXFSZ));
  CHECK(pthread_kill(pthread_self(), SIGXFSZ) == 0);
  IS(append(lock, "a"), -EFBIG);
  CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ));
  CHECK(sigtimedwait(&size, NULL, &(struct timespec){0}) == SIGXFSZ);
  limit(RLIMIT_FSIZE, before);
  is_usable_again(lock);
}

/* ------------------------------------------------------------------------------------------------- EROFS, EACCES */

static void a_read_only_file_system_is_reported_and_survived(void) {
  have_private_mounts();
  write_file(JOURNAL, BEFORE);
  SYSTEM(mount(dir, dir, NULL, MS_BIND, NULL));
  SYSTEM(mount(NULL, dir, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
  struct jlock *lock = open_default();
  IS(jlock_acquire(lock), -EROFS);
  IS(append(lock, "a"), -EROFS);
  IS(append_stamped(lock, "a", 1001), -EROFS);
  IS(jlock_write_header(lock, 1), -EROFS);
  struct jlock_snapshot *snapshot;
  OK(jlock_read(lock, &snapshot));
  jlock_snapshot_free(snapshot);
  CHECK(inspect(lock).state == JLOCK_FREE);
  struct jlock *none;
  IS(jlock_open(path_of("new"), NULL, 0, &none), -EROFS);
  SYSTEM(mount(NULL, dir, NULL, MS_REMOUNT | MS_BIND, NULL));
  holds(JOURNAL, BEFORE);
  is_usable_again(lock);
}

/* File permissions do not restrict root. */
static void become_nobody(void) {
  if (geteuid() != 0) return;
  SYSTEM(chown(dir, 65534, 65534));
  SYSTEM(setegid(65534));
  SYSTEM(seteuid(65534));
}

static void a_directory_that_may_not_be_written_to_is_reported_and_survived(void) {
  become_nobody();
  write_file(JOURNAL, BEFORE);
  SYSTEM(chmod(dir, 0555));
  struct jlock *lock = open_default();
  IS(jlock_acquire(lock), -EACCES);
  IS(append(lock, "a"), -EACCES);
  IS(jlock_write_header(lock, 1), -EACCES);
  struct jlock *none;
  IS(jlock_open(path_of("new"), NULL, 0, &none), -EACCES);
  CHECK(!none);
  SYSTEM(chmod(dir, 0777));
  holds(JOURNAL, BEFORE);
  is_usable_again(lock);
}

static void a_directory_that_may_not_be_listed_is_good_enough(void) {
  become_nobody();
  SYSTEM(chmod(dir, 0300));
  struct jlock *lock = open_with_journal(), *other = open_with(0, 20);
  OK(jlock_acquire(lock));
  IS(jlock_acquire(other), -ETIMEDOUT);
  OK(jlock_release(lock));
  SYSTEM(chmod(dir, 0777));
  jlock_close(other);
  is_usable_again(lock);
}

static void a_journal_that_may_not_be_written_to_is_reported_and_survived(void) {
  become_nobody();
  struct jlock *lock = open_with_journal();
  SYSTEM(chmod(path_of(JOURNAL), 0444));
  IS(append(lock, "a"), -EACCES);
  IS(append_stamped(lock, "a", 1001), -EACCES);
  SYSTEM(chmod(path_of(JOURNAL), 0000));
  struct jlock_snapshot *snapshot;
  IS(jlock_read(lock, &snapshot), -EACCES);
  SYSTEM(chmod(path_of(JOURNAL), 0666));
  holds(JOURNAL, BEFORE);
  is_usable_again(lock);
}

/* Another user's lock, which files others may not read: it counts as held, whatever its holder does. */
static void a_lock_that_may_not_be_read_is_waited_for(void) {
  become_nobody();
  struct jlock *lock = open_with_journal();
  write_file(LOCK, "1\n1-0123456789abcdef\n");
  SYSTEM(chmod(path_of(LOCK), 0000));
  IS(jlock_acquire(lock), -ETIMEDOUT);
  CHECK(strstr(message(lock), jlock_strerror(-EACCES)));
  IS(jlock_try_acquire(lock), -EAGAIN);
  CHECK(exists(LOCK));
  SYSTEM(unlink(path_of(LOCK)));
  holds(JOURNAL, BEFORE);
  is_usable_again(lock);
}

/* ------------------------------------------------------------------------------------------------------- ENOENT */

static void a_directory_that_is_gone_is_reported(void) {
  SYSTEM(mkdir(path_of("d"), 0777));
  struct jlock *lock;
  struct jlock_options options;
  jlock_options_init(&options, sizeof options);
  options.flags = JLOCK_NO_CREATE; /* otherwise it would be made again */
  OK(jlock_open(path_of("d"), &options, sizeof options, &lock));
  OK(acquire_and_release(lock));
  DIR *listed = opendir(path_of("d"));
  CHECK(listed);
  for (struct dirent *entry; (entry = readdir(listed));) unlinkat(dirfd(listed), entry->d_name, 0);
  closedir(listed);
  SYSTEM(rmdir(path_of("d")));
  IS(jlock_acquire(lock), -ENOENT);
  IS(append(lock, "a"), -ENOENT);
  IS(jlock_write_header(lock, 1), -ENOENT);
  struct jlock_snapshot *snapshot;
  IS(jlock_read(lock, &snapshot), -ENOENT);
  struct jlock_holder seen;
  IS(jlock_inspect(lock, &seen, sizeof seen), -ENOENT);
  OK(jlock_close(lock));
}

static void a_parked_stamp_that_was_swept_is_made_again(void) {
  struct jlock *lock = open_with_journal();
  OK(acquire_and_release(lock));
  DIR *listed = opendir(dir);
  CHECK(listed);
  int swept = 0;
  for (struct dirent *entry; (entry = readdir(listed));) {
    if (strncmp(entry->d_name, LOCK ".", strlen(LOCK ".")) == 0) swept += unlinkat(dirfd(listed), entry->d_name, 0) == 0;
  }
  closedir(listed);
  CHECK(swept == 1);
  is_usable_again(lock);
}

const struct claim claims[] = {
    CLAIM(a_full_disk_undoes_an_append),
    CLAIM(a_full_disk_leaves_the_journal_that_was_to_be_replaced),
    CLAIM(a_full_disk_leaves_a_missing_journal_missing),
    CLAIM(a_full_disk_keeps_a_new_handle_from_acquiring),
    CLAIM(running_out_of_descriptors_is_reported_and_survived),
    CLAIM(a_lack_of_descriptors_at_the_open_weakens_no_lock),
    CLAIM(a_file_size_limit_undoes_an_append),
    CLAIM(a_file_size_limit_raises_no_signal),
    CLAIM(a_signal_of_the_programs_own_stays_pending),
    CLAIM(a_read_only_file_system_is_reported_and_survived),
    CLAIM(a_directory_that_may_not_be_written_to_is_reported_and_survived),
    CLAIM(a_directory_that_may_not_be_listed_is_good_enough),
    CLAIM(a_journal_that_may_not_be_written_to_is_reported_and_survived),
    CLAIM(a_lock_that_may_not_be_read_is_waited_for),
    CLAIM(a_directory_that_is_gone_is_reported),
    CLAIM(a_parked_stamp_that_was_swept_is_made_again),
    END_OF_CLAIMS,
};

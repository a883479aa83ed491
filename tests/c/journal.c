/* The journal. */
#include "claim.h"

#include <math.h>

static struct jlock_snapshot *snapshot_of(struct jlock *lock) {
  struct jlock_snapshot *snapshot;
  OK(jlock_read(lock, &snapshot));
  return snapshot;
}

static const char *entry_of(const struct jlock_snapshot *snapshot, uint32_t kind, size_t index) {
  struct jlock_entry entry;
  OK(jlock_snapshot_entry(snapshot, kind, index, &entry));
  CHECK(entry.kind == kind && entry.reserved == 0 && entry.path_len == strlen(entry.path));
  return entry.path;
}

static void appending_makes_a_missing_journal_with_a_header_of_zero(void) {
  struct jlock *lock = open_default();
  OK(append(lock, "src/a.c"));
  OK(append(lock, "src/b.c"));
  holds(JOURNAL, "# codegraph-journal v1 0\nsrc/a.c\nsrc/b.c\n");
  CHECK(!exists(LOCK));
  OK(jlock_close(lock));
}

static void a_call_appends_all_its_entries_in_order(void) {
  struct jlock *lock = open_default();
  struct jlock_entry entries[] = {
      {"by length, not to the NUL", 9, JLOCK_CHANGED, 0},
      {"to the NUL", SIZE_MAX, JLOCK_DELETED, 0},
      {"na\xc3\xafve \xff", SIZE_MAX, JLOCK_CHANGED, 0},
  };
  OK(jlock_append(lock, entries, 3));
  holds(JOURNAL, "# codegraph-journal v1 0\nby length\nDELETED to the NUL\nna\xc3\xafve \xff\n");
  OK(jlock_close(lock));
}

static void stamping_appends_and_advances_the_header(void) {
  struct jlock *lock = open_default();
  OK(append_stamped(lock, "a", 1700000000000));
  ino_t inode = inode_of(JOURNAL);
  OK(append_stamped(lock, "b", 1700000000001));
  holds(JOURNAL, "# codegraph-journal v1 1700000000001\na\nb\n");
  CHECK(inode_of(JOURNAL) == inode); /* in place, since the number of digits is the same */
  OK(append_stamped(lock, "c", 5));
  holds(JOURNAL, "# codegraph-journal v1 5\na\nb\nc\n");
  OK(jlock_close(lock));
}

static void a_tail_without_a_newline_is_completed_first(void) {
  write_file(JOURNAL, "# codegraph-journal v1 1\ncut of");
  struct jlock *lock = open_default();
  OK(append(lock, "a"));
  holds(JOURNAL, "# codegraph-journal v1 1\ncut of\na\n");
  OK(jlock_close(lock));
}

static void an_entry_that_the_format_cannot_carry_is_refused_before_anything_is_written(void) {
  static const char *const refused[] = {"",   "a\nb", "a\n", "a\rb", "\r", " a", "a ", "\ta", "a\t",
                                        "#a", "#",   " ",   "DELETED a", "DELETED  "};
  struct jlock *lock = open_default();
  OK(append_stamped(lock, "first", 17));
  char *before = read_file(JOURNAL);
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    struct jlock_entry entries[] = {{"good", SIZE_MAX, JLOCK_CHANGED, 0}, {refused[i], SIZE_MAX, JLOCK_CHANGED, 0}};
    IS(jlock_append(lock, entries, 2), JLOCK_EENTRY);
    IS(jlock_append_stamped(lock, entries, 2, 18), JLOCK_EENTRY);
  }
  IS(jlock_append(lock, &(struct jlock_entry){"a\0b", 3, JLOCK_CHANGED, 0}, 1), JLOCK_EENTRY);
  IS(jlock_append(lock, &(struct jlock_entry){" a", 2, JLOCK_DELETED, 0}, 1), JLOCK_EENTRY);
  holds(JOURNAL, before);
  free(before);
  OK(jlock_close(lock));
}

static void a_malformed_struct_is_invalid(void) {
  struct jlock *lock = open_default();
  IS(jlock_append(lock, &(struct jlock_entry){"a", 1, 2, 0}, 1), -EINVAL);
  IS(jlock_append(lock, &(struct jlock_entry){"a", 1, JLOCK_CHANGED, 1}, 1), -EINVAL);
  IS(jlock_append(lock, &(struct jlock_entry){"a", SIZE_MAX - 1, JLOCK_CHANGED, 0}, 1), -EINVAL);
  CHECK(!exists(JOURNAL));
  OK(jlock_close(lock));
}

static void a_negative_timestamp_is_invalid(void) {
  struct jlock *lock = open_default();
  OK(append_stamped(lock, "a", 1));
  struct jlock_snapshot *snapshot = snapshot_of(lock);
  IS(append_stamped(lock, "b", -1), -EINVAL);
  IS(jlock_write_header(lock, INT64_MIN), -EINVAL);
  IS(jlock_checkpoint(lock, snapshot, -1), -EINVAL);
  holds(JOURNAL, "# codegraph-journal v1 1\na\n");
  OK(jlock_write_header(lock, INT64_MAX));
  holds(JOURNAL, "# codegraph-journal v1 9223372036854775807\n");
  jlock_snapshot_free(snapshot);
  OK(jlock_close(lock));
}

static void write_header_leaves_the_header_alone(void) {
  struct jlock *lock = open_default();
  OK(append(lock, "a"));
  OK(jlock_write_header(lock, 99));
  holds(JOURNAL, "# codegraph-journal v1 99\n");
  OK(jlock_close(lock));
}

static void a_snapshot_lists_distinct_paths_in_order_of_first_mention(void) {
  write_file(JOURNAL, "# codegraph-journal v1 12.5\nb\na\n\nDELETED x\n# a comment\nb\n  c  \nDELETED x\nDELETED b\n");
  struct jlock *lock = open_default();
  struct jlock_snapshot *snapshot = snapshot_of(lock);
  CHECK(fabs(jlock_snapshot_timestamp(snapshot) - 12.5) < 1e-9);
  CHECK(jlock_snapshot_count(snapshot, JLOCK_CHANGED) == 3 && jlock_snapshot_count(snapshot, JLOCK_DELETED) == 2);
  CHECK(!strcmp(entry_of(snapshot, JLOCK_CHANGED, 0), "b"));
  CHECK(!strcmp(entry_of(snapshot, JLOCK_CHANGED, 1), "a"));
  CHECK(!strcmp(entry_of(snapshot, JLOCK_CHANGED, 2), "c"));
  CHECK(!strcmp(entry_of(snapshot, JLOCK_DELETED, 0), "x"));
  CHECK(!strcmp(entry_of(snapshot, JLOCK_DELETED, 1), "b"));
  jlock_snapshot_free(snapshot);
  OK(jlock_close(lock));
}

static void there_is_no_entry_beyond_the_count_or_of_another_kind(void) {
  struct jlock *lock = open_default();
  OK(append_stamped(lock, "a", 1));
  struct jlock_snapshot *snapshot = snapshot_of(lock);
  struct jlock_entry entry;
  IS(jlock_snapshot_entry(snapshot, JLOCK_CHANGED, 1, &entry), -EINVAL);
  IS(jlock_snapshot_entry(snapshot, JLOCK_CHANGED, SIZE_MAX, &entry), -EINVAL);
  IS(jlock_snapshot_entry(snapshot, JLOCK_DELETED, 0, &entry), -EINVAL);
  IS(jlock_snapshot_entry(snapshot, 2, 0, &entry), -EINVAL);
  CHECK(jlock_snapshot_count(snapshot, 2) == 0);
  jlock_snapshot_free(snapshot);
  OK(jlock_close(lock));
}

static void a_snapshot_outlives_the_handle_and_the_file(void) {
  struct jlock *lock = open_default();
  OK(append_stamped(lock, "a", 1));
  struct jlock_snapshot *snapshot = snapshot_of(lock);
  OK(jlock_close(lock));
  SYSTEM(unlink(path_of(JOURNAL)));
  CHECK(!strcmp(entry_of(snapshot, JLOCK_CHANGED, 0), "a"));
  jlock_snapshot_free(snapshot);
}

static void a_journal_without_a_timestamp_above_zero_has_no_header(void) {
  static const char *const headers[] = {"", "\n", "a\n", "# codegraph-journal v1 -1\n",
                                        "# codegraph-journal v1\n", "# codegraph-journal v1 x\n",
                                        "# codegraph-journal v2 1\n"};
  struct jlock *lock = open_default();
  for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
    write_file(JOURNAL, headers[i]);
    struct jlock_snapshot *snapshot;
    IS(jlock_read(lock, &snapshot), JLOCK_EHEADER);
    CHECK(!snapshot);
  }
  OK(jlock_close(lock));
}

static void a_journal_that_was_only_appended_to_is_unstamped(void) {
  struct jlock *lock = open_default();
  struct jlock_snapshot *snapshot = (struct jlock_snapshot *)&snapshot;
  OK(append(lock, "a"));
  IS(jlock_read(lock, &snapshot), JLOCK_EUNSTAMPED);
  CHECK(!snapshot && strstr(message(lock), "never been stamped"));
  OK(append_stamped(lock, "b", 1));
  jlock_snapshot_free(snapshot_of(lock));
  OK(jlock_close(lock));
}

static void a_checkpoint_keeps_what_was_appended_after_the_snapshot(void) {
  struct jlock *lock = open_default(), *other = open_default();
  OK(append_stamped(lock, "processed", 1000));
  struct jlock_snapshot *snapshot = snapshot_of(lock);
  OK(append(other, "later"));
  OK(append_stamped(other, "later still", 1001));
  IS(jlock_checkpoint(lock, snapshot, 1002), 1);
  holds(JOURNAL, "# codegraph-journal v1 1002\nlater\nlater still\n");
  jlock_snapshot_free(snapshot);
  OK(jlock_close(other));
  OK(jlock_close(lock));
}

static void a_checkpoint_after_the_journal_was_replaced_keeps_everything(void) {
  struct jlock *lock = open_default();
  OK(append_stamped(lock, "processed", 1));
  struct jlock_snapshot *snapshot = snapshot_of(lock);
  write_file("new", "# codegraph-journal v1 2\nprocessed\nlater\n");
  SYSTEM(rename(path_of("new"), path_of(JOURNAL)));
  IS(jlock_checkpoint(lock, snapshot, 3), 0);
  holds(JOURNAL, "# codegraph-journal v1 3\nprocessed\nlater\n");
  jlock_snapshot_free(snapshot);
  OK(jlock_close(lock));
}

static void journal_calls_under_a_hold_keep_it(void) {
  struct jlock *lock = open_default();
  OK(jlock_acquire(lock));
  OK(append_stamped(lock, "a", 1));
  OK(append(lock, "b"));
  struct jlock_snapshot *snapshot = snapshot_of(lock);
  IS(jlock_checkpoint(lock, snapshot, 2), 1);
  OK(jlock_write_header(lock, 3));
  CHECK(exists(LOCK));
  OK(jlock_release(lock));
  jlock_snapshot_free(snapshot);
  OK(jlock_close(lock));
}

static void reading_takes_no_lock(void) {
  struct jlock *lock = open_default(), *other = open_default();
  OK(append_stamped(lock, "a", 1));
  OK(jlock_acquire(other));
  jlock_snapshot_free(snapshot_of(lock));
  OK(jlock_close(other));
  OK(jlock_close(lock));
}

static void sync_changes_nothing_but_the_time_it_takes(void) {
  struct jlock *lock = open_with(JLOCK_SYNC, 100);
  OK(append(lock, "a"));
  OK(append_stamped(lock, "b", 2));
  struct jlock_snapshot *snapshot = snapshot_of(lock);
  OK(append(lock, "c"));
  CHECK(0 <= jlock_checkpoint(lock, snapshot, 3));
  holds(JOURNAL, "# codegraph-journal v1 3\nc\n");
  jlock_snapshot_free(snapshot);
  OK(jlock_close(lock));
}

static void any_name_beneath_an_open_directory_is_a_journal(void) {
  int fd = open(dir, O_RDONLY | O_DIRECTORY);
  SYSTEM(fd);
  struct jlock *lock, *usual = open_default();
  OK(jlock_open_at(fd, "other.log", NULL, 0, &lock));
  SYSTEM(fcntl(fd, F_GETFD)); /* the descriptor is still ours */
  close(fd);
  OK(jlock_acquire(lock));
  CHECK(exists("other.log.lock") && !exists(LOCK));
  OK(acquire_and_release(usual));
  OK(append(lock, "a"));
  holds("other.log", "# codegraph-journal v1 0\na\n");
  OK(jlock_close(lock));
  CHECK(!exists("other.log.lock"));
  OK(jlock_close(usual));
}

static void the_working_directory_is_accepted(void) {
  SYSTEM(chdir(dir));
  struct jlock *lock;
  OK(jlock_open_at(AT_FDCWD, JOURNAL, NULL, 0, &lock));
  SYSTEM(chdir("/"));
  OK(append(lock, "a"));
  CHECK(exists(JOURNAL));
  OK(jlock_close(lock));
}

static void what_is_not_a_file_name_is_refused(void) {
  static const char *const refused[] = {"", ".", "..", "a/b", "/a", "a/"};
  struct jlock *lock;
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    IS(jlock_open_at(AT_FDCWD, refused[i], NULL, 0, &lock), -EINVAL);
    CHECK(!lock);
  }
  char longest[NAME_MAX + 1];
  memset(longest, 'a', NAME_MAX);
  longest[NAME_MAX] = 0;
  IS(jlock_open_at(AT_FDCWD, longest, NULL, 0, &lock), -ENAMETOOLONG);
}

const struct claim claims[] = {
    CLAIM(appending_makes_a_missing_journal_with_a_header_of_zero),
    CLAIM(a_call_appends_all_its_entries_in_order),
    CLAIM(stamping_appends_and_advances_the_header),
    CLAIM(a_tail_without_a_newline_is_completed_first),
    CLAIM(an_entry_that_the_format_cannot_carry_is_refused_before_anything_is_written),
    CLAIM(a_malformed_struct_is_invalid),
    CLAIM(a_negative_timestamp_is_invalid),
    CLAIM(write_header_leaves_the_header_alone),
    CLAIM(a_snapshot_lists_distinct_paths_in_order_of_first_mention),
    CLAIM(there_is_no_entry_beyond_the_count_or_of_another_kind),
    CLAIM(a_snapshot_outlives_the_handle_and_the_file),
    CLAIM(a_journal_without_a_timestamp_above_zero_has_no_header),
    CLAIM(a_journal_that_was_only_appended_to_is_unstamped),
    CLAIM(a_checkpoint_keeps_what_was_appended_after_the_snapshot),
    CLAIM(a_checkpoint_after_the_journal_was_replaced_keeps_everything),
    CLAIM(journal_calls_under_a_hold_keep_it),
    CLAIM(reading_takes_no_lock),
    CLAIM(sync_changes_nothing_but_the_time_it_takes),
    CLAIM(any_name_beneath_an_open_directory_is_a_journal),
    CLAIM(the_working_directory_is_accepted),
    CLAIM(what_is_not_a_file_name_is_refused),
    END_OF_CLAIMS,
};

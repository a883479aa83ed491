/* Return values and messages. */
#include "claim.h"

static void null_is_refused_wherever_a_value_is_needed(void) {
  struct jlock *lock = open_default(), *out;
  struct jlock_entry entry = {"a", SIZE_MAX, JLOCK_CHANGED, 0}, no_path = {NULL, 1, JLOCK_CHANGED, 0};
  OK(jlock_write_header(lock, 1));
  struct jlock_snapshot *snapshot;
  OK(jlock_read(lock, &snapshot));
  char text[8];

  IS(jlock_open(NULL, NULL, 0, &out), -EINVAL);
  CHECK(!out);
  IS(jlock_open(dir, NULL, 0, NULL), -EINVAL);
  IS(jlock_open_at(AT_FDCWD, NULL, NULL, 0, &out), -EINVAL);
  CHECK(!out);
  IS(jlock_open_at(AT_FDCWD, "a", NULL, 0, NULL), -EINVAL);
  IS(jlock_acquire(NULL), -EINVAL);
  IS(jlock_acquire_for(NULL, 0), -EINVAL);
  IS(jlock_try_acquire(NULL), -EINVAL);
  IS(jlock_release(NULL), -EINVAL);
  IS(jlock_refresh(NULL), -EINVAL);
  IS(jlock_recovered(NULL), -EINVAL);
  IS(jlock_cancel(NULL), -EINVAL);
  IS(jlock_wait_fd(NULL), -EINVAL);
  IS(jlock_acquire_start(NULL, 0), -EINVAL);
  IS(jlock_acquire_poll(NULL), -EINVAL);
  struct jlock_holder seen;
  IS(jlock_inspect(NULL, &seen, sizeof seen), -EINVAL);
  IS(jlock_inspect(lock, NULL, sizeof seen), -EINVAL);
  struct jlock_place place;
  IS(jlock_probe(NULL, &place, sizeof place), -EINVAL);
  IS(jlock_probe(dir, NULL, sizeof place), -EINVAL);
  IS(jlock_append(NULL, &entry, 1), -EINVAL);
  IS(jlock_append(lock, NULL, 1), -EINVAL);
  IS(jlock_append(lock, &no_path, 1), -EINVAL);
  IS(jlock_append_stamped(NULL, &entry, 1, 1), -EINVAL);
  IS(jlock_append_stamped(lock, NULL, 1, 1), -EINVAL);
  IS(jlock_append_stamped(lock, &no_path, 1, 1), -EINVAL);
  IS(jlock_write_header(NULL, 1), -EINVAL);
  IS(jlock_checkpoint(NULL, snapshot, 1), -EINVAL);
  IS(jlock_checkpoint(lock, NULL, 1), -EINVAL);
  struct jlock_snapshot *none = snapshot;
  IS(jlock_read(NULL, &none), -EINVAL);
  CHECK(!none);
  IS(jlock_read(lock, NULL), -EINVAL);
  CHECK(jlock_snapshot_timestamp(NULL) == 0);
  CHECK(jlock_snapshot_count(NULL, JLOCK_CHANGED) == 0);
  IS(jlock_snapshot_entry(NULL, JLOCK_CHANGED, 0, &entry), -EINVAL);
  IS(jlock_snapshot_entry(snapshot, JLOCK_CHANGED, 0, NULL), -EINVAL);
  IS(jlock_message(NULL, text, sizeof text), -EINVAL);
  IS(jlock_message(lock, NULL, 1), -EINVAL);

  jlock_snapshot_free(snapshot);
  OK(jlock_close(lock));
}

static void null_may_be_closed_and_freed(void) {
  OK(jlock_close(NULL));
  jlock_snapshot_free(NULL);
}

static void nothing_to_append_needs_no_entries(void) {
  struct jlock *lock = open_default();
  OK(jlock_append(lock, NULL, 0));
  OK(jlock_append_stamped(lock, NULL, 0, 7));
  holds(JOURNAL, "# codegraph-journal v1 7\n");
  OK(jlock_close(lock));
}

static void out_is_null_after_a_failure(void) {
  struct jlock *lock = (struct jlock *)&lock;
  write_file("file", "");
  IS(jlock_open(path_of("file"), NULL, 0, &lock), -ENOTDIR);
  CHECK(!lock);
  lock = (struct jlock *)&lock;
  IS(jlock_open_at(-1, "a", NULL, 0, &lock), -EBADF);
  CHECK(!lock);
  lock = open_default();
  struct jlock_snapshot *snapshot = (struct jlock_snapshot *)&snapshot;
  IS(jlock_read(lock, &snapshot), -ENOENT);
  CHECK(!snapshot);
  OK(jlock_close(lock));
}

static void every_code_has_a_text_of_its_own(void) {
  static const int codes[] = {
      0,
      -ETIMEDOUT, -EAGAIN, -ECANCELED, -EDEADLK, -EINVAL, -E2BIG,
      -EINPROGRESS, -EALREADY, -ENOENT, -ENOSPC, -EMFILE, -EACCES, -EROFS, -ELOOP, -EIO, -EDQUOT, -EPERM, -ESTALE,
      JLOCK_ELOST, JLOCK_ENOTHELD, JLOCK_EFORKED, JLOCK_EHEADER, JLOCK_EENTRY, JLOCK_ENOTLOCK, JLOCK_EPANIC,
      JLOCK_EUNSTAMPED,
  };
  const char *unknown = jlock_strerror(-4000);
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    CHECK(*jlock_strerror(codes[i]) && strcmp(jlock_strerror(codes[i]), unknown));
    for (size_t k = 0; k < i; k++) CHECK(strcmp(jlock_strerror(codes[i]), jlock_strerror(codes[k])));
  }
}

static void any_number_has_a_text(void) {
  for (int code = -6000; code <= 100; code++) CHECK(*jlock_strerror(code));
  CHECK(*jlock_strerror(INT_MIN) && *jlock_strerror(INT_MAX));
}

static void a_positive_errno_is_not_success(void) {
  CHECK(!strcmp(jlock_strerror(0), "success"));
  CHECK(!strcmp(jlock_strerror(EACCES), jlock_strerror(-EACCES)));
  for (int code = 1; code <= 4095; code++) CHECK(strcmp(jlock_strerror(code), "success"));
  /* A positive number has no meaning of the lock's own; only the negative code has. */
  CHECK(strstr(jlock_strerror(-EAGAIN), "held") && !strstr(jlock_strerror(EAGAIN), "held"));
}

static void there_is_no_message_before_the_first_failure(void) {
  struct jlock *lock = open_default();
  OK(acquire_and_release(lock));
  CHECK(!*message(lock));
  OK(jlock_close(lock));
}

static void a_message_is_cut_to_fit_as_snprintf_does(void) {
  struct jlock *lock = open_default();
  IS(jlock_release(lock), JLOCK_ENOTHELD);
  const char *whole = message(lock);
  int length = (int)strlen(whole);
  CHECK(length > 8);
  IS(jlock_message(lock, NULL, 0), length);
  char text[8] = "1234567";
  IS(jlock_message(lock, text, 1), length);
  CHECK(!strcmp(text, "") && text[1] == '2');
  IS(jlock_message(lock, text, 5), length);
  CHECK(!strncmp(text, whole, 4) && text[4] == 0 && text[5] == '6');
  OK(jlock_close(lock));
}

static void a_handle_reports_its_own_last_failure(void) {
  struct jlock *one = open_default(), *two = open_default();
  IS(jlock_release(one), JLOCK_ENOTHELD);
  char first[1024];
  strcpy(first, message(one));
  CHECK(!*message(two));
  IS(append(one, "two\nlines"), JLOCK_EENTRY);
  CHECK(strcmp(first, message(one)));
  OK(jlock_close(two));
  OK(jlock_close(one));
}

static void errno_is_neither_read_nor_set(void) {
  errno = 4711;
  struct jlock *lock = open_default(), *other = open_with(0, 30);
  OK(jlock_acquire(lock));
  IS(jlock_acquire(other), -ETIMEDOUT);
  OK(append(lock, "a"));
  OK(jlock_release(lock));
  struct jlock_snapshot *snapshot;
  IS(jlock_read(lock, &snapshot), JLOCK_EUNSTAMPED);
  CHECK(errno == 4711);
  OK(jlock_close(other));
  OK(jlock_close(lock));
  CHECK(errno == 4711);
}

static void the_version_is_the_same_in_both_forms(void) {
  uint32_t version = jlock_version();
  char text[32];
  sprintf(text, "%u.%u.%u", version >> 16, version >> 8 & 0xff, version & 0xff);
  CHECK(!strcmp(text, jlock_version_string()));
}

const struct claim claims[] = {
    CLAIM(null_is_refused_wherever_a_value_is_needed),
    CLAIM(null_may_be_closed_and_freed),
    CLAIM(nothing_to_append_needs_no_entries),
    CLAIM(out_is_null_after_a_failure),
    CLAIM(every_code_has_a_text_of_its_own),
    CLAIM(any_number_has_a_text),
    CLAIM(a_positive_errno_is_not_success),
    CLAIM(there_is_no_message_before_the_first_failure),
    CLAIM(a_message_is_cut_to_fit_as_snprintf_does),
    CLAIM(a_handle_reports_its_own_last_failure),
    CLAIM(errno_is_neither_read_nor_set),
    CLAIM(the_version_is_the_same_in_both_forms),
    END_OF_CLAIMS,
};

/* Something goes wrong inside the installed library: only the caller is told, and the library goes on working. (If
 * cargo builds the library, a panic is printed as well, and running out of memory ends the process.)
 *
 * Linked with -Wl,--wrap for the functions that are defined here in place of the C library's. */
#include "claim.h"

/* -------------------------------------------------------------------------------------------------------- silence */

static int standard_error;

static void listen(void) {
  standard_error = dup(STDERR_FILENO);
  int fd = open(path_of("said"), O_RDWR | O_CREAT | O_APPEND, 0666);
  SYSTEM(standard_error);
  SYSTEM(fd);
  SYSTEM(dup2(fd, STDERR_FILENO));
  close(fd);
}

static void nothing_was_said(void) {
  SYSTEM(dup2(standard_error, STDERR_FILENO));
  close(standard_error);
  holds("said", "");
}

/* --------------------------------------------------------------------------------------------------------- a panic */

void *__real_memchr(const void *from, int byte, size_t size);
void *__wrap_memchr(const void *from, int byte, size_t size);

/* A C library that lies has the effect of a bug: a match reported beyond the end makes an index go out of bounds. */
static int lies;

void *__wrap_memchr(const void *from, int byte, size_t size) {
  return lies ? (char *)from + size + 1 : __real_memchr(from, byte, size);
}

static void bring_about_a_panic(struct jlock *lock) {
  struct jlock_snapshot *snapshot = NULL;
  lies = 1;
  int rc = jlock_read(lock, &snapshot);
  lies = 0;
  IS(rc, JLOCK_EPANIC);
  CHECK(!snapshot);
}

static void a_panic_is_silent_and_its_message_arrives(void) {
  struct jlock *lock = open_default();
  OK(append_stamped(lock, "a", 1));
  listen();
  bring_about_a_panic(lock);
  nothing_was_said();
  const char *said = message(lock);
  if (!strstr(said, "src/journal/") || !strstr(said, "out of range")) fail(__FILE__, __LINE__, "it said: %s", said);
  IS(jlock_close(lock), JLOCK_EPANIC);
}

static void after_a_panic_a_handle_can_only_be_closed(void) {
  struct jlock *lock = open_default(), *other = open_default();
  OK(append_stamped(lock, "a", 1));
  OK(jlock_acquire(lock));
  bring_about_a_panic(lock);
  IS(jlock_release(lock), JLOCK_EPANIC);
  IS(append(lock, "b"), JLOCK_EPANIC);
  IS(jlock_close(lock), JLOCK_EPANIC); /* closed nevertheless */
  OK(append(other, "c"));
  OK(jlock_close(other));
  holds(JOURNAL, "# codegraph-journal v1 1\na\nc\n");
}

static void *panic_in_a_handle_of_its_own(void *unused) {
  (void)unused;
  struct jlock *lock = open_default();
  bring_about_a_panic(lock);
  IS(jlock_close(lock), JLOCK_EPANIC);
  return NULL;
}

static void a_thread_that_met_a_panic_goes_on(void) {
  struct jlock *lock = open_default();
  OK(append_stamped(lock, "a", 1));
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, panic_in_a_handle_of_its_own, NULL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  for (int i = 0; i < 100; i++) panic_in_a_handle_of_its_own(NULL);
  OK(append(lock, "b"));
  OK(jlock_close(lock));
}

/* ------------------------------------------------------------------------------------------------------- no memory */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *place, size_t size);
int __real_posix_memalign(void **place, size_t align, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *place, size_t size);
int __wrap_posix_memalign(void **place, size_t align, size_t size);

static enum { PLENTY, ONE_FAILS, NONE_FROM_THEN_ON } memory = PLENTY;
static long left; /* this many allocations still succeed */
static long refused;

static int is_granted(void) {
  if (memory == PLENTY || left-- > 0) return 1;
  if (memory == ONE_FAILS && refused) return 1;
  refused++;
  return 0;
}

void *__wrap_malloc(size_t size) { return is_granted() ? __real_malloc(size) : NULL; }
void *__wrap_calloc(size_t count, size_t size) { return is_granted() ? __real_calloc(count, size) : NULL; }
void *__wrap_realloc(void *place, size_t size) { return is_granted() ? __real_realloc(place, size) : NULL; }
int __wrap_posix_memalign(void **place, size_t align, size_t size) {
  return is_granted() ? __real_posix_memalign(place, align, size) : ENOMEM;
}

static struct jlock_snapshot *snapshot; /* of a journal that holds `before` */

#define BEFORE "# codegraph-journal v1 1000\nbefore\n"

static struct jlock *as_before(uint32_t flags) {
  write_file(JOURNAL, BEFORE);
  struct jlock *lock = open_with(flags, 100);
  OK(jlock_read(lock, &snapshot));
  return lock;
}

static void is_in_order(struct jlock *lock) {
  OK(acquire_and_release(lock));
  holds(JOURNAL, BEFORE);
  OK(append(lock, "after"));
  CHECK(!exists(LOCK));
  holds(JOURNAL, BEFORE "after\n");
}

/* Lets every allocation of `act` fail in turn, on a new handle each time. `act` must return 0 once none of them
 * fails. */
static void at_each_allocation(uint32_t flags, int (*prepare)(struct jlock *), int (*act)(struct jlock *), int modes) {
  for (int mode = ONE_FAILS; mode <= modes; mode++) {
    for (long at = 0;; at++) {
      struct jlock *lock = as_before(flags);
      if (prepare) OK(prepare(lock));
      left = at;
      refused = 0;
      memory = mode;
      int rc = act(lock);
      memory = PLENTY;
      if (!refused) {
        OK(rc);
        CHECK(at > 0);
        jlock_snapshot_free(snapshot);
        OK(jlock_close(lock));
        break;
      }
      /* The library goes on if it can do without the memory. */
      if (rc != 0) {
        IS(rc, -ENOMEM);
        CHECK(strstr(message(lock), "memory"));
        if (prepare) jlock_release(lock); /* the hold may be gone already */
        is_in_order(lock);
      }
      jlock_snapshot_free(snapshot);
      OK(jlock_close(lock));
      CHECK(!exists(LOCK));
    }
  }
}

static int append_one(struct jlock *lock) { return append(lock, "path"); }
static int stamp_one(struct jlock *lock) { return append_stamped(lock, "path", 1001); }
static int write_longer_header(struct jlock *lock) { return jlock_write_header(lock, 10000); }
static int rewrite_for_a_stamp(struct jlock *lock) { return append_stamped(lock, "path", 10000); }
static int checkpoint(struct jlock *lock) { 
  int rc = jlock_checkpoint(lock, snapshot, 2000);
  return rc < 0 ? rc : rc - 1; /* 1 says that it dropped what was read */
}

static int read_again(struct jlock *lock) {
  struct jlock_snapshot *again;
  int rc = jlock_read(lock, &again);
  CHECK(!rc == !!again);
  jlock_snapshot_free(again);
  return rc;
}

static int look(struct jlock *lock) {
  struct jlock_holder holder;
  return jlock_inspect(lock, &holder, sizeof holder);
}

static int wait_on_descriptor(struct jlock *lock) {
  int rc = jlock_wait_fd(lock);
  return rc < 0 ? rc : 0;
}

static int time_out(struct jlock *lock) {
  int rc = jlock_acquire_for(lock, 1);
  if (rc == -ETIMEDOUT) rc = jlock_acquire_start(lock, 60000);
  if (rc != -EINPROGRESS) return rc;
  rc = wait_on_descriptor(lock);
  if (rc) return rc;
  OK(jlock_cancel(lock));
  rc = jlock_acquire_poll(lock);
  return rc == -ECANCELED ? 0 : rc;
}

static void running_out_of_memory_is_reported_and_survived(void) {
  listen();
  at_each_allocation(0, NULL, acquire_and_release, NONE_FROM_THEN_ON);
  at_each_allocation(0, NULL, append_one, NONE_FROM_THEN_ON);
  at_each_allocation(0, NULL, stamp_one, NONE_FROM_THEN_ON);
  at_each_allocation(0, NULL, rewrite_for_a_stamp, NONE_FROM_THEN_ON);
  at_each_allocation(0, NULL, write_longer_header, NONE_FROM_THEN_ON);
  at_each_allocation(0, NULL, checkpoint, NONE_FROM_THEN_ON);
  at_each_allocation(0, NULL, read_again, NONE_FROM_THEN_ON);
  at_each_allocation(0, acquire_and_release, append_one, NONE_FROM_THEN_ON);
  nothing_was_said();
}

static void running_out_of_memory_under_a_hold_is_survived(void) {
  at_each_allocation(0, jlock_acquire, append_one, NONE_FROM_THEN_ON);
  at_each_allocation(0, jlock_acquire, rewrite_for_a_stamp, NONE_FROM_THEN_ON);
  at_each_allocation(0, jlock_acquire, checkpoint, NONE_FROM_THEN_ON);
  at_each_allocation(0, jlock_acquire, read_again, NONE_FROM_THEN_ON);
  at_each_allocation(0, jlock_acquire, look, NONE_FROM_THEN_ON);
}

static void want_of_memory_does_not_cost_a_hold(void) {
  struct jlock *lock = as_before(0);
  OK(jlock_acquire(lock));
  memory = NONE_FROM_THEN_ON;
  left = 0;
  int rc = look(lock);
  memory = PLENTY;
  IS(rc, -ENOMEM);
  OK(jlock_release(lock));
  jlock_snapshot_free(snapshot);
  OK(jlock_close(lock));
}

/* A dead holder's lock, which must be claimed. */
static int leave_a_dead_lock(struct jlock *lock) {
  (void)lock;
  kill_child(holder());
  CHECK(exists(LOCK));
  return 0;
}

static void running_out_of_memory_in_a_takeover_is_survived(void) {
  at_each_allocation(0, leave_a_dead_lock, acquire_and_release, NONE_FROM_THEN_ON);
  at_each_allocation(0, leave_a_dead_lock, look, NONE_FROM_THEN_ON);
}

static void running_out_of_memory_while_waiting_is_survived(void) {
  for (int mode = ONE_FAILS; mode <= NONE_FROM_THEN_ON; mode++) {
    int done = 0;
    for (long at = 0; !done; at++) {
      struct jlock *other = as_before(0), *lock = open_with(0, 100);
      OK(jlock_acquire(other));
      left = at;
      refused = 0;
      memory = mode;
      int rc = time_out(lock);
      memory = PLENTY;
      done = !refused;
      if (rc != 0 || done) IS(rc, done ? 0 : -ENOMEM);
      OK(jlock_release(other));
      is_in_order(lock);
      jlock_snapshot_free(snapshot);
      OK(jlock_close(other));
      OK(jlock_close(lock));
    }
  }
}

static void want_of_memory_keeps_a_handle_from_opening(void) {
  write_file(LOCK ".1-0123456789abcdef.tmp", "1\n1-0123456789abcdef\njlock/1 boot=\n"); /* something to sweep */
  struct jlock_options options;
  jlock_options_init(&options, sizeof options);
  for (unsigned flags = 0; flags <= JLOCK_KEEPALIVE; flags += JLOCK_KEEPALIVE) {
    options.flags = flags;
    for (int mode = ONE_FAILS; mode <= NONE_FROM_THEN_ON; mode++) {
      for (long at = 0;; at++) {
        struct jlock *lock;
        left = at;
        refused = 0;
        memory = mode;
        int rc = jlock_open(dir, &options, sizeof options, &lock);
        memory = PLENTY;
        CHECK(!rc == !!lock);
        if (rc) IS(rc, -ENOMEM);
        OK(jlock_close(lock));
        if (!refused) break;
      }
    }
  }
}

static void want_of_memory_does_not_keep_a_handle_from_closing(void) {
  for (int mode = ONE_FAILS; mode <= NONE_FROM_THEN_ON; mode++) {
    for (long at = 0;; at++) {
      struct jlock *lock = open_with(JLOCK_KEEPALIVE, 100);
      OK(jlock_acquire(lock));
      left = at;
      refused = 0;
      memory = mode;
      int rc = jlock_close(lock);
      memory = PLENTY;
      if (rc) IS(rc, -ENOMEM);
      lock = open_default();
      OK(acquire_and_release(lock));
      OK(jlock_close(lock));
      if (!refused) break;
    }
  }
}

const struct claim claims[] = {
    CLAIM(a_panic_is_silent_and_its_message_arrives),
    CLAIM(after_a_panic_a_handle_can_only_be_closed),
    CLAIM(a_thread_that_met_a_panic_goes_on),
    CLAIM(running_out_of_memory_is_reported_and_survived),
    CLAIM(running_out_of_memory_under_a_hold_is_survived),
    CLAIM(want_of_memory_does_not_cost_a_hold),
    CLAIM(running_out_of_memory_in_a_takeover_is_survived),
    CLAIM(running_out_of_memory_while_waiting_is_survived),
    CLAIM(want_of_memory_keeps_a_handle_from_opening),
    CLAIM(want_of_memory_does_not_keep_a_handle_from_closing),
    END_OF_CLAIMS,
};

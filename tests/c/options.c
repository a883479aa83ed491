/* Structs with a size, and what the options mean. */
#include "claim.h"

/* Options of a later version: fields that this one does not know. */
struct later {
  struct jlock_options known;
  uint32_t added[4];
};

static struct later defaults(uint32_t size) {
  struct later options = {0};
  jlock_options_init(&options.known);
  options.known.size = size;
  return options;
}

static int try_open(const struct later *options) {
  struct jlock *lock = (struct jlock *)&lock;
  int rc = jlock_open(dir, &options->known, &lock);
  CHECK((rc == 0) == (lock != NULL));
  jlock_close(lock);
  return rc;
}

static void init_sets_the_size_and_the_defaults(void) {
  struct jlock_options options;
  memset(&options, 0xff, sizeof options);
  jlock_options_init(&options);
  CHECK(options.size == sizeof options && options.flags == 0 && options.timeout_ms == 5000);
  CHECK(options.retry_ms == 25 && options.stale_ms == 30000 && options.settle_ms == 100);
}

static void init_ignores_null(void) { jlock_options_init(NULL); }

static void null_options_are_the_defaults(void) { jlock_close(open_default()); }

static void a_struct_of_the_first_size_is_taken(void) {
  struct later options = defaults(24);
  memset(options.added, 0xff, sizeof options.added); /* not looked at */
  OK(try_open(&options));
}

static void a_longer_struct_with_a_zero_tail_is_taken(void) {
  struct later options = defaults(sizeof options);
  OK(try_open(&options));
}

static void a_longer_struct_with_something_in_its_tail_is_too_big(void) {
  for (size_t at = 0; at < sizeof(uint32_t[4]); at++) {
    struct later options = defaults(sizeof options);
    ((char *)options.added)[at] = 1;
    IS(try_open(&options), -E2BIG);
  }
}

static void a_struct_larger_than_a_page_is_too_big(void) {
  static union {
    struct jlock_options options;
    char bytes[8192];
  } huge;
  jlock_options_init(&huge.options);
  huge.options.size = sizeof huge;
  struct jlock *lock;
  IS(jlock_open(dir, &huge.options, &lock), -E2BIG);
  huge.options.size = UINT32_MAX;
  IS(jlock_open(dir, &huge.options, &lock), -E2BIG);
}

static void a_struct_shorter_than_the_first_is_invalid(void) {
  for (uint32_t size = 0; size < 24; size++) {
    struct later options = defaults(size);
    IS(try_open(&options), -EINVAL);
  }
}

static void every_known_flag_is_taken_and_no_other(void) {
  for (int bit = 0; bit < 32; bit++) {
    struct later options = defaults(24);
    options.known.flags = (uint32_t)1 << bit;
    IS(try_open(&options), bit < 3 ? 0 : -EINVAL);
  }
}

static void retry_and_stale_must_not_be_zero(void) {
  struct later options = defaults(24);
  options.known.retry_ms = 0;
  IS(try_open(&options), -EINVAL);
  options = defaults(24);
  options.known.stale_ms = 0;
  IS(try_open(&options), -EINVAL);
}

static void extreme_times_are_taken(void) {
  struct later options = defaults(24);
  options.known.timeout_ms = INT32_MIN;
  options.known.retry_ms = options.known.stale_ms = options.known.settle_ms = UINT32_MAX;
  OK(try_open(&options));
  options.known.settle_ms = 0;
  OK(try_open(&options));
}

static void a_missing_directory_is_made_with_those_above_it(void) {
  struct jlock *lock;
  OK(jlock_open(path_of("a/b/c"), NULL, &lock));
  CHECK(exists("a/b/c"));
  jlock_close(lock);
}

static void no_create_leaves_a_missing_directory_missing(void) {
  struct jlock_options options;
  jlock_options_init(&options);
  options.flags = JLOCK_NO_CREATE;
  struct jlock *lock;
  IS(jlock_open(path_of("a"), &options, &lock), -ENOENT);
  CHECK(!lock && !exists("a"));
}

static void a_time_out_of_zero_does_not_wait(void) {
  struct jlock *one = open_default(), *two = open_with(0, 0);
  OK(jlock_acquire(one));
  int64_t begun = now_ms();
  IS(jlock_acquire(two), -ETIMEDOUT);
  CHECK(now_ms() - begun < 1000);
  jlock_close(two);
  jlock_close(one);
}

static struct jlock_holder fill(uint32_t size, int expected, char *beyond) {
  union {
    struct jlock_holder holder;
    char bytes[sizeof(struct jlock_holder) + 64];
  } out;
  memset(&out, 0x55, sizeof out);
  out.holder.size = size;
  struct jlock *lock = open_default();
  IS(jlock_inspect(lock, &out.holder), expected);
  jlock_close(lock);
  for (size_t at = expected ? 4 : size; at < sizeof out; at++) CHECK(out.bytes[at] == 0x55);
  *beyond = out.bytes[sizeof(struct jlock_holder)];
  return out.holder;
}

static void a_holder_of_the_first_size_is_filled_and_nothing_beyond(void) {
  char beyond;
  struct jlock_holder holder = fill(152, 0, &beyond);
  CHECK(holder.size == 152 && holder.state == JLOCK_FREE && !*holder.nonce && !*holder.host);
}

static void a_longer_holder_ends_in_zeros(void) {
  char beyond;
  struct jlock_holder holder = fill(sizeof holder + 64, 0, &beyond);
  CHECK(holder.size == sizeof holder + 64 && beyond == 0);
}

static void a_holder_without_a_size_is_invalid(void) {
  char beyond;
  fill(0, -EINVAL, &beyond);
  fill(151, -EINVAL, &beyond);
}

const struct claim claims[] = {
    CLAIM(init_sets_the_size_and_the_defaults),
    CLAIM(init_ignores_null),
    CLAIM(null_options_are_the_defaults),
    CLAIM(a_struct_of_the_first_size_is_taken),
    CLAIM(a_longer_struct_with_a_zero_tail_is_taken),
    CLAIM(a_longer_struct_with_something_in_its_tail_is_too_big),
    CLAIM(a_struct_larger_than_a_page_is_too_big),
    CLAIM(a_struct_shorter_than_the_first_is_invalid),
    CLAIM(every_known_flag_is_taken_and_no_other),
    CLAIM(retry_and_stale_must_not_be_zero),
    CLAIM(extreme_times_are_taken),
    CLAIM(a_missing_directory_is_made_with_those_above_it),
    CLAIM(no_create_leaves_a_missing_directory_missing),
    CLAIM(a_time_out_of_zero_does_not_wait),
    CLAIM(a_holder_of_the_first_size_is_filled_and_nothing_beyond),
    CLAIM(a_longer_holder_ends_in_zeros),
    CLAIM(a_holder_without_a_size_is_invalid),
    END_OF_CLAIMS,
};

/* Structs and their sizes, and what the options mean. */
#include "claim.h"

enum { FIRST = 20 }; /* the size of the first version's options */

/* Options of a later version, with fields that this version does not know. */
struct later {
  struct jlock_options known;
  uint32_t added[4];
};

static struct later defaults(void) {
  struct later options;
  memset(&options, 0xff, sizeof options);
  jlock_options_init(&options.known, sizeof options);
  return options;
}

static int try_open(const struct later *options, size_t size) {
  struct jlock *lock = (struct jlock *)&lock;
  int rc = jlock_open(dir, &options->known, size, &lock);
  CHECK((rc == 0) == (lock != NULL));
  OK(jlock_close(lock));
  return rc;
}

static void init_sets_the_defaults(void) {
  struct jlock_options options;
  memset(&options, 0xff, sizeof options);
  jlock_options_init(&options, sizeof options);
  CHECK(options.flags == 0 && options.timeout_ms == 5000);
  CHECK(options.retry_ms == 25 && options.stale_ms == 30000 && options.settle_ms == 100);
}

static void init_ignores_null(void) { jlock_options_init(NULL, sizeof(struct jlock_options)); }

static void init_writes_what_the_size_says_and_nothing_beyond(void) {
  struct later options;
  memset(&options, 0xff, sizeof options);
  jlock_options_init(&options.known, FIRST);
  for (size_t at = FIRST; at < sizeof options; at++) CHECK(((unsigned char *)&options)[at] == 0xff);
  CHECK(options.known.settle_ms == 100);
  jlock_options_init(&options.known, sizeof options);
  for (size_t at = sizeof(struct jlock_options); at < sizeof options; at++) CHECK(((char *)&options)[at] == 0);
}

static void init_ignores_a_size_that_no_version_has(void) {
  const size_t sizes[] = {0, FIRST - 1, 4097, SIZE_MAX};
  struct jlock_options options = {.timeout_ms = 4711};
  for (size_t at = 0; at < sizeof sizes / sizeof *sizes; at++) jlock_options_init(&options, sizes[at]);
  CHECK(options.timeout_ms == 4711 && options.retry_ms == 0);
}

static void null_options_are_the_defaults_whatever_the_size(void) {
  struct jlock *lock;
  OK(jlock_close(open_default()));
  OK(jlock_open(dir, NULL, SIZE_MAX, &lock));
  OK(jlock_close(lock));
}

static void a_struct_of_the_first_size_is_taken(void) {
  struct later options = defaults();
  memset((char *)&options + FIRST, 0xff, sizeof options - FIRST); /* the library must not look at these */
  OK(try_open(&options, FIRST));
}

static void a_longer_struct_with_a_zero_tail_is_taken(void) {
  struct later options = defaults();
  OK(try_open(&options, sizeof options));
}

static void a_longer_struct_with_something_in_its_tail_is_too_big(void) {
  for (size_t at = 0; at < sizeof(uint32_t[4]); at++) {
    struct later options = defaults();
    ((char *)options.added)[at] = 1;
    IS(try_open(&options, sizeof options), -E2BIG);
  }
}

static void a_struct_larger_than_a_page_is_too_big(void) {
  static union {
    struct jlock_options options;
    char bytes[8192];
  } huge;
  jlock_options_init(&huge.options, sizeof huge.options);
  struct jlock *lock;
  OK(jlock_open(dir, &huge.options, 4096, &lock));
  OK(jlock_close(lock));
  IS(jlock_open(dir, &huge.options, 4097, &lock), -E2BIG);
  IS(jlock_open(dir, &huge.options, SIZE_MAX, &lock), -E2BIG);
}

static void a_struct_shorter_than_the_first_is_invalid(void) {
  for (size_t size = 0; size < FIRST; size++) {
    struct later options = defaults();
    IS(try_open(&options, size), -EINVAL);
  }
}

static void every_known_flag_is_accepted_and_no_other(void) {
  for (int bit = 0; bit < 32; bit++) {
    struct later options = defaults();
    options.known.flags = (uint32_t)1 << bit;
    IS(try_open(&options, FIRST), bit < 3 ? 0 : -EINVAL);
  }
}

static void retry_and_stale_must_not_be_zero(void) {
  struct later options = defaults();
  options.known.retry_ms = 0;
  IS(try_open(&options, FIRST), -EINVAL);
  options = defaults();
  options.known.stale_ms = 0;
  IS(try_open(&options, FIRST), -EINVAL);
}

static void extreme_times_are_taken(void) {
  struct later options = defaults();
  options.known.timeout_ms = INT32_MIN;
  options.known.retry_ms = options.known.stale_ms = options.known.settle_ms = UINT32_MAX;
  OK(try_open(&options, FIRST));
  options.known.settle_ms = 0;
  OK(try_open(&options, FIRST));
}

static void a_missing_directory_is_made_with_those_above_it(void) {
  struct jlock *lock;
  OK(jlock_open(path_of("a/b/c"), NULL, 0, &lock));
  CHECK(exists("a/b/c"));
  OK(jlock_close(lock));
}

static void no_create_leaves_a_missing_directory_missing(void) {
  struct jlock_options options;
  jlock_options_init(&options, sizeof options);
  options.flags = JLOCK_NO_CREATE;
  struct jlock *lock;
  IS(jlock_open(path_of("a"), &options, sizeof options, &lock), -ENOENT);
  CHECK(!lock && !exists("a"));
}

static void a_timeout_of_zero_does_not_wait(void) {
  struct jlock *one = open_default(), *two = open_with(0, 0);
  OK(jlock_acquire(one));
  int64_t begun = now_ms();
  IS(jlock_acquire(two), -ETIMEDOUT);
  CHECK(now_ms() - begun < 5000); /* the default timeout */
  OK(jlock_close(two));
  OK(jlock_close(one));
}

/* Fills a holder of this size, and checks that nothing was written beyond it, or nothing at all if the call failed. */
static struct jlock_holder fill(size_t size, int expected) {
  union {
    struct jlock_holder holder;
    char bytes[sizeof(struct jlock_holder) + 64];
  } out;
  memset(&out, 0x55, sizeof out);
  struct jlock *lock = open_default();
  IS(jlock_inspect(lock, &out.holder, size), expected);
  OK(jlock_close(lock));
  for (size_t at = expected ? 0 : size; at < sizeof out; at++) CHECK(out.bytes[at] == 0x55);
  for (size_t at = sizeof(struct jlock_holder); !expected && at < size; at++) CHECK(out.bytes[at] == 0);
  return out.holder;
}

static void a_holder_of_the_first_size_is_filled_and_nothing_beyond(void) {
  struct jlock_holder holder = fill(152, 0);
  CHECK(holder.state == JLOCK_FREE && !*holder.nonce && !*holder.host);
}

static void a_longer_holder_ends_in_zeros(void) { fill(sizeof(struct jlock_holder) + 64, 0); }

static void a_holder_of_a_size_that_no_version_has_is_refused(void) {
  fill(0, -EINVAL);
  fill(151, -EINVAL);
  fill(4097, -E2BIG);
  fill(SIZE_MAX, -E2BIG);
}

static void a_place_is_refused_or_filled_by_its_size(void) {
  char bytes[sizeof(struct jlock_place) + 64];
  struct jlock_place *place = (struct jlock_place *)(void *)bytes;
  memset(bytes, 0x55, sizeof bytes);
  IS(jlock_probe(dir, place, 295), -EINVAL);
  IS(jlock_probe(dir, place, 4097), -E2BIG);
  IS(jlock_probe(path_of("none"), place, sizeof *place), -ENOENT);
  for (size_t at = 0; at < sizeof bytes; at++) CHECK(bytes[at] == 0x55);
  OK(jlock_probe(dir, place, 296));
  for (size_t at = 296; at < sizeof bytes; at++) CHECK(bytes[at] == 0x55);
  OK(jlock_probe(dir, place, sizeof bytes));
  for (size_t at = sizeof *place; at < sizeof bytes; at++) CHECK(bytes[at] == 0);
}

const struct claim claims[] = {
    CLAIM(init_sets_the_defaults),
    CLAIM(init_ignores_null),
    CLAIM(init_writes_what_the_size_says_and_nothing_beyond),
    CLAIM(init_ignores_a_size_that_no_version_has),
    CLAIM(null_options_are_the_defaults_whatever_the_size),
    CLAIM(a_struct_of_the_first_size_is_taken),
    CLAIM(a_longer_struct_with_a_zero_tail_is_taken),
    CLAIM(a_longer_struct_with_something_in_its_tail_is_too_big),
    CLAIM(a_struct_larger_than_a_page_is_too_big),
    CLAIM(a_struct_shorter_than_the_first_is_invalid),
    CLAIM(every_known_flag_is_accepted_and_no_other),
    CLAIM(retry_and_stale_must_not_be_zero),
    CLAIM(extreme_times_are_taken),
    CLAIM(a_missing_directory_is_made_with_those_above_it),
    CLAIM(no_create_leaves_a_missing_directory_missing),
    CLAIM(a_timeout_of_zero_does_not_wait),
    CLAIM(a_holder_of_the_first_size_is_filled_and_nothing_beyond),
    CLAIM(a_longer_holder_ends_in_zeros),
    CLAIM(a_holder_of_a_size_that_no_version_has_is_refused),
    CLAIM(a_place_is_refused_or_filled_by_its_size),
    END_OF_CLAIMS,
};

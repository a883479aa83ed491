/* A bug in the shared library is contained too, although its unwinder may not be the program's. This is contained.c's
 * trick, but a shared library cannot be linked with --wrap: instead it takes the program's memchr for the C
 * library's. */
#include "../c/claim.h"

static int lies;

void *memchr(const void *from, int byte, size_t size) {
  const volatile unsigned char *at = from; /* volatile, or the compiler replaces the loop with a call of memchr */
  if (lies) return (char *)from + size + 1;
  for (; size > 0; size--, at++)
    if (*at == (unsigned char)byte) return (void *)at;
  return NULL;
}

static void a_panic_in_the_shared_library_is_contained(void) {
  struct jlock *lock = open_default();
  struct jlock_snapshot *snapshot = NULL;
  OK(append_stamped(lock, "a", 1));
  lies = 1;
  int rc = jlock_read(lock, &snapshot);
  lies = 0;
  IS(rc, JLOCK_EPANIC);
  const char *said = message(lock);
  if (!strstr(said, "src/journal/") || !strstr(said, "out of range")) fail(__FILE__, __LINE__, "it said: %s", said);
  IS(jlock_close(lock), JLOCK_EPANIC);
}

static void the_shared_library_locks_and_appends(void) {
  struct jlock *lock = open_default();
  OK(jlock_acquire(lock));
  OK(append_stamped(lock, "a", 1));
  OK(jlock_release(lock));
  OK(jlock_close(lock));
  holds(JOURNAL, "# codegraph-journal v1 1\na\n");
}

const struct claim claims[] = {
    CLAIM(a_panic_in_the_shared_library_is_contained),
    CLAIM(the_shared_library_locks_and_appends),
    END_OF_CLAIMS,
};

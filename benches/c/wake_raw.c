/* wake_raw FILE: does the least that a waiter for a lockfile can do. Like peer.c, it does what standard input says:
 *   a  makes the file, and says when it had it
 *   w  waits with inotify until the file is gone, and says when it learnt that
 *   r  removes the file, and says when it began to */

#include <inttypes.h>
#include <sys/inotify.h>
#include "raw.h"

static const char *path;
static int held;

static int64_t wait_until_gone(void) {
  struct inotify_event event; /* for a watched file, no name follows */
  int queue = check(inotify_init1(IN_CLOEXEC), "inotify_init1");
  check(inotify_add_watch(queue, path, IN_ATTRIB | IN_ONESHOT), path);
  check(read(queue, &event, sizeof event), "read");
  int64_t told = now_ns();
  close(queue);
  held = raw_lock(path);
  return told;
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  path = argv[1];
  for (int told; (told = getchar()) != EOF;) {
    int64_t at = now_ns();
    if (told == 'r') raw_unlock(path, held);
    if (told == 'a') held = raw_lock(path);
    if (told == 'a') at = now_ns();
    if (told == 'w') at = wait_until_gone();
    printf("%" PRId64 " 0\n", at);
    fflush(stdout);
  }
  return 0;
}

/* jlock status and watch: who holds the lock. Neither takes it. */
#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static void print_object(const struct arguments *arguments, const struct jlock_holder *holder, int64_t seen_ms) {
  fputs("\"dir\":", stdout);
  json_string(stdout, arguments->dir, strlen(arguments->dir));
  putchar(',');
  print_holder_json(holder, seen_ms);
  fputs("}\n", stdout);
}

static int inspect(struct jlock *lock, struct jlock_holder *holder) {
  *holder = (struct jlock_holder){.size = sizeof *holder};
  return jlock_inspect(lock, holder);
}

/* --------------------------------------------------------------------------------------------------------- status */

static void print_status(const struct arguments *arguments, const struct jlock_holder *holder) {
  int64_t now = now_ms();
  if (arguments->json) {
    putchar('{');
    print_object(arguments, holder, now);
    return;
  }
  char since[TIME_SIZE];
  format_time(now - holder->age_ms, since);
  printf("%s: ", arguments->dir);
  print_holder(holder);
  if (holder->state != JLOCK_FREE) printf("; last sign of life %.1f s ago, %s", (double)holder->age_ms / 1e3, since);
  putchar('\n');
}

int do_status(const struct arguments *arguments) {
  struct jlock *lock;
  struct jlock_holder holder;
  int code = open_lock(arguments, &lock);
  if (code) return code;
  int rc = inspect(lock, &holder);
  if (rc) code = complain(arguments, lock, rc);
  jlock_close(lock);
  if (rc) return code;
  if (!arguments->quiet) print_status(arguments, &holder);
  if (holder.state == JLOCK_FREE) return STATUS_FREE;
  return holder.state == JLOCK_ABANDONED ? STATUS_ABANDONED : STATUS_HELD;
}

/* ---------------------------------------------------------------------------------------------------------- watch */

/* Looks at the lock when its directory is heard of, and a few times soon after: a dying holder closes its files before
 * its death can be seen. (jlock_wait_fd() tells of the end of one hold; here, beginnings matter as well.) What no event
 * tells of, such as the death of a shipped peer, or a change on another machine, is found within the longest pause. */
enum { SHORTEST_PAUSE_MS = 1, LONGEST_PAUSE_MS = 500, LONGEST_DEAF_PAUSE_MS = 25 };

enum { EVENTS = IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM | IN_MODIFY | IN_CLOSE_WRITE };

struct ear {
  int queue; /* below 0: no inotify to be had */
  int pause_ms;
};

static struct ear prick_up(const char *dir) {
  int queue = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (queue >= 0 && inotify_add_watch(queue, dir, EVENTS | IN_ONLYDIR) < 0) {
    close(queue);
    queue = -1;
  }
  return (struct ear){queue, SHORTEST_PAUSE_MS};
}

static bool tells_of_the_end(const char *events, size_t length) {
  struct inotify_event event;
  for (size_t at = 0; at < length; at += sizeof event + event.len) {
    memcpy(&event, events + at, sizeof event);
    if (event.mask & IN_IGNORED) return true;
  }
  return false;
}

/* Waits for an event, or the time to look without one. False: the directory was removed. */
static bool hear(struct ear *ear) {
  struct pollfd poll_for = {.fd = ear->queue, .events = POLLIN};
  if (poll(&poll_for, 1, ear->pause_ms) <= 0) {
    int longest = ear->queue < 0 ? LONGEST_DEAF_PAUSE_MS : LONGEST_PAUSE_MS;
    ear->pause_ms = 2 * ear->pause_ms < longest ? 2 * ear->pause_ms : longest;
    return true;
  }
  char events[4096];
  ear->pause_ms = SHORTEST_PAUSE_MS;
  for (ssize_t got; (got = read(ear->queue, events, sizeof events)) > 0;)
    if (tells_of_the_end(events, (size_t)got)) return false;
  return true;
}

static bool is_same(const struct jlock_holder *a, const struct jlock_holder *b) {
  return a->state == b->state && a->pid == b->pid && !strcmp(a->nonce, b->nonce);
}

static void print_change(const struct arguments *arguments, const struct jlock_holder *holder) {
  int64_t now = now_ms();
  char time[TIME_SIZE];
  format_time(now, time);
  if (arguments->json) {
    printf("{\"time\":\"%s\",", time);
    print_object(arguments, holder, now);
  } else {
    printf("%s ", time);
    print_holder(holder);
    putchar('\n');
  }
}

static int watch(struct jlock *lock, const struct arguments *arguments, struct ear *ear) {
  struct jlock_holder seen = {.state = -1}, now;
  long lines = 0;
  int rc;
  while (!(rc = inspect(lock, &now))) {
    if (!is_same(&seen, &now)) {
      seen = now;
      print_change(arguments, &now);
      int code = flush_output(0);
      if (code || ++lines == arguments->lines) return code;
    }
    if (!hear(ear)) return complain(arguments, NULL, -ENOENT);
  }
  return complain(arguments, lock, rc);
}

int do_watch(const struct arguments *arguments) {
  struct jlock *lock;
  int code = open_lock(arguments, &lock);
  if (code) return code;
  struct ear ear = prick_up(arguments->dir); /* before the first look: no change is missed */
  code = watch(lock, arguments, &ear);
  if (ear.queue >= 0) close(ear.queue);
  jlock_close(lock);
  return code;
}

/* jlock status and watch: who holds the lock. Neither takes it. */
#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
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

/* Waits for an event, or the time to look without one. */
static void hear(struct ear *ear) {
  struct pollfd poll_for = {.fd = ear->queue, .events = POLLIN};
  if (poll(&poll_for, 1, ear->pause_ms) > 0) {
    char events[4096];
    while (read(ear->queue, events, sizeof events) > 0) continue; /* that there were some is all that matters */
    ear->pause_ms = SHORTEST_PAUSE_MS;
  } else {
    int longest = ear->queue < 0 ? LONGEST_DEAF_PAUSE_MS : LONGEST_PAUSE_MS;
    ear->pause_ms = 2 * ear->pause_ms < longest ? 2 * ear->pause_ms : longest;
  }
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

/* The handle keeps the directory that it opened, whose lock would seem free for ever once it is removed. */
static bool is_there(const char *dir, const struct stat *opened) {
  struct stat now;
  return !stat(dir, &now) && now.st_ino == opened->st_ino && now.st_dev == opened->st_dev;
}

static int watch(struct jlock *lock, const struct arguments *arguments, struct ear *ear) {
  struct jlock_holder seen = {.state = -1}, now;
  struct stat opened;
  long lines = 0;
  if (stat(arguments->dir, &opened)) return complain_errno(arguments->dir, EXIT_NO_INPUT);
  int rc;
  while (!(rc = inspect(lock, &now))) {
    if (!is_same(&seen, &now)) {
      seen = now;
      print_change(arguments, &now);
      int code = flush_output(0);
      if (code || ++lines == arguments->lines) return code;
    }
    hear(ear);
    if (!is_there(arguments->dir, &opened)) return complain(arguments, NULL, -ENOENT);
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

/* jlock status and watch: say who holds the lock. Neither takes it. */
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

/* --------------------------------------------------------------------------------------------------------- status */

static void print_status(const struct arguments *arguments, const struct jlock_holder *holder) {
  int64_t now = now_ms();
  if (arguments->json) {
    putchar('{');
    print_object(arguments, holder, now);
    return;
  }
  char time[TIME_SIZE];
  printf("%s: ", arguments->dir);
  print_holder(holder);
  if (holder->state != JLOCK_FREE) {
    format_time(now - holder->held_ms, time);
    if (holder->held_ms >= 0) printf("; since %.1f s ago, %s", (double)holder->held_ms / 1e3, time);
    format_time(now - holder->age_ms, time);
    printf("; last sign of life %.1f s ago, %s", (double)holder->age_ms / 1e3, time);
  }
  putchar('\n');
}

int do_status(const struct arguments *arguments) {
  struct jlock *lock;
  struct jlock_holder holder;
  int code = open_lock(arguments, &lock);
  if (code) return code;
  int rc = jlock_inspect(lock, &holder, sizeof holder);
  if (rc) code = complain(arguments, lock, rc);
  code = close_lock(arguments, lock, code);
  if (code) return code;
  if (!arguments->quiet) print_status(arguments, &holder);
  if (holder.state == JLOCK_FREE) return STATUS_FREE;
  return holder.state == JLOCK_ABANDONED ? STATUS_ABANDONED : STATUS_HELD;
}

/* ---------------------------------------------------------------------------------------------------------- watch */

/* Looks at the lock whenever something happens in its directory, and a few times soon after: a dying holder closes its
 * files before its death can be seen. (jlock_wait_fd() is for programs that want the lock; here, every change matters.) What
 * no event reports, such as the death of a shipped peer or a change on another machine, shows within the longest pause. */
enum { SHORTEST_PAUSE_MS = 1, LONGEST_PAUSE_MS = 500, LONGEST_DEAF_PAUSE_MS = 25 };

enum { EVENTS = IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM | IN_MODIFY | IN_CLOSE_WRITE };

struct ear {
  int queue; /* below 0: there is no inotify */
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
    while (read(ear->queue, events, sizeof events) > 0) continue; /* it only matters that there were some */
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

/* What is watched. The directory may be removed, moved away or replaced meanwhile. */
struct watcher {
  const struct arguments *arguments;
  struct jlock *lock;
  struct ear ear;
  struct stat opened;
  struct jlock_holder seen;
  long lines;
};

/* Returns whether to continue; if not, *code is the exit code. */
static bool show(struct watcher *watcher, const struct jlock_holder *now, int *code) {
  if (is_same(&watcher->seen, now)) return true;
  watcher->seen = *now;
  print_change(watcher->arguments, now);
  *code = flush_output(0);
  return !*code && ++watcher->lines != watcher->arguments->lines;
}

static bool is_there(const struct watcher *watcher) {
  struct stat now;
  return !stat(watcher->arguments->dir, &now) && now.st_ino == watcher->opened.st_ino &&
         now.st_dev == watcher->opened.st_dev;
}

/* Opens the directory that the path names now. Returns the library's error. */
static int open_watched(struct watcher *watcher) {
  int rc = open_named(watcher->arguments, &watcher->lock);
  if (rc) return rc;
  watcher->ear = prick_up(watcher->arguments->dir); /* before the first look: no change is missed */
  /* If it is gone again, it compares equal to nothing, and the next look opens it again. */
  if (stat(watcher->arguments->dir, &watcher->opened)) watcher->opened = (struct stat){0};
  return 0;
}

static int close_watched(struct watcher *watcher, int code) {
  if (watcher->ear.queue >= 0) close(watcher->ear.queue);
  watcher->ear = (struct ear){-1, SHORTEST_PAUSE_MS};
  return close_lock(watcher->arguments, watcher->lock, code);
}

/* Waits until there is a directory again; meanwhile nobody holds a lock in it. Returns whether to continue. */
static bool follow(struct watcher *watcher, int *code) {
  const struct jlock_holder nobody = {.state = JLOCK_FREE};
  *code = close_watched(watcher, 0);
  watcher->lock = NULL;
  int rc = 0;
  while (!*code && (rc = open_watched(watcher)) == -ENOENT) {
    if (!show(watcher, &nobody, code)) return false;
    hear(&watcher->ear);
  }
  if (rc) *code = complain(watcher->arguments, NULL, rc);
  return !*code;
}

static int watch(struct watcher *watcher) {
  struct jlock_holder now;
  int code = 0;
  for (;;) {
    int rc = jlock_inspect(watcher->lock, &now, sizeof now);
    if (rc && rc != -ENOENT) return complain(watcher->arguments, watcher->lock, rc);
    if (!rc) {
      if (!show(watcher, &now, &code)) return code;
      hear(&watcher->ear);
    }
    /* The directory may also have gone between the look at it and that at the lock. */
    if ((rc || !is_there(watcher)) && !follow(watcher, &code)) return code;
  }
}

int do_watch(const struct arguments *arguments) {
  struct watcher watcher = {.arguments = arguments, .seen = {.state = -1}};
  int rc = open_watched(&watcher);
  if (rc) return complain(arguments, NULL, rc);
  int code = watch(&watcher);
  return close_watched(&watcher, code);
}

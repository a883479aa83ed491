/* Prints a holder, for people and as JSON. */
#include "cli.h"

#include <string.h>
#include <time.h>

static const char *const states[] = {"free", "held", "held", "abandoned"}; /* by JLOCK_FREE ... */
static const char *const peers[] = {"none", "library", "shipped", "unknown"}; /* by JLOCK_PEER_NONE ... */

void format_time(int64_t ms, char text[TIME_SIZE]) {
  int64_t rest = (ms % 1000 + 1000) % 1000;
  time_t seconds = (time_t)((ms - rest) / 1000);
  struct tm utc;
  if (!gmtime_r(&seconds, &utc)) utc = (struct tm){0};
  size_t length = strftime(text, TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
  snprintf(text + length, TIME_SIZE - length, ".%03dZ", (int)rest);
}

void print_holder(const struct jlock_holder *holder) {
  fputs(states[holder->state], stdout);
  if (holder->state == JLOCK_FREE) return;
  if (holder->pid) printf(" by pid %d", holder->pid);
  if (holder->peer == JLOCK_PEER_UNKNOWN) fputs(" (no stamp)", stdout);
  else printf(" (%s peer)", peers[holder->peer]);
  if (*holder->host) printf(" on %s", holder->host);
  if (holder->state == JLOCK_ABANDONED && holder->pid) fputs(", which is dead", stdout);
  if (holder->state == JLOCK_ABANDONED) fputs("; the next to acquire takes it over", stdout);
}

static void print_text_or_null(const char *name, const char *text) {
  printf(",\"%s\":", name);
  if (*text) json_string(stdout, text, strlen(text));
  else fputs("null", stdout);
}

/* Prints a member with a span in milliseconds, and one with the time at which it began; both null if the span is below 0. */
static void print_span(const char *name, const char *since, int64_t ms, int64_t seen_ms) {
  char time[TIME_SIZE] = "";
  printf(",\"%s\":", name);
  if (ms < 0) {
    fputs("null", stdout);
  } else {
    printf("%lld", (long long)ms);
    format_time(seen_ms - ms, time);
  }
  print_text_or_null(since, time);
}

void print_missing_json(const char *name, uint32_t missing) {
  static const char *const names[] = {"link", "flock", "lease", "inotify", "noreplace"}; /* by JLOCK_WITHOUT_LINK ... */
  const char *comma = "";
  printf(",\"%s\":[", name);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (!(missing & 1u << i)) continue;
    printf("%s\"without %s\"", comma, names[i]);
    comma = ",";
  }
  putchar(']');
}

void print_holder_json(const struct jlock_holder *holder, int64_t seen_ms) {
  bool free = holder->state == JLOCK_FREE;
  printf("\"state\":\"%s\",\"stale\":%s", states[holder->state], holder->state == JLOCK_ABANDONED ? "true" : "false");
  print_text_or_null("peer", free ? "" : peers[holder->peer]);
  if (holder->pid) printf(",\"pid\":%d", holder->pid);
  else fputs(",\"pid\":null", stdout);
  print_text_or_null("host", holder->host);
  print_text_or_null("nonce", holder->nonce);
  print_span("held_ms", "since", free ? -1 : holder->held_ms, seen_ms);
  print_span("age_ms", "last_sign", free ? -1 : holder->age_ms, seen_ms);
  print_missing_json("fallback", holder->fallback);
}

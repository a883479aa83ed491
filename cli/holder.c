/* Printing a holder, for people and as JSON. */
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
  if (holder->state == JLOCK_ABANDONED) fputs(", which is dead; the next to acquire takes it over", stdout);
}

static void print_text_or_null(const char *name, const char *text) {
  printf(",\"%s\":", name);
  if (*text) json_string(stdout, text, strlen(text));
  else fputs("null", stdout);
}

static void print_fallback(uint32_t fallback) {
  const char *comma = "";
  fputs(",\"fallback\":[", stdout);
  if (fallback & JLOCK_WITHOUT_LINK) fputs("\"without link\"", stdout), comma = ",";
  if (fallback & JLOCK_WITHOUT_FLOCK) printf("%s\"without flock\"", comma);
  putchar(']');
}

void print_holder_json(const struct jlock_holder *holder, int64_t seen_ms) {
  char time[TIME_SIZE] = "";
  bool free = holder->state == JLOCK_FREE;
  printf("\"state\":\"%s\",\"stale\":%s", states[holder->state], holder->state == JLOCK_ABANDONED ? "true" : "false");
  print_text_or_null("peer", free ? "" : peers[holder->peer]);
  if (holder->pid) printf(",\"pid\":%d", holder->pid);
  else fputs(",\"pid\":null", stdout);
  print_text_or_null("host", holder->host);
  print_text_or_null("nonce", holder->nonce);
  if (free) {
    fputs(",\"age_ms\":null", stdout);
  } else {
    printf(",\"age_ms\":%lld", (long long)holder->age_ms);
    format_time(seen_ms - holder->age_ms, time);
  }
  print_text_or_null("since", time);
  print_fallback(holder->fallback);
}

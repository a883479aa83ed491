/* jlock probe: says what a directory can promise. */
#include "cli.h"

#include <string.h>

static const struct {
  uint32_t flag;
  const char *name, *text;
} promises[] = {
    {JLOCK_PLACE_PROCESSES_OF_MOUNT, "mount", "processes that use the same mount exclude each other"},
    {JLOCK_PLACE_PROCESSES_OF_MACHINE, "machine", "all processes of this machine exclude each other"},
    {JLOCK_PLACE_OTHER_MACHINES, "other_machines", "processes of other machines are excluded as well"},
    {JLOCK_PLACE_TAKEOVER, "takeover", "a dead holder's lock is taken over at once"},
    {JLOCK_PLACE_DURABLE, "durable", "what is synced survives a power cut"},
    {JLOCK_PLACE_ORDER, "order", "waiters are served in order"},
};
enum { PROMISES = sizeof promises / sizeof *promises };

static void print_text(const struct arguments *arguments, const struct jlock_place *place) {
  printf("%s: %s\n", arguments->dir, place->file_system);
  for (size_t i = 0; i < PROMISES; i++)
    printf("  %-5s%s\n", place->promises & promises[i].flag ? "yes" : "no", promises[i].text);
  if (*place->reason) printf("%s\n", place->reason);
}

static void print_json(const struct arguments *arguments, const struct jlock_place *place) {
  fputs("{\"dir\":", stdout);
  json_string(stdout, arguments->dir, strlen(arguments->dir));
  fputs(",\"file_system\":", stdout);
  json_string(stdout, place->file_system, strlen(place->file_system));
  fputs(",\"promises\":{", stdout);
  for (size_t i = 0; i < PROMISES; i++)
    printf("%s\"%s\":%s", i ? "," : "", promises[i].name, place->promises & promises[i].flag ? "true" : "false");
  putchar('}');
  print_missing_json("missing", place->missing);
  fputs(",\"reason\":", stdout);
  if (*place->reason) json_string(stdout, place->reason, strlen(place->reason));
  else fputs("null", stdout);
  fputs("}\n", stdout);
}

int do_probe(const struct arguments *arguments) {
  struct jlock_place place;
  int rc = jlock_probe(arguments->dir, &place, sizeof place);
  if (rc) return complain(arguments, NULL, rc);
  if (arguments->json) print_json(arguments, &place);
  else print_text(arguments, &place);
  return place.promises & JLOCK_PLACE_PROCESSES_OF_MACHINE ? PROBE_EXCLUDES : PROBE_DOES_NOT_EXCLUDE;
}

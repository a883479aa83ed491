/* Prints a snapshot: as a journal, as bare paths, or as JSON. */
#include "cli.h"

/* Calls `each` for the snapshot's paths of a kind, in the order of first mention. */
static void for_each(FILE *out, const struct jlock_snapshot *snapshot, uint32_t kind,
                     void (*each)(FILE *out, const struct jlock_entry *entry, size_t index, const void *context),
                     const void *context) {
  struct jlock_entry entry;
  for (size_t i = 0; !jlock_snapshot_entry(snapshot, kind, i, &entry); i++) each(out, &entry, i, context);
}

/* Milliseconds; a foreign header may have a fraction, or be enormous. */
static void print_timestamp(FILE *out, double ms) {
  bool whole = ms < 9007199254740992.0 && ms == (double)(int64_t)ms;
  fprintf(out, whole ? "%.0f" : "%.17g", ms);
}

/* ---------------------------------------------------------------------------------------------------------- text */

struct lines {
  const char *prefix;
  char end;
};

static void print_line(FILE *out, const struct jlock_entry *entry, size_t index, const void *context) {
  const struct lines *lines = context;
  (void)index;
  fputs(lines->prefix, out);
  fwrite(entry->path, 1, entry->path_len, out);
  putc(lines->end, out);
}

static void print_text(FILE *out, const struct jlock_snapshot *snapshot, const struct arguments *arguments) {
  bool both = arguments->changed == arguments->deleted;
  struct lines changed = {"", arguments->null ? '\0' : '\n'}, deleted = changed;
  if (both) { /* as in the journal: DELETED tells the two apart */
    fputs("# codegraph-journal v1 ", out);
    print_timestamp(out, jlock_snapshot_timestamp(snapshot));
    putc(changed.end, out);
    deleted.prefix = "DELETED ";
  }
  if (both || arguments->changed) for_each(out, snapshot, JLOCK_CHANGED, print_line, &changed);
  if (both || arguments->deleted) for_each(out, snapshot, JLOCK_DELETED, print_line, &deleted);
}

/* ---------------------------------------------------------------------------------------------------------- JSON */

static void print_element(FILE *out, const struct jlock_entry *entry, size_t index, const void *context) {
  (void)context;
  if (index) putc(',', out);
  json_string(out, entry->path, entry->path_len);
}

static void print_array(FILE *out, const struct jlock_snapshot *snapshot, const char *name, uint32_t kind) {
  fprintf(out, ",\"%s\":[", name);
  for_each(out, snapshot, kind, print_element, NULL);
  putc(']', out);
}

static void print_json(FILE *out, const struct jlock_snapshot *snapshot, const struct arguments *arguments) {
  bool both = arguments->changed == arguments->deleted;
  fputs("{\"timestamp\":", out);
  print_timestamp(out, jlock_snapshot_timestamp(snapshot));
  if (both || arguments->changed) print_array(out, snapshot, "changed", JLOCK_CHANGED);
  if (both || arguments->deleted) print_array(out, snapshot, "deleted", JLOCK_DELETED);
  fputs("}\n", out);
}

void print_snapshot(FILE *out, const struct jlock_snapshot *snapshot, const struct arguments *arguments) {
  if (arguments->json) print_json(out, snapshot, arguments);
  else print_text(out, snapshot, arguments);
}

/* The paths that a command line or standard input names. The library refuses those that the journal cannot carry. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int add(struct paths *paths, size_t *room, const char *path, size_t length, uint32_t kind) {
  if (paths->count == *room) {
    size_t more = *room ? 2 * *room : 64;
    struct jlock_entry *entries = realloc(paths->entries, more * sizeof *entries);
    if (!entries) return complain_errno("standard input", EXIT_OS);
    paths->entries = entries;
    *room = more;
  }
  paths->entries[paths->count++] = (struct jlock_entry){path, length, kind, 0};
  return 0;
}

/* Reads all of standard input, so that it can be appended in one call. */
static int slurp(struct paths *paths, size_t *length) {
  size_t room = 0;
  *length = 0;
  for (size_t got = 1; got; *length += got) {
    if (room - *length < 4096) {
      room = 2 * room + 8192;
      char *buffer = realloc(paths->buffer, room);
      if (!buffer) return complain_errno("standard input", EXIT_OS);
      paths->buffer = buffer;
    }
    got = fread(paths->buffer + *length, 1, room - *length, stdin);
  }
  return ferror(stdin) ? complain_errno("standard input", EXIT_IO) : 0;
}

static int from_input(struct paths *paths, char end, uint32_t kind) {
  size_t length, room = 0;
  if (isatty(STDIN_FILENO)) fputs("jlock: reading paths from the terminal, one per line, until Ctrl-D\n", stderr);
  int code = slurp(paths, &length);
  for (char *at = paths->buffer, *last = at + length; !code && at < last;) {
    char *stop = memchr(at, end, (size_t)(last - at));
    if (!stop) stop = last; /* the last path need not be terminated */
    code = add(paths, &room, at, (size_t)(stop - at), kind);
    at = stop + 1;
  }
  return code;
}

int read_paths(const struct arguments *arguments, uint32_t kind, struct paths *out) {
  *out = (struct paths){0};
  if (arguments->from_input) return from_input(out, arguments->null ? '\0' : '\n', kind);
  size_t room = 0;
  int code = 0;
  for (char **path = arguments->operands; !code && *path; path++) code = add(out, &room, *path, strlen(*path), kind);
  return code;
}

void free_paths(struct paths *paths) {
  free(paths->entries);
  free(paths->buffer);
}

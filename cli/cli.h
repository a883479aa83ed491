/* What the parts of the jlock command share. Each part includes this first. */
#ifndef CLI_H
#define CLI_H

#define _GNU_SOURCE

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jlock.h>

/* Exit codes: flock(1)'s, which are those of sysexits.h and the shell's. (sysexits.h itself is not everywhere.) */
enum {
  EXIT_CONFLICT = 1, /* unless -E chooses another */
  EXIT_USAGE = 64,
  EXIT_DATA = 65,
  EXIT_NO_INPUT = 66,
  EXIT_SOFTWARE = 70,
  EXIT_OS = 71,
  EXIT_CANNOT_CREATE = 73,
  EXIT_IO = 74,
  EXIT_LOST = 75,
  EXIT_NO_PERMISSION = 77,
  EXIT_NOT_EXECUTABLE = 126,
  EXIT_NOT_FOUND = 127,
  EXIT_SIGNAL = 128, /* and the signal's number */
};

/* The exit codes of `status`. */
enum { STATUS_FREE = 0, STATUS_HELD = 1, STATUS_ABANDONED = 2 };
/* The exit codes of `probe`: whether all processes of this machine exclude each other. */
enum { PROBE_EXCLUDES = 0, PROBE_DOES_NOT_EXCLUDE = 1 };

struct arguments;

struct command {
  const char *name;
  unsigned bit;         /* in the table of options */
  uint32_t flags;       /* of jlock_options */
  int32_t timeout_ms;   /* of jlock_options */
  bool takes_operands;  /* after DIR */
  bool runs_a_command;  /* the operands are one: options end where it begins */
  int (*perform)(const struct arguments *arguments);
};

/* What a command line says. */
struct arguments {
  const struct command *command;
  const char *dir;
  const char *journal; /* NULL: changes.journal */
  char **operands;     /* ends with NULL */
  size_t operand_count;
  struct jlock_options options;
  int64_t timestamp_ms; /* below 0: now */
  long lines;           /* of watch; 0: no end */
  int conflict;         /* exit code */
  bool from_input, null, json, quiet, changed, deleted, reset;
};

/* arguments.c: ends the process on a wrong command line, and for --help. */
extern const struct command commands[];
const struct command *find_command(const char *name);
void parse_arguments(const struct command *command, int argc, char **argv, struct arguments *out);

/* help.c */
void print_help(FILE *out, const char *command); /* NULL: the overview */

/* errors.c: "jlock: DIR: message" */
int complain(const struct arguments *arguments, struct jlock *lock, int rc); /* the exit code for rc */
int complain_errno(const char *what, int exit_code);
int flush_output(int exit_code); /* or EXIT_IO, if standard output could not be written */

/* open.c: 0, or the exit code. */
int open_named(const struct arguments *arguments, struct jlock **out); /* the library's own return value */
int open_lock(const struct arguments *arguments, struct jlock **out);
int close_lock(const struct arguments *arguments, struct jlock *lock, int exit_code); /* exit_code, if it is not 0 */
int64_t now_ms(void);

/* paths.c: the entries that a command line or standard input names. */
struct paths {
  struct jlock_entry *entries;
  size_t count;
  char *buffer;
};
int read_paths(const struct arguments *arguments, uint32_t kind, struct paths *out); /* 0, or the exit code */
void free_paths(struct paths *paths);

/* json.c */
void json_string(FILE *out, const char *bytes, size_t length);

/* snapshot.c */
void print_snapshot(FILE *out, const struct jlock_snapshot *snapshot, const struct arguments *arguments);

/* holder.c */
enum { TIME_SIZE = sizeof "-292277022657-01-27T08:29:52.000Z" };
void format_time(int64_t ms, char text[TIME_SIZE]); /* in RFC 3339's format, in UTC */
void print_holder(const struct jlock_holder *holder);
void print_missing_json(const char *name, uint32_t missing);
void print_holder_json(const struct jlock_holder *holder, int64_t seen_ms);

/* child.c */
struct child {
  char **argv;
  int input;          /* its standard input; below 0: ours */
  bool dies_with_us;  /* it gets SIGKILL if we are killed */
};
int run_child(const struct child *child); /* its exit code, 128 + n for signal n, 126 or 127 if it cannot be run */

/* The commands. */
int do_run(const struct arguments *arguments);
int do_append(const struct arguments *arguments);
int do_delete(const struct arguments *arguments);
int do_stamp(const struct arguments *arguments);
int do_read(const struct arguments *arguments);
int do_checkpoint(const struct arguments *arguments);
int do_status(const struct arguments *arguments);
int do_watch(const struct arguments *arguments);
int do_probe(const struct arguments *arguments);

#endif

/* Command lines: which commands there are, which options each of them takes, and what the user gave. */
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
  RUN = 1u << 0,
  APPEND = 1u << 1,
  DELETE = 1u << 2,
  STAMP = 1u << 3,
  READ = 1u << 4,
  CHECKPOINT = 1u << 5,
  STATUS = 1u << 6,
  WATCH = 1u << 7,
  PROBE = 1u << 8,
  CREATES = RUN | APPEND | DELETE | STAMP,
  WRITES = APPEND | DELETE | STAMP | CHECKPOINT,
  LOCKS = RUN | WRITES,
  PRINTS = READ | CHECKPOINT,
  LOOKS = STATUS | WATCH,
  JOURNALS = LOCKS | PRINTS | LOOKS, /* all commands that work on one journal */
  ALL = JOURNALS | PROBE,
};

/* Like flock(1), run waits forever by default; a journal call should be a matter of milliseconds. */
const struct command commands[] = {
    {"run", RUN, JLOCK_KEEPALIVE, -1, true, true, do_run},
    {"append", APPEND, 0, 5000, true, false, do_append},
    {"delete", DELETE, 0, 5000, true, false, do_delete},
    {"stamp", STAMP, 0, 5000, true, false, do_stamp},
    {"read", READ, JLOCK_NO_CREATE, 0, false, false, do_read},
    {"checkpoint", CHECKPOINT, JLOCK_NO_CREATE, 5000, true, true, do_checkpoint},
    {"status", STATUS, JLOCK_NO_CREATE, 0, false, false, do_status},
    {"watch", WATCH, JLOCK_NO_CREATE, 0, false, false, do_watch},
    {"probe", PROBE, 0, 0, false, false, do_probe},
    {0},
};

/* Options without a letter. */
enum { KEEPALIVE = 256, NO_KEEPALIVE, NO_CREATE, SYNC, FROM_STDIN, RESET, CHANGED, JSON };

static const struct {
  int id;
  const char *name;
  int has_argument;
  unsigned commands;
} known[] = {
    {'h', "help", no_argument, ALL},
    {'j', "journal", required_argument, JOURNALS},
    {'w', "wait", required_argument, LOCKS},
    {'w', "timeout", required_argument, LOCKS}, /* flock(1)'s other names */
    {'n', "nonblock", no_argument, LOCKS},
    {'n', "nb", no_argument, LOCKS},
    {'E', "conflict-exit-code", required_argument, LOCKS},
    {NO_CREATE, "no-create", no_argument, CREATES},
    {KEEPALIVE, "keepalive", no_argument, RUN},
    {NO_KEEPALIVE, "no-keepalive", no_argument, RUN},
    {SYNC, "sync", no_argument, WRITES},
    {FROM_STDIN, "stdin", no_argument, APPEND | DELETE | STAMP},
    {'0', "null", no_argument, APPEND | DELETE | STAMP | PRINTS},
    {'t', "timestamp", required_argument, STAMP | CHECKPOINT},
    {'d', "deleted", no_argument, STAMP | PRINTS},
    {RESET, "reset", no_argument, STAMP},
    {CHANGED, "changed", no_argument, PRINTS},
    {JSON, "json", no_argument, PRINTS | LOOKS | PROBE},
    {'q', "quiet", no_argument, STATUS},
    {'c', "count", required_argument, WATCH},
};
enum { KNOWN = sizeof known / sizeof *known };

const struct command *find_command(const char *name) {
  for (const struct command *command = commands; command->name; command++)
    if (!strcmp(command->name, name)) return command;
  return NULL;
}

__attribute__((noreturn, format(printf, 2, 3))) static void misused(const struct command *command, const char *format,
                                                                    ...) {
  va_list values;
  va_start(values, format);
  fprintf(stderr, "jlock %s: ", command->name);
  vfprintf(stderr, format, values);
  fprintf(stderr, "; see jlock %s --help\n", command->name);
  va_end(values);
  exit(EXIT_USAGE);
}

/* ------------------------------------------------------------------------------------------------------- values */

static long long whole_number(const struct command *command, const char *option, const char *text, long long most) {
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (errno || end == text || *end || value < 0 || value > most)
    misused(command, "%s %s: not a whole number from 0 to %lld", option, text, most);
  return value;
}

/* Takes seconds, and fractions of them. A wait that is longer than the library can count lasts forever. */
static int32_t milliseconds(const struct command *command, const char *text) {
  char *end;
  double seconds = strtod(text, &end);
  if (end == text || *end || !(seconds >= 0)) misused(command, "-w %s: not a number of seconds", text);
  if (seconds * 1e3 > INT32_MAX) return -1;
  int32_t whole = (int32_t)(seconds * 1e3);
  return whole < seconds * 1e3 ? whole + 1 : whole; /* rounded up: the shortest wait must not become none */
}

static const char *file_name(const struct command *command, const char *name) {
  if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
    misused(command, "-j %s: not the name of a file in DIR", name);
  return name;
}

static void set(struct arguments *to, int option) {
  const struct command *command = to->command;
  switch (option) {
    case 'j': to->journal = file_name(command, optarg); break;
    case 'w': to->options.timeout_ms = milliseconds(command, optarg); break;
    case 'n': to->options.timeout_ms = 0; break;
    case 'E': to->conflict = (int)whole_number(command, "-E", optarg, 255); break;
    case NO_CREATE: to->options.flags |= JLOCK_NO_CREATE; break;
    case KEEPALIVE: to->options.flags |= JLOCK_KEEPALIVE; break;
    case NO_KEEPALIVE: to->options.flags &= ~JLOCK_KEEPALIVE; break;
    case SYNC: to->options.flags |= JLOCK_SYNC; break;
    case FROM_STDIN: to->from_input = true; break;
    case '0': to->null = true; break;
    case 't': to->timestamp_ms = whole_number(command, "-t", optarg, INT64_MAX); break;
    case 'd': to->deleted = true; break;
    case RESET: to->reset = true; break;
    case CHANGED: to->changed = true; break;
    case JSON: to->json = true; break;
    case 'q': to->quiet = true; break;
    case 'c': to->lines = (long)whole_number(command, "-c", optarg, INT32_MAX); break;
    case 'h':
      print_help(stdout, command->name);
      exit(flush_output(0));
    default: /* getopt has already said what is wrong */
      fprintf(stderr, "jlock: see jlock %s --help\n", command->name);
      exit(EXIT_USAGE);
  }
}

/* ------------------------------------------------------------------------------------------------- command lines */

/* The known options that the command takes, in getopt's two forms. */
static void options_of(const struct command *command, char letters[2 * KNOWN + 2], struct option names[KNOWN + 1]) {
  if (command->runs_a_command) *letters++ = '+'; /* stop at DIR: what comes later may be its command's */
  for (size_t i = 0; i < KNOWN; i++) {
    if (!(known[i].commands & command->bit)) continue;
    *names++ = (struct option){known[i].name, known[i].has_argument, NULL, known[i].id};
    if (known[i].id >= KEEPALIVE) continue;
    *letters++ = (char)known[i].id;
    if (known[i].has_argument) *letters++ = ':';
  }
  *letters = '\0';
  *names = (struct option){0};
}

/* Returns whether a "--" ended the options. */
static bool take_options(struct arguments *to, int argc, char **argv) {
  char letters[2 * KNOWN + 2];
  struct option names[KNOWN + 1];
  const char *value = NULL;
  options_of(to->command, letters, names);
  for (int option; (option = getopt_long(argc, argv, letters, names, NULL)) != -1; value = optarg) set(to, option);
  /* getopt moves the "--" to where the operands begin. But a "--" there can also be an option's value. */
  return optind > 1 && !strcmp(argv[optind - 1], "--") && argv[optind - 1] != value;
}

/* "-" stands for standard input, unless a "--" before it says that what follows is literal. */
static void take_dash(struct arguments *to) {
  for (char **path = to->operands; *path; path++) {
    if (strcmp(*path, "-")) continue;
    if (to->operand_count > 1) misused(to->command, "- cannot be combined with paths (a file of that name is -- - or ./-)");
    to->from_input = true;
    to->operand_count = 0;
    return;
  }
}

static void check(const struct arguments *arguments) {
  const struct command *command = arguments->command;
  bool operands = arguments->operand_count > 0;
  if (command->bit == RUN && !operands) misused(command, "no command to run");
  if (operands && !command->takes_operands) misused(command, "%s: one directory is enough", *arguments->operands);
  if (operands && arguments->from_input) misused(command, "--stdin cannot be combined with paths");
  if (arguments->reset && (operands || arguments->from_input)) misused(command, "--reset cannot be combined with paths");
}

void parse_arguments(const struct command *command, int argc, char **argv, struct arguments *out) {
  static char name[] = "jlock"; /* getopt's messages begin with it */
  argv[0] = name;
  *out = (struct arguments){.command = command, .timestamp_ms = -1, .conflict = EXIT_CONFLICT};
  jlock_options_init(&out->options, sizeof out->options);
  out->options.flags = command->flags;
  out->options.timeout_ms = command->timeout_ms;

  bool literal = take_options(out, argc, argv);
  if (optind == argc) misused(command, "no directory");
  out->dir = argv[optind++];
  if (command->runs_a_command) take_options(out, argc, argv); /* up to -- or the command itself */
  out->operands = argv + optind;
  out->operand_count = (size_t)(argc - optind);
  /* With a command that reads paths, -0 is about standard input. */
  bool reads = command->bit & (APPEND | DELETE | STAMP);
  if (reads && !literal) take_dash(out);
  if (reads && out->null) out->from_input = true;
  if ((command->bit & (APPEND | DELETE)) && !out->operand_count) out->from_input = true;
  check(out);
}

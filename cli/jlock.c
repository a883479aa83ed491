/* The jlock command: the lock and the journal of jlock.h, for the shell. */
#include "cli.h"

#include <string.h>

static int help(int argc, char **argv) {
  if (argc > 2 && !find_command(argv[2])) {
    fprintf(stderr, "jlock: %s: no such command; see jlock --help\n", argv[2]);
    return EXIT_USAGE;
  }
  print_help(stdout, argc > 2 ? argv[2] : NULL);
  return flush_output(0);
}

int main(int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : "";
  if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) return help(argc, argv);
  if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
    printf("jlock %s\n", jlock_version_string());
    return flush_output(0);
  }
  const struct command *command = find_command(name);
  if (!command) {
    if (argc > 1) fprintf(stderr, "jlock: %s: no such command; see jlock --help\n", name);
    else print_help(stderr, NULL);
    return EXIT_USAGE;
  }
  struct arguments arguments;
  parse_arguments(command, argc - 1, argv + 1, &arguments);
  return flush_output(command->perform(&arguments));
}

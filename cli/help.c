/* The text of jlock --help, and of each command's --help. */
#include "cli.h"

#include <string.h>

static const char overview[] =
    "Usage: jlock COMMAND [OPTION]... DIR [ARGUMENT]...\n"
    "\n"
    "One lock and one journal, shared by programs in any language. DIR is the\n"
    "directory that holds changes.journal (codegraph 3.11.2: ROOT/.codegraph).\n"
    "\n"
    "Hold the lock:\n"
    "  run         run a command while holding it\n"
    "  status      say who holds it, also by the exit code\n"
    "  watch       say who holds it, and again whenever that changes\n"
    "  probe       say what a directory can promise\n"
    "\n"
    "Write the journal (each takes the lock and releases it):\n"
    "  append      add paths that were changed\n"
    "  delete      add paths that were deleted\n"
    "  stamp       add paths, and advance the header's timestamp\n"
    "\n"
    "Read the journal (no lock needed):\n"
    "  read        print it: as text, or as JSON\n"
    "  checkpoint  print it, or pass it to a command; then drop what was printed\n"
    "\n"
    "Try this in two terminals:\n"
    "  jlock run /tmp/demo -- sleep 10\n"
    "  jlock status /tmp/demo; jlock run -w 2.5 /tmp/demo -- echo mine\n"
    "\n"
    "      --help       this text; jlock COMMAND --help explains each command\n"
    "      --version    the version\n"
    "\n"
    "Exit codes: 1 not acquired in time (-E chooses another), 64 wrong usage, 65 not a\n"
    "valid journal or entry, 66 no such directory or journal, 75 the lock was lost.\n"
    "All of them: man jlock.\n";

#define LOCKING                                                               \
  "  -n, --nonblock           do not wait\n"                                  \
  "  -E, --conflict-exit-code CODE\n"                                         \
  "                           exit code if the lock is not acquired (default: 1)\n"
#define WAIT_5 "  -w, --wait SECONDS       how long to wait for the lock, such as 0.5 (default: 5)\n" LOCKING
#define JOURNAL "  -j, --journal NAME       another journal in DIR, which must exist\n"
#define CREATE "      --no-create          do not create DIR if it is missing\n"
#define SYNC "      --sync               return only once it is on disk\n"
#define INPUT                                                                 \
  "      --stdin              read paths from standard input, one per line\n" \
  "  -0, --null               the same, but each ends with NUL\n"
#define HELP "  -h, --help               this text\n"
#define SELECT                                                                \
  "      --json               an object: timestamp, changed, deleted\n"       \
  "      --changed            bare paths: only those that were changed\n"     \
  "  -d, --deleted            bare paths: only those that were deleted\n"     \
  "  -0, --null               end lines with NUL, for xargs -0\n"
#define REFUSED                                                               \
  "Either all paths are added, or none. A path cannot be empty, contain a newline,\n" \
  "begin or end with white space, or begin with '#'.\n"

static const struct {
  const char *name, *text;
} helps[] = {
    {"run",
     "Usage: jlock run [OPTION]... DIR [--] COMMAND [ARGUMENT]...\n"
     "\n"
     "Waits for the lock, runs COMMAND while holding it, and exits as COMMAND did: with\n"
     "its exit code, or 128+n if signal n ended it. Passes signals on to it. If jlock\n"
     "itself is killed, the lock is free at once, and COMMAND is killed too.\n"
     "\n"
     "  -w, --wait SECONDS       how long to wait for the lock, such as 0.5\n"
     "                           (default: forever)\n" LOCKING
     "      --keepalive          renew the lock while it is held (the default)\n"
     "      --no-keepalive       do not renew it; programs without the library then\n"
     "                           take it after 30 seconds\n" CREATE JOURNAL HELP
     "\n"
     "  jlock run build/.codegraph -- make index\n"
     "  jlock run -n .codegraph -- ./nightly || echo 'somebody holds it'\n"
     "  jlock run .codegraph -- sh -c 'cp changes.db changes.bak && ./compact'\n"
     "\n"
     "COMMAND must not call jlock append or the like on the same DIR: it would wait for\n"
     "its own parent. If the last holder died, and may have left things half done,\n"
     "JLOCK_RECOVERED=1 is in COMMAND's environment.\n"},
    {"append",
     "Usage: jlock append [OPTION]... DIR [PATH]...\n"
     "\n"
     "Adds paths that were changed to the journal; without PATH, or with - instead, reads\n"
     "them from standard input, one per line. (A file called - is ./-, or - after --.)\n"
     "A new journal cannot be read before it has been stamped: see jlock stamp.\n" REFUSED
     "\n" WAIT_5 INPUT SYNC CREATE JOURNAL HELP
     "\n"
     "  jlock append .codegraph src/main.c src/lock.c\n"
     "  git diff --name-only -z --diff-filter=d | jlock append -0 .codegraph\n"
     "  jlock append .codegraph -- -strange-name\n"},
    {"delete",
     "Usage: jlock delete [OPTION]... DIR [PATH]...\n"
     "\n"
     "Adds paths that were deleted to the journal; without PATH, or with - instead, reads\n"
     "them from standard input, one per line. (A file called - is ./-, or - after --.)\n" REFUSED
     "\n" WAIT_5 INPUT SYNC CREATE JOURNAL HELP
     "\n"
     "  jlock delete .codegraph src/old.c\n"
     "  git diff --name-only -z --diff-filter=D | jlock delete -0 .codegraph\n"},
    {"stamp",
     "Usage: jlock stamp [OPTION]... DIR [PATH]...\n"
     "\n"
     "Adds paths that were changed, and advances the header's timestamp; without PATH,\n"
     "only advances that; with - instead, reads the paths from standard input. A new\n"
     "journal cannot be read before it has been stamped.\n"
     "\n"
     "  -t, --timestamp MS       milliseconds since 1970 (default: now)\n"
     "  -d, --deleted            the paths were deleted\n"
     "      --reset              drop all entries, after a full scan\n" WAIT_5 INPUT SYNC CREATE JOURNAL HELP
     "\n"
     "  jlock stamp .codegraph src/main.c\n"
     "  jlock stamp --reset .codegraph\n"},
    {"read",
     "Usage: jlock read [OPTION]... DIR\n"
     "\n"
     "Prints the journal, each path once: its header, the changed paths, and the deleted\n"
     "ones with DELETED before them. Takes no lock. Exits with 65 if the journal has no\n"
     "timestamp (it has never been stamped), and with 66 if there is no journal; then\n"
     "scan everything, and run jlock stamp --reset.\n"
     "\n" SELECT JOURNAL HELP
     "\n"
     "  jlock read --changed -0 .codegraph | xargs -0r wc -l\n"
     "  jlock read --json .codegraph | jq -r '.deleted[]'\n"
     "\n"
     "In JSON, a byte that is not UTF-8 is written as \\udc80 to \\udcff (Python's\n"
     "surrogateescape: os.fsencode returns the path).\n"},
    {"checkpoint",
     "Usage: jlock checkpoint [OPTION]... DIR [--] [COMMAND [ARGUMENT]...]\n"
     "\n"
     "Reads the journal, gives it to COMMAND on its standard input (or prints it), and if\n"
     "that succeeds drops what was read; what was appended meanwhile stays. If COMMAND\n"
     "fails, jlock leaves the journal alone and exits with COMMAND's exit code: nothing\n"
     "is lost, and the same entries are seen again. They are also seen again, with a\n"
     "message, if somebody replaced the journal meanwhile. The lock is not held while\n"
     "COMMAND runs.\n"
     "\n"
     "  -t, --timestamp MS       the new header's timestamp, in milliseconds since 1970\n"
     "                           (default: when the journal was read)\n" SELECT WAIT_5 SYNC JOURNAL HELP
     "\n"
     "  jlock checkpoint --changed -0 .codegraph -- xargs -0r ./reindex\n"
     "  jlock checkpoint --json .codegraph >batch.json\n"},
    {"status",
     "Usage: jlock status [OPTION]... DIR\n"
     "\n"
     "Says who holds the lock: the process, its host, whether it is a library peer (a\n"
     "program that uses this library) or a shipped peer (one that speaks the protocol\n"
     "without it), since when it has held the lock, if that is known, and when it last\n"
     "gave a sign of life by acquiring or renewing the lock. Takes and changes nothing.\n"
     "Exit code: 0 free, 1 held, 2 abandoned (the holder is dead; the next program to\n"
     "acquire takes the lock over), 64 and above for errors.\n"
     "\n"
     "      --json               an object: dir, state, stale, peer, pid, host, nonce,\n"
     "                           held_ms, since, age_ms, last_sign, fallback\n"
     "  -q, --quiet              only the exit code\n" JOURNAL HELP
     "\n"
     "  jlock status -q .codegraph && echo free\n"
     "  kill \"$(jlock status --json .codegraph | jq .pid)\"\n"},
    {"watch",
     "Usage: jlock watch [OPTION]... DIR\n"
     "\n"
     "Prints a line with the time and the holder, and another whenever the holder changes.\n"
     "Never takes the lock. Misses a hold that is over before it can look.\n"
     "\n"
     "      --json               an object per line: time, and what status --json says\n"
     "  -c, --count LINES        end after this many lines (default: never)\n" JOURNAL HELP
     "\n"
     "  jlock watch .codegraph\n"
     "  jlock watch --json .codegraph | jq --unbuffered -r .pid\n"},
    {"probe",
     "Usage: jlock probe [OPTION]... DIR\n"
     "\n"
     "Finds out by trying, and says, what DIR can promise: which processes exclude each\n"
     "other, whether a dead holder's lock is taken over at once, whether what is synced\n"
     "survives a power cut, and whether waiters are served in order. Takes no lock and\n"
     "leaves nothing behind.\n"
     "Exit code: 0 if all processes of this machine exclude each other there, 1 if not, 64\n"
     "and above for errors.\n"
     "\n"
     "      --json               an object: dir, file_system, promises, missing, reason\n" HELP
     "\n"
     "  jlock probe .codegraph\n"
     "  jlock probe --json /mnt/nfs | jq .promises.other_machines\n"},
};

void print_help(FILE *out, const char *command) {
  const char *text = overview;
  for (size_t i = 0; command && i < sizeof helps / sizeof *helps; i++)
    if (!strcmp(helps[i].name, command)) text = helps[i].text;
  fputs(text, out);
}

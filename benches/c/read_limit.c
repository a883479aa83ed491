/* read_limit memchr|file FILE: the limits of any reader. With memchr, it looks for the newlines in what is already in memory;
 * with file, it first reads the file into new memory. */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "meter.h"

static const char *path, *content;
static size_t size;
static volatile size_t lines; /* volatile, so that the compiler does not remove the search */

static void search(void) {
  const char *at = content, *end = content + size;
  while ((at = memchr(at, '\n', end - at))) at++, lines++;
}

static void load(void) {
  struct stat meta;
  int fd = check(open(path, O_RDONLY | O_CLOEXEC), path);
  check(fstat(fd, &meta), "fstat");
  size = meta.st_size;
  char *memory = malloc(size);
  if (!memory || check(read(fd, memory, size), "read") != (long long)size) fail(path);
  check(close(fd), "close");
  content = memory;
}

static void load_and_search(void) {
  load();
  search();
  free((void *)content);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  path = argv[2];
  if (strcmp(argv[1], "file") == 0) return meter(load_and_search);
  load();
  return meter(search);
}

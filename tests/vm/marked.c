/* Appends with JLOCK_SYNC, and marks each acknowledged entry in the log of a dm-log-writes device:
 *
 *     marked DEVICE COUNT DIR
 *
 * What comes before a mark in the log was written before the entry was acknowledged.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <jlock.h>
#include <linux/dm-ioctl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void mark(int control, const char *device, const char *text) {
  struct {
    struct dm_ioctl head;
    struct dm_target_msg message;
    char text[256];
  } request = {.head = {.version = {DM_VERSION_MAJOR, 0, 0}, .data_size = sizeof request}};
  request.head.data_start = sizeof request.head;
  snprintf(request.head.name, sizeof request.head.name, "%s", device);
  snprintf((char *)&request + request.head.data_start + sizeof request.message, sizeof request.text, "mark %s", text);
  if (ioctl(control, DM_TARGET_MSG, &request) == -1) {
    perror("mark");
    exit(2);
  }
}

int main(int argc, char **argv) {
  if (argc != 4) return fputs("usage: marked DEVICE COUNT DIR\n", stderr), 2;
  int control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
  struct jlock_options options;
  jlock_options_init(&options, sizeof options);
  options.flags = JLOCK_SYNC;
  options.timeout_ms = 60000;
  struct jlock *lock;
  int rc = control == -1 ? -1 : jlock_open(argv[3], &options, sizeof options, &lock);
  for (long n = 0; rc == 0 && n < atol(argv[2]); n++) {
    char path[160];
    /* Of many lengths, so that some of them cross a page boundary, with a note. */
    snprintf(path, sizeof path, "of/%d/%ld/%.*s/whole", getpid(), n, (int)(n * 37 % 100),
             "oooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooo");
    struct jlock_entry entry = {path, SIZE_MAX, JLOCK_CHANGED, 0};
    rc = n % 25 == 24 ? jlock_append_stamped(lock, &entry, 1, 1700000000000 + n) : jlock_append(lock, &entry, 1);
    if (rc == 0) mark(control, argv[1], path);
  }
  if (rc) return fprintf(stderr, "marked: %d\n", rc), 1;
  return jlock_close(lock) != 0;
}

/* What a directory can promise. */
#include "claim.h"

#include <sys/mount.h>

static struct jlock_place probe(const char *path) {
  struct jlock_place place;
  OK(jlock_probe(path, &place, sizeof place));
  return place;
}

static int names(void) {
  DIR *entries = opendir(dir);
  CHECK(entries);
  int count = 0;
  while (readdir(entries)) count++;
  closedir(entries);
  return count;
}

static void a_probe_leaves_nothing_behind(void) {
  int before = names(), descriptors = open_descriptors();
  struct jlock_place place = probe(dir);
  CHECK(place.promises & JLOCK_PLACE_PROCESSES_OF_MOUNT && *place.file_system);
  CHECK(names() == before && open_descriptors() == descriptors);
}

static void a_probe_takes_no_lock(void) {
  struct jlock *lock = open_default();
  OK(jlock_acquire(lock));
  probe(dir);
  OK(jlock_release(lock));
  OK(jlock_close(lock));
}

static void memory_promises_all_but_what_outlives_the_machine(void) {
  have_private_mounts();
  SYSTEM(mount("none", dir, "tmpfs", 0, NULL));
  struct jlock_place place = probe(dir);
  CHECK(!strcmp(place.file_system, "tmpfs") && place.missing == 0);
  CHECK(place.promises == (JLOCK_PLACE_PROCESSES_OF_MOUNT | JLOCK_PLACE_PROCESSES_OF_MACHINE | JLOCK_PLACE_TAKEOVER |
                           JLOCK_PLACE_ORDER));
  CHECK(strstr(place.reason, "disk"));
  SYSTEM(umount(dir));
}

static void a_directory_that_cannot_be_written_to_is_not_probed(void) {
  struct jlock_place place;
  have_private_mounts();
  SYSTEM(mount("none", dir, "tmpfs", MS_RDONLY, NULL));
  IS(jlock_probe(dir, &place, sizeof place), -EROFS);
  SYSTEM(umount(dir));
}

static void only_a_directory_is_probed(void) {
  struct jlock_place place;
  write_file("file", "");
  IS(jlock_probe(path_of("file"), &place, sizeof place), -ENOTDIR);
  IS(jlock_probe(path_of("none"), &place, sizeof place), -ENOENT);
  IS(jlock_probe("", &place, sizeof place), -ENOENT);
}

const struct claim claims[] = {
    CLAIM(a_probe_leaves_nothing_behind),
    CLAIM(a_probe_takes_no_lock),
    CLAIM(memory_promises_all_but_what_outlives_the_machine),
    CLAIM(a_directory_that_cannot_be_written_to_is_not_probed),
    CLAIM(only_a_directory_is_probed),
    END_OF_CLAIMS,
};

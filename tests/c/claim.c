#include "claim.h"

#include <sched.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/prctl.h>

char dir[PATH_MAX];

void fail(const char *file, int line, const char *what, ...) {
  va_list arguments;
  va_start(arguments, what);
  fprintf(stderr, "%s:%d: ", file, line);
  vfprintf(stderr, what, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  _exit(1);
}

void is(const char *file, int line, const char *call, int rc, int expected) {
  if (rc == expected) return;
  fail(file, line, "%s is %d (%s), not %d (%s)", call, rc, jlock_strerror(rc), expected, jlock_strerror(expected));
}

/* -------------------------------------------------------------------------------------------------------- files */

const char *path_of(const char *name) {
  static char paths[8][PATH_MAX + NAME_MAX + 2];
  static unsigned next;
  char *path = paths[next++ % 8];
  sprintf(path, "%s/%s", dir, name);
  return path;
}

void write_file(const char *name, const char *content) {
  FILE *file = fopen(path_of(name), "w");
  CHECK(file);
  CHECK(fputs(content, file) >= 0);
  CHECK(fclose(file) == 0);
}

char *read_file(const char *name) {
  FILE *file = fopen(path_of(name), "r");
  if (!file) return NULL;
  char *content = calloc(1, 1 << 20);
  CHECK(content);
  size_t size = fread(content, 1, (1 << 20) - 1, file);
  CHECK(size < (1 << 20) - 1 && !ferror(file));
  fclose(file);
  return content;
}

int exists(const char *name) {
  struct stat meta;
  return lstat(path_of(name), &meta) == 0;
}

ino_t inode_of(const char *name) {
  struct stat meta;
  SYSTEM(lstat(path_of(name), &meta));
  return meta.st_ino;
}

void holds(const char *name, const char *content) {
  char *held = read_file(name);
  if (!held) fail(__FILE__, __LINE__, "there is no %s", name);
  if (strcmp(held, content)) fail(__FILE__, __LINE__, "%s holds\n%s--- not\n%s", name, held, content);
  free(held);
}

void make_old(const char *name, int seconds) {
  struct timespec times[2] = {{0, UTIME_OMIT}, {time(NULL) - seconds, 0}};
  SYSTEM(utimensat(AT_FDCWD, path_of(name), times, 0));
}

int open_descriptors(void) {
  DIR *descriptors = opendir("/proc/self/fd");
  CHECK(descriptors);
  int count = 0;
  while (readdir(descriptors)) count++;
  closedir(descriptors);
  return count;
}

/* ------------------------------------------------------------------------------------------------------ handles */

struct jlock *open_default(void) {
  struct jlock *lock;
  OK(jlock_open(dir, NULL, 0, &lock));
  return lock;
}

struct jlock *open_with(uint32_t flags, int32_t timeout_ms) {
  struct jlock_options options;
  jlock_options_init(&options, sizeof options);
  options.flags = flags;
  options.timeout_ms = timeout_ms;
  options.settle_ms = 20;
  struct jlock *lock;
  OK(jlock_open(dir, &options, sizeof options, &lock));
  return lock;
}

int append(struct jlock *lock, const char *path) {
  struct jlock_entry entry = {path, SIZE_MAX, JLOCK_CHANGED, 0};
  return jlock_append(lock, &entry, 1);
}

int append_stamped(struct jlock *lock, const char *path, int64_t timestamp_ms) {
  struct jlock_entry entry = {path, SIZE_MAX, JLOCK_CHANGED, 0};
  return jlock_append_stamped(lock, &entry, 1, timestamp_ms);
}

int acquire_and_release(struct jlock *lock) {
  int rc = jlock_acquire(lock);
  return rc ? rc : jlock_release(lock);
}

const char *message(struct jlock *lock) {
  static char text[1024];
  CHECK(jlock_message(lock, text, sizeof text) >= 0);
  return text;
}

struct jlock_holder inspect(struct jlock *lock) {
  struct jlock_holder holder;
  OK(jlock_inspect(lock, &holder, sizeof holder));
  return holder;
}

/* ---------------------------------------------------------------------------------------------------- processes */

pid_t child(void (*act)(void)) {
  pid_t pid = fork();
  SYSTEM(pid);
  if (pid == 0) {
    SYSTEM(prctl(PR_SET_PDEATHSIG, SIGKILL)); /* so that a claim that fails leaves no process behind */
    act();
    _exit(0);
  }
  return pid;
}

void ends_well(pid_t pid) {
  int status;
  SYSTEM(waitpid(pid, &status, 0));
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void kill_child(pid_t pid) {
  SYSTEM(kill(pid, SIGKILL));
  SYSTEM(waitpid(pid, NULL, 0));
}

static int ready[2];

static void hold(void) {
  OK(jlock_acquire(open_default()));
  CHECK(write(ready[1], "", 1) == 1);
  for (;;) pause();
}

pid_t holder(void) {
  SYSTEM(pipe2(ready, O_CLOEXEC));
  pid_t pid = child(hold);
  char byte;
  close(ready[1]);
  CHECK(read(ready[0], &byte, 1) == 1);
  close(ready[0]);
  return pid;
}

/* ------------------------------------------------------------------------------------------------------- mounts */

static void map_id(const char *file, unsigned id) {
  char line[32];
  int fd = open(file, O_WRONLY), length = sprintf(line, "0 %u 1", id);
  SYSTEM(fd);
  CHECK(write(fd, line, (size_t)length) == length);
  close(fd);
}

void have_private_mounts(void) {
  uid_t uid = geteuid();
  gid_t gid = getegid();
  if (uid == 0) {
    SYSTEM(unshare(CLONE_NEWNS));
  } else {
    SYSTEM(unshare(CLONE_NEWNS | CLONE_NEWUSER));
    int fd = open("/proc/self/setgroups", O_WRONLY);
    SYSTEM(fd);
    CHECK(write(fd, "deny", 4) == 4);
    close(fd);
    map_id("/proc/self/uid_map", uid);
    map_id("/proc/self/gid_map", gid);
  }
  SYSTEM(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

/* -------------------------------------------------------------------------------------------------------- times */

int64_t now_ms(void) {
  struct timespec now;
  SYSTEM(clock_gettime(CLOCK_MONOTONIC, &now));
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void until_in_line(int count) {
  for (int waiting = -1; waiting != count; nap()) {
    DIR *line = opendir(path_of(LOCK ".line"));
    for (waiting = 0; line && readdir(line);) waiting++;
    if (line) waiting -= 2; /* . and .. */
    if (line) closedir(line);
  }
}

void nap(void) { nanosleep(&(struct timespec){0, 1000000}, NULL); }

int main(int argc, char **argv) {
  if (argc == 1) {
    for (const struct claim *claim = claims; claim->name; claim++) puts(claim->name);
    return 0;
  }
  CHECK(argc == 3 && realpath(argv[2], dir));
  alarm(300); /* a claim that hangs has failed; on a busy machine, some take a minute */
  for (const struct claim *claim = claims; claim->name; claim++) {
    if (strcmp(claim->name, argv[1])) continue;
    claim->prove();
    SYSTEM(seteuid(getuid())); /* a claim may have changed the user, and a leak checker must be able to look */
    return 0;
  }
  fail(__FILE__, __LINE__, "no claim %s", argv[1]);
}

/* The library is a guest: whatever the program around it closes, reuses, forks, cancels or forbids, neither is
 * harmed. */
#include "claim.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>

/* -------------------------------------------------------------------------------------------------- descriptors */

enum { FIRST = 3, MANY = 64 };

static int is_open(int number) { return fcntl(number, F_GETFD) != -1; }

static void use(struct jlock *lock) {
  OK(append(lock, "a"));
  OK(jlock_acquire(lock));
  OK(append_stamped(lock, "b", 1));
  CHECK(jlock_wait_fd(lock) >= 0);
  OK(jlock_release(lock));
}

static void standard_numbers_are_never_kept(void) {
  for (int number = 0; number < FIRST; number++) close(number);
  struct jlock *lock = open_with(JLOCK_KEEPALIVE, 20), *other = open_with(0, 20);
  use(lock);
  OK(jlock_acquire(lock));
  IS(jlock_acquire(other), -ETIMEDOUT);
  CHECK(jlock_wait_fd(other) >= 0);
  for (int number = 0; number < FIRST; number++) CHECK(!is_open(number));
  OK(jlock_release(lock));
  jlock_close(other);
  jlock_close(lock);
}

/* What the program opens at a number that was the library's. */
struct theirs {
  int number;
  struct stat before;
};

static const struct timespec long_ago[2] = {{1000000000, 0}, {1000000000, 0}};

static struct theirs put_theirs_at(int number, const char *name, int flags) {
  struct theirs theirs = {number, {0}};
  int fd = open(path_of(name), flags, 0600);
  SYSTEM(fd);
  if (fd != number) {
    SYSTEM(dup2(fd, number));
    close(fd);
  }
  if (!(flags & O_DIRECTORY)) {
    CHECK(pwrite(number, "theirs", 6, 0) == 6);
    SYSTEM(futimens(number, long_ago));
  }
  SYSTEM(fstat(number, &theirs.before));
  return theirs;
}

static void is_untouched(const struct theirs *theirs) {
  struct stat now;
  SYSTEM(fstat(theirs->number, &now));
  CHECK(now.st_ino == theirs->before.st_ino && now.st_size == theirs->before.st_size);
  CHECK(now.st_mtime == theirs->before.st_mtime && now.st_mode == theirs->before.st_mode);
  if (!S_ISREG(now.st_mode)) return;
  char content[8];
  CHECK(pread(theirs->number, content, sizeof content, 0) == 6 && !memcmp(content, "theirs", 6));
  SYSTEM(flock(theirs->number, LOCK_EX | LOCK_NB)); /* no other descriptor has locked it */
  SYSTEM(flock(theirs->number, LOCK_UN));
}

static struct theirs at_all[MANY];
static int count;

static void all_are_untouched(void) {
  for (int i = 0; i < count; i++) is_untouched(&at_all[i]);
}

/* Calls every function, whatever it returns. */
static void call_all(struct jlock *lock) {
  struct jlock_holder seen;
  struct jlock_snapshot *snapshot;
  (void)jlock_refresh(lock);
  (void)append(lock, "LOST");
  (void)append_stamped(lock, "LOST", 2);
  (void)jlock_release(lock);
  (void)jlock_try_acquire(lock);
  (void)jlock_inspect(lock, &seen, sizeof seen);
  if (jlock_read(lock, &snapshot) == 0) jlock_snapshot_free(snapshot);
  (void)jlock_write_header(lock, 3);
  (void)jlock_cancel(lock);
  (void)jlock_wait_fd(lock);
  (void)append(lock, "LOST");
}

static void had_by_the_library(int numbers[MANY], const int before[MANY]) {
  count = 0;
  for (int number = FIRST; number < MANY; number++) {
    if (is_open(number) && !before[number]) numbers[count++] = number;
  }
}

/* The program closes one of the library's numbers by mistake and then opens a file that gets it. From then on the
 * number is the program's. */
static void each_number_taken_by(const char *name, int flags, int held) {
  int before[MANY];
  for (int number = 0; number < MANY; number++) before[number] = is_open(number);
  for (int nth = 0, all = 1; nth < all; nth++) {
    struct jlock *lock = open_with(JLOCK_KEEPALIVE, 20);
    use(lock);
    if (held) OK(jlock_acquire(lock));
    int numbers[MANY];
    had_by_the_library(numbers, before);
    all = count;
    count = 1;
    at_all[0] = put_theirs_at(numbers[nth], name, flags);
    call_all(lock);
    all_are_untouched();
    ends_well(child(all_are_untouched));
    jlock_close(lock);
    all_are_untouched();
    close(at_all[0].number);
    unlink(path_of(LOCK)); /* the lock that was lost may still be there */
  }
}

static void a_number_that_the_program_takes_is_the_programs(void) {
  each_number_taken_by("own", O_RDWR | O_CREAT, 0);
  each_number_taken_by("own", O_RDWR | O_CREAT, 1);
}

static int is_empty(const char *name) {
  DIR *listed = opendir(path_of(name));
  CHECK(listed);
  int entries = 0;
  while (readdir(listed)) entries++;
  closedir(listed);
  return entries == 2;
}

static void nothing_is_made_in_a_directory_that_took_a_number(void) {
  SYSTEM(mkdir(path_of("other"), 0777));
  each_number_taken_by("other", O_RDONLY | O_DIRECTORY, 0);
  each_number_taken_by("other", O_RDONLY | O_DIRECTORY, 1);
  CHECK(is_empty("other"));
}

static void after_all_are_closed_a_handle_fails_and_the_next_works(void) {
  struct jlock *lock = open_default(), *held = open_with(JLOCK_KEEPALIVE, 20);
  use(lock);
  OK(jlock_acquire(held));
  for (int number = FIRST; number < MANY; number++) close(number);
  IS(append(lock, "LOST"), -EBADF);
  IS(jlock_acquire(lock), -EBADF);
  int rc = append(held, "LOST");
  CHECK(rc == -EBADF || rc == JLOCK_ELOST);
  rc = jlock_release(held);
  CHECK(rc == -EBADF || rc == JLOCK_ELOST);
  struct jlock *next = open_default(); /* gets the same numbers */
  use(next);
  jlock_close(lock);
  jlock_close(held);
  use(next);
  jlock_close(next);
  char *journal = read_file(JOURNAL);
  CHECK(!strstr(journal, "LOST"));
  free(journal);
}

/* --------------------------------------------------------------------------------------------------------- forks */

static volatile sig_atomic_t forks;

static void fork_here(int number) {
  (void)number;
  int before = errno;
  pid_t pid = fork();
  if (pid == 0) _exit(0);
  if (pid > 0) {
    waitpid(pid, NULL, 0);
    forks++;
  }
  errno = before;
}

static void a_signal_handler_may_fork(void) {
  SYSTEM(sigaction(SIGALRM, &(struct sigaction){.sa_handler = fork_here, .sa_flags = SA_RESTART}, NULL));
  for (int wait_us = 200; forks < 500; wait_us = wait_us % 997 + 100) {
    struct itimerval timer = {{0, 0}, {0, wait_us}};
    SYSTEM(setitimer(ITIMER_REAL, &timer, NULL));
    struct jlock *lock = open_default();
    OK(append(lock, "a"));
    jlock_close(lock);
  }
}

/* Makes this system call end as given, in this thread or in the whole process. */
static int filter(long call, unsigned action, unsigned flags) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, action),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  SYSTEM(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  long rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  SYSTEM(rc);
  return (int)rc;
}

/* In another directory: another thread may hold this one's lock while it opens the journal. */
static void open_and_use(void) {
  struct jlock *lock;
  OK(jlock_open(path_of("elsewhere"), NULL, 0, &lock));
  use(lock);
  jlock_close(lock);
}

static struct jlock *inherited;

static void is_told(void) {
  IS(jlock_acquire(inherited), JLOCK_EFORKED);
  IS(append(inherited, "a"), JLOCK_EFORKED);
  open_and_use();
  IS(jlock_acquire(inherited), JLOCK_EFORKED);
  jlock_close(inherited);
}

/* qemu-user accepts every madvise and acts on none; here a filter does the same. */
static void a_child_is_told_where_the_kernel_only_says_that_it_wipes_pages(void) {
  filter(SYS_madvise, SECCOMP_RET_ERRNO | 0, 0);
  inherited = open_default();
  use(inherited);
  ends_well(child(is_told));
  pid_t bare = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL); /* without the fork handlers */
  SYSTEM(bare);
  if (bare == 0) {
    is_told();
    _exit(0);
  }
  ends_well(bare);
  use(inherited);
  jlock_close(inherited);
}

static atomic_int supervisor;
static atomic_int opened;

/* As on a frozen file system: an open returns only when the supervisor lets it. */
static void *open_slowly(void *nothing) {
  supervisor = filter(SYS_openat, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
  struct jlock *lock = open_default();
  OK(append(lock, "slow"));
  jlock_close(lock);
  opened = 1;
  return nothing;
}

static void let_go_on(void) {
  struct seccomp_notif request = {0};
  SYSTEM(ioctl(supervisor, SECCOMP_IOCTL_NOTIF_RECV, &request));
  struct seccomp_notif_resp go_on = {.id = request.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
  SYSTEM(ioctl(supervisor, SECCOMP_IOCTL_NOTIF_SEND, &go_on));
}

static void a_fork_does_not_wait_for_an_open_of_another_thread(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, open_slowly, NULL) == 0);
  WAIT_UNTIL(supervisor);
  while (!opened) {
    struct pollfd waiting = {supervisor, POLLIN, 0};
    if (poll(&waiting, 1, 1) != 1 || !(waiting.revents & POLLIN)) continue;
    ends_well(child(open_and_use)); /* while the thread is inside an open */
    let_go_on();
  }
  pthread_join(thread, NULL);
}

/* ------------------------------------------------------------------------------------- cancellation, errno, refusals */

static int outcome = -1; /* not checked in the thread: reporting a failure is a cancellation point itself */

static void use_though_cancelled(void) {
  CHECK(pthread_cancel(pthread_self()) == 0); /* takes effect at the next cancellation point */
  struct jlock *lock;
  struct jlock_entry entry = {"a", SIZE_MAX, JLOCK_CHANGED, 0};
  struct jlock_snapshot *snapshot = NULL;
  int rc = jlock_open(dir, NULL, 0, &lock);
  rc = rc ? rc : jlock_append(lock, &entry, 1);
  rc = rc ? rc : jlock_acquire(lock);
  rc = rc ? rc : jlock_append_stamped(lock, &entry, 1, 1);
  rc = rc ? rc : jlock_read(lock, &snapshot);
  rc = rc ? rc : jlock_checkpoint(lock, snapshot, 2) - 1; /* 1 says that it dropped what was read */
  rc = rc ? rc : jlock_release(lock);
  jlock_snapshot_free(snapshot);
  outcome = rc ? rc : jlock_close(lock);
}

/* In a function of its own: if a thread is cancelled inside a function, a sanitizer takes its variables to be live. */
static void *use_and_be_cancelled(void *nothing) {
  use_though_cancelled();
  pthread_testcancel();
  return nothing;
}

static void a_thread_is_cancelled_between_calls(void) {
  pthread_t thread;
  void *result;
  CHECK(pthread_create(&thread, NULL, use_and_be_cancelled, NULL) == 0);
  CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
  OK(outcome);
}

#define KEEPS_ERRNO(call) \
  do {                    \
    errno = 4711;         \
    (void)(call);         \
    CHECK(errno == 4711); \
  } while (0)

static void errno_is_as_the_caller_left_it(void) {
  struct jlock *lock, *other = open_with(0, 20), *none;
  struct jlock_snapshot *snapshot;
  struct jlock_entry entry = {"a", SIZE_MAX, JLOCK_CHANGED, 0};
  struct jlock_options options;
  char text[8];
  KEEPS_ERRNO(jlock_options_init(&options, sizeof options));
  options.flags = JLOCK_KEEPALIVE;
  KEEPS_ERRNO(jlock_open(dir, &options, sizeof options, &lock));
  write_file("file", "");
  KEEPS_ERRNO(jlock_open(path_of("file"), NULL, 0, &none));
  KEEPS_ERRNO(jlock_read(lock, &snapshot));
  KEEPS_ERRNO(jlock_append(lock, &entry, 1));
  KEEPS_ERRNO(jlock_acquire(lock));
  KEEPS_ERRNO(jlock_acquire(other));
  KEEPS_ERRNO(jlock_try_acquire(other));
  KEEPS_ERRNO(jlock_wait_fd(other));
  KEEPS_ERRNO(jlock_message(other, text, sizeof text));
  KEEPS_ERRNO(jlock_append(lock, NULL, 1));
  KEEPS_ERRNO(jlock_read(lock, &snapshot));
  KEEPS_ERRNO(jlock_checkpoint(lock, snapshot, 1));
  KEEPS_ERRNO(jlock_snapshot_free(snapshot));
  /* Once the working directory is gone, the C library reports that it has no path. */
  SYSTEM(mkdir(path_of("gone"), 0700));
  SYSTEM(chdir(path_of("gone")));
  SYSTEM(rmdir(path_of("gone")));
  KEEPS_ERRNO(jlock_open(".", NULL, 0, &none));
  KEEPS_ERRNO(jlock_close(none));
  for (int number = FIRST; number < MANY; number++) close(number);
  KEEPS_ERRNO(jlock_release(lock));
  KEEPS_ERRNO(jlock_append(lock, &entry, 1));
  KEEPS_ERRNO(jlock_close(lock));
  KEEPS_ERRNO(jlock_close(other));
}

static void a_sleep_that_is_refused_is_slept_in_another_way(void) {
  kill_child(holder());
  filter(SYS_clock_nanosleep, SECCOMP_RET_ERRNO | EPERM, 0);
  struct jlock *lock = open_with(0, 100);
  int64_t begun = now_ms();
  OK(jlock_acquire(lock)); /* takes over, and settles */
  CHECK(now_ms() - begun >= 20);
  OK(jlock_release(lock));
  jlock_close(lock);
}

/* ------------------------------------------------------------------------------------------------------- the stack */

/* The header promises that 32 KiB are enough for the installed library. In this test the C library needs its share too,
 * and nothing is optimised. */
enum { STACK = 48 * 1024, ROOM = 256 * 1024, PATTERN = 0xa5 };

static void *call_each(void *nothing) {
  struct jlock *lock = open_with(0, 20), *other = open_with(0, 20);
  use(lock);
  OK(jlock_acquire(lock));
  IS(jlock_acquire(other), -ETIMEDOUT);
  inspect(other);
  OK(jlock_release(lock));
  struct jlock_snapshot *snapshot;
  OK(jlock_read(lock, &snapshot));
  CHECK(jlock_checkpoint(lock, snapshot, 2) >= 0);
  jlock_snapshot_free(snapshot);
  write_file(LOCK, "4194304\n");
  make_old(LOCK, 60);
  OK(acquire_and_release(lock));
  OK(jlock_close(other));
  OK(jlock_close(lock));
  return nothing;
}

static void a_small_stack_is_enough(void) {
  static _Alignas(4096) unsigned char stack[ROOM];
  memset(stack, PATTERN, sizeof stack);
  long smallest = sysconf(_SC_THREAD_STACK_MIN); /* on 64-bit Arm 128 KiB */
  size_t size = smallest > STACK ? (size_t)smallest : STACK;
  CHECK(size <= sizeof stack);
  pthread_attr_t small;
  IS(pthread_attr_init(&small), 0);
  IS(pthread_attr_setstack(&small, stack, size), 0);
  pthread_t thread;
  IS(pthread_create(&thread, &small, call_each, NULL), 0);
  IS(pthread_join(thread, NULL), 0);
  size_t untouched = 0;
  while (untouched < size && stack[untouched] == PATTERN) untouched++;
  CHECK(size - untouched < STACK);
}

const struct claim claims[] = {
    CLAIM(standard_numbers_are_never_kept),
    CLAIM(a_number_that_the_program_takes_is_the_programs),
    CLAIM(nothing_is_made_in_a_directory_that_took_a_number),
    CLAIM(after_all_are_closed_a_handle_fails_and_the_next_works),
    CLAIM(a_signal_handler_may_fork),
    CLAIM(a_child_is_told_where_the_kernel_only_says_that_it_wipes_pages),
    CLAIM(a_fork_does_not_wait_for_an_open_of_another_thread),
    CLAIM(a_thread_is_cancelled_between_calls),
    CLAIM(errno_is_as_the_caller_left_it),
    CLAIM(a_sleep_that_is_refused_is_slept_in_another_way),
    CLAIM(a_small_stack_is_enough),
    END_OF_CLAIMS,
};

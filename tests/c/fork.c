/* What a process inherits through fork and exec, and what the library leaves unchanged. */
#include "claim.h"

#include <stdatomic.h>

static struct jlock *inherited;

static void every_call_says_forked(void) {
  struct jlock_holder seen;
  struct jlock_snapshot *snapshot;
  char text[8];
  IS(jlock_acquire(inherited), JLOCK_EFORKED);
  IS(jlock_acquire_for(inherited, -1), JLOCK_EFORKED);
  IS(jlock_try_acquire(inherited), JLOCK_EFORKED);
  IS(jlock_release(inherited), JLOCK_EFORKED);
  IS(jlock_refresh(inherited), JLOCK_EFORKED);
  IS(jlock_recovered(inherited), JLOCK_EFORKED);
  IS(jlock_cancel(inherited), JLOCK_EFORKED);
  IS(jlock_wait_fd(inherited), JLOCK_EFORKED);
  IS(jlock_inspect(inherited, &seen, sizeof seen), JLOCK_EFORKED);
  IS(append(inherited, "a"), JLOCK_EFORKED);
  IS(append_stamped(inherited, "a", 1), JLOCK_EFORKED);
  IS(jlock_write_header(inherited, 1), JLOCK_EFORKED);
  IS(jlock_read(inherited, &snapshot), JLOCK_EFORKED);
  CHECK(!snapshot);
  IS(jlock_message(inherited, text, sizeof text), JLOCK_EFORKED);
}

static void a_child_is_told_that_the_handle_is_its_parents(void) {
  inherited = open_default();
  ends_well(child(every_call_says_forked));
  OK(jlock_acquire(inherited));
  ends_well(child(every_call_says_forked));
  OK(jlock_release(inherited));
  OK(jlock_close(inherited));
}

static void close_inherited(void) { jlock_close(inherited); }

static void closing_in_the_child_leaves_the_parents_lock(void) {
  inherited = open_default();
  OK(jlock_acquire(inherited));
  ino_t inode = inode_of(LOCK);
  ends_well(child(close_inherited));
  CHECK(inode_of(LOCK) == inode);
  struct jlock *other = open_default();
  IS(jlock_try_acquire(other), -EAGAIN);
  OK(jlock_release(inherited));
  OK(acquire_and_release(other));
  OK(jlock_close(other));
  OK(jlock_close(inherited));
}

static void open_and_append(void) {
  struct jlock *own = open_default();
  OK(append(own, "child"));
  OK(jlock_close(own));
  OK(jlock_close(inherited));
}

static void a_child_may_open_a_handle_of_its_own(void) {
  inherited = open_default();
  OK(append(inherited, "parent"));
  ends_well(child(open_and_append));
  OK(append(inherited, "parent again"));
  holds(JOURNAL, "# codegraph-journal v1 0\nparent\nchild\nparent again\n");
  OK(jlock_close(inherited));
}

/* The program's handler runs before the library's, which is registered when the library is first used. */
static void begin_anew_in_the_child(void) {
  OK(jlock_close(inherited));
  inherited = open_default();
}

static void append_in_the_child(void) {
  OK(append(inherited, "child"));
  OK(jlock_close(inherited));
}

static void a_handler_of_the_programs_may_open_the_childs_handle(void) {
  CHECK(pthread_atfork(NULL, NULL, begin_anew_in_the_child) == 0);
  inherited = open_default();
  OK(append(inherited, "parent"));
  ends_well(child(append_in_the_child));
  OK(append(inherited, "parent again"));
  holds(JOURNAL, "# codegraph-journal v1 0\nparent\nchild\nparent again\n");
  OK(jlock_close(inherited));
}

static int grandchild[2];
static pid_t claimant;

static void hold_and_fork(void) {
  OK(jlock_acquire(open_default()));
  SYSTEM(fork());
  pid_t pid = getpid(); /* the child reports once fork has returned: by then its copies are closed */
  if (getppid() != claimant) CHECK(write(grandchild[1], &pid, sizeof pid) == sizeof pid);
  for (;;) pause();
}

static void a_child_that_outlives_its_killed_parent_does_not_keep_the_lock_alive(void) {
  SYSTEM(pipe(grandchild));
  claimant = getpid();
  pid_t parent = child(hold_and_fork), survivor;
  CHECK(read(grandchild[0], &survivor, sizeof survivor) == sizeof survivor);
  kill_child(parent);
  struct jlock *lock = open_default();
  int rc = jlock_try_acquire(lock);
  SYSTEM(kill(survivor, SIGKILL)); /* it was alive all the time */
  OK(rc);
  IS(jlock_recovered(lock), 1);
  OK(jlock_close(lock));
}

static void *wait_for_ever(void *lock) {
  OK(jlock_acquire(lock));
  return NULL;
}

static void a_fork_during_a_wait_on_the_handle_does_not_block_the_child(void) {
  struct jlock *other = open_default();
  OK(jlock_acquire(other));
  inherited = open_with(0, -1);
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, wait_for_ever, inherited) == 0);
  until_in_line(1);
  for (int i = 0; i < 20; i++) {
    ends_well(child(every_call_says_forked));
    ends_well(child(close_inherited));
  }
  OK(jlock_release(other));
  pthread_join(thread, NULL);
  OK(jlock_close(inherited));
  OK(jlock_close(other));
}

static void use_and_close_inherited(void) {
  alarm(30);                                     /* the parent's is not inherited */
  IS(jlock_append(inherited, NULL, 1), -EINVAL); /* the arguments are checked first */
  every_call_says_forked();
  OK(jlock_close(inherited));
}

static atomic_int forked_enough;

static void *fail_all_the_time(void *lock) {
  while (!forked_enough) {
    IS(jlock_append(lock, NULL, 1), -EINVAL);
    IS(jlock_release(lock), JLOCK_ENOTHELD);
  }
  return NULL;
}

static void *change_all_the_time(void *lock) {
  while (!forked_enough) {
    OK(acquire_and_release(lock));
    OK(jlock_write_header(lock, 1));
  }
  return NULL;
}

/* Whatever another thread is changing at that moment, be it one of the library's mutexes or a message, the child
 * neither waits for it nor frees it. */
static void fork_while(void *(*busy)(void *)) {
  inherited = open_default();
  forked_enough = 0;
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, busy, inherited) == 0);
  for (int i = 0; i < 200; i++) ends_well(child(use_and_close_inherited));
  forked_enough = 1;
  pthread_join(thread, NULL);
  OK(jlock_close(inherited));
}

static void a_child_forked_while_a_call_fails_may_use_and_close_the_handle(void) { fork_while(fail_all_the_time); }

static void a_child_forked_while_a_call_goes_on_may_use_and_close_the_handle(void) { fork_while(change_all_the_time); }

static void close_keeping_alive(void) {
  every_call_says_forked();
  close_inherited();
}

static void a_handle_with_keepalive_survives_a_fork(void) {
  inherited = open_with(JLOCK_KEEPALIVE, 0);
  OK(jlock_acquire(inherited));
  ends_well(child(close_keeping_alive));
  OK(jlock_release(inherited));
  OK(jlock_close(inherited));
}

/* ------------------------------------------------------------------------------------------- the process itself */

struct process {
  mode_t mask;
  char directory[PATH_MAX];
  sigset_t blocked;
  void (*handlers[NSIG])(int);
};

static struct process *this_process(void) {
  struct process *process = calloc(1, sizeof *process);
  CHECK(process);
  process->mask = umask(027);
  umask(process->mask);
  CHECK(getcwd(process->directory, sizeof process->directory));
  CHECK(pthread_sigmask(SIG_BLOCK, NULL, &process->blocked) == 0);
  for (int number = 1; number < NSIG; number++) {
    struct sigaction action;
    if (sigaction(number, NULL, &action) == 0) process->handlers[number] = action.sa_handler;
  }
  return process;
}

static void nothing_of_the_process_is_changed(void) {
  struct process *before = this_process();
  kill_child(holder());
  struct jlock *lock = open_with(JLOCK_KEEPALIVE | JLOCK_SYNC, 100), *other = open_with(0, 20);
  OK(append_stamped(lock, "a", 1)); /* takes over from the dead holder */
  OK(jlock_acquire(lock));
  IS(jlock_acquire(other), -ETIMEDOUT);
  struct process *after = this_process();
  CHECK(!memcmp(before, after, sizeof *before));
  OK(jlock_close(other));
  OK(jlock_close(lock));
  free(after);
  free(before);
}

/* One bit per signal, in hexadecimal. SIGKILL and SIGSTOP cannot be blocked. */
static unsigned long long blocked_in(const char *thread) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/self/task/%s/status", thread);
  FILE *status = fopen(path, "r");
  CHECK(status);
  unsigned long long blocked = 0;
  while (fgets(line, sizeof line, status)) sscanf(line, "SigBlk: %llx", &blocked);
  fclose(status);
  return blocked;
}

static int must_be_blocked(int number) {
#ifdef __SANITIZE_ADDRESS__
  if (number == SIGSYS) return 0; /* with gcc 14's sanitizer, a thread that has just started does not block it yet */
#endif
  return number != SIGKILL && number != SIGSTOP;
}

static void the_keepalive_thread_takes_no_signals(void) {
  struct jlock *lock = open_with(JLOCK_KEEPALIVE, 100);
  DIR *threads = opendir("/proc/self/task");
  CHECK(threads);
  int others = 0;
  for (struct dirent *thread; (thread = readdir(threads));) {
    if (*thread->d_name == '.' || atoi(thread->d_name) == getpid()) continue;
    unsigned long long blocked = blocked_in(thread->d_name);
    for (int number = 1; number < 32; number++) {
      if (must_be_blocked(number)) CHECK(blocked >> (number - 1) & 1);
    }
    others++;
  }
  closedir(threads);
  CHECK(others == 1);
  OK(jlock_close(lock));
}

/* -------------------------------------------------------------------------------------------------- descriptors */

static void every_descriptor_is_closed_on_exec(void) {
  enum { MANY = 256 };
  int before[MANY], seen = 0;
  for (int fd = 0; fd < MANY; fd++) before[fd] = fcntl(fd, F_GETFD);
  struct jlock *lock = open_with(JLOCK_KEEPALIVE, 10), *other = open_default();
  OK(append(lock, "a"));
  OK(jlock_acquire(lock));
  IS(jlock_acquire_for(other, 10), -ETIMEDOUT);
  CHECK(jlock_wait_fd(other) >= 0);
  for (int fd = 0; fd < MANY; fd++) {
    int flags = fcntl(fd, F_GETFD);
    if (before[fd] != -1 || flags == -1) continue;
    CHECK(flags & FD_CLOEXEC);
    seen++;
  }
  CHECK(seen >= 6); /* two directories, two stamps, and what the waiter watches */
  OK(jlock_close(other));
  OK(jlock_close(lock));
}

static void a_thousand_handles_leave_no_descriptor(void) {
  int before = open_descriptors();
  for (int i = 0; i < 1000; i++) {
    struct jlock *lock = open_default();
    OK(append(lock, "a"));
    OK(jlock_acquire(lock));
    CHECK(jlock_wait_fd(lock) >= 0);
    OK(jlock_close(lock));
  }
  CHECK(open_descriptors() == before);
}

/* The process keeps the queues of a few waits that are over, to use them again. */
static void a_hundred_waits_leave_a_few_descriptors(void) {
  enum { WAITS = 100 };
  struct jlock *holders[WAITS], *waiters[WAITS];
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  SYSTEM(fd);
  int before = open_descriptors();
  for (int i = 0; i < WAITS; i++) {
    char journal[16];
    sprintf(journal, "journal-%d", i);
    OK(jlock_open_at(fd, journal, NULL, 0, &holders[i]));
    OK(jlock_open_at(fd, journal, NULL, 0, &waiters[i]));
    OK(jlock_acquire(holders[i]));
    IS(jlock_acquire_start(waiters[i], -1), -EINPROGRESS);
  }
  for (int i = 0; i < WAITS; i++) {
    OK(jlock_close(waiters[i]));
    OK(jlock_close(holders[i]));
  }
  CHECK(open_descriptors() <= before + 4);
  close(fd);
}

static void failures_leave_no_descriptor(void) {
  struct jlock *lock = open_default(), *other = open_with(0, 5), *none;
  OK(jlock_acquire(lock));
  IS(jlock_acquire_for(other, 300), -ETIMEDOUT); /* long enough for the wait to open all that it ever needs */
  int before = open_descriptors();
  for (int i = 0; i < 50; i++) {
    struct jlock_snapshot *snapshot;
    IS(jlock_try_acquire(other), -EAGAIN);
    IS(append(other, "a"), -ETIMEDOUT);
    IS(append(lock, ""), JLOCK_EENTRY);
    IS(jlock_read(lock, &snapshot), -ENOENT);
    IS(jlock_open_at(AT_FDCWD, "a/b", NULL, 0, &none), -EINVAL);
  }
  /* Whether the first of them got as far as waiting, which takes a queue, depends on the machine. */
  CHECK(open_descriptors() <= before + 1);
  OK(jlock_close(other));
  OK(jlock_close(lock));
}

const struct claim claims[] = {
    CLAIM(a_child_is_told_that_the_handle_is_its_parents),
    CLAIM(closing_in_the_child_leaves_the_parents_lock),
    CLAIM(a_child_may_open_a_handle_of_its_own),
    CLAIM(a_handler_of_the_programs_may_open_the_childs_handle),
    CLAIM(a_child_that_outlives_its_killed_parent_does_not_keep_the_lock_alive),
    CLAIM(a_fork_during_a_wait_on_the_handle_does_not_block_the_child),
    CLAIM(a_child_forked_while_a_call_fails_may_use_and_close_the_handle),
    CLAIM(a_child_forked_while_a_call_goes_on_may_use_and_close_the_handle),
    CLAIM(a_handle_with_keepalive_survives_a_fork),
    CLAIM(nothing_of_the_process_is_changed),
    CLAIM(the_keepalive_thread_takes_no_signals),
    CLAIM(every_descriptor_is_closed_on_exec),
    CLAIM(a_thousand_handles_leave_no_descriptor),
    CLAIM(a_hundred_waits_leave_a_few_descriptors),
    CLAIM(failures_leave_no_descriptor),
    END_OF_CLAIMS,
};

/* Acquire, release, wait, inspect. */
#include "claim.h"

#include <poll.h>

/* Another program's lock, renamed over the one that is there. */
static void steal(const char *stamp) {
  write_file("stolen", stamp);
  SYSTEM(rename(path_of("stolen"), path_of(LOCK)));
}

static void the_lock_stands_while_it_is_held(void) {
  struct jlock *lock = open_default();
  CHECK(!exists(LOCK));
  OK(jlock_acquire(lock));
  CHECK(exists(LOCK));
  OK(jlock_release(lock));
  CHECK(!exists(LOCK));
  OK(jlock_close(lock));
}

static void two_handles_exclude_each_other(void) {
  struct jlock *one = open_default(), *two = open_default();
  OK(jlock_acquire(one));
  IS(jlock_try_acquire(two), -EAGAIN);
  OK(jlock_release(one));
  OK(jlock_try_acquire(two));
  IS(jlock_try_acquire(one), -EAGAIN);
  OK(jlock_close(two));
  OK(jlock_try_acquire(one));
  OK(jlock_close(one));
}

static void acquiring_what_is_held_is_a_deadlock(void) {
  struct jlock *lock = open_default();
  OK(jlock_acquire(lock));
  IS(jlock_acquire(lock), -EDEADLK);
  IS(jlock_try_acquire(lock), -EDEADLK);
  IS(jlock_acquire_for(lock, -1), -EDEADLK);
  OK(jlock_release(lock)); /* the lock is still held */
  OK(jlock_close(lock));
}

static void releasing_twice_is_not_held(void) {
  struct jlock *lock = open_default();
  IS(jlock_release(lock), JLOCK_ENOTHELD);
  OK(jlock_acquire(lock));
  OK(jlock_release(lock));
  IS(jlock_release(lock), JLOCK_ENOTHELD);
  OK(jlock_close(lock));
}

static void refreshing_without_a_hold_is_not_held(void) {
  struct jlock *lock = open_default();
  IS(jlock_refresh(lock), JLOCK_ENOTHELD);
  OK(jlock_close(lock));
}

static void closing_releases_and_leaves_nothing_behind(void) {
  struct jlock *lock = open_default();
  OK(jlock_acquire(lock));
  OK(jlock_close(lock));
  SYSTEM(rmdir(dir));
  SYSTEM(mkdir(dir, 0777));
}

static void a_timeout_comes_in_time_and_names_the_holder(void) {
  pid_t pid = holder();
  struct jlock *lock = open_with(0, 100000);
  int64_t begun = now_ms();
  IS(jlock_acquire_for(lock, 150), -ETIMEDOUT);
  int64_t waited = now_ms() - begun;
  CHECK(waited >= 150 && waited < 50000); /* it used this call's timeout, not the handle's */
  char named[64];
  sprintf(named, "held by pid %d (library peer)", pid);
  CHECK(strstr(message(lock), LOCK) && strstr(message(lock), named));
  OK(jlock_close(lock));
  kill_child(pid);
}

static void acquire_waits_for_the_timeout_of_the_options(void) {
  struct jlock *one = open_default(), *two = open_with(0, 120);
  OK(jlock_acquire(one));
  int64_t begun = now_ms();
  IS(jlock_acquire(two), -ETIMEDOUT);
  IS(append(two, "a"), -ETIMEDOUT); /* a journal call acquires the lock too */
  CHECK(now_ms() - begun >= 240);
  OK(jlock_close(two));
  OK(jlock_close(one));
}

/* ------------------------------------------------------------------------------------------- threads and waiting */

struct wait {
  struct jlock *lock;
  int32_t timeout_ms;
  int rc;
};

static void *wait_for_it(void *argument) {
  struct wait *wait = argument;
  wait->rc = jlock_acquire_for(wait->lock, wait->timeout_ms);
  return NULL;
}

static pthread_t start(void *(*run)(void *), void *argument) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, run, argument) == 0);
  return thread;
}

/* A handle that waits forever and looks again only after an hour: something has to wake it. */
static struct jlock *open_patient(void) {
  struct jlock_options options;
  jlock_options_init(&options, sizeof options);
  options.timeout_ms = -1;
  options.retry_ms = 3600000;
  struct jlock *lock;
  OK(jlock_open(dir, &options, sizeof options, &lock));
  return lock;
}

static void a_release_ends_the_wait(void) {
  struct jlock *one = open_default();
  struct wait wait = {open_patient(), -1, 1};
  OK(jlock_acquire(one));
  pthread_t thread = start(wait_for_it, &wait);
  until_in_line(1);
  OK(jlock_release(one));
  pthread_join(thread, NULL);
  OK(wait.rc);
  OK(jlock_release(wait.lock)); /* released by another thread than the one that acquired */
  OK(jlock_close(wait.lock));
  OK(jlock_close(one));
}

static void the_holders_death_ends_the_wait(void) {
  pid_t pid = holder();
  struct wait wait = {open_patient(), -1, 1};
  pthread_t thread = start(wait_for_it, &wait);
  until_in_line(1);
  kill_child(pid);
  pthread_join(thread, NULL);
  OK(wait.rc);
  IS(jlock_recovered(wait.lock), 1);
  OK(jlock_close(wait.lock));
}

static void a_cancel_ends_the_wait_of_another_thread(void) {
  struct jlock *one = open_default();
  struct wait wait = {open_patient(), -1, 1};
  OK(jlock_acquire(one));
  pthread_t thread = start(wait_for_it, &wait);
  /* A cancel has no effect before the wait has begun, so it is repeated until the wait has ended. */
  while (pthread_tryjoin_np(thread, NULL)) {
    OK(jlock_cancel(wait.lock));
    nap();
  }
  IS(wait.rc, -ECANCELED);
  OK(jlock_release(one));
  OK(acquire_and_release(wait.lock));
  OK(jlock_close(wait.lock));
  OK(jlock_close(one));
}

static void *append_when_it_is_free(void *argument) {
  struct wait *wait = argument;
  wait->rc = append(wait->lock, "a");
  return NULL;
}

static void a_cancel_ends_the_wait_of_a_journal_call(void) {
  struct jlock *one = open_default();
  struct wait wait = {open_patient(), -1, 1};
  OK(jlock_acquire(one));
  pthread_t thread = start(append_when_it_is_free, &wait);
  while (pthread_tryjoin_np(thread, NULL)) {
    OK(jlock_cancel(wait.lock));
    nap();
  }
  IS(wait.rc, -ECANCELED);
  CHECK(!exists(JOURNAL));
  OK(jlock_close(wait.lock));
  OK(jlock_close(one));
}

static volatile sig_atomic_t rings;

static void ring(int signal) {
  (void)signal;
  rings++;
}

static void a_signal_does_not_end_the_wait(void) {
  struct jlock *one = open_default(), *two = open_default();
  OK(jlock_acquire(one));
  struct sigaction action = {.sa_handler = ring}; /* without SA_RESTART, so calls are interrupted */
  SYSTEM(sigaction(SIGPROF, &action, NULL));
  timer_t timer;
  SYSTEM(timer_create(CLOCK_MONOTONIC, &(struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGPROF}, &timer));
  SYSTEM(timer_settime(timer, 0, &(struct itimerspec){{0, 3000000}, {0, 3000000}}, NULL));
  /* On a busy machine, several signals can become one. */
  while (rings < 3) {
    int64_t begun = now_ms();
    IS(jlock_acquire_for(two, 150), -ETIMEDOUT);
    CHECK(now_ms() - begun >= 150);
  }
  OK(jlock_release(one));
  for (int i = 0; i < 200; i++) OK(append(two, "a"));
  timer_delete(timer);
  OK(jlock_close(two));
  OK(jlock_close(one));
}

static void a_cancel_without_a_wait_does_nothing(void) {
  struct jlock *lock = open_default();
  OK(jlock_cancel(lock));
  OK(jlock_acquire(lock));
  OK(jlock_cancel(lock));
  OK(jlock_release(lock));
  OK(jlock_cancel(lock));
  struct jlock *other = open_default();
  OK(jlock_acquire(other));
  IS(jlock_acquire_for(lock, 30), -ETIMEDOUT);
  OK(jlock_close(other));
  OK(jlock_close(lock));
}

static int is_readable(int fd, int timeout_ms) {
  struct pollfd polled = {fd, POLLIN, 0};
  int count = poll(&polled, 1, timeout_ms);
  SYSTEM(count);
  return count == 1 && polled.revents & POLLIN;
}

/* Does what an event loop does with an acquire that was started, and returns the result. */
static int drive(struct jlock *lock) {
  int fd = jlock_wait_fd(lock), rc = -EINPROGRESS;
  CHECK(fd >= 0);
  while (rc == -EINPROGRESS) {
    CHECK(is_readable(fd, -1)); /* nothing else wakes us; the alarm that main sets ends an endless wait */
    rc = jlock_acquire_poll(lock);
  }
  return rc;
}

static void an_acquire_that_is_started_on_a_free_lock_is_over(void) {
  struct jlock *lock = open_default();
  OK(jlock_acquire_start(lock, -1));
  CHECK(inspect(lock).state == JLOCK_MINE);
  IS(jlock_acquire_poll(lock), -EINVAL);
  IS(jlock_acquire_start(lock, -1), -EDEADLK);
  OK(jlock_release(lock));
  OK(jlock_close(lock));
}

static void an_acquire_that_is_started_goes_on_until_the_release(void) {
  struct jlock *one = open_default(), *two = open_default();
  for (int round = 0; round < 3; round++) {
    OK(jlock_acquire(one));
    IS(jlock_acquire_start(two, -1), -EINPROGRESS);
    IS(jlock_acquire_poll(two), -EINPROGRESS);
    CHECK(inspect(two).state == JLOCK_HELD);
    OK(jlock_release(one));
    OK(drive(two));
    OK(append(two, "under a hold like any other"));
    OK(jlock_release(two));
  }
  OK(jlock_close(two));
  OK(jlock_close(one));
}

static void an_acquire_that_is_started_goes_on_until_the_holders_death(void) {
  pid_t pid = holder();
  struct jlock *lock = open_default();
  IS(jlock_acquire_start(lock, -1), -EINPROGRESS);
  kill_child(pid);
  OK(drive(lock));
  CHECK(jlock_recovered(lock) == 1);
  OK(jlock_close(lock));
}

static void an_acquire_that_is_started_times_out_by_its_descriptor(void) {
  struct jlock *one = open_default(), *two = open_default();
  OK(jlock_acquire(one));
  int64_t begun = now_ms();
  IS(jlock_acquire_start(two, 50), -EINPROGRESS);
  IS(drive(two), -ETIMEDOUT);
  CHECK(now_ms() - begun >= 50);
  CHECK(strstr(message(two), "held by pid"));
  IS(jlock_acquire_poll(two), -EINVAL);
  IS(jlock_acquire_start(two, 0), -ETIMEDOUT);
  OK(jlock_release(one));
  OK(acquire_and_release(two));
  OK(jlock_close(two));
  OK(jlock_close(one));
}

static void a_cancel_ends_an_acquire_that_is_started(void) {
  struct jlock *one = open_default(), *two = open_default();
  OK(jlock_acquire(one));
  IS(jlock_acquire_start(two, -1), -EINPROGRESS);
  OK(jlock_cancel(two));
  IS(drive(two), -ECANCELED);
  IS(jlock_acquire_start(two, -1), -EINPROGRESS); /* a cancel ends one acquire, not the next */
  OK(jlock_release(one));
  OK(drive(two));
  OK(jlock_close(two));
  OK(jlock_close(one));
}

static void one_acquire_is_in_progress_at_a_time(void) {
  struct jlock *one = open_default(), *two = open_default();
  IS(jlock_acquire_poll(two), -EINVAL);
  OK(jlock_acquire(one));
  IS(jlock_acquire_start(two, -1), -EINPROGRESS);
  IS(jlock_acquire_start(two, -1), -EALREADY);
  OK(jlock_close(two)); /* ends the acquire */
  OK(jlock_release(one));
  OK(acquire_and_release(one));
  OK(jlock_close(one));
}

static void the_wait_descriptor_is_the_same_for_life_and_silent_without_an_acquire(void) {
  struct jlock *one = open_default(), *two = open_default();
  int fd = jlock_wait_fd(two);
  CHECK(fd > 2 && !is_readable(fd, 0));
  OK(jlock_acquire(one));
  IS(jlock_acquire_start(two, -1), -EINPROGRESS);
  CHECK(jlock_wait_fd(two) == fd);
  OK(jlock_release(one));
  OK(drive(two));
  OK(jlock_release(two));
  CHECK(jlock_wait_fd(two) == fd && !is_readable(fd, 0));
  OK(jlock_close(two));
  OK(jlock_close(one));
}

/* ---------------------------------------------------------------------------- an acquire that was started, among others */

#define LINE LOCK ".line"

/* How many waiters are in line. */
static int waiters(void) {
  DIR *line = opendir(path_of(LINE));
  if (!line) return 0;
  int count = 0;
  for (struct dirent *entry; (entry = readdir(line));) count += entry->d_name[0] != '.';
  closedir(line);
  return count;
}

static int served; /* a file to which each process that gets the lock appends its letter */
static int told[2];
static char letter;

static void tell(void) { CHECK(write(told[1], &letter, 1) == 1); }

static char hear(void) {
  char heard;
  CHECK(read(told[0], &heard, 1) == 1);
  return heard;
}

/* Waits for its turn, and reports when it has begun to wait. */
static void wait_for_turn(void) {
  struct jlock *lock = open_patient();
  int fd = jlock_wait_fd(lock);
  int rc = jlock_acquire_start(lock, -1);
  IS(rc, -EINPROGRESS);
  tell();
  while (rc == -EINPROGRESS) {
    CHECK(is_readable(fd, -1)); /* without a wake-up, it would look again only after an hour */
    rc = jlock_acquire_poll(lock);
  }
  OK(rc);
  CHECK(write(served, &letter, 1) == 1);
  OK(jlock_release(lock));
  OK(jlock_close(lock));
}

static pid_t start_waiter(char name) {
  letter = name;
  pid_t pid = child(wait_for_turn);
  CHECK(hear() == name);
  return pid;
}

static void prepare_to_serve(void) {
  SYSTEM(pipe2(told, O_CLOEXEC));
  SYSTEM(served = open(path_of("served"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
}

static void acquires_that_are_started_in_three_processes_are_served_in_order(void) {
  prepare_to_serve();
  struct jlock *lock = open_default();
  OK(jlock_acquire(lock));
  pid_t pids[3];
  for (int i = 0; i < 3; i++) {
    pids[i] = start_waiter((char)('a' + i));
    CHECK(waiters() == i + 1);
  }
  OK(jlock_release(lock));
  for (int i = 0; i < 3; i++) ends_well(pids[i]);
  holds("served", "abc");
  OK(jlock_close(lock));
}

static void closing_ends_an_acquire_that_is_started_and_leaves_its_place(void) {
  prepare_to_serve();
  struct jlock *one = open_default(), *two = open_patient();
  OK(jlock_acquire(one));
  struct jlock *three = open_patient();
  pid_t before = start_waiter('a');
  IS(jlock_acquire_start(two, -1), -EINPROGRESS);
  pid_t after = start_waiter('b');
  CHECK(waiters() == 3);
  IS(jlock_acquire_start(three, -1), -EINPROGRESS); /* behind this process's other handle */
  CHECK(waiters() == 3);
  OK(jlock_close(two));
  CHECK(waiters() == 2);
  OK(jlock_release(one));
  OK(drive(three));
  OK(jlock_release(three));
  ends_well(before);
  ends_well(after);
  OK(jlock_close(three));
  OK(jlock_close(one));
  SYSTEM(unlink(path_of("served")));
  SYSTEM(rmdir(dir)); /* succeeds because nothing is left */
  SYSTEM(mkdir(dir, 0777));
}

static void the_wait_descriptor_is_silent_until_the_release(void) {
  struct jlock *one = open_default(), *two = open_patient();
  OK(jlock_acquire(one));
  IS(jlock_acquire_start(two, -1), -EINPROGRESS);
  CHECK(!is_readable(jlock_wait_fd(two), 50));
  OK(jlock_release(one));
  CHECK(is_readable(jlock_wait_fd(two), -1)); /* without a wake-up, it would look again only after an hour */
  OK(drive(two));
  OK(jlock_close(two));
  OK(jlock_close(one));
}

static void the_wait_descriptor_is_silent_until_the_holders_death(void) {
  pid_t pid = holder();
  struct jlock *lock = open_patient();
  IS(jlock_acquire_start(lock, -1), -EINPROGRESS);
  CHECK(!is_readable(jlock_wait_fd(lock), 50));
  kill_child(pid);
  OK(drive(lock));
  IS(jlock_recovered(lock), 1);
  OK(jlock_close(lock));
}

static void the_wait_descriptor_signals_a_cancel(void) {
  struct jlock *one = open_default(), *two = open_patient();
  OK(jlock_acquire(one));
  IS(jlock_acquire_start(two, -1), -EINPROGRESS);
  OK(jlock_cancel(two));
  IS(drive(two), -ECANCELED);
  CHECK(!is_readable(jlock_wait_fd(two), 0));
  /* A cancel works after an acquire that failed, as after any other. */
  IS(jlock_acquire_start(two, -1), -EINPROGRESS);
  OK(jlock_cancel(two));
  IS(drive(two), -ECANCELED);
  OK(jlock_close(two));
  OK(jlock_close(one));
}

static void the_wait_descriptor_signals_the_timeout(void) {
  struct jlock *one = open_default(), *two = open_patient();
  OK(jlock_acquire(one));
  int64_t begun = now_ms();
  IS(jlock_acquire_start(two, 100), -EINPROGRESS);
  IS(drive(two), -ETIMEDOUT);
  int64_t waited = now_ms() - begun;
  CHECK(waited >= 100 && waited < 10000);
  OK(jlock_close(two));
  OK(jlock_close(one));
}

static void an_acquire_that_is_started_does_not_sleep_to_settle(void) {
  kill_child(holder());
  struct jlock_options options;
  jlock_options_init(&options, sizeof options);
  options.settle_ms = 2000;
  struct jlock *lock;
  OK(jlock_open(dir, &options, sizeof options, &lock));
  int64_t begun = now_ms();
  IS(jlock_acquire_start(lock, -1), -EINPROGRESS); /* it would have been 0 if it had slept */
  OK(drive(lock));
  CHECK(now_ms() - begun >= 2000);
  OK(jlock_close(lock));
}

static void a_journal_call_waits_its_own_time_for_an_acquire_that_is_started(void) {
  struct jlock *one = open_default(), *two = open_with(0, 100);
  OK(jlock_acquire(one));
  IS(jlock_acquire_start(two, -1), -EINPROGRESS);
  struct wait wait = {two, 0, 1};
  int64_t begun = now_ms();
  pthread_join(start(append_when_it_is_free, &wait), NULL);
  int64_t waited = now_ms() - begun;
  IS(wait.rc, -ETIMEDOUT);
  CHECK(waited >= 100 && waited < 10000);
  CHECK(!exists(JOURNAL));
  OK(jlock_release(one));
  OK(drive(two)); /* its acquire is still in progress */
  pthread_join(start(append_when_it_is_free, &wait), NULL);
  OK(wait.rc); /* it appended under that hold */
  OK(jlock_close(two));
  OK(jlock_close(one));
}

static void nothing_but_acquiring_waits_for_another_threads_acquire(void) {
  struct jlock *one = open_default();
  OK(append_stamped(one, "a", 1));
  OK(jlock_acquire(one));
  struct wait wait = {open_patient(), -1, 1};
  pthread_t thread = start(wait_for_it, &wait);
  WAIT_UNTIL(waiters() == 1);
  /* The other thread waits until we release, so a call that waited for it would never return. */
  IS(jlock_release(wait.lock), JLOCK_ENOTHELD);
  CHECK(strstr(message(wait.lock), LOCK));
  IS(jlock_refresh(wait.lock), JLOCK_ENOTHELD);
  CHECK(inspect(wait.lock).state == JLOCK_HELD);
  IS(jlock_recovered(wait.lock), 0);
  CHECK(jlock_wait_fd(wait.lock) > 2);
  struct jlock_snapshot *snapshot;
  OK(jlock_read(wait.lock, &snapshot));
  jlock_snapshot_free(snapshot);
  IS(jlock_try_acquire(wait.lock), -EAGAIN);
  IS(jlock_acquire_for(wait.lock, 0), -ETIMEDOUT);
  IS(jlock_acquire_start(wait.lock, -1), -EALREADY);
  CHECK(waiters() == 1); /* the other thread's place is kept */
  OK(jlock_release(one));
  pthread_join(thread, NULL);
  OK(wait.rc);
  OK(jlock_close(wait.lock));
  OK(jlock_close(one));
}

struct crowd {
  struct jlock *lock;
  int stop;
  long held;
};

static int stopped(struct crowd *crowd) { return __atomic_load_n(&crowd->stop, __ATOMIC_ACQUIRE); }

/* Whatever other threads do on the same handle, each call returns something that the contract allows. */
static void *jostle(void *argument) {
  struct crowd *crowd = argument;
  struct jlock_holder seen;
  while (!stopped(crowd)) {
    int rc = jlock_acquire_for(crowd->lock, 5);
    CHECK(rc == 0 || rc == -EDEADLK || rc == -ETIMEDOUT || rc == -ECANCELED);
    if (rc == 0) __atomic_add_fetch(&crowd->held, 1, __ATOMIC_RELAXED);
    OK(jlock_inspect(crowd->lock, &seen, sizeof seen));
    rc = jlock_refresh(crowd->lock);
    CHECK(rc == 0 || rc == JLOCK_ENOTHELD);
    rc = append(crowd->lock, "a");
    CHECK(rc == 0 || rc == -ETIMEDOUT || rc == -ECANCELED);
    rc = jlock_release(crowd->lock);
    CHECK(rc == 0 || rc == JLOCK_ENOTHELD);
    char text[64];
    CHECK(jlock_message(crowd->lock, text, sizeof text) >= 0);
  }
  return NULL;
}

static void *cancel_again_and_again(void *argument) {
  struct crowd *crowd = argument;
  while (!stopped(crowd)) OK(jlock_cancel(crowd->lock));
  return NULL;
}

static void eight_threads_share_a_handle_while_a_ninth_cancels(void) {
  struct crowd crowd = {open_with(0, 5), 0, 0};
  struct jlock *rival = open_default();
  pthread_t threads[9];
  for (int i = 0; i < 8; i++) threads[i] = start(jostle, &crowd);
  threads[8] = start(cancel_again_and_again, &crowd);
  for (int round = 0; round < 100 || __atomic_load_n(&crowd.held, __ATOMIC_RELAXED) < 100; round++) {
    OK(acquire_and_release(rival));
  }
  __atomic_store_n(&crowd.stop, 1, __ATOMIC_RELEASE);
  for (int i = 0; i < 9; i++) pthread_join(threads[i], NULL);
  OK(jlock_close(rival));
  OK(acquire_and_release(crowd.lock));
  OK(jlock_close(crowd.lock));
}

/* ---------------------------------------------------------------------------------------------- dead and living */

static void a_dead_holders_lock_is_taken_over_and_reported_as_recovered(void) {
  struct jlock *lock = open_default();
  OK(acquire_and_release(lock));
  IS(jlock_recovered(lock), 0);
  kill_child(holder());
  CHECK(exists(LOCK));
  OK(jlock_try_acquire(lock));
  IS(jlock_recovered(lock), 1);
  OK(jlock_release(lock));
  OK(jlock_acquire(lock));
  IS(jlock_recovered(lock), 0);
  OK(jlock_close(lock));
  SYSTEM(rmdir(dir)); /* the dead have left nothing */
  SYSTEM(mkdir(dir, 0777));
}

static void a_stopped_holder_is_waited_for_and_named(void) {
  pid_t pid = holder();
  SYSTEM(kill(pid, SIGSTOP));
  SYSTEM(waitpid(pid, NULL, WUNTRACED));
  make_old(LOCK, 3600);
  ino_t inode = inode_of(LOCK);
  struct jlock *lock = open_default();
  IS(jlock_acquire_for(lock, 150), -ETIMEDOUT);
  char named[32];
  sprintf(named, "pid %d", pid);
  CHECK(strstr(message(lock), named));
  CHECK(inode_of(LOCK) == inode);
  OK(jlock_close(lock));
  CHECK(inode_of(LOCK) == inode);
  kill_child(pid);
}

static void a_live_shipped_holder_is_waited_for_and_named(void) {
  char stamp[64];
  sprintf(stamp, "%d\n%d-0123456789abcdef\n", getpid(), getpid());
  write_file(LOCK, stamp);
  struct jlock *lock = open_default();
  IS(jlock_acquire_for(lock, 50), -ETIMEDOUT);
  CHECK(strstr(message(lock), "(shipped peer)"));
  OK(jlock_close(lock));
  holds(LOCK, stamp);
}

static void a_shipped_holder_that_is_silent_for_long_is_taken_over(void) {
  char stamp[64];
  sprintf(stamp, "%d\n%d-0123456789abcdef\n", getpid(), getpid());
  write_file(LOCK, stamp);
  make_old(LOCK, 31);
  struct jlock *lock = open_with(0, 0);
  OK(jlock_acquire(lock));
  IS(jlock_recovered(lock), 1);
  OK(jlock_close(lock));
}

static void whoever_loses_the_lock_is_told_and_harms_nothing(void) {
  struct jlock *lock = open_default();
  OK(jlock_acquire(lock));
  OK(append(lock, "before"));
  steal("1\n1-0123456789abcdef\n");
  IS(jlock_refresh(lock), JLOCK_ELOST);
  IS(append(lock, "after"), JLOCK_ELOST);
  IS(append_stamped(lock, "after", 1), JLOCK_ELOST);
  IS(jlock_write_header(lock, 1), JLOCK_ELOST);
  IS(jlock_release(lock), JLOCK_ELOST);
  IS(jlock_release(lock), JLOCK_ENOTHELD);
  holds(LOCK, "1\n1-0123456789abcdef\n");
  holds(JOURNAL, "# codegraph-journal v1 0\nbefore\n");
  OK(jlock_close(lock));
  holds(LOCK, "1\n1-0123456789abcdef\n");
}

static void closing_a_lost_lock_says_so_and_harms_nothing(void) {
  struct jlock *lock = open_default();
  OK(jlock_acquire(lock));
  steal("1\n1-0123456789abcdef\n");
  IS(jlock_close(lock), JLOCK_ELOST);
  holds(LOCK, "1\n1-0123456789abcdef\n");
}

static void a_lock_that_somebody_removed_is_lost(void) {
  struct jlock *lock = open_default();
  OK(jlock_acquire(lock));
  SYSTEM(unlink(path_of(LOCK)));
  IS(jlock_release(lock), JLOCK_ELOST);
  OK(acquire_and_release(lock));
  OK(jlock_close(lock));
}

static struct timespec modified(const char *name) {
  struct stat meta;
  SYSTEM(stat(path_of(name), &meta));
  return meta.st_mtim;
}

static int is_recent(const char *name) { return modified(name).tv_sec > time(NULL) - 600; }

static void a_refresh_renews_the_sign_of_life(void) {
  struct jlock *lock = open_with(0, 0);
  OK(jlock_acquire(lock));
  make_old(LOCK, 3600);
  OK(jlock_refresh(lock));
  CHECK(is_recent(LOCK));
  OK(jlock_close(lock));
}

static void keepalive_renews_the_sign_of_life_while_the_lock_is_held(void) {
  struct jlock_options options;
  jlock_options_init(&options, sizeof options);
  options.flags = JLOCK_KEEPALIVE;
  options.stale_ms = 60; /* the keepalive renews it every third of this */
  struct jlock *lock;
  OK(jlock_open(dir, &options, sizeof options, &lock));
  for (int round = 0; round < 2; round++) {
    OK(jlock_acquire(lock));
    for (int renewal = 0; renewal < 2; renewal++) {
      make_old(LOCK, 3600);
      WAIT_UNTIL(is_recent(LOCK));
    }
    OK(jlock_release(lock));
  }
  OK(jlock_close(lock));
}

/* ----------------------------------------------------------------------------------------------------- inspect */

static void inspect_says_free(void) {
  struct jlock *lock = open_default();
  struct jlock_holder seen = inspect(lock);
  CHECK(seen.state == JLOCK_FREE && seen.peer == JLOCK_PEER_NONE && seen.pid == 0);
  CHECK(!*seen.nonce && !*seen.host && seen.fallback == 0 && seen.reserved == 0);
  OK(jlock_close(lock));
}

static void inspect_says_mine(void) {
  struct jlock *lock = open_default();
  OK(jlock_acquire(lock));
  struct jlock_holder seen = inspect(lock);
  CHECK(seen.state == JLOCK_MINE && seen.peer == JLOCK_PEER_LIBRARY && seen.pid == getpid());
  OK(jlock_close(lock));
}

static void inspect_says_who_holds_it(void) {
  pid_t pid = holder();
  struct jlock *lock = open_default();
  make_old(LOCK, 100);
  struct jlock_holder seen = inspect(lock);
  CHECK(seen.state == JLOCK_HELD && seen.peer == JLOCK_PEER_LIBRARY && seen.pid == pid);
  CHECK(seen.age_ms >= 100000 && seen.age_ms < 200000);
  char host[64] = "", beginning[32];
  SYSTEM(gethostname(host, sizeof host - 1));
  CHECK(!strcmp(seen.host, host));
  sprintf(beginning, "%d-", pid);
  CHECK(!strncmp(seen.nonce, beginning, strlen(beginning)) && strlen(seen.nonce) == strlen(beginning) + 16);
  char *stamp = read_file(LOCK);
  CHECK(strstr(stamp, seen.nonce));
  free(stamp);
  OK(jlock_close(lock));
  kill_child(pid);
}

static void inspect_says_abandoned(void) {
  pid_t pid = holder();
  kill_child(pid);
  struct jlock *lock = open_default();
  struct jlock_holder seen = inspect(lock);
  CHECK(seen.state == JLOCK_ABANDONED && seen.peer == JLOCK_PEER_LIBRARY && seen.pid == pid);
  OK(jlock_close(lock));
}

static void inspect_knows_a_shipped_peer(void) {
  char stamp[64];
  sprintf(stamp, "%d\n%d-0123456789abcdef\n", getpid(), getpid());
  write_file(LOCK, stamp);
  struct jlock *lock = open_default();
  struct jlock_holder seen = inspect(lock);
  CHECK(seen.state == JLOCK_HELD && seen.peer == JLOCK_PEER_SHIPPED && seen.pid == getpid() && !*seen.host);
  make_old(LOCK, 31);
  CHECK(inspect(lock).state == JLOCK_ABANDONED);
  OK(jlock_close(lock));
}

static void inspect_knows_an_empty_lock(void) {
  write_file(LOCK, "");
  int writer = open(path_of(LOCK), O_WRONLY); /* without one, the lock counts as abandoned after a tenth of a second */
  SYSTEM(writer);
  struct jlock *lock = open_default();
  struct jlock_holder seen = inspect(lock);
  CHECK(seen.state == JLOCK_HELD && seen.peer == JLOCK_PEER_UNKNOWN && seen.pid == 0);
  SYSTEM(close(writer));
  make_old(LOCK, 6);
  CHECK(inspect(lock).state == JLOCK_ABANDONED);
  OK(jlock_close(lock));
}

static void inspect_changes_nothing(void) {
  kill_child(holder());
  struct stat before, after;
  SYSTEM(stat(path_of(LOCK), &before));
  char *stamp = read_file(LOCK);
  struct jlock *lock = open_default();
  inspect(lock);
  OK(jlock_close(lock));
  SYSTEM(stat(path_of(LOCK), &after));
  CHECK(before.st_ino == after.st_ino && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
  holds(LOCK, stamp);
  free(stamp);
}

const struct claim claims[] = {
    CLAIM(the_lock_stands_while_it_is_held),
    CLAIM(two_handles_exclude_each_other),
    CLAIM(acquiring_what_is_held_is_a_deadlock),
    CLAIM(releasing_twice_is_not_held),
    CLAIM(refreshing_without_a_hold_is_not_held),
    CLAIM(closing_releases_and_leaves_nothing_behind),
    CLAIM(a_timeout_comes_in_time_and_names_the_holder),
    CLAIM(acquire_waits_for_the_timeout_of_the_options),
    CLAIM(a_release_ends_the_wait),
    CLAIM(the_holders_death_ends_the_wait),
    CLAIM(a_cancel_ends_the_wait_of_another_thread),
    CLAIM(a_cancel_ends_the_wait_of_a_journal_call),
    CLAIM(a_signal_does_not_end_the_wait),
    CLAIM(a_cancel_without_a_wait_does_nothing),
    CLAIM(an_acquire_that_is_started_on_a_free_lock_is_over),
    CLAIM(an_acquire_that_is_started_goes_on_until_the_release),
    CLAIM(an_acquire_that_is_started_goes_on_until_the_holders_death),
    CLAIM(an_acquire_that_is_started_times_out_by_its_descriptor),
    CLAIM(a_cancel_ends_an_acquire_that_is_started),
    CLAIM(one_acquire_is_in_progress_at_a_time),
    CLAIM(the_wait_descriptor_is_the_same_for_life_and_silent_without_an_acquire),
    CLAIM(acquires_that_are_started_in_three_processes_are_served_in_order),
    CLAIM(closing_ends_an_acquire_that_is_started_and_leaves_its_place),
    CLAIM(the_wait_descriptor_is_silent_until_the_release),
    CLAIM(the_wait_descriptor_is_silent_until_the_holders_death),
    CLAIM(the_wait_descriptor_signals_a_cancel),
    CLAIM(the_wait_descriptor_signals_the_timeout),
    CLAIM(an_acquire_that_is_started_does_not_sleep_to_settle),
    CLAIM(a_journal_call_waits_its_own_time_for_an_acquire_that_is_started),
    CLAIM(nothing_but_acquiring_waits_for_another_threads_acquire),
    CLAIM(eight_threads_share_a_handle_while_a_ninth_cancels),
    CLAIM(a_dead_holders_lock_is_taken_over_and_reported_as_recovered),
    CLAIM(a_stopped_holder_is_waited_for_and_named),
    CLAIM(a_live_shipped_holder_is_waited_for_and_named),
    CLAIM(a_shipped_holder_that_is_silent_for_long_is_taken_over),
    CLAIM(whoever_loses_the_lock_is_told_and_harms_nothing),
    CLAIM(closing_a_lost_lock_says_so_and_harms_nothing),
    CLAIM(a_lock_that_somebody_removed_is_lost),
    CLAIM(a_refresh_renews_the_sign_of_life),
    CLAIM(keepalive_renews_the_sign_of_life_while_the_lock_is_held),
    CLAIM(inspect_says_free),
    CLAIM(inspect_says_mine),
    CLAIM(inspect_says_who_holds_it),
    CLAIM(inspect_says_abandoned),
    CLAIM(inspect_knows_a_shipped_peer),
    CLAIM(inspect_knows_an_empty_lock),
    CLAIM(inspect_changes_nothing),
    END_OF_CLAIMS,
};

/* Runs a command as if it had been started directly: it gets the signals that are sent to us, and we exit as it does. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const int forwarded[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM};

/* The signals to wait for. We do not pass on a signal that is ignored (nohup): the command ignores it, too. */
static void fill(sigset_t *set) {
  sigemptyset(set);
  sigaddset(set, SIGCHLD);
  for (size_t i = 0; i < sizeof forwarded / sizeof *forwarded; i++) {
    struct sigaction action;
    if (!sigaction(forwarded[i], NULL, &action) && action.sa_handler != SIG_IGN) sigaddset(set, forwarded[i]);
  }
}

/* ----------------------------------------------------------------------------------------------------- the child */

/* Calls only async-signal-safe functions: another thread of the parent may have held any mutex when we forked. */
__attribute__((noreturn)) static void become(const struct child *child, pid_t parent, const sigset_t *mask, int report) {
  if (child->dies_with_us) {
    /* If we are killed, the lock is free at once, and the command must not carry on without it. (This cannot fail.) */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(EXIT_OS); /* the parent was killed before that */
  }
  if (child->input < 0 || dup2(child->input, STDIN_FILENO) >= 0) {
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(child->argv[0], child->argv);
  }
  int error = errno;
  ssize_t written = write(report, &error, sizeof error);
  _exit(written == sizeof error ? EXIT_NOT_FOUND : EXIT_OS);
}

/* ---------------------------------------------------------------------------------------------------- the parent */

static int wait_for(pid_t pid, const sigset_t *signals) {
  for (;;) {
    siginfo_t info;
    int status, number = sigwaitinfo(signals, &info);
    if (number == SIGCHLD) {
      if (waitpid(pid, &status, WNOHANG) != pid) continue; /* it was stopped, or continued */
      return WIFSIGNALED(status) ? EXIT_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
    }
    /* A terminal's signals (from the kernel: si_code above 0) have already reached the command, which is in our group. */
    if (number > 0 && info.si_code <= 0) kill(pid, number); /* fails if it has become another user's, which is fine */
  }
}

/* The errno with which running the command failed; 0: it runs (which has closed its end of the pipe). */
static int report_of(int pipe) {
  int error = 0;
  ssize_t got;
  do got = read(pipe, &error, sizeof error);
  while (got < 0 && errno == EINTR);
  return got == sizeof error ? error : 0;
}

static int start(const struct child *child, const sigset_t *mask, pid_t *pid) {
  int report[2];
  if (pipe2(report, O_CLOEXEC)) return errno;
  pid_t parent = getpid();
  *pid = fork();
  int error = *pid < 0 ? errno : 0;
  if (*pid == 0) become(child, parent, mask, report[1]);
  close(report[1]);
  if (!error) error = report_of(report[0]);
  close(report[0]);
  if (error && *pid > 0) waitpid(*pid, NULL, 0); /* it is about to end */
  return error;
}

int run_child(const struct child *child) {
  sigset_t signals, before;
  fill(&signals);
  signal(SIGCHLD, SIG_DFL); /* if it was ignored, the child's end would never be reported */
  sigprocmask(SIG_BLOCK, &signals, &before);
  pid_t pid = -1;
  errno = start(child, &before, &pid);
  if (!errno) return wait_for(pid, &signals);
  int code = pid < 0 ? EXIT_OS : errno == ENOENT || errno == ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
  return complain_errno(child->argv[0], code);
}

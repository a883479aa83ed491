/* A program made of claims: `program` lists them, `program CLAIM DIR` proves one in a directory of its own. */
#ifndef CLAIM_H
#define CLAIM_H

#define _GNU_SOURCE

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <jlock.h>

struct claim {
  const char *name;
  void (*prove)(void);
};

extern const struct claim claims[];
extern char dir[]; /* the claim's own directory; empty at first */

#define CLAIM(name) {#name, name}
#define END_OF_CLAIMS {NULL, NULL}

/* ------------------------------------------------------------------------------------------------------- checks */

_Noreturn void fail(const char *file, int line, const char *what, ...) __attribute__((format(printf, 3, 4)));

#define CHECK(condition) ((condition) ? (void)0 : fail(__FILE__, __LINE__, "%s", #condition))
#define SYSTEM(call) ((call) != -1 ? (void)0 : fail(__FILE__, __LINE__, "%s: %s", #call, strerror(errno)))
#define IS(call, expected) is(__FILE__, __LINE__, #call, (call), (expected))
#define OK(call) IS(call, 0)

void is(const char *file, int line, const char *call, int rc, int expected);

/* -------------------------------------------------------------------------------------------------------- files */

const char *path_of(const char *name); /* in dir; valid until the next 8 calls */
void write_file(const char *name, const char *content);
char *read_file(const char *name); /* to be freed by the caller; NULL if there is no such file */
int exists(const char *name);      /* does the name exist, whatever it is? */
ino_t inode_of(const char *name);
void holds(const char *name, const char *content);
void make_old(const char *name, int seconds);
int open_descriptors(void);

#define JOURNAL "changes.journal"
#define LOCK "changes.journal.lock"

/* ------------------------------------------------------------------------------------------------------ handles */

struct jlock *open_default(void);
struct jlock *open_with(uint32_t flags, int32_t timeout_ms); /* with a settle_ms of 20 */
int append(struct jlock *lock, const char *path);
int append_stamped(struct jlock *lock, const char *path, int64_t timestamp_ms);
int acquire_and_release(struct jlock *lock);
const char *message(struct jlock *lock);
struct jlock_holder inspect(struct jlock *lock);

/* ---------------------------------------------------------------------------------------------------- processes */

/* A child that runs act and exits with 0 when act returns. */
pid_t child(void (*act)(void));
void ends_well(pid_t pid);
void kill_child(pid_t pid);

/* A child that holds the lock until it is killed. */
pid_t holder(void);

/* Mounts that no other process sees: made as root, or as root of a user namespace of our own. */
void have_private_mounts(void);

/* -------------------------------------------------------------------------------------------------------- times */

int64_t now_ms(void);          /* on the monotonic clock */
void nap(void);                /* a short pause before a condition is checked again */
void until_in_line(int count); /* waits until this many processes wait with a ticket */

#define WAIT_UNTIL(condition) \
  while (!(condition)) nap() /* the alarm that main sets ends an endless wait */

#endif

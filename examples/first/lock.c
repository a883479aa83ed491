#include <stdio.h>
#include <jlock.h>

int main(void) {
  struct jlock *lock;
  int rc = jlock_open("build", NULL, 0, &lock);
  if (rc == 0) rc = jlock_acquire(lock); /* waits for 5 s at most */
  if (rc == 0) puts("no other program is here");
  if (rc != 0) fprintf(stderr, "%s\n", jlock_strerror(rc));
  return jlock_close(lock) != 0 || rc != 0; /* releases the lock */
}

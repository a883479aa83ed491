/* A FUSE file system that passes everything through to a directory, except for the features that it is told to lack:
 *
 *     thin LACKS BACK MOUNTPOINT      (stays in the foreground; unmount to end it)
 *
 * LACKS is a comma-separated list:
 *     nolink    no hard links (EPERM)
 *     noflock   no flock (EOPNOTSUPP); nolock: no flock (ENOLCK); deaf: every flock succeeds
 *     readlock  no exclusive flock of a file that is open for reading only (EBADF, as on NFS)
 *     mandatory a file with a flock can be read and locked only by its owner (EACCES, as on SMB)
 *     norename  no renames with flags
 *     links     a hard link does not have its file's inode number
 *     paths     a file has a different inode number under each name; inodes: at each look
 *     times     setting them succeeds and does nothing
 *     fresh     the kernel caches names and attributes for a second
 *     late      written data goes to the file at flush or fsync, and is dropped there, with ENOSPC, while BACK/../full exists
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 35
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int back;
static const char *lacking;
static int drops_at;

static int lacks(const char *what) {
  size_t length = strlen(what);
  for (const char *at = lacking; (at = strstr(at, what)); at += length)
    if ((at == lacking || at[-1] == ',') && (at[length] == 0 || at[length] == ',')) return 1;
  return 0;
}

static const char *below(const char *path) { return path[1] ? path + 1 : "."; }
static int rc_of(int rc) { return rc == -1 ? -errno : rc; }

/* Data that `late` has not written yet, of all open files. */
struct late {
  struct late *next;
  uint64_t file;
  off_t at;
  size_t length;
  char data[];
};
static struct late *unwritten;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int write_late(uint64_t file) {
  int rc = 0;
  int drops = faccessat(drops_at, "full", F_OK, 0) == 0;
  pthread_mutex_lock(&lock);
  for (struct late **link = &unwritten; *link;) {
    struct late *one = *link;
    if (one->file != file) {
      link = &one->next;
      continue;
    }
    if (drops) rc = -ENOSPC;
    else if (pwrite((int)file, one->data, one->length, one->at) != (ssize_t)one->length) rc = -EIO;
    *link = one->next;
    free(one);
  }
  pthread_mutex_unlock(&lock);
  return rc;
}

static int thin_getattr(const char *path, struct stat *st, struct fuse_file_info *file) {
  int rc = file ? fstat((int)file->fh, st) : fstatat(back, below(path), st, AT_SYMLINK_NOFOLLOW);
  if (rc == -1) return -errno;
  static ino_t counted = 1000;
  if (lacks("inodes") && S_ISREG(st->st_mode)) st->st_ino = __atomic_add_fetch(&counted, 1, __ATOMIC_RELAXED);
  if (lacks("paths") && S_ISREG(st->st_mode) && path)
    for (const char *at = path; *at; at++) st->st_ino = st->st_ino * 31 + (unsigned char)*at;
  if (!lacks("late")) return 0;
  pthread_mutex_lock(&lock);
  for (struct late *one = unwritten; one; one = one->next) {
    struct stat of;
    off_t end = one->at + (off_t)one->length;
    if (fstat((int)one->file, &of) == 0 && of.st_ino == st->st_ino && end > st->st_size) st->st_size = end;
  }
  pthread_mutex_unlock(&lock);
  return 0;
}

static int thin_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t at, struct fuse_file_info *file,
                        enum fuse_readdir_flags flags) {
  (void)at, (void)file, (void)flags;
  int fd = openat(back, below(path), O_RDONLY | O_DIRECTORY);
  DIR *dir = fd == -1 ? NULL : fdopendir(fd);
  if (!dir) return -errno;
  for (struct dirent *entry; (entry = readdir(dir));) fill(buf, entry->d_name, NULL, 0, 0);
  closedir(dir);
  return 0;
}

static int opened(int fd, struct fuse_file_info *file) {
  if (fd == -1) return -errno;
  file->fh = (uint64_t)fd;
  return 0;
}

static int thin_open(const char *path, struct fuse_file_info *file) {
  return opened(openat(back, below(path), file->flags & ~(O_NOFOLLOW | O_APPEND)), file);
}

static int thin_create(const char *path, mode_t mode, struct fuse_file_info *file) {
  return opened(openat(back, below(path), (file->flags & ~O_APPEND) | O_CREAT, mode), file);
}

/* The descriptors that have an exclusive flock. */
static char flocked[1 << 16];

static int is_locked_by_another(int fd) {
  if (flocked[fd]) return 0;
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int other = open(path, O_RDONLY | O_CLOEXEC);
  int busy = other != -1 && flock(other, LOCK_SH | LOCK_NB) == -1;
  if (other != -1) close(other);
  return busy;
}

static int thin_read(const char *path, char *buf, size_t size, off_t at, struct fuse_file_info *file) {
  (void)path;
  if (lacks("mandatory") && is_locked_by_another((int)file->fh)) return -EACCES;
  if (lacks("late")) write_late(file->fh);
  return rc_of((int)pread((int)file->fh, buf, size, at));
}

static int thin_write(const char *path, const char *data, size_t size, off_t at, struct fuse_file_info *file) {
  (void)path;
  if (!lacks("late")) return rc_of((int)pwrite((int)file->fh, data, size, at));
  struct late *one = malloc(sizeof *one + size);
  if (!one) return -ENOMEM;
  *one = (struct late){NULL, file->fh, at, size};
  memcpy(one->data, data, size);
  pthread_mutex_lock(&lock);
  struct late **link = &unwritten;
  while (*link) link = &(*link)->next;
  *link = one;
  pthread_mutex_unlock(&lock);
  return (int)size;
}

static int thin_flush(const char *path, struct fuse_file_info *file) {
  (void)path;
  return lacks("late") ? write_late(file->fh) : 0;
}

static int thin_fsync(const char *path, int only_data, struct fuse_file_info *file) {
  (void)path, (void)only_data;
  int rc = lacks("late") ? write_late(file->fh) : 0;
  return rc ? rc : rc_of(fsync((int)file->fh));
}

static int thin_release(const char *path, struct fuse_file_info *file) {
  (void)path;
  if (lacks("late")) write_late(file->fh);
  flocked[file->fh] = 0;
  close((int)file->fh);
  return 0;
}

static int thin_truncate(const char *path, off_t size, struct fuse_file_info *file) {
  if (file) {
    if (lacks("late")) write_late(file->fh);
    return rc_of(ftruncate((int)file->fh, size));
  }
  int fd = openat(back, below(path), O_WRONLY);
  if (fd == -1) return -errno;
  int rc = rc_of(ftruncate(fd, size));
  close(fd);
  return rc;
}

static int thin_unlink(const char *path) { return rc_of(unlinkat(back, below(path), 0)); }
static int thin_mkdir(const char *path, mode_t mode) { return rc_of(mkdirat(back, below(path), mode)); }
static int thin_rmdir(const char *path) { return rc_of(unlinkat(back, below(path), AT_REMOVEDIR)); }

static int thin_rename(const char *from, const char *to, unsigned flags) {
  if (flags && lacks("norename")) return -EINVAL;
  return rc_of(renameat2(back, below(from), back, below(to), flags));
}

static int thin_link(const char *from, const char *to) {
  return lacks("nolink") ? -EPERM : rc_of(linkat(back, below(from), back, below(to), 0));
}

static int thin_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *file) {
  if (lacks("times")) return 0;
  return rc_of(file ? futimens((int)file->fh, times) : utimensat(back, below(path), times, 0));
}

static int thin_chmod(const char *path, mode_t mode, struct fuse_file_info *file) {
  return rc_of(file ? fchmod((int)file->fh, mode) : fchmodat(back, below(path), mode, 0));
}

static int thin_flock(const char *path, struct fuse_file_info *file, int operation) {
  (void)path;
  if (lacks("noflock")) return -EOPNOTSUPP;
  if (lacks("nolock")) return -ENOLCK;
  if (lacks("deaf")) return 0;
  int reads_only = (fcntl((int)file->fh, F_GETFL) & O_ACCMODE) == O_RDONLY;
  if (lacks("readlock") && reads_only && operation & LOCK_EX) return -EBADF;
  int rc = rc_of(flock((int)file->fh, operation));
  if (rc == 0) flocked[file->fh] = (operation & LOCK_EX) != 0;
  return rc == -EWOULDBLOCK && lacks("mandatory") ? -EACCES : rc;
}

static void *thin_init(struct fuse_conn_info *connection, struct fuse_config *config) {
  (void)connection;
  config->use_ino = !lacks("links");
  config->nullpath_ok = 0;
  config->entry_timeout = config->attr_timeout = config->negative_timeout = lacks("fresh") ? 1 : 0;
  return NULL;
}

static const struct fuse_operations operations = {
    .init = thin_init,       .getattr = thin_getattr,   .readdir = thin_readdir, .open = thin_open,
    .create = thin_create,   .read = thin_read,         .write = thin_write,     .flush = thin_flush,
    .fsync = thin_fsync,     .release = thin_release,   .truncate = thin_truncate, .unlink = thin_unlink,
    .mkdir = thin_mkdir,     .rmdir = thin_rmdir,       .rename = thin_rename,   .link = thin_link,
    .utimens = thin_utimens, .chmod = thin_chmod,       .flock = thin_flock,
};

int main(int argc, char **argv) {
  if (argc != 4) return fputs("usage: thin LACKS BACK MOUNTPOINT\n", stderr), 2;
  lacking = argv[1];
  back = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  drops_at = openat(back, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (back == -1 || drops_at == -1) return perror(argv[2]), 1;
  umask(0);
  char *arguments[] = {argv[0], "-f", argv[3], NULL};
  return fuse_main(3, arguments, &operations, NULL);
}

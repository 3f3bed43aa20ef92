/* SPDX-License-Identifier: MIT */

/* To be preloaded into a daemon: its disk fails while the file $CAU_DISK_FAILS is there. What that says is the number of the
 * error, then 'w' if writes fail, 's' if syncs do and 't' if truncations do, then, unless all of these fail, a number N: each
 * Nth of them does. A call that fails does nothing. 'r': what is read from /dev/fuse is lost. */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Whether this call of @kind fails, with errno set. */
static int
fails (char kind)
{
  static unsigned long n_calls;
  const char          *path = getenv ("CAU_DISK_FAILS");
  char                 text[32] = "", *kinds;
  unsigned long        n;
  int                  fd = path != NULL ? open (path, O_RDONLY | O_CLOEXEC) : -1;
  long                 code;

  if (fd < 0)
    return 0;
  if (syscall (SYS_read, fd, text, sizeof text - 1) < 0)
    text[0] = '\0';
  close (fd);
  code = strtol (text, &kinds, 10);
  if (strchr (kinds, kind) == NULL)
    return 0;
  n = strtoul (kinds + strspn (kinds, "wstr"), NULL, 10);
  if (n > 0 && __atomic_add_fetch (&n_calls, 1, __ATOMIC_RELAXED) % n != 0)
    return 0;
  errno = (int) code;
  return 1;
}

static int
is_fuse (int fd)
{
  char link[32], path[16] = "";

  snprintf (link, sizeof link, "/proc/self/fd/%d", fd);
  return readlink (link, path, sizeof path - 1) > 0 && strcmp (path, "/dev/fuse") == 0;
}

/* By the read(2) that comes next: ThreadSanitizer's tells by it which thread has heard of what another one did. */
ssize_t
read (int fd, void *data, size_t length)
{
  ssize_t (*next) (int, void *, size_t) = (ssize_t (*) (int, void *, size_t)) dlsym (RTLD_NEXT, "read");
  ssize_t n = next (fd, data, length);

  return n > 0 && is_fuse (fd) && fails ('r') ? -1 : n;
}

static ssize_t
write_at (int fd, const void *data, size_t length, off_t offset)
{
  return fails ('w') ? -1 : syscall (SYS_pwrite64, fd, data, length, offset);
}

#undef ftruncate
#undef ftruncate64
#undef pwrite
#undef pwrite64

/* Both names of each are those of calls that programs make; a header may make one of the other. */
ssize_t write_at_pwrite (int fd, const void *data, size_t length, off_t offset) __asm__("pwrite");
ssize_t write_at_pwrite64 (int fd, const void *data, size_t length, off_t offset) __asm__("pwrite64");

ssize_t
write_at_pwrite (int fd, const void *data, size_t length, off_t offset)
{
  return write_at (fd, data, length, offset);
}

ssize_t
write_at_pwrite64 (int fd, const void *data, size_t length, off_t offset)
{
  return write_at (fd, data, length, offset);
}

int
fdatasync (int fd)
{
  return fails ('s') ? -1 : (int) syscall (SYS_fdatasync, fd);
}

int truncate_ftruncate (int fd, off_t size) __asm__("ftruncate");
int truncate_ftruncate64 (int fd, off_t size) __asm__("ftruncate64");

int
truncate_ftruncate (int fd, off_t size)
{
  return fails ('t') ? -1 : (int) syscall (SYS_ftruncate, fd, size);
}

int
truncate_ftruncate64 (int fd, off_t size)
{
  return truncate_ftruncate (fd, size);
}

int
fsync (int fd)
{
  return fails ('s') ? -1 : (int) syscall (SYS_fsync, fd);
}

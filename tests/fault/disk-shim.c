/* SPDX-License-Identifier: MIT */

/* To be preloaded into a daemon: its disk fails while the file $CAU_DISK_FAILS is there. What that says is the number of the
 * error, then 'w' if writes fail and 's' if syncs do. Neither does anything then. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Whether calls of @kind fail, with errno set. */
static int
fails (char kind)
{
  const char *path = getenv ("CAU_DISK_FAILS");
  char        text[32] = "", *kinds;
  int         fd = path != NULL ? open (path, O_RDONLY | O_CLOEXEC) : -1;
  long        code;

  if (fd < 0)
    return 0;
  if (read (fd, text, sizeof text - 1) < 0)
    text[0] = '\0';
  close (fd);
  code = strtol (text, &kinds, 10);
  errno = (int) code;
  return strchr (kinds, kind) != NULL;
}

static ssize_t
write_at (int fd, const void *data, size_t length, off_t offset)
{
  return fails ('w') ? -1 : syscall (SYS_pwrite64, fd, data, length, offset);
}

#undef pwrite
#undef pwrite64

/* Both names are those of calls that programs make; a header may make one of the other. */
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

int
fsync (int fd)
{
  return fails ('s') ? -1 : (int) syscall (SYS_fsync, fd);
}

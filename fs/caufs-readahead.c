/* SPDX-License-Identifier: MIT */
#include "caufs-readahead.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* As much as one request can carry. Measured in docs/performance.md. */
#define READAHEAD_KIB 1024

/* The file in which the kernel keeps how far it reads ahead on this mount. */
static char *
find_setting (const char *mountpoint)
{
  struct statx st;

  /* Any other kind of stat(2) would send a request, which nobody handles before INIT is answered. */
  if (statx (AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &st) != 0)
    return NULL;
  /* A filesystem without a device has major number 0. With another it is not ours that was seen. */
  if (st.stx_dev_major != 0)
    return NULL;
  return g_strdup_printf ("/sys/class/bdi/%u:%u/read_ahead_kb", st.stx_dev_major, st.stx_dev_minor);
}

static gboolean
write_setting (const char *path)
{
  int      fd = open (path, O_WRONLY | O_CLOEXEC);
  gboolean ok;

  if (fd < 0)
    return FALSE;
  ok = write (fd, G_STRINGIFY (READAHEAD_KIB), sizeof G_STRINGIFY (READAHEAD_KIB) - 1) > 0;
  close (fd);
  return ok;
}

/* A new mount has 128 KiB, and what INIT is answered can only make that less (fs/fuse/inode.c, process_init_reply). The
 * setting itself is root's; without it reads are slower, and else the same. */
void
caufs_readahead_raise (const char *mountpoint, struct fuse_conn_info *conn)
{
  g_autofree char *path = find_setting (mountpoint);

  if (path != NULL && write_setting (path))
    conn->max_readahead = READAHEAD_KIB * 1024;
}

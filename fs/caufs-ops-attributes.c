/* SPDX-License-Identifier: MIT */
#include "caufs.h"

#include <errno.h>

/* The largest value or list that we have is far smaller. */
#define XATTR_BUFFER 1024

void
caufs_ops_getattr (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
  struct stat st;
  double      timeout;
  int         r = caufs_view_getattr (caufs_get_view (req), ino, &st, &timeout);

  (void) fi;
  caufs_reply_attr (req, r, &st, timeout);
}

void
caufs_ops_setattr (fuse_req_t req, fuse_ino_t ino, struct stat *wanted, int to_set, struct fuse_file_info *fi)
{
  CaufsCaller caller = caufs_get_caller (req);
  struct stat st;
  double      timeout;
  int r = caufs_view_setattr (caufs_get_view (req), &caller, ino, caufs_handle_of (fi), to_set, wanted, &st, &timeout);

  caufs_reply_attr (req, r, &st, timeout);
}

void
caufs_ops_statfs (fuse_req_t req, fuse_ino_t ino)
{
  struct statvfs st;
  int            r = caufs_view_statfs (caufs_get_view (req), &st);

  (void) ino;
  if (r < 0)
    caufs_reply (req, r);
  else
    fuse_reply_statfs (req, &st);
}

void
caufs_ops_setxattr (fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
  (void) ino;
  (void) name;
  (void) value;
  (void) size;
  (void) flags;
  caufs_reply (req, -EOPNOTSUPP);
}

void
caufs_ops_removexattr (fuse_req_t req, fuse_ino_t ino, const char *name)
{
  (void) ino;
  (void) name;
  caufs_reply (req, -EOPNOTSUPP);
}

static void
reply_xattr (fuse_req_t req, ssize_t n, const char *buffer, size_t size)
{
  if (n < 0)
    caufs_reply (req, (int) n);
  else if (size == 0)
    fuse_reply_xattr (req, (size_t) n);
  else
    fuse_reply_buf (req, buffer, (size_t) n);
}

void
caufs_ops_getxattr (fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
  char    buffer[XATTR_BUFFER];
  ssize_t n = caufs_view_getxattr (caufs_get_view (req), ino, name, buffer, MIN (size, sizeof buffer));

  reply_xattr (req, n, buffer, size);
}

void
caufs_ops_listxattr (fuse_req_t req, fuse_ino_t ino, size_t size)
{
  char    buffer[XATTR_BUFFER];
  ssize_t n = caufs_view_listxattr (caufs_get_view (req), ino, buffer, MIN (size, sizeof buffer));

  reply_xattr (req, n, buffer, size);
}

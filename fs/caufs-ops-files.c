/* SPDX-License-Identifier: MIT */
#include "caufs-loop.h"
#include "caufs.h"

#include <errno.h>
#include <fcntl.h>

void
caufs_ops_create (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
  CaufsCaller             caller = caufs_get_caller (req);
  CaufsHandle            *handle = NULL;
  struct fuse_entry_param entry;
  int r = caufs_view_create (caufs_get_view (req), &caller, parent, name, mode, fi->flags, &entry, &handle);

  caufs_reply_create (req, r, &entry, fi, handle);
}

void
caufs_ops_open (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
  CaufsCaller  caller = caufs_get_caller (req);
  CaufsHandle *handle = NULL;
  int          r = caufs_view_open (caufs_get_view (req), &caller, ino, fi->flags, &handle);

  caufs_reply_open (req, r, fi, handle);
}

void
caufs_ops_read (fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
  g_autofree char *buffer = g_malloc (size);
  size_t           n = 0;
  int              r;

  (void) ino;
  /* For the disk, perhaps. */
  caufs_loop_begin_wait ();
  r = caufs_handle_read (caufs_handle_of (fi), (guint64) offset, buffer, size, &n);
  caufs_loop_end_wait ();
  if (r < 0)
    caufs_reply (req, r);
  else
    fuse_reply_buf (req, buffer, n);
}

/* The flags are those that the file has now: fcntl(2) may have set O_APPEND since it was opened. */
void
caufs_ops_write (fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset, struct fuse_file_info *fi)
{
  CaufsCaller caller = caufs_get_caller (req);
  pid_t       tid = fi->writepage ? 0 : caller.tid;
  gboolean    append = (fi->flags & O_APPEND) != 0;
  int         r = caufs_handle_write (caufs_handle_of (fi), tid, (guint64) offset, data, size, append);

  (void) ino;
  if (r < 0)
    caufs_reply (req, r);
  else
    fuse_reply_write (req, size);
}

/* POSIX: any close of a file by a process takes away the locks it has there. */
void
caufs_ops_flush (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
  CaufsHandle *handle = caufs_handle_of (fi);
  CaufsCaller  caller = caufs_get_caller (req);

  (void) ino;
  caufs_locks_release_owner (caufs_get_view (req)->locks, caufs_name_get_locks (handle->name), fi->lock_owner);
  caufs_handle_flush (handle, caller.tid, caller.uid, caufs_reply_done, caufs_reply_new (req, "FLUSH"));
}

void
caufs_ops_fsync (fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
  (void) ino;
  (void) datasync;
  caufs_handle_sync (caufs_handle_of (fi), caufs_reply_done, caufs_reply_new (req, "FSYNC"));
}

void
caufs_ops_release (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
  (void) ino;
  caufs_handle_release (caufs_handle_of (fi), caufs_reply_done, caufs_reply_new (req, "RELEASE"));
}

void
caufs_ops_fallocate (fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length, struct fuse_file_info *fi)
{
  CaufsCaller caller = caufs_get_caller (req);
  int         r = -EOPNOTSUPP;

  (void) ino;
  if (mode == 0)
    r = caufs_handle_extend (caufs_handle_of (fi), caller.tid, (guint64) offset + (guint64) length);
  else if (mode == FALLOC_FL_KEEP_SIZE)
    r = 0; /* nothing is reserved before the commit, and a close tells what failed */
  caufs_reply (req, r);
}

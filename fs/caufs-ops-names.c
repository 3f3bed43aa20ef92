/* SPDX-License-Identifier: MIT */
#include "caufs.h"

#include <errno.h>

void
caufs_ops_lookup (fuse_req_t req, fuse_ino_t parent, const char *name)
{
  CaufsCaller             caller = caufs_get_caller (req);
  struct fuse_entry_param entry;
  int                     r = caufs_view_lookup (caufs_get_view (req), &caller, parent, name, &entry);

  caufs_reply_entry (req, r, &entry);
}

void
caufs_ops_forget (fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
  caufs_view_forget (caufs_get_view (req), ino, n);
  fuse_reply_none (req);
}

void
caufs_ops_forget_multi (fuse_req_t req, size_t n, struct fuse_forget_data *forgets)
{
  for (size_t i = 0; i < n; i++)
    caufs_view_forget (caufs_get_view (req), forgets[i].ino, forgets[i].nlookup);
  fuse_reply_none (req);
}

void
caufs_ops_mknod (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
  CaufsCaller             caller = caufs_get_caller (req);
  struct fuse_entry_param entry;
  int                     r = caufs_view_mknod (caufs_get_view (req), &caller, parent, name, mode, &entry);

  (void) rdev;
  caufs_reply_entry (req, r, &entry);
}

void
caufs_ops_mkdir (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
  CaufsCaller             caller = caufs_get_caller (req);
  struct fuse_entry_param entry;
  int                     r = caufs_view_mkdir (caufs_get_view (req), &caller, parent, name, mode, &entry);

  caufs_reply_entry (req, r, &entry);
}

void
caufs_ops_unlink (fuse_req_t req, fuse_ino_t parent, const char *name)
{
  caufs_reply (req, caufs_view_unlink (caufs_get_view (req), parent, name));
}

void
caufs_ops_rmdir (fuse_req_t req, fuse_ino_t parent, const char *name)
{
  caufs_reply (req, caufs_view_rmdir (caufs_get_view (req), parent, name));
}

void
caufs_ops_symlink (fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
  (void) target;
  (void) parent;
  (void) name;
  caufs_reply (req, -EPERM);
}

void
caufs_ops_link (fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
{
  (void) ino;
  (void) new_parent;
  (void) new_name;
  caufs_reply (req, -EPERM);
}

void
caufs_ops_rename (fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
                  unsigned int flags)
{
  caufs_reply (req, caufs_view_rename (caufs_get_view (req), parent, name, new_parent, new_name, flags));
}

/* SPDX-License-Identifier: MIT */
#pragma once

/* The mount as libfuse sees it: everything hangs from one Caufs, the session's user data. */

#include "caufs-daemon.h"
#include "caufs-view.h"

G_BEGIN_DECLS

typedef struct _Caufs Caufs;
struct _Caufs
{
  const CaufsOptions  *options; /* borrowed */
  CaufsDaemon         *daemon;  /* borrowed; told by INIT that the mount is there */
  CaufsView           *view;    /* owned */
  struct fuse_session *session; /* owned; immutable once requests come */
};

extern const struct fuse_lowlevel_ops caufs_ops;

/* ---- replies: caufs-reply.c ---- */

Caufs      *caufs_get (fuse_req_t req);
CaufsView  *caufs_get_view (fuse_req_t req);
CaufsCaller caufs_get_caller (fuse_req_t req);

/* Each of these answers a request with what a function of the view returned: 0 or a negative errno. */
void caufs_reply (fuse_req_t req, int result);
void caufs_reply_entry (fuse_req_t req, int result, const struct fuse_entry_param *entry);
void caufs_reply_attr (fuse_req_t req, int result, const struct stat *st, double timeout);
void caufs_reply_open (fuse_req_t req, int result, struct fuse_file_info *fi, CaufsHandle *handle);
void caufs_reply_create (fuse_req_t req, int result, const struct fuse_entry_param *entry, struct fuse_file_info *fi,
                         CaufsHandle *handle);

/* A request that is answered later, from another thread: owned by whoever will answer it. One that is dropped is answered
 * with EIO, and logged as the bug it is. */
typedef struct _CaufsReply CaufsReply;

/* @operation: a literal. */
CaufsReply *caufs_reply_new (fuse_req_t req, const char *operation);
void        caufs_reply_free (CaufsReply *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CaufsReply, caufs_reply_free)

/* A CaufsDone: answers the CaufsReply, (transfer full), that is @reply. */
void caufs_reply_done (int result, gpointer reply);

/* ---- handlers, by file ---- */

static inline CaufsHandle *
caufs_handle_of (const struct fuse_file_info *fi)
{
  return fi != NULL ? (CaufsHandle *) (uintptr_t) fi->fh : NULL;
}

/* caufs-ops-names.c */
void caufs_ops_lookup (fuse_req_t req, fuse_ino_t parent, const char *name);
void caufs_ops_forget (fuse_req_t req, fuse_ino_t ino, uint64_t n);
void caufs_ops_forget_multi (fuse_req_t req, size_t n, struct fuse_forget_data *forgets);
void caufs_ops_mknod (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void caufs_ops_mkdir (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void caufs_ops_unlink (fuse_req_t req, fuse_ino_t parent, const char *name);
void caufs_ops_rmdir (fuse_req_t req, fuse_ino_t parent, const char *name);
void caufs_ops_symlink (fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void caufs_ops_link (fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name);
void caufs_ops_rename (fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
                       unsigned int flags);

/* caufs-ops-attributes.c */
void caufs_ops_getattr (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void caufs_ops_setattr (fuse_req_t req, fuse_ino_t ino, struct stat *wanted, int to_set, struct fuse_file_info *fi);
void caufs_ops_statfs (fuse_req_t req, fuse_ino_t ino);
void caufs_ops_setxattr (fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags);
void caufs_ops_getxattr (fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void caufs_ops_listxattr (fuse_req_t req, fuse_ino_t ino, size_t size);
void caufs_ops_removexattr (fuse_req_t req, fuse_ino_t ino, const char *name);

/* caufs-ops-files.c */
void caufs_ops_create (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void caufs_ops_open (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void caufs_ops_read (fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void caufs_ops_write (fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
                      struct fuse_file_info *fi);
void caufs_ops_flush (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void caufs_ops_fsync (fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void caufs_ops_release (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void caufs_ops_fallocate (fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                          struct fuse_file_info *fi);

/* caufs-ops-directories.c */
void caufs_ops_opendir (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void caufs_ops_readdir (fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void caufs_ops_readdirplus (fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void caufs_ops_releasedir (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* caufs-ops-locks.c */
void caufs_ops_getlk (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock);
void caufs_ops_setlk (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock, int sleep);
void caufs_ops_flock (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int operation);

G_END_DECLS

/* SPDX-License-Identifier: MIT */
#include "caufs-log.h"
#include "caufs.h"

#include <errno.h>

Caufs *
caufs_get (fuse_req_t req)
{
  return fuse_req_userdata (req);
}

CaufsView *
caufs_get_view (fuse_req_t req)
{
  return caufs_get (req)->view;
}

CaufsCaller
caufs_get_caller (fuse_req_t req)
{
  const struct fuse_ctx *ctx = fuse_req_ctx (req);

  return (CaufsCaller){ .tid = ctx->pid, .uid = ctx->uid, .gid = ctx->gid };
}

/* ---- at once ---- */

void
caufs_reply (fuse_req_t req, int result)
{
  fuse_reply_err (req, -result);
}

/* Here and below: -ENOENT from libfuse says that the request was interrupted, so that the kernel did not take what it was
 * given and will never give it back. */
void
caufs_reply_entry (fuse_req_t req, int result, const struct fuse_entry_param *entry)
{
  CaufsView *view = caufs_get_view (req);

  if (result < 0)
    fuse_reply_err (req, -result);
  else if (fuse_reply_entry (req, entry) == -ENOENT)
    caufs_view_forget (view, entry->ino, 1);
}

void
caufs_reply_attr (fuse_req_t req, int result, const struct stat *st, double timeout)
{
  if (result < 0)
    fuse_reply_err (req, -result);
  else
    fuse_reply_attr (req, st, timeout);
}

/* Pages of a version may stay when it is opened again, and a close that has nothing to do is not even told. What is
 * written goes past the pages, which belong to a node and not to an upload. */
static void
fill_file_info (struct fuse_file_info *fi, CaufsHandle *handle)
{
  fi->fh = (uintptr_t) handle;
  fi->keep_cache = handle->reader != NULL;
  fi->noflush = handle->reader != NULL;
  fi->direct_io = handle->reader == NULL;
}

void
caufs_reply_open (fuse_req_t req, int result, struct fuse_file_info *fi, CaufsHandle *handle)
{
  if (result < 0)
    {
      fuse_reply_err (req, -result);
      return;
    }
  fill_file_info (fi, handle);
  if (fuse_reply_open (req, fi) == -ENOENT)
    caufs_handle_discard (handle);
}

void
caufs_reply_create (fuse_req_t req, int result, const struct fuse_entry_param *entry, struct fuse_file_info *fi,
                    CaufsHandle *handle)
{
  CaufsView *view = caufs_get_view (req);

  if (result < 0)
    {
      fuse_reply_err (req, -result);
      return;
    }
  fill_file_info (fi, handle);
  if (fuse_reply_create (req, entry, fi) == -ENOENT)
    {
      caufs_handle_discard (handle);
      caufs_view_forget (view, entry->ino, 1);
    }
}

/* ---- later ---- */

struct _CaufsReply
{
  fuse_req_t  req; /* NULL: answered */
  const char *operation;
};

CaufsReply *
caufs_reply_new (fuse_req_t req, const char *operation)
{
  CaufsReply *self = g_new0 (CaufsReply, 1);

  self->req = req;
  self->operation = operation;
  return self;
}

void
caufs_reply_free (CaufsReply *self)
{
  if (self->req != NULL)
    {
      caufs_log (CAUFS_LOG_BUG, "a %s was about to stay unanswered", self->operation);
      fuse_reply_err (self->req, EIO);
    }
  g_free (self);
}

void
caufs_reply_done (int result, gpointer reply)
{
  g_autoptr (CaufsReply) self = reply;
  fuse_req_t req = g_steal_pointer (&self->req);

  fuse_reply_err (req, -result);
}

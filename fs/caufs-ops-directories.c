/* SPDX-License-Identifier: MIT */
#include "caufs-dir.h"
#include "caufs.h"

#include <errno.h>

static CaufsDir *
caufs_dir_of (const struct fuse_file_info *fi)
{
  return (CaufsDir *) (uintptr_t) fi->fh;
}

void
caufs_ops_opendir (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
  CaufsCaller caller = caufs_get_caller (req);
  CaufsDir   *dir = NULL;
  int         r = caufs_dir_open (caufs_get_view (req), ino, caller.uid, &dir);

  if (r < 0)
    {
      caufs_reply (req, r);
      return;
    }
  fi->fh = (uintptr_t) dir;
  if (fuse_reply_open (req, fi) == -ENOENT)
    caufs_dir_close (dir);
}

void
caufs_ops_releasedir (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
  (void) ino;
  caufs_dir_close (caufs_dir_of (fi));
  caufs_reply (req, 0);
}

/* The reply as it fills up. */
typedef struct
{
  fuse_req_t req;
  gboolean   plus;
  char      *buffer;
  size_t     size;
  size_t     used;
} CaufsListing;

static gboolean
add_entry (const char *name, const struct fuse_entry_param *entry, off_t next, gpointer user_data)
{
  CaufsListing *listing = user_data;
  char         *to = listing->buffer + listing->used;
  size_t        room = listing->size - listing->used;
  size_t        n = listing->plus ? fuse_add_direntry_plus (listing->req, to, room, name, entry, next)
                                  : fuse_add_direntry (listing->req, to, room, name, &entry->attr, next);

  if (n > room)
    return FALSE;
  listing->used += n;
  return TRUE;
}

/* The nodes of the entries, of versions and orchestrators, need no counting: a reply that gets lost leaves nothing. */
static void
read_directory (fuse_req_t req, size_t size, off_t offset, struct fuse_file_info *fi, gboolean plus)
{
  g_autofree char *buffer = g_malloc (size);
  g_autoptr (CaufsDir) dir = caufs_dir_ref (caufs_dir_of (fi));
  CaufsListing listing = { .req = req, .plus = plus, .buffer = buffer, .size = size };
  int          r = caufs_dir_read (dir, offset, add_entry, &listing);

  if (r < 0)
    {
      caufs_reply (req, r);
      return;
    }
  fuse_reply_buf (req, buffer, listing.used);
  caufs_dir_read_ahead (dir);
}

void
caufs_ops_readdir (fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
  (void) ino;
  read_directory (req, size, offset, fi, FALSE);
}

void
caufs_ops_readdirplus (fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
  (void) ino;
  read_directory (req, size, offset, fi, TRUE);
}

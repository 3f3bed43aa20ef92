/* SPDX-License-Identifier: MIT */
#include "cau-shares.h"

#include <unistd.h>

typedef struct
{
  guint64 uploads;
  guint64 staged; /* bytes */
} Amounts;

struct _CauShares
{
  gssize buffered; /* bytes; atomic */

  /* Set before threads use the store; G_MAXUINT64 or G_MAXSSIZE: none. */
  Amounts max;
  gssize  max_buffered;
  guint32 own_uid; /* immutable; asking takes a system call */

  GMutex      lock; /* guards what follows, and all shares */
  Amounts     used;
  GHashTable *users; /* (element-type guint32 CauShare): the key lies in the share */
};

struct _CauShare
{
  CauShares *all; /* borrowed */
  guint32    uid; /* immutable */
  Amounts    used;
};

CauShares *
cau_shares_new (void)
{
  CauShares *self = g_new0 (CauShares, 1);

  self->own_uid = geteuid ();
  g_mutex_init (&self->lock);
  self->users = g_hash_table_new (g_int_hash, g_int_equal);
  cau_shares_set_limits (self, 0, 0, 0);
  return self;
}

void
cau_shares_free (CauShares *self)
{
  g_warn_if_fail (g_hash_table_size (self->users) == 0);
  g_hash_table_unref (self->users);
  g_mutex_clear (&self->lock);
  g_free (self);
}

void
cau_shares_set_limits (CauShares *self, guint64 max_uploads, guint64 max_staged, guint64 max_buffered)
{
  self->max.uploads = max_uploads != 0 ? max_uploads : G_MAXUINT64;
  self->max.staged = max_staged != 0 ? max_staged : G_MAXUINT64;
  self->max_buffered = max_buffered != 0 ? (gssize) MIN (max_buffered, G_MAXSSIZE) : G_MAXSSIZE;
}

/* What the user can have of @max. */
static guint64
share_of (const CauShare *self, guint64 max)
{
  return self->uid == 0 || self->uid == self->all->own_uid ? max : MAX (max / 2, 1);
}

static CauShare *
find_locked (CauShares *self, guint32 uid)
{
  CauShare *share = g_hash_table_lookup (self->users, &uid);

  if (share == NULL)
    {
      share = g_new0 (CauShare, 1);
      share->all = self;
      share->uid = uid;
      g_hash_table_insert (self->users, &share->uid, share);
    }
  return share;
}

static void
drop_unused_locked (CauShare *self)
{
  if (self->used.uploads > 0)
    return;
  g_hash_table_remove (self->all->users, &self->uid);
  g_free (self);
}

CauShare *
cau_shares_join (CauShares *self, guint32 uid, GError **error)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  CauShare     *share = find_locked (self, uid);
  const guint64 mine = share_of (share, self->max.uploads);

  if (self->used.uploads < self->max.uploads && share->used.uploads < mine)
    {
      self->used.uploads++;
      share->used.uploads++;
      return share;
    }
  if (self->used.uploads >= self->max.uploads)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_TOO_MANY,
                 "%" G_GUINT64_FORMAT " reports are being written already, which is the limit", self->max.uploads);
  else
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_TOO_MANY,
                 "user %u is writing %" G_GUINT64_FORMAT " reports already, which is the limit for one user", uid,
                 mine);
  drop_unused_locked (share);
  return NULL;
}

void
cau_share_leave (CauShare *self)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->all->lock);

  self->used.uploads--;
  self->all->used.uploads--;
  drop_unused_locked (self);
}

gboolean
cau_share_take_staged (CauShare *self, guint64 bytes, GError **error)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->all->lock);
  CauShares    *all = self->all;
  const guint64 mine = share_of (self, all->max.staged);

  if (bytes <= all->max.staged - MIN (all->used.staged, all->max.staged)
      && bytes <= mine - MIN (self->used.staged, mine))
    {
      all->used.staged += bytes;
      self->used.staged += bytes;
      return TRUE;
    }
  if (bytes > all->max.staged - MIN (all->used.staged, all->max.staged))
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NO_SPACE,
                 "no space left for what is written and not saved yet: the limit is %" G_GUINT64_FORMAT " bytes",
                 all->max.staged);
  else
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_QUOTA,
                 "no space left for what user %u has written and not saved yet: the limit for one user is"
                 " %" G_GUINT64_FORMAT " bytes",
                 self->uid, mine);
  return FALSE;
}

void
cau_share_give_staged (CauShare *self, guint64 bytes)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->all->lock);

  self->used.staged -= bytes;
  self->all->used.staged -= bytes;
}

gboolean
cau_share_note_buffered (CauShare *self, gsize before, gsize now)
{
  const gssize more = (gssize) now - (gssize) before;

  return g_atomic_pointer_add (&self->all->buffered, more) + more > self->all->max_buffered;
}

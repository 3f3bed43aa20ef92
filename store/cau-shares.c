/* SPDX-License-Identifier: MIT */
#include "cau-shares.h"
#include "cau-quota.h"

struct _CauShares
{
  gssize buffered;     /* bytes; atomic */
  gssize max_buffered; /* G_MAXSSIZE: none; set before threads use the store, as those of the quotas */

  CauQuota *uploads; /* owned */
  CauQuota *staged;  /* owned; bytes */
};

struct _CauShare
{
  CauShares *all; /* borrowed */
  guint32    uid; /* immutable */
};

CauShares *
cau_shares_new (void)
{
  CauShares *self = g_new0 (CauShares, 1);

  self->uploads = cau_quota_new (0);
  self->staged = cau_quota_new (0);
  cau_shares_set_limits (self, 0, 0, 0);
  return self;
}

void
cau_shares_free (CauShares *self)
{
  cau_quota_free (self->uploads);
  cau_quota_free (self->staged);
  g_free (self);
}

void
cau_shares_set_limits (CauShares *self, guint64 max_uploads, guint64 max_staged, guint64 max_buffered)
{
  cau_quota_set_max (self->uploads, max_uploads);
  cau_quota_set_max (self->staged, max_staged);
  self->max_buffered = max_buffered != 0 ? (gssize) MIN (max_buffered, G_MAXSSIZE) : G_MAXSSIZE;
}

/* What user @uid can have of @quota. */
static guint64
share_of (const CauQuota *quota, guint32 uid)
{
  return cau_quota_share_of (quota, uid, cau_quota_get_max (quota));
}

CauShare *
cau_shares_join (CauShares *self, guint32 uid, GError **error)
{
  CauShare *share;

  switch (cau_quota_take (self->uploads, uid, 1))
    {
    case CAU_QUOTA_OK:
      share = g_new0 (CauShare, 1);
      share->all = self;
      share->uid = uid;
      return share;
    case CAU_QUOTA_USED_UP:
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_TOO_MANY,
                   "%" G_GUINT64_FORMAT " reports are being written already, which is the limit",
                   cau_quota_get_max (self->uploads));
      break;
    case CAU_QUOTA_USED_UP_BY_USER:
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_TOO_MANY,
                   "user %u is writing %" G_GUINT64_FORMAT " reports already, which is the limit for one user", uid,
                   share_of (self->uploads, uid));
      break;
    }
  return NULL;
}

void
cau_share_leave (CauShare *self)
{
  cau_quota_give (self->all->uploads, self->uid, 1);
  g_free (self);
}

guint32
cau_share_get_uid (const CauShare *self)
{
  return self->uid;
}

gboolean
cau_share_take_staged (CauShare *self, guint64 bytes, GError **error)
{
  CauQuota *staged = self->all->staged;

  switch (cau_quota_take (staged, self->uid, bytes))
    {
    case CAU_QUOTA_OK:
      return TRUE;
    case CAU_QUOTA_USED_UP:
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NO_SPACE,
                   "no space left for what is written and not saved yet: the limit is %" G_GUINT64_FORMAT " bytes",
                   cau_quota_get_max (staged));
      break;
    case CAU_QUOTA_USED_UP_BY_USER:
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_QUOTA,
                   "no space left for what user %u has written and not saved yet: the limit for one user is"
                   " %" G_GUINT64_FORMAT " bytes",
                   self->uid, share_of (staged, self->uid));
      break;
    }
  return FALSE;
}

void
cau_share_give_staged (CauShare *self, guint64 bytes)
{
  cau_quota_give (self->all->staged, self->uid, bytes);
}

gboolean
cau_share_note_buffered (CauShare *self, gsize before, gsize now)
{
  const gssize more = (gssize) now - (gssize) before;

  return g_atomic_pointer_add (&self->all->buffered, more) + more > self->all->max_buffered;
}

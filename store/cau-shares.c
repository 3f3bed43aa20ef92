/* SPDX-License-Identifier: MIT */
#include "cau-shares.h"
#include "cau-quota.h"

/* How much may be staged, and how long it may be, before it is looked again what there is room for. */
#define LOOK_BYTES ((guint64) 8 * 1024 * 1024)
#define LOOK_TIME (1 * G_TIME_SPAN_SECOND)

struct _CauShares
{
  gssize buffered;     /* bytes; atomic */
  gssize max_buffered; /* G_MAXSSIZE: none; set before threads use the store, as the other limits */

  CauQuota *uploads; /* owned */
  CauQuota *staged;  /* owned; bytes */

  CauSharesRoomFunc find_room; /* immutable, as room_data */
  gpointer          room_data;
  gboolean          limit_is_room; /* of staged, as it was found last; set with the limits */
  GMutex            lock;
  gint64            looked;   /* when that was, or 0; lock, as what follows */
  guint64           unlooked; /* bytes that were asked for since */
};

struct _CauShare
{
  CauShares *all; /* borrowed */
  guint32    uid; /* immutable */
};

CauShares *
cau_shares_new (CauSharesRoomFunc find_room, gpointer user_data)
{
  CauShares *self = g_new0 (CauShares, 1);

  self->uploads = cau_quota_new (0);
  self->staged = cau_quota_new (0);
  self->find_room = find_room;
  self->room_data = user_data;
  g_mutex_init (&self->lock);
  cau_shares_set_limits (self, 0, 0, 0);
  return self;
}

void
cau_shares_free (CauShares *self)
{
  cau_quota_free (self->uploads);
  cau_quota_free (self->staged);
  g_mutex_clear (&self->lock);
  g_free (self);
}

void
cau_shares_set_limits (CauShares *self, guint64 max_uploads, guint64 max_staged, guint64 max_buffered)
{
  cau_quota_set_max (self->uploads, max_uploads);
  cau_quota_set_max (self->staged, max_staged);
  self->limit_is_room = max_staged == CAU_STAGED_AS_ROOM;
  self->max_buffered = max_buffered != 0 ? (gssize) MIN (max_buffered, G_MAXSSIZE) : G_MAXSSIZE;
}

/* What user @uid can have of @quota. */
static guint64
share_of (CauQuota *quota, guint32 uid)
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

/* What others do to the disk, and what is saved, changes the room for the rest. A system call for all that is written would be too
 * many. */
static gboolean
has_looked (CauShares *self, guint64 bytes)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  self->unlooked += bytes;
  return self->looked != 0 && g_get_monotonic_time () < self->looked + LOOK_TIME && self->unlooked < LOOK_BYTES;
}

static void
look (CauShares *self)
{
  cau_quota_set_room (self->staged, self->find_room (self->room_data));
  g_mutex_lock (&self->lock);
  self->looked = g_get_monotonic_time ();
  self->unlooked = 0;
  g_mutex_unlock (&self->lock);
}

static CauQuotaResult
take_staged (CauShare *self, guint64 bytes)
{
  CauShares     *all = self->all;
  CauQuotaResult result;

  if (all->limit_is_room && !has_looked (all, bytes))
    look (all);
  result = cau_quota_take (all->staged, self->uid, bytes);
  if (result == CAU_QUOTA_OK || !all->limit_is_room)
    return result;
  look (all);
  return cau_quota_take (all->staged, self->uid, bytes);
}

gboolean
cau_share_take_staged (CauShare *self, guint64 bytes, GError **error)
{
  CauQuota *staged = self->all->staged;

  switch (take_staged (self, bytes))
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

/* SPDX-License-Identifier: MIT */
#include "cau-quota.h"

#include <unistd.h>

typedef struct
{
  guint32 uid;
  guint64 n;
} User;

struct _CauQuota
{
  guint32 own_uid; /* immutable; asking takes a system call */

  GMutex      lock;
  guint64     max; /* lock, as what follows */
  guint64     n;
  GHashTable *users; /* (element-type guint32 User): those who have any; the key lies in the value */
};

CauQuota *
cau_quota_new (guint64 max)
{
  CauQuota *self = g_new0 (CauQuota, 1);

  self->own_uid = geteuid ();
  self->users = g_hash_table_new_full (g_int_hash, g_int_equal, NULL, g_free);
  g_mutex_init (&self->lock);
  cau_quota_set_max (self, max);
  return self;
}

void
cau_quota_free (CauQuota *self)
{
  g_warn_if_fail (self->n == 0);
  g_hash_table_unref (self->users);
  g_mutex_clear (&self->lock);
  g_free (self);
}

void
cau_quota_set_max (CauQuota *self, guint64 max)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  self->max = max != 0 ? max : G_MAXUINT64;
}

void
cau_quota_set_room (CauQuota *self, guint64 room)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  self->max = room < G_MAXUINT64 - self->n ? self->n + room : G_MAXUINT64;
}

guint64
cau_quota_get_max (CauQuota *self)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  return self->max;
}

guint64
cau_quota_share_of (const CauQuota *self, guint32 uid, guint64 max)
{
  return uid == 0 || uid == self->own_uid ? max : MAX (max / 2, 1);
}

static gboolean
has_room (guint64 n, guint64 used, guint64 max)
{
  return n <= max - MIN (used, max);
}

static void
add_locked (CauQuota *self, guint32 uid, guint64 n)
{
  User *user = g_hash_table_lookup (self->users, &uid);

  if (user == NULL)
    {
      user = g_new0 (User, 1);
      user->uid = uid;
      g_hash_table_insert (self->users, &user->uid, user);
    }
  user->n += n;
  self->n += n;
}

CauQuotaResult
cau_quota_take (CauQuota *self, guint32 uid, guint64 n)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  const User   *user = g_hash_table_lookup (self->users, &uid);

  if (!has_room (n, self->n, self->max))
    return CAU_QUOTA_USED_UP;
  if (!has_room (n, user != NULL ? user->n : 0, cau_quota_share_of (self, uid, self->max)))
    return CAU_QUOTA_USED_UP_BY_USER;
  if (n > 0)
    add_locked (self, uid, n);
  return CAU_QUOTA_OK;
}

void
cau_quota_give (CauQuota *self, guint32 uid, guint64 n)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  User         *user = g_hash_table_lookup (self->users, &uid);

  if (n == 0)
    return;
  self->n -= n;
  user->n -= n;
  if (user->n == 0)
    g_hash_table_remove (self->users, &uid);
}

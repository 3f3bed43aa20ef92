/* SPDX-License-Identifier: MIT */
#include "caufs-quota.h"

#include <unistd.h>

struct _CaufsQuota
{
  guint64 max; /* immutable, as own */
  uid_t   own; /* who runs the daemon: asking takes a system call */

  GMutex      lock;
  guint64     n;     /* lock */
  GHashTable *users; /* uid -> how many, as pointers; lock */
};

CaufsQuota *
caufs_quota_new (guint64 max)
{
  CaufsQuota *self = g_new0 (CaufsQuota, 1);

  self->max = max != 0 ? max : G_MAXUINT64;
  self->own = geteuid ();
  self->users = g_hash_table_new (NULL, NULL);
  g_mutex_init (&self->lock);
  return self;
}

void
caufs_quota_free (CaufsQuota *self)
{
  g_warn_if_fail (self->n == 0);
  g_hash_table_unref (self->users);
  g_mutex_clear (&self->lock);
  g_free (self);
}

static gsize
get_locked (CaufsQuota *self, uid_t uid)
{
  return GPOINTER_TO_SIZE (g_hash_table_lookup (self->users, GSIZE_TO_POINTER (uid)));
}

static void
set_locked (CaufsQuota *self, uid_t uid, gsize n)
{
  if (n > 0)
    g_hash_table_insert (self->users, GSIZE_TO_POINTER (uid), GSIZE_TO_POINTER (n));
  else
    g_hash_table_remove (self->users, GSIZE_TO_POINTER (uid));
}

gboolean
caufs_quota_take (CaufsQuota *self, uid_t uid)
{
  const gboolean is_equal_to_others = uid != 0 && uid != self->own;
  gboolean       ok;
  gsize          n;

  g_mutex_lock (&self->lock);
  n = get_locked (self, uid);
  ok = self->n < self->max && n < (is_equal_to_others ? MAX (self->max / 2, 1) : self->max);
  if (ok)
    {
      self->n++;
      set_locked (self, uid, n + 1);
    }
  g_mutex_unlock (&self->lock);
  return ok;
}

void
caufs_quota_give (CaufsQuota *self, uid_t uid)
{
  g_mutex_lock (&self->lock);
  self->n--;
  set_locked (self, uid, get_locked (self, uid) - 1);
  g_mutex_unlock (&self->lock);
}

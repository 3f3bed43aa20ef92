/* SPDX-License-Identifier: MIT */
#include "sqlite-soundness.h"

struct _CauSoundness
{
  char *path;
  guint ref_count;
  guint failures;
  guint mended; /* failures that do not matter any more */
};

/* Guards the table and all that is in it: it is used once in a sync. */
static GMutex      lock;
static GHashTable *all; /* path -> CauSoundness */

CauSoundness *
cau_soundness_ref_named (const char *path)
{
  CauSoundness *self;

  g_mutex_lock (&lock);
  if (all == NULL)
    all = g_hash_table_new (g_str_hash, g_str_equal);
  self = g_hash_table_lookup (all, path);
  if (self == NULL)
    {
      self = g_new0 (CauSoundness, 1);
      self->path = g_strdup (path);
      g_hash_table_insert (all, self->path, self);
    }
  self->ref_count++;
  g_mutex_unlock (&lock);
  return self;
}

void
cau_soundness_unref (CauSoundness *self)
{
  g_mutex_lock (&lock);
  if (--self->ref_count == 0)
    {
      g_hash_table_remove (all, self->path);
      g_free (self->path);
      g_free (self);
    }
  if (g_hash_table_size (all) == 0)
    g_clear_pointer (&all, g_hash_table_unref);
  g_mutex_unlock (&lock);
}

guint
cau_soundness_get_failures (CauSoundness *self)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&lock);

  return self->failures;
}

void
cau_soundness_note_failure (CauSoundness *self)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&lock);

  self->failures++;
}

gboolean
cau_soundness_is_sound (CauSoundness *self)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&lock);

  return self->failures == self->mended;
}

void
cau_soundness_note_written (CauSoundness *self, guint failures)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&lock);

  self->mended = failures;
}

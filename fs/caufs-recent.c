/* SPDX-License-Identifier: MIT */
#include "caufs-recent.h"

/* Versions are numbered upward, so neighbours do not push each other out. About 150 KiB. */
#define N_PLACES 1024
#define PLACE(ino) (((ino) >> 2) % N_PLACES)

struct _CaufsRecent
{
  GMutex      lock; /* guards places */
  struct stat places[N_PLACES];
};

CaufsRecent *
caufs_recent_new (void)
{
  CaufsRecent *self = g_new0 (CaufsRecent, 1);

  g_mutex_init (&self->lock);
  return self;
}

void
caufs_recent_free (CaufsRecent *self)
{
  g_mutex_clear (&self->lock);
  g_free (self);
}

void
caufs_recent_note (CaufsRecent *self, const struct stat *st)
{
  g_mutex_lock (&self->lock);
  self->places[PLACE (st->st_ino)] = *st;
  g_mutex_unlock (&self->lock);
}

gboolean
caufs_recent_find (CaufsRecent *self, guint64 ino, struct stat *st)
{
  g_mutex_lock (&self->lock);
  *st = self->places[PLACE (ino)];
  g_mutex_unlock (&self->lock);
  return st->st_ino == ino;
}

/* SPDX-License-Identifier: MIT */
#include "caufs-recent.h"

/* Node numbers are counted upward, so neighbours do not push each other out. About 300 KiB. */
#define N_PLACES 2048

typedef struct
{
  guint64     ino; /* the node's, which st_ino need not be */
  struct stat st;
} Place;

struct _CaufsRecent
{
  GMutex lock; /* guards places */
  Place  places[N_PLACES];
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
caufs_recent_note (CaufsRecent *self, guint64 ino, const struct stat *st)
{
  g_mutex_lock (&self->lock);
  self->places[ino % N_PLACES] = (Place){ ino, *st };
  g_mutex_unlock (&self->lock);
}

gboolean
caufs_recent_find (CaufsRecent *self, guint64 ino, struct stat *st)
{
  Place place;

  g_mutex_lock (&self->lock);
  place = self->places[ino % N_PLACES];
  g_mutex_unlock (&self->lock);
  *st = place.st;
  return place.ino == ino;
}

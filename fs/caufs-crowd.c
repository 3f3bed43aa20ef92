/* SPDX-License-Identifier: MIT */
#include "caufs-crowd.h"

#include <malloc.h>

/* Fewer than so many at once are no crowd. */
#define CROWD 1024

struct _CaufsCrowd
{
  GMutex   lock;
  guint    n;              /* weights; lock, as what follows */
  guint    most;           /* at once since memory was given back */
  gboolean has_stragglers; /* it was when most of them had gone */
};

CaufsCrowd *
caufs_crowd_new (void)
{
  CaufsCrowd *self = g_new0 (CaufsCrowd, 1);

  g_mutex_init (&self->lock);
  return self;
}

void
caufs_crowd_free (CaufsCrowd *self)
{
  g_warn_if_fail (self->n == 0);
  g_mutex_clear (&self->lock);
  g_free (self);
}

void
caufs_crowd_join (CaufsCrowd *self, guint weight)
{
  g_mutex_lock (&self->lock);
  self->n += weight;
  self->most = MAX (self->most, self->n);
  g_mutex_unlock (&self->lock);
}

/* Whether who left was one of a crowd that is gone. */
static gboolean
is_gone_locked (CaufsCrowd *self)
{
  if (self->most >= CROWD && self->n < self->most / 8)
    {
      self->most = self->n;
      self->has_stragglers = TRUE;
      return TRUE;
    }
  if (self->n > 0 || !self->has_stragglers)
    return FALSE;
  /* An eighth of a crowd of uploads can hold tens of megabytes. */
  self->has_stragglers = FALSE;
  return TRUE;
}

void
caufs_crowd_leave (CaufsCrowd *self, guint weight)
{
  gboolean is_gone;

  g_mutex_lock (&self->lock);
  self->n -= weight;
  is_gone = is_gone_locked (self);
  g_mutex_unlock (&self->lock);
  if (is_gone)
    malloc_trim (0);
}

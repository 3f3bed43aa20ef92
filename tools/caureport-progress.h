/* SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Tells on stderr, when that is a terminal, how far a long copy is. */
typedef struct
{
  const char *name;     /* of what is copied; borrowed */
  guint64     total;    /* bytes; 0: not known */
  gint64      started;  /* monotonic time, microseconds */
  gint64      shown;    /* the last time it was; 0: not yet */
  gboolean    terminal; /* stderr is one */
} CaureportProgress;

void caureport_progress_begin (CaureportProgress *self, const char *name, guint64 total);

/* @done: bytes so far. Nothing is shown in the first second. */
void caureport_progress_show (CaureportProgress *self, guint64 done);

/* Clears the line. */
void caureport_progress_end (CaureportProgress *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CaureportProgress, caureport_progress_end)

G_END_DECLS

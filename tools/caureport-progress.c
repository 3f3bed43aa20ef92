/* SPDX-License-Identifier: MIT */
#include "caureport-progress.h"

#include "caureport-format.h"

#include <stdio.h>
#include <unistd.h>

#define PROGRESS_DELAY_US G_USEC_PER_SEC
#define PROGRESS_PERIOD_US (G_USEC_PER_SEC / 5)

void
caureport_progress_begin (CaureportProgress *self, const char *name, guint64 total)
{
  self->name = name;
  self->total = total;
  self->started = g_get_monotonic_time ();
  self->shown = 0;
  self->terminal = isatty (STDERR_FILENO);
}

void
caureport_progress_show (CaureportProgress *self, guint64 done)
{
  gint64           now = g_get_monotonic_time ();
  g_autofree char *size = NULL;
  g_autofree char *rate = NULL;

  if (!self->terminal || now - self->started < PROGRESS_DELAY_US || now - self->shown < PROGRESS_PERIOD_US)
    return;
  self->shown = now;
  size = caureport_format_size (done, TRUE);
  rate = caureport_format_size ((guint64) ((double) done * G_USEC_PER_SEC / (double) (now - self->started)), TRUE);
  if (self->total > 0)
    {
      g_autofree char *total = caureport_format_size (self->total, TRUE);

      fprintf (stderr, "\r%s: %s of %s, %.0f%%, %s/s\033[K", self->name, size, total,
               MIN (100.0, 100.0 * (double) done / (double) self->total), rate);
    }
  else
    fprintf (stderr, "\r%s: %s, %s/s\033[K", self->name, size, rate);
  fflush (stderr);
}

void
caureport_progress_end (CaureportProgress *self)
{
  if (self->shown > 0)
    fputs ("\r\033[K", stderr);
  self->shown = 0;
}

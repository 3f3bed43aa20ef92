/* SPDX-License-Identifier: MIT */
#pragma once

#include "cau-check.h"
#include "caureport-progress.h"
#include "caureport.h"

G_BEGIN_DECLS

/* Prints what verify and recover find, as they find it. */
typedef struct
{
  gboolean          json;
  gboolean          all;     /* reports that are good too */
  gboolean          recover; /* the words are those of recover */
  guint64           n_shown;
  CaureportProgress progress;
} CaureportFindings;

/* @name: of what is worked on, for the progress; borrowed. */
void caureport_findings_begin (CaureportFindings *self, const char *name);
void caureport_findings_show (CaureportFindings *self, const CauFinding *finding);
void caureport_findings_progress (CaureportFindings *self, guint64 done, guint64 total);

/* Prints the figures, if @summary is not NULL, and ends the list. */
void caureport_findings_end (CaureportFindings *self, const CauCheckSummary *summary);

G_END_DECLS

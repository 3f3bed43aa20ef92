/* SPDX-License-Identifier: MIT */
#pragma once

#include "caureport-target.h"

G_BEGIN_DECLS

/* What put was asked for, and where to. */
typedef struct
{
  char    *name;        /* owned; of the report, or NULL */
  char    *report_size; /* owned; as given, or NULL */
  char    *input;       /* owned; a path, or NULL for standard input */
  gboolean chunks;
  gboolean make;
  gboolean no_replace;
  gboolean preserve;

  CauGuid   guid;
  CauStore *store;        /* borrowed */
  guint64   orchestrator; /* id */
} CaureportPut;

/* Begins to save a report that, if it is new, gets the permission bits @mode. */
CauUpload *caureport_put_begin (CaureportPut *self, const char *name, mode_t mode,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Passes on @failure (transfer full), saying which report it is about. Returns: FALSE. */
gboolean caureport_put_fail (CaureportPut *self, const char *name, GError *failure, GError **error);

/* Saves the report that comes in as lines of chunks. */
gboolean caureport_put_chunks (CaureportPut *self, Caureport *app, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS

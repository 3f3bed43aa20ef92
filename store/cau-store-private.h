/* SPDX-License-Identifier: MIT */
#pragma once

#include "cau-backend.h"
#include "cau-chunk-cache.h"
#include "cau-shares.h"
#include "cau-target.h"
#include "cau-turns.h"

G_BEGIN_DECLS

struct _CauStore
{
  gatomicrefcount ref_count;
  char           *uri;
  CauBackend     *backend;
  guint64         max_report_size; /* never 0; set before threads use the store */
  CauTargets     *targets;
  CauShares      *shares;   /* what its uploads take */
  CauChunkCache  *chunks;   /* what its readers have decoded */
  CauTurns       *commits;  /* of CauUpload: those that take seconds before they come to the backend */
  gint            hurries;  /* cau_store_end_long_commits() was called; atomic */
  GThreadPool    *encoders; /* see cau-encoder.h; NULL when opened for reading only */
};

/* Takes over the caller's pin of info->version. @info is copied. */
CauReader *cau_reader_new (CauStore *store, const CauReportInfo *info, guint64 chunk_size);

/* Whether reports can have names in @id: it exists, and is not the root. Errors: NOT_FOUND. */
gboolean cau_store_check_orchestrator (CauStore *self, guint64 id, GError **error);

/* Opens the current version of the report CauReportInfo.report. Errors: NOT_FOUND. */
CauReader *cau_store_open_report (CauStore *self, guint64 report, guint64 chunk_size, GError **error);

/* The offsets at which the chunks put so far by cau_store_put_report() end: (element-type guint64), borrowed. */
GArray *cau_upload_get_put_ends (CauUpload *self);

/* A CauTurnsFunc, of store->commits. */
gboolean cau_upload_go_on (gpointer upload, gpointer store);

G_END_DECLS

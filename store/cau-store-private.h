/* SPDX-License-Identifier: MIT */
#pragma once

#include "cau-backend.h"
#include "cau-chunk-cache.h"
#include "cau-shares.h"
#include "cau-target.h"

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
  GThreadPool    *rebasers; /* of CauUpload: appends that have to be put after somebody else's commit */
  GThreadPool    *hashers;  /* of CauUpload: commits that take seconds before they come to the backend */
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

/* Run on a thread of store->rebasers, and store->hashers. */
void cau_upload_rebase (gpointer upload, gpointer store);
void cau_upload_hash (gpointer upload, gpointer store);

G_END_DECLS

/* SPDX-License-Identifier: MIT */
#pragma once

/* The embedded engine: one SQLite file in WAL mode. Reads run on the caller's thread, each on a connection of a
 * pool. Changes run on one connection, whose turn passes from thread to thread (sqlite-writer.c); all that waits becomes
 * one transaction (group commit). */

#include "cau-backend.h"
#include "cau-pins.h"
#include "sqlite-cache.h"
#include "sqlite-db.h"
#include "sqlite-identity.h"

G_BEGIN_DECLS

typedef struct _CauWriter CauWriter;

typedef struct
{
  CauBackend   base;
  char        *path;
  CauPins     *pins;
  CauIdentity *identity;
  CauCache    *cache;
  CauWriter   *writer;    /* NULL when opened for reading only */
  guint64      max_size;  /* bytes, 0: no limit; set before threads use the store */
  GMutex       pool_lock; /* guards pool */
  GPtrArray   *pool;      /* (element-type CauDb): idle read connections, the last used at the end */
} CauSqlite;

/* Touched by who has the turn to write only, but for version: read by others once an operation that staged is done. */
struct _CauStage
{
  guint64  version;  /* 0 until the first chunks are committed; pinned */
  guint64  in_batch; /* the same, within the transaction that is open */
  guint64  end;      /* no chunk was staged from this number on */
  GError  *failed;   /* why an operation that staged failed: what follows, the commit too, must */
  gboolean is_lost;  /* failed is final: the operation will not be tried again */
};

/* A connection for one read, given back when it goes out of scope. */
typedef struct
{
  CauSqlite *sqlite;
  CauDb     *db;
} CauLease;

gboolean cau_lease_take (CauLease *self, CauBackend *backend, GError **error);
void     cau_lease_return (CauLease *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CauLease, cau_lease_return)

/* sqlite-read.c: the reads of CauBackendClass. */
gboolean cau_sqlite_get_orchestrator (CauBackend *backend, const CauGuid *guid, guint64 id, CauOrchestratorInfo *info,
                                      GError **error);
GArray  *cau_sqlite_list_orchestrators (CauBackend *backend, const CauGuid *after, guint max, GError **error);
gboolean cau_sqlite_list_reports (CauBackend *backend, guint64 id, const char *after, guint max, GArray *infos,
                                  GError **error);
gboolean cau_sqlite_find_report (CauBackend *backend, guint64 id, const char *name, CauReportInfo *info,
                                 GError **error);
gboolean cau_sqlite_find_name (CauBackend *backend, guint64 id, const char *name, gboolean *has_orchestrator,
                               gboolean *is_taken, GError **error);
gboolean cau_sqlite_get_report (CauBackend *backend, guint64 report, CauReportInfo *info, GError **error);
gboolean cau_sqlite_get_version (CauBackend *backend, guint64 version, CauReportInfo *info, GError **error);
gboolean cau_sqlite_read_chunk (CauBackend *backend, guint64 version, guint64 number, CauChunkFunc use,
                                gpointer user_data, GError **error);
gboolean cau_sqlite_stat (CauBackend *backend, CauStoreStat *stat, GError **error);

/* sqlite-check.c */
GArray  *cau_sqlite_scan_orchestrators (CauBackend *backend, GError **error);
gboolean cau_sqlite_scan_names (CauBackend *backend, guint64 id, CauRecordedFunc use, gpointer user_data,
                                GError **error);
gboolean cau_sqlite_scan_versions (CauBackend *backend, CauRecordedFunc use, gpointer user_data, GError **error);
gboolean cau_sqlite_check (CauBackend *backend, CauCheckSummary *summary, CauProblemFunc found, gpointer user_data,
                           GError **error);

/* Reads on a connection that the caller has: used inside the writer's transactions too. *@found tells. */
gboolean cau_sqlite_lookup_orchestrator (CauDb *db, const CauGuid *guid, guint64 id, CauOrchestratorInfo *info,
                                         gboolean *found, GError **error);
gboolean cau_sqlite_lookup_report (CauDb *db, guint64 id, const char *name, CauReportInfo *info, gboolean *found,
                                   GError **error);
gboolean cau_sqlite_lookup_current (CauDb *db, guint64 report, CauReportInfo *info, gboolean *found, GError **error);
gboolean cau_sqlite_lookup_version (CauDb *db, guint64 version, CauReportInfo *info, gboolean *found, GError **error);

/* sqlite-writer.c */
/* @db: (transfer full), also when it fails. */
CauWriter *cau_writer_new (CauSqlite *sqlite, CauDb *db, GError **error);
void       cau_writer_submit (CauWriter *self, CauOp *op);
void       cau_writer_collect_soon (CauWriter *self);
/* Finishes what was submitted, and ends the thread. */
void cau_writer_free (CauWriter *self);
void cau_writer_set_max_size (CauWriter *self, guint64 max_size);

/* sqlite-changes.c and sqlite-commit.c: each applies one operation inside the open transaction; it may be rolled
 * back, and applied again. */
gboolean cau_sqlite_apply (CauSqlite *self, CauDb *db, CauOp *op, GError **error);
gboolean cau_sqlite_apply_stage (CauSqlite *self, CauDb *db, CauStageOp *op, GError **error);
gboolean cau_sqlite_apply_commit (CauSqlite *self, CauDb *db, CauCommitOp *op, GError **error);

/* Takes the name from @info's version, which no longer is its report's, and deletes it unless it is pinned. */
gboolean cau_sqlite_supersede (CauSqlite *self, CauDb *db, CauReportInfo *info, GError **error);

/* Notes in its row that names of the orchestrator @id changed, and @added, how many more there are. */
gboolean cau_sqlite_touch_orchestrator (CauDb *db, guint64 id, int added, GError **error);

/* Ends what @op did besides its transaction, which is now @committed or rolled back. */
void cau_sqlite_settle (CauSqlite *self, CauOp *op, gboolean committed);

G_END_DECLS

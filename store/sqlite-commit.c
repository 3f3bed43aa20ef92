/* SPDX-License-Identifier: MIT */
#include "sqlite-backend.h"
#include "sqlite-rows.h"

#include <sys/stat.h>

/* ---- chunks ---- */

static gboolean
delete_part (CauDb *db, guint64 version, guint64 number, GError **error)
{
  return cau_db_run (db, error,
                     "DELETE FROM chunks WHERE id = (SELECT chunk FROM parts WHERE version = ?1 AND number = ?2)", "ii",
                     (gint64) version, (gint64) number)
         && cau_db_run (db, error, "DELETE FROM parts WHERE version = ?1 AND number = ?2", "ii", (gint64) version,
                        (gint64) number);
}

static gboolean
forget_from (CauDb *db, guint64 version, guint64 number, GError **error)
{
  return cau_db_run (db, error,
                     "DELETE FROM chunks WHERE id IN (SELECT chunk FROM parts WHERE version = ?1 AND number >= ?2)",
                     "ii", (gint64) version, (gint64) number)
         && cau_db_run (db, error, "DELETE FROM parts WHERE version = ?1 AND number >= ?2", "ii", (gint64) version,
                        (gint64) number);
}

static gboolean
insert_chunk (CauDb *db, guint64 version, const CauStoredChunk *chunk, GError **error)
{
  gint64 id = 0;
  gsize  size = 0;

  if (chunk->data != NULL)
    {
      const void *data = g_bytes_get_data (chunk->data, &size);

      if (!cau_db_run (db, error, "INSERT INTO chunks (data) VALUES (?1)", "b", data, size))
        return FALSE;
      id = sqlite3_last_insert_rowid (cau_db_get_handle (db));
    }
  return cau_db_run (db, error,
                     "INSERT INTO parts (version, number, chunk, stored_size, checksum)"
                     " VALUES (?1, ?2, ?3, ?4, ?5)",
                     "iiiii", (gint64) version, (gint64) chunk->number, id, (gint64) size, (gint64) chunk->checksum);
}

/* @replace: the version may have chunks of these numbers. */
static gboolean
insert_chunks (CauDb *db, guint64 version, const GPtrArray *chunks, gboolean replace, GError **error)
{
  for (guint i = 0; chunks != NULL && i < chunks->len; i++)
    {
      const CauStoredChunk *chunk = g_ptr_array_index (chunks, i);

      if ((replace && !delete_part (db, version, chunk->number, error)) || !insert_chunk (db, version, chunk, error))
        return FALSE;
    }
  return TRUE;
}

/* ---- staging ---- */

static gboolean
begin_stage (CauSqlite *self, CauDb *db, CauStage *stage, GError **error)
{
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  if (!cau_row_next_version (db, &info.version, error))
    return FALSE;
  info.report = info.version;
  if (!cau_row_insert_version (db, &info, error))
    return FALSE;
  /* Before others can see the row: a row without a name and without a pin is garbage. */
  if (!cau_pins_pin (self->pins, info.version))
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_BUSY, "cannot pin version %" G_GUINT64_FORMAT, info.version);
      return FALSE;
    }
  stage->in_batch = info.version;
  return TRUE;
}

static gboolean
stage_chunks (CauSqlite *self, CauDb *db, CauStageOp *op, GError **error)
{
  CauStage *stage = op->stage;

  if (stage->in_batch == 0 && !begin_stage (self, db, stage, error))
    return FALSE;
  if (op->keep != G_MAXUINT64 && !forget_from (db, stage->in_batch, op->keep, error))
    return FALSE;
  return insert_chunks (db, stage->in_batch, op->chunks, TRUE, error);
}

gboolean
cau_sqlite_apply_stage (CauSqlite *self, CauDb *db, CauStageOp *op, GError **error)
{
  CauStage *stage = op->stage;

  if (stage->failed == NULL && stage_chunks (self, db, op, &stage->failed))
    return TRUE;
  g_propagate_error (error, g_error_copy (stage->failed));
  return FALSE;
}

/* ---- the commit ---- */

/* Finds what the commit replaces, and whether it may. */
static gboolean
find_target (CauDb *db, CauCommitOp *op, CauReportInfo *current, gboolean *found, GError **error)
{
  CauOrchestratorInfo orchestrator;

  op->removed = FALSE;
  if (op->info.report != 0)
    {
      if (!cau_sqlite_lookup_current (db, op->info.report, current, found, error))
        return FALSE;
      op->removed = !*found;
    }
  else
    {
      if (!cau_sqlite_lookup_orchestrator (db, NULL, op->info.orchestrator, &orchestrator, found, error))
        return FALSE;
      if (!*found)
        {
          g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND, "the orchestrator was removed");
          return FALSE;
        }
      if (!cau_sqlite_lookup_report (db, op->info.orchestrator, op->info.name, current, found, error))
        return FALSE;
    }
  if (op->removed)
    return TRUE;
  if (*found && op->no_replace)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_REFUSED, "report %s is saved and may not be changed",
                   current->name);
      return FALSE;
    }
  if (op->check_base && op->base != (*found ? current->version : 0))
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CONFLICT, "the report was replaced meanwhile");
      return FALSE;
    }
  return TRUE;
}

static gboolean
inherit_chunks (CauDb *db, const CauCommitOp *op, guint64 version, GError **error)
{
  return op->base == 0 || op->inherit == 0
         || cau_db_run (
           db, error,
           "INSERT OR IGNORE INTO parts (version, number, chunk, stored_size, checksum)"
           " SELECT ?1, number, chunk, stored_size, checksum FROM parts WHERE version = ?2 AND number < ?3",
           "iii", (gint64) version, (gint64) op->base, (gint64) op->inherit);
}

/* The sum of the stored sizes, and that there is each chunk from 0 to the last: a version is whole. */
static gboolean
measure (CauDb *db, CauReportInfo *info, GError **error)
{
  g_autoptr (CauStmt) stmt = cau_db_bind (
    db, error, "SELECT count(*), coalesce(max(number) + 1, 0), total(stored_size) FROM parts WHERE version = ?1", "i",
    (gint64) info->version);
  gboolean done;
  guint64  wanted = cau_stored_chunks (info->size);

  if (stmt == NULL || !cau_stmt_step (stmt, &done, error))
    return FALSE;
  if ((guint64) sqlite3_column_int64 (stmt, 0) != wanted || (guint64) sqlite3_column_int64 (stmt, 1) != wanted)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT,
                   "the upload is not whole: of %" G_GUINT64_FORMAT " chunks %" G_GINT64_FORMAT " are there", wanted,
                   (gint64) sqlite3_column_int64 (stmt, 0));
      return FALSE;
    }
  info->stored_size = (guint64) sqlite3_column_int64 (stmt, 2);
  info->n_chunks = wanted;
  return TRUE;
}

/* A replaced report keeps its attributes but for those the upload set. Writing takes the set-id bits away, as
 * write(2) does. */
static void
inherit_attributes (const CauCommitOp *op, const CauReportInfo *current, CauReportInfo *info)
{
  CauAttributes *to = &info->attributes;

  info->orchestrator = current->orchestrator;
  info->name = g_strdup (current->name);
  info->report = current->report;
  if (!(op->mask & CAU_ATTRIBUTE_MODE))
    to->mode = current->attributes.mode & ~(guint32) (S_ISUID | S_ISGID);
  if (!(op->mask & CAU_ATTRIBUTE_UID))
    to->uid = current->attributes.uid;
  if (!(op->mask & CAU_ATTRIBUTE_GID))
    to->gid = current->attributes.gid;
  if (!(op->mask & CAU_ATTRIBUTE_ATIME))
    to->atime = current->attributes.atime;
}

static gboolean
save_version (CauSqlite *self, CauDb *db, CauCommitOp *op, CauReportInfo *current, CauReportInfo *info, GError **error)
{
  gboolean staged = op->stage != NULL && op->stage->in_batch != 0;
  gboolean replaces = current->version != 0;

  if (staged)
    info->version = op->stage->in_batch;
  else if (!cau_row_next_version (db, &info->version, error))
    return FALSE;
  if (!insert_chunks (db, info->version, op->chunks, staged, error) || !inherit_chunks (db, op, info->version, error)
      || !measure (db, info, error))
    return FALSE;
  if (replaces)
    {
      inherit_attributes (op, current, info);
      if (!cau_sqlite_supersede (self, db, current, error))
        return FALSE;
    }
  else
    {
      info->orchestrator = op->info.orchestrator;
      info->name = g_strdup (op->info.name);
      info->report = info->version;
    }
  return (staged ? cau_row_update_version (db, info, error) : cau_row_insert_version (db, info, error))
         && cau_sqlite_touch_orchestrator (db, info->orchestrator, replaces ? 0 : 1, error);
}

gboolean
cau_sqlite_apply_commit (CauSqlite *self, CauDb *db, CauCommitOp *op, GError **error)
{
  g_auto (CauReportInfo) current = CAU_REPORT_INFO_INIT;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  gboolean found;

  if (op->stage != NULL && op->stage->failed != NULL)
    {
      g_propagate_error (error, g_error_copy (op->stage->failed));
      return FALSE;
    }
  if (!find_target (db, op, &current, &found, error))
    return FALSE;
  if (op->removed)
    return TRUE;

  cau_report_info_copy (&op->info, &info);
  info.orchestrator = 0;
  g_clear_pointer (&info.name, g_free);
  info.saved = cau_datetime_now ();
  info.attributes.ctime = info.saved * 1000;
  if (!save_version (self, db, op, &current, &info, error))
    return FALSE;
  if (!cau_pins_pin (self->pins, info.version))
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_BUSY, "cannot pin version %" G_GUINT64_FORMAT, info.version);
      return FALSE;
    }
  op->pinned = TRUE;
  if (!cau_report_name_get_timestamp (info.name, &info.timestamp))
    info.timestamp = info.saved;
  cau_report_info_clear (&op->saved);
  cau_report_info_copy (&info, &op->saved);
  return TRUE;
}

/* ---- after the transaction ---- */

static void
settle_stage (CauSqlite *self, CauStage *stage, gboolean committed)
{
  if (committed && stage->failed == NULL)
    {
      stage->version = stage->in_batch;
      return;
    }
  if (stage->in_batch != stage->version)
    cau_pins_unpin (self->pins, stage->in_batch);
  stage->in_batch = stage->version;
  if (!committed && !stage->is_lost)
    g_clear_error (&stage->failed);
}

static void
settle_commit (CauSqlite *self, CauCommitOp *op, gboolean committed)
{
  if (committed || !op->pinned)
    return;
  cau_pins_unpin (self->pins, op->saved.version);
  op->pinned = FALSE;
}

void
cau_sqlite_settle (CauSqlite *self, CauOp *op, gboolean committed)
{
  if (op->kind == CAU_OP_STAGE)
    settle_stage (self, ((CauStageOp *) op)->stage, committed);
  else if (op->kind == CAU_OP_COMMIT)
    settle_commit (self, (CauCommitOp *) op, committed);
}

/* SPDX-License-Identifier: MIT */
#include "sqlite-backend.h"
#include "sqlite-chunks.h"
#include "sqlite-rows.h"

#include <sys/stat.h>

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

/* What goes up in order, as a rule, replaces nothing, and is not looked for. */
static gboolean
weigh_replaced (CauDb *db, CauStageOp *op, GError **error)
{
  CauStage     *stage = op->stage;
  const guint64 end = stage->end;
  guint64       weight;

  op->released = 0;
  if (op->keep < end && !cau_chunks_weigh (db, stage->in_batch, op->keep, end, &op->released, error))
    return FALSE;
  for (guint i = 0; i < op->chunks->len; i++)
    {
      const CauStoredChunk *chunk = g_ptr_array_index (op->chunks, i);

      stage->end = MAX (stage->end, chunk->number + 1);
      if (chunk->number >= MIN (end, op->keep))
        continue;
      if (!cau_chunks_weigh (db, stage->in_batch, chunk->number, chunk->number + 1, &weight, error))
        return FALSE;
      op->released += weight;
    }
  return TRUE;
}

static gboolean
stage_chunks (CauSqlite *self, CauDb *db, CauStageOp *op, GError **error)
{
  CauStage *stage = op->stage;

  if (stage->in_batch == 0 && !begin_stage (self, db, stage, error))
    return FALSE;
  if (!weigh_replaced (db, op, error))
    return FALSE;
  if (op->keep != G_MAXUINT64 && !cau_chunks_forget (db, stage->in_batch, op->keep, error))
    return FALSE;
  return cau_chunks_insert (db, stage->in_batch, op->chunks, error);
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

/* What is written to a report that was removed meanwhile is dropped. No checksum covers the index that does not lead to it, so all
 * records are looked at before. */
static gboolean
check_removed (CauDb *db, guint64 report, GError **error)
{
  g_autoptr (CauStmt) stmt =
    cau_db_bind (db, error, "SELECT 1 FROM versions NOT INDEXED WHERE report = ?1 AND orchestrator IS NOT NULL LIMIT 1",
                 "i", (gint64) report);
  gboolean done;

  if (stmt == NULL || !cau_stmt_step (stmt, &done, error))
    return FALSE;
  if (!done)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT,
                 "the index of versions is damaged: it does not lead to those of report %" G_GUINT64_FORMAT, report);
  return done;
}

/* Finds what the commit replaces, and whether it may. */
static gboolean
find_target (CauDb *db, CauCommitOp *op, CauReportInfo *current, gboolean *found, GError **error)
{
  op->removed = FALSE;
  if (op->info.report != 0)
    {
      if (!cau_sqlite_lookup_current (db, op->info.report, current, found, error)
          || (!*found && !check_removed (db, op->info.report, error)))
        return FALSE;
      op->removed = !*found;
    }
  else if (!cau_sqlite_lookup_report (db, op->info.orchestrator, op->info.name, current, found, error))
    return FALSE;
  if (op->removed)
    return TRUE;
  if (*found && op->no_replace)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_REFUSED, "report %s is saved and may not be changed",
                   current->name);
      return FALSE;
    }
  if (*found && op->is_new)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_EXISTS, "report %s was made by another process meanwhile",
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

/* What was sent with the commit is all there is: no need to look. */
static gboolean
measure_sent (const GPtrArray *chunks, CauReportInfo *info, GError **error)
{
  info->stored_size = 0;
  info->n_chunks = cau_stored_chunks (info->size);
  for (guint i = 0; i < chunks->len; i++)
    {
      const CauStoredChunk *chunk = g_ptr_array_index (chunks, i);

      if (chunk->data != NULL)
        info->stored_size += g_bytes_get_size (chunk->data);
    }
  if (chunks->len == info->n_chunks)
    return TRUE;
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT,
               "the upload is not whole: of %" G_GUINT64_FORMAT " chunks %u are there", info->n_chunks, chunks->len);
  return FALSE;
}

static gboolean
put_chunks (CauDb *db, const CauCommitOp *op, gboolean staged, CauReportInfo *info, GError **error)
{
  gboolean inherits = op->base != 0 && op->inherit > 0;

  if (!cau_chunks_insert (db, info->version, op->chunks, error))
    return FALSE;
  if (!staged && !inherits)
    return measure_sent (op->chunks, info, error);
  return (!inherits || cau_chunks_inherit (db, info->version, op->base, op->inherit, error))
         && cau_chunks_measure (db, info, error);
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
  if (!put_chunks (db, op, staged, info, error))
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
  return cau_sqlite_touch_orchestrator (db, info->orchestrator, replaces ? 0 : 1, error)
         && (staged ? cau_row_update_version (db, info, error) : cau_row_insert_version (db, info, error));
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

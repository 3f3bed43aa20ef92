/* SPDX-License-Identifier: MIT */
#include "sqlite-backend.h"
#include "sqlite-chunks.h"
#include "sqlite-rows.h"

#include <sys/stat.h>

static gboolean
not_found (GError **error, const char *what)
{
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND, "there is no %s", what);
  return FALSE;
}

gboolean
cau_sqlite_touch_orchestrator (CauDb *db, guint64 id, int added, GError **error)
{
  if (!cau_db_run (db, error,
                   "UPDATE orchestrators SET n_reports = n_reports + ?2, mtime = ?3, ctime = ?3 WHERE id = ?1", "iii",
                   (gint64) id, (gint64) added, cau_now_ns ()))
    return FALSE;
  return sqlite3_changes (cau_db_get_handle (db)) == 1 || not_found (error, "such orchestrator");
}

/* ---- orchestrators ---- */

static gboolean
apply_create_orchestrator (CauDb *db, CauOrchestratorOp *op, GError **error)
{
  CauOrchestratorInfo existing;
  gboolean            found;

  if (!cau_sqlite_lookup_orchestrator (db, &op->info.guid, 0, &existing, &found, error))
    return FALSE;
  if (found)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_EXISTS, "the orchestrator exists already");
      return FALSE;
    }
  op->info.attributes.atime = op->info.attributes.mtime = op->info.attributes.ctime = cau_now_ns ();
  return cau_row_insert_orchestrator (db, &op->info, FALSE, error)
         && cau_sqlite_touch_orchestrator (db, CAU_STORE_ROOT_ID, 0, error);
}

static gboolean
has_reports (CauDb *db, guint64 id, gboolean *result, GError **error)
{
  g_autoptr (CauStmt) stmt =
    cau_db_bind (db, error, "SELECT 1 FROM versions WHERE orchestrator = ?1 LIMIT 1", "i", (gint64) id);
  gboolean done;

  if (stmt == NULL || !cau_stmt_step (stmt, &done, error))
    return FALSE;
  *result = !done;
  return TRUE;
}

static gboolean
apply_remove_orchestrator (CauDb *db, CauOrchestratorOp *op, GError **error)
{
  gboolean found, used;

  if (!cau_sqlite_lookup_orchestrator (db, &op->info.guid, 0, &op->info, &found, error))
    return FALSE;
  if (!found)
    return not_found (error, "such orchestrator");
  if (!has_reports (db, op->info.id, &used, error))
    return FALSE;
  if (used)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_EMPTY, "the orchestrator still has reports");
      return FALSE;
    }
  return cau_db_run (db, error, "DELETE FROM orchestrators WHERE id = ?1", "i", (gint64) op->info.id)
         && cau_sqlite_touch_orchestrator (db, CAU_STORE_ROOT_ID, 0, error);
}

static gboolean
apply_set_orchestrator_attributes (CauDb *db, CauOrchestratorOp *op, GError **error)
{
  CauOrchestratorInfo current;
  CauAttributes      *a = &current.attributes;
  gboolean            found;

  if (!cau_sqlite_lookup_orchestrator (db, NULL, op->info.id, &current, &found, error))
    return FALSE;
  if (!found)
    return not_found (error, "such orchestrator");
  cau_attributes_merge (a, op->mask, &op->info.attributes);
  op->info = current;
  return cau_db_run (db, error,
                     "UPDATE orchestrators SET mode = ?2, uid = ?3, gid = ?4, atime = ?5, mtime = ?6, ctime = ?7"
                     " WHERE id = ?1",
                     "iiiiiii", (gint64) current.id, (gint64) a->mode, (gint64) a->uid, (gint64) a->gid, a->atime,
                     a->mtime, a->ctime);
}

/* ---- versions that no name leads to any more ---- */

static gboolean
delete_version (CauDb *db, guint64 version, gboolean is_report, GError **error)
{
  return cau_chunks_delete (db, version, is_report, error)
         && cau_db_run (db, error, "DELETE FROM versions WHERE id = ?1", "i", (gint64) version);
}

gboolean
cau_sqlite_supersede (CauSqlite *self, CauDb *db, CauReportInfo *info, GError **error)
{
  if (cau_pins_begin_collect (self->pins, info->version))
    return delete_version (db, info->version, TRUE, error);

  info->orchestrator = 0;
  g_clear_pointer (&info->name, g_free);
  return cau_row_update_version (db, info, error);
}

/* Only what its own record says is garbage: an entry of the index that damage hit can lead to a report. What does not say so stays,
 * and "caureport verify" tells of it. */
static GArray *
list_garbage (CauDb *db, GError **error)
{
  g_autoptr (CauStmt) stmt =
    cau_db_bind (db, error, "SELECT " CAU_VERSION_COLUMNS " FROM versions WHERE orchestrator IS NULL", "");
  g_autoptr (GArray) list = g_array_new (FALSE, FALSE, sizeof (guint64));

  if (stmt == NULL)
    return NULL;
  for (;;)
    {
      g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
      gboolean done;

      if (!cau_stmt_step (stmt, &done, error))
        return NULL;
      if (done)
        return g_steal_pointer (&list);
      if (cau_row_get_version (stmt, &info, NULL) && info.orchestrator == 0)
        g_array_append_val (list, info.version);
    }
}

static gboolean
apply_collect (CauSqlite *self, CauDb *db, CauCollectOp *op, GError **error)
{
  g_autoptr (GArray) garbage = list_garbage (db, error);

  if (garbage == NULL)
    return FALSE;
  op->n_collected = 0;
  for (guint i = 0; i < garbage->len; i++)
    {
      guint64 version = g_array_index (garbage, guint64, i);

      if (!cau_pins_begin_collect (self->pins, version))
        continue;
      if (!delete_version (db, version, FALSE, error))
        return FALSE;
      op->n_collected++;
    }
  return TRUE;
}

/* ---- names ---- */

static gboolean
move_report (CauDb *db, CauReportInfo *info, guint64 id, const char *name, GError **error)
{
  info->orchestrator = id;
  g_free (info->name);
  info->name = g_strdup (name);
  info->attributes.ctime = cau_now_ns ();
  return cau_row_update_version (db, info, error);
}

/* The index of names is unique, so one of two that change places has to be without a name in between. */
static gboolean
exchange_reports (CauDb *db, CauReportInfo *a, CauReportInfo *b, GError **error)
{
  g_auto (CauReportInfo) from = CAU_REPORT_INFO_INIT;
  g_auto (CauReportInfo) to = CAU_REPORT_INFO_INIT;

  cau_report_info_copy (a, &from);
  cau_report_info_copy (b, &to);
  a->orchestrator = 0;
  return cau_row_update_version (db, a, error) && move_report (db, b, from.orchestrator, from.name, error)
         && move_report (db, a, to.orchestrator, to.name, error);
}

static gboolean
remove_report (CauSqlite *self, CauDb *db, CauReportInfo *info, GError **error)
{
  guint64 id = info->orchestrator;

  return cau_sqlite_supersede (self, db, info, error) && cau_sqlite_touch_orchestrator (db, id, -1, error);
}

static gboolean
touch_both (CauDb *db, const CauRenameOp *op, int moved, GError **error)
{
  if (op->id == op->new_id)
    return cau_sqlite_touch_orchestrator (db, op->id, 0, error);
  return cau_sqlite_touch_orchestrator (db, op->id, -moved, error)
         && cau_sqlite_touch_orchestrator (db, op->new_id, moved, error);
}

static gboolean
apply_rename (CauSqlite *self, CauDb *db, CauRenameOp *op, GError **error)
{
  g_auto (CauReportInfo) from = CAU_REPORT_INFO_INIT;
  g_auto (CauReportInfo) to = CAU_REPORT_INFO_INIT;
  gboolean found, taken;

  if (!cau_sqlite_lookup_report (db, op->id, op->name, &from, &found, error)
      || !cau_sqlite_lookup_report (db, op->new_id, op->new_name, &to, &taken, error))
    return FALSE;
  if (!found || (op->mode == CAU_RENAME_EXCHANGE && !taken))
    return not_found (error, "such report");
  if (taken && op->mode == CAU_RENAME_NO_REPLACE)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_EXISTS, "report %s exists already", op->new_name);
      return FALSE;
    }
  if (taken && from.version == to.version)
    return TRUE;
  if (op->mode == CAU_RENAME_EXCHANGE)
    return exchange_reports (db, &from, &to, error) && touch_both (db, op, 0, error);
  if (taken && !remove_report (self, db, &to, error))
    return FALSE;
  return move_report (db, &from, op->new_id, op->new_name, error) && touch_both (db, op, 1, error);
}

/* A report whose record is damaged cannot be read, but it can be removed. Of the record only its place is believed. */
static gboolean
remove_damaged (CauSqlite *self, CauDb *db, const CauRenameOp *op, GError **error)
{
  g_autoptr (CauStmt) stmt = cau_db_bind (db, error, "SELECT id FROM versions WHERE orchestrator = ?1 AND name = ?2",
                                          "it", (gint64) op->id, op->name);
  g_auto (CauReportInfo) other = CAU_REPORT_INFO_INIT;
  guint64  version;
  gboolean done, found;

  if (stmt == NULL || !cau_stmt_step (stmt, &done, error))
    return FALSE;
  if (done)
    return not_found (error, "such report");
  version = (guint64) sqlite3_column_int64 (stmt, 0);
  g_clear_pointer (&stmt, cau_stmt_reset);
  if (cau_sqlite_lookup_version (db, version, &other, &found, NULL))
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT,
                   "the index of names is damaged at report %s: it leads to another one", op->name);
      return FALSE;
    }
  if (!cau_pins_begin_collect (self->pins, version))
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_BUSY, "report %s is damaged and being read", op->name);
      return FALSE;
    }
  return delete_version (db, version, FALSE, error) && cau_sqlite_touch_orchestrator (db, op->id, -1, error);
}

static gboolean
apply_remove (CauSqlite *self, CauDb *db, CauRenameOp *op, GError **error)
{
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  g_autoptr (GError) damage = NULL;
  gboolean found;

  if (!cau_sqlite_lookup_report (db, op->id, op->name, &info, &found, &damage))
    {
      /* Of the record, not of the tree that it is in. */
      if (g_error_matches (damage, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT) && !cau_db_met_damage (db))
        return remove_damaged (self, db, op, error);
      g_propagate_error (error, g_steal_pointer (&damage));
      return FALSE;
    }
  return found ? remove_report (self, db, &info, error) : not_found (error, "such report");
}

static gboolean
lookup_version_or_current (CauDb *db, const CauReportInfo *which, CauReportInfo *info, gboolean *found, GError **error)
{
  return which->version != 0 ? cau_sqlite_lookup_version (db, which->version, info, found, error)
                             : cau_sqlite_lookup_current (db, which->report, info, found, error);
}

static gboolean
stale (GError **error)
{
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_STALE, "the report was replaced or removed");
  return FALSE;
}

/* A new owner does not get the old one's set-ID bits. The kernel takes them away with the request (notify_change()), but
 * through a handle for writing it knows only what the mode was when that was opened. */
static void
drop_set_id_bits (CauAttributes *attributes, CauAttributeMask mask)
{
  if (!(mask & (CAU_ATTRIBUTE_UID | CAU_ATTRIBUTE_GID)) || (mask & CAU_ATTRIBUTE_MODE))
    return;
  attributes->mode &= ~(guint32) S_ISUID;
  if (attributes->mode & S_IXGRP)
    attributes->mode &= ~(guint32) S_ISGID;
}

/* What had been set of the version @old before it was replaced by writing would be the report's now. Not when it was given to
 * another user since: the right to do this is that of the old one's owner. */
static gboolean
set_inherited_attributes (CauDb *db, const CauReportInfo *old, const CauReportAttributesOp *op, GError **error)
{
  g_auto (CauReportInfo) current = CAU_REPORT_INFO_INIT;
  gboolean found;

  if (!cau_sqlite_lookup_current (db, old->report, &current, &found, error))
    return FALSE;
  if (!found)
    return TRUE;
  if (current.attributes.uid != old->attributes.uid)
    return stale (error);
  cau_attributes_merge (&current.attributes, op->mask & ~(CauAttributeMask) CAU_ATTRIBUTE_MTIME, &op->info.attributes);
  drop_set_id_bits (&current.attributes, op->mask);
  return cau_row_update_version (db, &current, error);
}

static gboolean
apply_set_report_attributes (CauDb *db, CauReportAttributesOp *op, GError **error)
{
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  gboolean found;

  if (!lookup_version_or_current (db, &op->info, &info, &found, error))
    return FALSE;
  if (!found)
    return stale (error);
  if (info.orchestrator == 0 && !set_inherited_attributes (db, &info, op, error))
    return FALSE;
  cau_attributes_merge (&info.attributes, op->mask, &op->info.attributes);
  drop_set_id_bits (&info.attributes, op->mask);
  if (!cau_row_update_version (db, &info, error))
    return FALSE;
  cau_report_info_clear (&op->saved);
  cau_report_info_copy (&info, &op->saved);
  return TRUE;
}

gboolean
cau_sqlite_apply (CauSqlite *self, CauDb *db, CauOp *op, GError **error)
{
  switch (op->kind)
    {
    case CAU_OP_STAGE:
      return cau_sqlite_apply_stage (self, db, (CauStageOp *) op, error);
    case CAU_OP_COMMIT:
      return cau_sqlite_apply_commit (self, db, (CauCommitOp *) op, error);
    case CAU_OP_CREATE_ORCHESTRATOR:
      return apply_create_orchestrator (db, (CauOrchestratorOp *) op, error);
    case CAU_OP_REMOVE_ORCHESTRATOR:
      return apply_remove_orchestrator (db, (CauOrchestratorOp *) op, error);
    case CAU_OP_SET_ORCHESTRATOR_ATTRIBUTES:
      return apply_set_orchestrator_attributes (db, (CauOrchestratorOp *) op, error);
    case CAU_OP_RENAME:
      return apply_rename (self, db, (CauRenameOp *) op, error);
    case CAU_OP_REMOVE:
      return apply_remove (self, db, (CauRenameOp *) op, error);
    case CAU_OP_SET_REPORT_ATTRIBUTES:
      return apply_set_report_attributes (db, (CauReportAttributesOp *) op, error);
    case CAU_OP_COLLECT:
      return apply_collect (self, db, (CauCollectOp *) op, error);
    case CAU_OP_SYNC:
      /* A transaction that writes nothing syncs nothing, and what was staged may lie unsynced before it. */
      return cau_row_write_again (db, error);
    }
  g_return_val_if_reached (FALSE);
}

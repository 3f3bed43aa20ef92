/* SPDX-License-Identifier: MIT */
#include "sqlite-rows.h"

#include "cau-backend.h"

#include <string.h>
#include <xxhash.h>

static gint64
orchestrator_checksum (const CauOrchestratorInfo *info)
{
  guint8  packed[8 + sizeof info->guid.bytes];
  guint64 id = GUINT64_TO_LE (info->id);

  memcpy (packed, &id, 8);
  memcpy (packed + 8, info->guid.bytes, sizeof info->guid.bytes);
  return (gint64) XXH3_64bits (packed, sizeof packed);
}

/* Over all that the row says: numbers as 8 bytes little-endian in the order of the columns, then the
 * SHA-256, then the name. */
static gint64
version_checksum (const CauReportInfo *info)
{
  const CauAttributes *a = &info->attributes;
  guint64              numbers[] = { info->version,
                                     info->report,
                                     info->orchestrator,
                                     info->size,
                                     info->stored_size,
                                     info->seed,
                                     (guint64) info->saved,
                                     a->mode,
                                     a->uid,
                                     a->gid,
                                     (guint64) a->atime,
                                     (guint64) a->mtime,
                                     (guint64) a->ctime };
  guint8               packed[sizeof numbers + CAU_SHA256_LEN + CAU_REPORT_NAME_MAX];
  gsize                name_length = info->orchestrator != 0 ? strlen (info->name) : 0;

  for (gsize i = 0; i < G_N_ELEMENTS (numbers); i++)
    numbers[i] = GUINT64_TO_LE (numbers[i]);
  memcpy (packed, numbers, sizeof numbers);
  memcpy (packed + sizeof numbers, info->sha256, CAU_SHA256_LEN);
  if (name_length > CAU_REPORT_NAME_MAX)
    name_length = CAU_REPORT_NAME_MAX;
  if (name_length > 0)
    memcpy (packed + sizeof numbers + CAU_SHA256_LEN, info->name, name_length);
  return (gint64) XXH3_64bits (packed, sizeof numbers + CAU_SHA256_LEN + name_length);
}

gboolean
cau_row_check_orchestrator (const CauOrchestratorInfo *info, gint64 checksum)
{
  return checksum == orchestrator_checksum (info);
}

gboolean
cau_row_check_version (const CauReportInfo *info, gint64 checksum)
{
  return (info->orchestrator == 0) == (info->name == NULL) && checksum == version_checksum (info);
}

static guint64
column_u64 (CauStmt *stmt, int column)
{
  return (guint64) sqlite3_column_int64 (stmt, column);
}

static guint32
column_u32 (CauStmt *stmt, int column)
{
  return (guint32) sqlite3_column_int64 (stmt, column);
}

static void
get_attributes (CauStmt *stmt, int column, CauAttributes *attributes)
{
  attributes->mode = column_u32 (stmt, column);
  attributes->uid = column_u32 (stmt, column + 1);
  attributes->gid = column_u32 (stmt, column + 2);
  attributes->atime = sqlite3_column_int64 (stmt, column + 3);
  attributes->mtime = sqlite3_column_int64 (stmt, column + 4);
  attributes->ctime = sqlite3_column_int64 (stmt, column + 5);
}

static gboolean
set_damaged (CauStmt *stmt, const char *what, guint64 id, GError **error)
{
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT,
               "%s: %s %" G_GUINT64_FORMAT " is damaged: the checksum of its record does not match",
               sqlite3_db_filename (sqlite3_db_handle (stmt), "main"), what, id);
  return FALSE;
}

gboolean
cau_row_is_sound (const CauReportInfo *info)
{
  return info->version > 0 && info->version <= CAU_VERSION_MAX && info->report > 0 && info->report <= CAU_VERSION_MAX
         && info->size <= CAU_REPORT_SIZE_MAX && (info->attributes.mode & ~(guint32) 07777) == 0
         && (info->orchestrator == 0 || cau_report_name_validate (info->name, NULL));
}

/* What its checksum does not cover must at least be possible. */
static gboolean
is_possible (CauStmt *stmt, const CauOrchestratorInfo *info)
{
  const CauAttributes *a = &info->attributes;

  return sqlite3_column_int64 (stmt, 3) == (a->mode & 07777) && sqlite3_column_int64 (stmt, 4) == a->uid
         && sqlite3_column_int64 (stmt, 5) == a->gid && sqlite3_column_int64 (stmt, 2) >= 0;
}

gboolean
cau_row_get_orchestrator (CauStmt *stmt, CauOrchestratorInfo *info, GError **error)
{
  memset (info, 0, sizeof *info);
  info->id = column_u64 (stmt, 0);
  if (sqlite3_column_bytes (stmt, 1) == sizeof info->guid.bytes)
    memcpy (info->guid.bytes, sqlite3_column_blob (stmt, 1), sizeof info->guid.bytes);
  info->n_reports = column_u64 (stmt, 2);
  get_attributes (stmt, 3, &info->attributes);
  if (info->id > CAU_ORCHESTRATOR_MAX || !cau_row_check_orchestrator (info, sqlite3_column_int64 (stmt, 9))
      || !is_possible (stmt, info))
    return set_damaged (stmt, "orchestrator", info->id, error);
  return TRUE;
}

gboolean
cau_row_get_version (CauStmt *stmt, CauReportInfo *info, GError **error)
{
  cau_report_info_clear (info);
  info->version = column_u64 (stmt, 0);
  info->report = column_u64 (stmt, 1);
  info->orchestrator = column_u64 (stmt, 2);
  if (info->orchestrator != 0)
    info->name = g_strdup ((const char *) sqlite3_column_text (stmt, 3));
  info->size = column_u64 (stmt, 4);
  info->stored_size = column_u64 (stmt, 5);
  info->n_chunks = cau_stored_chunks (info->size);
  if (sqlite3_column_bytes (stmt, 6) == CAU_SHA256_LEN)
    memcpy (info->sha256, sqlite3_column_blob (stmt, 6), CAU_SHA256_LEN);
  info->seed = column_u64 (stmt, 7);
  info->saved = sqlite3_column_int64 (stmt, 8);
  get_attributes (stmt, 9, &info->attributes);
  if (!cau_row_check_version (info, sqlite3_column_int64 (stmt, 15)))
    return set_damaged (stmt, "the record of version", info->version, error);
  if (!cau_row_is_sound (info))
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT,
                   "%s: the record of version %" G_GUINT64_FORMAT " says what no report can be",
                   sqlite3_db_filename (sqlite3_db_handle (stmt), "main"), info->version);
      return FALSE;
    }
  if (info->name == NULL || !cau_report_name_get_timestamp (info->name, &info->timestamp))
    info->timestamp = info->saved;
  return TRUE;
}

gboolean
cau_row_insert_orchestrator (CauDb *db, CauOrchestratorInfo *info, gboolean is_root, GError **error)
{
  const CauAttributes *a = &info->attributes;
  sqlite3             *handle = cau_db_get_handle (db);

  /* The id is part of the checksum and known after the row is there. */
  if (!cau_db_run (
        db, error,
        "INSERT INTO orchestrators (id, guid, n_reports, last_version, mode, uid, gid, atime, mtime, ctime, checksum)"
        " VALUES (CASE WHEN ?1 THEN 0 END, CASE WHEN ?1 THEN NULL ELSE ?2 END, 0, 0, ?3, ?4, ?5, ?6, ?7, ?8, 0)",
        "ibiiiiii", (gint64) is_root, info->guid.bytes, sizeof info->guid.bytes, (gint64) a->mode, (gint64) a->uid,
        (gint64) a->gid, a->atime, a->mtime, a->ctime))
    return FALSE;
  info->id = is_root ? 0 : (guint64) sqlite3_last_insert_rowid (handle);
  info->n_reports = 0;
  return cau_db_run (db, error, "UPDATE orchestrators SET checksum = ?2 WHERE id = ?1", "ii", (gint64) info->id,
                     orchestrator_checksum (info));
}

gboolean
cau_row_restore_orchestrator (CauDb *db, const CauOrchestratorInfo *info, GError **error)
{
  return cau_db_run (
    db, error,
    "INSERT INTO orchestrators (id, guid, n_reports, last_version, mode, uid, gid, atime, mtime, ctime, checksum)"
    " VALUES (?1, ?2, 0, 0, 0, 0, 0, 0, 0, 0, ?3)",
    "ibi", (gint64) info->id, info->guid.bytes, sizeof info->guid.bytes, orchestrator_checksum (info));
}

/* The columns of both statements below, ?1 to ?16. */
static gboolean
put_version (CauDb *db, const char *sql, const CauReportInfo *info, GError **error)
{
  const CauAttributes *a = &info->attributes;

  return cau_db_run (db, error, sql, "iiitiibiiiiiiiii", (gint64) info->version, (gint64) info->report,
                     (gint64) info->orchestrator, info->orchestrator != 0 ? info->name : NULL, (gint64) info->size,
                     (gint64) info->stored_size, info->sha256, (gsize) CAU_SHA256_LEN, (gint64) info->seed, info->saved,
                     (gint64) a->mode, (gint64) a->uid, (gint64) a->gid, a->atime, a->mtime, a->ctime,
                     version_checksum (info));
}

/* No checksum covers last_version. An id that is given out again would take chunks that others still share. */
#define NEXT_VERSION \
  "UPDATE orchestrators SET last_version = last_version + 1" \
  " WHERE id = 0 AND last_version < 1099511627775 AND last_version >= (SELECT coalesce(max(id), 0) FROM versions)" \
  "  AND last_version >= (SELECT coalesce(max(id), 0) / 8388608 FROM chunks)" \
  " RETURNING last_version"

gboolean
cau_row_next_version (CauDb *db, guint64 *version, GError **error)
{
  g_autoptr (CauStmt) stmt = cau_db_bind (db, error, NEXT_VERSION, "");
  gboolean done;

  if (stmt == NULL || !cau_stmt_step (stmt, &done, error))
    return FALSE;
  if (done)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT,
                   "%s is damaged: the record of the store is missing, or wrong about the last version",
                   sqlite3_db_filename (cau_db_get_handle (db), "main"));
      return FALSE;
    }
  *version = column_u64 (stmt, 0);
  if (*version > 0 && *version <= CAU_VERSION_MAX)
    return TRUE;
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT, "%s is damaged: no number is left for a version",
               sqlite3_db_filename (cau_db_get_handle (db), "main"));
  return FALSE;
}

gboolean
cau_row_insert_version (CauDb *db, const CauReportInfo *info, GError **error)
{
  return put_version (db,
                      "INSERT INTO versions (" CAU_VERSION_COLUMNS ") VALUES (?1, ?2, CASE WHEN ?3 THEN ?3 END, ?4,"
                      " ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
                      info, error);
}

gboolean
cau_row_update_version (CauDb *db, const CauReportInfo *info, GError **error)
{
  return put_version (db,
                      "UPDATE versions SET report = ?2, orchestrator = CASE WHEN ?3 THEN ?3 END, name = ?4, size = ?5,"
                      " stored_size = ?6, sha256 = ?7, seed = ?8, saved = ?9, mode = ?10, uid = ?11, gid = ?12,"
                      " atime = ?13, mtime = ?14, ctime = ?15, checksum = ?16 WHERE id = ?1",
                      info, error);
}

gboolean
cau_row_write_again (CauDb *db, GError **error)
{
  return cau_db_run (db, error, "UPDATE orchestrators SET n_reports = 1 WHERE id = 0", "")
         && cau_db_run (db, error, "UPDATE orchestrators SET n_reports = 0 WHERE id = 0", "");
}

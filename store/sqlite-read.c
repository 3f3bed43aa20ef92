/* SPDX-License-Identifier: MIT */
#include "sqlite-backend.h"
#include "sqlite-chunks.h"
#include "sqlite-rows.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

gboolean
cau_sqlite_lookup_orchestrator (CauDb *db, const CauGuid *guid, guint64 id, CauOrchestratorInfo *info, gboolean *found,
                                GError **error)
{
  g_autoptr (CauStmt) stmt = NULL;
  gboolean done;

  if (guid != NULL)
    stmt = cau_db_bind (db, error, "SELECT " CAU_ORCHESTRATOR_COLUMNS " FROM orchestrators WHERE guid = ?1", "b",
                        guid->bytes, sizeof guid->bytes);
  else
    stmt =
      cau_db_bind (db, error, "SELECT " CAU_ORCHESTRATOR_COLUMNS " FROM orchestrators WHERE id = ?1", "i", (gint64) id);
  if (stmt == NULL || !cau_stmt_step (stmt, &done, error))
    return FALSE;
  *found = !done;
  return done || cau_row_get_orchestrator (stmt, info, error);
}

static gboolean
get_version_row (CauStmt *stmt, CauReportInfo *info, gboolean *found, GError **error)
{
  gboolean done;

  if (!cau_stmt_step (stmt, &done, error))
    return FALSE;
  *found = !done;
  return done || cau_row_get_version (stmt, info, error);
}

gboolean
cau_sqlite_lookup_report (CauDb *db, guint64 id, const char *name, CauReportInfo *info, gboolean *found, GError **error)
{
  g_autoptr (CauStmt) stmt =
    cau_db_bind (db, error, "SELECT " CAU_VERSION_COLUMNS " FROM versions WHERE orchestrator = ?1 AND name = ?2", "it",
                 (gint64) id, name);

  if (stmt == NULL || !get_version_row (stmt, info, found, error))
    return FALSE;
  if (*found && (info->orchestrator != id || g_strcmp0 (info->name, name) != 0))
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT, "the index of names is damaged at report %s", name);
      return FALSE;
    }
  return TRUE;
}

gboolean
cau_sqlite_lookup_current (CauDb *db, guint64 report, CauReportInfo *info, gboolean *found, GError **error)
{
  g_autoptr (CauStmt) stmt = cau_db_bind (db, error,
                                          "SELECT " CAU_VERSION_COLUMNS " FROM versions"
                                          " WHERE id = ?1 AND report = ?1 AND orchestrator IS NOT NULL"
                                          " UNION ALL SELECT " CAU_VERSION_COLUMNS " FROM versions"
                                          " WHERE report = ?1 AND report <> id AND orchestrator IS NOT NULL LIMIT 1",
                                          "i", (gint64) report);

  return stmt != NULL && get_version_row (stmt, info, found, error);
}

gboolean
cau_sqlite_lookup_version (CauDb *db, guint64 version, CauReportInfo *info, gboolean *found, GError **error)
{
  g_autoptr (CauStmt) stmt =
    cau_db_bind (db, error, "SELECT " CAU_VERSION_COLUMNS " FROM versions WHERE id = ?1", "i", (gint64) version);

  return stmt != NULL && get_version_row (stmt, info, found, error);
}

gboolean
cau_sqlite_get_orchestrator (CauBackend *backend, const CauGuid *guid, guint64 id, CauOrchestratorInfo *info,
                             GError **error)
{
  g_auto (CauLease) lease = { 0 };
  gboolean found;

  if (!cau_lease_take (&lease, backend, error)
      || !cau_sqlite_lookup_orchestrator (lease.db, guid, id, info, &found, error))
    return FALSE;
  if (!found)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND, "there is no such orchestrator");
  return found;
}

GArray *
cau_sqlite_list_orchestrators (CauBackend *backend, const CauGuid *after, guint max, GError **error)
{
  static const CauGuid none;
  g_auto (CauLease) lease = { 0 };
  g_autoptr (CauStmt) stmt = NULL;
  g_autoptr (GArray) list = g_array_new (FALSE, FALSE, sizeof (CauOrchestratorInfo));
  const CauGuid *start = after != NULL ? after : &none, *last = after;

  if (!cau_lease_take (&lease, backend, error))
    return NULL;
  stmt = cau_db_bind (lease.db, error,
                      "SELECT " CAU_ORCHESTRATOR_COLUMNS " FROM orchestrators"
                      " WHERE guid > ?1 OR (?2 AND guid = ?1) ORDER BY guid LIMIT ?3",
                      "bii", start->bytes, sizeof start->bytes, (gint64) (after == NULL), (gint64) max);
  if (stmt == NULL)
    return NULL;
  for (;;)
    {
      CauOrchestratorInfo info;
      gboolean            done;

      if (!cau_stmt_step (stmt, &done, error))
        return NULL;
      if (done)
        return g_steal_pointer (&list);
      if (!cau_row_get_orchestrator (stmt, &info, error))
        return NULL;
      if (last != NULL && memcmp (info.guid.bytes, last->bytes, sizeof last->bytes) <= 0)
        {
          /* Who goes on after it would not come to an end. */
          g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT,
                       "the index of GUIDs is damaged: it has no order");
          return NULL;
        }
      g_array_append_val (list, info);
      last = &g_array_index (list, CauOrchestratorInfo, list->len - 1).guid;
    }
}

gboolean
cau_sqlite_list_reports (CauBackend *backend, guint64 id, const char *after, guint max, GArray *infos, GError **error)
{
  g_auto (CauLease) lease = { 0 };
  g_autoptr (CauStmt) stmt = NULL;

  if (!cau_lease_take (&lease, backend, error))
    return FALSE;
  /* No name is empty, so all come after "". */
  stmt = cau_db_bind (lease.db, error,
                      "SELECT " CAU_VERSION_COLUMNS " FROM versions WHERE orchestrator = ?1 AND name > ?2"
                      " ORDER BY name LIMIT ?3",
                      "iti", (gint64) id, after != NULL ? after : "", (gint64) max);
  if (stmt == NULL)
    return FALSE;
  for (;;)
    {
      CauReportInfo info = CAU_REPORT_INFO_INIT;
      gboolean      done;

      if (!cau_stmt_step (stmt, &done, error))
        return FALSE;
      if (done)
        return TRUE;
      if (!cau_row_get_version (stmt, &info, NULL))
        {
          const char *name = (const char *) sqlite3_column_text (stmt, 3);

          /* One that is damaged does not hide the others, nor is it hidden. */
          cau_report_info_clear (&info);
          info.orchestrator = id;
          info.name = g_strdup (name != NULL ? name : "");
          info.damaged = TRUE;
        }
      g_array_append_val (infos, info);
    }
}

gboolean
cau_sqlite_find_report (CauBackend *backend, guint64 id, const char *name, CauReportInfo *info, GError **error)
{
  CauCache *cache = ((CauSqlite *) backend)->cache;
  g_auto (CauLease) lease = { 0 };
  CauCacheState state;
  gboolean      found;

  if (cau_cache_find_name (cache, id, name, info, &state))
    return TRUE;
  if (!cau_lease_take (&lease, backend, error) || !cau_sqlite_lookup_report (lease.db, id, name, info, &found, error))
    return FALSE;
  if (found)
    cau_cache_add (cache, &state, info);
  else
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND, "there is no report %s", name);
  return found;
}

gboolean
cau_sqlite_find_name (CauBackend *backend, guint64 id, const char *name, gboolean *has_orchestrator, gboolean *is_taken,
                      GError **error)
{
  g_auto (CauLease) lease = { 0 };
  g_autoptr (CauStmt) stmt = NULL;
  gboolean done;

  if (!cau_lease_take (&lease, backend, error))
    return FALSE;
  stmt = cau_db_bind (lease.db, error,
                      "SELECT EXISTS (SELECT 1 FROM orchestrators WHERE id = ?1),"
                      " EXISTS (SELECT 1 FROM versions WHERE orchestrator = ?1 AND name = ?2)",
                      "it", (gint64) id, name);
  if (stmt == NULL || !cau_stmt_step (stmt, &done, error))
    return FALSE;
  *has_orchestrator = sqlite3_column_int (stmt, 0) != 0;
  *is_taken = sqlite3_column_int (stmt, 1) != 0;
  return TRUE;
}

gboolean
cau_sqlite_get_report (CauBackend *backend, guint64 report, CauReportInfo *info, GError **error)
{
  g_auto (CauLease) lease = { 0 };
  gboolean found;

  if (!cau_lease_take (&lease, backend, error) || !cau_sqlite_lookup_current (lease.db, report, info, &found, error))
    return FALSE;
  if (!found)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND, "the report was removed");
  return found;
}

gboolean
cau_sqlite_get_version (CauBackend *backend, guint64 version, CauReportInfo *info, GError **error)
{
  CauCache *cache = ((CauSqlite *) backend)->cache;
  g_auto (CauLease) lease = { 0 };
  CauCacheState state;
  gboolean      found;

  if (cau_cache_find_version (cache, version, info, &state))
    return TRUE;
  if (!cau_lease_take (&lease, backend, error) || !cau_sqlite_lookup_version (lease.db, version, info, &found, error))
    return FALSE;
  if (found)
    cau_cache_add (cache, &state, info);
  else
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_STALE, "version %" G_GUINT64_FORMAT " is no longer there",
                 version);
  return found;
}

gboolean
cau_sqlite_read_chunk (CauBackend *backend, guint64 version, guint64 number, CauChunkFunc use, gpointer user_data,
                       GError **error)
{
  g_auto (CauLease) lease = { 0 };

  return cau_lease_take (&lease, backend, error) && cau_chunks_read (lease.db, version, number, use, user_data, error);
}

static gboolean
read_number (CauDb *db, const char *sql, guint64 *value, GError **error)
{
  g_autoptr (CauStmt) stmt = cau_db_bind (db, error, sql, "");
  gboolean done;

  if (stmt == NULL || !cau_stmt_step (stmt, &done, error))
    return FALSE;
  *value = done ? 0 : (guint64) sqlite3_column_int64 (stmt, 0);
  return TRUE;
}

gboolean
cau_sqlite_stat (CauBackend *backend, CauStoreStat *stat, GError **error)
{
  CauSqlite *self = (CauSqlite *) backend;
  g_auto (CauLease) lease = { 0 };
  struct statvfs fs;
  guint64        pages, unused, per_block;

  if (statvfs (self->path, &fs) != 0)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_IO, "%s: %s", self->path, g_strerror (errno));
      return FALSE;
    }
  if (!cau_lease_take (&lease, backend, error)
      || !read_number (lease.db, "SELECT total(n_reports) FROM orchestrators", &stat->n_reports, error)
      || !read_number (lease.db, "PRAGMA page_count", &pages, error)
      || !read_number (lease.db, "PRAGMA freelist_count", &unused, error))
    return FALSE;

  /* What was removed is space for what comes, before the file shrinks. */
  stat->block_size = CAU_DB_PAGE_SIZE;
  per_block = MAX (fs.f_frsize / CAU_DB_PAGE_SIZE, 1);
  stat->blocks = fs.f_blocks * per_block;
  stat->blocks_free = fs.f_bfree * per_block + unused;
  stat->blocks_available = fs.f_bavail * per_block + unused;
  if (self->max_size != 0)
    {
      guint64 limit = self->max_size / CAU_DB_PAGE_SIZE, used = pages - MIN (unused, pages);

      stat->blocks = MIN (stat->blocks, limit);
      stat->blocks_free = MIN (stat->blocks_free, limit - MIN (used, limit));
      stat->blocks_available = MIN (stat->blocks_available, limit - MIN (used, limit));
    }
  return TRUE;
}

/* SPDX-License-Identifier: MIT */
#include "sqlite-chunks.h"

/* Numbers of chunks are below 2^23 (CAU_REPORT_SIZE_MAX), so the ids of a version's own are those from FIRST on. */
#define NUMBERS "8388608"
#define FIRST(version) "(" version " * " NUMBERS ")"
#define OWN(version) "chunks.id >= " FIRST (version) " AND chunks.id < " FIRST (version) " + " NUMBERS

G_STATIC_ASSERT (CAU_REPORT_SIZE_MAX / CAU_STORED_CHUNK_SIZE == 8388608);

static gboolean
insert_chunk (CauDb *db, guint64 version, const CauStoredChunk *chunk, GError **error)
{
  gsize       size = 0;
  const void *data = chunk->data != NULL ? g_bytes_get_data (chunk->data, &size) : NULL;

  return cau_db_run (db, error, "REPLACE INTO chunks (id, checksum, data) VALUES (" FIRST ("?1") " + ?2, ?3, ?4)",
                     "iiib", (gint64) version, (gint64) chunk->number, (gint64) chunk->checksum, data, size);
}

gboolean
cau_chunks_insert (CauDb *db, guint64 version, const GPtrArray *chunks, GError **error)
{
  for (guint i = 0; chunks != NULL && i < chunks->len; i++)
    if (!insert_chunk (db, version, g_ptr_array_index (chunks, i), error))
      return FALSE;
  return TRUE;
}

gboolean
cau_chunks_forget (CauDb *db, guint64 version, guint64 from, GError **error)
{
  return cau_db_run (db, error, "DELETE FROM chunks WHERE " OWN ("?1") " AND chunks.id >= " FIRST ("?1") " + ?2", "ii",
                     (gint64) version, (gint64) from);
}

gboolean
cau_chunks_weigh (CauDb *db, guint64 version, guint64 from, guint64 to, guint64 *weight, GError **error)
{
  g_autoptr (CauStmt) stmt =
    cau_db_bind (db, error,
                 "SELECT coalesce(sum(coalesce(length(data), " G_STRINGIFY (CAU_HOLE_WEIGHT) ")), 0) FROM chunks"
                                    " WHERE chunks.id >= " FIRST ("?1") " + ?2 AND chunks.id < " FIRST ("?1") " + ?3",
                   "iii", (gint64) version, (gint64) from, (gint64) to);
  gboolean done;

  if (stmt == NULL || !cau_stmt_step (stmt, &done, error))
    return FALSE;
  *weight = (guint64) sqlite3_column_int64 (stmt, 0);
  return TRUE;
}

gboolean
cau_chunks_inherit (CauDb *db, guint64 version, guint64 base, guint64 end, GError **error)
{
  return cau_db_run (
    db, error,
    "INSERT INTO inherited (version, number, chunk)"
    " SELECT ?1, number, chunk FROM"
    "  (SELECT chunks.id - " FIRST (
      "?2") " AS number, chunks.id AS chunk FROM chunks"
            "    WHERE chunks.id >= " FIRST ("?2") " AND chunks.id < " FIRST (
              "?2") " + ?3"
                    "   UNION ALL SELECT number, chunk FROM inherited WHERE version = ?2 AND number < ?3)"
                    " WHERE NOT EXISTS (SELECT 1 FROM chunks WHERE chunks.id = " FIRST ("?1") " + number)",
    "iii", (gint64) version, (gint64) base, (gint64) end);
}

gboolean
cau_chunks_measure (CauDb *db, CauReportInfo *info, GError **error)
{
  /* No number is twice among them: what has an own chunk does not inherit it. */
  g_autoptr (CauStmt) stmt =
    cau_db_bind (db, error,
                 "SELECT count(*), coalesce(max(number) + 1, 0), total(stored_size) FROM"
                 " (SELECT chunks.id - " FIRST ("?1") " AS number, coalesce(length(data), 0) AS stored_size"
                                                      "   FROM chunks WHERE " OWN (
                                                        "?1") "  UNION ALL SELECT number, coalesce(length(data), 0) "
                                                              "FROM inherited JOIN chunks ON chunks.id = chunk"
                                                              "   WHERE inherited.version = ?1)",
                 "i", (gint64) info->version);
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

static gboolean
use_row (CauStmt *stmt, guint64 number, CauChunkFunc use, gpointer user_data, GError **error)
{
  CauStoredChunk chunk = { .number = number, .checksum = (guint64) sqlite3_column_int64 (stmt, 0) };
  g_autoptr (GBytes) data = NULL;

  /* Whether it is a hole, its checksum says. */
  if (sqlite3_column_type (stmt, 1) != SQLITE_NULL)
    data = g_bytes_new_static (sqlite3_column_blob (stmt, 1), (gsize) sqlite3_column_bytes (stmt, 1));
  chunk.data = data;
  return use (&chunk, user_data, error);
}

static gboolean
read_inherited (CauDb *db, guint64 version, guint64 number, CauChunkFunc use, gpointer user_data, GError **error)
{
  g_autoptr (CauStmt) stmt =
    cau_db_bind (db, error,
                 "SELECT checksum, data, chunks.id FROM inherited LEFT JOIN chunks ON chunks.id = chunk"
                 " WHERE version = ?1 AND number = ?2",
                 "ii", (gint64) version, (gint64) number);
  gboolean done;

  if (stmt == NULL || !cau_stmt_step (stmt, &done, error))
    return FALSE;
  if (done)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND,
                   "version %" G_GUINT64_FORMAT " has no chunk %" G_GUINT64_FORMAT, version, number);
      return FALSE;
    }
  if (sqlite3_column_type (stmt, 2) == SQLITE_NULL)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT,
                   "chunk %" G_GUINT64_FORMAT " is damaged: its bytes are missing", number);
      return FALSE;
    }
  return use_row (stmt, number, use, user_data, error);
}

gboolean
cau_chunks_read (CauDb *db, guint64 version, guint64 number, CauChunkFunc use, gpointer user_data, GError **error)
{
  g_autoptr (CauStmt) stmt =
    cau_db_bind (db, error, "SELECT checksum, data FROM chunks WHERE id = " FIRST ("?1") " + ?2", "ii",
                 (gint64) version, (gint64) number);
  gboolean done;

  if (stmt == NULL || !cau_stmt_step (stmt, &done, error))
    return FALSE;
  if (done)
    return read_inherited (db, version, number, use, user_data, error);
  return use_row (stmt, number, use, user_data, error);
}

/* ---- deleting ---- */

/* Who shares a chunk, the table inherited alone says: no checksum covers the index that leads from a version to the others of
 * its report, nor would the record of a version that damage hit lead to the right report. Who inherits from a version is younger. */

/* clang-format off */
/* The table's end is all that is looked through when the version was replaced a short while ago. */
#define DELETE_OWN \
  "DELETE FROM chunks WHERE " OWN ("?1") " AND id NOT IN" \
  " (SELECT chunk FROM inherited WHERE version > ?1 AND chunk / " NUMBERS " = ?1)"

/* What was inherited goes when its first owner has gone and nobody else has it. As a rule a younger version has it, and those
 * between the owner and this one, which can be many, are not looked through. */
#define MINE "(SELECT chunk FROM inherited WHERE version = ?1)"
#define DELETE_INHERITED \
  "DELETE FROM chunks WHERE id IN " MINE \
  " AND NOT EXISTS (SELECT 1 FROM versions WHERE versions.id = chunks.id / " NUMBERS ")" \
  " AND CASE WHEN id IN (SELECT chunk FROM inherited WHERE version > ?1 AND chunk IN " MINE ") THEN FALSE" \
  "  ELSE id NOT IN (SELECT chunk FROM inherited WHERE version < ?1" \
  "   AND version > (SELECT min(chunk) / " NUMBERS " FROM inherited WHERE version = ?1) AND chunk IN " MINE ") END"
/* clang-format on */

gboolean
cau_chunks_delete (CauDb *db, guint64 version, gboolean is_report, GError **error)
{
  if (is_report ? !cau_chunks_forget (db, version, 0, error)
                : !cau_db_run (db, error, DELETE_OWN, "i", (gint64) version))
    return FALSE;
  return cau_db_run (db, error, DELETE_INHERITED, "i", (gint64) version)
         && cau_db_run (db, error, "DELETE FROM inherited WHERE version = ?1", "i", (gint64) version);
}

/* SPDX-License-Identifier: MIT */
#include "sqlite-schema.h"

#include "sqlite-rows.h"

#include <unistd.h>

/* clang-format off */
static const char schema[] =
  "CREATE TABLE orchestrators ("
  "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
  "  guid BLOB UNIQUE,"            /* 16 bytes; NULL in row 0, the store itself */
  "  n_reports INTEGER NOT NULL,"
  "  last_version INTEGER NOT NULL," /* of row 0: the highest id that a version ever had */
  "  mode INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL,"
  "  atime INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL,"
  "  checksum INTEGER NOT NULL"
  ") STRICT;"
  "CREATE TABLE versions ("
  "  id INTEGER PRIMARY KEY,"
  "  report INTEGER NOT NULL,"
  "  orchestrator INTEGER REFERENCES orchestrators (id),"
  "  name TEXT,"
  "  size INTEGER NOT NULL, stored_size INTEGER NOT NULL, sha256 BLOB NOT NULL, seed INTEGER NOT NULL,"
  "  saved INTEGER NOT NULL,"
  "  mode INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL,"
  "  atime INTEGER NOT NULL, mtime INTEGER NOT NULL, ctime INTEGER NOT NULL,"
  "  checksum INTEGER NOT NULL,"
  "  CHECK ((orchestrator IS NULL) = (name IS NULL))"
  ") STRICT;"
  "CREATE UNIQUE INDEX versions_by_name ON versions (orchestrator, name) WHERE orchestrator IS NOT NULL;"
  "CREATE INDEX versions_by_report ON versions (report) WHERE report <> id;" /* replacements */
  "CREATE INDEX versions_unnamed ON versions (id) WHERE orchestrator IS NULL;"
  "CREATE TABLE chunks ("
  "  id INTEGER PRIMARY KEY,"      /* the version that it was written for * 2^23 + its number */
  "  checksum INTEGER NOT NULL,"
  "  data BLOB"                    /* NULL: a hole */
  ") STRICT;"
  "CREATE TABLE inherited ("
  "  version INTEGER NOT NULL,"
  "  number INTEGER NOT NULL,"
  "  chunk INTEGER NOT NULL,"      /* chunks.id */
  "  PRIMARY KEY (version, number)"
  ") WITHOUT ROWID, STRICT;";
/* clang-format on */

static gboolean
get_number (CauDb *db, const char *sql, gint64 *value, GError **error)
{
  sqlite3_stmt *stmt = NULL;
  gboolean      ok = FALSE;

  if (sqlite3_prepare_v2 (cau_db_get_handle (db), sql, -1, &stmt, NULL) == SQLITE_OK
      && sqlite3_step (stmt) == SQLITE_ROW)
    {
      *value = sqlite3_column_int64 (stmt, 0);
      ok = TRUE;
    }
  else
    cau_db_set_error (db, error);
  sqlite3_finalize (stmt);
  return ok;
}

/* Makes the tables unless another process was faster. */
static gboolean
create (CauDb *db, GError **error)
{
  g_autofree char *head =
    g_strdup_printf ("PRAGMA application_id=%d; PRAGMA user_version=%d;", CAU_DB_APPLICATION_ID, CAU_DB_FORMAT);
  gint64 tables;

  /* The page size and auto_vacuum are settled by the first page that is written. */
  if (!cau_db_exec (db, "PRAGMA page_size=" G_STRINGIFY (CAU_DB_PAGE_SIZE) "; PRAGMA auto_vacuum=INCREMENTAL;"
                                                                           "PRAGMA journal_mode=WAL",
                                                         error)
                    || !cau_db_exec (db, "BEGIN IMMEDIATE", error))
    return FALSE;
  if (!get_number (db, "SELECT count(*) FROM sqlite_schema", &tables, error))
    goto rollback;
  if (tables == 0)
    {
      CauOrchestratorInfo root = { .attributes = { .mode = 0755, .uid = getuid (), .gid = getgid () } };

      root.attributes.atime = root.attributes.mtime = root.attributes.ctime = cau_datetime_now () * 1000;
      if (!cau_db_exec (db, head, error) || !cau_db_exec (db, schema, error)
          || !cau_row_insert_orchestrator (db, &root, TRUE, error))
        goto rollback;
    }
  return cau_db_exec (db, "COMMIT", error);

rollback:
  sqlite3_exec (cau_db_get_handle (db), "ROLLBACK", NULL, NULL, NULL);
  return FALSE;
}

/* Format 1 gave chunks ids of their own and listed in the table parts where each is: a chunk that several versions share belongs to
 * the oldest of them now. */
/* clang-format off */
static const char from_format_1[] =
  "DROP INDEX versions_by_name; DROP INDEX versions_by_report; DROP INDEX versions_unnamed;"
  "ALTER TABLE orchestrators RENAME TO orchestrators_1; ALTER TABLE versions RENAME TO versions_1;"
  "ALTER TABLE chunks RENAME TO chunks_1; ALTER TABLE parts RENAME TO parts_1;"
  "CREATE INDEX parts_1_by_chunk ON parts_1 (chunk, version, number);";

static const char from_format_1_rows[] =
  "INSERT INTO orchestrators (id, guid, n_reports, last_version, mode, uid, gid, atime, mtime, ctime, checksum)"
  "  SELECT id, guid, n_reports,"
  "    CASE WHEN id = 0 THEN max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'versions_1'), 0),"
  "      coalesce((SELECT max(id) FROM versions_1), 0)) ELSE 0 END,"
  "    mode, uid, gid, atime, mtime, ctime, checksum FROM orchestrators_1;"
  "UPDATE sqlite_sequence SET seq = max(seq, (SELECT seq FROM sqlite_sequence WHERE name = 'orchestrators_1'))"
  "  WHERE name = 'orchestrators';"
  "INSERT INTO versions SELECT * FROM versions_1;"
  "INSERT INTO chunks (id, checksum, data)"
  "  SELECT version * 8388608 + number, checksum, NULL FROM parts_1 WHERE chunk = 0;"
  "INSERT INTO chunks (id, checksum, data)"
  "  SELECT version * 8388608 + number, checksum, data FROM parts_1 AS mine JOIN chunks_1 ON chunks_1.id = chunk"
  "    WHERE version = (SELECT min(version) FROM parts_1 WHERE chunk = mine.chunk);"
  "INSERT INTO inherited (version, number, chunk)"
  "  SELECT version, number, owner * 8388608 + number"
  "    FROM (SELECT version, number, chunk, (SELECT min(version) FROM parts_1 WHERE chunk = mine.chunk) AS owner"
  "      FROM parts_1 AS mine WHERE chunk <> 0)"
  "    WHERE version <> owner;"
  "DROP TABLE parts_1; DROP TABLE chunks_1; DROP TABLE versions_1; DROP TABLE orchestrators_1;";
/* clang-format on */

/* The new tables stand beside the old ones until the end, so the file doubles; that it has room is found out before. */
static gboolean
take_room (CauDb *db, GError **error)
{
  sqlite3 *handle = cau_db_get_handle (db);
  int      step = CAU_DB_GROW_BYTES;
  gint64   size;

  if (!get_number (db, "PRAGMA page_count", &size, error))
    return FALSE;
  size *= CAU_DB_PAGE_SIZE;
  sqlite3_file_control (handle, "main", SQLITE_FCNTL_CHUNK_SIZE, &step);
  return cau_db_take_room (db, size, error);
}

static gboolean
migrate_locked (CauDb *db, GError **error)
{
  gint64 format;

  /* Another process may have been faster. */
  if (!get_number (db, "PRAGMA user_version", &format, error))
    return FALSE;
  return format == CAU_DB_FORMAT
         || (cau_db_exec (db, from_format_1, error) && cau_db_exec (db, schema, error)
             && cau_db_exec (db, from_format_1_rows, error)
             && cau_db_exec (db, "PRAGMA user_version=" G_STRINGIFY (CAU_DB_FORMAT), error) && take_room (db, error));
}

/* Makes a store of format 1 one of today's, in one transaction. */
static gboolean
migrate (CauDb *db, GError **error)
{
  sqlite3 *handle = cau_db_get_handle (db);
  /* Renaming tables would carry the references along. The pragma does nothing within a transaction. */
  gboolean ok = cau_db_exec (db, "PRAGMA foreign_keys=OFF", error) && cau_db_exec (db, "BEGIN IMMEDIATE", error);

  if (ok && !(migrate_locked (db, error) && cau_db_exec (db, "COMMIT", error)))
    {
      sqlite3_exec (handle, "ROLLBACK", NULL, NULL, NULL);
      ok = FALSE;
    }
  if (!ok)
    {
      g_prefix_error (error, "the store of format 1 cannot be brought to format %d, and is as it was: ", CAU_DB_FORMAT);
      return FALSE;
    }
  /* The WAL holds all of it. */
  sqlite3_wal_checkpoint_v2 (handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
  return cau_db_exec (db, "PRAGMA foreign_keys=ON", error);
}

/* What the tables and indexes are. Statistics, which somebody's ANALYZE leaves, do no harm. */
static char *
describe (sqlite3 *handle)
{
  static const char sql[] =
    "SELECT group_concat(type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, ''), char(10))"
    " FROM (SELECT * FROM sqlite_schema WHERE name NOT GLOB 'sqlite_stat[1-4]' ORDER BY name, type)";
  sqlite3_stmt *stmt = NULL;
  char         *result = NULL;

  if (sqlite3_prepare_v2 (handle, sql, -1, &stmt, NULL) == SQLITE_OK && sqlite3_step (stmt) == SQLITE_ROW)
    result = g_strdup ((const char *) sqlite3_column_text (stmt, 0));
  sqlite3_finalize (stmt);
  return result;
}

/* What describe() says of a store that was made just now: borrowed, for ever. */
static const char *
get_expected (void)
{
  static gsize expected;

  if (g_once_init_enter (&expected))
    {
      sqlite3 *handle = NULL;
      char    *text = NULL;

      if (sqlite3_open_v2 (":memory:", &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) == SQLITE_OK
          && sqlite3_exec (handle, schema, NULL, NULL, NULL) == SQLITE_OK)
        text = describe (handle);
      sqlite3_close (handle);
      g_once_init_leave (&expected, (gsize) (text != NULL ? text : g_strdup ("")));
    }
  return (const char *) expected;
}

/* A schema is a program of a kind, which a hostile store could bring along: only our own is worked with. */
static gboolean
check_schema (CauDb *db, GError **error)
{
  sqlite3         *handle = cau_db_get_handle (db);
  g_autofree char *found = describe (handle);
  gint64           page_size;
  int              reserved = -1; /* says that it is not to be changed */

  if (found == NULL)
    {
      cau_db_set_error (db, error);
      return FALSE;
    }
  if (!get_number (db, "PRAGMA page_size", &page_size, error))
    return FALSE;
  /* Bytes at the end of each page that SQLite leaves alone: when a flipped bit of the header adds some, no page is sound, but
   * some give what they had when they are looked at again. */
  sqlite3_file_control (handle, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
  if (g_str_equal (found, get_expected ()) && page_size == CAU_DB_PAGE_SIZE && reserved == 0)
    return TRUE;
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT,
               "%s does not have the tables of store format %d: it is damaged, or another program has changed it",
               sqlite3_db_filename (handle, "main"), CAU_DB_FORMAT);
  return FALSE;
}

static gboolean
check_format (CauDb *db, CauDbMode mode, gint64 format, GError **error)
{
  const char *path = sqlite3_db_filename (cau_db_get_handle (db), "main");

  if (format == CAU_DB_FORMAT)
    return TRUE;
  if (format > CAU_DB_FORMAT)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_FORMAT,
                 "%s has store format %" G_GINT64_FORMAT ", this program knows formats up to %d; use a newer caufs",
                 path, format, CAU_DB_FORMAT);
  else if (format < 1)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT,
                 "%s is damaged: its header gives store format %" G_GINT64_FORMAT, path, format);
  else if (mode == CAU_DB_READ_ONLY)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_FORMAT,
                 "%s has the older store format %" G_GINT64_FORMAT "; open it for writing once, for example with"
                 " caureport collect, which makes it format %d",
                 path, format, CAU_DB_FORMAT);
  else
    return migrate (db, error);
  return FALSE;
}

/* Another program may have given the file another journal, in which readers and writers wait for each other. The file tells
 * which, so for a store as we leave it there is nothing to do. */
static gboolean
use_wal (CauDb *db, GError **error)
{
  sqlite3      *handle = cau_db_get_handle (db);
  sqlite3_stmt *stmt = NULL;
  gboolean      is_wal = FALSE;

  if (sqlite3_prepare_v2 (handle, "PRAGMA journal_mode=WAL", -1, &stmt, NULL) == SQLITE_OK
      && sqlite3_step (stmt) == SQLITE_ROW)
    is_wal = g_strcmp0 ((const char *) sqlite3_column_text (stmt, 0), "wal") == 0;
  if (!is_wal)
    cau_db_set_error (db, error);
  sqlite3_finalize (stmt);
  return is_wal;
}

gboolean
cau_schema_check (CauDb *db, CauDbMode mode, GError **error)
{
  gint64 application_id, format, tables;

  if (!get_number (db, "PRAGMA application_id", &application_id, error)
      || !get_number (db, "PRAGMA user_version", &format, error)
      || !get_number (db, "SELECT count(*) FROM sqlite_schema", &tables, error))
    return FALSE;
  if (tables == 0 && application_id == 0 && mode == CAU_DB_CREATE)
    return create (db, error) && cau_schema_check (db, CAU_DB_WRITE, error);
  if (application_id != CAU_DB_APPLICATION_ID)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_A_STORE,
                   "%s is an SQLite database but not a report store; name another file",
                   sqlite3_db_filename (cau_db_get_handle (db), "main"));
      return FALSE;
    }
  return check_format (db, mode, format, error) && check_schema (db, error)
         && (mode == CAU_DB_READ_ONLY || use_wal (db, error));
}

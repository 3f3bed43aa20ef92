/* SPDX-License-Identifier: MIT */
#include "sqlite-schema.h"
#include "sqlite-vfs.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

/* Of each connection's page cache; the kernel caches the file as well. A writer's holds a transaction: pages that
 * leave it before the commit are written once more, with the checksums of all frames after them. */
#define DB_CACHE_KIB 1024
#define DB_WRITE_CACHE_KIB 8192

/* What the WAL keeps of its size when it starts over: enough for many small saves, whose syncs are faster in a file that has its
 * room already. */
#define DB_WAL_KEPT_BYTES 16777216

/* The longest value: far more than a chunk, a name or the schema. What is longer in a file was not written here. */
#define DB_VALUE_MAX (1024 * 1024)

struct _CauDb
{
  sqlite3    *handle;
  char       *path;
  GHashTable *statements; /* address of the SQL -> sqlite3_stmt */
};

static void
finalize (gpointer stmt)
{
  sqlite3_finalize (stmt);
}

static CauStoreError
error_code_of (int result, int system_errno)
{
  switch (result & 0xff)
    {
    case SQLITE_FULL:
      return CAU_STORE_ERROR_NO_SPACE;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      return cau_store_error_from_errno (system_errno);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return CAU_STORE_ERROR_BUSY;
    case SQLITE_READONLY:
      return CAU_STORE_ERROR_READ_ONLY;
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return CAU_STORE_ERROR_PERMISSION;
    case SQLITE_CORRUPT:
    case SQLITE_CONSTRAINT: /* what the schema demands was checked before: only damage gets here */
    case SQLITE_MISMATCH:
    case SQLITE_ERROR: /* likewise, a statement that does not fit the schema */
    case SQLITE_SCHEMA:
    case SQLITE_TOOBIG: /* likewise, a value of more than DB_VALUE_MAX bytes */
      return CAU_STORE_ERROR_CORRUPT;
    case SQLITE_NOTADB:
      return CAU_STORE_ERROR_NOT_A_STORE;
    default:
      return CAU_STORE_ERROR_IO;
    }
}

/* SQLite has no place for what belongs to a connection but the VFS. */
static gboolean
met_damage (sqlite3 *handle, gboolean met)
{
  sqlite3_file_control (handle, "main", CAU_VFS_FCNTL_MET_DAMAGE, &met);
  return met;
}

gboolean
cau_db_met_damage (CauDb *self)
{
  return met_damage (self->handle, FALSE);
}

static void
set_error_from (sqlite3 *handle, GError **error)
{
  int           noted_errno = cau_vfs_take_errno ();
  int           system_errno = noted_errno != 0 ? noted_errno : sqlite3_system_errno (handle);
  CauStoreError code = error_code_of (sqlite3_errcode (handle), system_errno);
  const char   *path = sqlite3_db_filename (handle, "main");

  g_set_error (error, CAU_STORE_ERROR, (gint) code, "%s: %s (%s)%s%s", path != NULL && *path != '\0' ? path : "store",
               code == CAU_STORE_ERROR_NO_SPACE ? "no space left for the store" : sqlite3_errmsg (handle),
               sqlite3_errstr (sqlite3_extended_errcode (handle)), system_errno != 0 ? ": " : "",
               system_errno != 0 ? g_strerror (system_errno) : "");
  if ((sqlite3_errcode (handle) & 0xff) == SQLITE_CORRUPT)
    met_damage (handle, TRUE);
}

void
cau_db_set_error (CauDb *self, GError **error)
{
  set_error_from (self->handle, error);
}

gboolean
cau_db_take_room (CauDb *self, gint64 size, GError **error)
{
  int result, system_errno;

  cau_vfs_take_errno ();
  result = sqlite3_file_control (self->handle, "main", SQLITE_FCNTL_SIZE_HINT, &size);
  if (result == SQLITE_OK)
    return TRUE;
  system_errno = cau_vfs_take_errno ();
  g_set_error (error, CAU_STORE_ERROR, (gint) error_code_of (result, system_errno), "%s: %s%s%s", self->path,
               result == SQLITE_FULL ? "no space left for the store" : "no room can be taken for the store",
               system_errno != 0 ? ": " : "", system_errno != 0 ? g_strerror (system_errno) : "");
  return FALSE;
}

gboolean
cau_db_exec (CauDb *self, const char *sql, GError **error)
{
  cau_vfs_take_errno ();
  if (sqlite3_exec (self->handle, sql, NULL, NULL, NULL) == SQLITE_OK)
    return TRUE;
  cau_db_set_error (self, error);
  return FALSE;
}

/* The file may have been damaged, or made, by anybody: nothing that its schema may hold is run. */
static void
db_distrust (CauDb *self)
{
  static const struct
  {
    int option;
    int value;
  } settings[] = {
    { SQLITE_DBCONFIG_DEFENSIVE, 1 },   { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 }, { SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 },
    { SQLITE_DBCONFIG_ENABLE_VIEW, 0 }, { SQLITE_DBCONFIG_DQS_DDL, 0 },        { SQLITE_DBCONFIG_DQS_DML, 0 },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (settings); i++)
    sqlite3_db_config (self->handle, settings[i].option, settings[i].value, NULL);
  sqlite3_limit (self->handle, SQLITE_LIMIT_LENGTH, DB_VALUE_MAX);
  sqlite3_limit (self->handle, SQLITE_LIMIT_ATTACHED, 0);
}

static gboolean
db_configure (CauDb *self, CauDbMode mode, GError **error)
{
  g_autofree char *cache =
    g_strdup_printf ("PRAGMA cache_size=-%d", mode == CAU_DB_READ_ONLY ? DB_CACHE_KIB : DB_WRITE_CACHE_KIB);

  /* Debian builds SQLite
   * to overwrite what is deleted, which on a full disk takes as much room in the WAL as it gives. Checkpoints are made by
   * sqlite-checkpoint.c, not by COMMIT. */
  return cau_db_exec (self, cache, error) && cau_db_exec (self, "PRAGMA cell_size_check=ON", error)
         && cau_db_exec (self, "PRAGMA foreign_keys=ON", error) && cau_db_exec (self, "PRAGMA secure_delete=OFF", error)
         && cau_db_exec (self, "PRAGMA temp_store=MEMORY", error)
         && (mode == CAU_DB_READ_ONLY || cau_db_exec (self, "PRAGMA synchronous=FULL", error))
         && (mode == CAU_DB_READ_ONLY
             || cau_db_exec (
               self, "PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=" G_STRINGIFY (DB_WAL_KEPT_BYTES), error));
}

static int
open_flags (CauDbMode mode)
{
  switch (mode)
    {
    case CAU_DB_READ_ONLY:
      return SQLITE_OPEN_READONLY;
    case CAU_DB_WRITE:
      return SQLITE_OPEN_READWRITE;
    case CAU_DB_CREATE:
      return SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    }
  return 0;
}

/* A store in a folder that cannot be written, such as read-only media, has no room for the shared memory of
 * WAL. If it was closed cleanly it needs none. */
static gboolean
is_immutable (const char *path, CauDbMode mode)
{
  g_autofree char *folder = g_path_get_dirname (path);
  g_autofree char *wal = g_strconcat (path, "-wal", NULL);
  g_autofree char *shm = g_strconcat (path, "-shm", NULL);

  return mode == CAU_DB_READ_ONLY && access (folder, W_OK) != 0 && access (wal, F_OK) != 0 && access (shm, F_OK) != 0;
}

CauDb *
cau_db_open (const char *path, CauDbMode mode, GError **error)
{
  g_autoptr (CauDb) self = g_new0 (CauDb, 1);
  g_autoptr (GError) local = NULL;
  g_autofree char *escaped = g_uri_escape_string (path, "/", TRUE);
  g_autofree char *uri = g_strdup_printf ("file:%s%s", escaped, is_immutable (path, mode) ? "?immutable=1" : "");

  self->path = g_strdup (path);
  self->statements = g_hash_table_new_full (g_direct_hash, g_direct_equal, NULL, finalize);
  if (sqlite3_open_v2 (uri, &self->handle, open_flags (mode) | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX,
                       cau_vfs_get_name ())
      != SQLITE_OK)
    {
      cau_db_set_error (self, error);
      return NULL;
    }
  sqlite3_extended_result_codes (self->handle, 1);
  sqlite3_busy_timeout (self->handle, CAU_DB_BUSY_TIMEOUT_MS);
  db_distrust (self);
  if (db_configure (self, mode, &local) && cau_schema_check (self, mode, &local))
    return g_steal_pointer (&self);
  if (sqlite3_errcode (self->handle) == SQLITE_NOTADB)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_A_STORE, "%s is not a report store; name another file",
                 path);
  else
    g_propagate_error (error, g_steal_pointer (&local));
  return NULL;
}

void
cau_db_close (CauDb *self)
{
  g_hash_table_unref (self->statements);
  sqlite3_close (self->handle);
  g_free (self->path);
  g_free (self);
}

sqlite3 *
cau_db_get_handle (CauDb *self)
{
  return self->handle;
}

static CauStmt *
db_prepare (CauDb *self, const char *sql, GError **error)
{
  CauStmt *stmt = g_hash_table_lookup (self->statements, sql);

  cau_vfs_take_errno (); /* what failed before is told by now */
  if (stmt != NULL)
    return stmt;
  if (sqlite3_prepare_v3 (self->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) != SQLITE_OK)
    {
      cau_db_set_error (self, error);
      return NULL;
    }
  g_hash_table_insert (self->statements, (gpointer) sql, stmt);
  return stmt;
}

static void
stmt_bind (CauStmt *stmt, const char *format, va_list args)
{
  for (int i = 1; *format != '\0'; format++, i++)
    switch (*format)
      {
      case 'i':
        sqlite3_bind_int64 (stmt, i, va_arg (args, gint64));
        break;
      case 't':
        sqlite3_bind_text (stmt, i, va_arg (args, const char *), -1, SQLITE_STATIC);
        break;
      case 'b':
        {
          const void *data = va_arg (args, const void *);

          sqlite3_bind_blob64 (stmt, i, data, va_arg (args, gsize), SQLITE_STATIC);
          break;
        }
      default:
        g_assert_not_reached ();
      }
}

CauStmt *
cau_db_bind (CauDb *self, GError **error, const char *sql, const char *format, ...)
{
  CauStmt *stmt = db_prepare (self, sql, error);
  va_list  args;

  if (stmt == NULL)
    return NULL;
  va_start (args, format);
  stmt_bind (stmt, format, args);
  va_end (args);
  return stmt;
}

void
cau_stmt_reset (CauStmt *stmt)
{
  sqlite3_reset (stmt);
  sqlite3_clear_bindings (stmt);
}

gboolean
cau_stmt_step (CauStmt *stmt, gboolean *done, GError **error)
{
  int result = sqlite3_step (stmt);

  *done = result == SQLITE_DONE;
  if (result == SQLITE_ROW || result == SQLITE_DONE)
    return TRUE;
  set_error_from (sqlite3_db_handle (stmt), error);
  return FALSE;
}

gboolean
cau_db_run (CauDb *self, GError **error, const char *sql, const char *format, ...)
{
  g_autoptr (CauStmt) stmt = db_prepare (self, sql, error);
  gboolean done;
  va_list  args;

  if (stmt == NULL)
    return FALSE;
  va_start (args, format);
  stmt_bind (stmt, format, args);
  va_end (args);
  return cau_stmt_step (stmt, &done, error);
}

/* SPDX-License-Identifier: MIT */
#include "store-check.h"

#include <sqlite3.h>
#include <string.h>

/* No test's load has it. */
#define GUID "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
#define NAME "after"
#define TEXT "saved when all was over"

static char *
problem (const char *what, const GError *error)
{
  return g_strdup_printf ("%s: %s", what, error != NULL ? error->message : "no error was set");
}

static char *
check_content (CauStore *store, StoreModel *model, GPtrArray *maybe)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (StoreModel) actual = store_model_read (store, &error);

  return actual != NULL ? store_model_compare (model, maybe, actual) : problem ("it does not read", error);
}

static gboolean
save (CauStore *store, guint64 id, GError **error)
{
  CauAttributes attributes = { .mode = 0600 };
  g_autoptr (CauUpload) upload = cau_store_begin_upload (store, id, NAME, CAU_UPLOAD_TRUNCATE, &attributes, error);

  return upload != NULL && cau_upload_write (upload, 0, TEXT, strlen (TEXT), error)
         && cau_upload_commit (upload, NULL, error);
}

static gboolean
read_back (CauStore *store, guint64 id, GError **error)
{
  char  text[100];
  gsize n_read;
  g_autoptr (CauReader) reader = cau_store_get_report (store, id, NAME, 100, error);

  if (reader == NULL || !cau_reader_read (reader, 0, text, sizeof text, &n_read, error))
    return FALSE;
  if (n_read == strlen (TEXT) && memcmp (text, TEXT, n_read) == 0)
    return TRUE;
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT, "%s has other bytes", NAME);
  return FALSE;
}

static char *
check_use (CauStore *store)
{
  g_autoptr (GError) error = NULL;
  CauAttributes       attributes = { .mode = 0700 };
  CauOrchestratorInfo info;
  CauGuid             guid;

  if (cau_guid_parse (GUID, &guid, &error) && cau_store_create_orchestrator (store, &guid, &attributes, &info, &error)
      && save (store, info.id, &error) && read_back (store, info.id, &error)
      && cau_store_remove_report (store, info.id, NAME, &error) && cau_store_remove_orchestrator (store, &guid, &error)
      && cau_store_collect (store, NULL, &error))
    return NULL;
  return problem ("it cannot be used", error);
}

char *
store_check_open (CauStore *store, StoreModel *model, GPtrArray *maybe)
{
  char *result = check_content (store, model, maybe);

  return result != NULL ? result : check_use (store);
}

/* ---- the file ---- */

static const struct
{
  const char *sql;
  const char *expected;
} file_checks[] = {
  { "PRAGMA integrity_check", "ok" },
  { "SELECT count(*) FROM pragma_foreign_key_check", "0" },
  { "SELECT count(*) || ' versions without a name' FROM versions WHERE orchestrator IS NULL",
    "0 versions without a name" },
  { "SELECT count(*) || ' chunks of nothing' FROM chunks WHERE NOT EXISTS (SELECT 1 FROM versions WHERE versions.id ="
    " chunks.id >> 23) AND NOT EXISTS (SELECT 1 FROM inherited WHERE chunk = chunks.id)",
    "0 chunks of nothing" },
  { "SELECT count(*) || ' inherited by nothing' FROM inherited WHERE version NOT IN (SELECT id FROM versions)",
    "0 inherited by nothing" },
  { "SELECT count(*) || ' ids to be given again' FROM versions, orchestrators WHERE orchestrators.id = 0 AND"
    " versions.id > last_version",
    "0 ids to be given again" },
};

static char *
check_one (sqlite3 *db, const char *sql, const char *expected)
{
  sqlite3_stmt *stmt = NULL;
  char         *result = NULL;

  if (sqlite3_prepare_v2 (db, sql, -1, &stmt, NULL) != SQLITE_OK || sqlite3_step (stmt) != SQLITE_ROW)
    result = g_strdup_printf ("%s: %s", sql, sqlite3_errmsg (db));
  else if (g_strcmp0 ((const char *) sqlite3_column_text (stmt, 0), expected) != 0)
    result = g_strdup_printf ("the file: %s", sqlite3_column_text (stmt, 0));
  sqlite3_finalize (stmt);
  return result;
}

char *
store_check_file (const char *path)
{
  sqlite3 *db = NULL;
  char    *result = NULL;

  if (sqlite3_open_v2 (path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
    result = g_strdup_printf ("%s: %s", path, sqlite3_errmsg (db));
  for (guint i = 0; result == NULL && i < G_N_ELEMENTS (file_checks); i++)
    result = check_one (db, file_checks[i].sql, file_checks[i].expected);
  sqlite3_close (db);
  return result;
}

char *
store_check (const char *path, gboolean may_be_new, StoreModel *model, GPtrArray *maybe)
{
  g_autoptr (GError) error = NULL;
  CauStore *store = cau_store_open (path, may_be_new ? CAU_STORE_OPEN_CREATE : 0, &error);
  char     *result;

  if (store == NULL)
    return problem ("it does not open", error);
  result = store_check_open (store, model, maybe);
  cau_store_unref (store);
  return result != NULL ? result : store_check_file (path);
}

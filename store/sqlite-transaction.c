/* SPDX-License-Identifier: MIT */
#include "sqlite-transaction.h"

#include "sqlite-rows.h"
#include "sqlite-vfs.h"

struct _CauTransactions
{
  char    *path;
  CauDb   *db;
  gboolean durable; /* what synchronous is */
};

CauTransactions *
cau_transactions_new (const char *path, CauDb *db)
{
  CauTransactions *self = g_new0 (CauTransactions, 1);

  self->path = g_strdup (path);
  self->db = db;
  self->durable = TRUE; /* as cau_db_open() leaves it */
  sqlite3_file_control (cau_db_get_handle (db), "main", CAU_VFS_FCNTL_CHECK_PAGES, NULL);
  return self;
}

void
cau_transactions_free (CauTransactions *self)
{
  cau_db_close (self->db);
  g_free (self->path);
  g_free (self);
}

CauDb *
cau_transactions_get_db (CauTransactions *self)
{
  return self->db;
}

/* SQLite itself does not commit a transaction in which it met damage. */
gboolean
cau_transactions_may_begin (CauTransactions *self, GError **error)
{
  if (!cau_db_met_damage (self->db))
    return TRUE;
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_READ_ONLY,
               "%s is damaged and only read from now on; make a sound one of it with caureport recover", self->path);
  return FALSE;
}

/* This pragma acts when it is compiled, so it cannot be a prepared statement. */
static gboolean
set_durable (CauTransactions *self, gboolean durable, GError **error)
{
  if (self->durable == durable)
    return TRUE;
  if (!cau_db_exec (self->db, durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", error))
    return FALSE;
  self->durable = durable;
  return TRUE;
}

gboolean
cau_transactions_begin (CauTransactions *self, gboolean durable, GError **error)
{
  return cau_transactions_may_begin (self, error) && set_durable (self, durable, error)
         && cau_db_run (self->db, error, "BEGIN IMMEDIATE", "");
}

gboolean
cau_transactions_is_open (CauTransactions *self)
{
  return sqlite3_get_autocommit (cau_db_get_handle (self->db)) == 0;
}

void
cau_transactions_rollback (CauTransactions *self)
{
  if (cau_transactions_is_open (self))
    cau_db_run (self->db, NULL, "ROLLBACK", "");
}

gboolean
cau_transactions_write_a_page (CauTransactions *self)
{
  if (cau_transactions_begin (self, FALSE, NULL) && cau_row_write_again (self->db, NULL)
      && cau_db_run (self->db, NULL, "COMMIT", ""))
    return TRUE;
  cau_transactions_rollback (self);
  return FALSE;
}

/* When the disk cannot sync it, a transaction that failed has all its frames in the WAL, behind the end that is known: who opens the
 * store after a crash would take it for committed. So something else is written in their place. */
gboolean
cau_transactions_commit (CauTransactions *self, GError **error)
{
  if (cau_db_run (self->db, error, "COMMIT", ""))
    return TRUE;
  cau_transactions_rollback (self);
  cau_transactions_write_a_page (self);
  return FALSE;
}

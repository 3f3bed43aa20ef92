/* SPDX-License-Identifier: MIT */
#include "sqlite-room.h"

#include "sqlite-vfs.h"

#include <sys/stat.h>

/* Pages in the WAL (512 MiB) from which a writer waits until they are copied into the database. */
#define WAL_MAX_PAGES (128 * 1024)

/* Free pages (16 MiB) from which the file is made smaller, a step (1 MiB) at a time, when there is nothing else to do. */
#define VACUUM_MIN_PAGES 4096
#define VACUUM_STEP "PRAGMA incremental_vacuum(256)"

struct _CauRoom
{
  char            *path;
  CauTransactions *transactions;
  CauDb           *db; /* theirs */
  CauCheckpointer *checkpointer;
  int              wal_pages;
  gboolean         may_shrink; /* free pages may have come since the last look */
  gboolean         has_shrunk; /* the database, but not its file yet */
};

static int
note_wal_size (gpointer data, G_GNUC_UNUSED sqlite3 *handle, G_GNUC_UNUSED const char *name, int pages)
{
  CauRoom *self = data;

  self->wal_pages = pages;
  return SQLITE_OK;
}

static void
keep_wal_room (CauRoom *self)
{
  sqlite3_file_control (cau_db_get_handle (self->db), "main", CAU_VFS_FCNTL_KEEP_ROOM, NULL);
}

CauRoom *
cau_room_new (const char *path, CauTransactions *transactions, CauCheckpointFunc nearly_copied, gpointer user_data,
              GError **error)
{
  CauDb           *db = cau_transactions_get_db (transactions);
  CauCheckpointer *checkpointer = cau_checkpointer_new (path, nearly_copied, user_data, error);
  CauRoom         *self;
  int              grow = CAU_DB_GROW_BYTES;

  if (checkpointer == NULL)
    return NULL;
  self = g_new0 (CauRoom, 1);
  self->path = g_strdup (path);
  self->transactions = transactions;
  self->db = db;
  self->checkpointer = checkpointer;
  sqlite3_wal_hook (cau_db_get_handle (db), note_wal_size, self);
  sqlite3_file_control (cau_db_get_handle (db), "main", SQLITE_FCNTL_CHUNK_SIZE, &grow);
  keep_wal_room (self);
  return self;
}

void
cau_room_free (CauRoom *self)
{
  cau_checkpointer_free (self->checkpointer);
  g_free (self->path);
  g_free (self);
}

static gint64
pragma_number (CauRoom *self, const char *sql)
{
  g_autoptr (CauStmt) stmt = cau_db_bind (self->db, NULL, sql, "");
  gboolean done = TRUE;

  if (stmt == NULL || !cau_stmt_step (stmt, &done, NULL) || done)
    return 0;
  return sqlite3_column_int64 (stmt, 0);
}

gboolean
cau_room_reserve (CauRoom *self, GError **error)
{
  return cau_db_take_room (self->db, pragma_number (self, "PRAGMA page_count") * CAU_DB_PAGE_SIZE, error);
}

void
cau_room_note_change (CauRoom *self)
{
  self->may_shrink = TRUE;
  cau_checkpointer_note (self->checkpointer, self->wal_pages);
}

gboolean
cau_room_is_wal_full (CauRoom *self)
{
  return self->wal_pages >= WAL_MAX_PAGES;
}

/* SQLite makes the file smaller when it copies the last page of the WAL on this connection, so there has to be one. */
static void
cut_file (CauRoom *self)
{
  gint64      size = pragma_number (self, "PRAGMA page_count") * CAU_DB_PAGE_SIZE;
  struct stat st;

  if (stat (self->path, &st) == 0 && st.st_size > size + 2 * CAU_DB_GROW_BYTES
      && cau_transactions_write_a_page (self->transactions))
    cau_checkpointer_finish (self->checkpointer, self->db, TRUE);
}

void
cau_room_restart_wal (CauRoom *self, gboolean wait)
{
  if (!cau_checkpointer_finish (self->checkpointer, self->db, wait))
    return;
  cut_file (self);
  keep_wal_room (self);
  self->wal_pages = 0;
}

static gboolean
shrink_a_step (CauRoom *self)
{
  gint64 unused = pragma_number (self, "PRAGMA freelist_count");

  return unused > VACUUM_MIN_PAGES && unused > pragma_number (self, "PRAGMA page_count") / 4
         && cau_transactions_may_begin (self->transactions, NULL) && cau_db_exec (self->db, VACUUM_STEP, NULL);
}

void
cau_room_shrink (CauRoom *self, gboolean (*goes_on) (gpointer user_data), gpointer user_data)
{
  while (self->may_shrink && goes_on (user_data))
    {
      self->may_shrink = shrink_a_step (self);
      self->has_shrunk = self->has_shrunk || self->may_shrink;
    }
  /* Only then the file gets smaller. */
  if (self->has_shrunk && goes_on (user_data))
    {
      cau_room_restart_wal (self, TRUE);
      self->has_shrunk = FALSE;
    }
  cau_checkpointer_note (self->checkpointer, self->wal_pages);
}

void
cau_room_limit (CauRoom *self, gint pages)
{
  g_autofree char *sql = g_strdup_printf ("PRAGMA max_page_count=%d", pages > 0 ? pages : G_MAXINT);

  cau_db_exec (self->db, sql, NULL);
}

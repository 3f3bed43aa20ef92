/* SPDX-License-Identifier: MIT */
#pragma once

/* One SQLite connection to a store file, with its prepared statements. Used by one thread at a time. */

#include "cau-store.h"

#include <sqlite3.h>

G_BEGIN_DECLS

/* "CAUr", in the file's header at offset 68. */
#define CAU_DB_APPLICATION_ID 0x43415572

/* user_version: the version of the store format, docs/store-format.md. */
#define CAU_DB_FORMAT 2

/* Bytes of a page, in every store of this format. */
#define CAU_DB_PAGE_SIZE 4096

/* By how much the database file grows. */
#define CAU_DB_GROW_BYTES (256 * 1024)

/* How long one process waits for another that holds the write lock, in milliseconds. */
#define CAU_DB_BUSY_TIMEOUT_MS 30000

typedef struct _CauDb CauDb;
typedef sqlite3_stmt  CauStmt;

typedef enum
{
  CAU_DB_READ_ONLY,
  CAU_DB_WRITE,
  CAU_DB_CREATE,
} CauDbMode;

CauDb *cau_db_open (const char *path, CauDbMode mode, GError **error);
void   cau_db_close (CauDb *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CauDb, cau_db_close)

sqlite3 *cau_db_get_handle (CauDb *self);

/* The statement @sql, a string literal: prepared once for each connection and found again by its address. Reset when it
 * goes out of scope as a g_autoptr. @format describes what is bound to ?1, ?2 …: 'i' gint64, 't' text (NULL is
 * NULL), 'b' pointer and gsize, a blob. Texts and blobs are borrowed until the reset. */
CauStmt *cau_db_bind (CauDb *self, GError **error, const char *sql, const char *format, ...);
void     cau_stmt_reset (CauStmt *stmt);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CauStmt, cau_stmt_reset)

/* One step. TRUE: a row is there, or *@done was set. FALSE: @error was. */
gboolean cau_stmt_step (CauStmt *stmt, gboolean *done, GError **error);

/* Runs statements that are needed once. */
gboolean cau_db_exec (CauDb *self, const char *sql, GError **error);

/* Runs a statement that gives no rows. */
gboolean cau_db_run (CauDb *self, GError **error, const char *sql, const char *format, ...);

/* Takes room on the disk so that the database file can have @size bytes. */
gboolean cau_db_take_room (CauDb *self, gint64 size, GError **error);

/* Sets @error from the connection's last failure: the one place where SQLite's codes become ours. */
void cau_db_set_error (CauDb *self, GError **error);

/* Whether any of these calls on this connection, one that succeeded in the end included, met damage in what holds the file together.
 * Damage that our own checksums meet is in one record, and does not count. */
gboolean cau_db_met_damage (CauDb *self);

G_END_DECLS

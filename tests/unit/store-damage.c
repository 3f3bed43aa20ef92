/* SPDX-License-Identifier: MIT */
#include "store-damage.h"

#include <sqlite3.h>
#include <stdio.h>

void
damage_write_file (const char *path, GBytes *bytes)
{
  g_autoptr (GError) error = NULL;
  gsize       length;
  const char *data = g_bytes_get_data (bytes, &length);

  assert_done (g_file_set_contents (path, data, (gssize) length, &error), &error);
}

GBytes *
damage_read_file (const char *path)
{
  g_autoptr (GError) error = NULL;
  char *data;
  gsize length;

  assert_done (g_file_get_contents (path, &data, &length, &error), &error);
  return g_bytes_new_take (data, length);
}

gboolean
damage_is_reported (const GError *error)
{
  return g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT)
         || g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_IO);
}

void
damage_assert_reported (const GError *error)
{
  assert_non_null (error);
  if (!damage_is_reported (error))
    fail_msg ("not an error of damage: %s %d: %s", g_quark_to_string (error->domain), error->code, error->message);
}

void
damage_replace_store (StoreFixture *f, GBytes *bytes)
{
  static const char *const suffixes[] = { "-wal", "-shm" };

  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *path = g_strconcat (f->path, suffixes[i], NULL);

      remove (path);
    }
  damage_write_file (f->path, bytes);
}

GBytes *
damage_flip (GBytes *bytes, gsize position, guint8 bits)
{
  gsize   length = g_bytes_get_size (bytes);
  guint8 *data = g_memdup2 (g_bytes_get_data (bytes, NULL), length);

  data[position] ^= bits;
  return g_bytes_new_take (data, length);
}

/* ---- one number ---- */

#define PAGE 4096

gint64
damage_query (StoreFixture *f, const char *query)
{
  sqlite3      *db;
  sqlite3_stmt *stmt;
  gint64        value;

  assert_int_equal (sqlite3_open (f->path, &db), SQLITE_OK);
  if (sqlite3_prepare_v2 (db, query, -1, &stmt, NULL) != SQLITE_OK || sqlite3_step (stmt) != SQLITE_ROW)
    fail_msg ("%s: %s", query, sqlite3_errmsg (db));
  value = sqlite3_column_int64 (stmt, 0);
  sqlite3_finalize (stmt);
  assert_int_equal (sqlite3_close (db), SQLITE_OK);
  return value;
}

static guint
find_root (StoreFixture *f, const char *tree)
{
  g_autofree char *query = g_strdup_printf ("SELECT rootpage FROM sqlite_schema WHERE name = '%s'", tree);

  damage_query (f, "PRAGMA wal_checkpoint(TRUNCATE)");
  return (guint) damage_query (f, query);
}

static gsize
get_varint (const guint8 *at, guint *value)
{
  gsize n = 0;

  for (*value = at[0] & 0x7f; at[n] & 0x80; *value = *value << 7 | (at[n] & 0x7f))
    assert_in_range (++n, 1, 3);
  return n + 1;
}

static guint
get_u16 (const guint8 *at)
{
  return (guint) at[0] << 8 | at[1];
}

static guint
length_of (guint type)
{
  static const guint lengths[] = { 0, 1, 2, 3, 4, 6, 8, 8, 0, 0 };

  return type >= 12 ? (type - 12) / 2 : lengths[MIN (type, 9)];
}

/* Changes the number of @column of @record (sqlite.org/fileformat.html, 2.1). */
static void
change_column (guint8 *record, guint column, guint64 bits)
{
  guint   head, type = 0;
  guint8 *types = record + get_varint (record, &head);
  guint8 *end = record + head;

  for (guint i = 0; i <= column; i++)
    {
      types += get_varint (types, &type);
      end += length_of (type);
    }
  for (guint i = 1; bits != 0; i++, bits >>= 8)
    {
      assert_in_range (i, 1, length_of (type));
      *(end - i) ^= (guint8) bits;
    }
}

void
damage_number (StoreFixture *f, const char *tree, guint row, guint column, guint64 bits)
{
  guint root = find_root (f, tree);
  g_autoptr (GBytes) bytes = damage_read_file (f->path);
  gsize              size = g_bytes_get_size (bytes);
  g_autofree guint8 *data = g_memdup2 (g_bytes_get_data (bytes, NULL), size);
  g_autoptr (GBytes) damaged = NULL;
  guint8 *page = data + (gsize) (root - 1) * PAGE, *cell;
  guint   ignored;

  if (page[0] != 0x0d && page[0] != 0x0a)
    fail_msg ("%s has more than a page", tree);
  assert_in_range (row, 0, get_u16 (page + 3) - 1);
  cell = page + get_u16 (page + 8 + 2 * row);
  cell += get_varint (cell, &ignored);
  if (page[0] == 0x0d)
    cell += get_varint (cell, &ignored);
  change_column (cell, column, bits);
  damaged = g_bytes_new_static (data, size);
  damage_replace_store (f, damaged);
}

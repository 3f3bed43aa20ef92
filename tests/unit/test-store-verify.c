/* SPDX-License-Identifier: MIT */
/* What verify meets of a damaged store; what it says of reports is in tests/tools/test_caureport_verify.py. */
#include "cau-check.h"
#include "store-damage.h"

#include <sqlite3.h>
#include <string.h>

#define PAGE 4096

static gint64
ask (sqlite3 *db, const char *sql)
{
  sqlite3_stmt *stmt;
  gint64        answer;

  assert_int_equal (sqlite3_prepare_v2 (db, sql, -1, &stmt, NULL), SQLITE_OK);
  assert_int_equal (sqlite3_step (stmt), SQLITE_ROW);
  answer = sqlite3_column_int64 (stmt, 0);
  sqlite3_finalize (stmt);
  return answer;
}

/* Brings all into the file. Returns: where the tree of versions begins in it. */
static gsize
checkpoint (StoreFixture *f)
{
  sqlite3 *db;
  gint64   root;

  assert_int_equal (sqlite3_open (f->path, &db), SQLITE_OK);
  assert_int_equal (ask (db, "PRAGMA wal_checkpoint(TRUNCATE)"), 0);
  root = ask (db, "SELECT rootpage FROM sqlite_schema WHERE name = 'versions'");
  sqlite3_close (db);
  return (gsize) (root - 1) * PAGE;
}

/* Has the pointer to the last row of the page at @root lead behind the page's end. */
static GBytes *
lose_last_row (GBytes *bytes, gsize root)
{
  guint8 *data = g_memdup2 (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
  gsize   n_rows = (gsize) data[root + 3] << 8 | data[root + 4];

  assert_int_equal (data[root], 0x0d);
  memset (data + root + 8 + 2 * (n_rows - 1), 0xff, 2);
  return g_bytes_new_take (data, g_bytes_get_size (bytes));
}

static void
ignore_finding (G_GNUC_UNUSED const CauFinding *finding, G_GNUC_UNUSED gpointer data)
{
}

/* SQLite finds fault with the page when it meets it first, and then gives what is right of it. */
static void
records_beside_a_damaged_one_are_met (void **state)
{
  const CauCheckFuncs funcs = { .found = ignore_finding };
  StoreFixture       *f = *state;
  g_autoptr (GError) error = NULL;
  g_autofree char *path = g_build_filename (f->dir, "damaged", NULL);
  g_autoptr (CauReader) reader = NULL;
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GBytes) damaged = NULL;
  g_autoptr (CauStore) store = NULL;
  CauCheckSummary summary;
  gsize           root;

  fixture_save_text (f->store, f->id, "a", "replaced while it is read");
  reader = fixture_get_report (f->store, f->id, "a", STORED_CHUNK);
  fixture_save_text (f->store, f->id, "a", "new");
  fixture_save_text (f->store, f->id, "b", "the record that is damaged");
  root = checkpoint (f);
  bytes = damage_read_file (f->path);
  damaged = lose_last_row (bytes, root);
  damage_write_file (path, damaged);

  store = cau_store_open (path, CAU_STORE_OPEN_READ_ONLY, &error);
  assert_done (store != NULL, &error);
  assert_done (cau_store_verify (store, NULL, NULL, &funcs, &summary, &error), &error);
  assert_int_equal (summary.n_unnamed, 1);
  assert_int_equal (summary.n_good, 1);
}

int
main (void)
{
  /* clang-format off */
  const struct CMUnitTest tests[] = {
    STORE_TEST (records_beside_a_damaged_one_are_met),
  };
  /* clang-format on */

  return cmocka_run_group_tests_name ("store-verify", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Damage to what is known of reports, and to the log: a name leads to its own bytes, or to an error. */
#include "store-child.h"
#include "store-damage.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define REPORTS 150

/* Bytes of the embedded engine's pages. */
#define PAGE 4096

/* Each report is its own name. */
static GBytes *
save_names (StoreFixture *f)
{
  fixture_save_many (f->store, f->id, REPORTS);
  fixture_close (f);
  return damage_read_file (f->path);
}

static void
assert_reads_its_name (CauStore *store, guint64 id, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReader) reader = cau_store_get_report (store, id, name, 1, &error);
  char  buffer[64];
  gsize n_read;

  if (reader == NULL)
    {
      if (!g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND))
        damage_assert_reported (error);
      return;
    }
  if (!cau_reader_read (reader, 0, buffer, sizeof buffer, &n_read, &error))
    {
      damage_assert_reported (error);
      return;
    }
  assert_int_equal (n_read, strlen (name));
  assert_memory_equal (buffer, name, n_read);
}

/* Asserts that what is listed was saved, or is said to be damaged, of which nothing is sure. That nothing is missing or
 * met twice is more than a listing can tell from a damaged index. */
static void
assert_lists_what_was_saved (CauStore *store, guint64 id)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReportIds) ids = cau_store_get_report_ids (store, id, NULL, &error);
  const CauReportInfo *info;

  while (ids != NULL && (info = cau_report_ids_next (ids, &error)) != NULL)
    {
      g_autofree char *expected = NULL;

      if (info->damaged)
        continue;
      assert_true (g_str_has_prefix (info->name, "report-"));
      expected = g_strdup_printf ("report-%05u", (guint) g_ascii_strtoull (info->name + 7, NULL, 10));
      assert_string_equal (info->name, expected);
      assert_int_equal (info->size, strlen (info->name));
      assert_int_equal (info->attributes.mode, 0640);
    }
  if (error != NULL && !g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND))
    damage_assert_reported (error);
}

static void
assert_nothing_false_is_read (StoreFixture *f, CauStoreOpenFlags flags)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStore) store = cau_store_open (f->path, flags, &error);

  if (store == NULL)
    {
      assert_non_null (strstr (error->message, f->path));
      if (!g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_A_STORE)
          && !g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_FORMAT))
        damage_assert_reported (error);
      return;
    }
  assert_lists_what_was_saved (store, f->id);
  for (guint i = 0; i < REPORTS; i++)
    {
      g_autofree char *name = g_strdup_printf ("report-%05u", i);

      assert_reads_its_name (store, f->id, name);
    }
}

static void
flipped_bytes_make_no_false_report (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GRand) rand = g_rand_new_with_seed (fixture_seed ());
  g_autoptr (GBytes) bytes = save_names (f);

  for (guint i = 0; i < 200; i++)
    {
      gsize position = (gsize) g_rand_int_range (rand, 0, (gint32) g_bytes_get_size (bytes));
      g_autoptr (GBytes) damaged = damage_flip (bytes, position, (guint8) (1 << g_rand_int_range (rand, 0, 8)));

      damage_replace_store (f, damaged);
      assert_nothing_false_is_read (f, i % 2 == 0 ? 0 : CAU_STORE_OPEN_READ_ONLY);
    }
}

/* Where a page of the embedded engine says where its rows begin: what is read from the wrong place looks like a row,
 * and may look like one that has no bytes. */
static void
flipped_row_pointers_make_no_false_report (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GRand) rand = g_rand_new_with_seed (fixture_seed ());
  g_autoptr (GBytes) bytes = save_names (f);
  gint32 n_pages = (gint32) (g_bytes_get_size (bytes) / PAGE);

  for (guint i = 0; i < 400; i++)
    {
      gsize  page = (gsize) g_rand_int_range (rand, 1, n_pages) * PAGE;
      gsize  at = page + (gsize) g_rand_int_range (rand, 8, 8 + 2 * REPORTS);
      guint8 bits = (guint8) (1 << g_rand_int_range (rand, 0, 8));
      g_autoptr (GBytes) damaged = damage_flip (bytes, at, bits);

      damage_replace_store (f, damaged);
      assert_nothing_false_is_read (f, CAU_STORE_OPEN_READ_ONLY);
    }
}

/* As a disk does that writes to the wrong place. */
static void
misplaced_pages_make_no_false_report (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GRand) rand = g_rand_new_with_seed (fixture_seed ());
  g_autoptr (GBytes) bytes = save_names (f);
  gsize         size;
  const guint8 *original = g_bytes_get_data (bytes, &size);

  for (guint i = 0; i < 100; i++)
    {
      guint8 *data = g_memdup2 (original, size);
      gsize   from = (gsize) g_rand_int_range (rand, 0, (gint32) (size / PAGE)) * PAGE;
      gsize   to = (gsize) g_rand_int_range (rand, 0, (gint32) (size / PAGE)) * PAGE;
      g_autoptr (GBytes) damaged = g_bytes_new_take (data, size);

      memcpy (data + to, original + from, PAGE);
      damage_replace_store (f, damaged);
      assert_nothing_false_is_read (f, i % 2 == 0 ? 0 : CAU_STORE_OPEN_READ_ONLY);
    }
}

/* As a disk does that drops a write: what is read may be old, but is whole. */
static void
lost_pages_make_no_false_report (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) old = NULL;
  g_autoptr (GBytes) new = NULL;
  gsize         size;
  const guint8 *stale;

  fixture_save_many (f->store, f->id, REPORTS / 2);
  fixture_close (f);
  old = damage_read_file (f->path);
  stale = g_bytes_get_data (old, &size);
  fixture_reopen (f, 0);
  new = save_names (f);
  for (gsize at = PAGE; at + PAGE <= size; at += PAGE)
    {
      guint8 *data = g_memdup2 (g_bytes_get_data (new, NULL), g_bytes_get_size (new));
      g_autoptr (GBytes) damaged = g_bytes_new_take (data, g_bytes_get_size (new));

      memcpy (data + at, stale + at, PAGE);
      damage_replace_store (f, damaged);
      assert_nothing_false_is_read (f, 0);
    }
}

/* ---- writing to what is damaged ---- */

static void
assert_save_tells_the_truth (CauStore *store, guint64 id, const char *name)
{
  g_autoptr (GError) error = NULL;
  CauAttributes attributes = fixture_attributes ();
  g_autoptr (CauUpload) upload = cau_store_begin_upload (store, id, name, CAU_UPLOAD_TRUNCATE, &attributes, &error);
  gboolean ok = upload != NULL && cau_upload_write (upload, 0, name, strlen (name), &error)
                && cau_upload_commit (upload, NULL, &error);

  if (ok)
    assert_reads_its_name (store, id, name);
  else if (!g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND)
           && !g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_READ_ONLY))
    damage_assert_reported (error);
}

static void
writing_to_a_damaged_store_makes_no_false_report (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GRand) rand = g_rand_new_with_seed (fixture_seed ());
  g_autoptr (GBytes) bytes = save_names (f);

  for (guint i = 0; i < 60; i++)
    {
      gsize position = (gsize) g_rand_int_range (rand, PAGE, (gint32) g_bytes_get_size (bytes));
      g_autoptr (GBytes) damaged = damage_flip (bytes, position, (guint8) g_rand_int_range (rand, 1, 256));
      g_autoptr (CauStore) store = NULL;

      damage_replace_store (f, damaged);
      store = cau_store_open (f->path, 0, NULL);
      for (guint k = 0; store != NULL && k < 20; k++)
        {
          g_autofree char *name = g_strdup_printf ("report-%05u", k * 9);
          g_autofree char *other = g_strdup_printf ("report-%05u", k * 9 + 1);

          assert_save_tells_the_truth (store, f->id, name);
          assert_reads_its_name (store, f->id, other);
          if (k % 5 == 0 && cau_store_remove_report (store, f->id, other, NULL))
            assert_save_tells_the_truth (store, f->id, other);
        }
    }
}

/* ---- the log of a process that was killed ---- */

static void
assert_series_is_whole (CauStore *store, guint64 id)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReportIds) ids = cau_store_get_report_ids (store, id, NULL, &error);
  const CauReportInfo *info;

  while (ids != NULL && (info = cau_report_ids_next (ids, &error)) != NULL)
    {
      g_autoptr (GBytes) expected =
        fixture_bytes ((guint32) g_ascii_strtoull (info->name + 2, NULL, 10), CHILD_SERIES_SIZE);

      fixture_assert_report (store, id, info->name, expected);
    }
  if (error != NULL)
    damage_assert_reported (error);
}

static void
damaged_log_ends_before_the_damage (void **state)
{
  StoreFixture    *f = *state;
  Child            child;
  g_autofree char *log_path = g_strconcat (f->path, "-wal", NULL);
  g_autoptr (GRand) rand = g_rand_new_with_seed (fixture_seed ());
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GBytes) log = NULL;

  fixture_close (f);
  child_start (&child, f);
  child_tell (&child, "series k 100000");
  for (guint i = 0; i < 30; i++)
    g_free (child_answer (&child));
  child_kill (&child);
  bytes = damage_read_file (f->path);
  log = damage_read_file (log_path);
  assert_true (g_bytes_get_size (log) > 0);

  for (guint i = 0; i < 60; i++)
    {
      gsize position = (gsize) g_rand_int_range (rand, 0, (gint32) g_bytes_get_size (log));
      g_autoptr (GBytes) flipped = damage_flip (log, position, (guint8) g_rand_int_range (rand, 1, 256));
      g_autoptr (GBytes) cut = g_bytes_new_from_bytes (log, 0, position);

      damage_replace_store (f, bytes);
      damage_write_file (log_path, i % 3 == 0 ? cut : flipped);
      f->store = fixture_open (f, 0);
      assert_series_is_whole (f->store, f->id);
      fixture_close (f);
    }
}

/* ---- records that no checksum covers as a whole ---- */

static void
change_root (StoreFixture *f, const char *assignment)
{
  g_autofree char *statement = g_strdup_printf ("UPDATE orchestrators SET %s;", assignment);
  sqlite3         *db;

  fixture_close (f);
  assert_int_equal (sqlite3_open (f->path, &db), SQLITE_OK);
  assert_int_equal (sqlite3_exec (db, statement, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close (db);
  f->store = fixture_open (f, 0);
}

/* Its first version's chunk is still in use, its id would be given out again. */
static void
wrong_last_version_overwrites_nothing (void **state)
{
  static const char *const wrong[] = { "last_version = 0 WHERE id = 0", "last_version = 1 << 40 WHERE id = 0" };
  StoreFixture            *f = *state;

  g_autoptr (GBytes) bytes = fixture_dense_bytes (1, STORED_CHUNK);
  g_autoptr (CauUpload) appended = NULL;
  g_autoptr (GBytes) expected = NULL;

  fixture_save (f->store, f->id, "a", bytes);
  appended = fixture_begin (f->store, f->id, "a", 0);
  fixture_append_text (appended, "more");
  fixture_commit (appended);
  g_clear_pointer (&appended, cau_upload_unref);
  expected = fixture_load (f->store, f->id, "a");
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (CauUpload) upload = NULL;

      change_root (f, wrong[i]);
      upload = fixture_begin (f->store, f->id, "b", CAU_UPLOAD_TRUNCATE);
      fixture_write_text (upload, 0, "text");
      assert_failed (cau_upload_commit (upload, NULL, &error), &error, CAU_STORE_ERROR_CORRUPT);
      g_clear_pointer (&upload, cau_upload_unref);
      fixture_reopen (f, 0);
      fixture_assert_report (f->store, f->id, "a", expected);
    }
}

/* A mode is permissions only: what else a damaged one says would change the kind of file that a mount shows. */
static void
impossible_orchestrator_is_damaged (void **state)
{
  static const char *const wrong[] = { "mode = 40960", "uid = 1 << 40", "gid = -1", "n_reports = -5" };
  StoreFixture            *f = *state;

  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      g_autofree char *change = g_strconcat (wrong[i], " WHERE id > 0", NULL);
      g_autoptr (GError) error = NULL;
      CauOrchestratorInfo info;

      change_root (f, change);
      assert_failed (cau_store_find_orchestrator (f->store, &f->guid, &info, &error), &error, CAU_STORE_ERROR_CORRUPT);
      change_root (f, "mode = 0, uid = 0, gid = 0, n_reports = 0");
      assert_done (cau_store_find_orchestrator (f->store, &f->guid, &info, &error), &error);
    }
}

int
main (int argc, char **argv)
{
  /* clang-format off */
  const struct CMUnitTest tests[] = {
    STORE_TEST (flipped_bytes_make_no_false_report),
    STORE_TEST (flipped_row_pointers_make_no_false_report),
    STORE_TEST (misplaced_pages_make_no_false_report),
    STORE_TEST (lost_pages_make_no_false_report),
    STORE_TEST (writing_to_a_damaged_store_makes_no_false_report),
    STORE_TEST (damaged_log_ends_before_the_damage),
    STORE_TEST (wrong_last_version_overwrites_nothing),
    STORE_TEST (impossible_orchestrator_is_damaged),
  };
  /* clang-format on */

  if (argc == 3 && strcmp (argv[1], "--child") == 0)
    return child_main (argv[2]);
  return cmocka_run_group_tests_name ("store-damage-names", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* What is not a store is refused and left as it is; what is damaged is reported and never served. */
#include "store-damage.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- files that are no store ---- */

/* Asserts that @path is refused with @code, however it is opened, with its name in the message; and that it
 * is the same afterwards. */
static void
assert_open_fails (const char *path, CauStoreError code)
{
  const CauStoreOpenFlags flags[] = { 0, CAU_STORE_OPEN_CREATE, CAU_STORE_OPEN_READ_ONLY };
  g_autoptr (GBytes) before = damage_read_file (path);
  g_autoptr (GBytes) after = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (flags); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (CauStore) store = cau_store_open (path, flags[i], &error);

      assert_null (store);
      assert_non_null (error);
      assert_non_null (strstr (error->message, path));
      assert_failed (FALSE, &error, code);
    }
  after = damage_read_file (path);
  assert_bytes_equal (after, before);
}

static void
sql (const char *path, const char *statements)
{
  sqlite3 *db;

  assert_int_equal (sqlite3_open (path, &db), SQLITE_OK);
  if (sqlite3_exec (db, statements, NULL, NULL, NULL) != SQLITE_OK)
    fail_msg ("%s: %s", statements, sqlite3_errmsg (db));
  sqlite3_close (db);
}

static gint
sql_number (const char *path, const char *query)
{
  sqlite3      *db;
  sqlite3_stmt *statement;
  gint          value;

  assert_int_equal (sqlite3_open (path, &db), SQLITE_OK);
  assert_int_equal (sqlite3_prepare_v2 (db, query, -1, &statement, NULL), SQLITE_OK);
  assert_int_equal (sqlite3_step (statement), SQLITE_ROW);
  value = sqlite3_column_int (statement, 0);
  sqlite3_finalize (statement);
  sqlite3_close (db);
  return value;
}

static void
other_files_are_not_stores (void **state)
{
  StoreFixture    *f = *state;
  g_autofree char *path = g_build_filename (f->dir, "other", NULL);
  g_autoptr (GBytes) letter = fixture_text ("x");
  g_autoptr (GBytes) text = fixture_text ("<?xml version=\"1.0\"?>\n<CauReport/>\n");
  g_autoptr (GBytes) noise = fixture_bytes (1, 100000);
  g_autoptr (GBytes) magic = fixture_text ("SQLite format 3");
  GBytes *const contents[] = { letter, text, noise, magic };

  for (guint i = 0; i < G_N_ELEMENTS (contents); i++)
    {
      damage_write_file (path, contents[i]);
      assert_open_fails (path, CAU_STORE_ERROR_NOT_A_STORE);
    }
}

static void
databases_of_others_are_not_stores (void **state)
{
  StoreFixture    *f = *state;
  g_autofree char *path = g_build_filename (f->dir, "other.db", NULL);

  sql (path, "CREATE TABLE reports (name TEXT); INSERT INTO reports VALUES ('x');");
  assert_open_fails (path, CAU_STORE_ERROR_NOT_A_STORE);
  sql (path, "PRAGMA application_id = 252006674;");
  assert_open_fails (path, CAU_STORE_ERROR_NOT_A_STORE);
}

static void
database_with_another_application_id_is_no_store (void **state)
{
  StoreFixture *f = *state;

  fixture_close (f);
  assert_int_not_equal (sql_number (f->path, "PRAGMA application_id;"), 0);
  sql (f->path, "PRAGMA application_id = 1; PRAGMA wal_checkpoint (TRUNCATE);");
  assert_open_fails (f->path, CAU_STORE_ERROR_NOT_A_STORE);
}

static void
newer_format_is_refused (void **state)
{
  StoreFixture *f = *state;
  const gint    steps[] = { 1, 1000 };

  fixture_save_text (f->store, f->id, "a", "text");
  fixture_close (f);
  for (guint i = 0; i < G_N_ELEMENTS (steps); i++)
    {
      gint             version = sql_number (f->path, "PRAGMA user_version;");
      g_autofree char *raise = g_strdup_printf ("PRAGMA user_version = %d;", version + steps[i]);
      g_autofree char *lower = g_strdup_printf ("PRAGMA user_version = %d;", version);

      assert_true (version > 0);
      sql (f->path, raise);
      assert_open_fails (f->path, CAU_STORE_ERROR_FORMAT);
      sql (f->path, lower);
    }
  fixture_reopen (f, 0);
  fixture_assert_text (f->store, f->id, "a", "text");
}

/* ---- damage ---- */

/* The reports of a store that is to be damaged. */
static const struct
{
  const char *name;
  gsize       size;
} victims[] = {
  { "empty", 0 }, { "small", 37000 }, { "chunk", 131072 }, { "large", 3 * 131072 + 5000 }, { "tiny", 1 },
};

static void
save_victims (StoreFixture *f)
{
  for (guint i = 0; i < G_N_ELEMENTS (victims); i++)
    {
      g_autoptr (GBytes) bytes = fixture_bytes (i, victims[i].size);

      fixture_save (f->store, f->id, victims[i].name, bytes);
    }
  fixture_close (f);
}

/* Reads the report at a damaged store in small and in large steps. Returns: whether it came, and right. */
static gboolean
read_victim (CauStore *store, guint64 id, guint i)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) expected = fixture_bytes (i, victims[i].size);
  g_autofree guint8 *buffer = g_malloc (victims[i].size + 1);
  g_autoptr (CauReader) reader = cau_store_get_report (store, id, victims[i].name, 10000, &error);
  gsize n_read = 0;

  if (reader == NULL)
    {
      /* A name that damage changed, or made unreachable in the index, leads nowhere. */
      if (!g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND))
        damage_assert_reported (error);
      return FALSE;
    }
  if (!cau_reader_read (reader, 0, buffer, victims[i].size + 1, &n_read, &error))
    {
      damage_assert_reported (error);
      return FALSE;
    }
  assert_int_equal (n_read, victims[i].size);
  assert_memory_equal (buffer, g_bytes_get_data (expected, NULL), n_read);
  return TRUE;
}

/* Lists a damaged orchestrator to its end or the first error. */
static void
list_victims (CauStore *store, guint64 id)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReportIds) ids = cau_store_get_report_ids (store, id, NULL, &error);
  guint n = 0;

  while (ids != NULL && cau_report_ids_next (ids, &error) != NULL)
    assert_true (n++ < 1000);
  if (error != NULL && !g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND))
    damage_assert_reported (error);
}

/* Opens the damaged store and reads all of it. Returns: how many reports came. */
static guint
read_damaged (StoreFixture *f, CauStoreOpenFlags flags)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStore) store = cau_store_open (f->path, flags, &error);
  guint n = 0;

  if (store == NULL)
    {
      assert_non_null (strstr (error->message, f->path));
      if (!g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_A_STORE)
          && !g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_FORMAT))
        damage_assert_reported (error);
      return 0;
    }
  list_victims (store, f->id);
  for (guint i = 0; i < G_N_ELEMENTS (victims); i++)
    n += read_victim (store, f->id, i) ? 1 : 0;
  return n;
}

static void
undamaged_store_reads_whole (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = NULL;

  save_victims (f);
  bytes = damage_read_file (f->path);
  damage_replace_store (f, bytes);
  assert_int_equal (read_damaged (f, CAU_STORE_OPEN_READ_ONLY), G_N_ELEMENTS (victims));
  assert_int_equal (read_damaged (f, 0), G_N_ELEMENTS (victims));
}

static void
flipped_bytes_are_never_served (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GRand) rand = g_rand_new_with_seed (fixture_seed ());
  g_autoptr (GBytes) bytes = NULL;
  guint n_harmed = 0;

  save_victims (f);
  bytes = damage_read_file (f->path);
  for (guint i = 0; i < 150; i++)
    {
      gsize  position = (gsize) g_rand_int_range (rand, 0, (gint32) g_bytes_get_size (bytes));
      guint8 bits = (guint8) g_rand_int_range (rand, 1, 256);
      g_autoptr (GBytes) damaged = damage_flip (bytes, position, bits);

      damage_replace_store (f, damaged);
      if (read_damaged (f, i % 2 == 0 ? 0 : CAU_STORE_OPEN_READ_ONLY) < G_N_ELEMENTS (victims))
        n_harmed++;
    }
  assert_in_range (n_harmed, 1, 150);
}

static void
flipped_bytes_of_the_first_page_are_never_served (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = NULL;

  save_victims (f);
  bytes = damage_read_file (f->path);
  for (gsize position = 0; position < 112; position++)
    {
      g_autoptr (GBytes) damaged = damage_flip (bytes, position, 0x11);

      damage_replace_store (f, damaged);
      read_damaged (f, position % 2 == 0 ? 0 : CAU_STORE_OPEN_READ_ONLY);
    }
}

/* Where in @bytes eight bytes of @part stand that stand nowhere else in it; fails when they do not. */
static gsize
find_part (GBytes *bytes, const guint8 *part)
{
  gsize         size;
  const guint8 *data = g_bytes_get_data (bytes, &size);
  const guint8 *hit = memmem (data, size, part, 8);

  assert_non_null (hit);
  return (gsize) (hit - data);
}

static void
damaged_chunk_is_corrupt_and_the_rest_is_good (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  const gsize   size = 3 * STORED_CHUNK;
  const guint8 *dense;
  guint8        buffer[1000];
  gsize         n_read;
  g_autoptr (GBytes) dense_bytes = NULL;
  g_autoptr (GBytes) file = NULL;
  g_autoptr (GBytes) damaged = NULL;
  g_autoptr (CauReader) reader = NULL;

  dense_bytes = fixture_dense_bytes (7, size);
  dense = g_bytes_get_data (dense_bytes, NULL);
  fixture_save (f->store, f->id, "dense", dense_bytes);
  fixture_save_text (f->store, f->id, "other", "text");
  fixture_close (f);
  file = damage_read_file (f->path);
  damaged = damage_flip (file, find_part (file, dense + STORED_CHUNK + 70000), 1);
  damage_replace_store (f, damaged);

  fixture_reopen (f, 0);
  fixture_assert_text (f->store, f->id, "other", "text");
  reader = fixture_get_report (f->store, f->id, "dense", STORED_CHUNK);
  assert_done (cau_reader_read (reader, 0, buffer, sizeof buffer, &n_read, &error), &error);
  assert_memory_equal (buffer, dense, sizeof buffer);
  assert_failed (cau_reader_read (reader, STORED_CHUNK, buffer, sizeof buffer, &n_read, &error), &error,
                 CAU_STORE_ERROR_CORRUPT);
  assert_done (cau_reader_read (reader, 2 * STORED_CHUNK, buffer, sizeof buffer, &n_read, &error), &error);
  assert_memory_equal (buffer, dense + 2 * STORED_CHUNK, sizeof buffer);
}

/* A save that meets damage in a tree of the database is the last one: the next could spread it. */
static void
nothing_is_written_into_a_damaged_tree (void **state)
{
  static const CauStoreError expected[] = { CAU_STORE_ERROR_CORRUPT, CAU_STORE_ERROR_READ_ONLY };
  StoreFixture              *f = *state;
  gsize                      page;
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (GBytes) damaged = NULL;

  save_victims (f);
  fixture_close (f);
  page = (gsize) sql_number (f->path, "SELECT rootpage FROM sqlite_schema WHERE name = 'chunks';");
  bytes = damage_read_file (f->path);
  damaged = damage_flip (bytes, (page - 1) * 4096, 0xff);
  damage_replace_store (f, damaged);
  fixture_reopen (f, 0);
  for (guint i = 0; i < G_N_ELEMENTS (expected); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *name = g_strdup_printf ("new%u", i);
      g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, name, CAU_UPLOAD_TRUNCATE);

      fixture_write_text (upload, 0, "text");
      assert_failed (cau_upload_commit (upload, NULL, &error), &error, expected[i]);
    }
  /* Not by the fixture, which writes once more. */
  g_clear_pointer (&f->store, cau_store_unref);
}

static void
truncated_store_is_never_served_half (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = NULL;
  gsize size;

  save_victims (f);
  bytes = damage_read_file (f->path);
  size = g_bytes_get_size (bytes);
  for (guint i = 1; i < 40; i++)
    {
      gsize kept = i < 10 ? i * 60 : size - (40 - i) * (size / 31) - i % 3;
      g_autoptr (GBytes) damaged = g_bytes_new_from_bytes (bytes, 0, kept);

      damage_replace_store (f, damaged);
      read_damaged (f, i % 2 == 0 ? 0 : CAU_STORE_OPEN_READ_ONLY);
    }
}

static void
zeroed_pages_are_never_served (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = NULL;
  gsize size;

  save_victims (f);
  bytes = damage_read_file (f->path);
  size = g_bytes_get_size (bytes);
  for (gsize position = 4096; position + 4096 <= size; position += MAX (4096, size / 60 / 4096 * 4096))
    {
      guint8 *data = g_memdup2 (g_bytes_get_data (bytes, NULL), size);
      g_autoptr (GBytes) damaged = g_bytes_new_take (data, size);

      memset (data + position, 0, 4096);
      damage_replace_store (f, damaged);
      read_damaged (f, 0);
    }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (other_files_are_not_stores),
    STORE_TEST (databases_of_others_are_not_stores),
    STORE_TEST (database_with_another_application_id_is_no_store),
    STORE_TEST (newer_format_is_refused),
    STORE_TEST (undamaged_store_reads_whole),
    STORE_TEST (flipped_bytes_are_never_served),
    STORE_TEST (flipped_bytes_of_the_first_page_are_never_served),
    STORE_TEST (damaged_chunk_is_corrupt_and_the_rest_is_good),
    STORE_TEST (nothing_is_written_into_a_damaged_tree),
    STORE_TEST (truncated_store_is_never_served_half),
    STORE_TEST (zeroed_pages_are_never_served),
  };

  return cmocka_run_group_tests_name ("store-damage", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "store-fixture.h"

#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>

static void
open_makes_a_store_when_asked (void **state)
{
  StoreFixture    *f = *state;
  g_autofree char *path = g_build_filename (f->dir, "new.db", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStore) store = cau_store_open (path, CAU_STORE_OPEN_CREATE, &error);

  assert_done (store != NULL, &error);
  assert_true (g_file_test (path, G_FILE_TEST_IS_REGULAR));
  assert_false (cau_store_is_read_only (store));
}

static void
open_without_create_makes_nothing (void **state)
{
  StoreFixture           *f = *state;
  const CauStoreOpenFlags flags[] = { 0, CAU_STORE_OPEN_READ_ONLY };

  for (guint i = 0; i < G_N_ELEMENTS (flags); i++)
    {
      g_autofree char *path = g_build_filename (f->dir, "none.db", NULL);
      g_autoptr (GError) error = NULL;
      g_autoptr (CauStore) store = cau_store_open (path, flags[i], &error);

      assert_null (store);
      assert_non_null (error);
      assert_non_null (strstr (error->message, path));
      assert_failed (FALSE, &error, CAU_STORE_ERROR_NOT_FOUND);
      assert_false (g_file_test (path, G_FILE_TEST_EXISTS));
    }
}

static void
open_in_a_missing_folder_fails (void **state)
{
  StoreFixture    *f = *state;
  g_autofree char *path = g_build_filename (f->dir, "missing", "store.db", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStore) store = cau_store_open (path, CAU_STORE_OPEN_CREATE, &error);

  assert_failed (store != NULL, &error, CAU_STORE_ERROR_NOT_FOUND);
}

static void
open_refuses_a_folder (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStore) store = cau_store_open (f->dir, CAU_STORE_OPEN_CREATE, &error);

  assert_failed (store != NULL, &error, CAU_STORE_ERROR_NOT_A_STORE);
}

static void
open_refuses_a_pipe_without_waiting_for_it (void **state)
{
  StoreFixture    *f = *state;
  g_autofree char *path = g_build_filename (f->dir, "pipe", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStore) store = NULL;

  assert_int_equal (mkfifo (path, 0600), 0);
  store = cau_store_open (path, CAU_STORE_OPEN_CREATE, &error);
  assert_failed (store != NULL, &error, CAU_STORE_ERROR_NOT_A_STORE);
}

static void
open_takes_any_file_name (void **state)
{
  static const char *const names[] = {
    "a?b", "a#b", "50%25", "a b", "file:x", "\xff\xfe", "'quoted\"", "?mode=memory"
  };
  StoreFixture *f = *state;

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *path = g_build_filename (f->dir, names[i], NULL);
      g_autoptr (GError) error = NULL;
      g_autoptr (CauStore) store = cau_store_open (path, CAU_STORE_OPEN_CREATE, &error);
      guint64 id;

      assert_done (store != NULL, &error);
      assert_true (g_file_test (path, G_FILE_TEST_IS_REGULAR));
      id = fixture_create_orchestrator (store, FIXTURE_GUID);
      fixture_save_text (store, id, "a", names[i]);
      fixture_assert_text (store, id, "a", names[i]);
    }
}

static void
open_refuses_what_names_no_store (void **state)
{
  static const char *const uris[] = { "", "sqlite:" };

  (void) state;
  for (guint i = 0; i < G_N_ELEMENTS (uris); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (CauStore) store = cau_store_open (uris[i], CAU_STORE_OPEN_CREATE, &error);

      assert_failed (store != NULL, &error, CAU_STORE_ERROR_INVALID);
    }
}

static void
open_accepts_the_sqlite_prefix (void **state)
{
  StoreFixture    *f = *state;
  g_autofree char *uri = g_strconcat ("sqlite:", f->path, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStore) store = cau_store_open (uri, 0, &error);

  assert_done (store != NULL, &error);
  assert_string_equal (cau_store_get_uri (store), uri);
  fixture_save_text (f->store, f->id, "a", "through the path");
  fixture_assert_text (store, f->id, "a", "through the path");
}

static void
get_uri_tells_how_the_store_was_opened (void **state)
{
  StoreFixture *f = *state;

  assert_string_equal (cau_store_get_uri (f->store), f->path);
}

static void
reopened_store_has_what_was_saved (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = fixture_bytes (1, 3 * STORED_CHUNK + 17);
  g_autoptr (GError) error = NULL;
  CauOrchestratorInfo info;

  fixture_save (f->store, f->id, "big.xml", bytes);
  fixture_save_text (f->store, f->id, "empty.xml", "");
  fixture_reopen (f, 0);
  assert_done (cau_store_find_orchestrator (f->store, &f->guid, &info, &error), &error);
  assert_int_equal (info.id, f->id);
  assert_int_equal (info.n_reports, 2);
  fixture_assert_report (f->store, f->id, "big.xml", bytes);
  fixture_assert_text (f->store, f->id, "empty.xml", "");
}

static void
reopened_store_does_not_use_numbers_again (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  guint64 version, id;

  fixture_save_text (f->store, f->id, "a", "1");
  version = fixture_version (f->store, f->id, "a");
  fixture_remove (f->store, f->id, "a");
  assert_done (cau_store_remove_orchestrator (f->store, &f->guid, &error), &error);
  fixture_reopen (f, 0);
  id = fixture_create_orchestrator (f->store, FIXTURE_GUID);
  assert_true (id > f->id);
  fixture_save_text (f->store, id, "a", "2");
  assert_true (fixture_version (f->store, id, "a") > version);
}

static void
store_opened_twice_is_one_store (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauStore) other = fixture_open (f, 0);

  fixture_save_text (f->store, f->id, "a", "from the first");
  fixture_assert_text (other, f->id, "a", "from the first");
  fixture_save_text (other, f->id, "a", "from the second");
  fixture_assert_text (f->store, f->id, "a", "from the second");
  fixture_remove (f->store, f->id, "a");
  fixture_assert_absent (other, f->id, "a");
}

static void
read_only_store_reads (void **state)
{
  StoreFixture *f = *state;

  fixture_save_text (f->store, f->id, "a", "text");
  fixture_reopen (f, CAU_STORE_OPEN_READ_ONLY);
  assert_true (cau_store_is_read_only (f->store));
  fixture_assert_text (f->store, f->id, "a", "text");
}

static void
read_only_store_sees_what_a_writer_saves (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauStore) reader = fixture_open (f, CAU_STORE_OPEN_READ_ONLY);

  fixture_save_text (f->store, f->id, "a", "one");
  fixture_assert_text (reader, f->id, "a", "one");
  fixture_save_text (f->store, f->id, "a", "two");
  fixture_assert_text (reader, f->id, "a", "two");
}

static void
reader_keeps_its_store (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = fixture_bytes (2, STORED_CHUNK * 2 + 1);
  g_autoptr (CauReader) reader = NULL;
  g_autoptr (GBytes) actual = NULL;

  fixture_save (f->store, f->id, "a", bytes);
  reader = fixture_get_report (f->store, f->id, "a", 100);
  fixture_close (f);
  actual = fixture_read (reader);
  assert_bytes_equal (actual, bytes);
}

static void
upload_keeps_its_store (void **state)
{
  StoreFixture *f = *state;
  CauUpload    *upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

  fixture_close (f);
  fixture_write_text (upload, 0, "text");
  fixture_commit (upload);
  cau_upload_unref (upload);
  fixture_reopen (f, 0);
  fixture_assert_text (f->store, f->id, "a", "text");
}

static void
cursor_keeps_its_store (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReportIds) ids = NULL;
  guint n = 0;

  fixture_save_many (f->store, f->id, 700);
  ids = cau_store_get_report_ids (f->store, f->id, NULL, &error);
  assert_done (ids != NULL, &error);
  fixture_close (f);
  while (cau_report_ids_next (ids, &error) != NULL)
    n++;
  assert_done (n == 700, &error);
}

static void
counted_store_stays_open_until_the_last_reference (void **state)
{
  StoreFixture *f = *state;
  CauStore     *other = cau_store_ref (f->store);

  assert_ptr_equal (other, f->store);
  cau_store_unref (other);
  fixture_save_text (f->store, f->id, "a", "text");
  fixture_assert_text (f->store, f->id, "a", "text");
}

/* The engine takes its log away when it is closed. */
static void
store_is_closed_when_the_last_reference_is_gone (void **state)
{
  StoreFixture    *f = *state;
  g_autofree char *log = g_strconcat (f->path, "-wal", NULL);

  for (guint i = 0; i < 50; i++)
    {
      fixture_save_text (f->store, f->id, "a", "text");
      assert_true (g_file_test (log, G_FILE_TEST_EXISTS));
      g_clear_pointer (&f->store, cau_store_unref);
      assert_false (g_file_test (log, G_FILE_TEST_EXISTS));
      f->store = fixture_open (f, 0);
    }
}

static void
stat_counts_reports (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  guint64      other = fixture_create_orchestrator (f->store, "00000000-0000-0000-0000-000000000001");
  CauStoreStat stat;

  assert_done (cau_store_stat (f->store, &stat, &error), &error);
  assert_int_equal (stat.n_reports, 0);
  fixture_save_text (f->store, f->id, "a", "1");
  fixture_save_text (f->store, f->id, "a", "2");
  fixture_save_text (f->store, other, "a", "3");
  assert_done (cau_store_stat (f->store, &stat, &error), &error);
  assert_int_equal (stat.n_reports, 2);
  fixture_remove (f->store, f->id, "a");
  assert_done (cau_store_stat (f->store, &stat, &error), &error);
  assert_int_equal (stat.n_reports, 1);
}

static void
stat_tells_the_space_of_the_filesystem (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  CauStoreStat stat;

  assert_done (cau_store_stat (f->store, &stat, &error), &error);
  assert_true (stat.block_size > 0);
  assert_true (stat.blocks > 0);
  assert_true (stat.blocks_free <= stat.blocks);
  assert_true (stat.blocks_available <= stat.blocks);
}

static void
stat_tells_the_space_of_a_limited_store (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = fixture_bytes (3, 8 * STORED_CHUNK);
  CauStoreStat before, after;

  assert_done (cau_store_set_limits (f->store, 32 << 20, 0, &error), &error);
  assert_done (cau_store_stat (f->store, &before, &error), &error);
  assert_int_equal (before.blocks * before.block_size, 32 << 20);
  assert_true (before.blocks_free <= before.blocks);
  fixture_save (f->store, f->id, "a", bytes);
  assert_done (cau_store_stat (f->store, &after, &error), &error);
  assert_true (after.blocks_free < before.blocks_free);
}

static void
sync_and_collect_of_an_idle_store_do_nothing (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  guint64 n = 99;

  assert_done (cau_store_sync (f->store, &error), &error);
  assert_done (cau_store_collect (f->store, &n, &error), &error);
  assert_int_equal (n, 0);
  assert_done (cau_store_collect (f->store, NULL, &error), &error);
}

static void
collect_takes_what_nobody_can_reach (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReader) reader = NULL;
  guint64 version;

  fixture_save_text (f->store, f->id, "a", "1");
  version = fixture_version (f->store, f->id, "a");
  fixture_save_text (f->store, f->id, "a", "2");
  assert_done (cau_store_collect (f->store, NULL, &error), &error);
  reader = cau_store_open_version (f->store, version, 1, &error);
  assert_failed (reader != NULL, &error, CAU_STORE_ERROR_STALE);
  fixture_assert_text (f->store, f->id, "a", "2");
}

static void
store_file_is_not_for_everyone_to_write (void **state)
{
  StoreFixture *f = *state;
  struct stat   status;

  assert_int_equal (stat (f->path, &status), 0);
  assert_int_equal (status.st_mode & S_IWOTH, 0);
}

/* The 19th byte of the file is 2 in WAL mode, 1 else: sqlite.org/fileformat2.html, "The Database Header". */
static int
journal_of (const char *path)
{
  g_autofree char *data = NULL;

  assert_true (g_file_get_contents (path, &data, NULL, NULL));
  return data[18];
}

static void
store_that_was_given_another_journal_gets_its_own_back (void **state)
{
  StoreFixture *f = *state;
  sqlite3      *db = NULL;

  fixture_save_text (f->store, f->id, "a", "text");
  fixture_close (f);
  assert_int_equal (sqlite3_open (f->path, &db), SQLITE_OK);
  assert_int_equal (sqlite3_exec (db, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal (sqlite3_close (db), SQLITE_OK);
  assert_int_equal (journal_of (f->path), 1);

  f->store = fixture_open (f, CAU_STORE_OPEN_READ_ONLY);
  fixture_assert_text (f->store, f->id, "a", "text");
  fixture_reopen (f, 0);
  assert_int_equal (journal_of (f->path), 2);
  fixture_assert_text (f->store, f->id, "a", "text");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (open_makes_a_store_when_asked),
    STORE_TEST (open_without_create_makes_nothing),
    STORE_TEST (open_in_a_missing_folder_fails),
    STORE_TEST (open_refuses_a_folder),
    STORE_TEST (open_refuses_a_pipe_without_waiting_for_it),
    STORE_TEST (open_takes_any_file_name),
    STORE_TEST (open_refuses_what_names_no_store),
    STORE_TEST (open_accepts_the_sqlite_prefix),
    STORE_TEST (get_uri_tells_how_the_store_was_opened),
    STORE_TEST (reopened_store_has_what_was_saved),
    STORE_TEST (reopened_store_does_not_use_numbers_again),
    STORE_TEST (store_opened_twice_is_one_store),
    STORE_TEST (read_only_store_reads),
    STORE_TEST (read_only_store_sees_what_a_writer_saves),
    STORE_TEST (reader_keeps_its_store),
    STORE_TEST (upload_keeps_its_store),
    STORE_TEST (cursor_keeps_its_store),
    STORE_TEST (counted_store_stays_open_until_the_last_reference),
    STORE_TEST (store_is_closed_when_the_last_reference_is_gone),
    STORE_TEST (stat_counts_reports),
    STORE_TEST (stat_tells_the_space_of_the_filesystem),
    STORE_TEST (stat_tells_the_space_of_a_limited_store),
    STORE_TEST (sync_and_collect_of_an_idle_store_do_nothing),
    STORE_TEST (collect_takes_what_nobody_can_reach),
    STORE_TEST (store_file_is_not_for_everyone_to_write),
    STORE_TEST (store_that_was_given_another_journal_gets_its_own_back),
  };

  return cmocka_run_group_tests_name ("store-open", tests, NULL, NULL);
}

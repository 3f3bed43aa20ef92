/* SPDX-License-Identifier: MIT */
#include "store-fixture.h"

#include <string.h>

static CauUploadState
get_state (CauUpload *upload)
{
  CauUploadState state;

  cau_upload_get_state (upload, &state);
  return state;
}

static void
assert_begin_fails (StoreFixture *f, const char *name, CauUploadFlags flags, CauStoreError code)
{
  g_autoptr (GError) error = NULL;
  CauAttributes attributes = fixture_attributes ();
  g_autoptr (CauUpload) upload = cau_store_begin_upload (f->store, f->id, name, flags, &attributes, &error);

  assert_failed (upload != NULL, &error, code);
}

/* ---- writing ---- */

static void
commit_of_nothing_saves_an_empty_report (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", 0);
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  assert_done (cau_upload_commit (upload, &info, &error), &error);
  assert_int_equal (info.size, 0);
  assert_true (info.version != 0);
  fixture_assert_text (f->store, f->id, "a", "");
}

static void
commit_without_writes_changes_nothing (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  g_autoptr (CauUpload) upload = NULL;
  guint64 version;

  fixture_save_text (f->store, f->id, "a", "1");
  version = fixture_version (f->store, f->id, "a");
  upload = fixture_begin (f->store, f->id, "a", 0);
  fixture_commit (upload);
  assert_done (cau_upload_commit (upload, &info, &error), &error);
  assert_int_equal (info.version, version);
  assert_int_equal (fixture_version (f->store, f->id, "a"), version);
  fixture_assert_text (f->store, f->id, "a", "1");
}

static void
truncating_begin_is_a_change (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = NULL;

  fixture_save_text (f->store, f->id, "a", "1");
  upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  assert_int_equal (get_state (upload).size, 0);
  fixture_assert_text (f->store, f->id, "a", "1");
  fixture_commit (upload);
  fixture_assert_text (f->store, f->id, "a", "");
}

static void
begin_without_truncate_starts_from_what_is_there (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) old = fixture_bytes (1, 3 * STORED_CHUNK + 9);
  g_autoptr (GBytes) staged = NULL;
  g_autoptr (CauUpload) upload = NULL;
  g_autofree guint8 *expected = g_memdup2 (g_bytes_get_data (old, NULL), g_bytes_get_size (old));
  g_autoptr (GBytes) bytes = NULL;

  fixture_save (f->store, f->id, "a", old);
  upload = fixture_begin (f->store, f->id, "a", 0);
  assert_int_equal (get_state (upload).size, g_bytes_get_size (old));
  assert_false (get_state (upload).dirty);
  staged = fixture_read_upload (upload);
  assert_bytes_equal (staged, old);
  fixture_write_text (upload, 2 * STORED_CHUNK - 2, "four");
  memcpy (expected + 2 * STORED_CHUNK - 2, "four", 4);
  fixture_commit (upload);
  bytes = g_bytes_new (expected, g_bytes_get_size (old));
  fixture_assert_report (f->store, f->id, "a", bytes);
}

static void
gap_reads_as_zeros (void **state)
{
  const gsize   offsets[] = { 1, 100, STORED_CHUNK - 1, STORED_CHUNK, STORED_CHUNK + 1, 5 * STORED_CHUNK + 3 };
  StoreFixture *f = *state;

  for (guint i = 0; i < G_N_ELEMENTS (offsets); i++)
    {
      g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
      g_autofree guint8 *expected = g_malloc0 (offsets[i] + 3);
      g_autoptr (GBytes) bytes = NULL;
      g_autoptr (GBytes) staged = NULL;

      memcpy (expected + offsets[i], "end", 3);
      bytes = g_bytes_new (expected, offsets[i] + 3);
      fixture_write_text (upload, offsets[i], "end");
      staged = fixture_read_upload (upload);
      assert_bytes_equal (staged, bytes);
      fixture_commit (upload);
      fixture_assert_report (f->store, f->id, "a", bytes);
    }
}

static void
truncation_cuts_and_grows (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  g_autoptr (GBytes) bytes = g_bytes_new ("01234\0\0\0", 8);

  fixture_write_text (upload, 0, "0123456789");
  fixture_truncate (upload, 5);
  assert_int_equal (get_state (upload).size, 5);
  fixture_assert_upload_text (upload, "01234");
  fixture_truncate (upload, 8);
  fixture_commit (upload);
  fixture_assert_report (f->store, f->id, "a", bytes);
}

static void
what_truncation_cut_does_not_come_back (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) old = fixture_bytes (1, 4 * STORED_CHUNK);
  g_autofree guint8 *expected = g_malloc0 (4 * STORED_CHUNK);
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (CauUpload) upload = NULL;

  fixture_save (f->store, f->id, "a", old);
  upload = fixture_begin (f->store, f->id, "a", 0);
  fixture_truncate (upload, STORED_CHUNK / 2);
  fixture_truncate (upload, 4 * STORED_CHUNK);
  memcpy (expected, g_bytes_get_data (old, NULL), STORED_CHUNK / 2);
  bytes = g_bytes_new (expected, 4 * STORED_CHUNK);
  fixture_commit (upload);
  fixture_assert_report (f->store, f->id, "a", bytes);
}

static void
writing_nothing_extends_nothing (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

  fixture_write_text (upload, 100, "");
  assert_int_equal (get_state (upload).size, 0);
  fixture_append_text (upload, "");
  assert_int_equal (get_state (upload).size, 0);
}

static void
reading_past_the_end_of_an_upload_is_short (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  char  buffer[10];
  gsize n_read = 99;

  fixture_write_text (upload, 0, "text");
  assert_done (cau_upload_read (upload, 2, buffer, sizeof buffer, &n_read, &error), &error);
  assert_int_equal (n_read, 2);
  assert_memory_equal (buffer, "xt", 2);
  assert_done (cau_upload_read (upload, 4, buffer, sizeof buffer, &n_read, &error), &error);
  assert_int_equal (n_read, 0);
  assert_done (cau_upload_read (upload, G_MAXUINT64, buffer, sizeof buffer, &n_read, &error), &error);
  assert_int_equal (n_read, 0);
}

static void
writes_beyond_any_report_are_too_big (void **state)
{
  const guint64 offsets[] = { G_MAXUINT64, G_MAXUINT64 - 3, (guint64) G_MAXINT64, (guint64) G_MAXINT64 - 3 };
  StoreFixture *f = *state;

  for (guint i = 0; i < G_N_ELEMENTS (offsets); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

      assert_failed (cau_upload_write (upload, offsets[i], "text", 4, &error), &error, CAU_STORE_ERROR_TOO_BIG);
      assert_failed (cau_upload_truncate (upload, offsets[i], &error), &error, CAU_STORE_ERROR_TOO_BIG);
    }
  fixture_assert_absent (f->store, f->id, "a");
}

/* ---- commits ---- */

static void
upload_commits_again_and_again (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  g_auto (CauReportInfo) first = CAU_REPORT_INFO_INIT;
  g_auto (CauReportInfo) second = CAU_REPORT_INFO_INIT;

  fixture_write_text (upload, 0, "a\n");
  assert_done (cau_upload_commit (upload, &first, &error), &error);
  fixture_assert_text (f->store, f->id, "a", "a\n");
  fixture_write_text (upload, 2, "b\n");
  assert_done (cau_upload_commit (upload, &second, &error), &error);
  fixture_assert_text (f->store, f->id, "a", "a\nb\n");
  assert_int_equal (second.report, first.report);
  assert_true (second.version > first.version);
  assert_int_equal (second.size, 4);
}

static void
large_upload_commits_again_and_again (void **state)
{
  StoreFixture *f = *state;
  const gsize   size = 9 * STORED_CHUNK + 77;
  g_autoptr (GBytes) bytes = fixture_bytes (1, size);
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

  for (gsize done = 0; done < size;)
    {
      gsize length = MIN (50001, size - done);
      g_autoptr (GBytes) part = g_bytes_new_from_bytes (bytes, done, length);
      g_autoptr (GBytes) so_far = g_bytes_new_from_bytes (bytes, 0, done + length);

      fixture_write (upload, done, part);
      done += length;
      if (done % 7 == 0 || done == size)
        {
          fixture_commit (upload);
          fixture_assert_report (f->store, f->id, "a", so_far);
        }
    }
  fixture_assert_report (f->store, f->id, "a", bytes);
}

static void
state_tells_where_an_upload_stands (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

  assert_false (get_state (upload).committed);
  assert_int_equal (get_state (upload).report, 0);
  assert_int_equal (get_state (upload).attributes.mode, 0640);
  fixture_write_text (upload, 0, "text");
  assert_true (get_state (upload).dirty);
  assert_int_equal (get_state (upload).size, 4);
  fixture_commit (upload);
  assert_false (get_state (upload).dirty);
  assert_true (get_state (upload).committed);
  assert_true (get_state (upload).report != 0);
  fixture_truncate (upload, 4);
  fixture_write_text (upload, 0, "x");
  assert_true (get_state (upload).dirty);
  assert_int_equal (get_state (upload).size, 4);
}

static void
state_of_an_upload_over_a_report_names_it (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  fixture_save_text (f->store, f->id, "a", "1");
  assert_done (cau_store_find_report (f->store, f->id, "a", &info, &error), &error);
  assert_false (cau_store_has_upload (f->store, info.report));
  upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  assert_true (get_state (upload).committed);
  assert_int_equal (get_state (upload).report, info.report);
  assert_true (cau_store_has_upload (f->store, info.report));
  assert_null (cau_store_find_upload (f->store, f->id, "a"));
  g_clear_pointer (&upload, cau_upload_unref);
  assert_false (cau_store_has_upload (f->store, info.report));
}

/* Of two that came to the report by different ways: one began before another process made it. */
static void
has_upload_knows_every_upload_of_a_report (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauStore) other = fixture_open (f, 0);
  g_autoptr (CauUpload) early = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  CauUpload *late;
  guint64    report;

  fixture_save_text (other, f->id, "a", "1");
  late = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  report = get_state (late).report;
  assert_false (cau_store_has_upload (other, report));
  fixture_commit (early);
  assert_int_equal (get_state (early).report, report);
  assert_true (cau_store_has_upload (f->store, report));
  cau_upload_unref (late);
  assert_true (cau_store_has_upload (f->store, report));
}

static void
find_upload_finds_the_newest (void **state)
{
  StoreFixture *f = *state;
  CauUpload    *first, *second, *found;

  assert_null (cau_store_find_upload (f->store, f->id, "a"));
  first = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  second = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  found = cau_store_find_upload (f->store, f->id, "a");
  assert_ptr_equal (found, second);
  cau_upload_unref (found);
  assert_null (cau_store_find_upload (f->store, f->id, "b"));
  assert_null (cau_store_find_upload (f->store, f->id + 1, "a"));
  cau_upload_abandon (second);
  cau_upload_unref (second);
  found = cau_store_find_upload (f->store, f->id, "a");
  assert_ptr_equal (found, first);
  cau_upload_unref (found);
  fixture_commit (first);
  assert_null (cau_store_find_upload (f->store, f->id, "a"));
  cau_upload_unref (first);
}

/* ---- abandoning ---- */

static void
dropped_upload_saves_nothing (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) large = fixture_bytes (1, 10 * STORED_CHUNK);
  g_autoptr (GError) error = NULL;
  CauUpload *upload;
  guint64    n = 99;

  fixture_save_text (f->store, f->id, "a", "old");
  upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  fixture_write (upload, 0, large);
  cau_upload_unref (upload);
  upload = fixture_begin (f->store, f->id, "b", CAU_UPLOAD_TRUNCATE);
  fixture_write (upload, 0, large);
  cau_upload_unref (upload);
  fixture_assert_text (f->store, f->id, "a", "old");
  fixture_assert_absent (f->store, f->id, "b");
  assert_done (cau_store_collect (f->store, NULL, &error), &error);
  assert_done (cau_store_collect (f->store, &n, &error), &error);
  assert_int_equal (n, 0);
  fixture_reopen (f, 0);
  fixture_assert_text (f->store, f->id, "a", "old");
  fixture_assert_absent (f->store, f->id, "b");
}

static void
abandoned_upload_is_over (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

  fixture_write_text (upload, 0, "text");
  cau_upload_abandon (upload);
  cau_upload_abandon (upload);
  assert_null (cau_store_find_upload (f->store, f->id, "a"));
  assert_failed (cau_upload_write (upload, 0, "x", 1, &error), &error, CAU_STORE_ERROR_INVALID);
  assert_failed (cau_upload_append (upload, "x", 1, &error), &error, CAU_STORE_ERROR_INVALID);
  assert_failed (cau_upload_truncate (upload, 0, &error), &error, CAU_STORE_ERROR_INVALID);
  fixture_assert_absent (f->store, f->id, "a");
}

static void
abandoning_keeps_what_was_committed (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

  fixture_write_text (upload, 0, "kept");
  fixture_commit (upload);
  fixture_write_text (upload, 0, "lost");
  cau_upload_abandon (upload);
  fixture_assert_text (f->store, f->id, "a", "kept");
}

/* ---- flags ---- */

static void
exclusive_takes_only_a_free_name (void **state)
{
  StoreFixture *f = *state;
  CauUpload    *upload;

  fixture_save_text (f->store, f->id, "a", "1");
  assert_begin_fails (f, "a", CAU_UPLOAD_EXCLUSIVE | CAU_UPLOAD_TRUNCATE, CAU_STORE_ERROR_EXISTS);
  upload = fixture_begin (f->store, f->id, "b", CAU_UPLOAD_EXCLUSIVE);
  assert_begin_fails (f, "b", CAU_UPLOAD_EXCLUSIVE, CAU_STORE_ERROR_EXISTS);
  cau_upload_unref (upload);
  upload = fixture_begin (f->store, f->id, "b", CAU_UPLOAD_EXCLUSIVE);
  fixture_commit (upload);
  cau_upload_unref (upload);
  fixture_assert_text (f->store, f->id, "b", "");
}

static void
existing_takes_only_a_saved_report (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = NULL;
  g_autoptr (CauUpload) unsaved = fixture_begin (f->store, f->id, "new", 0);

  assert_begin_fails (f, "none", CAU_UPLOAD_EXISTING, CAU_STORE_ERROR_NOT_FOUND);
  assert_null (cau_store_find_upload (f->store, f->id, "none"));
  assert_begin_fails (f, "new", CAU_UPLOAD_EXISTING | CAU_UPLOAD_TRUNCATE, CAU_STORE_ERROR_NOT_FOUND);
  fixture_save_text (f->store, f->id, "a", "1");
  upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_EXISTING);
  fixture_append_text (upload, "2");
  fixture_commit (upload);
  fixture_assert_text (f->store, f->id, "a", "12");
}

typedef struct
{
  CauStore   *store;
  guint64     id;
  const char *name;
  gint        n_won; /* atomic, as n_lost */
  gint        n_lost;
} Exclusive;

/* Two processes find the name free; a store that is opened twice is as good as two processes. */
static void
new_upload_does_not_replace_what_another_process_made (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStore) other = fixture_open (f, 0);
  g_autoptr (CauUpload) late = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_EXCLUSIVE | CAU_UPLOAD_NEW);
  CauUpload *early = fixture_begin (other, f->id, "a", CAU_UPLOAD_EXCLUSIVE | CAU_UPLOAD_NEW);

  fixture_write_text (late, 0, "late");
  fixture_write_text (early, 0, "early");
  fixture_commit (early);
  assert_failed (cau_upload_commit (late, NULL, &error), &error, CAU_STORE_ERROR_EXISTS);
  fixture_assert_text (f->store, f->id, "a", "early");
  assert_failed (cau_upload_commit (late, NULL, &error), &error, CAU_STORE_ERROR_EXISTS);

  /* What it made itself it may change. */
  fixture_write_text (early, 0, "again");
  fixture_commit (early);
  fixture_assert_text (f->store, f->id, "a", "again");
  cau_upload_unref (early);
}

static void
new_upload_that_was_renamed_replaces (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a.tmp", CAU_UPLOAD_EXCLUSIVE | CAU_UPLOAD_NEW);

  fixture_save_text (f->store, f->id, "a", "old");
  fixture_write_text (upload, 0, "new");
  assert_done (cau_store_rename_report (f->store, f->id, "a.tmp", f->id, "a", CAU_RENAME_REPLACE, &error), &error);
  fixture_commit (upload);
  fixture_assert_text (f->store, f->id, "a", "new");
}

static gpointer
save_exclusively (gpointer user_data)
{
  Exclusive    *self = user_data;
  CauAttributes attributes = { .mode = 0644 };
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload =
    cau_store_begin_upload (self->store, self->id, self->name, CAU_UPLOAD_EXCLUSIVE, &attributes, &error);

  if (upload != NULL && cau_upload_commit (upload, NULL, &error))
    g_atomic_int_inc (&self->n_won);
  else if (g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_EXISTS))
    g_atomic_int_inc (&self->n_lost);
  return NULL;
}

static void
one_of_many_exclusive_uploads_wins (void **state)
{
  StoreFixture *f = *state;

  for (guint round = 0; round < 50; round++)
    {
      g_autofree char *name = g_strdup_printf ("%u", round);
      Exclusive        shared = { .store = f->store, .id = f->id, .name = name };
      GThread         *threads[6];

      for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
        threads[i] = g_thread_new ("exclusive", save_exclusively, &shared);
      for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
        g_thread_join (threads[i]);
      assert_int_equal (shared.n_won, 1);
      assert_int_equal (shared.n_lost, G_N_ELEMENTS (threads) - 1);
    }
}

static void
no_replace_makes_a_report_once (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_NO_REPLACE | CAU_UPLOAD_TRUNCATE);

  fixture_write_text (upload, 0, "text");
  fixture_commit (upload);
  fixture_commit (upload);
  assert_failed (cau_upload_write (upload, 0, "x", 1, &error), &error, CAU_STORE_ERROR_REFUSED);
  assert_begin_fails (f, "a", CAU_UPLOAD_NO_REPLACE, CAU_STORE_ERROR_REFUSED);
  assert_begin_fails (f, "a", CAU_UPLOAD_NO_REPLACE | CAU_UPLOAD_TRUNCATE, CAU_STORE_ERROR_REFUSED);
  fixture_assert_text (f->store, f->id, "a", "text");
}

static void
first_of_two_no_replace_uploads_wins (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) first = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_NO_REPLACE);
  g_autoptr (CauUpload) second = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_NO_REPLACE);

  fixture_write_text (first, 0, "first");
  fixture_write_text (second, 0, "second");
  fixture_commit (second);
  assert_failed (cau_upload_commit (first, NULL, &error), &error, CAU_STORE_ERROR_REFUSED);
  fixture_assert_text (f->store, f->id, "a", "second");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (commit_of_nothing_saves_an_empty_report),
    STORE_TEST (commit_without_writes_changes_nothing),
    STORE_TEST (truncating_begin_is_a_change),
    STORE_TEST (begin_without_truncate_starts_from_what_is_there),
    STORE_TEST (gap_reads_as_zeros),
    STORE_TEST (truncation_cuts_and_grows),
    STORE_TEST (what_truncation_cut_does_not_come_back),
    STORE_TEST (writing_nothing_extends_nothing),
    STORE_TEST (reading_past_the_end_of_an_upload_is_short),
    STORE_TEST (writes_beyond_any_report_are_too_big),
    STORE_TEST (upload_commits_again_and_again),
    STORE_TEST (large_upload_commits_again_and_again),
    STORE_TEST (state_tells_where_an_upload_stands),
    STORE_TEST (state_of_an_upload_over_a_report_names_it),
    STORE_TEST (has_upload_knows_every_upload_of_a_report),
    STORE_TEST (find_upload_finds_the_newest),
    STORE_TEST (dropped_upload_saves_nothing),
    STORE_TEST (abandoned_upload_is_over),
    STORE_TEST (abandoning_keeps_what_was_committed),
    STORE_TEST (exclusive_takes_only_a_free_name),
    STORE_TEST (new_upload_does_not_replace_what_another_process_made),
    STORE_TEST (new_upload_that_was_renamed_replaces),
    STORE_TEST (existing_takes_only_a_saved_report),
    STORE_TEST (one_of_many_exclusive_uploads_wins),
    STORE_TEST (no_replace_makes_a_report_once),
    STORE_TEST (first_of_two_no_replace_uploads_wins),
  };

  return cmocka_run_group_tests_name ("store-upload", tests, NULL, NULL);
}

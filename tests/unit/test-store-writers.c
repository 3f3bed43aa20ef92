/* SPDX-License-Identifier: MIT */
/* Several uploads of one report, and an upload of a report that is renamed or removed meanwhile. */
#include "store-fixture.h"

#include <string.h>

/* ---- the last commit wins, whole ---- */

static void
last_commit_of_two_new_uploads_wins_whole (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) first_bytes = fixture_bytes (1, 3 * STORED_CHUNK);
  g_autoptr (GBytes) second_bytes = fixture_bytes (2, STORED_CHUNK + 1);
  g_autoptr (CauUpload) first = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  g_autoptr (CauUpload) second = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

  fixture_write (first, 0, first_bytes);
  fixture_write (second, 0, second_bytes);
  fixture_commit (first);
  fixture_assert_report (f->store, f->id, "a", first_bytes);
  fixture_commit (second);
  fixture_assert_report (f->store, f->id, "a", second_bytes);
}

static void
uploads_of_one_new_name_make_one_report (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) first = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  g_autoptr (CauUpload) second = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  CauUploadState a, b;

  fixture_write_text (first, 0, "1");
  fixture_write_text (second, 0, "2");
  fixture_commit (first);
  fixture_commit (second);
  cau_upload_get_state (first, &a);
  cau_upload_get_state (second, &b);
  assert_true (a.report != 0);
  assert_int_equal (a.report, b.report);
}

static void
last_commit_over_a_report_wins_whole (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) old = fixture_bytes (1, 4 * STORED_CHUNK);
  g_autoptr (CauUpload) first = NULL;
  g_autoptr (CauUpload) second = NULL;
  g_autofree guint8 *expected = NULL;
  g_autoptr (GBytes) bytes = NULL;

  fixture_save (f->store, f->id, "a", old);
  first = fixture_begin (f->store, f->id, "a", 0);
  second = fixture_begin (f->store, f->id, "a", 0);
  fixture_write_text (first, 10, "first");
  fixture_write_text (second, STORED_CHUNK + 10, "second");
  fixture_commit (first);
  fixture_commit (second);
  expected = g_memdup2 (g_bytes_get_data (old, NULL), g_bytes_get_size (old));
  memcpy (expected + STORED_CHUNK + 10, "second", 6);
  bytes = g_bytes_new (expected, g_bytes_get_size (old));
  fixture_assert_report (f->store, f->id, "a", bytes);
}

static void
upload_reads_its_own_bytes_while_others_commit (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) old = fixture_bytes (1, 4 * STORED_CHUNK);
  g_autoptr (CauUpload) upload = NULL;
  g_autoptr (GBytes) staged = NULL;

  fixture_save (f->store, f->id, "a", old);
  upload = fixture_begin (f->store, f->id, "a", 0);
  fixture_save_text (f->store, f->id, "a", "other");
  assert_done (cau_store_collect (f->store, NULL, &error), &error);
  staged = fixture_read_upload (upload);
  assert_bytes_equal (staged, old);
  fixture_write (upload, 0, old);
  fixture_commit (upload);
  fixture_assert_report (f->store, f->id, "a", old);
}

/* ---- appending ---- */

static void
two_appenders_both_keep_their_lines (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) first = NULL;
  g_autoptr (CauUpload) second = NULL;

  fixture_save_text (f->store, f->id, "a", "begin\n");
  first = fixture_begin (f->store, f->id, "a", 0);
  second = fixture_begin (f->store, f->id, "a", 0);
  fixture_append_text (first, "first\n");
  fixture_append_text (second, "second\n");
  fixture_commit (second);
  fixture_assert_text (f->store, f->id, "a", "begin\nsecond\n");
  fixture_commit (first);
  fixture_assert_text (f->store, f->id, "a", "begin\nsecond\nfirst\n");
  fixture_append_text (second, "third\n");
  fixture_commit (second);
  fixture_assert_text (f->store, f->id, "a", "begin\nsecond\nfirst\nthird\n");
}

static void
appenders_of_a_new_report_both_keep_their_lines (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) first = fixture_begin (f->store, f->id, "a", 0);
  g_autoptr (CauUpload) second = fixture_begin (f->store, f->id, "a", 0);

  fixture_append_text (first, "first\n");
  fixture_append_text (second, "second\n");
  fixture_commit (first);
  fixture_commit (second);
  fixture_assert_text (f->store, f->id, "a", "first\nsecond\n");
}

static void
appended_bytes_follow_at_any_size (void **state)
{
  const gsize   sizes[] = { 0, 1, STORED_CHUNK - 1, STORED_CHUNK, STORED_CHUNK + 1, 2 * STORED_CHUNK + 9 };
  StoreFixture *f = *state;

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    for (guint k = 0; k < G_N_ELEMENTS (sizes); k++)
      {
        g_autoptr (GError) error = NULL;
        g_autoptr (GBytes) under = fixture_bytes (i, sizes[i]);
        g_autoptr (GBytes) added = fixture_bytes (k + 100, sizes[k]);
        g_autoptr (GByteArray) expected = g_byte_array_new ();
        g_autoptr (GBytes) bytes = NULL;
        g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", 0);

        assert_done (cau_upload_append (upload, g_bytes_get_data (added, NULL), sizes[k], &error), &error);
        fixture_save (f->store, f->id, "a", under);
        fixture_commit (upload);
        g_byte_array_append (expected, g_bytes_get_data (under, NULL), (guint) sizes[i]);
        g_byte_array_append (expected, g_bytes_get_data (added, NULL), (guint) sizes[k]);
        bytes = g_bytes_new (expected->data, expected->len);
        if (sizes[k] > 0)
          fixture_assert_report (f->store, f->id, "a", bytes);
        fixture_remove (f->store, f->id, "a");
      }
}

static void
upload_that_also_wrote_does_not_merge (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = NULL;

  fixture_save_text (f->store, f->id, "a", "old\n");
  upload = fixture_begin (f->store, f->id, "a", 0);
  fixture_append_text (upload, "added\n");
  fixture_write_text (upload, 0, "OLD");
  fixture_save_text (f->store, f->id, "a", "other\n");
  fixture_commit (upload);
  fixture_assert_text (f->store, f->id, "a", "OLD\nadded\n");
}

#define LARGE ((gsize) 70000001)
#define SMALL ((gsize) 2000003)

/* The one that comes second is put after the other in several pieces. */
static void
large_appends_merge (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) first_bytes = fixture_dense_bytes (1, LARGE);
  g_autoptr (GBytes) second_bytes = fixture_dense_bytes (2, SMALL);
  g_autoptr (CauUpload) first = fixture_begin (f->store, f->id, "a", 0);
  g_autoptr (CauUpload) second = fixture_begin (f->store, f->id, "a", 0);
  g_autoptr (GByteArray) expected = g_byte_array_new ();
  g_autoptr (GBytes) bytes = NULL;

  assert_done (cau_upload_append (first, g_bytes_get_data (first_bytes, NULL), LARGE, &error), &error);
  assert_done (cau_upload_append (second, g_bytes_get_data (second_bytes, NULL), SMALL, &error), &error);
  fixture_commit (second);
  fixture_commit (first);
  g_byte_array_append (expected, g_bytes_get_data (second_bytes, NULL), SMALL);
  g_byte_array_append (expected, g_bytes_get_data (first_bytes, NULL), LARGE);
  bytes = g_bytes_new (expected->data, expected->len);
  fixture_assert_report (f->store, f->id, "a", bytes);
}

typedef struct
{
  CauStore *store;
  guint64   id;
  gint      next; /* atomic, as n_failed */
  gint      n_failed;
} Appenders;

#define APPENDERS 4
#define LINES 25

static gpointer
append_lines (gpointer user_data)
{
  Appenders    *self = user_data;
  gint          number = g_atomic_int_add (&self->next, 1);
  CauAttributes attributes = { .mode = 0644 };
  g_autoptr (CauUpload) upload = cau_store_begin_upload (self->store, self->id, "log", 0, &attributes, NULL);

  for (guint i = 0; upload != NULL && i < LINES; i++)
    {
      g_autofree char *line = g_strdup_printf ("%d %u\n", number, i);

      if (!cau_upload_append (upload, line, strlen (line), NULL) || !cau_upload_commit (upload, NULL, NULL))
        g_atomic_int_inc (&self->n_failed);
    }
  return GINT_TO_POINTER (upload != NULL);
}

static void
appending_threads_lose_no_line (void **state)
{
  StoreFixture *f = *state;
  Appenders     shared = { .store = f->store, .id = f->id };
  GThread      *threads[APPENDERS];
  guint         next[APPENDERS] = { 0 };
  g_autoptr (GBytes) bytes = NULL;
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  for (guint i = 0; i < APPENDERS; i++)
    threads[i] = g_thread_new ("appender", append_lines, &shared);
  for (guint i = 0; i < APPENDERS; i++)
    assert_non_null (g_thread_join (threads[i]));
  assert_int_equal (shared.n_failed, 0);
  bytes = fixture_load (f->store, f->id, "log");
  text = g_strndup (g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes));
  lines = g_strsplit (text, "\n", -1);
  assert_int_equal (g_strv_length (lines), APPENDERS * LINES + 1);
  for (guint i = 0; i < APPENDERS * LINES; i++)
    {
      guint number = (guint) g_ascii_strtoull (lines[i], NULL, 10);

      assert_true (number < APPENDERS);
      assert_int_equal (g_ascii_strtoull (strchr (lines[i], ' '), NULL, 10), next[number]++);
    }
}

/* ---- removed and renamed meanwhile ---- */

static void
commit_to_a_removed_report_saves_nothing (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  fixture_save_text (f->store, f->id, "a", "1");
  upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  fixture_write_text (upload, 0, "2");
  fixture_remove (f->store, f->id, "a");
  assert_done (cau_upload_commit (upload, &info, &error), &error);
  assert_int_equal (info.version, 0);
  fixture_assert_absent (f->store, f->id, "a");
}

static void
commit_to_a_report_made_again_saves_nothing (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = NULL;

  fixture_save_text (f->store, f->id, "a", "1");
  upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  fixture_write_text (upload, 0, "2");
  fixture_remove (f->store, f->id, "a");
  fixture_save_text (f->store, f->id, "a", "3");
  fixture_commit (upload);
  fixture_assert_text (f->store, f->id, "a", "3");
}

static void
second_commit_to_a_removed_report_saves_nothing (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

  fixture_write_text (upload, 0, "1");
  fixture_commit (upload);
  fixture_remove (f->store, f->id, "a");
  fixture_write_text (upload, 1, "2");
  fixture_assert_upload_text (upload, "12");
  fixture_commit (upload);
  fixture_assert_absent (f->store, f->id, "a");
}

static void
removing_an_uncommitted_upload_ends_it (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  fixture_write_text (upload, 0, "1");
  fixture_remove (f->store, f->id, "a");
  assert_null (cau_store_find_upload (f->store, f->id, "a"));
  assert_done (cau_upload_commit (upload, &info, &error), &error);
  assert_int_equal (info.version, 0);
  fixture_assert_absent (f->store, f->id, "a");
}

static void
second_commit_follows_the_name (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

  fixture_write_text (upload, 0, "1");
  fixture_commit (upload);
  assert_done (cau_store_rename_report (f->store, f->id, "a", f->id, "b", CAU_RENAME_REPLACE, &error), &error);
  fixture_write_text (upload, 1, "2");
  fixture_commit (upload);
  fixture_assert_absent (f->store, f->id, "a");
  fixture_assert_text (f->store, f->id, "b", "12");
}

static void
appender_follows_the_name (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = NULL;

  fixture_save_text (f->store, f->id, "a", "old\n");
  upload = fixture_begin (f->store, f->id, "a", 0);
  fixture_append_text (upload, "added\n");
  assert_done (cau_store_rename_report (f->store, f->id, "a", f->id, "b", CAU_RENAME_REPLACE, &error), &error);
  fixture_save_text (f->store, f->id, "a", "another report\n");
  fixture_commit (upload);
  fixture_assert_text (f->store, f->id, "a", "another report\n");
  fixture_assert_text (f->store, f->id, "b", "old\nadded\n");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (last_commit_of_two_new_uploads_wins_whole),
    STORE_TEST (uploads_of_one_new_name_make_one_report),
    STORE_TEST (last_commit_over_a_report_wins_whole),
    STORE_TEST (upload_reads_its_own_bytes_while_others_commit),
    STORE_TEST (two_appenders_both_keep_their_lines),
    STORE_TEST (appenders_of_a_new_report_both_keep_their_lines),
    STORE_TEST (appended_bytes_follow_at_any_size),
    STORE_TEST (upload_that_also_wrote_does_not_merge),
    STORE_TEST (large_appends_merge),
    STORE_TEST (appending_threads_lose_no_line),
    STORE_TEST (commit_to_a_removed_report_saves_nothing),
    STORE_TEST (commit_to_a_report_made_again_saves_nothing),
    STORE_TEST (second_commit_to_a_removed_report_saves_nothing),
    STORE_TEST (removing_an_uncommitted_upload_ends_it),
    STORE_TEST (second_commit_follows_the_name),
    STORE_TEST (appender_follows_the_name),
  };

  return cmocka_run_group_tests_name ("store-writers", tests, NULL, NULL);
}

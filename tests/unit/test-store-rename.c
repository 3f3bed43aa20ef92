/* SPDX-License-Identifier: MIT */
#include "store-fixture.h"

#define OTHER_GUID "ffffffff-0000-0000-0000-000000000000"

static void
rename_report (CauStore *store, guint64 id, const char *name, guint64 new_id, const char *new_name, CauRenameMode mode)
{
  g_autoptr (GError) error = NULL;

  assert_done (cau_store_rename_report (store, id, name, new_id, new_name, mode, &error), &error);
}

static void
assert_rename_fails (CauStore *store, guint64 id, const char *name, guint64 new_id, const char *new_name,
                     CauRenameMode mode, CauStoreError code)
{
  g_autoptr (GError) error = NULL;

  assert_failed (cau_store_rename_report (store, id, name, new_id, new_name, mode, &error), &error, code);
}

static void
find_report (CauStore *store, guint64 id, const char *name, CauReportInfo *info)
{
  g_autoptr (GError) error = NULL;

  assert_done (cau_store_find_report (store, id, name, info, &error), &error);
}

/* ---- reports ---- */

static void
rename_moves_the_name (void **state)
{
  StoreFixture *f = *state;
  g_auto (CauReportInfo) before = CAU_REPORT_INFO_INIT;
  g_auto (CauReportInfo) after = CAU_REPORT_INFO_INIT;

  fixture_save_text (f->store, f->id, "a", "1");
  find_report (f->store, f->id, "a", &before);
  rename_report (f->store, f->id, "a", f->id, "b", CAU_RENAME_REPLACE);
  fixture_assert_absent (f->store, f->id, "a");
  find_report (f->store, f->id, "b", &after);
  assert_int_equal (after.report, before.report);
  assert_int_equal (after.version, before.version);
  assert_string_equal (after.name, "b");
  assert_int_equal (after.attributes.mtime, before.attributes.mtime);
  assert_true (after.attributes.ctime >= before.attributes.ctime);
  fixture_assert_text (f->store, f->id, "b", "1");
}

static void
rename_moves_across_orchestrators (void **state)
{
  StoreFixture *f = *state;
  guint64       other = fixture_create_orchestrator (f->store, OTHER_GUID);
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  fixture_save_text (f->store, f->id, "a", "1");
  rename_report (f->store, f->id, "a", other, "a", CAU_RENAME_REPLACE);
  fixture_assert_absent (f->store, f->id, "a");
  find_report (f->store, other, "a", &info);
  assert_int_equal (info.orchestrator, other);
  fixture_assert_text (f->store, other, "a", "1");
}

static void
rename_replaces (void **state)
{
  StoreFixture *f = *state;
  g_auto (CauReportInfo) before = CAU_REPORT_INFO_INIT;
  g_auto (CauReportInfo) after = CAU_REPORT_INFO_INIT;

  fixture_save_text (f->store, f->id, "a", "1");
  fixture_save_text (f->store, f->id, "b", "2");
  find_report (f->store, f->id, "a", &before);
  rename_report (f->store, f->id, "a", f->id, "b", CAU_RENAME_REPLACE);
  fixture_assert_absent (f->store, f->id, "a");
  fixture_assert_text (f->store, f->id, "b", "1");
  find_report (f->store, f->id, "b", &after);
  assert_int_equal (after.report, before.report);
}

static void
rename_leaves_a_reader_of_what_it_replaced (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = fixture_bytes (1, STORED_CHUNK + 1);
  g_autoptr (GBytes) actual = NULL;
  g_autoptr (CauReader) reader = NULL;

  fixture_save_text (f->store, f->id, "a", "1");
  fixture_save (f->store, f->id, "b", bytes);
  reader = fixture_get_report (f->store, f->id, "b", 1);
  rename_report (f->store, f->id, "a", f->id, "b", CAU_RENAME_REPLACE);
  assert_done (cau_store_collect (f->store, NULL, &error), &error);
  actual = fixture_read (reader);
  assert_bytes_equal (actual, bytes);
}

static void
rename_to_its_own_name_keeps_the_report (void **state)
{
  StoreFixture *f = *state;

  fixture_save_text (f->store, f->id, "a", "1");
  rename_report (f->store, f->id, "a", f->id, "a", CAU_RENAME_REPLACE);
  fixture_assert_text (f->store, f->id, "a", "1");
  rename_report (f->store, f->id, "a", f->id, "a", CAU_RENAME_EXCHANGE);
  fixture_assert_text (f->store, f->id, "a", "1");
  assert_rename_fails (f->store, f->id, "a", f->id, "a", CAU_RENAME_NO_REPLACE, CAU_STORE_ERROR_EXISTS);
  fixture_assert_text (f->store, f->id, "a", "1");
}

static void
no_replace_takes_only_a_free_name (void **state)
{
  StoreFixture *f = *state;

  fixture_save_text (f->store, f->id, "a", "1");
  fixture_save_text (f->store, f->id, "b", "2");
  assert_rename_fails (f->store, f->id, "a", f->id, "b", CAU_RENAME_NO_REPLACE, CAU_STORE_ERROR_EXISTS);
  fixture_assert_text (f->store, f->id, "a", "1");
  fixture_assert_text (f->store, f->id, "b", "2");
  rename_report (f->store, f->id, "a", f->id, "c", CAU_RENAME_NO_REPLACE);
  fixture_assert_absent (f->store, f->id, "a");
  fixture_assert_text (f->store, f->id, "c", "1");
}

static void
exchange_swaps_two_reports (void **state)
{
  StoreFixture *f = *state;
  guint64       other = fixture_create_orchestrator (f->store, OTHER_GUID);
  g_auto (CauReportInfo) a = CAU_REPORT_INFO_INIT;
  g_auto (CauReportInfo) b = CAU_REPORT_INFO_INIT;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  fixture_save_text (f->store, f->id, "a", "1");
  fixture_save_text (f->store, other, "b", "2");
  find_report (f->store, f->id, "a", &a);
  find_report (f->store, other, "b", &b);
  rename_report (f->store, f->id, "a", other, "b", CAU_RENAME_EXCHANGE);
  fixture_assert_text (f->store, f->id, "a", "2");
  fixture_assert_text (f->store, other, "b", "1");
  find_report (f->store, f->id, "a", &info);
  assert_int_equal (info.report, b.report);
  find_report (f->store, other, "b", &info);
  assert_int_equal (info.report, a.report);
}

static void
exchange_needs_both (void **state)
{
  StoreFixture *f = *state;

  fixture_save_text (f->store, f->id, "a", "1");
  assert_rename_fails (f->store, f->id, "a", f->id, "b", CAU_RENAME_EXCHANGE, CAU_STORE_ERROR_NOT_FOUND);
  assert_rename_fails (f->store, f->id, "b", f->id, "a", CAU_RENAME_EXCHANGE, CAU_STORE_ERROR_NOT_FOUND);
  fixture_assert_text (f->store, f->id, "a", "1");
  fixture_assert_absent (f->store, f->id, "b");
}

static void
rename_of_what_is_not_there_fails (void **state)
{
  StoreFixture *f = *state;

  fixture_save_text (f->store, f->id, "b", "2");
  assert_rename_fails (f->store, f->id, "a", f->id, "b", CAU_RENAME_REPLACE, CAU_STORE_ERROR_NOT_FOUND);
  assert_rename_fails (f->store, f->id, "a", f->id, "c", CAU_RENAME_NO_REPLACE, CAU_STORE_ERROR_NOT_FOUND);
  assert_rename_fails (f->store, f->id, "b", f->id + 99, "b", CAU_RENAME_REPLACE, CAU_STORE_ERROR_NOT_FOUND);
  assert_rename_fails (f->store, f->id + 99, "b", f->id, "b", CAU_RENAME_REPLACE, CAU_STORE_ERROR_NOT_FOUND);
  assert_rename_fails (f->store, f->id, "b", CAU_STORE_ROOT_ID, "b", CAU_RENAME_REPLACE, CAU_STORE_ERROR_NOT_FOUND);
  fixture_assert_text (f->store, f->id, "b", "2");
}

static void
rename_to_a_bad_name_fails (void **state)
{
  static const char *const bad[] = { "", ".", "..", "a/b", "a\nb", "\xff", "\xc2\x85" };
  g_autofree char         *too_long = g_strnfill (256, 'n');
  StoreFixture            *f = *state;

  fixture_save_text (f->store, f->id, "a", "1");
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    assert_rename_fails (f->store, f->id, "a", f->id, bad[i], CAU_RENAME_REPLACE, CAU_STORE_ERROR_INVALID);
  assert_rename_fails (f->store, f->id, "a", f->id, too_long, CAU_RENAME_REPLACE, CAU_STORE_ERROR_NAME_TOO_LONG);
  fixture_assert_text (f->store, f->id, "a", "1");
}

static void
rename_survives_closing_the_store (void **state)
{
  StoreFixture *f = *state;

  fixture_save_text (f->store, f->id, "a", "1");
  rename_report (f->store, f->id, "a", f->id, "b", CAU_RENAME_REPLACE);
  fixture_reopen (f, 0);
  fixture_assert_absent (f->store, f->id, "a");
  fixture_assert_text (f->store, f->id, "b", "1");
}

/* ---- uploads of what is renamed ---- */

static void
commit_follows_a_renamed_report (void **state)
{
  StoreFixture *f = *state;
  guint64       other = fixture_create_orchestrator (f->store, OTHER_GUID);
  g_autoptr (CauUpload) upload = NULL;

  fixture_save_text (f->store, f->id, "a", "1");
  upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  fixture_write_text (upload, 0, "2");
  rename_report (f->store, f->id, "a", other, "b", CAU_RENAME_REPLACE);
  fixture_commit (upload);
  fixture_assert_absent (f->store, f->id, "a");
  fixture_assert_text (f->store, other, "b", "2");
}

static void
commit_follows_an_exchanged_report (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = NULL;

  fixture_save_text (f->store, f->id, "a", "1");
  fixture_save_text (f->store, f->id, "b", "2");
  upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  fixture_write_text (upload, 0, "new 1");
  rename_report (f->store, f->id, "a", f->id, "b", CAU_RENAME_EXCHANGE);
  fixture_commit (upload);
  fixture_assert_text (f->store, f->id, "a", "2");
  fixture_assert_text (f->store, f->id, "b", "new 1");
}

static void
commit_to_a_replaced_report_saves_nothing (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  fixture_save_text (f->store, f->id, "a", "1");
  fixture_save_text (f->store, f->id, "b", "2");
  upload = fixture_begin (f->store, f->id, "b", CAU_UPLOAD_TRUNCATE);
  fixture_write_text (upload, 0, "lost");
  rename_report (f->store, f->id, "a", f->id, "b", CAU_RENAME_REPLACE);
  assert_done (cau_upload_commit (upload, &info, &error), &error);
  assert_int_equal (info.version, 0);
  fixture_assert_text (f->store, f->id, "b", "1");
}

static void
uncommitted_upload_is_renamed (void **state)
{
  StoreFixture *f = *state;
  guint64       other = fixture_create_orchestrator (f->store, OTHER_GUID);
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  g_autoptr (CauUpload) found = NULL;

  fixture_write_text (upload, 0, "text");
  rename_report (f->store, f->id, "a", other, "b", CAU_RENAME_REPLACE);
  assert_null (cau_store_find_upload (f->store, f->id, "a"));
  found = cau_store_find_upload (f->store, other, "b");
  assert_ptr_equal (found, upload);
  fixture_assert_absent (f->store, other, "b");
  fixture_commit (upload);
  fixture_assert_absent (f->store, f->id, "a");
  fixture_assert_text (f->store, other, "b", "text");
}

static void
uncommitted_upload_respects_no_replace (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

  fixture_save_text (f->store, f->id, "b", "2");
  fixture_write_text (upload, 0, "1");
  assert_rename_fails (f->store, f->id, "a", f->id, "b", CAU_RENAME_NO_REPLACE, CAU_STORE_ERROR_EXISTS);
  fixture_commit (upload);
  fixture_assert_text (f->store, f->id, "a", "1");
  fixture_assert_text (f->store, f->id, "b", "2");
}

static void
uncommitted_upload_renamed_over_a_report_ends_whole (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

  fixture_save_text (f->store, f->id, "b", "old and longer");
  fixture_write_text (upload, 0, "new");
  rename_report (f->store, f->id, "a", f->id, "b", CAU_RENAME_REPLACE);
  fixture_commit (upload);
  fixture_assert_absent (f->store, f->id, "a");
  fixture_assert_text (f->store, f->id, "b", "new");
}

static void
upload_cannot_be_renamed_to_where_nothing_is (void **state)
{
  StoreFixture    *f = *state;
  g_autofree char *too_long = g_strnfill (256, 'n');
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

  fixture_write_text (upload, 0, "text");
  assert_rename_fails (f->store, f->id, "a", f->id + 99, "b", CAU_RENAME_REPLACE, CAU_STORE_ERROR_NOT_FOUND);
  assert_rename_fails (f->store, f->id, "a", f->id + 99, "b", CAU_RENAME_NO_REPLACE, CAU_STORE_ERROR_NOT_FOUND);
  assert_rename_fails (f->store, f->id, "a", CAU_STORE_ROOT_ID, "b", CAU_RENAME_REPLACE, CAU_STORE_ERROR_NOT_FOUND);
  assert_rename_fails (f->store, f->id, "a", f->id, too_long, CAU_RENAME_REPLACE, CAU_STORE_ERROR_NAME_TOO_LONG);
  assert_rename_fails (f->store, f->id, "a", f->id, "b", CAU_RENAME_EXCHANGE, CAU_STORE_ERROR_NOT_FOUND);
  fixture_commit (upload);
  fixture_assert_text (f->store, f->id, "a", "text");
}

static void
upload_and_report_are_exchanged (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

  fixture_save_text (f->store, f->id, "b", "saved");
  fixture_write_text (upload, 0, "written");
  rename_report (f->store, f->id, "a", f->id, "b", CAU_RENAME_EXCHANGE);
  fixture_assert_text (f->store, f->id, "a", "saved");
  fixture_commit (upload);
  fixture_assert_text (f->store, f->id, "a", "saved");
  fixture_assert_text (f->store, f->id, "b", "written");
}

static void
two_uploads_are_exchanged (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) a = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  g_autoptr (CauUpload) b = fixture_begin (f->store, f->id, "b", CAU_UPLOAD_TRUNCATE);

  fixture_write_text (a, 0, "was a");
  fixture_write_text (b, 0, "was b");
  rename_report (f->store, f->id, "a", f->id, "b", CAU_RENAME_EXCHANGE);
  fixture_commit (a);
  fixture_commit (b);
  fixture_assert_text (f->store, f->id, "a", "was b");
  fixture_assert_text (f->store, f->id, "b", "was a");
}

static void
name_of_an_upload_is_taken (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "b", CAU_UPLOAD_TRUNCATE);
  g_autoptr (CauUpload) other = fixture_begin (f->store, f->id, "c", CAU_UPLOAD_TRUNCATE);

  fixture_save_text (f->store, f->id, "a", "saved");
  assert_rename_fails (f->store, f->id, "a", f->id, "b", CAU_RENAME_NO_REPLACE, CAU_STORE_ERROR_EXISTS);
  assert_rename_fails (f->store, f->id, "c", f->id, "b", CAU_RENAME_NO_REPLACE, CAU_STORE_ERROR_EXISTS);
  fixture_write_text (upload, 0, "was b");
  fixture_write_text (other, 0, "was c");
  fixture_commit (upload);
  fixture_commit (other);
  fixture_assert_text (f->store, f->id, "a", "saved");
  fixture_assert_text (f->store, f->id, "b", "was b");
  fixture_assert_text (f->store, f->id, "c", "was c");
}

static void
report_renamed_over_an_upload_ends_it (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "b", CAU_UPLOAD_TRUNCATE);
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  fixture_write_text (upload, 0, "lost");
  fixture_save_text (f->store, f->id, "a", "kept");
  rename_report (f->store, f->id, "a", f->id, "b", CAU_RENAME_REPLACE);
  assert_done (cau_upload_commit (upload, &info, &error), &error);
  assert_int_equal (info.version, 0);
  fixture_assert_text (f->store, f->id, "b", "kept");
}

static void
upload_renamed_over_another_ends_it (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) a = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  g_autoptr (CauUpload) b = fixture_begin (f->store, f->id, "b", CAU_UPLOAD_TRUNCATE);

  fixture_write_text (a, 0, "was a");
  fixture_write_text (b, 0, "was b");
  rename_report (f->store, f->id, "a", f->id, "b", CAU_RENAME_REPLACE);
  fixture_commit (a);
  fixture_commit (b);
  fixture_assert_absent (f->store, f->id, "a");
  fixture_assert_text (f->store, f->id, "b", "was a");
}

/* ---- races ---- */

typedef struct
{
  CauStore *store;
  guint64   id;
  gint      stop; /* atomic, as n_failed */
  gint      n_failed;
} Race;

static gpointer
rename_to_and_fro (gpointer user_data)
{
  Race *self = user_data;

  while (!g_atomic_int_get (&self->stop))
    if (!cau_store_rename_report (self->store, self->id, "a", self->id, "b", CAU_RENAME_REPLACE, NULL)
        || !cau_store_rename_report (self->store, self->id, "b", self->id, "a", CAU_RENAME_REPLACE, NULL))
      g_atomic_int_inc (&self->n_failed);
  return NULL;
}

static void
commits_and_renames_make_one_report (void **state)
{
  StoreFixture *f = *state;
  Race          race = { .store = f->store, .id = f->id };
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  g_autoptr (GPtrArray) names = NULL;
  GThread *thread = g_thread_new ("renamer", rename_to_and_fro, &race);

  for (guint i = 0; i < 100; i++)
    {
      g_autofree char *text = g_strdup_printf ("%04u", i);

      fixture_write_text (upload, 0, text);
      fixture_commit (upload);
    }
  g_atomic_int_set (&race.stop, 1);
  g_thread_join (thread);
  assert_int_equal (race.n_failed, 0);
  names = fixture_list (f->store, f->id, NULL);
  assert_int_equal (names->len, 1);
  fixture_assert_text (f->store, f->id, "a", "0099");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (rename_moves_the_name),
    STORE_TEST (rename_moves_across_orchestrators),
    STORE_TEST (rename_replaces),
    STORE_TEST (rename_leaves_a_reader_of_what_it_replaced),
    STORE_TEST (rename_to_its_own_name_keeps_the_report),
    STORE_TEST (no_replace_takes_only_a_free_name),
    STORE_TEST (exchange_swaps_two_reports),
    STORE_TEST (exchange_needs_both),
    STORE_TEST (rename_of_what_is_not_there_fails),
    STORE_TEST (rename_to_a_bad_name_fails),
    STORE_TEST (rename_survives_closing_the_store),
    STORE_TEST (commit_follows_a_renamed_report),
    STORE_TEST (commit_follows_an_exchanged_report),
    STORE_TEST (commit_to_a_replaced_report_saves_nothing),
    STORE_TEST (uncommitted_upload_is_renamed),
    STORE_TEST (uncommitted_upload_respects_no_replace),
    STORE_TEST (uncommitted_upload_renamed_over_a_report_ends_whole),
    STORE_TEST (upload_cannot_be_renamed_to_where_nothing_is),
    STORE_TEST (upload_and_report_are_exchanged),
    STORE_TEST (two_uploads_are_exchanged),
    STORE_TEST (name_of_an_upload_is_taken),
    STORE_TEST (report_renamed_over_an_upload_ends_it),
    STORE_TEST (upload_renamed_over_another_ends_it),
    STORE_TEST (commits_and_renames_make_one_report),
  };

  return cmocka_run_group_tests_name ("store-rename", tests, NULL, NULL);
}

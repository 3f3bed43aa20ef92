/* SPDX-License-Identifier: MIT */
#include "store-fixture.h"

static void
set_limits (CauStore *store, guint64 max_size, guint64 max_report_size)
{
  g_autoptr (GError) error = NULL;

  assert_done (cau_store_set_limits (store, max_size, max_report_size, &error), &error);
}

/* Saves @bytes as @name. FALSE, with nothing saved, when there is no room. */
static gboolean
save_if_it_fits (StoreFixture *f, const char *name, GBytes *bytes)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, name, CAU_UPLOAD_TRUNCATE);
  gsize       length;
  const void *data = g_bytes_get_data (bytes, &length);

  if (cau_upload_write (upload, 0, data, length, &error) && cau_upload_commit (upload, NULL, &error))
    return TRUE;
  assert_failed (FALSE, &error, CAU_STORE_ERROR_NO_SPACE);
  return FALSE;
}

/* Fills the store with reports of @bytes. Returns: how many fitted. */
static guint
fill (StoreFixture *f, GBytes *bytes)
{
  for (guint n = 0; n < 1000; n++)
    {
      g_autofree char *name = g_strdup_printf ("fill-%03u", n);

      if (!save_if_it_fits (f, name, bytes))
        return n;
    }
  fail_msg ("the store has no limit");
  return 0;
}

/* ---- of one report ---- */

static void
report_may_be_as_large_as_the_limit (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = fixture_bytes (1, 1000);
  g_autoptr (CauUpload) upload = NULL;

  set_limits (f->store, 0, 1000);
  fixture_save (f->store, f->id, "a", bytes);
  fixture_assert_report (f->store, f->id, "a", bytes);
  upload = fixture_begin (f->store, f->id, "b", CAU_UPLOAD_TRUNCATE);
  fixture_write_text (upload, 999, "x");
  assert_failed (cau_upload_write (upload, 1000, "x", 1, &error), &error, CAU_STORE_ERROR_TOO_BIG);
}

static void
report_beyond_the_limit_is_refused (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = NULL;

  fixture_save_text (f->store, f->id, "a", "old");
  set_limits (f->store, 0, 1000);
  upload = fixture_begin (f->store, f->id, "a", 0);
  assert_failed (cau_upload_write (upload, 998, "xyz", 3, &error), &error, CAU_STORE_ERROR_TOO_BIG);
  assert_failed (cau_upload_commit (upload, NULL, &error), &error, CAU_STORE_ERROR_TOO_BIG);
  g_clear_pointer (&upload, cau_upload_unref);
  upload = fixture_begin (f->store, f->id, "a", 0);
  assert_failed (cau_upload_truncate (upload, 1001, &error), &error, CAU_STORE_ERROR_TOO_BIG);
  g_clear_pointer (&upload, cau_upload_unref);
  fixture_assert_text (f->store, f->id, "a", "old");
}

static void
append_beyond_the_limit_is_refused (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = NULL;

  fixture_save_text (f->store, f->id, "a", "12345678");
  set_limits (f->store, 0, 10);
  upload = fixture_begin (f->store, f->id, "a", 0);
  fixture_append_text (upload, "9");
  assert_failed (cau_upload_append (upload, "01", 2, &error), &error, CAU_STORE_ERROR_TOO_BIG);
  g_clear_pointer (&upload, cau_upload_unref);
  fixture_assert_text (f->store, f->id, "a", "12345678");
}

static void
append_that_meets_a_grown_report_is_refused (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = NULL;

  fixture_save_text (f->store, f->id, "a", "1");
  set_limits (f->store, 0, 10);
  upload = fixture_begin (f->store, f->id, "a", 0);
  fixture_append_text (upload, "23456");
  fixture_save_text (f->store, f->id, "a", "abcdefgh");
  assert_failed (cau_upload_commit (upload, NULL, &error), &error, CAU_STORE_ERROR_TOO_BIG);
  fixture_assert_text (f->store, f->id, "a", "abcdefgh");
}

static void
limit_does_not_hide_larger_reports (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = fixture_bytes (1, STORED_CHUNK + 1);

  fixture_save (f->store, f->id, "a", bytes);
  set_limits (f->store, 0, 10);
  fixture_assert_report (f->store, f->id, "a", bytes);
  fixture_remove (f->store, f->id, "a");
}

/* ---- of the store ---- */

static void
full_store_keeps_what_it_has (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = fixture_dense_bytes (1, 300 * 1000);
  guint n;

  set_limits (f->store, 4 << 20, 0);
  n = fill (f, bytes);
  assert_in_range (n, 4, 14);
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *name = g_strdup_printf ("fill-%03u", i);

      fixture_assert_report (f->store, f->id, name, bytes);
    }
  fixture_reopen (f, 0);
  fixture_assert_report (f->store, f->id, "fill-000", bytes);
}

static void
failed_replacement_leaves_the_old_report (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) old = fixture_dense_bytes (1, 1 << 20);
  g_autoptr (GBytes) larger = fixture_dense_bytes (2, 8 << 20);

  set_limits (f->store, 4 << 20, 0);
  fixture_save (f->store, f->id, "a", old);
  assert_false (save_if_it_fits (f, "a", larger));
  fixture_assert_report (f->store, f->id, "a", old);
}

static void
room_of_a_failed_upload_comes_back (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) large = fixture_dense_bytes (1, 8 << 20);
  g_autoptr (GBytes) fitting = fixture_dense_bytes (2, 2 << 20);

  set_limits (f->store, 4 << 20, 0);
  for (guint i = 0; i < 3; i++)
    {
      assert_false (save_if_it_fits (f, "a", large));
      assert_done (cau_store_collect (f->store, NULL, &error), &error);
      fixture_save (f->store, f->id, "b", fitting);
      fixture_remove (f->store, f->id, "b");
      assert_done (cau_store_collect (f->store, NULL, &error), &error);
    }
}

static void
reports_of_a_full_store_can_be_removed (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = fixture_dense_bytes (1, 300 * 1000);
  guint n;

  set_limits (f->store, 4 << 20, 0);
  n = fill (f, bytes);
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *name = g_strdup_printf ("fill-%03u", i);

      fixture_remove (f->store, f->id, name);
    }
  assert_done (cau_store_collect (f->store, NULL, &error), &error);
  assert_true (fill (f, bytes) >= n - 1);
}

static void
dead_upload_stays_dead (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) part = fixture_dense_bytes (1, 1 << 20);
  g_autoptr (CauUpload) upload = NULL;
  gboolean ok = TRUE;

  set_limits (f->store, 4 << 20, 0);
  upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  for (guint64 i = 0; ok && i < 16; i++)
    ok = cau_upload_write (upload, i << 20, g_bytes_get_data (part, NULL), 1 << 20, &error);
  if (ok)
    ok = cau_upload_commit (upload, NULL, &error);
  assert_failed (ok, &error, CAU_STORE_ERROR_NO_SPACE);
  assert_failed (cau_upload_commit (upload, NULL, &error), &error, CAU_STORE_ERROR_NO_SPACE);
  assert_failed (cau_upload_write (upload, 0, "x", 1, &error), &error, CAU_STORE_ERROR_NO_SPACE);
  assert_failed (cau_upload_commit (upload, NULL, &error), &error, CAU_STORE_ERROR_NO_SPACE);
  fixture_assert_absent (f->store, f->id, "a");
}

static void
limit_below_the_size_of_the_store_lets_it_shrink (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = fixture_dense_bytes (1, 3 << 20);

  fixture_save (f->store, f->id, "a", bytes);
  set_limits (f->store, 1 << 20, 0);
  assert_false (save_if_it_fits (f, "b", bytes));
  fixture_assert_report (f->store, f->id, "a", bytes);
  fixture_remove (f->store, f->id, "a");
  fixture_assert_absent (f->store, f->id, "a");
}

static void
limits_can_be_lifted (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = fixture_dense_bytes (1, 6 << 20);

  set_limits (f->store, 4 << 20, 1 << 20);
  set_limits (f->store, 0, 0);
  fixture_save (f->store, f->id, "a", bytes);
  fixture_assert_report (f->store, f->id, "a", bytes);
}

static void
limits_are_of_this_store_handle_only (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauStore) other = fixture_open (f, 0);
  g_autoptr (GBytes) bytes = fixture_bytes (1, 5000);

  set_limits (f->store, 0, 1000);
  fixture_save (other, f->id, "a", bytes);
  fixture_assert_report (f->store, f->id, "a", bytes);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (report_may_be_as_large_as_the_limit),
    STORE_TEST (report_beyond_the_limit_is_refused),
    STORE_TEST (append_beyond_the_limit_is_refused),
    STORE_TEST (append_that_meets_a_grown_report_is_refused),
    STORE_TEST (limit_does_not_hide_larger_reports),
    STORE_TEST (full_store_keeps_what_it_has),
    STORE_TEST (failed_replacement_leaves_the_old_report),
    STORE_TEST (room_of_a_failed_upload_comes_back),
    STORE_TEST (reports_of_a_full_store_can_be_removed),
    STORE_TEST (dead_upload_stays_dead),
    STORE_TEST (limit_below_the_size_of_the_store_lets_it_shrink),
    STORE_TEST (limits_can_be_lifted),
    STORE_TEST (limits_are_of_this_store_handle_only),
  };

  return cmocka_run_group_tests_name ("store-limits", tests, NULL, NULL);
}

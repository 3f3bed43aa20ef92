/* SPDX-License-Identifier: MIT */
/* What is no longer a report is deleted or dropped, and what one wrong bit says is gone is not. */
#include "store-damage.h"

#include <string.h>

/* Bytes of "app" at first: two chunks that its successors share, and one that they replace. */
#define APP_BYTES (2 * STORED_CHUNK + 3000)

static const char *const tails[] = { "x", "y", "z" };

static GBytes *
app_bytes (guint n_tails)
{
  g_autoptr (GBytes) first = fixture_dense_bytes (1, APP_BYTES);
  GByteArray *all = g_byte_array_new ();

  g_byte_array_append (all, g_bytes_get_data (first, NULL), APP_BYTES);
  for (guint i = 0; i < n_tails; i++)
    g_byte_array_append (all, (const guint8 *) tails[i], 1);
  return g_byte_array_free_to_bytes (all);
}

static void
append (CauStore *store, guint64 id, const char *text)
{
  g_autoptr (CauUpload) upload = fixture_begin (store, id, "app", 0);

  fixture_append_text (upload, text);
  fixture_commit (upload);
}

/* Saves "app" and appends to it @n_tails times. Each version but the last is left without a name, as when those who read it
 * were killed; the store is closed then. Its versions have the numbers from @first on. */
static void
leave_versions (StoreFixture *f, guint n_tails, guint64 *first)
{
  g_autoptr (GBytes) bytes = app_bytes (0);
  g_autoptr (CauStore) other = NULL;
  g_autoptr (GPtrArray) readers = g_ptr_array_new_with_free_func ((GDestroyNotify) cau_reader_unref);

  fixture_save (f->store, f->id, "app", bytes);
  *first = fixture_version (f->store, f->id, "app");
  other = fixture_open (f, CAU_STORE_OPEN_READ_ONLY);
  for (guint i = 0; i < n_tails; i++)
    {
      g_ptr_array_add (readers, fixture_get_report (other, f->id, "app", STORED_CHUNK));
      append (f->store, f->id, tails[i]);
    }
  fixture_close (f);
}

static void
assert_app (StoreFixture *f, guint n_tails)
{
  g_autoptr (GBytes) bytes = app_bytes (n_tails);

  fixture_assert_report (f->store, f->id, "app", bytes);
}

/* Opens the store for that. */
static void
collect (StoreFixture *f)
{
  g_autoptr (GError) error = NULL;

  fixture_reopen (f, 0);
  assert_done (cau_store_collect (f->store, NULL, &error), &error);
}

/* ---- without damage ---- */

static void
versions_go_with_what_nobody_shares (void **state)
{
  StoreFixture *f = *state;
  guint64       first;

  leave_versions (f, 3, &first);
  assert_int_equal (damage_query (f, "SELECT count(*) FROM chunks"), 6);
  collect (f);
  assert_app (f, 3);
  fixture_close (f);
  assert_int_equal (damage_query (f, "SELECT count(*) FROM chunks"), 3);
  fixture_reopen (f, 0);
  fixture_remove (f->store, f->id, "app");
  fixture_close (f);
  assert_int_equal (damage_query (f, "SELECT count(*) FROM chunks"), 0);
  assert_int_equal (damage_query (f, "SELECT count(*) FROM inherited"), 0);
}

/* ---- one wrong bit ---- */

static void
index_of_garbage_deletes_no_report (void **state)
{
  StoreFixture *f = *state;
  guint64       first;

  fixture_save_text (f->store, f->id, "other", "text");
  fixture_save_text (f->store, f->id, "keep", "text");
  leave_versions (f, 1, &first);
  assert_int_equal (first, 3);
  damage_number (f, "versions_unnamed", 0, 1, 3 ^ 2);
  collect (f);
  fixture_assert_text (f->store, f->id, "keep", "text");
  assert_app (f, 1);
}

static void
record_of_garbage_deletes_no_chunks_of_a_report (void **state)
{
  StoreFixture *f = *state;
  guint64       first;

  fixture_save_text (f->store, f->id, "other", "text");
  leave_versions (f, 1, &first);
  damage_number (f, "versions", 1, 1, 4); /* report */
  collect (f);
  assert_app (f, 1);
}

static void
index_of_versions_deletes_no_chunks_of_a_report (void **state)
{
  StoreFixture *f = *state;
  guint64       first;

  fixture_save_text (f->store, f->id, "other", "text");
  leave_versions (f, 1, &first);
  damage_number (f, "versions_by_report", 0, 0, 4);
  collect (f);
  assert_app (f, 1);
}

/* Chunks of a version that has gone, which two others inherit. */
static void
index_of_versions_deletes_no_chunks_that_are_shared_twice (void **state)
{
  StoreFixture *f = *state;
  guint64       first;

  fixture_save_text (f->store, f->id, "other", "text");
  leave_versions (f, 2, &first);
  damage_number (f, "versions_by_report", 1, 0, 4); /* of the last */
  collect (f);
  assert_app (f, 2);
}

/* A row of the table inherited can lead to what is another report's. */
static void
removing_a_report_deletes_no_chunks_of_another (void **state)
{
  StoreFixture *f = *state;
  guint64       first;
  g_autoptr (GBytes) kept = fixture_dense_bytes (9, 3 * STORED_CHUNK);

  fixture_save_text (f->store, f->id, "other", "text");
  fixture_save (f->store, f->id, "keep", kept);
  leave_versions (f, 1, &first);
  assert_int_equal (first, 3);
  collect (f);
  fixture_close (f);
  damage_number (f, "inherited", 0, 2, (3 ^ 2) << 23);
  fixture_reopen (f, 0);
  fixture_remove (f->store, f->id, "app");
  fixture_assert_report (f->store, f->id, "keep", kept);
}

/* ---- removing what reads as damaged ---- */

static void
index_of_names_removes_no_other_report (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;

  fixture_save_text (f->store, f->id, "other", "text");
  fixture_save_text (f->store, f->id, "keep", "text");
  fixture_save_text (f->store, f->id, "app", "more text");
  fixture_close (f);
  damage_number (f, "versions_by_name", 0, 2, 3 ^ 2);
  fixture_reopen (f, 0);
  assert_failed (cau_store_remove_report (f->store, f->id, "app", &error), &error, CAU_STORE_ERROR_CORRUPT);
  fixture_assert_text (f->store, f->id, "keep", "text");
}

static void
removing_a_damaged_report_leaves_what_others_share (void **state)
{
  StoreFixture *f = *state;
  guint64       first;
  g_autoptr (CauReader) reader = NULL;
  g_autoptr (GBytes) expected = app_bytes (0);
  g_autoptr (GBytes) found = NULL;
  g_autoptr (GError) error = NULL;

  fixture_save_text (f->store, f->id, "other", "text");
  leave_versions (f, 1, &first);
  damage_number (f, "versions", 2, 4, 1); /* the size of the last */
  /* Before the store is opened for writing, which collects. */
  {
    g_autoptr (CauStore) other = fixture_open (f, CAU_STORE_OPEN_READ_ONLY);

    reader = cau_store_open_version (other, first, STORED_CHUNK, &error);
    assert_done (reader != NULL, &error);
    fixture_reopen (f, 0);
    fixture_remove (f->store, f->id, "app");
    found = fixture_read (reader);
    assert_bytes_equal (found, expected);
    g_clear_pointer (&reader, cau_reader_unref);
  }
  collect (f);
  fixture_close (f);
  assert_int_equal (damage_query (f, "SELECT count(*) FROM chunks"), 1);
  assert_int_equal (damage_query (f, "SELECT count(*) FROM inherited"), 0);
}

/* ---- saving ---- */

/* What is written to a report that was removed meanwhile is dropped, as on any filesystem. The index of versions may only say so. */
static void
index_of_versions_drops_nothing_that_is_saved (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = NULL;
  g_autoptr (GError) error = NULL;

  fixture_save_text (f->store, f->id, "other", "text");
  fixture_save_text (f->store, f->id, "app", "text");
  fixture_save_text (f->store, f->id, "app", "more text");
  fixture_close (f);
  damage_number (f, "versions_by_report", 0, 0, 4);
  fixture_reopen (f, 0);
  upload = fixture_begin (f->store, f->id, "app", CAU_UPLOAD_TRUNCATE);
  fixture_write_text (upload, 0, "new text");
  assert_failed (cau_upload_commit (upload, NULL, &error), &error, CAU_STORE_ERROR_CORRUPT);
  fixture_assert_text (f->store, f->id, "app", "more text");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (versions_go_with_what_nobody_shares),
    STORE_TEST (index_of_garbage_deletes_no_report),
    STORE_TEST (record_of_garbage_deletes_no_chunks_of_a_report),
    STORE_TEST (index_of_versions_deletes_no_chunks_of_a_report),
    STORE_TEST (index_of_versions_deletes_no_chunks_that_are_shared_twice),
    STORE_TEST (removing_a_report_deletes_no_chunks_of_another),
    STORE_TEST (index_of_names_removes_no_other_report),
    STORE_TEST (removing_a_damaged_report_leaves_what_others_share),
    STORE_TEST (index_of_versions_drops_nothing_that_is_saved),
  };

  return cmocka_run_group_tests_name ("store-damage-garbage", tests, NULL, NULL);
}

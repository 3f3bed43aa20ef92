/* SPDX-License-Identifier: MIT */
#include "store-fixture.h"

#include <string.h>

#define LONGEST_NAME 255

static void
find_report (CauStore *store, guint64 id, const char *name, CauReportInfo *info)
{
  g_autoptr (GError) error = NULL;

  assert_done (cau_store_find_report (store, id, name, info, &error), &error);
}

/* ---- what is known of a report ---- */

static void
find_tells_sizes_and_chunks (void **state)
{
  const gsize   sizes[] = { 0, 1, STORED_CHUNK - 1, STORED_CHUNK, STORED_CHUNK + 1, 2 * STORED_CHUNK };
  const guint   n_chunks[] = { 0, 1, 1, 1, 2, 2 };
  StoreFixture *f = *state;

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      g_autoptr (GBytes) bytes = fixture_bytes (i, sizes[i]);
      g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

      fixture_save (f->store, f->id, "report", bytes);
      find_report (f->store, f->id, "report", &info);
      assert_int_equal (info.size, sizes[i]);
      assert_int_equal (info.n_chunks, n_chunks[i]);
      assert_true (sizes[i] == 0 ? info.stored_size == 0 : info.stored_size > 0);
      fixture_assert_report (f->store, f->id, "report", bytes);
    }
}

static void
stored_size_tells_what_compression_saved (void **state)
{
  StoreFixture    *f = *state;
  g_autofree char *text = g_strnfill (100000, 'x');
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  fixture_save_text (f->store, f->id, "a", text);
  find_report (f->store, f->id, "a", &info);
  assert_true (info.stored_size < 10000);
}

static void
find_tells_names_numbers_and_attributes (void **state)
{
  StoreFixture *f = *state;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  CauDatetime before = cau_datetime_now ();

  fixture_save_text (f->store, f->id, "a.xml", "1");
  find_report (f->store, f->id, "a.xml", &info);
  assert_string_equal (info.name, "a.xml");
  assert_int_equal (info.orchestrator, f->id);
  assert_true (info.version > 0 && info.version < G_GUINT64_CONSTANT (1) << 62);
  assert_true (info.report > 0);
  assert_true (ABS (info.saved - before) < 60 * G_USEC_PER_SEC);
  assert_int_equal (info.attributes.mode, 0640);
  assert_int_equal (info.attributes.uid, 1001);
  assert_int_equal (info.attributes.gid, 1002);
  assert_true (ABS (info.attributes.mtime / 1000 - info.saved) < 60 * G_USEC_PER_SEC);
  assert_true (ABS (info.attributes.ctime / 1000 - info.saved) < 60 * G_USEC_PER_SEC);
  assert_true (ABS (info.attributes.atime / 1000 - info.saved) < 60 * G_USEC_PER_SEC);
}

static void
timestamp_is_the_one_in_the_name (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  CauDatetime expected;

  assert_done (cau_datetime_parse ("20120920203244.000000+000", &expected, &error), &error);
  fixture_save_text (f->store, f->id, "CauReport-20120920203244.xml", "1");
  find_report (f->store, f->id, "CauReport-20120920203244.xml", &info);
  assert_int_equal (info.timestamp, expected);

  assert_done (cau_datetime_parse ("20120920203244.123456+060", &expected, &error), &error);
  fixture_save_text (f->store, f->id, "20120920203244.123456+060", "1");
  find_report (f->store, f->id, "20120920203244.123456+060", &info);
  assert_int_equal (info.timestamp, expected);

  assert_done (cau_datetime_parse ("00000101000000.000000+000", &expected, &error), &error);
  fixture_save_text (f->store, f->id, "CauReport-00000101000000.xml", "1");
  find_report (f->store, f->id, "CauReport-00000101000000.xml", &info);
  assert_int_equal (info.timestamp, expected);
}

static void
timestamp_is_else_the_time_of_the_save (void **state)
{
  StoreFixture *f = *state;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  fixture_save_text (f->store, f->id, "notes", "1");
  find_report (f->store, f->id, "notes", &info);
  assert_true (ABS (info.timestamp - info.saved) < 60 * G_USEC_PER_SEC);
}

static void
replacing_keeps_the_report_and_its_attributes (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_auto (CauReportInfo) first = CAU_REPORT_INFO_INIT;
  g_auto (CauReportInfo) second = CAU_REPORT_INFO_INIT;
  CauAttributes attributes = { .mode = 0600, .uid = 5, .gid = 6 };

  fixture_save_text (f->store, f->id, "a", "1");
  find_report (f->store, f->id, "a", &first);
  assert_done (cau_store_set_report_attributes (f->store, first.version,
                                                CAU_ATTRIBUTE_MODE | CAU_ATTRIBUTE_UID | CAU_ATTRIBUTE_GID, &attributes,
                                                NULL, &error),
               &error);
  fixture_save_text (f->store, f->id, "a", "2");
  find_report (f->store, f->id, "a", &second);
  assert_int_equal (second.report, first.report);
  assert_true (second.version > first.version);
  assert_int_equal (second.attributes.mode, 0600);
  assert_int_equal (second.attributes.uid, 5);
  assert_int_equal (second.attributes.gid, 6);
}

static void
report_made_again_is_another_report (void **state)
{
  StoreFixture *f = *state;
  g_auto (CauReportInfo) first = CAU_REPORT_INFO_INIT;
  g_auto (CauReportInfo) second = CAU_REPORT_INFO_INIT;

  fixture_save_text (f->store, f->id, "a", "1");
  find_report (f->store, f->id, "a", &first);
  fixture_remove (f->store, f->id, "a");
  fixture_save_text (f->store, f->id, "a", "1");
  find_report (f->store, f->id, "a", &second);
  assert_int_not_equal (second.report, first.report);
  assert_int_not_equal (second.version, first.version);
}

static void
find_clears_what_the_info_held (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  fixture_save_text (f->store, f->id, "a", "1");
  find_report (f->store, f->id, "a", &info);
  assert_failed (cau_store_find_report (f->store, f->id, "b", &info, &error), &error, CAU_STORE_ERROR_NOT_FOUND);
  assert_null (info.name);
  assert_int_equal (info.version, 0);
}

static void
info_copy_owns_its_name (void **state)
{
  StoreFixture *f = *state;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  g_auto (CauReportInfo) copy = CAU_REPORT_INFO_INIT;

  fixture_save_text (f->store, f->id, "a", "1");
  find_report (f->store, f->id, "a", &info);
  cau_report_info_copy (&info, &copy);
  assert_ptr_not_equal (copy.name, info.name);
  cau_report_info_clear (&info);
  assert_null (info.name);
  assert_string_equal (copy.name, "a");
  assert_int_equal (copy.size, 1);
  cau_report_info_clear (&copy);
  cau_report_info_clear (&copy);
}

/* ---- names ---- */

static void
names_are_kept_as_they_are (void **state)
{
  g_autofree char  *longest = g_strnfill (LONGEST_NAME, 'n');
  const char *const names[] = { "a",        "A",       " ", "...",  "-rf", "\xc3\xa9", "e\xcc\x81", "\xf0\x9f\x98\x80",
                                "%s\\\"'`", "null'--", "*", longest };
  StoreFixture     *f = *state;
  g_autoptr (GPtrArray) listed = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    fixture_save_text (f->store, f->id, names[i], names[i]);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    fixture_assert_text (f->store, f->id, names[i], names[i]);
  listed = fixture_list (f->store, f->id, NULL);
  assert_int_equal (listed->len, G_N_ELEMENTS (names));
}

static void
same_name_in_two_orchestrators_is_two_reports (void **state)
{
  StoreFixture *f = *state;
  guint64       other = fixture_create_orchestrator (f->store, "ffffffff-0000-0000-0000-000000000000");

  fixture_save_text (f->store, f->id, "a", "1");
  fixture_save_text (f->store, other, "a", "2");
  fixture_assert_text (f->store, f->id, "a", "1");
  fixture_assert_text (f->store, other, "a", "2");
  fixture_remove (f->store, f->id, "a");
  fixture_assert_text (f->store, other, "a", "2");
}

/* ---- the cursor ---- */

static void
cursor_is_in_the_order_of_the_bytes (void **state)
{
  static const char *const sorted[] = {
    " ", "-", "A", "B", "a", "a0", "aa", "b", "z", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"
  };
  static const guint order[] = { 7, 11, 3, 0, 9, 5, 1, 10, 2, 8, 4, 6 };
  StoreFixture      *f = *state;
  g_autoptr (GPtrArray) names = NULL;

  G_STATIC_ASSERT (G_N_ELEMENTS (order) == G_N_ELEMENTS (sorted));
  for (guint i = 0; i < G_N_ELEMENTS (order); i++)
    fixture_save_text (f->store, f->id, sorted[order[i]], "x");
  names = fixture_list (f->store, f->id, NULL);
  assert_int_equal (names->len, G_N_ELEMENTS (sorted));
  for (guint i = 0; i < names->len; i++)
    assert_string_equal (g_ptr_array_index (names, i), sorted[i]);
}

static void
cursor_of_an_empty_orchestrator_ends_at_once (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GPtrArray) names = fixture_list (f->store, f->id, NULL);

  assert_int_equal (names->len, 0);
}

static void
cursor_stays_at_its_end (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReportIds) ids = NULL;

  fixture_save_text (f->store, f->id, "a", "1");
  ids = cau_store_get_report_ids (f->store, f->id, NULL, &error);
  assert_done (cau_report_ids_next (ids, &error) != NULL, &error);
  assert_null (cau_report_ids_next (ids, &error));
  assert_null (error);
  assert_null (cau_report_ids_next (ids, &error));
  assert_null (error);
}

static void
cursor_starts_after_any_name (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GPtrArray) from_b = NULL;
  g_autoptr (GPtrArray) between = NULL;
  g_autoptr (GPtrArray) from_end = NULL;

  fixture_save_text (f->store, f->id, "a", "1");
  fixture_save_text (f->store, f->id, "b", "2");
  fixture_save_text (f->store, f->id, "c", "3");
  from_b = fixture_list (f->store, f->id, "b");
  assert_int_equal (from_b->len, 1);
  assert_string_equal (g_ptr_array_index (from_b, 0), "c");
  between = fixture_list (f->store, f->id, "aa");
  assert_int_equal (between->len, 2);
  assert_string_equal (g_ptr_array_index (between, 0), "b");
  from_end = fixture_list (f->store, f->id, "c");
  assert_int_equal (from_end->len, 0);
}

static void
cursor_meets_every_name_of_many_once (void **state)
{
  StoreFixture *f = *state;
  const guint   n = 1500;
  g_autoptr (GPtrArray) names = NULL;
  g_autoptr (GPtrArray) rest = NULL;

  fixture_save_many (f->store, f->id, n);
  names = fixture_list (f->store, f->id, NULL);
  assert_int_equal (names->len, n);
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *expected = g_strdup_printf ("report-%05u", i);

      assert_string_equal (g_ptr_array_index (names, i), expected);
    }
  rest = fixture_list (f->store, f->id, "report-00999");
  assert_int_equal (rest->len, n - 1000);
}

/* At any place, also more than once there, and in a list whose last page is full. */
static void
cursor_that_reads_ahead_meets_every_name_once (void **state)
{
  StoreFixture *f = *state;
  const guint   n = 1024;

  fixture_save_many (f->store, f->id, n);
  for (guint step = 1; step < 2000; step = step * 3 + 1)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (CauReportIds) ids = cau_store_get_report_ids (f->store, f->id, NULL, &error);
      const CauReportInfo *info;
      guint                i = 0;

      assert_done (ids != NULL, &error);
      cau_report_ids_read_ahead (ids);
      for (; (info = cau_report_ids_next (ids, &error)) != NULL; i++)
        {
          g_autofree char *expected = g_strdup_printf ("report-%05u", i);

          assert_string_equal (info->name, expected);
          if (i % step == 0)
            {
              cau_report_ids_read_ahead (ids);
              assert_string_equal (info->name, expected);
            }
        }
      assert_done (info == NULL, &error);
      assert_int_equal (i, n);
      cau_report_ids_read_ahead (ids);
      assert_null (cau_report_ids_next (ids, &error));
    }
}

static void
cursor_meets_what_stays_while_others_go (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReportIds) ids = NULL;
  g_autoptr (GHashTable) met = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  const CauReportInfo *info;
  guint                i = 0;

  fixture_save_many (f->store, f->id, 1000);
  ids = cau_store_get_report_ids (f->store, f->id, NULL, &error);
  assert_done (ids != NULL, &error);
  while ((info = cau_report_ids_next (ids, &error)) != NULL)
    {
      g_autofree char *name = g_strdup (info->name);

      assert_true (g_hash_table_add (met, g_strdup (name)));
      if (i % 100 == 50)
        fixture_remove (f->store, f->id, name);
      if (i % 100 == 70)
        fixture_save_text (f->store, f->id, "report-00000a", "new, behind or beside the cursor");
      i++;
    }
  assert_done (info == NULL, &error);
  for (i = 0; i < 1000; i++)
    {
      g_autofree char *name = g_strdup_printf ("report-%05u", i);

      assert_true (g_hash_table_contains (met, name));
    }
}

static void
cursor_carries_the_whole_info (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReportIds) ids = NULL;
  g_autoptr (GBytes) bytes = fixture_bytes (1, STORED_CHUNK + 5);
  g_auto (CauReportInfo) found = CAU_REPORT_INFO_INIT;
  const CauReportInfo *info;

  fixture_save (f->store, f->id, "a", bytes);
  find_report (f->store, f->id, "a", &found);
  ids = cau_store_get_report_ids (f->store, f->id, NULL, &error);
  info = cau_report_ids_next (ids, &error);
  assert_done (info != NULL, &error);
  assert_int_equal (info->version, found.version);
  assert_int_equal (info->report, found.report);
  assert_int_equal (info->orchestrator, found.orchestrator);
  assert_string_equal (info->name, found.name);
  assert_int_equal (info->timestamp, found.timestamp);
  assert_int_equal (info->saved, found.saved);
  assert_int_equal (info->size, found.size);
  assert_int_equal (info->stored_size, found.stored_size);
  assert_int_equal (info->n_chunks, found.n_chunks);
  assert_memory_equal (info->sha256, found.sha256, CAU_SHA256_LEN);
  assert_int_equal (info->attributes.mode, found.attributes.mode);
  assert_int_equal (info->attributes.uid, found.attributes.uid);
  assert_int_equal (info->attributes.gid, found.attributes.gid);
  assert_int_equal (info->attributes.atime, found.attributes.atime);
  assert_int_equal (info->attributes.mtime, found.attributes.mtime);
  assert_int_equal (info->attributes.ctime, found.attributes.ctime);
}

static void
cursor_does_not_list_uploads (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

  fixture_write_text (upload, 0, "text");
  fixture_assert_absent (f->store, f->id, "a");
  fixture_commit (upload);
  fixture_assert_text (f->store, f->id, "a", "text");
}

/* ---- removing, versions, attributes ---- */

static void
removed_report_is_gone (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReader) reader = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  guint64 version;

  fixture_save_text (f->store, f->id, "a", "1");
  version = fixture_version (f->store, f->id, "a");
  fixture_remove (f->store, f->id, "a");
  fixture_assert_absent (f->store, f->id, "a");
  assert_failed (cau_store_remove_report (f->store, f->id, "a", &error), &error, CAU_STORE_ERROR_NOT_FOUND);
  reader = cau_store_get_report (f->store, f->id, "a", 1, &error);
  assert_failed (reader != NULL, &error, CAU_STORE_ERROR_NOT_FOUND);
  assert_failed (cau_store_get_version (f->store, version, &info, &error), &error, CAU_STORE_ERROR_STALE);
}

static void
get_version_knows_the_current_one (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  guint64 version;

  fixture_save_text (f->store, f->id, "a", "1");
  version = fixture_version (f->store, f->id, "a");
  assert_done (cau_store_get_version (f->store, version, &info, &error), &error);
  assert_int_equal (info.version, version);
  assert_string_equal (info.name, "a");
  assert_failed (cau_store_get_version (f->store, version + 1000, &info, &error), &error, CAU_STORE_ERROR_STALE);
  assert_failed (cau_store_get_version (f->store, 0, &info, &error), &error, CAU_STORE_ERROR_STALE);
}

static void
set_attributes_sets_the_fields_of_the_mask (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_auto (CauReportInfo) before = CAU_REPORT_INFO_INIT;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  CauAttributes attributes = {
    .mode = 04711, .uid = 9, .gid = 10, .atime = G_GINT64_CONSTANT (-3000000000), .mtime = 7
  };

  fixture_save_text (f->store, f->id, "a", "1");
  find_report (f->store, f->id, "a", &before);
  assert_done (cau_store_set_report_attributes (f->store, before.version,
                                                CAU_ATTRIBUTE_UID | CAU_ATTRIBUTE_ATIME | CAU_ATTRIBUTE_MTIME,
                                                &attributes, &info, &error),
               &error);
  assert_int_equal (info.version, before.version);
  assert_int_equal (info.attributes.mode, 0640);
  assert_int_equal (info.attributes.uid, 9);
  assert_int_equal (info.attributes.gid, 1002);
  assert_int_equal (info.attributes.atime, G_GINT64_CONSTANT (-3000000000));
  assert_int_equal (info.attributes.mtime, 7);
  assert_true (info.attributes.ctime >= before.attributes.ctime);
  fixture_reopen (f, 0);
  find_report (f->store, f->id, "a", &info);
  assert_int_equal (info.attributes.mtime, 7);
  assert_int_equal (info.attributes.uid, 9);
  fixture_assert_text (f->store, f->id, "a", "1");
}

static void
set_attributes_of_a_version_being_read_are_the_reports (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReader) reader = NULL;
  g_auto (CauReportInfo) before = CAU_REPORT_INFO_INIT;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  CauAttributes    attributes = { .mode = 0600, .gid = 7, .atime = 8, .mtime = 9 };
  CauAttributeMask mask = CAU_ATTRIBUTE_MODE | CAU_ATTRIBUTE_GID | CAU_ATTRIBUTE_ATIME | CAU_ATTRIBUTE_MTIME;

  fixture_save_text (f->store, f->id, "a", "1");
  reader = fixture_get_report (f->store, f->id, "a", 1);
  fixture_save_text (f->store, f->id, "a", "2");
  find_report (f->store, f->id, "a", &before);
  assert_done (
    cau_store_set_report_attributes (f->store, cau_reader_get_info (reader)->version, mask, &attributes, &info, &error),
    &error);
  assert_int_equal (info.version, cau_reader_get_info (reader)->version);
  assert_int_equal (info.attributes.mode, 0600);
  find_report (f->store, f->id, "a", &info);
  assert_int_equal (info.version, before.version);
  assert_int_equal (info.attributes.mode, 0600);
  assert_int_equal (info.attributes.gid, 7);
  assert_int_equal (info.attributes.atime, 8);
  assert_int_equal (info.attributes.mtime, before.attributes.mtime);
  fixture_assert_text (f->store, f->id, "a", "2");
}

static void
set_attributes_of_a_removed_version_being_read_are_lost (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReader) reader = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  CauAttributes attributes = { .mode = 0600 };

  fixture_save_text (f->store, f->id, "a", "1");
  fixture_save_text (f->store, f->id, "b", "2");
  reader = fixture_get_report (f->store, f->id, "a", 1);
  assert_done (cau_store_rename_report (f->store, f->id, "b", f->id, "a", CAU_RENAME_REPLACE, &error), &error);
  assert_done (cau_store_set_report_attributes (f->store, cau_reader_get_info (reader)->version, CAU_ATTRIBUTE_MODE,
                                                &attributes, NULL, &error),
               &error);
  find_report (f->store, f->id, "a", &info);
  assert_int_equal (info.attributes.mode, 0640);
}

static void
set_attributes_of_a_version_of_a_former_owner_is_stale (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReader) reader = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  CauAttributes attributes = { .mode = 0777, .uid = 4711 };

  fixture_save_text (f->store, f->id, "a", "1");
  reader = fixture_get_report (f->store, f->id, "a", 1);
  fixture_save_text (f->store, f->id, "a", "2");
  assert_done (cau_store_set_report_attributes (f->store, fixture_version (f->store, f->id, "a"), CAU_ATTRIBUTE_UID,
                                                &attributes, NULL, &error),
               &error);
  assert_failed (cau_store_set_report_attributes (f->store, cau_reader_get_info (reader)->version, CAU_ATTRIBUTE_MODE,
                                                  &attributes, NULL, &error),
                 &error, CAU_STORE_ERROR_STALE);
  find_report (f->store, f->id, "a", &info);
  assert_int_equal (info.attributes.mode, 0640);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (find_tells_sizes_and_chunks),
    STORE_TEST (stored_size_tells_what_compression_saved),
    STORE_TEST (find_tells_names_numbers_and_attributes),
    STORE_TEST (timestamp_is_the_one_in_the_name),
    STORE_TEST (timestamp_is_else_the_time_of_the_save),
    STORE_TEST (replacing_keeps_the_report_and_its_attributes),
    STORE_TEST (report_made_again_is_another_report),
    STORE_TEST (find_clears_what_the_info_held),
    STORE_TEST (info_copy_owns_its_name),
    STORE_TEST (names_are_kept_as_they_are),
    STORE_TEST (same_name_in_two_orchestrators_is_two_reports),
    STORE_TEST (cursor_is_in_the_order_of_the_bytes),
    STORE_TEST (cursor_of_an_empty_orchestrator_ends_at_once),
    STORE_TEST (cursor_stays_at_its_end),
    STORE_TEST (cursor_starts_after_any_name),
    STORE_TEST (cursor_meets_every_name_of_many_once),
    STORE_TEST (cursor_that_reads_ahead_meets_every_name_once),
    STORE_TEST (cursor_meets_what_stays_while_others_go),
    STORE_TEST (cursor_carries_the_whole_info),
    STORE_TEST (cursor_does_not_list_uploads),
    STORE_TEST (removed_report_is_gone),
    STORE_TEST (get_version_knows_the_current_one),
    STORE_TEST (set_attributes_sets_the_fields_of_the_mask),
    STORE_TEST (set_attributes_of_a_version_being_read_are_the_reports),
    STORE_TEST (set_attributes_of_a_removed_version_being_read_are_lost),
    STORE_TEST (set_attributes_of_a_version_of_a_former_owner_is_stale),
  };

  return cmocka_run_group_tests_name ("store-reports", tests, NULL, NULL);
}

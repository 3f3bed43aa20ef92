/* SPDX-License-Identifier: MIT */
#include "store-fixture.h"

#include <string.h>

/* In the order of their bytes, with room for the fixture's own between the second and the third. */
static const char *const guids[] = {
  "00000000-0000-0000-0000-000000000000", "0a000000-0000-0000-0000-000000000000",
  "7fffffff-ffff-ffff-ffff-ffffffffffff", "80000000-0000-0000-0000-000000000000",
  "ffffffff-ffff-ffff-ffff-ffffffffffff",
};

static CauOrchestratorInfo
get_orchestrator (CauStore *store, guint64 id)
{
  g_autoptr (GError) error = NULL;
  CauOrchestratorInfo info;

  assert_done (cau_store_get_orchestrator (store, id, &info, &error), &error);
  return info;
}

static void
set_mtime (CauStore *store, guint64 id, gint64 mtime)
{
  g_autoptr (GError) error = NULL;
  CauAttributes attributes = { .mtime = mtime };

  assert_done (cau_store_set_orchestrator_attributes (store, id, CAU_ATTRIBUTE_MTIME, &attributes, NULL, &error),
               &error);
}

static void
create_takes_the_attributes_and_the_time (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  CauGuid             guid = fixture_guid (guids[0]);
  CauAttributes       attributes = { .mode = 02751, .uid = 12, .gid = 4294967294U, .atime = 1, .mtime = 2, .ctime = 3 };
  gint64              minute = 60 * G_GINT64_CONSTANT (1000000000);
  gint64              now = g_get_real_time () * 1000;
  CauOrchestratorInfo info;

  assert_done (cau_store_create_orchestrator (f->store, &guid, &attributes, &info, &error), &error);
  assert_true (cau_guid_equal (&info.guid, &guid));
  assert_true (info.id != CAU_STORE_ROOT_ID && info.id != f->id && info.id < G_GUINT64_CONSTANT (1) << 62);
  assert_int_equal (info.n_reports, 0);
  assert_int_equal (info.attributes.mode, 02751);
  assert_int_equal (info.attributes.uid, 12);
  assert_int_equal (info.attributes.gid, 4294967294U);
  assert_true (ABS (info.attributes.atime - now) < minute);
  assert_true (ABS (info.attributes.mtime - now) < minute);
  assert_true (ABS (info.attributes.ctime - now) < minute);
}

static void
create_refuses_a_guid_that_exists (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  CauAttributes       attributes = fixture_attributes ();
  CauGuid             guid = fixture_guid ("{0F6E1D2C-3B4A-4958-8776-A5B4C3D2E1F0}");
  CauOrchestratorInfo info;

  assert_failed (cau_store_create_orchestrator (f->store, &guid, &attributes, &info, &error), &error,
                 CAU_STORE_ERROR_EXISTS);
}

static void
find_and_get_agree (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  CauOrchestratorInfo found, got;

  fixture_save_text (f->store, f->id, "a", "1");
  assert_done (cau_store_find_orchestrator (f->store, &f->guid, &found, &error), &error);
  got = get_orchestrator (f->store, f->id);
  assert_int_equal (found.id, f->id);
  assert_int_equal (got.id, f->id);
  assert_true (cau_guid_equal (&found.guid, &f->guid));
  assert_true (cau_guid_equal (&got.guid, &f->guid));
  assert_int_equal (found.n_reports, 1);
  assert_int_equal (got.n_reports, 1);
  assert_int_equal (found.attributes.mode, 0640);
  assert_int_equal (found.attributes.mtime, got.attributes.mtime);
}

static void
unknown_orchestrators_are_not_found (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  CauGuid             guid = fixture_guid (guids[0]);
  CauAttributes       attributes = fixture_attributes ();
  CauOrchestratorInfo info;

  assert_failed (cau_store_find_orchestrator (f->store, &guid, &info, &error), &error, CAU_STORE_ERROR_NOT_FOUND);
  assert_failed (cau_store_remove_orchestrator (f->store, &guid, &error), &error, CAU_STORE_ERROR_NOT_FOUND);
  assert_failed (cau_store_get_orchestrator (f->store, f->id + 1000, &info, &error), &error, CAU_STORE_ERROR_NOT_FOUND);
  assert_failed (cau_store_get_orchestrator (f->store, G_MAXUINT64, &info, &error), &error, CAU_STORE_ERROR_NOT_FOUND);
  assert_failed (
    cau_store_set_orchestrator_attributes (f->store, f->id + 1000, CAU_ATTRIBUTE_MODE, &attributes, &info, &error),
    &error, CAU_STORE_ERROR_NOT_FOUND);
}

static void
remove_takes_an_empty_orchestrator (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  CauOrchestratorInfo info;
  guint64             id;

  fixture_save_text (f->store, f->id, "a", "1");
  fixture_remove (f->store, f->id, "a");
  assert_done (cau_store_remove_orchestrator (f->store, &f->guid, &error), &error);
  assert_failed (cau_store_get_orchestrator (f->store, f->id, &info, &error), &error, CAU_STORE_ERROR_NOT_FOUND);
  assert_failed (cau_store_find_orchestrator (f->store, &f->guid, &info, &error), &error, CAU_STORE_ERROR_NOT_FOUND);
  id = fixture_create_orchestrator (f->store, FIXTURE_GUID);
  assert_int_not_equal (id, f->id);
}

static void
remove_refuses_one_with_reports (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;

  fixture_save_text (f->store, f->id, "a", "1");
  assert_failed (cau_store_remove_orchestrator (f->store, &f->guid, &error), &error, CAU_STORE_ERROR_NOT_EMPTY);
  fixture_assert_text (f->store, f->id, "a", "1");
}

static void
remove_refuses_one_with_an_upload (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  CauUpload *upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

  assert_failed (cau_store_remove_orchestrator (f->store, &f->guid, &error), &error, CAU_STORE_ERROR_NOT_EMPTY);
  cau_upload_abandon (upload);
  cau_upload_unref (upload);
  assert_done (cau_store_remove_orchestrator (f->store, &f->guid, &error), &error);
}

static void
remove_leaves_open_readers_alone (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReader) reader = NULL;
  g_autoptr (GBytes) bytes = fixture_bytes (1, STORED_CHUNK + 1);
  g_autoptr (GBytes) actual = NULL;

  fixture_save (f->store, f->id, "a", bytes);
  reader = fixture_get_report (f->store, f->id, "a", 1000);
  fixture_remove (f->store, f->id, "a");
  assert_done (cau_store_remove_orchestrator (f->store, &f->guid, &error), &error);
  assert_done (cau_store_collect (f->store, NULL, &error), &error);
  actual = fixture_read (reader);
  assert_bytes_equal (actual, bytes);
}

static void
removed_orchestrator_takes_no_reports (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = NULL;
  g_autoptr (CauReportIds) ids = NULL;
  CauAttributes attributes = fixture_attributes ();

  assert_done (cau_store_remove_orchestrator (f->store, &f->guid, &error), &error);
  upload = cau_store_begin_upload (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE, &attributes, &error);
  assert_failed (upload != NULL, &error, CAU_STORE_ERROR_NOT_FOUND);
  ids = cau_store_get_report_ids (f->store, f->id, NULL, &error);
  assert_failed (ids != NULL, &error, CAU_STORE_ERROR_NOT_FOUND);
}

/* ---- listing ---- */

static void
assert_guid (const GArray *infos, guint i, const char *expected)
{
  char text[CAU_GUID_TEXT_LEN + 1];

  assert_true (i < infos->len);
  cau_guid_format (&g_array_index (infos, CauOrchestratorInfo, i).guid, text);
  assert_string_equal (text, expected);
}

static GArray *
list_orchestrators (CauStore *store, const char *after, guint max)
{
  g_autoptr (GError) error = NULL;
  CauGuid guid = fixture_guid (after != NULL ? after : guids[0]);
  GArray *infos = cau_store_list_orchestrators (store, after != NULL ? &guid : NULL, max, &error);

  assert_done (infos != NULL, &error);
  return infos;
}

static void
list_is_in_the_order_of_the_guids (void **state)
{
  static const guint order[] = { 3, 0, 4, 2, 1 };
  StoreFixture      *f = *state;
  g_autoptr (GArray) infos = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (order); i++)
    fixture_create_orchestrator (f->store, guids[order[i]]);
  infos = list_orchestrators (f->store, NULL, 100);
  assert_int_equal (infos->len, 6);
  assert_guid (infos, 0, guids[0]);
  assert_guid (infos, 1, guids[1]);
  assert_guid (infos, 2, FIXTURE_GUID);
  assert_guid (infos, 3, guids[2]);
  assert_guid (infos, 4, guids[3]);
  assert_guid (infos, 5, guids[4]);
}

static void
list_goes_on_after_a_guid (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GArray) first = NULL;
  g_autoptr (GArray) second = NULL;
  g_autoptr (GArray) absent = NULL;
  g_autoptr (GArray) end = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (guids); i++)
    fixture_create_orchestrator (f->store, guids[i]);
  first = list_orchestrators (f->store, NULL, 2);
  assert_int_equal (first->len, 2);
  assert_guid (first, 1, guids[1]);
  second = list_orchestrators (f->store, guids[1], 2);
  assert_int_equal (second->len, 2);
  assert_guid (second, 0, FIXTURE_GUID);
  assert_guid (second, 1, guids[2]);
  absent = list_orchestrators (f->store, "7fffffff-ffff-ffff-ffff-000000000000", 1);
  assert_int_equal (absent->len, 1);
  assert_guid (absent, 0, guids[2]);
  end = list_orchestrators (f->store, guids[4], 10);
  assert_int_equal (end->len, 0);
}

static void
list_carries_the_whole_info (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GArray) infos = NULL;
  const CauOrchestratorInfo *info;

  fixture_save_text (f->store, f->id, "a", "1");
  infos = list_orchestrators (f->store, NULL, 10);
  assert_int_equal (infos->len, 1);
  info = &g_array_index (infos, CauOrchestratorInfo, 0);
  assert_int_equal (info->id, f->id);
  assert_int_equal (info->n_reports, 1);
  assert_int_equal (info->attributes.uid, 1001);
}

/* ---- attributes ---- */

static void
set_attributes_sets_the_fields_of_the_mask (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  CauAttributes       attributes = { .mode = 0701, .uid = 7, .gid = 8, .atime = -5, .mtime = 6 };
  CauOrchestratorInfo before = get_orchestrator (f->store, f->id), info;

  assert_done (cau_store_set_orchestrator_attributes (f->store, f->id, CAU_ATTRIBUTE_MODE | CAU_ATTRIBUTE_ATIME,
                                                      &attributes, &info, &error),
               &error);
  assert_int_equal (info.attributes.mode, 0701);
  assert_int_equal (info.attributes.atime, -5);
  assert_int_equal (info.attributes.uid, 1001);
  assert_int_equal (info.attributes.gid, 1002);
  assert_int_equal (info.attributes.mtime, before.attributes.mtime);
  assert_true (info.attributes.ctime >= before.attributes.ctime);
  assert_done (cau_store_set_orchestrator_attributes (f->store, f->id,
                                                      CAU_ATTRIBUTE_UID | CAU_ATTRIBUTE_GID | CAU_ATTRIBUTE_MTIME,
                                                      &attributes, NULL, &error),
               &error);
  info = get_orchestrator (f->store, f->id);
  assert_int_equal (info.attributes.mode, 0701);
  assert_int_equal (info.attributes.uid, 7);
  assert_int_equal (info.attributes.gid, 8);
  assert_int_equal (info.attributes.mtime, 6);
}

static void
root_has_attributes_of_its_own (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  CauAttributes       attributes = { .mode = 01777, .uid = 3, .gid = 4 };
  CauOrchestratorInfo info;

  info = get_orchestrator (f->store, CAU_STORE_ROOT_ID);
  assert_int_equal (info.id, CAU_STORE_ROOT_ID);
  assert_done (cau_store_set_orchestrator_attributes (f->store, CAU_STORE_ROOT_ID,
                                                      CAU_ATTRIBUTE_MODE | CAU_ATTRIBUTE_UID | CAU_ATTRIBUTE_GID,
                                                      &attributes, &info, &error),
               &error);
  assert_int_equal (info.id, CAU_STORE_ROOT_ID);
  fixture_reopen (f, 0);
  info = get_orchestrator (f->store, CAU_STORE_ROOT_ID);
  assert_int_equal (info.attributes.mode, 01777);
  assert_int_equal (info.attributes.uid, 3);
  assert_int_equal (info.attributes.gid, 4);
  assert_int_equal (get_orchestrator (f->store, f->id).attributes.mode, 0640);
}

static void
root_is_no_orchestrator (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GArray) infos = list_orchestrators (f->store, NULL, 10);
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = NULL;
  CauAttributes attributes = fixture_attributes ();

  assert_int_equal (infos->len, 1);
  upload = cau_store_begin_upload (f->store, CAU_STORE_ROOT_ID, "a", CAU_UPLOAD_TRUNCATE, &attributes, &error);
  assert_failed (upload != NULL, &error, CAU_STORE_ERROR_NOT_FOUND);
}

static void
mtime_follows_the_names (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  guint64 other = fixture_create_orchestrator (f->store, guids[0]);

  set_mtime (f->store, f->id, 1);
  fixture_save_text (f->store, f->id, "a", "1");
  assert_true (get_orchestrator (f->store, f->id).attributes.mtime > 1);

  set_mtime (f->store, f->id, 1);
  fixture_save_text (f->store, f->id, "a", "2");
  assert_true (get_orchestrator (f->store, f->id).attributes.mtime > 1);

  set_mtime (f->store, f->id, 1);
  set_mtime (f->store, other, 1);
  assert_done (cau_store_rename_report (f->store, f->id, "a", other, "b", CAU_RENAME_REPLACE, &error), &error);
  assert_true (get_orchestrator (f->store, f->id).attributes.mtime > 1);
  assert_true (get_orchestrator (f->store, other).attributes.mtime > 1);

  set_mtime (f->store, other, 1);
  fixture_remove (f->store, other, "b");
  assert_true (get_orchestrator (f->store, other).attributes.mtime > 1);
}

static void
mtime_of_the_root_follows_the_orchestrators (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  CauGuid guid = fixture_guid (guids[0]);

  set_mtime (f->store, CAU_STORE_ROOT_ID, 1);
  fixture_create_orchestrator (f->store, guids[0]);
  assert_true (get_orchestrator (f->store, CAU_STORE_ROOT_ID).attributes.mtime > 1);
  set_mtime (f->store, CAU_STORE_ROOT_ID, 1);
  assert_done (cau_store_remove_orchestrator (f->store, &guid, &error), &error);
  assert_true (get_orchestrator (f->store, CAU_STORE_ROOT_ID).attributes.mtime > 1);
}

static void
n_reports_follows_saves_renames_and_removals (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  guint64 other = fixture_create_orchestrator (f->store, guids[0]);

  fixture_save_text (f->store, f->id, "a", "1");
  fixture_save_text (f->store, f->id, "b", "2");
  fixture_save_text (f->store, other, "c", "3");
  fixture_save_text (f->store, f->id, "a", "4");
  assert_int_equal (get_orchestrator (f->store, f->id).n_reports, 2);
  assert_done (cau_store_rename_report (f->store, f->id, "a", other, "c", CAU_RENAME_REPLACE, &error), &error);
  assert_int_equal (get_orchestrator (f->store, f->id).n_reports, 1);
  assert_int_equal (get_orchestrator (f->store, other).n_reports, 1);
  assert_done (cau_store_rename_report (f->store, f->id, "b", other, "c", CAU_RENAME_EXCHANGE, &error), &error);
  assert_int_equal (get_orchestrator (f->store, f->id).n_reports, 1);
  assert_int_equal (get_orchestrator (f->store, other).n_reports, 1);
  assert_done (cau_store_rename_report (f->store, f->id, "b", other, "b", CAU_RENAME_NO_REPLACE, &error), &error);
  assert_int_equal (get_orchestrator (f->store, f->id).n_reports, 0);
  assert_int_equal (get_orchestrator (f->store, other).n_reports, 2);
  fixture_remove (f->store, other, "b");
  assert_int_equal (get_orchestrator (f->store, other).n_reports, 1);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (create_takes_the_attributes_and_the_time),
    STORE_TEST (create_refuses_a_guid_that_exists),
    STORE_TEST (find_and_get_agree),
    STORE_TEST (unknown_orchestrators_are_not_found),
    STORE_TEST (remove_takes_an_empty_orchestrator),
    STORE_TEST (remove_refuses_one_with_reports),
    STORE_TEST (remove_refuses_one_with_an_upload),
    STORE_TEST (remove_leaves_open_readers_alone),
    STORE_TEST (removed_orchestrator_takes_no_reports),
    STORE_TEST (list_is_in_the_order_of_the_guids),
    STORE_TEST (list_goes_on_after_a_guid),
    STORE_TEST (list_carries_the_whole_info),
    STORE_TEST (set_attributes_sets_the_fields_of_the_mask),
    STORE_TEST (root_has_attributes_of_its_own),
    STORE_TEST (root_is_no_orchestrator),
    STORE_TEST (mtime_follows_the_names),
    STORE_TEST (mtime_of_the_root_follows_the_orchestrators),
    STORE_TEST (n_reports_follows_saves_renames_and_removals),
  };

  return cmocka_run_group_tests_name ("store-orchestrators", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "store-fixture.h"

static void
set_attributes (CauUpload *upload, CauAttributeMask mask, CauAttributes attributes)
{
  g_autoptr (GError) error = NULL;

  assert_done (cau_upload_set_attributes (upload, mask, &attributes, NULL, &error), &error);
}

static CauAttributes
attributes_of (StoreFixture *f, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  assert_done (cau_store_find_report (f->store, f->id, name, &info, &error), &error);
  return info.attributes;
}

static CauUploadState
get_state (CauUpload *upload)
{
  CauUploadState state;

  cau_upload_get_state (upload, &state);
  return state;
}

static void
new_report_has_the_attributes_it_was_begun_with (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  CauAttributes attributes = { .mode = 07777, .uid = 4294967294U, .gid = 3, .atime = 1, .mtime = 2, .ctime = 3 };
  g_autoptr (CauUpload) upload = cau_store_begin_upload (f->store, f->id, "a", 0, &attributes, &error);
  CauAttributes saved;

  assert_done (upload != NULL, &error);
  fixture_commit (upload);
  saved = attributes_of (f, "a");
  assert_int_equal (saved.mode, 07777);
  assert_int_equal (saved.uid, 4294967294U);
  assert_int_equal (saved.gid, 3);
  assert_true (saved.mtime > 3 && saved.ctime > 3);
}

static void
replaced_report_keeps_its_own_attributes (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  CauAttributes attributes = { .mode = 0777, .uid = 1, .gid = 1 };
  g_autoptr (CauUpload) upload = NULL;

  fixture_save_text (f->store, f->id, "a", "1");
  upload = cau_store_begin_upload (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE, &attributes, &error);
  assert_done (upload != NULL, &error);
  assert_int_equal (get_state (upload).attributes.mode, 0640);
  fixture_write_text (upload, 0, "2");
  fixture_commit (upload);
  assert_int_equal (attributes_of (f, "a").mode, 0640);
  assert_int_equal (attributes_of (f, "a").uid, 1001);
  assert_int_equal (attributes_of (f, "a").gid, 1002);
}

static void
attributes_set_before_the_commit_are_saved_by_it (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  CauAttributes saved;

  set_attributes (upload, CAU_ATTRIBUTE_MODE | CAU_ATTRIBUTE_UID | CAU_ATTRIBUTE_GID,
                  (CauAttributes){ .mode = 0444, .uid = 7, .gid = 8 });
  fixture_write_text (upload, 0, "text");
  set_attributes (upload, CAU_ATTRIBUTE_ATIME | CAU_ATTRIBUTE_MTIME, (CauAttributes){ .atime = -1, .mtime = 1234567 });
  assert_int_equal (get_state (upload).attributes.mode, 0444);
  assert_int_equal (get_state (upload).attributes.mtime, 1234567);
  fixture_assert_absent (f->store, f->id, "a");
  fixture_commit (upload);
  saved = attributes_of (f, "a");
  assert_int_equal (saved.mode, 0444);
  assert_int_equal (saved.uid, 7);
  assert_int_equal (saved.gid, 8);
  assert_int_equal (saved.atime, -1);
  assert_int_equal (saved.mtime, 1234567);
  assert_true (saved.ctime > 1234567);
}

static void
attributes_of_an_unwritten_upload_are_saved_with_the_empty_report (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

  set_attributes (upload, CAU_ATTRIBUTE_MODE | CAU_ATTRIBUTE_MTIME, (CauAttributes){ .mode = 0400, .mtime = 5 });
  fixture_commit (upload);
  assert_int_equal (attributes_of (f, "a").mode, 0400);
  assert_int_equal (attributes_of (f, "a").mtime, 5);
  fixture_assert_text (f->store, f->id, "a", "");
}

static void
write_overtakes_an_mtime (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

  set_attributes (upload, CAU_ATTRIBUTE_ATIME | CAU_ATTRIBUTE_MTIME, (CauAttributes){ .atime = 4, .mtime = 5 });
  fixture_write_text (upload, 0, "text");
  assert_true (get_state (upload).attributes.mtime > 5);
  fixture_commit (upload);
  assert_true (attributes_of (f, "a").mtime > 5);
  assert_int_equal (attributes_of (f, "a").atime, 4);
}

static void
truncation_overtakes_an_mtime (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = NULL;

  fixture_save_text (f->store, f->id, "a", "text");
  upload = fixture_begin (f->store, f->id, "a", 0);
  set_attributes (upload, CAU_ATTRIBUTE_MTIME, (CauAttributes){ .mtime = 5 });
  assert_int_equal (attributes_of (f, "a").mtime, 5);
  fixture_truncate (upload, 1);
  fixture_commit (upload);
  assert_true (attributes_of (f, "a").mtime > 5);
}

static void
attributes_of_a_clean_upload_are_saved_at_once (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = NULL;
  guint64 version;

  fixture_save_text (f->store, f->id, "a", "text");
  version = fixture_version (f->store, f->id, "a");
  upload = fixture_begin (f->store, f->id, "a", 0);
  set_attributes (upload, CAU_ATTRIBUTE_MODE | CAU_ATTRIBUTE_MTIME, (CauAttributes){ .mode = 0600, .mtime = 9 });
  assert_int_equal (attributes_of (f, "a").mode, 0600);
  assert_int_equal (attributes_of (f, "a").mtime, 9);
  assert_int_equal (fixture_version (f->store, f->id, "a"), version);
  assert_int_equal (get_state (upload).attributes.mode, 0600);
  fixture_commit (upload);
  assert_int_equal (attributes_of (f, "a").mtime, 9);
}

static void
attributes_set_after_a_commit_are_saved_at_once (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

  fixture_write_text (upload, 0, "text");
  fixture_commit (upload);
  set_attributes (upload, CAU_ATTRIBUTE_MODE | CAU_ATTRIBUTE_MTIME, (CauAttributes){ .mode = 0600, .mtime = 9 });
  assert_int_equal (attributes_of (f, "a").mode, 0600);
  assert_int_equal (attributes_of (f, "a").mtime, 9);
  fixture_assert_text (f->store, f->id, "a", "text");
}

static void
commit_leaves_what_others_set_alone (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = NULL;
  CauAttributes theirs = { .mode = 0600, .uid = 55, .atime = 77 };

  fixture_save_text (f->store, f->id, "a", "text");
  upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  fixture_write_text (upload, 0, "new");
  set_attributes (upload, CAU_ATTRIBUTE_GID, (CauAttributes){ .gid = 66 });
  assert_done (cau_store_set_report_attributes (f->store, fixture_version (f->store, f->id, "a"),
                                                CAU_ATTRIBUTE_MODE | CAU_ATTRIBUTE_UID | CAU_ATTRIBUTE_ATIME, &theirs,
                                                NULL, &error),
               &error);
  fixture_commit (upload);
  assert_int_equal (attributes_of (f, "a").atime, 77);
  assert_int_equal (attributes_of (f, "a").mode, 0600);
  assert_int_equal (attributes_of (f, "a").uid, 55);
  assert_int_equal (attributes_of (f, "a").gid, 66);
}

static void
attributes_of_a_removed_report_go_with_it (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = NULL;

  fixture_save_text (f->store, f->id, "a", "text");
  upload = fixture_begin (f->store, f->id, "a", 0);
  fixture_remove (f->store, f->id, "a");
  set_attributes (upload, CAU_ATTRIBUTE_MODE, (CauAttributes){ .mode = 0600 });
  assert_int_equal (get_state (upload).attributes.mode, 0600);
  fixture_assert_absent (f->store, f->id, "a");
}

static void
mask_of_nothing_sets_nothing (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

  set_attributes (upload, 0, (CauAttributes){ .mode = 1, .uid = 1, .gid = 1, .atime = 1, .mtime = 1 });
  fixture_commit (upload);
  set_attributes (upload, 0, (CauAttributes){ .mode = 1, .uid = 1, .gid = 1, .atime = 1, .mtime = 1 });
  assert_int_equal (attributes_of (f, "a").mode, 0640);
  assert_int_equal (attributes_of (f, "a").uid, 1001);
  assert_true (attributes_of (f, "a").mtime > 1);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (new_report_has_the_attributes_it_was_begun_with),
    STORE_TEST (replaced_report_keeps_its_own_attributes),
    STORE_TEST (attributes_set_before_the_commit_are_saved_by_it),
    STORE_TEST (attributes_of_an_unwritten_upload_are_saved_with_the_empty_report),
    STORE_TEST (write_overtakes_an_mtime),
    STORE_TEST (truncation_overtakes_an_mtime),
    STORE_TEST (attributes_of_a_clean_upload_are_saved_at_once),
    STORE_TEST (attributes_set_after_a_commit_are_saved_at_once),
    STORE_TEST (commit_leaves_what_others_set_alone),
    STORE_TEST (attributes_of_a_removed_report_go_with_it),
    STORE_TEST (mask_of_nothing_sets_nothing),
  };

  return cmocka_run_group_tests_name ("store-upload-attributes", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "store-fixture.h"

/* What an upload is for, kept while the name goes its own ways, and one more upload of it. */

static CauUpload *
begin_of (StoreFixture *f, CauTarget *target, const char *name, GError **error)
{
  CauAttributes attributes = fixture_attributes ();

  return cau_store_begin_upload_of (f->store, target, f->id, name, 0, &attributes, error);
}

static void
assert_lost (StoreFixture *f, CauTarget *target, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = begin_of (f, target, name, &error);

  assert_failed (upload != NULL, &error, CAU_STORE_ERROR_NOT_FOUND);
}

/* Its upload is @upload's, and nobody has it any more. */
static CauTarget *
target_of_dropped (CauUpload *upload)
{
  CauTarget *target = cau_upload_get_target (upload);

  cau_upload_unref (upload);
  return target;
}

static void
unsaved_name_is_joined_wherever_it_is (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) first = fixture_begin (f->store, f->id, "a", 0);
  g_autoptr (CauTarget) target = cau_upload_get_target (first);
  g_autoptr (CauUpload) second = NULL;

  assert_done (cau_store_rename_report (f->store, f->id, "a", f->id, "b", CAU_RENAME_REPLACE, &error), &error);
  second = begin_of (f, target, NULL, &error);
  assert_done (second != NULL, &error);
  fixture_write_text (second, 0, "second");
  fixture_commit (second);
  fixture_assert_text (f->store, f->id, "b", "second");
  fixture_assert_absent (f->store, f->id, "a");
}

static void
joined_upload_has_the_attributes_of_the_first (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) first = fixture_begin (f->store, f->id, "a", 0);
  g_autoptr (CauTarget) target = cau_upload_get_target (first);
  g_autoptr (CauUpload) second = NULL;
  CauAttributes  others = { .mode = 0600, .uid = 7, .gid = 8 };
  CauUploadState state_of_second;

  second = cau_store_begin_upload_of (f->store, target, f->id, "a", 0, &others, &error);
  assert_done (second != NULL, &error);
  cau_upload_get_state (second, &state_of_second);
  assert_int_equal (state_of_second.attributes.mode, fixture_attributes ().mode);
  assert_int_equal (state_of_second.attributes.uid, fixture_attributes ().uid);
}

static void
saved_report_is_begun_with_its_bytes (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) first = fixture_begin (f->store, f->id, "a", 0);
  g_autoptr (CauTarget) target = cau_upload_get_target (first);
  g_autoptr (CauUpload) second = NULL;

  fixture_write_text (first, 0, "first");
  fixture_commit (first);
  second = begin_of (f, target, "a", &error);
  assert_done (second != NULL, &error);
  fixture_assert_upload_text (second, "first");
}

static void
target_follows_no_other_report_of_its_name (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) unsaved = fixture_begin (f->store, f->id, "a", 0);
  g_autoptr (CauTarget) removed = cau_upload_get_target (unsaved);
  g_autoptr (CauUpload) saved = NULL;
  g_autoptr (CauTarget) replaced = NULL;

  fixture_remove (f->store, f->id, "a");
  assert_lost (f, removed, "a");
  saved = fixture_begin (f->store, f->id, "a", 0);
  replaced = cau_upload_get_target (saved);
  assert_lost (f, removed, "a");
  fixture_write_text (saved, 0, "saved");
  fixture_commit (saved);
  assert_lost (f, removed, "a");

  fixture_remove (f->store, f->id, "a");
  assert_lost (f, replaced, "a");
  fixture_save_text (f->store, f->id, "a", "other");
  assert_lost (f, replaced, "a");
  assert_lost (f, replaced, NULL);
  fixture_assert_text (f->store, f->id, "a", "other");
}

/* Another process; a store that is opened twice is as good as two. */
static void
target_follows_no_report_that_another_process_put_there (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauStore) other = fixture_open (f, 0);
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", 0);
  g_autoptr (CauTarget) target = cau_upload_get_target (upload);

  fixture_commit (upload);
  fixture_remove (other, f->id, "a");
  fixture_save_text (other, f->id, "a", "other");
  assert_lost (f, target, "a");
}

static void
kept_target_leaves_its_name_free (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauTarget) target = target_of_dropped (fixture_begin (f->store, f->id, "a", CAU_UPLOAD_EXCLUSIVE));
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_EXCLUSIVE);

  assert_lost (f, target, "a");
  cau_upload_abandon (upload);
  fixture_assert_absent (f->store, f->id, "a");
}

static void
kept_target_does_not_count_as_an_upload (void **state)
{
  StoreFixture  *f = *state;
  CauUpload     *upload = fixture_begin (f->store, f->id, "a", 0);
  CauUploadState saved;
  g_autoptr (CauTarget) target = NULL;

  fixture_commit (upload);
  cau_upload_get_state (upload, &saved);
  assert_true (cau_store_has_upload (f->store, saved.report));
  target = target_of_dropped (upload);
  assert_false (cau_store_has_upload (f->store, saved.report));
}

static void
no_replace_keeps_from_what_was_saved_meanwhile (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  CauAttributes attributes = fixture_attributes ();
  g_autoptr (CauUpload) first = fixture_begin (f->store, f->id, "a", 0);
  g_autoptr (CauTarget) target = cau_upload_get_target (first);
  g_autoptr (CauUpload) second = NULL;

  fixture_commit (first);
  second = cau_store_begin_upload_of (f->store, target, f->id, "a", CAU_UPLOAD_NO_REPLACE, &attributes, &error);
  assert_failed (second != NULL, &error, CAU_STORE_ERROR_REFUSED);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (unsaved_name_is_joined_wherever_it_is),
    STORE_TEST (joined_upload_has_the_attributes_of_the_first),
    STORE_TEST (saved_report_is_begun_with_its_bytes),
    STORE_TEST (target_follows_no_other_report_of_its_name),
    STORE_TEST (target_follows_no_report_that_another_process_put_there),
    STORE_TEST (kept_target_leaves_its_name_free),
    STORE_TEST (kept_target_does_not_count_as_an_upload),
    STORE_TEST (no_replace_keeps_from_what_was_saved_meanwhile),
  };

  return cmocka_run_group_tests_name ("store-target", tests, NULL, NULL);
}

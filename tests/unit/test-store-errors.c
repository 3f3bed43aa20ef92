/* SPDX-License-Identifier: MIT */
/* What is refused, function by function: bad names, numbers of nothing, stores for reading only, files that may
 * not be used. Nothing is changed by any of it. */
#include "store-fixture.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- names ---- */

static void
assert_begin_fails (StoreFixture *f, guint64 id, const char *name, CauStoreError code)
{
  g_autoptr (GError) error = NULL;
  CauAttributes attributes = fixture_attributes ();
  g_autoptr (CauUpload) upload = cau_store_begin_upload (f->store, id, name, CAU_UPLOAD_TRUNCATE, &attributes, &error);

  assert_failed (upload != NULL, &error, code);
}

static void
uploads_of_bad_names_are_refused (void **state)
{
  static const char *const bad[] = { "",     ".",        "..",       "a/b",         "/",           "tab\t",
                                     "\x7f", "\xc2\x80", "\xff\xfe", "cut\xe2\x82", "\xed\xa0\x80" };
  g_autofree char         *too_long = g_strnfill (256, 'n');
  g_autofree char         *much_too_long = g_strnfill (100000, '\n');
  StoreFixture            *f = *state;
  g_autoptr (GPtrArray) names = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    assert_begin_fails (f, f->id, bad[i], CAU_STORE_ERROR_INVALID);
  assert_begin_fails (f, f->id, too_long, CAU_STORE_ERROR_NAME_TOO_LONG);
  assert_begin_fails (f, f->id, much_too_long, CAU_STORE_ERROR_NAME_TOO_LONG);
  names = fixture_list (f->store, f->id, NULL);
  assert_int_equal (names->len, 0);
}

static void
bad_names_lead_nowhere (void **state)
{
  static const char *const bad[] = { "", ".", "..", "a/b", "\xff" };
  g_autofree char         *too_long = g_strnfill (256, 'n');
  StoreFixture            *f = *state;

  fixture_save_text (f->store, f->id, "a", "1");
  for (guint i = 0; i <= G_N_ELEMENTS (bad); i++)
    {
      const char *name = i < G_N_ELEMENTS (bad) ? bad[i] : too_long;
      g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

      assert_false (cau_store_find_report (f->store, f->id, name, &info, NULL));
      assert_null (cau_store_get_report (f->store, f->id, name, 1, NULL));
      assert_false (cau_store_remove_report (f->store, f->id, name, NULL));
      assert_false (cau_store_rename_report (f->store, f->id, name, f->id, "b", CAU_RENAME_REPLACE, NULL));
      assert_null (cau_store_find_upload (f->store, f->id, name));
    }
  fixture_assert_text (f->store, f->id, "a", "1");
}

/* ---- numbers ---- */

static void
numbers_of_nothing_are_not_found (void **state)
{
  StoreFixture *f = *state;
  const guint64 ids[] = { CAU_STORE_ROOT_ID, f->id + 1, G_GUINT64_CONSTANT (1) << 62, G_MAXUINT64 };

  for (guint i = 0; i < G_N_ELEMENTS (ids); i++)
    {
      g_autoptr (GError) error = NULL;
      g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
      g_autoptr (CauReader) reader = NULL;

      assert_begin_fails (f, ids[i], "a", CAU_STORE_ERROR_NOT_FOUND);
      assert_failed (cau_store_find_report (f->store, ids[i], "a", &info, &error), &error, CAU_STORE_ERROR_NOT_FOUND);
      assert_failed (cau_store_remove_report (f->store, ids[i], "a", &error), &error, CAU_STORE_ERROR_NOT_FOUND);
      reader = cau_store_get_report (f->store, ids[i], "a", 1, &error);
      assert_failed (reader != NULL, &error, CAU_STORE_ERROR_NOT_FOUND);
      assert_false (cau_store_has_upload (f->store, ids[i]));
    }
}

static void
versions_of_nothing_are_stale (void **state)
{
  StoreFixture *f = *state;
  const guint64 versions[] = { 0, 1000000, G_GUINT64_CONSTANT (1) << 62, G_MAXUINT64 };
  CauAttributes attributes = fixture_attributes ();

  for (guint i = 0; i < G_N_ELEMENTS (versions); i++)
    {
      g_autoptr (GError) error = NULL;
      g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
      g_autoptr (CauReader) reader = cau_store_open_version (f->store, versions[i], 1, &error);

      assert_failed (reader != NULL, &error, CAU_STORE_ERROR_STALE);
      assert_failed (cau_store_get_version (f->store, versions[i], &info, &error), &error, CAU_STORE_ERROR_STALE);
      assert_failed (
        cau_store_set_report_attributes (f->store, versions[i], CAU_ATTRIBUTE_MODE, &attributes, NULL, &error), &error,
        CAU_STORE_ERROR_STALE);
    }
}

/* ---- stores for reading only ---- */

static void
assert_orchestrators_cannot_change (StoreFixture *f)
{
  g_autoptr (GError) error = NULL;
  CauAttributes       attributes = fixture_attributes ();
  CauGuid             other = fixture_guid ("00000000-0000-0000-0000-000000000000");
  CauOrchestratorInfo info;

  assert_failed (cau_store_create_orchestrator (f->store, &other, &attributes, &info, &error), &error,
                 CAU_STORE_ERROR_READ_ONLY);
  assert_failed (cau_store_remove_orchestrator (f->store, &f->guid, &error), &error, CAU_STORE_ERROR_READ_ONLY);
  assert_failed (
    cau_store_set_orchestrator_attributes (f->store, f->id, CAU_ATTRIBUTE_MODE, &attributes, &info, &error), &error,
    CAU_STORE_ERROR_READ_ONLY);
}

static void
assert_reports_cannot_change (StoreFixture *f)
{
  g_autoptr (GError) error = NULL;
  CauAttributes attributes = fixture_attributes ();
  guint64       version = fixture_version (f->store, f->id, "a");

  assert_begin_fails (f, f->id, "a", CAU_STORE_ERROR_READ_ONLY);
  assert_begin_fails (f, f->id, "b", CAU_STORE_ERROR_READ_ONLY);
  assert_failed (cau_store_rename_report (f->store, f->id, "a", f->id, "b", CAU_RENAME_REPLACE, &error), &error,
                 CAU_STORE_ERROR_READ_ONLY);
  assert_failed (cau_store_remove_report (f->store, f->id, "a", &error), &error, CAU_STORE_ERROR_READ_ONLY);
  assert_failed (cau_store_set_report_attributes (f->store, version, CAU_ATTRIBUTE_MODE, &attributes, NULL, &error),
                 &error, CAU_STORE_ERROR_READ_ONLY);
}

static void
read_only_store_changes_nothing (void **state)
{
  StoreFixture *f = *state;

  fixture_save_text (f->store, f->id, "a", "1");
  fixture_reopen (f, CAU_STORE_OPEN_READ_ONLY);
  assert_orchestrators_cannot_change (f);
  assert_reports_cannot_change (f);
  fixture_assert_text (f->store, f->id, "a", "1");
  fixture_reopen (f, 0);
  fixture_assert_text (f->store, f->id, "a", "1");
}

static void
read_only_store_does_not_collect (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;

  fixture_reopen (f, CAU_STORE_OPEN_READ_ONLY);
  assert_failed (cau_store_collect (f->store, NULL, &error), &error, CAU_STORE_ERROR_READ_ONLY);
}

static void
read_only_store_syncs_and_tells_its_space (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  CauStoreStat stat;

  fixture_save_text (f->store, f->id, "a", "1");
  fixture_reopen (f, CAU_STORE_OPEN_READ_ONLY);
  assert_done (cau_store_sync (f->store, &error), &error);
  assert_done (cau_store_stat (f->store, &stat, &error), &error);
  assert_int_equal (stat.n_reports, 1);
}

/* ---- files that may not be used ---- */

/* What a thread without root's powers over files does, and what came of it. */
typedef struct
{
  const char       *path;
  CauStoreOpenFlags flags;
  guint64           id;     /* of the orchestrator whose report "a" is read, if not 0 */
  CauStore         *store;  /* owned */
  CauReader        *reader; /* owned */
  char              text[16];
  gsize             n_read;
  GError           *error; /* owned */
} Unprivileged;

/* Gives up root's power to pass over permission bits, in this thread and those it starts, for good. */
static gboolean
drop_permission_override (void)
{
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
  struct __user_cap_data_struct   data[2];
  const guint32                   powers = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER;

  if (syscall (SYS_capget, &header, data) != 0)
    return FALSE;
  data[0].effective &= ~powers;
  data[0].permitted &= ~powers;
  data[0].inheritable &= ~powers;
  return syscall (SYS_capset, &header, data) == 0;
}

static gpointer
open_in_thread (gpointer user_data)
{
  Unprivileged *self = user_data;

  if (!drop_permission_override ())
    return NULL;
  self->store = cau_store_open (self->path, self->flags, &self->error);
  if (self->store != NULL && self->id != 0)
    self->reader = cau_store_get_report (self->store, self->id, "a", 1, &self->error);
  if (self->reader != NULL
      && !cau_reader_read (self->reader, 0, self->text, sizeof self->text, &self->n_read, &self->error))
    self->n_read = 0;
  return self;
}

static void
run_unprivileged (Unprivileged *self)
{
  GThread *thread = g_thread_new ("unprivileged", open_in_thread, self);

  assert_non_null (g_thread_join (thread));
}

static void
unprivileged_clear (Unprivileged *self)
{
  g_clear_pointer (&self->reader, cau_reader_unref);
  g_clear_pointer (&self->store, cau_store_unref);
  g_clear_error (&self->error);
}

static int
permissions_teardown (void **state)
{
  StoreFixture *f = *state;

  chmod (f->dir, 0700);
  return fixture_teardown (state);
}

static void
assert_open_fails (const char *path, CauStoreOpenFlags flags, CauStoreError code)
{
  Unprivileged self = { .path = path, .flags = flags };

  run_unprivileged (&self);
  assert_null (self.store);
  assert_non_null (self.error);
  assert_non_null (strstr (self.error->message, path));
  assert_failed (FALSE, &self.error, code);
}

static void
store_nobody_may_read_is_refused (void **state)
{
  StoreFixture *f = *state;

  fixture_close (f);
  assert_int_equal (chmod (f->path, 0), 0);
  assert_open_fails (f->path, 0, CAU_STORE_ERROR_PERMISSION);
  assert_open_fails (f->path, CAU_STORE_OPEN_CREATE, CAU_STORE_ERROR_PERMISSION);
  assert_open_fails (f->path, CAU_STORE_OPEN_READ_ONLY, CAU_STORE_ERROR_PERMISSION);
}

static void
store_in_a_folder_nobody_may_search_is_refused (void **state)
{
  StoreFixture *f = *state;

  fixture_close (f);
  assert_int_equal (chmod (f->dir, 0), 0);
  assert_open_fails (f->path, 0, CAU_STORE_ERROR_PERMISSION);
  assert_open_fails (f->path, CAU_STORE_OPEN_READ_ONLY, CAU_STORE_ERROR_PERMISSION);
}

static void
store_cannot_be_made_in_a_read_only_folder (void **state)
{
  StoreFixture    *f = *state;
  g_autofree char *path = g_build_filename (f->dir, "new.db", NULL);

  fixture_close (f);
  assert_int_equal (chmod (f->dir, 0500), 0);
  assert_open_fails (path, CAU_STORE_OPEN_CREATE, CAU_STORE_ERROR_PERMISSION);
}

/* A folder of a store that was closed, as read-only media has it. */
static void
forbid_writing (StoreFixture *f)
{
  g_autoptr (GDir) dir = g_dir_open (f->dir, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (f->dir, name, NULL);

      assert_int_equal (chmod (path, 0400), 0);
    }
  assert_int_equal (chmod (f->dir, 0500), 0);
}

static void
unwritable_store_is_not_opened_for_writing (void **state)
{
  StoreFixture *f = *state;

  fixture_close (f);
  forbid_writing (f);
  assert_open_fails (f->path, 0, CAU_STORE_ERROR_PERMISSION);
}

static void
unwritable_store_can_be_read (void **state)
{
  StoreFixture *f = *state;
  Unprivileged  self = { .path = f->path, .flags = CAU_STORE_OPEN_READ_ONLY, .id = f->id };

  fixture_save_text (f->store, f->id, "a", "text");
  fixture_close (f);
  forbid_writing (f);
  run_unprivileged (&self);
  assert_done (self.n_read == 4, &self.error);
  assert_memory_equal (self.text, "text", 4);
  unprivileged_clear (&self);
}

/* The folder can be written, the store's file cannot: it belongs to somebody else, say. */
static void
unwritable_file_can_be_read (void **state)
{
  StoreFixture *f = *state;
  Unprivileged  self = { .path = f->path, .flags = CAU_STORE_OPEN_READ_ONLY, .id = f->id };

  fixture_save_text (f->store, f->id, "a", "text");
  fixture_close (f);
  assert_int_equal (chmod (f->path, 0400), 0);
  assert_open_fails (f->path, 0, CAU_STORE_ERROR_PERMISSION);
  run_unprivileged (&self);
  assert_done (self.n_read == 4, &self.error);
  assert_memory_equal (self.text, "text", 4);
  unprivileged_clear (&self);
}

/* ---- engines, and errno ---- */

static void
engine_that_is_not_built_in_is_unsupported (void **state)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStore) store = cau_store_open ("rados://pool/namespace", CAU_STORE_OPEN_CREATE, &error);

  (void) state;
  assert_failed (store != NULL, &error, CAU_STORE_ERROR_UNSUPPORTED);
}

static void
errors_of_the_store_have_an_errno (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  assert_false (cau_store_find_report (f->store, f->id, "none", &info, &error));
  assert_int_equal (cau_store_error_to_errno (error), ENOENT);
  g_clear_error (&error);
  assert_null (cau_store_open_version (f->store, 12345, 1, &error));
  assert_int_equal (cau_store_error_to_errno (error), ESTALE);
}

static void
errors_may_be_ignored (void **state)
{
  StoreFixture *f = *state;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  CauOrchestratorInfo orchestrator;

  assert_null (cau_store_open (f->dir, 0, NULL));
  assert_null (cau_store_get_report_ids (f->store, f->id + 1, NULL, NULL));
  assert_false (cau_store_get_version (f->store, 0, &info, NULL));
  assert_false (cau_store_get_orchestrator (f->store, f->id + 1, &orchestrator, NULL));
  assert_null (cau_store_begin_upload (f->store, f->id, "", 0, NULL, NULL));
}

#define PERMISSION_TEST(function) cmocka_unit_test_setup_teardown (function, fixture_setup, permissions_teardown)

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (uploads_of_bad_names_are_refused),
    STORE_TEST (bad_names_lead_nowhere),
    STORE_TEST (numbers_of_nothing_are_not_found),
    STORE_TEST (versions_of_nothing_are_stale),
    STORE_TEST (read_only_store_changes_nothing),
    STORE_TEST (read_only_store_does_not_collect),
    STORE_TEST (read_only_store_syncs_and_tells_its_space),
    PERMISSION_TEST (store_nobody_may_read_is_refused),
    PERMISSION_TEST (store_in_a_folder_nobody_may_search_is_refused),
    PERMISSION_TEST (store_cannot_be_made_in_a_read_only_folder),
    PERMISSION_TEST (unwritable_store_is_not_opened_for_writing),
    PERMISSION_TEST (unwritable_store_can_be_read),
    PERMISSION_TEST (unwritable_file_can_be_read),
    STORE_TEST (engine_that_is_not_built_in_is_unsupported),
    STORE_TEST (errors_of_the_store_have_an_errno),
    STORE_TEST (errors_may_be_ignored),
  };

  return cmocka_run_group_tests_name ("store-errors", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */

/* What a store remembers of reports must never hide what was changed since, by itself or by another. */

#include "store-fixture.h"

#define ROUNDS 200

static guint64
find_size (CauStore *store, guint64 id, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  assert_done (cau_store_find_report (store, id, name, &info, &error), &error);
  assert_string_equal (info.name, name);
  return info.size;
}

static guint
version_mode (CauStore *store, guint64 version)
{
  g_autoptr (GError) error = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  assert_done (cau_store_get_version (store, version, &info, &error), &error);
  assert_int_equal (info.version, version);
  return info.attributes.mode;
}

static void
replacements_by_another_are_found_at_once (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauStore) other = fixture_open (f, 0);

  for (guint i = 1; i <= ROUNDS; i++)
    {
      g_autofree char *text = g_strnfill (i, 'x');

      fixture_save_text (i % 2 == 0 ? f->store : other, f->id, "a", text);
      for (guint again = 0; again < 2; again++)
        {
          assert_int_equal (find_size (f->store, f->id, "a"), i);
          assert_int_equal (find_size (other, f->id, "a"), i);
        }
    }
}

static void
replaced_version_is_not_opened_again (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauStore) other = fixture_open (f, 0);

  for (guint i = 1; i <= ROUNDS; i++)
    {
      g_autoptr (GError) error = NULL;
      g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
      CauReader *reader;
      guint64    old;

      fixture_save_text (f->store, f->id, "a", "old");
      old = fixture_version (f->store, f->id, "a");
      reader = cau_store_open_version (f->store, old, 1, &error);
      assert_done (reader != NULL, &error);
      cau_reader_unref (reader);
      fixture_save_text (i % 2 == 0 ? f->store : other, f->id, "a", "new");
      reader = cau_store_open_version (f->store, old, 1, &error);
      assert_failed (reader != NULL, &error, CAU_STORE_ERROR_STALE);
      assert_failed (cau_store_get_version (f->store, old, &info, &error), &error, CAU_STORE_ERROR_STALE);
    }
}

static void
version_that_is_read_has_no_name_once_replaced (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  g_autoptr (CauStore) other = fixture_open (f, 0);
  g_autoptr (CauReader) reader = NULL;
  guint64 old;

  fixture_save_text (f->store, f->id, "a", "old");
  old = fixture_version (f->store, f->id, "a");
  reader = fixture_get_report (f->store, f->id, "a", 1);
  assert_done (cau_store_get_version (f->store, old, &info, &error), &error);
  assert_int_equal (info.orchestrator, f->id);
  fixture_save_text (other, f->id, "a", "new");
  for (guint again = 0; again < 2; again++)
    {
      assert_done (cau_store_get_version (f->store, old, &info, &error), &error);
      assert_int_equal (info.orchestrator, 0);
      assert_null (info.name);
    }
}

static void
removals_renames_and_attributes_of_another_are_seen_at_once (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauStore) other = fixture_open (f, 0);

  for (guint i = 0; i < ROUNDS / 4; i++)
    {
      g_autoptr (GError) error = NULL;
      CauAttributes attributes = { .mode = i };
      guint64       version;

      fixture_save_text (f->store, f->id, "a", "text");
      version = fixture_version (f->store, f->id, "a");
      assert_int_equal (version_mode (f->store, version), 0640);
      assert_done (cau_store_set_report_attributes (other, version, CAU_ATTRIBUTE_MODE, &attributes, NULL, &error),
                   &error);
      assert_int_equal (version_mode (f->store, version), i);
      assert_done (cau_store_rename_report (other, f->id, "a", f->id, "b", CAU_RENAME_REPLACE, &error), &error);
      fixture_assert_absent (f->store, f->id, "a");
      assert_int_equal (find_size (f->store, f->id, "b"), 4);
      fixture_remove (other, f->id, "b");
      fixture_assert_absent (f->store, f->id, "b");
    }
}

typedef struct
{
  CauStore *store;
  guint64   id;
  gint      saved;  /* atomic: the size of the last save that returned */
  gint      behind; /* atomic: how often less was found */
  gint      stop;   /* atomic */
} Race;

static gpointer
look_again_and_again (gpointer data)
{
  Race *race = data;

  while (!g_atomic_int_get (&race->stop))
    {
      g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
      guint64 saved = (guint64) g_atomic_int_get (&race->saved);

      if (!cau_store_find_report (race->store, race->id, "a", &info, NULL) || info.size < saved)
        g_atomic_int_inc (&race->behind);
    }
  return NULL;
}

static void
nobody_finds_less_than_was_saved_before (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauStore) other = fixture_open (f, 0);
  Race     race = { .store = f->store, .id = f->id };
  GThread *threads[3];

  fixture_save_text (f->store, f->id, "a", "");
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("look", look_again_and_again, &race);
  for (gint i = 1; i <= 3 * ROUNDS; i++)
    {
      g_autofree char *text = g_strnfill ((gsize) i, 'x');

      fixture_save_text (i % 3 == 0 ? f->store : other, f->id, "a", text);
      g_atomic_int_set (&race.saved, i);
    }
  g_atomic_int_set (&race.stop, TRUE);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  assert_int_equal (race.behind, 0);
}

static void
more_reports_than_are_remembered_are_all_found (void **state)
{
  StoreFixture *f = *state;
  const guint   n = 16384 + 100;

  fixture_save_many (f->store, f->id, n);
  for (guint round = 0; round < 2; round++)
    for (guint i = 0; i < n; i++)
      {
        g_autofree char *name = g_strdup_printf ("report-%05u", i);

        find_size (f->store, f->id, name);
      }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (replacements_by_another_are_found_at_once),
    STORE_TEST (replaced_version_is_not_opened_again),
    STORE_TEST (version_that_is_read_has_no_name_once_replaced),
    STORE_TEST (removals_renames_and_attributes_of_another_are_seen_at_once),
    STORE_TEST (nobody_finds_less_than_was_saved_before),
    STORE_TEST (more_reports_than_are_remembered_are_all_found),
  };

  return cmocka_run_group_tests_name ("store-cache", tests, NULL, NULL);
}

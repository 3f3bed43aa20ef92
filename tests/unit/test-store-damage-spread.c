/* SPDX-License-Identifier: MIT */
/* What is saved in a damaged store costs no report that could be read or recovered before. */
#include "cau-check.h"
#include "store-damage.h"

#include <stdio.h>
#include <string.h>

#define PAGE 4096
#define REPORTS 60

static void
note_good (const CauFinding *finding, gpointer names)
{
  if (finding->kind == CAU_FINDING_GOOD && finding->name != NULL)
    g_hash_table_add (names, g_strdup (finding->name));
}

/* The names of the reports that can be recovered. */
static GHashTable *
recover (StoreFixture *f)
{
  g_autofree char *path = g_build_filename (f->dir, "recovered", NULL);
  GHashTable      *names = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  CauCheckFuncs    funcs = { .found = note_good, .user_data = names };
  CauCheckSummary  summary;

  if (!cau_store_recover (f->path, path, &funcs, &summary, NULL))
    g_hash_table_remove_all (names);
  remove (path);
  return names;
}

static gboolean
save (CauStore *store, guint64 id, const char *name)
{
  const CauAttributes attributes = fixture_attributes ();
  g_autoptr (CauUpload) upload = cau_store_begin_upload (store, id, name, CAU_UPLOAD_TRUNCATE, &attributes, NULL);

  return upload != NULL && cau_upload_append (upload, name, strlen (name), NULL)
         && cau_upload_commit (upload, NULL, NULL);
}

/* Each may fail. */
static void
change (StoreFixture *f)
{
  g_autoptr (CauStore) store = cau_store_open (f->path, 0, NULL);

  if (store == NULL)
    return;
  save (store, f->id, "zz-new");
  save (store, f->id, "report-00005");
  (void) !cau_store_remove_report (store, f->id, "report-00010", NULL);
  (void) !cau_store_rename_report (store, f->id, "report-00015", f->id, "renamed", 0, NULL);
  for (guint i = 0; i < 6; i++)
    {
      g_autofree char *name = g_strdup_printf ("zz-%u", i);

      save (store, f->id, name);
    }
}

static void
assert_changes_lose_nothing (StoreFixture *f, gsize position, guint bit)
{
  g_autoptr (GHashTable) before = recover (f);
  g_autoptr (GHashTable) after = NULL;
  GHashTableIter iter;
  gpointer       name;

  change (f);
  after = recover (f);
  g_hash_table_remove (before, "report-00010");
  g_hash_table_remove (before, "report-00015");
  g_hash_table_iter_init (&iter, before);
  while (g_hash_table_iter_next (&iter, &name, NULL))
    if (!g_hash_table_contains (after, name))
      fail_msg ("with bit %u of byte %zu wrong, %s is lost by saving others", bit, position, (char *) name);
}

/* What SQLite believes when it puts a row into a page: where there is room. */
static void
header_of_a_page_that_is_wrong_costs_no_report (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = NULL;
  gsize leaves[2];

  fixture_save_many (f->store, f->id, REPORTS);
  fixture_remove (f->store, f->id, "report-00003");
  fixture_close (f);
  leaves[0] = (gsize) damage_query (f, "SELECT min(pageno) FROM dbstat WHERE name = 'versions' AND pagetype = 'leaf'");
  leaves[1] = (gsize) damage_query (f, "SELECT max(pageno) FROM dbstat WHERE name = 'versions' AND pagetype = 'leaf'");
  assert_int_not_equal (leaves[0], leaves[1]);
  bytes = damage_read_file (f->path);
  for (guint i = 0; i < G_N_ELEMENTS (leaves); i++)
    for (guint bit = 8; bit < 8 * 8; bit++)
      {
        gsize position = (leaves[i] - 1) * PAGE + bit / 8;
        g_autoptr (GBytes) damaged = damage_flip (bytes, position, (guint8) (1 << bit % 8));

        damage_replace_store (f, damaged);
        assert_changes_lose_nothing (f, position, bit % 8);
      }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (header_of_a_page_that_is_wrong_costs_no_report),
  };

  return cmocka_run_group_tests_name ("store-damage-spread", tests, NULL, NULL);
}

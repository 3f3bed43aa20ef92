/* SPDX-License-Identifier: MIT */
#include "varied.h"

#include "store-damage.h"

#include <string.h>

#define APPENDED_TEXT "a line at the end\n"

static const char *const guids[] = {
  "10000000-0000-4000-8000-000000000001", "20000000-0000-4000-8000-000000000002",
  "30000000-0000-4000-8000-000000000003", "40000000-0000-4000-8000-000000000004",
  "50000000-0000-4000-8000-000000000005",
};

static void
report_free (gpointer data)
{
  VariedReport *self = data;

  g_bytes_unref (self->bytes);
  g_bytes_unref (self->older);
  g_free (self->name);
  g_free (self);
}

/* @older: (transfer full): NULL: none. */
static void
add (GPtrArray *reports, guint orchestrator, char *name, GBytes *bytes, GBytes *older)
{
  VariedReport *report = g_new0 (VariedReport, 1);

  report->guid = fixture_guid (guids[orchestrator]);
  report->name = name;
  report->bytes = bytes;
  report->older = older != NULL ? older : g_bytes_ref (bytes);
  report->mode = 0640;
  g_ptr_array_add (reports, report);
}

static GBytes *
appended_bytes (void)
{
  GByteArray *all = g_byte_array_new ();
  g_autoptr (GBytes) first = fixture_bytes (900, 2 * STORED_CHUNK + 3000);

  g_byte_array_append (all, g_bytes_get_data (first, NULL), (guint) g_bytes_get_size (first));
  g_byte_array_append (all, (const guint8 *) APPENDED_TEXT, strlen (APPENDED_TEXT));
  return g_byte_array_free_to_bytes (all);
}

GPtrArray *
varied_new_reports (void)
{
  GPtrArray *reports = g_ptr_array_new_with_free_func (report_free);

  for (guint i = 0; i < 40; i++)
    add (reports, 0, g_strdup_printf ("CauReport-202401%02u%02u0000.xml", i % 28 + 1, i / 28),
         fixture_bytes (i, i * 137), NULL);
  add (reports, 1, g_strdup ("large"), fixture_bytes (500, 3 * STORED_CHUNK + 5000), NULL);
  add (reports, 1, g_strdup ("dense"), fixture_dense_bytes (501, STORED_CHUNK + 100), NULL);
  add (reports, 1, g_strdup ("dense-small"), fixture_dense_bytes (502, 40000), NULL);
  add (reports, 1, g_strdup ("a chunk"), fixture_bytes (503, STORED_CHUNK), NULL);
  add (reports, 1, g_strdup ("hole"), g_bytes_new_take (g_malloc0 (200000), 200000), NULL);
  for (guint i = 0; i < 150; i++)
    add (reports, 3, g_strdup_printf ("report-%05u", i), fixture_bytes (1000 + i, i % 40), NULL);
  add (reports, 4, g_strdup ("replaced"), fixture_bytes (600, 30000), fixture_dense_bytes (901, 60000));
  add (reports, 4, g_strdup ("appended"), appended_bytes (), fixture_bytes (900, 2 * STORED_CHUNK + 3000));
  add (reports, 4, g_strdup ("renamed"), fixture_bytes (601, 9000), NULL);
  add (reports, 4, g_strdup ("moved"), fixture_bytes (602, 7000), NULL);
  return reports;
}

gboolean
varied_was_removed (const char *name)
{
  return g_str_has_prefix (name, "removed-") || g_str_equal (name, "draft") || g_str_equal (name, "moved");
}

const VariedReport *
varied_find (GPtrArray *reports, const CauGuid *guid, const char *name)
{
  for (guint i = 0; i < reports->len; i++)
    {
      const VariedReport *report = reports->pdata[i];

      if (memcmp (&report->guid, guid, sizeof *guid) == 0 && g_str_equal (report->name, name))
        return report;
    }
  return NULL;
}

/* What the reports were before. */
static void
save_history (CauStore *store, const guint64 *ids)
{
  g_autoptr (GBytes) first = fixture_bytes (900, 2 * STORED_CHUNK + 3000);
  g_autoptr (GBytes) dense = fixture_dense_bytes (901, 60000);
  g_autoptr (GBytes) moved = fixture_bytes (602, 7000);

  for (guint i = 0; i < 8; i++)
    {
      g_autofree char *name = g_strdup_printf ("removed-%u", i);

      fixture_save (store, ids[i % 2], name, dense);
    }
  fixture_save (store, ids[4], "replaced", dense);
  fixture_save (store, ids[4], "appended", first);
  fixture_save (store, ids[4], "draft", dense);
  fixture_save (store, ids[0], "moved", moved);
}

static void
change_history (CauStore *store, const guint64 *ids)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = fixture_begin (store, ids[4], "appended", 0);
  g_autoptr (GBytes) renamed = fixture_bytes (601, 9000);

  fixture_append_text (upload, APPENDED_TEXT);
  fixture_commit (upload);
  fixture_save (store, ids[4], "draft", renamed);
  assert_done (cau_store_rename_report (store, ids[4], "draft", ids[4], "renamed", CAU_RENAME_NO_REPLACE, &error),
               &error);
  assert_done (cau_store_rename_report (store, ids[0], "moved", ids[4], "moved", CAU_RENAME_REPLACE, &error), &error);
  for (guint i = 0; i < 8; i++)
    {
      g_autofree char *name = g_strdup_printf ("removed-%u", i);

      fixture_remove (store, ids[i % 2], name);
    }
}

static gboolean
has_history (const VariedReport *report)
{
  return g_str_equal (report->name, "appended") || g_str_equal (report->name, "renamed")
         || g_str_equal (report->name, "moved");
}

void
varied_save (CauStore *store)
{
  g_autoptr (GPtrArray) reports = varied_new_reports ();
  guint64 ids[G_N_ELEMENTS (guids)];

  for (guint i = 0; i < G_N_ELEMENTS (guids); i++)
    ids[i] = fixture_create_orchestrator (store, guids[i]);
  save_history (store, ids);
  for (guint i = 0; i < reports->len; i++)
    {
      const VariedReport *report = reports->pdata[i];

      if (!has_history (report))
        fixture_save (store, ids[report->guid.bytes[0] / 16 - 1], report->name, report->bytes);
    }
  change_history (store, ids);
}

/* ---- the files ---- */

char *
varied_subject_path (const char *dir, guint number)
{
  g_autofree char *name = g_strdup_printf ("subject-%u", number);

  return g_build_filename (dir, name, NULL);
}

static void
copy_file (const char *from, const char *to, const char *suffix)
{
  g_autofree char *from_path = g_strconcat (from, suffix, NULL);
  g_autofree char *to_path = g_strconcat (to, suffix, NULL);
  g_autoptr (GBytes) bytes = damage_read_file (from_path);

  damage_write_file (to_path, bytes);
}

/* The report "appended" once more, with the same bytes, while @other reads it: what is left without a name shares chunks with what
 * came before and after it. Returns: (transfer full): who holds it. */
static CauReader *
leave_version (StoreFixture *f, CauStore *other)
{
  g_autoptr (GPtrArray) reports = varied_new_reports ();
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = NULL;
  CauGuid             guid = fixture_guid (guids[4]);
  const VariedReport *report = varied_find (reports, &guid, "appended");
  CauOrchestratorInfo info;
  CauReader          *reader;

  assert_done (cau_store_find_orchestrator (f->store, &guid, &info, &error), &error);
  reader = fixture_get_report (other, info.id, "appended", STORED_CHUNK);
  upload = fixture_begin (f->store, info.id, "appended", 0);
  assert_done (cau_upload_write (upload, 0, g_bytes_get_data (report->bytes, NULL), STORED_CHUNK, &error), &error);
  fixture_commit (upload);
  return reader;
}

/* Brings the log into the file, as closing does not while another has it open. */
static void
assert_all_in_file (StoreFixture *f)
{
  assert_int_equal (damage_query (f, "PRAGMA wal_checkpoint(TRUNCATE)"), 0);
  assert_int_equal (damage_query (f, "SELECT count(*) FROM versions WHERE orchestrator IS NULL"), 1);
}

void
varied_make_subjects (StoreFixture *f)
{
  g_autofree char *paths[VARIED_SUBJECTS];
  g_autoptr (GPtrArray) reports = varied_new_reports ();
  g_autoptr (CauStore) other = fixture_open (f, CAU_STORE_OPEN_READ_ONLY);
  g_autoptr (CauReader) reader = NULL;

  for (guint i = 0; i < VARIED_SUBJECTS; i++)
    paths[i] = varied_subject_path (f->dir, i);
  varied_save (f->store);
  reader = leave_version (f, other);
  copy_file (f->path, paths[1], "");
  copy_file (f->path, paths[1], "-wal");
  fixture_close (f);
  assert_all_in_file (f);
  copy_file (f->path, paths[0], "");
  fixture_reopen (f, 0);
  for (guint i = 0; i < reports->len; i += 7)
    {
      const VariedReport *report = reports->pdata[i];
      CauOrchestratorInfo info;
      g_autoptr (GError) error = NULL;

      assert_done (cau_store_find_orchestrator (f->store, &report->guid, &info, &error), &error);
      fixture_save (f->store, info.id, report->name, report->bytes);
    }
  copy_file (f->path, paths[2], "");
  copy_file (f->path, paths[2], "-wal");
  fixture_close (f);
  for (guint i = 0; i < VARIED_SUBJECTS; i++)
    g_free (g_steal_pointer (&paths[i]));
}

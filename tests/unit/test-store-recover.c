/* SPDX-License-Identifier: MIT */
/* What recover makes of a damaged store: reports that can be used like any others. */
#include "cau-check.h"
#include "store-damage.h"

#include <stdio.h>
#include <string.h>

#define PAGE 4096
#define LOG_HEADER 32
#define FRAME_HEADER 24

/* ---- a damaged copy, and what becomes of it ---- */

typedef struct
{
  StoreFixture *fixture;
  char         *old_path;
  char         *new_path;
  GPtrArray    *told; /* (element-type utf8): "KIND NAME: PROBLEM" */
} Recovery;

static void
recovery_init (Recovery *self, StoreFixture *f)
{
  self->fixture = f;
  self->old_path = g_build_filename (f->dir, "old", NULL);
  self->new_path = g_build_filename (f->dir, "new", NULL);
  self->told = g_ptr_array_new_with_free_func (g_free);
}

static void
recovery_clear (Recovery *self)
{
  g_ptr_array_unref (self->told);
  g_free (self->old_path);
  g_free (self->new_path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Recovery, recovery_clear)

static void
take_finding (const CauFinding *finding, gpointer data)
{
  static const char *const kinds[] = { "good", "damaged", "store", "note" };
  Recovery                *self = data;

  g_ptr_array_add (self->told,
                   g_strdup_printf ("%s %s: %s", kinds[finding->kind], finding->name != NULL ? finding->name : "",
                                    finding->problem != NULL ? finding->problem : ""));
}

static gboolean
recover (Recovery *self, CauCheckSummary *summary, GError **error)
{
  const CauCheckFuncs funcs = { .found = take_finding, .user_data = self };

  return cau_store_recover (self->old_path, self->new_path, &funcs, summary, error);
}

/* How many findings begin with @start. */
static guint
count_told (const Recovery *self, const char *start)
{
  guint n = 0;

  for (guint i = 0; i < self->told->len; i++)
    n += g_str_has_prefix (self->told->pdata[i], start) ? 1 : 0;
  return n;
}

/* Copies the fixture's files as they are now; a bit of frame @frame of the log's is changed. */
static void
copy_with_damaged_frame (Recovery *self, gsize frame)
{
  g_autofree char *log_path = g_strconcat (self->fixture->path, "-wal", NULL);
  g_autofree char *old_log_path = g_strconcat (self->old_path, "-wal", NULL);
  g_autoptr (GBytes) file = damage_read_file (self->fixture->path);
  g_autoptr (GBytes) log = damage_read_file (log_path);
  g_autoptr (GBytes) damaged = damage_flip (log, LOG_HEADER + frame * (FRAME_HEADER + PAGE) + FRAME_HEADER + 100, 1);

  damage_write_file (self->old_path, file);
  damage_write_file (old_log_path, damaged);
}

/* ---- more than one view of the log ---- */

static void
overwrite_start (CauStore *store, guint64 id, const char *name)
{
  g_autoptr (CauUpload) upload = fixture_begin (store, id, name, 0);

  fixture_write_text (upload, 0, "CCCC");
  fixture_commit (upload);
}

/* What is seen before the damage in the log has the report under one name, and what is beyond it a newer version under another. */
static void
two_names_of_a_report_become_two_reports (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_auto (Recovery) recovery = { 0 };
  g_autoptr (CauStore) store = NULL;
  CauCheckSummary summary;

  recovery_init (&recovery, f);
  fixture_save_text (f->store, f->id, "a", "AAAAAAAA");
  fixture_reopen (f, 0);
  fixture_save_text (f->store, f->id, "a", "BBBBBBBB");
  assert_done (cau_store_rename_report (f->store, f->id, "a", f->id, "b", CAU_RENAME_NO_REPLACE, &error), &error);
  copy_with_damaged_frame (&recovery, 0);

  assert_done (recover (&recovery, &summary, &error), &error);
  assert_int_equal (summary.n_good, 2);
  assert_int_equal (count_told (&recovery, "good a"), 1);
  assert_int_equal (count_told (&recovery, "note a: "), 1);
  assert_int_equal (count_told (&recovery, "good b"), 1);
  assert_int_equal (count_told (&recovery, "note b: "), 0);

  store = cau_store_open (recovery.new_path, 0, &error);
  assert_done (store != NULL, &error);
  overwrite_start (store, f->id, "b");
  fixture_assert_text (store, f->id, "a", "AAAAAAAA");
  fixture_assert_text (store, f->id, "b", "CCCCBBBB");
  overwrite_start (store, f->id, "a");
  fixture_assert_text (store, f->id, "a", "CCCCAAAA");
  fixture_assert_text (store, f->id, "b", "CCCCBBBB");
}

int
main (void)
{
  /* clang-format off */
  const struct CMUnitTest tests[] = {
    STORE_TEST (two_names_of_a_report_become_two_reports),
  };
  /* clang-format on */

  return cmocka_run_group_tests_name ("store-recover", tests, NULL, NULL);
}

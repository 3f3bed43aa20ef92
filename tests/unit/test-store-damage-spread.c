/* SPDX-License-Identifier: MIT */
/* What is saved in a damaged store costs no report that could be read or recovered before. */
#include "cau-check.h"
#include "store-damage.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/* ---- only read from then on ---- */

/* Changes the byte at @at of the page @page of the file open as @fd. */
static void
damage_page (int fd, gint64 page, guint at, guint8 bits)
{
  off_t  offset = (page - 1) * PAGE + at;
  guint8 byte;

  assert_int_equal (pread (fd, &byte, 1, offset), 1);
  byte ^= bits;
  assert_int_equal (pwrite (fd, &byte, 1, offset), 1);
}

static gint64
root_of (StoreFixture *f, const char *tree)
{
  g_autofree char *query = g_strdup_printf ("SELECT rootpage FROM sqlite_schema WHERE name = '%s'", tree);

  return damage_query (f, query);
}

/* Where the first cell of the page is, which is one above others. */
static guint
first_cell (int fd, gint64 page)
{
  guint8 header[14];

  assert_int_equal (pread (fd, header, sizeof header, (page - 1) * PAGE), sizeof header);
  assert_int_equal (header[0], 0x02);
  return (guint) header[12] << 8 | header[13];
}

typedef struct
{
  GMutex     lock;
  GCond      changed;
  guint      n_pending;
  guint      n_saved;
  GPtrArray *others;
} Batch;

static void
note_commit (CauUpload *upload, const GError *error, gpointer user_data)
{
  Batch *batch = user_data;

  g_mutex_lock (&batch->lock);
  batch->n_pending--;
  batch->n_saved += error == NULL ? 1 : 0;
  g_cond_signal (&batch->changed);
  g_mutex_unlock (&batch->lock);
}

/* While this one is called back, what is handed in waits and becomes one transaction. */
static void
commit_the_others (CauUpload *upload, const GError *error, gpointer user_data)
{
  Batch *batch = user_data;

  for (guint i = 0; i < batch->others->len; i++)
    cau_upload_commit_async (batch->others->pdata[i], note_commit, batch);
  note_commit (upload, error, user_data);
}

/* The way to the first leaf of the index of names leads nowhere, and only one of the new names goes there. */
static void
damage_that_one_change_meets_fails_those_with_it (void **state)
{
  static const char *const names[] = { "zz-1", "a", "zz-2" };
  StoreFixture            *f = *state;
  g_autoptr (GPtrArray) others = g_ptr_array_new_with_free_func ((GDestroyNotify) cau_upload_unref);
  g_autoptr (CauUpload) first = NULL;
  gint64 root;
  int    fd;
  Batch  batch = { .n_pending = 1 + G_N_ELEMENTS (names), .others = others };

  g_mutex_init (&batch.lock);
  g_cond_init (&batch.changed);
  fixture_save_many (f->store, f->id, 400);
  fixture_close (f);
  root = root_of (f, "versions_by_name");
  f->store = fixture_open (f, 0);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_ptr_array_add (others, fixture_begin (f->store, f->id, names[i], CAU_UPLOAD_TRUNCATE));
      fixture_write_text (others->pdata[i], 0, "text");
    }
  first = fixture_begin (f->store, f->id, "zz-0", CAU_UPLOAD_TRUNCATE);
  fixture_write_text (first, 0, "text");
  /* SQLite's locks on the file go when this is closed. */
  fd = open (f->path, O_RDWR);
  damage_page (fd, root, first_cell (fd, root), 0x40);
  cau_upload_commit_async (first, commit_the_others, &batch);
  g_mutex_lock (&batch.lock);
  while (batch.n_pending > 0)
    g_cond_wait (&batch.changed, &batch.lock);
  g_mutex_unlock (&batch.lock);
  assert_int_equal (batch.n_saved, 1);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autoptr (CauReader) reader = cau_store_get_report (f->store, f->id, names[i], 1, NULL);

      assert_null (reader);
    }
  g_clear_pointer (&first, cau_upload_unref);
  g_ptr_array_set_size (others, 0);
  g_clear_pointer (&f->store, cau_store_unref);
  close (fd);
  g_mutex_clear (&batch.lock);
  g_cond_clear (&batch.changed);
}

/* The writer looks there when it begins. */
static void
damage_in_the_index_of_garbage_ends_writing (void **state)
{
  StoreFixture *f = *state;
  gint64        end = g_get_monotonic_time () + 60 * G_TIME_SPAN_SECOND;
  int           fd;

  fixture_close (f);
  fd = open (f->path, O_RDWR);
  damage_page (fd, root_of (f, "versions_unnamed"), 6, 1);
  close (fd);
  f->store = fixture_open (f, 0);
  while (save (f->store, f->id, "a"))
    assert_true (g_get_monotonic_time () < end);
  g_clear_pointer (&f->store, cau_store_unref);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (damage_that_one_change_meets_fails_those_with_it),
    STORE_TEST (damage_in_the_index_of_garbage_ends_writing),
    STORE_TEST (header_of_a_page_that_is_wrong_costs_no_report),
  };

  return cmocka_run_group_tests_name ("store-damage-spread", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* The power fails: at any moment of a mixed load the disk has what was synced, and of the rest some or nothing. The store
 * opens there, and has all that was reported done. */
#include "../unit/scratch.h"
#include "../unit/store-fixture.h"

#include "disk-log.h"
#include "fault-vfs.h"
#include "store-check.h"
#include "store-load.h"

#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>

/* Cuts tried of one load, and operations in it. */
#define CUTS_OF_LOAD 100
#define STEPS_OF_LOAD 60

/* Disks for each cut after which something is not sure. */
#define IMAGES_OF_CUT 3

typedef struct
{
  guint images;
  guint cuts;
  guint losses;
  guint loads;
  guint operations;
  char *first_loss; /* owned: what was lost first */
} Figures;

/* A load, and what it did to the disk. Each test has one in its state, so that one that fails leaves nothing. */
typedef struct
{
  StoreLoad *load; /* NULL: none was begun */
  DiskLog   *log;
  guint      made;  /* from here on the store is there */
  char      *image; /* for what the disk may have, beside the store */
  GRand     *rand;
} Run;

static guint
now (gpointer log)
{
  return disk_log_get_length (log);
}

static void
run_begin (Run *self, guint32 seed)
{
  g_autoptr (GError) error = NULL;

  self->load = store_load_new (seed);
  self->log = disk_log_start (self->load->path);
  self->load->now = now;
  self->load->user_data = self->log;
  self->image = g_build_filename (self->load->dir, "image.cau", NULL);
  self->rand = g_rand_new_with_seed (seed + 1);
  assert_done (store_load_open (self->load, CAU_STORE_OPEN_CREATE, &error), &error);
  self->made = disk_log_get_length (self->log);
}

static void
run_steps (Run *self, guint n)
{
  for (guint i = 0; i < n; i++)
    store_load_step (self->load);
}

static void
run_stop (Run *self)
{
  store_load_close (self->load);
  disk_log_stop (self->log);
}

static void
run_end (Run *self)
{
  g_clear_pointer (&self->load, store_load_free);
  g_clear_pointer (&self->log, disk_log_free);
  g_clear_pointer (&self->rand, g_rand_free);
  g_clear_pointer (&self->image, g_free);
}

static int
setup (void **state)
{
  *state = g_new0 (Run, 1);
  return 0;
}

static int
teardown (void **state)
{
  fault_vfs_unwatch ();
  fault_vfs_set_synchronous_off (FALSE);
  run_end (*state);
  g_free (*state);
  return 0;
}

/* ---- cuts ---- */

/* What the store must have when the power fails before the event @cut, and in @maybe what it may have beside. */
static StoreModel *
model_at (const Run *self, guint cut, GPtrArray *maybe)
{
  StoreModel *model = store_model_new ();

  for (guint i = 0; i < self->load->changes->len; i++)
    {
      StoreChange *change = g_ptr_array_index (self->load->changes, i);

      if (change->end <= cut)
        store_model_apply (model, change);
      else if (change->begin < cut)
        g_ptr_array_add (maybe, change);
    }
  return model;
}

static void
try_image (Run *self, Disk *disk, guint cut, DiskKeeps keeps, Figures *figures)
{
  g_autoptr (GPtrArray) maybe = g_ptr_array_new ();
  g_autoptr (StoreModel) model = model_at (self, cut, maybe);
  g_autofree char *loss = NULL;

  disk_write_image (disk, keeps, self->rand, self->image);
  loss = store_check (self->image, cut < self->made, model, maybe);
  figures->images++;
  if (loss == NULL)
    return;
  if (figures->losses++ == 0)
    figures->first_loss = g_strdup_printf ("before event %u of %u, the disk having kept %u: %s", cut,
                                           disk_log_get_length (self->log), keeps, loss);
}

static void
try_cut (Run *self, Disk *disk, guint cut, Figures *figures)
{
  static const DiskKeeps others[] = { DISK_KEEPS_ALL, DISK_KEEPS_BYTES, DISK_KEEPS_SIZES };

  disk_go_on (disk, cut);
  try_image (self, disk, cut, DISK_KEEPS_NONE, figures);
  if (disk_is_unsure (disk))
    {
      try_image (self, disk, cut, others[figures->cuts % G_N_ELEMENTS (others)], figures);
      for (guint i = 2; i < IMAGES_OF_CUT; i++)
        try_image (self, disk, cut, DISK_KEEPS_SOME, figures);
    }
  figures->cuts++;
}

/* Cuts between @from and the end, @n of them or all. */
static void
try_cuts (Run *self, guint from, guint n, Figures *figures)
{
  g_autoptr (Disk) disk = disk_new (self->log, G_MAXUINT);
  guint left = disk_log_get_length (self->log) + 1 - from;

  for (guint cut = from; n > 0 && left > 0; cut++, left--)
    if ((guint) g_rand_int_range (self->rand, 0, (gint32) left) < n)
      {
        try_cut (self, disk, cut, figures);
        n--;
      }
}

static void
figures_clear (Figures *self)
{
  g_free (self->first_loss);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Figures, figures_clear)

static void
tell (const char *what, const Figures *figures)
{
  print_message ("# %s: %u loads, %u cuts, %u disks, %u with losses%s%s\n", what, figures->loads, figures->cuts,
                 figures->images, figures->losses, figures->losses > 0 ? "; the first: " : "",
                 figures->losses > 0 ? figures->first_loss : "");
}

static void
tell_counts (const DiskCounts *counts)
{
  print_message ("# on the disk: %u writes of %" G_GUINT64_FORMAT " bytes, %u syncs, %u of the WAL, %u truncations, %u"
                 " times room taken, %u names made or removed\n",
                 counts->writes, counts->bytes, counts->syncs, counts->wal_syncs, counts->truncations, counts->grown,
                 counts->names);
}

static void
assert_no_loss (const Figures *figures, guint32 seed)
{
  if (figures->losses > 0)
    fail_msg ("seed %u: %s", seed, figures->first_loss);
}

/* ---- tests ---- */

static void
nothing_is_lost_with_the_power (void **state)
{
  Run       *run = *state;
  guint      wanted = fixture_rounds (2000);
  guint32    seed = fixture_seed ();
  DiskCounts counts = { 0 };
  g_auto (Figures) figures = { 0 };

  for (; figures.cuts < wanted && figures.losses == 0; figures.loads++)
    {
      g_autofree char *did = NULL;

      run_begin (run, seed + 2 * figures.loads);
      run_steps (run, STEPS_OF_LOAD);
      run_stop (run);
      try_cuts (run, 0, MIN (CUTS_OF_LOAD, wanted - figures.cuts), &figures);
      disk_log_count (run->log, &counts);
      did = store_load_describe (run->load);
      print_message ("# load %u: %s\n", figures.loads, did);
      run_end (run);
    }
  tell ("power", &figures);
  tell_counts (&counts);
  assert_no_loss (&figures, seed);
}

static goffset
size_of (const char *path)
{
  struct stat st;

  assert_int_equal (stat (path, &st), 0);
  return st.st_size;
}

/* The thread that copies the WAL cuts the file off when it has nothing else to do. */
static void
wait_until_smaller (const char *path, goffset size)
{
  gint64 end = g_get_monotonic_time () + 60 * G_TIME_SPAN_SECOND;

  while (size_of (path) > size)
    {
      if (g_get_monotonic_time () > end)
        fail_msg ("the file has %" G_GOFFSET_FORMAT " bytes and should shrink to %" G_GOFFSET_FORMAT, size_of (path),
                  size);
      g_usleep (1000);
    }
}

/* Large reports make the thread that copies the WAL work, and removing them makes the file smaller. */
static void
nothing_is_lost_while_the_file_shrinks (void **state)
{
  guint32 seed = fixture_seed ();
  Run    *run = *state;
  g_auto (Figures) figures = { .loads = 1 };
  DiskCounts counts = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) large = fixture_dense_bytes (seed, 14 << 20);
  goffset grown;
  guint   from;

  run_begin (run, seed);
  assert_done (store_load_make (run->load, FIXTURE_GUID, &error), &error);
  assert_done (store_load_save (run->load, FIXTURE_GUID "/a", large, &error), &error);
  assert_done (store_load_save (run->load, FIXTURE_GUID "/b", large, &error), &error);
  assert_done (store_load_save_group (run->load, FIXTURE_GUID, 4, &error), &error);
  grown = size_of (run->load->path);
  from = disk_log_get_length (run->log);
  assert_done (store_load_remove (run->load, FIXTURE_GUID "/a", &error), &error);
  assert_done (store_load_remove (run->load, FIXTURE_GUID "/b", &error), &error);
  wait_until_smaller (run->load->path, grown / 4 * 3);
  assert_done (store_load_save_group (run->load, FIXTURE_GUID, 4, &error), &error);
  run_stop (run);
  try_cuts (run, from, MAX (fixture_rounds (2000) / 100, 1), &figures);
  disk_log_count (run->log, &counts);
  tell ("power while the file shrinks", &figures);
  tell_counts (&counts);
  assert_true (counts.truncations > 0);
  assert_no_loss (&figures, seed);
}

/* After a sync that failed Linux takes what it should have written for written, and later syncs succeed without it. */
static void
what_a_failed_sync_lost_is_written_again (void **state)
{
  guint32 seed = fixture_seed ();
  Run    *run = *state;
  g_auto (Figures) figures = { .loads = 1 };
  g_autoptr (GBytes) dense = fixture_dense_bytes (seed, 1300 << 10);
  g_autoptr (GBytes) lost = fixture_text ("lost");
  guint n_failed = 0;

  run_begin (run, seed);
  for (guint i = 0; i < 8; i++)
    {
      g_autoptr (GError) error = NULL;
      guint from;

      run_steps (run, 3);
      if (store_model_get (run->load->model, FIXTURE_GUID) == NULL)
        assert_done (store_load_make (run->load, FIXTURE_GUID, &error), &error);
      store_load_begin_upload (run->load, FIXTURE_GUID, dense);
      disk_log_fail_next_wal_sync (run->log);
      /* Another one may come before that of the save, of a checkpoint for example. */
      n_failed += store_load_save (run->load, FIXTURE_GUID "/lost", lost, &error) ? 0 : 1;
      g_clear_error (&error);
      assert_done (store_load_save_group (run->load, FIXTURE_GUID, 2, &error), &error);
      from = disk_log_get_length (run->log);
      run_steps (run, 2);
      disk_log_stop (run->log);
      try_cuts (run, from, 5, &figures);
      disk_log_go_on (run->log);
    }
  run_stop (run);
  print_message ("# %u saves failed with the sync of the WAL\n", n_failed);
  tell ("power after a sync that failed", &figures);
  assert_true (n_failed > 0);
  assert_no_loss (&figures, seed);
}

/* The log must not start over before what was copied from it is surely in the database. */
static void
what_a_failed_sync_of_the_database_lost_is_copied_again (void **state)
{
  guint32    seed = fixture_seed ();
  Run       *run = *state;
  DiskCounts counts = { 0 };
  g_auto (Figures) figures = { .loads = 1 };

  run_begin (run, seed);
  for (guint i = 0; i < 4; i++)
    {
      disk_log_fail_database_syncs (run->log, TRUE);
      run_steps (run, STEPS_OF_LOAD / 2);
      disk_log_fail_database_syncs (run->log, FALSE);
      run_steps (run, STEPS_OF_LOAD / 4);
    }
  run_stop (run);
  try_cuts (run, run->made, 100, &figures);
  disk_log_count (run->log, &counts);
  tell ("power after syncs of the database that failed", &figures);
  assert_true (counts.lost > 0);
  assert_no_loss (&figures, seed);
}

/* Somebody who reads keeps a checkpoint from the rest of the log. What it copied is not synced, and SQLite never copies it again. */
static void
what_was_copied_in_part_before_a_failed_sync_is_copied_again (void **state)
{
  guint32 seed = fixture_seed ();
  Run    *run = *state;
  g_auto (Figures) figures = { .loads = 1 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) first = fixture_dense_bytes (seed, 300000);
  g_autoptr (GBytes) second = fixture_dense_bytes (seed + 1, 1000);
  sqlite3 *reader = NULL;

  run_begin (run, seed);
  assert_done (store_load_make (run->load, FIXTURE_GUID, &error), &error);
  assert_done (store_load_save (run->load, FIXTURE_GUID "/a", first, &error), &error);
  assert_int_equal (sqlite3_open_v2 (run->load->path, &reader, SQLITE_OPEN_READONLY, "caufs"), SQLITE_OK);
  assert_int_equal (sqlite3_exec (reader, "BEGIN; SELECT count(*) FROM versions", NULL, NULL, NULL), SQLITE_OK);
  assert_done (store_load_save (run->load, FIXTURE_GUID "/b", second, &error), &error);
  assert_int_equal (store_load_checkpoint (run->load, SQLITE_CHECKPOINT_PASSIVE), SQLITE_OK);
  sqlite3_close (reader);
  disk_log_fail_database_syncs (run->log, TRUE);
  assert_int_not_equal (store_load_checkpoint (run->load, SQLITE_CHECKPOINT_RESTART), SQLITE_OK);
  disk_log_fail_database_syncs (run->log, FALSE);
  assert_int_equal (store_load_checkpoint (run->load, SQLITE_CHECKPOINT_RESTART), SQLITE_OK);
  assert_done (store_load_save (run->load, FIXTURE_GUID "/c", second, &error), &error);
  run_stop (run);
  try_cuts (run, run->made, G_MAXUINT, &figures);
  tell ("power after a sync that failed behind a checkpoint in part", &figures);
  assert_no_loss (&figures, seed);
}

/* ---- that the checks can fail ---- */

static void
swallowed_syncs_are_found (void **state)
{
  guint32 seed = fixture_seed ();
  Run    *run = *state;
  g_auto (Figures) figures = { .loads = 1 };

  run_begin (run, seed);
  disk_log_set_lies (run->log, TRUE);
  run_steps (run, STEPS_OF_LOAD);
  run_stop (run);
  try_cuts (run, run->made, 50, &figures);
  tell ("syncs that do nothing", &figures);
  assert_true (figures.losses > figures.images / 10);
}

static void
synchronous_off_is_found (void **state)
{
  guint32    seed = fixture_seed ();
  Run       *run = *state;
  DiskCounts counts = { 0 };
  g_auto (Figures) figures = { .loads = 1 };

  fault_vfs_set_synchronous_off (TRUE);
  run_begin (run, seed);
  run_steps (run, STEPS_OF_LOAD);
  run_stop (run);
  fault_vfs_set_synchronous_off (FALSE);
  disk_log_count (run->log, &counts);
  try_cuts (run, run->made, 50, &figures);
  tell ("synchronous=OFF", &figures);
  assert_int_equal (counts.syncs, 0);
  assert_true (figures.losses > figures.images / 10);
}

/* The one sync of the WAL while @change was made, or G_MAXUINT: more than one, or none. */
static guint
find_sync (const Run *run, const StoreChange *change)
{
  guint found = G_MAXUINT;

  for (guint i = change->begin; i < change->end; i++)
    if (disk_log_is_wal_sync (run->log, i))
      {
        if (found != G_MAXUINT)
          return G_MAXUINT;
        found = i;
      }
  return found;
}

/* Each sync by which a change became durable is left out, one at a time. */
static void
each_sync_is_needed (void **state)
{
  guint32 seed = fixture_seed ();
  Run    *run = *state;
  g_auto (Figures) figures = { .loads = 1 };
  guint n_syncs = 0;

  run_begin (run, seed);
  run_steps (run, STEPS_OF_LOAD);
  run_stop (run);
  for (guint i = 0; i < run->load->changes->len; i++)
    {
      const StoreChange *change = g_ptr_array_index (run->load->changes, i);
      guint              sync = change->keys->len > 0 ? find_sync (run, change) : G_MAXUINT;
      g_autoptr (Disk) disk = disk_new (run->log, sync);

      if (sync == G_MAXUINT)
        continue;
      disk_go_on (disk, change->end);
      try_image (run, disk, change->end, DISK_KEEPS_NONE, &figures);
      n_syncs++;
      if (figures.losses < n_syncs)
        fail_msg ("seed %u: nothing was lost without the sync %u, by which %s was saved", seed, sync,
                  (const char *) g_ptr_array_index (change->keys, 0));
    }
  tell ("one sync left out", &figures);
  assert_true (n_syncs > 10);
}

/* What was copied from the WAL is lost when that starts over before the copy is on the disk. Not each sync is needed: the next
 * one may come before. */
static void
syncs_of_the_database_are_needed (void **state)
{
  guint32 seed = fixture_seed ();
  Run    *run = *state;
  g_auto (Figures) figures = { .loads = 1 };
  guint length, next;

  run_begin (run, seed);
  run_steps (run, 3 * STEPS_OF_LOAD);
  run_stop (run);
  length = disk_log_get_length (run->log);
  for (guint i = run->made; i < length; i++)
    if (disk_log_is_database_sync (run->log, i))
      {
        g_autoptr (Disk) disk = disk_new (run->log, i);

        for (next = i + 1; next < length && !disk_log_is_database_sync (run->log, next);)
          next++;
        disk_go_on (disk, next);
        try_image (run, disk, next, DISK_KEEPS_NONE, &figures);
      }
  tell ("one sync of the database left out", &figures);
  assert_true (figures.losses > 0);
}

#define POWER_TEST(function) cmocka_unit_test_setup_teardown (function, setup, teardown)

int
main (void)
{
  const struct CMUnitTest tests[] = {
    POWER_TEST (nothing_is_lost_with_the_power),
    POWER_TEST (nothing_is_lost_while_the_file_shrinks),
    POWER_TEST (what_a_failed_sync_lost_is_written_again),
    POWER_TEST (what_a_failed_sync_of_the_database_lost_is_copied_again),
    POWER_TEST (what_was_copied_in_part_before_a_failed_sync_is_copied_again),
    POWER_TEST (swallowed_syncs_are_found),
    POWER_TEST (synchronous_off_is_found),
    POWER_TEST (each_sync_is_needed),
    POWER_TEST (syncs_of_the_database_are_needed),
  };

  fault_vfs_install ();
  return cmocka_run_group_tests_name ("power", tests, NULL, NULL);
}

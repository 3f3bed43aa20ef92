/* SPDX-License-Identifier: MIT */
/* Listings, without a kernel that asks for them: any piece, from anywhere. */
#include "caufs-dir.h"
#include "store-fixture.h"

#define N 3000
#define N_DIRS 60
#define DOTS 2

typedef struct
{
  StoreFixture *store;
  CaufsOptions  options;
  CaufsView    *view;
  guint64       ino; /* of the orchestrator's folder */
} Fixture;

static void
ignore_change (guint64 ino, gpointer user_data)
{
}

static int
set_up (void **state)
{
  Fixture *fixture = g_new0 (Fixture, 1);

  if (fixture_setup ((void **) &fixture->store) != 0)
    return -1;
  fixture->view = caufs_view_new (cau_store_ref (fixture->store->store), &fixture->options, ignore_change, NULL);
  fixture->ino = caufs_ino_of_orchestrator (fixture->store->id);
  *state = fixture;
  return 0;
}

static int
tear_down (void **state)
{
  Fixture *fixture = *state;
  int      r;

  caufs_view_free (fixture->view);
  r = fixture_teardown ((void **) &fixture->store);
  g_free (fixture);
  return r;
}

static CaufsDir *
open_dir (Fixture *fixture)
{
  CaufsDir *dir = NULL;

  assert_int_equal (caufs_dir_open (fixture->view, fixture->ino, 0, &dir), 0);
  return dir;
}

/* What a request has room for, and what it got. */
typedef struct
{
  guint      room;
  GPtrArray *names;
  off_t      next;
} Request;

static gboolean
add (const char *name, const struct fuse_entry_param *entry, off_t next, gpointer user_data)
{
  Request *request = user_data;

  if (request->room == 0)
    return FALSE;
  request->room--;
  request->next = next;
  if (request->names != NULL)
    g_ptr_array_add (request->names, g_strdup (name));
  return TRUE;
}

/* Reads up to @room entries from @offset on. Returns: the offset after them. */
static off_t
read_some (CaufsDir *dir, off_t offset, guint room, GPtrArray *names)
{
  Request request = { .room = room, .names = names, .next = offset };

  assert_int_equal (caufs_dir_read (dir, offset, add, &request), 0);
  return request.next;
}

/* Reads all, @room entries at a time. */
static void
read_all (CaufsDir *dir, guint room, GPtrArray *names)
{
  off_t offset = 0, next;

  while ((next = read_some (dir, offset, room, names)) != offset)
    offset = next;
  assert_int_equal (offset, N + DOTS);
}

static void
any_place_of_a_long_listing_is_found_again (void **state)
{
  Fixture *fixture = *state;
  g_autoptr (GRand) rand = g_rand_new_with_seed (fixture_seed ());
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  CaufsDir *dir = open_dir (fixture);

  fixture_save_many (fixture->store->store, fixture->store->id, N);
  read_all (dir, 7, names);
  assert_int_equal (names->len, N + DOTS);
  for (guint i = 0; i < 200; i++)
    {
      gint32 offset = g_rand_int_range (rand, 1, N + DOTS);
      g_autoptr (GPtrArray) again = g_ptr_array_new_with_free_func (g_free);

      read_some (dir, offset, 3, again);
      for (guint k = 0; k < again->len; k++)
        assert_string_equal (again->pdata[k], names->pdata[(guint) offset + k]);
    }
  g_ptr_array_set_size (names, 0);
  read_all (dir, 1000, names);
  assert_int_equal (names->len, N + DOTS);
  caufs_dir_close (dir);
}

static void
save_long_names (StoreFixture *f)
{
  FixtureCommits commits;

  fixture_commits_init (&commits);
  for (guint i = 0; i < N; i++)
    {
      g_autofree char *name = g_strdup_printf ("%0255u", i);
      g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, name, CAU_UPLOAD_TRUNCATE);

      fixture_commits_add (&commits, upload);
    }
  fixture_commits_wait (&commits);
  assert_int_equal (commits.n_done, N);
  fixture_commits_clear (&commits);
}

static void
long_listings_of_many_folders_take_little_memory (void **state)
{
  Fixture  *fixture = *state;
  CaufsDir *dirs[N_DIRS];
  guint64   before, peak;

  save_long_names (fixture->store);
  fixture_forget_peak_memory ();
  before = fixture_peak_memory ();
  for (guint i = 0; i < N_DIRS; i++)
    {
      dirs[i] = open_dir (fixture);
      read_all (dirs[i], 5, NULL);
    }
  peak = fixture_peak_memory ();
  print_message ("# %d listings of %d names: %d KiB more memory at the peak\n", N_DIRS, N,
                 (int) ((peak - before) / 1024));
  /* The name of each request would be 9 MiB. */
  assert_true (peak - before < 4 * 1024 * 1024 + FIXTURE_MEMORY_SLACK);
  for (guint i = 0; i < N_DIRS; i++)
    caufs_dir_close (dirs[i]);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown (any_place_of_a_long_listing_is_found_again, set_up, tear_down),
    cmocka_unit_test_setup_teardown (long_listings_of_many_folders_take_little_memory, set_up, tear_down),
  };

  return cmocka_run_group_tests_name ("fs-dir", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* What uploads may take together. */
#include "store-fixture.h"

#include <sqlite3.h>

#define MIB ((gsize) 1024 * 1024)
#define USER 1001
#define MANY 500
#define PARTS 3
#define PART_SIZE ((gsize) 40000)

static CauUpload *
try_begin (StoreFixture *f, guint32 uid, const char *name, GError **error)
{
  CauAttributes attributes = fixture_attributes ();

  attributes.uid = uid;
  return cau_store_begin_upload (f->store, f->id, name, CAU_UPLOAD_TRUNCATE, &attributes, error);
}

static CauUpload *
begin (StoreFixture *f, guint32 uid, const char *name)
{
  g_autoptr (GError) error = NULL;
  CauUpload *upload = try_begin (f, uid, name, &error);

  assert_done (upload != NULL, &error);
  return upload;
}

/* Begins @n uploads of user @uid. */
static GPtrArray *
begin_many (StoreFixture *f, guint32 uid, guint n)
{
  GPtrArray *uploads = g_ptr_array_new_with_free_func ((GDestroyNotify) cau_upload_unref);

  for (guint i = 0; i < n; i++)
    {
      g_autofree char *name = g_strdup_printf ("%u-%u", uid, i);

      g_ptr_array_add (uploads, begin (f, uid, name));
    }
  return uploads;
}

static void
assert_not_begun (StoreFixture *f, guint32 uid)
{
  g_autoptr (GError) error = NULL;

  assert_failed (try_begin (f, uid, "more", &error) != NULL, &error, CAU_STORE_ERROR_TOO_MANY);
}

/* Writes @size bytes that do not compress at @offset. */
static gboolean
write_random (CauUpload *upload, guint64 offset, gsize size, GError **error)
{
  g_autoptr (GBytes) bytes = fixture_dense_bytes (1, size);

  for (gsize at = 0; at < size; at += MIB)
    if (!cau_upload_write (upload, offset + at, (const guint8 *) g_bytes_get_data (bytes, NULL) + at,
                           MIN (size - at, MIB), error))
      return FALSE;
  return TRUE;
}

/* ---- their number ---- */

static void
uploads_beyond_the_limit_are_refused (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GPtrArray) users = NULL;
  g_autoptr (GPtrArray) roots = NULL;

  cau_store_set_upload_limits (f->store, 8, 0, 0);
  users = begin_many (f, USER, 4);
  assert_not_begun (f, USER);
  roots = begin_many (f, 0, 4);
  assert_not_begun (f, 0);
  assert_not_begun (f, USER + 1);

  g_ptr_array_set_size (users, 3);
  cau_upload_unref (begin (f, USER, "again"));
  cau_upload_unref (begin (f, USER + 1, "again"));
}

static int
count_versions (StoreFixture *f)
{
  sqlite3      *db = NULL;
  sqlite3_stmt *stmt = NULL;
  int           n;

  assert_int_equal (sqlite3_open_v2 (f->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
  assert_int_equal (sqlite3_prepare_v2 (db, "SELECT count(*) FROM versions", -1, &stmt, NULL), SQLITE_OK);
  assert_int_equal (sqlite3_step (stmt), SQLITE_ROW);
  n = sqlite3_column_int (stmt, 0);
  sqlite3_finalize (stmt);
  sqlite3_close (db);
  return n;
}

static void
refused_upload_of_a_report_leaves_it_to_be_collected (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) users = NULL;

  fixture_save_text (f->store, f->id, "more", "text");
  cau_store_set_upload_limits (f->store, 2, 0, 0);
  users = begin_many (f, USER, 1);
  assert_not_begun (f, USER);
  fixture_remove (f->store, f->id, "more");
  assert_int_equal (count_versions (f), 0);
}

/* ---- bytes that are staged ---- */

static void
bytes_beyond_the_limit_are_refused (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) names = NULL;
  CauUpload *user, *root;

  cau_store_set_upload_limits (f->store, 0, 16 * MIB, 0);
  user = begin (f, USER, "user");
  assert_failed (write_random (user, 0, 12 * MIB, &error), &error, CAU_STORE_ERROR_QUOTA);
  assert_failed (cau_upload_commit (user, NULL, &error), &error, CAU_STORE_ERROR_QUOTA);
  cau_upload_unref (user);

  root = begin (f, 0, "root");
  assert_done (write_random (root, 0, 12 * MIB, &error), &error);
  assert_done (cau_upload_commit (root, NULL, &error), &error);
  assert_failed (write_random (root, 0, 20 * MIB, &error), &error, CAU_STORE_ERROR_NO_SPACE);
  cau_upload_unref (root);
  names = fixture_list (f->store, f->id, NULL);
  assert_int_equal (names->len, 1);
  assert_string_equal (names->pdata[0], "root");
}

static void
bytes_that_are_replaced_or_saved_do_not_count (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = NULL;

  cau_store_set_upload_limits (f->store, 0, 16 * MIB, 0);
  upload = begin (f, USER, "a");
  for (guint i = 0; i < 5; i++)
    assert_done (write_random (upload, 0, 5 * MIB, &error), &error);
  for (guint i = 0; i < 5; i++)
    {
      assert_done (cau_upload_truncate (upload, MIB / 2, &error), &error);
      assert_done (write_random (upload, MIB / 2, 4 * MIB, &error), &error);
    }
  for (guint i = 0; i < 5; i++)
    {
      assert_done (cau_upload_commit (upload, NULL, &error), &error);
      assert_done (write_random (upload, 0, 5 * MIB, &error), &error);
    }
}

static void
holes_count_as_well (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = NULL;

  cau_store_set_upload_limits (f->store, 0, 4 * MIB, 0);
  upload = begin (f, USER, "a");
  assert_failed (cau_upload_truncate (upload, G_GUINT64_CONSTANT (1) << 40, &error), &error, CAU_STORE_ERROR_QUOTA);
}

static void
by_default_the_limit_is_what_there_is_room_for (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = fixture_dense_bytes (3, 24 * MIB);
  CauUpload *user, *root;

  fixture_save (f->store, f->id, "saved", bytes);
  assert_done (cau_store_set_limits (f->store, 40 * MIB, 0, &error), &error);
  cau_store_set_upload_limits (f->store, 0, CAU_STAGED_AS_ROOM, 0);
  user = begin (f, USER, "user");
  assert_failed (write_random (user, 0, 12 * MIB, &error), &error, CAU_STORE_ERROR_QUOTA);
  root = begin (f, 0, "root");
  assert_done (write_random (root, 0, 12 * MIB, &error), &error);
  assert_failed (write_random (root, 12 * MIB, 12 * MIB, &error), &error, CAU_STORE_ERROR_NO_SPACE);
  cau_upload_unref (root);
  cau_upload_unref (user);

  fixture_remove (f->store, f->id, "saved");
  user = begin (f, USER, "user");
  assert_done (write_random (user, 0, 12 * MIB, &error), &error);
  assert_done (cau_upload_commit (user, NULL, &error), &error);
  cau_upload_unref (user);
}

/* ---- time ---- */

#define N_ZEROS 12
#define HALF (N_ZEROS / 2)

/* An upload of zeros that have to be hashed when it is committed. */
static CauUpload *
begin_zeros (StoreFixture *f, guint32 uid, const char *name, guint64 size)
{
  CauUpload *upload = begin (f, uid, name);

  fixture_truncate (upload, size);
  return upload;
}

/* Hands in the commits of N_ZEROS uploads of user USER, which take seconds together. */
static GPtrArray *
commit_zeros (StoreFixture *f, FixtureCommits *commits)
{
  GPtrArray *uploads = g_ptr_array_new_with_free_func ((GDestroyNotify) cau_upload_unref);

  for (guint i = 0; i < N_ZEROS; i++)
    {
      g_autofree char *name = g_strdup_printf ("zeros-%u", i);

      g_ptr_array_add (uploads, begin_zeros (f, USER, name, 128 * MIB));
    }
  for (guint i = 0; i < N_ZEROS; i++)
    fixture_commits_add (commits, uploads->pdata[i]);
  return uploads;
}

static guint
count_done (FixtureCommits *commits)
{
  guint n;

  g_mutex_lock (&commits->lock);
  n = commits->n_done;
  g_mutex_unlock (&commits->lock);
  return n;
}

static void
users_with_much_to_hash_take_turns (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) other = begin_zeros (f, USER + 1, "other", 192 * MIB);
  g_autoptr (GPtrArray) uploads = NULL;
  FixtureCommits commits;
  guint          n_done;

  fixture_commits_init (&commits);
  uploads = commit_zeros (f, &commits);
  assert_done (cau_upload_commit (other, NULL, &error), &error);
  n_done = count_done (&commits);
  fixture_commits_wait (&commits);
  print_message ("# %u of %d commits of another user were done first\n", n_done, N_ZEROS);
  assert_true (n_done < N_ZEROS - 3);
  assert_int_equal (commits.n_done, N_ZEROS);
  fixture_commits_clear (&commits);
}

static void
long_commits_can_be_given_up (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) late = begin_zeros (f, USER, "late", 32 * MIB);
  g_autoptr (GPtrArray) uploads = NULL;
  g_autoptr (GPtrArray) names = NULL;
  FixtureCommits commits;

  fixture_commits_init (&commits);
  uploads = commit_zeros (f, &commits);
  cau_store_end_long_commits (f->store);
  fixture_commits_wait (&commits);
  assert_true (commits.n_failed > HALF);
  assert_int_equal (commits.last_error->code, CAU_STORE_ERROR_IO);
  fixture_commits_clear (&commits);
  assert_failed (cau_upload_commit (late, NULL, &error), &error, CAU_STORE_ERROR_IO);
  fixture_save_text (f->store, f->id, "short", "text");
  names = fixture_list (f->store, f->id, NULL);
  assert_true (names->len < HALF);
  assert_string_equal (names->pdata[0], "short");
}

/* ---- memory ---- */

static void
uploads_keep_what_was_written_with_hardly_any_memory (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GPtrArray) uploads = begin_many (f, USER, MANY);
  g_autoptr (GBytes) bytes = fixture_dense_bytes (1, MANY + PARTS * PART_SIZE);
  const guint8 *data = g_bytes_get_data (bytes, NULL);
  guint64       before, peak;

  cau_store_set_upload_limits (f->store, 0, 0, MIB);
  fixture_forget_peak_memory ();
  before = fixture_peak_memory ();
  for (guint part = 0; part < PARTS; part++)
    for (guint i = 0; i < MANY; i++)
      {
        g_autoptr (GError) error = NULL;

        assert_done (
          cau_upload_write (uploads->pdata[i], part * PART_SIZE, data + i + part * PART_SIZE, PART_SIZE, &error),
          &error);
      }
  peak = fixture_peak_memory ();
  print_message ("# %d uploads of %d bytes: %d KiB more memory at the peak\n", MANY, (int) (PARTS * PART_SIZE),
                 (int) ((peak - before) / 1024));
  /* One chunk of each, and no more, would be 62 MiB. */
  assert_true (peak - before < 24 * MIB + FIXTURE_MEMORY_SLACK);

  for (guint i = 0; i < MANY; i++)
    {
      g_autofree char *name = g_strdup_printf ("%d-%u", USER, i);
      g_autoptr (GBytes) expected = g_bytes_new_from_bytes (bytes, i, PARTS * PART_SIZE);
      g_autoptr (GError) error = NULL;

      assert_done (cau_upload_commit (uploads->pdata[i], NULL, &error), &error);
      fixture_assert_report (f->store, f->id, name, expected);
    }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (uploads_beyond_the_limit_are_refused),
    STORE_TEST (refused_upload_of_a_report_leaves_it_to_be_collected),
    STORE_TEST (bytes_beyond_the_limit_are_refused),
    STORE_TEST (bytes_that_are_replaced_or_saved_do_not_count),
    STORE_TEST (holes_count_as_well),
    STORE_TEST (by_default_the_limit_is_what_there_is_room_for),
    STORE_TEST (users_with_much_to_hash_take_turns),
    STORE_TEST (long_commits_can_be_given_up),
    STORE_TEST (uploads_keep_what_was_written_with_hardly_any_memory),
  };

  return cmocka_run_group_tests_name ("store-shares", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* One store in several processes, some of which are killed. */
#include "store-child.h"

#include <signal.h>
#include <string.h>

static void
assert_saved (StoreFixture *f, const char *name, guint32 seed, gsize length)
{
  g_autoptr (GBytes) bytes = fixture_bytes (seed, length);

  fixture_assert_report (f->store, f->id, name, bytes);
}

static guint64
collect (CauStore *store)
{
  g_autoptr (GError) error = NULL;
  guint64 n;

  assert_done (cau_store_collect (store, &n, &error), &error);
  return n;
}

static void
assert_stale (CauStore *store, guint64 version)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReader) reader = cau_store_open_version (store, version, 1, &error);

  assert_failed (reader != NULL, &error, CAU_STORE_ERROR_STALE);
}

/* ---- changes ---- */

static void
each_process_sees_the_other_s_changes (void **state)
{
  StoreFixture *f = *state;
  Child         child;
  g_autoptr (GBytes) bytes = fixture_bytes (9, 2 * STORED_CHUNK);

  child_start (&child, f);
  child_do (&child, "save a 1 5000");
  assert_saved (f, "a", 1, 5000);
  fixture_save (f->store, f->id, "a", bytes);
  child_do (&child, "open a");
  child_assert_reads (&child, bytes);
  child_do (&child, "rename a b");
  fixture_assert_absent (f->store, f->id, "a");
  fixture_assert_report (f->store, f->id, "b", bytes);
  child_do (&child, "remove b");
  fixture_assert_absent (f->store, f->id, "b");
  child_finish (&child);
}

static void
processes_save_at_the_same_time (void **state)
{
  StoreFixture *f = *state;
  Child         children[3];
  g_autoptr (GPtrArray) names = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (children); i++)
    child_start (&children[i], f);
  for (guint i = 0; i < G_N_ELEMENTS (children); i++)
    {
      g_autofree char *command = g_strdup_printf ("series c%u 20", i);

      child_tell (&children[i], command);
    }
  fixture_save_many (f->store, f->id, 20);
  for (guint i = 0; i < G_N_ELEMENTS (children); i++)
    {
      g_autofree char *answer = child_answer (&children[i]);

      while (g_str_has_prefix (answer, "saved"))
        {
          g_free (answer);
          answer = child_answer (&children[i]);
        }
      assert_true (g_str_has_prefix (answer, "ok"));
      child_finish (&children[i]);
    }
  names = fixture_list (f->store, f->id, NULL);
  assert_int_equal (names->len, 80);
  for (guint i = 0; i < 20; i++)
    {
      g_autofree char *name = g_strdup_printf ("c2-%u", i);

      assert_saved (f, name, i, CHILD_SERIES_SIZE);
    }
}

static void
appenders_of_two_processes_both_keep_their_lines (void **state)
{
  StoreFixture *f = *state;
  Child         child;
  g_autoptr (CauUpload) upload = NULL;

  fixture_save_text (f->store, f->id, "a", "begin ");
  child_start (&child, f);
  upload = fixture_begin (f->store, f->id, "a", 0);
  child_do (&child, "begin a");
  fixture_append_text (upload, "mine ");
  child_do (&child, "append theirs");
  fixture_commit (upload);
  child_do (&child, "commit");
  fixture_assert_text (f->store, f->id, "a", "begin mine theirs");
  child_do (&child, "append !");
  child_do (&child, "commit");
  fixture_append_text (upload, "?");
  fixture_commit (upload);
  fixture_assert_text (f->store, f->id, "a", "begin mine theirs!?");
  child_finish (&child);
}

static void
last_commit_of_two_processes_wins_whole (void **state)
{
  StoreFixture *f = *state;
  Child         child;
  g_autoptr (CauUpload) upload = NULL;
  g_autoptr (GBytes) bytes = fixture_bytes (2, 3 * STORED_CHUNK + 1);

  child_start (&child, f);
  upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  child_do (&child, "begin a");
  child_do (&child, "write 1 500000");
  fixture_write (upload, 0, bytes);
  child_do (&child, "commit");
  assert_saved (f, "a", 1, 500000);
  fixture_commit (upload);
  fixture_assert_report (f->store, f->id, "a", bytes);
  child_finish (&child);
}

static void
commit_follows_what_another_process_renamed (void **state)
{
  StoreFixture *f = *state;
  Child         child;
  g_autoptr (CauUpload) upload = NULL;

  fixture_save_text (f->store, f->id, "a", "1");
  child_start (&child, f);
  upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  fixture_write_text (upload, 0, "2");
  child_do (&child, "rename a b");
  fixture_commit (upload);
  fixture_assert_absent (f->store, f->id, "a");
  fixture_assert_text (f->store, f->id, "b", "2");
  child_finish (&child);
}

static void
commit_to_what_another_process_removed_saves_nothing (void **state)
{
  StoreFixture *f = *state;
  Child         child;
  g_autoptr (CauUpload) upload = NULL;

  fixture_save_text (f->store, f->id, "a", "1");
  child_start (&child, f);
  upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  fixture_write_text (upload, 0, "2");
  child_do (&child, "remove a");
  fixture_commit (upload);
  fixture_assert_absent (f->store, f->id, "a");
  child_finish (&child);
}

static void
commit_to_an_orchestrator_that_went_is_not_found (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autofree char *answer = NULL;
  g_autofree char *expected = g_strdup_printf ("error %d ", CAU_STORE_ERROR_NOT_FOUND);
  Child            child;

  child_start (&child, f);
  child_do (&child, "begin a");
  child_do (&child, "write 1 1000000");
  assert_done (cau_store_remove_orchestrator (f->store, &f->guid, &error), &error);
  child_tell (&child, "commit");
  answer = child_answer (&child);
  assert_true (g_str_has_prefix (answer, expected));
  child_finish (&child);
}

/* ---- pins ---- */

static void
pins_hold_across_processes (void **state)
{
  StoreFixture *f = *state;
  Child         child;
  g_autoptr (GBytes) bytes = fixture_bytes (1, 3 * STORED_CHUNK);
  g_autoptr (CauStore) late = NULL;
  guint64 version;

  fixture_save (f->store, f->id, "a", bytes);
  version = fixture_version (f->store, f->id, "a");
  child_start (&child, f);
  child_do (&child, "open a");
  fixture_save_text (f->store, f->id, "a", "2");
  fixture_remove (f->store, f->id, "a");
  collect (f->store);
  late = fixture_open (f, 0);
  collect (late);
  child_assert_reads (&child, bytes);
  child_finish (&child);
  collect (f->store);
  assert_stale (f->store, version);
}

static void
pins_of_the_parent_hold_in_the_child (void **state)
{
  StoreFixture *f = *state;
  Child         child;
  g_autoptr (GBytes) bytes = fixture_bytes (1, 3 * STORED_CHUNK);
  g_autoptr (GBytes) actual = NULL;
  g_autoptr (CauReader) reader = NULL;

  fixture_save (f->store, f->id, "a", bytes);
  reader = fixture_get_report (f->store, f->id, "a", 1);
  child_start (&child, f);
  child_do (&child, "save a 2 100");
  child_do (&child, "collect");
  child_finish (&child);
  child_start (&child, f);
  child_do (&child, "collect");
  child_finish (&child);
  actual = fixture_read (reader);
  assert_bytes_equal (actual, bytes);
}

static void
pins_of_a_killed_process_end (void **state)
{
  StoreFixture *f = *state;
  Child         child;
  g_autoptr (GBytes) bytes = fixture_bytes (1, 3 * STORED_CHUNK);
  guint64 version;

  fixture_save (f->store, f->id, "a", bytes);
  version = fixture_version (f->store, f->id, "a");
  child_start (&child, f);
  child_do (&child, "open a");
  fixture_save_text (f->store, f->id, "a", "2");
  collect (f->store);
  child_assert_reads (&child, bytes);
  child_kill (&child);
  collect (f->store);
  assert_stale (f->store, version);
  fixture_assert_text (f->store, f->id, "a", "2");
}

/* ---- processes that are killed ---- */

static void
upload_of_a_living_process_is_not_collected (void **state)
{
  StoreFixture *f = *state;
  Child         child;
  g_autoptr (CauStore) late = NULL;

  child_start (&child, f);
  child_do (&child, "begin a");
  child_do (&child, "write 1 3000000");
  collect (f->store);
  late = fixture_open (f, 0);
  collect (late);
  child_do (&child, "commit");
  assert_saved (f, "a", 1, 3000000);
  child_finish (&child);
}

/* Begins an upload of about 1.5 MB as stored in a process that is killed then. */
static void
kill_an_uploader (StoreFixture *f)
{
  Child child;

  child_start (&child, f);
  child_do (&child, "begin a");
  child_do (&child, "write 1 3000000");
  child_kill (&child);
}

static void
uploads_of_killed_processes_are_collected (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = fixture_dense_bytes (1, 2000000);

  fixture_save_text (f->store, f->id, "a", "old");
  for (guint i = 0; i < 5; i++)
    {
      kill_an_uploader (f);
      collect (f->store);
      assert_int_equal (collect (f->store), 0);
    }
  fixture_assert_text (f->store, f->id, "a", "old");
  assert_done (cau_store_set_limits (f->store, 5 << 20, 0, &error), &error);
  fixture_save (f->store, f->id, "b", bytes);
  fixture_assert_report (f->store, f->id, "b", bytes);
}

static void
upload_of_a_killed_process_is_collected_at_open (void **state)
{
  StoreFixture *f = *state;

  kill_an_uploader (f);
  cau_store_unref (fixture_open (f, 0)); /* which ends when what opening began is done */
  assert_int_equal (collect (f->store), 0);
  fixture_assert_absent (f->store, f->id, "a");
}

static void
what_was_acknowledged_survives_a_kill (void **state)
{
  StoreFixture *f = *state;

  fixture_close (f);
  for (guint round = 0; round < 3; round++)
    {
      g_autofree char *command = g_strdup_printf ("series k%u 100000", round);
      Child            child;
      guint            n_saved = 5 + round * 7;

      child_start (&child, f);
      child_tell (&child, command);
      for (guint i = 0; i < n_saved; i++)
        g_free (child_answer (&child));
      child_kill (&child);
      fixture_reopen (f, 0);
      for (guint i = 0; i < n_saved; i++)
        {
          g_autofree char *name = g_strdup_printf ("k%u-%u", round, i);

          assert_saved (f, name, i, CHILD_SERIES_SIZE);
        }
    }
}

static void
every_name_is_whole_after_a_kill (void **state)
{
  StoreFixture *f = *state;
  Child         child;
  g_autoptr (GPtrArray) names = NULL;

  child_start (&child, f);
  child_tell (&child, "series k 100000");
  for (guint i = 0; i < 20; i++)
    g_free (child_answer (&child));
  child_kill (&child);
  names = fixture_list (f->store, f->id, NULL);
  assert_true (names->len >= 20);
  for (guint i = 0; i < names->len; i++)
    {
      const char *name = g_ptr_array_index (names, i);

      assert_saved (f, name, (guint32) g_ascii_strtoull (name + 2, NULL, 10), CHILD_SERIES_SIZE);
    }
}

int
main (int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (each_process_sees_the_other_s_changes),
    STORE_TEST (processes_save_at_the_same_time),
    STORE_TEST (appenders_of_two_processes_both_keep_their_lines),
    STORE_TEST (last_commit_of_two_processes_wins_whole),
    STORE_TEST (commit_follows_what_another_process_renamed),
    STORE_TEST (commit_to_what_another_process_removed_saves_nothing),
    STORE_TEST (commit_to_an_orchestrator_that_went_is_not_found),
    STORE_TEST (pins_hold_across_processes),
    STORE_TEST (pins_of_the_parent_hold_in_the_child),
    STORE_TEST (pins_of_a_killed_process_end),
    STORE_TEST (upload_of_a_living_process_is_not_collected),
    STORE_TEST (uploads_of_killed_processes_are_collected),
    STORE_TEST (upload_of_a_killed_process_is_collected_at_open),
    STORE_TEST (what_was_acknowledged_survives_a_kill),
    STORE_TEST (every_name_is_whole_after_a_kill),
  };

  if (argc == 3 && strcmp (argv[1], "--child") == 0)
    return child_main (argv[2]);
  signal (SIGPIPE, SIG_IGN);
  return cmocka_run_group_tests_name ("store-processes", tests, NULL, NULL);
}

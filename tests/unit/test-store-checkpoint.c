/* SPDX-License-Identifier: MIT */
/* The write-ahead log is copied into the database beside those who save, and starts over. */
#include "store-fixture.h"

#include <sqlite3.h>
#include <sys/stat.h>

#define MIB (1024 * 1024)

/* What the log keeps of its size when it starts over. */
#define LOG_KEPT (16 * MIB)

#define SAVERS 4
#define READERS 2
#define SAVES 600

static gint64
log_size (StoreFixture *f)
{
  g_autofree char *path = g_strconcat (f->path, "-wal", NULL);
  struct stat      st;

  return stat (path, &st) == 0 ? (gint64) st.st_size : 0;
}

typedef struct
{
  StoreFixture *f;
  guint         number;
  gint         *n_saving; /* atomic */
} Thread;

static gpointer
save_many (gpointer data)
{
  Thread *self = data;
  g_autoptr (GBytes) bytes = fixture_bytes (self->number, 8000);

  for (guint i = 0; i < SAVES; i++)
    {
      g_autofree char *name = g_strdup_printf ("%u-%u", self->number, i);

      fixture_save (self->f->store, self->f->id, name, bytes);
    }
  g_atomic_int_add (self->n_saving, -1);
  return NULL;
}

static gpointer
read_all_the_time (gpointer data)
{
  Thread *self = data;

  while (g_atomic_int_get (self->n_saving) > 0)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (CauReportIds) ids = cau_store_get_report_ids (self->f->store, self->f->id, NULL, &error);

      assert_done (ids != NULL, &error);
      while (cau_report_ids_next (ids, &error) != NULL)
        ;
      assert_null (error);
    }
  return NULL;
}

/* With a commit after it was copied it starts over, and gets smaller. A busy machine may let the copying wait. */
static void
wait_for_small_log (StoreFixture *f)
{
  gint64 end = g_get_monotonic_time () + 60 * G_TIME_SPAN_SECOND;

  for (guint i = 0; log_size (f) > LOG_KEPT; i++)
    {
      g_autofree char *name = g_strdup_printf ("%u", i);

      assert_true (g_get_monotonic_time () < end);
      fixture_save_text (f->store, f->id, name, "text");
    }
}

static void
the_log_gets_small_after_many_saved_and_read (void **state)
{
  StoreFixture *f = *state;
  gint          n_saving = SAVERS;
  Thread        threads[SAVERS + READERS];
  GThread      *running[SAVERS + READERS];

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    {
      threads[i] = (Thread){ f, i, &n_saving };
      running[i] = g_thread_new ("test", i < SAVERS ? save_many : read_all_the_time, &threads[i]);
    }
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (running[i]);
  wait_for_small_log (f);
}

static void
the_log_of_a_big_report_gets_small_again (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) big = fixture_bytes (1, 64 * MIB);

  fixture_save (f->store, f->id, "big", big);
  wait_for_small_log (f);
  fixture_assert_report (f->store, f->id, "big", big);
}

/* ---- what nobody needs goes by itself ---- */

/* Far more than it takes, and less than the collector's own interval of half a minute. */
#define PATIENCE (20 * G_TIME_SPAN_SECOND)

static gint64
count_versions (StoreFixture *f)
{
  sqlite3      *db;
  sqlite3_stmt *statement;
  gint64        result;

  assert_int_equal (sqlite3_open_v2 (f->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
  sqlite3_busy_timeout (db, 10000);
  assert_int_equal (sqlite3_prepare_v2 (db, "SELECT count(*) FROM versions", -1, &statement, NULL), SQLITE_OK);
  assert_int_equal (sqlite3_step (statement), SQLITE_ROW);
  result = sqlite3_column_int64 (statement, 0);
  sqlite3_finalize (statement);
  sqlite3_close (db);
  return result;
}

static void
what_a_reader_held_goes_when_it_is_closed (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  CauReader *reader;
  gint64     end;

  fixture_save_text (f->store, f->id, "a", "text");
  reader = cau_store_open_version (f->store, fixture_version (f->store, f->id, "a"), 1, &error);
  assert_done (reader != NULL, &error);
  fixture_remove (f->store, f->id, "a");
  assert_int_equal (count_versions (f), 1);
  cau_reader_unref (reader);
  end = g_get_monotonic_time () + PATIENCE;
  while (count_versions (f) > 0)
    assert_true (g_get_monotonic_time () < end);
}

static void
the_file_of_a_quiet_store_gets_smaller (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) big = fixture_bytes (1, 96 * MIB);
  gint64      end;
  struct stat st;

  fixture_save (f->store, f->id, "big", big);
  fixture_remove (f->store, f->id, "big");
  end = g_get_monotonic_time () + PATIENCE;
  do
    {
      assert_true (g_get_monotonic_time () < end);
      assert_int_equal (stat (f->path, &st), 0);
    }
  while (st.st_size > 32 * MIB);
}

/* Another program's checkpoint makes the file as small as it can be. */
static void
room_is_taken_again_when_another_program_cut_the_file (void **state)
{
  StoreFixture *f = *state;
  sqlite3      *db;
  struct stat   before, cut, after;

  fixture_save_text (f->store, f->id, "a", "text");
  assert_int_equal (stat (f->path, &before), 0);
  assert_int_equal (sqlite3_open (f->path, &db), SQLITE_OK);
  assert_int_equal (sqlite3_exec (db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close (db);
  assert_int_equal (stat (f->path, &cut), 0);
  assert_in_range (cut.st_size, 0, before.st_size - 1);
  fixture_save_text (f->store, f->id, "a", "other text");
  assert_int_equal (stat (f->path, &after), 0);
  assert_int_equal (after.st_size, before.st_size);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (what_a_reader_held_goes_when_it_is_closed),
    STORE_TEST (the_file_of_a_quiet_store_gets_smaller),
    STORE_TEST (the_log_gets_small_after_many_saved_and_read),
    STORE_TEST (room_is_taken_again_when_another_program_cut_the_file),
    STORE_TEST (the_log_of_a_big_report_gets_small_again),
  };

  return cmocka_run_group_tests_name ("store-checkpoint", tests, NULL, NULL);
}

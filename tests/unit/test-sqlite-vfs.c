/* SPDX-License-Identifier: MIT */
/* The VFS that gathers the frames of a transaction, beside a connection that has the system's. */
#include "../../store/sqlite-vfs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct
{
  char    *dir;
  char    *path;
  sqlite3 *gathering;
  sqlite3 *plain; /* as another process would have the file */
} Fixture;

/* ---- the calls under the VFS ---- */

static guint n_writes;
static guint fail_at; /* which write fails, counted by n_writes; 0: none */

static ssize_t
counted_pwrite (int fd, const void *data, size_t length, off_t offset)
{
  if (++n_writes == fail_at)
    {
      errno = EIO;
      return -1;
    }
  return pwrite (fd, data, length, offset);
}

static void
count_writes (void)
{
  sqlite3_vfs *real = sqlite3_vfs_find ("unix");

  n_writes = fail_at = 0;
  assert_int_equal (real->xSetSystemCall (real, "pwrite64", (sqlite3_syscall_ptr) counted_pwrite), SQLITE_OK);
  assert_int_equal (real->xSetSystemCall (real, "pwrite", (sqlite3_syscall_ptr) counted_pwrite), SQLITE_OK);
}

static void
count_no_writes (void)
{
  sqlite3_vfs *real = sqlite3_vfs_find ("unix");

  real->xSetSystemCall (real, "pwrite64", NULL);
  real->xSetSystemCall (real, "pwrite", NULL);
}

/* ---- databases ---- */

static sqlite3 *
open_with (Fixture *f, const char *vfs)
{
  sqlite3 *db = NULL;

  assert_int_equal (sqlite3_open_v2 (f->path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs), SQLITE_OK);
  return db;
}

static void
run (sqlite3 *db, const char *sql)
{
  char *message = NULL;

  if (sqlite3_exec (db, sql, NULL, NULL, &message) != SQLITE_OK)
    fail_msg ("%s: %s", sql, message);
}

static char *
get_text (sqlite3 *db, const char *sql)
{
  sqlite3_stmt *stmt = NULL;
  char         *text;

  assert_int_equal (sqlite3_prepare_v2 (db, sql, -1, &stmt, NULL), SQLITE_OK);
  assert_int_equal (sqlite3_step (stmt), SQLITE_ROW);
  text = g_strdup ((const char *) sqlite3_column_text (stmt, 0));
  sqlite3_finalize (stmt);
  return text;
}

static void
assert_text (sqlite3 *db, const char *sql, const char *expected)
{
  g_autofree char *text = get_text (db, sql);

  assert_string_equal (text, expected);
}

/* What the tables have, in one line. */
#define CONTENT "SELECT coalesce(group_concat(id || ':' || hex(data)), '-') FROM t"

static void
assert_whole (Fixture *f)
{
  g_autofree char *content = get_text (f->plain, CONTENT);

  assert_text (f->plain, "PRAGMA integrity_check", "ok");
  assert_text (f->gathering, CONTENT, content);
}

static int
setup (void **state)
{
  Fixture *f = g_new0 (Fixture, 1);

  f->dir = g_dir_make_tmp ("caufs-vfs-XXXXXX", NULL);
  f->path = g_build_filename (f->dir, "db", NULL);
  f->gathering = open_with (f, cau_vfs_get_name ());
  run (f->gathering, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0;"
                     " CREATE TABLE t (id INTEGER PRIMARY KEY, data BLOB)");
  f->plain = open_with (f, "unix");
  run (f->plain, "PRAGMA wal_autocheckpoint=0");
  *state = f;
  return 0;
}

static int
teardown (void **state)
{
  const char *suffixes[] = { "", "-wal", "-shm" };
  Fixture    *f = *state;

  count_no_writes ();
  sqlite3_close (f->gathering);
  sqlite3_close (f->plain);
  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *path = g_strconcat (f->path, suffixes[i], NULL);

      g_unlink (path);
    }
  g_rmdir (f->dir);
  g_free (f->dir);
  g_free (f->path);
  g_free (f);
  return 0;
}

#define VFS_TEST(function) cmocka_unit_test_setup_teardown (function, setup, teardown)

/* Pages leave the cache before the commit, and some are written again. */
#define SPILL "PRAGMA cache_size=10"
#define MANY_ROWS "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)"
#define FILL MANY_ROWS " INSERT OR REPLACE INTO t SELECT i, randomblob(700) FROM n"

#define GROW_BYTES 262144

/* ---- tests ---- */

static void
transaction_is_written_at_once (void **state)
{
  Fixture *f = *state;

  run (f->gathering, "INSERT INTO t VALUES (1, x'00')");
  count_writes ();
  run (f->gathering, "INSERT INTO t VALUES (2, randomblob(80000))");
  assert_int_equal (n_writes, 1);
  run (f->gathering, "INSERT INTO t VALUES (3, randomblob(1200000))");
  assert_in_range (n_writes, 10, 14);
  assert_whole (f);
}

static void
commit_is_seen_by_others (void **state)
{
  Fixture *f = *state;

  run (f->gathering, FILL);
  assert_text (f->plain, "SELECT count(*) FROM t", "200");
  run (f->plain, "DELETE FROM t WHERE id % 3 = 0");
  run (f->gathering, "UPDATE t SET data = randomblob(900) WHERE id % 5 = 0");
  assert_whole (f);
}

static void
spilled_pages_are_read_and_written_again (void **state)
{
  Fixture *f = *state;

  run (f->gathering, SPILL);
  run (f->gathering, "BEGIN; " FILL);
  run (f->gathering, "UPDATE t SET data = randomblob(800) WHERE id % 2 = 0");
  run (f->gathering, "UPDATE t SET data = randomblob(600) WHERE id % 3 = 0");
  assert_text (f->gathering, "SELECT sum(length(data)) FROM t", "140100");
  assert_text (f->plain, "SELECT count(*) FROM t", "0");
  run (f->gathering, "COMMIT");
  assert_text (f->plain, "SELECT sum(length(data)) FROM t", "140100");
  assert_whole (f);
}

static void
pages_that_were_spilled_last_are_read (void **state)
{
  Fixture *f = *state;

  run (f->gathering, SPILL);
  run (f->gathering, "BEGIN; INSERT INTO t VALUES (1, replace(hex(zeroblob(40000)), '0', 'a') || 'end')");
  assert_text (f->gathering, "SELECT substr(data, -3) FROM t", "end");
  assert_text (f->gathering, "SELECT substr(data, 41000, 2) FROM t", "aa");
  run (f->gathering, "COMMIT");
  assert_whole (f);
}

static void
savepoint_that_is_rolled_back_leaves_the_rest (void **state)
{
  Fixture *f = *state;

  run (f->gathering, SPILL);
  run (f->gathering, "BEGIN; INSERT INTO t VALUES (1000, randomblob(50000)); SAVEPOINT s; " FILL);
  run (f->gathering, "ROLLBACK TO s; INSERT INTO t VALUES (1001, randomblob(90000)); COMMIT");
  assert_text (f->plain, "SELECT group_concat(id) FROM t", "1000,1001");
  assert_whole (f);
}

static void
what_was_rolled_back_does_not_cover_the_next_writer (void **state)
{
  Fixture *f = *state;

  run (f->gathering, SPILL);
  for (guint i = 0; i < 10; i++)
    {
      /* So that rolling back reads nothing from the log. */
      run (f->gathering, "PRAGMA wal_checkpoint(TRUNCATE)");
      run (f->gathering, "BEGIN; INSERT INTO t VALUES (NULL, randomblob(80000))");
      run (f->gathering, "ROLLBACK");
      run (f->plain, "INSERT INTO t VALUES (NULL, randomblob(100000))");
      assert_whole (f);
      run (f->gathering, "INSERT INTO t VALUES (NULL, randomblob(3000))");
      assert_whole (f);
    }
  assert_text (f->plain, "SELECT count(*) FROM t", "20");
}

static void
log_that_was_copied_starts_over (void **state)
{
  Fixture *f = *state;

  for (guint i = 0; i < 5; i++)
    {
      run (f->gathering, "DELETE FROM t; " FILL);
      run (f->gathering, "PRAGMA wal_checkpoint(RESTART)");
      assert_whole (f);
    }
}

/* Each write in turn fails once: the transaction is lost as a whole, and the next one is not. */
static void
write_that_fails_fails_its_transaction (void **state)
{
  Fixture *f = *state;
  gboolean failed = TRUE;

  run (f->gathering, SPILL);
  run (f->gathering, "INSERT INTO t VALUES (1000, randomblob(30000))");
  for (guint i = 1; failed; i++)
    {
      g_autofree char *before = get_text (f->plain, CONTENT);

      count_writes ();
      fail_at = i;
      failed = sqlite3_exec (f->gathering,
                             "BEGIN; INSERT OR REPLACE INTO t VALUES (2000, randomblob(400000)); " FILL
                             "; UPDATE t SET data = randomblob(800) WHERE id % 2 = 0 AND id < 1000; COMMIT",
                             NULL, NULL, NULL)
               != SQLITE_OK;
      assert_true (failed == (n_writes >= i));
      fail_at = 0;
      if (!sqlite3_get_autocommit (f->gathering))
        run (f->gathering, "ROLLBACK");
      if (failed)
        assert_text (f->plain, CONTENT, before);
      assert_whole (f);
      run (f->gathering, "INSERT OR REPLACE INTO t VALUES (1000, randomblob(40000))");
      assert_whole (f);
    }
  assert_text (f->plain, "SELECT count(*) FROM t", "202");
}

static void
synced_transaction_is_written_before_it_is_synced (void **state)
{
  Fixture *f = *state;

  run (f->gathering, "PRAGMA synchronous=FULL");
  run (f->gathering, "INSERT INTO t VALUES (1, randomblob(10000))");
  count_writes ();
  fail_at = 1;
  assert_int_equal (sqlite3_exec (f->gathering, "INSERT INTO t VALUES (2, randomblob(10000))", NULL, NULL, NULL),
                    SQLITE_IOERR);
  assert_text (f->plain, "SELECT count(*) FROM t", "1");
  assert_whole (f);
}

/* Makes the file grow by @bytes at least. Returns: SQLite's result. */
static int
grow (sqlite3 *db, gint64 bytes)
{
  int chunk = GROW_BYTES;

  assert_int_equal (sqlite3_file_control (db, "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk), SQLITE_OK);
  return sqlite3_file_control (db, "main", SQLITE_FCNTL_SIZE_HINT, &bytes);
}

static void
assert_room (Fixture *f, gint64 bytes)
{
  struct stat st;

  assert_int_equal (stat (f->path, &st), 0);
  assert_int_equal (st.st_size, bytes);
  assert_in_range (st.st_blocks, (guint) bytes / 512 - 8, G_MAXUINT);
}

static void
room_is_taken_in_steps (void **state)
{
  Fixture *f = *state;

  count_writes ();
  assert_int_equal (grow (f->gathering, GROW_BYTES + 1), SQLITE_OK);
  assert_in_range (n_writes, 0, 8);
  assert_room (f, 2 * GROW_BYTES);
  assert_int_equal (grow (f->gathering, GROW_BYTES), SQLITE_OK);
  assert_room (f, 2 * GROW_BYTES);
  run (f->gathering, FILL);
  run (f->gathering, "PRAGMA wal_checkpoint(RESTART)");
  assert_whole (f);
}

/* As long as another connection has a lock, SQLite keeps a closed one's descriptor, and opens the file without a call. */
static void
room_is_taken_through_a_descriptor_that_is_used_again (void **state)
{
  Fixture *f = *state;
  sqlite3 *again = open_with (f, cau_vfs_get_name ());

  assert_text (again, "SELECT count(*) FROM t", "0");
  sqlite3_close (again);
  again = open_with (f, cau_vfs_get_name ());
  assert_text (again, "SELECT count(*) FROM t", "0");
  count_writes ();
  assert_int_equal (grow (again, GROW_BYTES), SQLITE_OK);
  assert_in_range (n_writes, 1, 8);
  assert_room (f, GROW_BYTES);
  fail_at = n_writes + 1;
  assert_int_equal (grow (again, 2 * GROW_BYTES), SQLITE_IOERR_WRITE);
  sqlite3_close (again);
  assert_whole (f);
}

static void
room_that_cannot_be_had_is_an_error (void **state)
{
  Fixture      *f = *state;
  struct rlimit before, limit;
  int           result;

  signal (SIGXFSZ, SIG_IGN);
  assert_int_equal (getrlimit (RLIMIT_FSIZE, &before), 0);
  limit = before;
  limit.rlim_cur = GROW_BYTES;
  assert_int_equal (setrlimit (RLIMIT_FSIZE, &limit), 0);
  result = grow (f->gathering, 2 * GROW_BYTES);
  assert_int_equal (setrlimit (RLIMIT_FSIZE, &before), 0);
  assert_int_not_equal (result, SQLITE_OK);
  assert_int_equal (grow (f->gathering, 2 * GROW_BYTES), SQLITE_OK);
  assert_room (f, 2 * GROW_BYTES);
  assert_whole (f);
}

/* Who copies the log knows how large the file was when the last transaction was committed. */
static void
room_of_a_transaction_that_is_open_stays (void **state)
{
  Fixture *f = *state;
  sqlite3 *other = open_with (f, cau_vfs_get_name ());

  run (f->gathering, "BEGIN IMMEDIATE; INSERT INTO t VALUES (1, randomblob(1000))");
  assert_int_equal (grow (f->gathering, GROW_BYTES), SQLITE_OK);
  run (other, "PRAGMA wal_checkpoint(PASSIVE)");
  run (other, "PRAGMA wal_checkpoint(RESTART)");
  assert_room (f, GROW_BYTES);
  run (f->gathering, "COMMIT");
  run (other, "PRAGMA wal_checkpoint(PASSIVE)");
  assert_room (f, GROW_BYTES);
  run (other, "UPDATE t SET id = 2; PRAGMA wal_checkpoint(RESTART)");
  assert_room (f, 2 * 4096);
  sqlite3_close (other);
  assert_whole (f);
}

#define PAGE 4096

/* A page of a tree that no cells fill, as far as its header says. */
static void
page_of_a_tree_that_does_not_add_up_is_not_read (void **state)
{
  /* What the map says of it: a tree's root and a tree's page; the first and a later page with the rest of a row. */
  static const struct
  {
    guint8 kind;
    int    expected;
  } cases[] = { { 1, SQLITE_CORRUPT }, { 5, SQLITE_CORRUPT }, { 3, SQLITE_OK }, { 4, SQLITE_OK }, { 2, SQLITE_OK } };
  Fixture      *f = *state;
  sqlite3_file *file = NULL;
  guint8        page[PAGE] = { 0x02 }, map[PAGE] = { 0 }, found[PAGE];

  assert_int_equal (sqlite3_file_control (f->gathering, "main", SQLITE_FCNTL_FILE_POINTER, &file), SQLITE_OK);
  assert_int_equal (file->pMethods->xWrite (file, page, PAGE, 3 * PAGE), SQLITE_OK);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      map[5] = cases[i].kind; /* the second page behind it */
      assert_int_equal (file->pMethods->xWrite (file, map, PAGE, PAGE), SQLITE_OK);
      assert_int_equal (file->pMethods->xRead (file, found, PAGE, 3 * PAGE), i == 0 ? SQLITE_OK : cases[i].expected);
      sqlite3_file_control (f->gathering, "main", CAU_VFS_FCNTL_CHECK_PAGES, NULL);
      assert_int_equal (file->pMethods->xRead (file, found, PAGE, 3 * PAGE), cases[i].expected);
    }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    VFS_TEST (transaction_is_written_at_once),
    VFS_TEST (commit_is_seen_by_others),
    VFS_TEST (spilled_pages_are_read_and_written_again),
    VFS_TEST (pages_that_were_spilled_last_are_read),
    VFS_TEST (savepoint_that_is_rolled_back_leaves_the_rest),
    VFS_TEST (what_was_rolled_back_does_not_cover_the_next_writer),
    VFS_TEST (log_that_was_copied_starts_over),
    VFS_TEST (write_that_fails_fails_its_transaction),
    VFS_TEST (synced_transaction_is_written_before_it_is_synced),
    VFS_TEST (room_is_taken_in_steps),
    VFS_TEST (room_is_taken_through_a_descriptor_that_is_used_again),
    VFS_TEST (room_that_cannot_be_had_is_an_error),
    VFS_TEST (room_of_a_transaction_that_is_open_stays),
    VFS_TEST (page_of_a_tree_that_does_not_add_up_is_not_read),
  };

  return cmocka_run_group_tests_name ("sqlite-vfs", tests, NULL, NULL);
}

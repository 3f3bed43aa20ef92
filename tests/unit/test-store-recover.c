/* SPDX-License-Identifier: MIT */
/* What recover makes of a damaged store: reports that can be used like any others. */
#include "cau-check.h"
#include "store-damage.h"

#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096
#define LOG_HEADER 32
#define FRAME_HEADER 24

/* ---- what the disk does with calls of the store's ---- */

static struct
{
  gint64      unreadable_log; /* the place in a log whose sector cannot be read; 0: none */
  const char *take_name;      /* a file that somebody makes in the last moment */
  gboolean    rename_fails;   /* when it must not replace */
  gboolean    folder_sync_fails;
} calls;

static gboolean
is_unreadable (int fd, gsize length, gint64 offset)
{
  g_autofree char *link = g_strdup_printf ("/proc/self/fd/%d", fd);
  char             path[PATH_MAX] = "";

  return calls.unreadable_log > 0 && offset <= calls.unreadable_log
         && offset + (gint64) length > calls.unreadable_log / 512 * 512 && readlink (link, path, sizeof path - 1) > 0
         && g_str_has_suffix (path, "/old-wal");
}

#undef pread
#undef pread64
#pragma GCC visibility push(default)

/* Both names are those of calls that programs make; a header may make one of the other. */
ssize_t read_at_pread (int fd, void *data, size_t length, off_t offset) __asm__("pread");
ssize_t read_at_pread64 (int fd, void *data, size_t length, off_t offset) __asm__("pread64");

ssize_t
read_at_pread (int fd, void *data, size_t length, off_t offset)
{
  if (!is_unreadable (fd, length, offset))
    return syscall (SYS_pread64, fd, data, length, offset);
  errno = EIO;
  return -1;
}

ssize_t
read_at_pread64 (int fd, void *data, size_t length, off_t offset)
{
  return read_at_pread (fd, data, length, offset);
}

int
renameat2 (int from_dir, const char *from, int to_dir, const char *to, unsigned int flags)
{
  if (calls.take_name != NULL)
    assert_int_equal (mknod (calls.take_name, S_IFREG | 0600, 0), 0);
  if (!calls.rename_fails || flags == 0)
    return (int) syscall (SYS_renameat2, from_dir, from, to_dir, to, flags);
  errno = EINVAL;
  return -1;
}

int
fsync (int fd)
{
  struct stat st;

  if (!calls.folder_sync_fails || fstat (fd, &st) != 0 || !S_ISDIR (st.st_mode))
    return (int) syscall (SYS_fsync, fd);
  errno = EIO;
  return -1;
}

#pragma GCC visibility pop

static int
setup (void **state)
{
  memset (&calls, 0, sizeof calls);
  return fixture_setup (state);
}

#define RECOVER_TEST(function) cmocka_unit_test_setup_teardown (function, setup, fixture_teardown)

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

static void
copy_file (const char *from, const char *to)
{
  g_autoptr (GBytes) bytes = damage_read_file (from);

  damage_write_file (to, bytes);
}

/* Copies the fixture's files as they are now; a bit of frame @frame of the log's is changed. */
static void
copy_with_damaged_frame (Recovery *self, gsize frame)
{
  g_autofree char *log_path = g_strconcat (self->fixture->path, "-wal", NULL);
  g_autofree char *old_log_path = g_strconcat (self->old_path, "-wal", NULL);
  g_autoptr (GBytes) log = damage_read_file (log_path);
  g_autoptr (GBytes) damaged = damage_flip (log, LOG_HEADER + frame * (FRAME_HEADER + PAGE) + FRAME_HEADER + 100, 1);

  copy_file (self->fixture->path, self->old_path);
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

static void
what_follows_an_unreadable_frame_is_seen (void **state)
{
  /* In a page, and where a frame's head is. */
  static const gint64 places[] = { LOG_HEADER + FRAME_HEADER + 512, LOG_HEADER + 3 * (FRAME_HEADER + PAGE) };
  StoreFixture       *f = *state;
  g_autoptr (GError) error = NULL;
  g_auto (Recovery) recovery = { 0 };

  recovery_init (&recovery, f);
  fixture_reopen (f, 0);
  for (guint i = 0; i < 10; i++)
    fixture_save_many (f->store, f->id, 20);
  copy_with_damaged_frame (&recovery, 0);
  for (guint i = 0; i < G_N_ELEMENTS (places); i++)
    {
      CauCheckSummary summary;

      remove (recovery.new_path);
      calls.unreadable_log = places[i];
      assert_done (recover (&recovery, &summary, &error), &error);
      assert_int_equal (summary.n_good, 20);
      assert_int_equal (count_told (&recovery, "store "), i + 1);
    }
}

/* ---- files that are none ---- */

static void
assert_refused (Recovery *self, const char *path)
{
  g_autoptr (GError) error = NULL;
  CauCheckSummary summary;

  assert_int_equal (mkfifo (path, 0600), 0);
  alarm (60);
  assert_false (recover (self, &summary, &error));
  alarm (0);
  assert_non_null (strstr (error->message, path));
  assert_failed (FALSE, &error, CAU_STORE_ERROR_NOT_A_STORE);
  assert_int_equal (unlink (path), 0);
}

static void
pipes_are_not_waited_for (void **state)
{
  StoreFixture *f = *state;
  g_auto (Recovery) recovery = { 0 };
  g_autofree char *log_path = NULL;

  recovery_init (&recovery, f);
  log_path = g_strconcat (recovery.old_path, "-wal", NULL);
  assert_refused (&recovery, recovery.old_path);
  fixture_close (f);
  copy_file (f->path, recovery.old_path);
  assert_refused (&recovery, log_path);
}

/* ---- the new file ---- */

static void
copy_whole (Recovery *self)
{
  fixture_save_text (self->fixture->store, self->fixture->id, "a", "text");
  fixture_close (self->fixture);
  copy_file (self->fixture->path, self->old_path);
}

static void
assert_is_recovered (Recovery *self)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStore) store = cau_store_open (self->new_path, 0, &error);

  assert_done (store != NULL, &error);
  fixture_assert_text (store, self->fixture->id, "a", "text");
}

static void
assert_nothing_else_is_left (Recovery *self)
{
  g_autoptr (GDir) dir = g_dir_open (self->fixture->dir, 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (dir)) != NULL)
    assert_null (strstr (name, "recovering"));
}

/* As it is with RENAME_NOREPLACE on some filesystems. */
static void
a_filesystem_that_only_links_will_do (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_auto (Recovery) recovery = { 0 };
  CauCheckSummary summary;

  recovery_init (&recovery, f);
  copy_whole (&recovery);
  calls.rename_fails = TRUE;
  assert_done (recover (&recovery, &summary, &error), &error);
  assert_nothing_else_is_left (&recovery);
  assert_is_recovered (&recovery);
}

static void
a_name_that_is_taken_meanwhile_stays (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_auto (Recovery) recovery = { 0 };
  CauCheckSummary summary;

  recovery_init (&recovery, f);
  copy_whole (&recovery);
  calls.rename_fails = TRUE;
  calls.take_name = recovery.new_path;
  assert_failed (recover (&recovery, &summary, &error), &error, CAU_STORE_ERROR_EXISTS);
  assert_nothing_else_is_left (&recovery);
}

static void
a_folder_that_does_not_sync_is_told_of (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_auto (Recovery) recovery = { 0 };
  CauCheckSummary summary;

  recovery_init (&recovery, f);
  copy_whole (&recovery);
  calls.folder_sync_fails = TRUE;
  assert_failed (recover (&recovery, &summary, &error), &error, CAU_STORE_ERROR_IO);
  calls.folder_sync_fails = FALSE;
  assert_is_recovered (&recovery);
}

/* ---- what no checksum covers ---- */

static void
run_sql (const char *path, const char *sql)
{
  sqlite3 *db;

  assert_int_equal (sqlite3_open (path, &db), SQLITE_OK);
  assert_int_equal (sqlite3_exec (db, sql, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close (db);
}

static void
numbers_that_damage_made_up_use_up_no_others (void **state)
{
  static const char *const wrong[] = {
    "INSERT INTO chunks (id, checksum) VALUES (9223372036854775807, 0)",
    "UPDATE orchestrators SET last_version = 1099511627775 WHERE id = 0",
  };
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_auto (Recovery) recovery = { 0 };

  recovery_init (&recovery, f);
  copy_whole (&recovery);
  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++)
    {
      g_autoptr (CauStore) store = NULL;
      CauCheckSummary summary;

      remove (recovery.new_path);
      run_sql (recovery.old_path, wrong[i]);
      assert_done (recover (&recovery, &summary, &error), &error);
      store = cau_store_open (recovery.new_path, 0, &error);
      assert_done (store != NULL, &error);
      fixture_save_text (store, f->id, "b", "saved later");
      fixture_assert_text (store, f->id, "a", "text");
    }
}

/* ---- chunks that versions share ---- */

static void
append_line (StoreFixture *f, const char *name)
{
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, name, 0);

  fixture_append_text (upload, "a line\n");
  fixture_commit (upload);
}

/* The rows that name shared chunks are lost. They are those of a version that is gone, and of one that is still there. */
static void
shared_chunks_are_found_without_their_list (void **state)
{
  static const char *const names[] = { "first version gone", "first version kept" };
  StoreFixture            *f = *state;
  g_autoptr (GError) error = NULL;
  g_auto (Recovery) recovery = { 0 };
  g_autoptr (CauReader) reader = NULL;
  g_autoptr (CauStore) store = NULL;
  CauCheckSummary summary;

  recovery_init (&recovery, f);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autoptr (GBytes) bytes = fixture_dense_bytes (i, 5 * STORED_CHUNK);

      fixture_save (f->store, f->id, names[i], bytes);
    }
  reader = fixture_get_report (f->store, f->id, names[1], STORED_CHUNK);
  for (guint i = 0; i < 6; i++)
    append_line (f, names[i % 2]);
  run_sql (f->path, "PRAGMA wal_checkpoint(TRUNCATE)");
  copy_file (f->path, recovery.old_path);
  run_sql (recovery.old_path, "DELETE FROM inherited; PRAGMA wal_checkpoint(TRUNCATE)");

  assert_done (recover (&recovery, &summary, &error), &error);
  assert_int_equal (summary.n_good, 2);
  store = cau_store_open (recovery.new_path, 0, &error);
  assert_done (store != NULL, &error);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autoptr (GBytes) expected = fixture_load (f->store, f->id, names[i]);

      fixture_assert_report (store, f->id, names[i], expected);
    }
}

int
main (void)
{
  /* clang-format off */
  const struct CMUnitTest tests[] = {
    RECOVER_TEST (two_names_of_a_report_become_two_reports),
    RECOVER_TEST (what_follows_an_unreadable_frame_is_seen),
    RECOVER_TEST (pipes_are_not_waited_for),
    RECOVER_TEST (a_filesystem_that_only_links_will_do),
    RECOVER_TEST (a_name_that_is_taken_meanwhile_stays),
    RECOVER_TEST (a_folder_that_does_not_sync_is_told_of),
    RECOVER_TEST (shared_chunks_are_found_without_their_list),
    RECOVER_TEST (numbers_that_damage_made_up_use_up_no_others),
  };
  /* clang-format on */

  return cmocka_run_group_tests_name ("store-recover", tests, NULL, NULL);
}

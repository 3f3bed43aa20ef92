/* SPDX-License-Identifier: MIT */
/* Store files that somebody made to do harm: their checksums are right, and SQLite finds nothing wrong with them. */
#include "store-fixture.h"

#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

/* More than a listing reads at once. */
#define MANY 300

/* Runs @sql on the fixture's store, which is closed for it. */
static void
tamper (StoreFixture *f, const char *sql)
{
  sqlite3 *db = NULL;
  char    *message = NULL;

  if (f->store != NULL)
    fixture_close (f);
  assert_int_equal (sqlite3_open (f->path, &db), SQLITE_OK);
  sqlite3_exec (db, "PRAGMA foreign_keys=OFF; PRAGMA ignore_check_constraints=ON", NULL, NULL, NULL);
  if (sqlite3_exec (db, sql, NULL, NULL, &message) != SQLITE_OK)
    fail_msg ("%s: %s", sql, message);
  assert_int_equal (sqlite3_close (db), SQLITE_OK);
}

static void
assert_not_opened (StoreFixture *f, const char *word)
{
  static const CauStoreOpenFlags flags[] = { CAU_STORE_OPEN_READ_ONLY, 0, CAU_STORE_OPEN_CREATE };

  for (guint i = 0; i < G_N_ELEMENTS (flags); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (CauStore) store = cau_store_open (f->path, flags[i], &error);

      assert_null (store);
      assert_non_null (error);
      if (strstr (error->message, word) == NULL)
        fail_msg ("'%s' does not say '%s'", error->message, word);
    }
}

/* ---- the schema ---- */

static void
store_with_a_schema_of_its_own_is_not_opened (void **state)
{
  static const char *const more[] = {
    "CREATE TRIGGER t AFTER INSERT ON versions BEGIN DELETE FROM chunks; END",
    "CREATE VIEW v AS SELECT * FROM versions",
    "CREATE TABLE t (a)",
    "CREATE INDEX i ON versions (abs (size))",
    "ALTER TABLE chunks ADD COLUMN more BLOB",
    "DROP INDEX versions_unnamed",
    "DROP TABLE inherited; CREATE VIEW inherited AS SELECT 1 AS version, 0 AS number, 8388608 AS chunk",
  };
  StoreFixture    *f = *state;
  g_autofree char *bytes = NULL;
  gsize            length;

  fixture_save_text (f->store, f->id, "a", "text");
  fixture_close (f);
  assert_true (g_file_get_contents (f->path, &bytes, &length, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (more); i++)
    {
      assert_true (g_file_set_contents (f->path, bytes, (gssize) length, NULL));
      tamper (f, more[i]);
      assert_not_opened (f, "tables");
    }
}

static void
store_with_statistics_is_opened (void **state)
{
  StoreFixture *f = *state;

  fixture_save_text (f->store, f->id, "a", "text");
  tamper (f, "ANALYZE");
  fixture_reopen (f, 0);
  fixture_assert_text (f->store, f->id, "a", "text");
}

/* ---- records ---- */

/* What the checksum of a version's row is over: see docs/store-format.md. */
static void
checksum_of_row (sqlite3_context *context, int n, sqlite3_value **values)
{
  guint8  packed[13 * 8 + 32 + 1024];
  guint64 number;
  gsize   length = 0;

  for (int i = 0; i < 13; i++, length += 8)
    {
      number = GUINT64_TO_LE ((guint64) sqlite3_value_int64 (values[i]));
      memcpy (packed + length, &number, 8);
    }
  memcpy (packed + length, sqlite3_value_blob (values[13]), 32);
  length += 32;
  number = (guint64) MIN (strlen ((const char *) sqlite3_value_text (values[14])), CAU_REPORT_NAME_MAX);
  memcpy (packed + length, sqlite3_value_text (values[14]), number);
  sqlite3_result_int64 (context, (gint64) XXH3_64bits (packed, length + number));
}

/* Sets columns of all reports by @assignment, with checksums that are right. */
static void
forge (StoreFixture *f, const char *assignment)
{
  g_autofree char *sql = g_strdup_printf ("UPDATE versions SET %s", assignment);
  sqlite3         *db = NULL;
  char            *message = NULL;

  if (f->store != NULL)
    fixture_close (f);
  assert_int_equal (sqlite3_open (f->path, &db), SQLITE_OK);
  sqlite3_create_function (db, "sum_of", 15, SQLITE_UTF8, NULL, checksum_of_row, NULL, NULL);
  if (sqlite3_exec (db, sql, NULL, NULL, &message) != SQLITE_OK)
    fail_msg ("%s: %s", sql, message);
  assert_int_equal (sqlite3_exec (db,
                                  "UPDATE versions SET checksum = sum_of (id, report, orchestrator, size, stored_size,"
                                  " seed, saved, mode, uid, gid, atime, mtime, ctime, sha256, name)",
                                  NULL, NULL, NULL),
                    SQLITE_OK);
  assert_int_equal (sqlite3_close (db), SQLITE_OK);
  fixture_reopen (f, 0);
}

/* Returns: the name of the only report that is listed, which must be damaged if @damaged. */
static char *
list_only (StoreFixture *f, gboolean damaged)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReportIds) ids = cau_store_get_report_ids (f->store, f->id, NULL, &error);
  const CauReportInfo *info;
  char                *name;

  assert_done (ids != NULL, &error);
  info = cau_report_ids_next (ids, &error);
  assert_done (info != NULL, &error);
  assert_int_equal (info->damaged, damaged);
  name = g_strdup (info->name);
  assert_null (cau_report_ids_next (ids, &error));
  assert_null (error);
  return name;
}

static void
forged_record_as_ours_is_read (void **state)
{
  StoreFixture    *f = *state;
  g_autofree char *name = NULL;

  fixture_save_text (f->store, f->id, "a", "text");
  forge (f, "name = 'b', mode = 1");
  name = list_only (f, FALSE);
  assert_string_equal (name, "b");
  fixture_assert_text (f->store, f->id, "b", "text");
}

static void
record_of_what_no_report_can_be_is_damaged (void **state)
{
  static const char *const assignments[] = { "mode = 40960", "size = 1 << 41", "size = -1", "id = 1 << 41",
                                             "mode = 4096" };
  StoreFixture            *f = *state;

  for (guint i = 0; i < G_N_ELEMENTS (assignments); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (CauReader) reader = NULL;
      g_autofree char *name = NULL;

      fixture_save_text (f->store, f->id, "a", "text");
      forge (f, assignments[i]);
      name = list_only (f, TRUE);
      assert_string_equal (name, "a");
      reader = cau_store_get_report (f->store, f->id, "a", 1, &error);
      assert_failed (reader != NULL, &error, CAU_STORE_ERROR_CORRUPT);
      tamper (f, "DELETE FROM versions");
      fixture_reopen (f, 0);
    }
}

static void
name_that_is_none_is_shown_as_one (void **state)
{
  static const struct
  {
    const char *sql;
    const char *shown;
  } names[] = {
    { "name = '../../etc/passwd'", "..\357\277\275..\357\277\275etc\357\277\275passwd" },
    { "name = 'a' || char (27) || '[2J' || char (10)", "a\357\277\275[2J\357\277\275" },
    { "name = '..'", "\357\277\275" },
    { "name = 'a' || char (155) || 'b'", "a\357\277\275b" },
  };
  StoreFixture *f = *state;

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *name = NULL;

      fixture_save_text (f->store, f->id, "a", "text");
      forge (f, names[i].sql);
      name = list_only (f, TRUE);
      assert_string_equal (name, names[i].shown);
      tamper (f, "DELETE FROM versions");
      fixture_reopen (f, 0);
    }
}

static void
name_that_is_too_long_is_shown_shorter (void **state)
{
  StoreFixture    *f = *state;
  g_autofree char *name = NULL;

  fixture_save_text (f->store, f->id, "a", "text");
  forge (f, "name = replace (hex (zeroblob (200)), '0', 'x')");
  name = list_only (f, TRUE);
  assert_true (cau_report_name_validate (name, NULL));
}

/* A listing goes on after the last name that it had, as the library knows it: up to a zero byte. */
static void
names_with_zero_bytes_do_not_make_a_listing_endless (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReportIds) ids = NULL;
  guint n = 0;

  fixture_save_many (f->store, f->id, MANY);
  forge (f, "name = 'a' || char (0) || id");
  ids = cau_store_get_report_ids (f->store, f->id, NULL, &error);
  assert_done (ids != NULL, &error);
  while (cau_report_ids_next (ids, &error) != NULL)
    assert_true (++n <= 2 * MANY);
  assert_failed (FALSE, &error, CAU_STORE_ERROR_CORRUPT);
}

static void
value_of_hundreds_of_megabytes_is_not_loaded (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReader) reader = NULL;
  char    buffer[4];
  gsize   n_read;
  guint64 before;

  fixture_save_text (f->store, f->id, "a", "text");
  tamper (f, "UPDATE chunks SET data = zeroblob (300000000)");
  fixture_forget_peak_memory ();
  before = fixture_peak_memory ();
  fixture_reopen (f, 0);
  reader = cau_store_get_report (f->store, f->id, "a", 1, &error);
  assert_done (reader != NULL, &error);
  assert_failed (cau_reader_read (reader, 0, buffer, sizeof buffer, &n_read, &error), &error, CAU_STORE_ERROR_CORRUPT);
  assert_true (fixture_peak_memory () < before + 100000000);
}

/* ---- a journal beside the store ---- */

static void
append_u32 (GByteArray *to, guint32 number)
{
  guint32 big = GUINT32_TO_BE (number);

  g_byte_array_append (to, (const guint8 *) &big, sizeof big);
}

/* A journal that was left by a crash, of no page, which says that the file @super was part of the transaction
 * (sqlite.org/fileformat2.html, "The Rollback Journal"; writeSuperJournal() in pager.c). */
static GByteArray *
make_journal (const char *super, gsize pages)
{
  static const guint8 magic[] = { 0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7 };
  static const guint8 zeros[512];
  GByteArray         *journal = g_byte_array_new ();
  guint32             sum = 0;

  g_byte_array_append (journal, magic, sizeof magic);
  append_u32 (journal, 0); /* pages in the journal */
  append_u32 (journal, 0);
  append_u32 (journal, (guint32) pages);
  append_u32 (journal, 512);
  append_u32 (journal, 4096);
  g_byte_array_append (journal, zeros, 512 - journal->len);
  append_u32 (journal, 0x40000000 / 4096 + 1); /* the page of the locks */
  g_byte_array_append (journal, (const guint8 *) super, (guint) strlen (super));
  for (const char *p = super; *p != '\0'; p++)
    sum += (guint8) *p;
  append_u32 (journal, (guint32) strlen (super));
  append_u32 (journal, sum);
  g_byte_array_append (journal, magic, sizeof magic);
  return journal;
}

static void
journal_beside_a_store_removes_no_other_file (void **state)
{
  StoreFixture    *f = *state;
  g_autofree char *victim = g_build_filename (f->dir, "victim", NULL);
  g_autofree char *journal_path = g_strconcat (f->path, "-journal", NULL);
  g_autoptr (GByteArray) journal = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStore) store = NULL;
  GStatBuf st;

  fixture_save_text (f->store, f->id, "a", "text");
  fixture_close (f);
  assert_int_equal (g_stat (f->path, &st), 0);
  assert_true (g_file_set_contents (victim, "dear", -1, NULL));
  journal = make_journal (victim, (gsize) st.st_size / 4096);
  assert_true (g_file_set_contents (journal_path, (const char *) journal->data, journal->len, NULL));
  store = cau_store_open (f->path, CAU_STORE_OPEN_CREATE, &error);
  assert_true (g_file_test (victim, G_FILE_TEST_EXISTS));
  assert_null (store);
  assert_non_null (strstr (error->message, f->path));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (store_with_a_schema_of_its_own_is_not_opened),
    STORE_TEST (store_with_statistics_is_opened),
    STORE_TEST (forged_record_as_ours_is_read),
    STORE_TEST (record_of_what_no_report_can_be_is_damaged),
    STORE_TEST (name_that_is_none_is_shown_as_one),
    STORE_TEST (name_that_is_too_long_is_shown_shorter),
    STORE_TEST (names_with_zero_bytes_do_not_make_a_listing_endless),
    STORE_TEST (value_of_hundreds_of_megabytes_is_not_loaded),
    STORE_TEST (journal_beside_a_store_removes_no_other_file),
  };

  return cmocka_run_group_tests_name ("store-hostile", tests, NULL, NULL);
}

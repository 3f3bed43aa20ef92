/* SPDX-License-Identifier: MIT */
/* A reader keeps its version, whatever happens to the name; and lets it go when it goes. */
#include "store-fixture.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

static void
collect (CauStore *store)
{
  g_autoptr (GError) error = NULL;

  assert_done (cau_store_collect (store, NULL, &error), &error);
}

static void
assert_stale (CauStore *store, guint64 version)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReader) reader = cau_store_open_version (store, version, 1, &error);
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  assert_failed (reader != NULL, &error, CAU_STORE_ERROR_STALE);
  assert_failed (cau_store_get_version (store, version, &info, &error), &error, CAU_STORE_ERROR_STALE);
}

static void
assert_reads (CauReader *reader, GBytes *expected)
{
  g_autoptr (GBytes) actual = fixture_read (reader);

  assert_bytes_equal (actual, expected);
}

static void
reader_keeps_a_replaced_version (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) first = fixture_bytes (1, 2 * STORED_CHUNK + 3);
  g_autoptr (GBytes) second = fixture_bytes (2, 3 * STORED_CHUNK);
  g_autoptr (CauReader) reader = NULL;
  guint64 version;

  fixture_save (f->store, f->id, "a", first);
  reader = fixture_get_report (f->store, f->id, "a", 4096);
  version = cau_reader_get_info (reader)->version;
  fixture_save (f->store, f->id, "a", second);
  collect (f->store);
  assert_reads (reader, first);
  fixture_assert_report (f->store, f->id, "a", second);
  g_clear_pointer (&reader, cau_reader_unref);
  collect (f->store);
  assert_stale (f->store, version);
}

static void
reader_keeps_a_removed_version (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = fixture_bytes (1, STORED_CHUNK + 3);
  g_autoptr (CauReader) reader = NULL;

  fixture_save (f->store, f->id, "a", bytes);
  reader = fixture_get_report (f->store, f->id, "a", 4096);
  fixture_remove (f->store, f->id, "a");
  collect (f->store);
  assert_reads (reader, bytes);
}

static void
every_reader_keeps_its_own_version (void **state)
{
  StoreFixture *f = *state;
  CauReader    *readers[5];
  GBytes       *bytes[5];

  for (guint i = 0; i < G_N_ELEMENTS (readers); i++)
    {
      bytes[i] = fixture_bytes (i, STORED_CHUNK * i + i);
      fixture_save (f->store, f->id, "a", bytes[i]);
      readers[i] = fixture_get_report (f->store, f->id, "a", 4096);
    }
  fixture_remove (f->store, f->id, "a");
  collect (f->store);
  for (guint i = 0; i < G_N_ELEMENTS (readers); i++)
    assert_reads (readers[i], bytes[i]);
  for (guint i = 0; i < G_N_ELEMENTS (readers); i++)
    {
      cau_reader_unref (readers[i]);
      g_bytes_unref (bytes[i]);
    }
}

static void
last_of_several_readers_lets_go (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = fixture_bytes (1, STORED_CHUNK + 3);
  CauReader *first, *second;
  guint64    version;

  fixture_save (f->store, f->id, "a", bytes);
  version = fixture_version (f->store, f->id, "a");
  first = fixture_get_report (f->store, f->id, "a", 1);
  second = fixture_get_report (f->store, f->id, "a", 1);
  fixture_remove (f->store, f->id, "a");
  cau_reader_unref (first);
  collect (f->store);
  assert_reads (second, bytes);
  cau_reader_unref (second);
  collect (f->store);
  assert_stale (f->store, version);
}

static void
counted_reader_keeps_its_pin (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = fixture_bytes (1, STORED_CHUNK + 3);
  g_autoptr (CauReader) reader = NULL;

  fixture_save (f->store, f->id, "a", bytes);
  reader = fixture_get_report (f->store, f->id, "a", 1);
  cau_reader_unref (cau_reader_ref (reader));
  fixture_remove (f->store, f->id, "a");
  collect (f->store);
  assert_reads (reader, bytes);
}

static void
pinned_version_can_be_opened_again (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = fixture_bytes (1, STORED_CHUNK + 3);
  g_autoptr (CauReader) first = NULL;
  g_autoptr (CauReader) second = NULL;

  fixture_save (f->store, f->id, "a", bytes);
  first = fixture_get_report (f->store, f->id, "a", 1);
  fixture_save_text (f->store, f->id, "a", "2");
  second = cau_store_open_version (f->store, cau_reader_get_info (first)->version, 1, &error);
  assert_done (second != NULL, &error);
  g_clear_pointer (&first, cau_reader_unref);
  collect (f->store);
  assert_reads (second, bytes);
}

static void
open_version_reads_the_current_version (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = fixture_text ("text");
  g_autoptr (CauReader) reader = NULL;

  fixture_save (f->store, f->id, "a", bytes);
  reader = cau_store_open_version (f->store, fixture_version (f->store, f->id, "a"), 1, &error);
  assert_done (reader != NULL, &error);
  assert_reads (reader, bytes);
}

static void
reader_knows_the_report_as_it_was_opened (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReader) reader = NULL;
  CauAttributes        attributes = { .mode = 0111 };
  const CauReportInfo *info;
  guint64              version;

  fixture_save_text (f->store, f->id, "a", "text");
  version = fixture_version (f->store, f->id, "a");
  reader = fixture_get_report (f->store, f->id, "a", 1);
  assert_done (cau_store_set_report_attributes (f->store, version, CAU_ATTRIBUTE_MODE, &attributes, NULL, &error),
               &error);
  assert_done (cau_store_rename_report (f->store, f->id, "a", f->id, "b", CAU_RENAME_REPLACE, &error), &error);
  info = cau_reader_get_info (reader);
  assert_string_equal (info->name, "a");
  assert_int_equal (info->orchestrator, f->id);
  assert_int_equal (info->version, version);
  assert_int_equal (info->size, 4);
  assert_int_equal (info->attributes.mode, 0640);
}

static void
get_version_tells_where_a_pinned_one_went (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReader) reader = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  guint64 version;

  fixture_save_text (f->store, f->id, "a", "text");
  reader = fixture_get_report (f->store, f->id, "a", 1);
  version = cau_reader_get_info (reader)->version;
  assert_done (cau_store_rename_report (f->store, f->id, "a", f->id, "b", CAU_RENAME_REPLACE, &error), &error);
  assert_done (cau_store_get_version (f->store, version, &info, &error), &error);
  assert_string_equal (info.name, "b");
  assert_int_equal (info.orchestrator, f->id);
  fixture_save_text (f->store, f->id, "b", "other");
  collect (f->store);
  assert_done (cau_store_get_version (f->store, version, &info, &error), &error);
  assert_null (info.name);
  assert_int_equal (info.orchestrator, 0);
  assert_int_equal (info.version, version);
  assert_int_equal (info.size, 4);
}

static void
collect_counts_what_went (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReader) reader = NULL;
  guint64 n_pinned = 99, n_after = 99;

  fixture_save_text (f->store, f->id, "a", "1");
  reader = fixture_get_report (f->store, f->id, "a", 1);
  fixture_save_text (f->store, f->id, "a", "2");
  collect (f->store);
  assert_done (cau_store_collect (f->store, &n_pinned, &error), &error);
  assert_int_equal (n_pinned, 0);
  g_clear_pointer (&reader, cau_reader_unref);
  assert_done (cau_store_collect (f->store, &n_after, &error), &error);
  assert_true (n_after <= 1);
  assert_done (cau_store_collect (f->store, &n_after, &error), &error);
  assert_int_equal (n_after, 0);
}

static gboolean
is_stale (CauStore *store, guint64 version)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReader) reader = cau_store_open_version (store, version, 1, &error);

  return reader == NULL && g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_STALE);
}

static void
replaced_version_goes_after_its_last_reader (void **state)
{
  StoreFixture *f = *state;
  CauReader    *reader;
  guint64       version;

  fixture_save_text (f->store, f->id, "a", "1");
  reader = fixture_get_report (f->store, f->id, "a", 1);
  version = cau_reader_get_info (reader)->version;
  fixture_save_text (f->store, f->id, "a", "2");
  assert_false (is_stale (f->store, version));
  cau_reader_unref (reader);
  while (!is_stale (f->store, version))
    g_thread_yield ();
}

static void
closing_a_second_store_keeps_the_pins_of_the_first (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = fixture_bytes (1, STORED_CHUNK + 3);
  g_autoptr (CauReader) reader = NULL;
  g_autoptr (CauStore) collector = fixture_open (f, 0);
  CauStore *short_lived;

  fixture_save (f->store, f->id, "a", bytes);
  reader = fixture_get_report (f->store, f->id, "a", 1);
  short_lived = fixture_open (f, 0);
  cau_store_unref (short_lived);
  short_lived = fixture_open (f, CAU_STORE_OPEN_READ_ONLY);
  cau_store_unref (short_lived);
  fixture_save_text (collector, f->id, "a", "2");
  collect (collector);
  assert_reads (reader, bytes);
}

static void
second_store_respects_the_pins_of_the_first (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = fixture_bytes (1, STORED_CHUNK + 3);
  g_autoptr (CauReader) reader = NULL;
  g_autoptr (CauStore) other = fixture_open (f, 0);
  guint64 version;

  fixture_save (f->store, f->id, "a", bytes);
  reader = fixture_get_report (f->store, f->id, "a", 1);
  version = cau_reader_get_info (reader)->version;
  fixture_save_text (other, f->id, "a", "2");
  collect (other);
  assert_reads (reader, bytes);
  g_clear_pointer (&reader, cau_reader_unref);
  collect (other);
  assert_stale (other, version);
}

static void
store_opened_through_a_link_respects_the_pins (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autofree char *link = g_build_filename (f->dir, "link", NULL);
  g_autoptr (GBytes) bytes = fixture_bytes (1, STORED_CHUNK + 3);
  g_autoptr (CauReader) reader = NULL;
  g_autoptr (CauStore) other = NULL;

  assert_int_equal (symlink (f->path, link), 0);
  other = cau_store_open (link, 0, &error);
  assert_done (other != NULL, &error);
  fixture_save (f->store, f->id, "a", bytes);
  reader = fixture_get_report (f->store, f->id, "a", 1);
  fixture_save_text (other, f->id, "a", "2");
  collect (other);
  assert_reads (reader, bytes);
}

/* Where the file of the pins could not be made, the first writer makes it. */
static void
reader_that_found_no_file_of_pins_uses_it_when_it_is_there (void **state)
{
  StoreFixture    *f = *state;
  g_autofree char *pins = g_strconcat (f->path, "-pins", NULL);
  g_autoptr (GBytes) bytes = fixture_dense_bytes (1, 3 * STORED_CHUNK);
  g_autoptr (GBytes) found = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStore) other = NULL;
  g_autoptr (CauReader) reader = NULL;
  char  byte;
  gsize n_read;

  fixture_save (f->store, f->id, "a", bytes);
  fixture_close (f);
  assert_int_equal (g_unlink (pins), 0);
  assert_int_equal (g_mkdir (pins, 0700), 0);
  other = fixture_open (f, CAU_STORE_OPEN_READ_ONLY);
  reader = fixture_get_report (other, f->id, "a", STORED_CHUNK);
  assert_int_equal (g_rmdir (pins), 0);
  fixture_reopen (f, 0);
  assert_done (cau_reader_read (reader, 0, &byte, 1, &n_read, &error), &error);
  fixture_save_text (f->store, f->id, "a", "other");
  found = fixture_read (reader);
  assert_bytes_equal (found, bytes);
}

static void
read_only_reader_keeps_its_version (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = fixture_bytes (1, STORED_CHUNK + 3);
  g_autoptr (CauStore) other = fixture_open (f, CAU_STORE_OPEN_READ_ONLY);
  g_autoptr (CauReader) reader = NULL;

  fixture_save (f->store, f->id, "a", bytes);
  reader = fixture_get_report (other, f->id, "a", 1);
  fixture_save_text (f->store, f->id, "a", "2");
  collect (f->store);
  assert_reads (reader, bytes);
}

static void
opening_a_store_keeps_pinned_versions (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = fixture_bytes (1, STORED_CHUNK + 3);
  g_autoptr (CauReader) reader = NULL;
  g_autoptr (CauStore) other = NULL;

  fixture_save (f->store, f->id, "a", bytes);
  reader = fixture_get_report (f->store, f->id, "a", 1);
  fixture_remove (f->store, f->id, "a");
  other = fixture_open (f, 0);
  assert_reads (reader, bytes);
}

/* ---- readers beside a writer ---- */

typedef struct
{
  CauStore *store;
  guint64   id;
  gint      stop; /* atomic */
  gint      n_wrong;
  gint      n_read;
} Race;

/* Each version is one byte over and over, its size told by the byte: a mix would show. */
static gboolean
is_one_version (const guint8 *data, gsize size)
{
  if (size < STORED_CHUNK || size != STORED_CHUNK + data[0] * (gsize) 1000)
    return FALSE;
  return memcmp (data, data + 1, size - 1) == 0;
}

static gpointer
read_and_check (gpointer user_data)
{
  Race              *self = user_data;
  const gsize        room = STORED_CHUNK + 256 * 1000;
  g_autofree guint8 *buffer = g_malloc (room);

  while (!g_atomic_int_get (&self->stop))
    {
      g_autoptr (CauReader) reader = cau_store_get_report (self->store, self->id, "a", 1000, NULL);
      gsize n_read = 0;

      if (reader == NULL || !cau_reader_read (reader, 0, buffer, room, &n_read, NULL)
          || !is_one_version (buffer, n_read))
        g_atomic_int_inc (&self->n_wrong);
      g_atomic_int_inc (&self->n_read);
    }
  return NULL;
}

static void
save_version (CauStore *store, guint64 id, guint8 byte)
{
  gsize size = STORED_CHUNK + byte * (gsize) 1000;
  g_autoptr (GBytes) bytes = g_bytes_new_take (memset (g_malloc (size), byte, size), size);

  fixture_save (store, id, "a", bytes);
}

static void
readers_never_meet_a_mix (void **state)
{
  StoreFixture *f = *state;
  GThread      *threads[3];
  Race          race = { .store = f->store, .id = f->id };

  save_version (f->store, f->id, 0);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("reader", read_and_check, &race);
  for (guint i = 1; i <= 100; i++)
    {
      save_version (f->store, f->id, (guint8) i);
      if (i % 10 == 0)
        collect (f->store);
    }
  while (g_atomic_int_get (&race.n_read) < 10)
    g_thread_yield ();
  g_atomic_int_set (&race.stop, 1);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  assert_int_equal (race.n_wrong, 0);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (reader_keeps_a_replaced_version),
    STORE_TEST (reader_keeps_a_removed_version),
    STORE_TEST (every_reader_keeps_its_own_version),
    STORE_TEST (last_of_several_readers_lets_go),
    STORE_TEST (counted_reader_keeps_its_pin),
    STORE_TEST (pinned_version_can_be_opened_again),
    STORE_TEST (open_version_reads_the_current_version),
    STORE_TEST (reader_knows_the_report_as_it_was_opened),
    STORE_TEST (get_version_tells_where_a_pinned_one_went),
    STORE_TEST (collect_counts_what_went),
    STORE_TEST (replaced_version_goes_after_its_last_reader),
    STORE_TEST (closing_a_second_store_keeps_the_pins_of_the_first),
    STORE_TEST (second_store_respects_the_pins_of_the_first),
    STORE_TEST (store_opened_through_a_link_respects_the_pins),
    STORE_TEST (read_only_reader_keeps_its_version),
    STORE_TEST (reader_that_found_no_file_of_pins_uses_it_when_it_is_there),
    STORE_TEST (opening_a_store_keeps_pinned_versions),
    STORE_TEST (readers_never_meet_a_mix),
  };

  return cmocka_run_group_tests_name ("store-pins", tests, NULL, NULL);
}

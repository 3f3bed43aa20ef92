/* SPDX-License-Identifier: MIT */
/* PutReport: chunks by number, and the whole size with the last one. */
#include "store-fixture.h"

#include <string.h>

#define LAST TRUE
#define MORE FALSE

static gboolean
put (StoreFixture *f, CauUpload *upload, guint32 number, GBytes *bytes, guint64 report_size, gboolean last,
     GError **error)
{
  g_autoptr (CauChunk) chunk = cau_chunk_new (cau_datetime_now (), number, bytes);

  return cau_store_put_report (f->store, upload, report_size, chunk, last, error);
}

static void
put_text (StoreFixture *f, CauUpload *upload, guint32 number, const char *text, guint64 report_size, gboolean last)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = fixture_text (text);

  assert_done (put (f, upload, number, bytes, report_size, last, &error), &error);
}

static void
assert_put_fails (StoreFixture *f, CauUpload *upload, guint32 number, const char *text, guint64 report_size,
                  gboolean last, CauStoreError code)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = fixture_text (text);

  assert_failed (put (f, upload, number, bytes, report_size, last, &error), &error, code);
}

static CauUpload *
begin (StoreFixture *f)
{
  return fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
}

static void
chunks_make_a_report (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = begin (f);

  put_text (f, upload, 0, "abc", 8, MORE);
  put_text (f, upload, 1, "def", 8, MORE);
  fixture_assert_absent (f->store, f->id, "a");
  put_text (f, upload, 2, "gh", 8, LAST);
  fixture_assert_text (f->store, f->id, "a", "abcdefgh");
}

static void
one_chunk_may_be_the_whole_report (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = begin (f);

  put_text (f, upload, 0, "abc", 3, LAST);
  fixture_assert_text (f->store, f->id, "a", "abc");
}

static void
empty_chunk_makes_an_empty_report (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = begin (f);

  put_text (f, upload, 0, "", 0, LAST);
  fixture_assert_text (f->store, f->id, "a", "");
}

static void
empty_chunks_count_as_chunks (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = begin (f);

  put_text (f, upload, 0, "", 4, MORE);
  put_text (f, upload, 1, "ab", 4, MORE);
  put_text (f, upload, 2, "", 4, MORE);
  put_text (f, upload, 3, "cd", 4, MORE);
  put_text (f, upload, 4, "", 4, LAST);
  fixture_assert_text (f->store, f->id, "a", "abcd");
}

static void
put_replaces_a_report_at_the_last_chunk (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = NULL;

  fixture_save_text (f->store, f->id, "a", "old");
  upload = begin (f);
  put_text (f, upload, 0, "n", 3, MORE);
  fixture_assert_text (f->store, f->id, "a", "old");
  put_text (f, upload, 1, "ew", 3, LAST);
  fixture_assert_text (f->store, f->id, "a", "new");
}

static void
unfinished_put_saves_nothing (void **state)
{
  StoreFixture *f = *state;
  CauUpload    *upload = begin (f);

  put_text (f, upload, 0, "abc", 3, MORE);
  cau_upload_unref (upload);
  fixture_assert_absent (f->store, f->id, "a");
}

/* ---- order ---- */

static void
first_chunk_must_be_number_zero (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = begin (f);

  assert_put_fails (f, upload, 1, "abc", 3, LAST, CAU_STORE_ERROR_INCOMPLETE);
  assert_put_fails (f, upload, G_MAXUINT32, "abc", 3, MORE, CAU_STORE_ERROR_INCOMPLETE);
  fixture_assert_absent (f->store, f->id, "a");
}

static void
gap_is_an_error (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = begin (f);

  put_text (f, upload, 0, "abc", 6, MORE);
  assert_put_fails (f, upload, 2, "def", 6, LAST, CAU_STORE_ERROR_INCOMPLETE);
  fixture_assert_absent (f->store, f->id, "a");
}

/* ---- retries ---- */

static void
retry_replaces_the_chunk (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = begin (f);

  put_text (f, upload, 0, "abc", 9, MORE);
  put_text (f, upload, 1, "xxx", 9, MORE);
  put_text (f, upload, 1, "def", 9, MORE);
  put_text (f, upload, 2, "ghi", 9, LAST);
  fixture_assert_text (f->store, f->id, "a", "abcdefghi");
}

static void
retry_may_have_another_size (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = begin (f);

  put_text (f, upload, 0, "0000", 12, MORE);
  put_text (f, upload, 1, "11", 12, MORE);
  put_text (f, upload, 2, "222", 12, MORE);
  put_text (f, upload, 1, "1one1", 12, MORE);
  put_text (f, upload, 0, "0", 12, MORE);
  put_text (f, upload, 3, "345", 12, LAST);
  fixture_assert_text (f->store, f->id, "a", "01one1222345");
}

static void
last_chunk_may_be_a_retry (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = begin (f);

  put_text (f, upload, 0, "bad", 6, MORE);
  put_text (f, upload, 1, "def", 6, MORE);
  put_text (f, upload, 0, "abc", 6, LAST);
  fixture_assert_text (f->store, f->id, "a", "abcdef");
}

static void
next_number_after_a_retry_is_the_highest_and_one (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = begin (f);

  put_text (f, upload, 0, "a", 4, MORE);
  put_text (f, upload, 1, "b", 4, MORE);
  put_text (f, upload, 2, "c", 4, MORE);
  put_text (f, upload, 0, "A", 4, MORE);
  assert_put_fails (f, upload, 4, "e", 4, MORE, CAU_STORE_ERROR_INCOMPLETE);
  put_text (f, upload, 3, "d", 4, LAST);
  fixture_assert_text (f->store, f->id, "a", "Abcd");
}

/* ---- sizes ---- */

static void
assert_sum_is_refused (StoreFixture *f, guint64 report_size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = fixture_text ("4567");
  g_autoptr (CauUpload) upload = begin (f);
  g_autofree char *figure = g_strdup_printf ("%" G_GUINT64_FORMAT, report_size);

  put_text (f, upload, 0, "0123", report_size, MORE);
  assert_false (put (f, upload, 1, bytes, report_size, LAST, &error));
  assert_non_null (error);
  assert_non_null (strstr (error->message, figure));
  assert_non_null (strstr (error->message, "8"));
  assert_failed (FALSE, &error, CAU_STORE_ERROR_INCOMPLETE);
}

static void
sum_must_be_the_report_size (void **state)
{
  const guint64 sizes[] = { 7, 9, 6, 1000, G_MAXUINT64 };
  StoreFixture *f = *state;

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    assert_sum_is_refused (f, sizes[i]);
  fixture_assert_absent (f->store, f->id, "a");
  fixture_save_text (f->store, f->id, "a", "old");
  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    assert_sum_is_refused (f, sizes[i]);
  fixture_assert_text (f->store, f->id, "a", "old");
}

static void
empty_report_of_another_size_is_refused (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = begin (f);

  assert_put_fails (f, upload, 0, "", 1, LAST, CAU_STORE_ERROR_INCOMPLETE);
  fixture_assert_absent (f->store, f->id, "a");
}

static void
limit_holds_for_chunks (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = NULL;

  assert_done (cau_store_set_limits (f->store, 0, 5, &error), &error);
  upload = begin (f);
  put_text (f, upload, 0, "0123", 8, MORE);
  assert_put_fails (f, upload, 1, "4567", 8, LAST, CAU_STORE_ERROR_TOO_BIG);
  fixture_assert_absent (f->store, f->id, "a");
}

static void
chunks_of_every_size_make_the_same_report (void **state)
{
  const gsize   chunk_sizes[] = { 1000, 4096, STORED_CHUNK - 1, STORED_CHUNK, STORED_CHUNK + 1, 3 * STORED_CHUNK };
  const gsize   size = 3 * STORED_CHUNK + 17;
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = fixture_bytes (1, size);

  for (guint i = 0; i < G_N_ELEMENTS (chunk_sizes); i++)
    {
      g_autoptr (CauUpload) upload = begin (f);
      guint32 number = 0;

      for (gsize offset = 0; offset < size; offset += chunk_sizes[i])
        {
          g_autoptr (GError) error = NULL;
          gsize length = MIN (chunk_sizes[i], size - offset);
          g_autoptr (GBytes) part = g_bytes_new_from_bytes (bytes, offset, length);

          assert_done (put (f, upload, number++, part, size, offset + length == size, &error), &error);
        }
      fixture_assert_report (f->store, f->id, "a", bytes);
      fixture_remove (f->store, f->id, "a");
    }
}

static void
get_report_feeds_put_report (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = fixture_bytes (2, 2 * STORED_CHUNK + 99);
  g_autoptr (CauReader) reader = NULL;
  g_autoptr (CauUpload) upload = NULL;
  guint64 size, left;

  fixture_save (f->store, f->id, "from", bytes);
  reader = fixture_get_report (f->store, f->id, "from", 10007);
  upload = begin (f);
  size = left = cau_reader_get_info (reader)->size;
  while (left > 0)
    {
      g_autoptr (CauChunk) chunk = cau_reader_next_chunk (reader, &error);

      assert_done (chunk != NULL, &error);
      left -= g_bytes_get_size (chunk->data);
      assert_done (cau_store_put_report (f->store, upload, size, chunk, left == 0, &error), &error);
    }
  fixture_assert_report (f->store, f->id, "a", bytes);
}

/* ---- against a model: an array of chunks ---- */

static GBytes *
join (GPtrArray *chunks)
{
  GByteArray *all = g_byte_array_new ();

  for (guint i = 0; i < chunks->len; i++)
    g_byte_array_append (all, g_bytes_get_data (g_ptr_array_index (chunks, i), NULL),
                         (guint) g_bytes_get_size (g_ptr_array_index (chunks, i)));
  return g_byte_array_free_to_bytes (all);
}

static GBytes *
random_chunk (GRand *rand)
{
  static const gint32 limits[] = { 1, 10, 3000, (gint32) STORED_CHUNK + 10 };
  gint32              limit = limits[g_rand_int_range (rand, 0, (gint32) G_N_ELEMENTS (limits))];

  return fixture_bytes (g_rand_int (rand), (gsize) g_rand_int_range (rand, 0, limit));
}

static void
put_at_random (StoreFixture *f, GRand *rand, CauUpload *upload, GPtrArray *chunks)
{
  g_autoptr (GError) error = NULL;
  guint   number = (guint) g_rand_int_range (rand, 0, (gint32) chunks->len + 1);
  GBytes *bytes = random_chunk (rand);

  if (g_rand_int_range (rand, 0, 3) > 0)
    number = chunks->len;
  assert_done (put (f, upload, number, bytes, 12345, MORE, &error), &error);
  if (number == chunks->len)
    g_ptr_array_add (chunks, bytes);
  else
    {
      g_bytes_unref (g_ptr_array_index (chunks, number));
      g_ptr_array_index (chunks, number) = bytes;
    }
}

static void
random_puts_agree_with_the_model (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GRand) rand = g_rand_new_with_seed (fixture_seed ());

  for (guint round = 0; round < 20; round++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GPtrArray) chunks = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
      g_autoptr (CauUpload) upload = begin (f);
      g_autoptr (GBytes) expected = NULL;

      for (gint i = g_rand_int_range (rand, 0, 30); i >= 0; i--)
        put_at_random (f, rand, upload, chunks);
      g_ptr_array_add (chunks, random_chunk (rand));
      expected = join (chunks);
      assert_done (put (f, upload, chunks->len - 1, g_ptr_array_index (chunks, chunks->len - 1),
                        g_bytes_get_size (expected), LAST, &error),
                   &error);
      fixture_assert_report (f->store, f->id, "a", expected);
    }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (chunks_make_a_report),
    STORE_TEST (one_chunk_may_be_the_whole_report),
    STORE_TEST (empty_chunk_makes_an_empty_report),
    STORE_TEST (empty_chunks_count_as_chunks),
    STORE_TEST (put_replaces_a_report_at_the_last_chunk),
    STORE_TEST (unfinished_put_saves_nothing),
    STORE_TEST (first_chunk_must_be_number_zero),
    STORE_TEST (gap_is_an_error),
    STORE_TEST (retry_replaces_the_chunk),
    STORE_TEST (retry_may_have_another_size),
    STORE_TEST (last_chunk_may_be_a_retry),
    STORE_TEST (next_number_after_a_retry_is_the_highest_and_one),
    STORE_TEST (sum_must_be_the_report_size),
    STORE_TEST (empty_report_of_another_size_is_refused),
    STORE_TEST (limit_holds_for_chunks),
    STORE_TEST (chunks_of_every_size_make_the_same_report),
    STORE_TEST (get_report_feeds_put_report),
    STORE_TEST (random_puts_agree_with_the_model),
  };

  return cmocka_run_group_tests_name ("store-put", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Chunks are encoded beside the writer. These tests act while some are being encoded: each first writes more chunks than one
 * step of the encoders takes. */
#include "store-fixture.h"

#include <string.h>

#define CHUNKS 13
#define LENGTH (CHUNKS * STORED_CHUNK)
#define ROUNDS 5

/* A report of which every other chunk compresses, so that encodings are finished out of order. */
static GByteArray *
make_bytes (guint32 seed)
{
  GByteArray *bytes = g_byte_array_new ();

  for (guint i = 0; i < CHUNKS; i++)
    {
      g_autoptr (GBytes) part =
        i % 2 == 0 ? fixture_dense_bytes (seed + i, STORED_CHUNK) : fixture_bytes (seed + i, STORED_CHUNK);

      g_byte_array_append (bytes, g_bytes_get_data (part, NULL), STORED_CHUNK);
    }
  return bytes;
}

static void
write_part (CauUpload *upload, GByteArray *bytes, gsize offset, gsize length)
{
  g_autoptr (GBytes) part = g_bytes_new (bytes->data + offset, length);

  fixture_write (upload, offset, part);
}

static void
write_all (CauUpload *upload, GByteArray *bytes)
{
  for (gsize offset = 0; offset < bytes->len; offset += STORED_CHUNK)
    write_part (upload, bytes, offset, MIN (STORED_CHUNK, bytes->len - offset));
}

static void
assert_saved (StoreFixture *f, GByteArray *bytes)
{
  g_autoptr (GBytes) expected = g_bytes_new (bytes->data, bytes->len);

  fixture_assert_report (f->store, f->id, "a", expected);
}

static void
chunk_written_again_while_it_is_encoded_has_the_last_bytes (void **state)
{
  StoreFixture *f = *state;

  for (guint round = 0; round < ROUNDS; round++)
    {
      g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
      g_autoptr (GByteArray) bytes = make_bytes (round * 100);
      g_autoptr (GByteArray) other = make_bytes (round * 100 + 50);

      write_all (upload, bytes);
      for (guint i = 0; i < CHUNKS; i += 3)
        {
          memcpy (bytes->data + i * STORED_CHUNK, other->data + i * STORED_CHUNK, STORED_CHUNK);
          write_part (upload, bytes, i * STORED_CHUNK, STORED_CHUNK);
        }
      fixture_commit (upload);
      assert_saved (f, bytes);
    }
}

static void
part_written_again_while_its_chunk_is_encoded_keeps_the_rest (void **state)
{
  StoreFixture *f = *state;

  for (guint round = 0; round < ROUNDS; round++)
    {
      g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
      g_autoptr (GByteArray) bytes = make_bytes (round * 100);

      write_all (upload, bytes);
      for (guint i = CHUNKS - 3; i > 0; i -= 2)
        {
          memset (bytes->data + i * STORED_CHUNK - 100, (int) i, 200);
          write_part (upload, bytes, i * STORED_CHUNK - 100, 200);
        }
      fixture_commit (upload);
      assert_saved (f, bytes);
    }
}

static void
upload_reads_back_what_is_being_encoded (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  g_autoptr (GByteArray) bytes = make_bytes (1);
  g_autoptr (GBytes) expected = g_bytes_new (bytes->data, bytes->len);
  g_autoptr (GBytes) read = NULL;

  write_all (upload, bytes);
  read = fixture_read_upload (upload);
  assert_bytes_equal (read, expected);
  fixture_commit (upload);
  assert_saved (f, bytes);
}

static void
cut (StoreFixture *f, gsize length, gboolean grow)
{
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  g_autoptr (GByteArray) bytes = make_bytes ((guint32) length);

  write_all (upload, bytes);
  fixture_truncate (upload, length);
  g_byte_array_set_size (bytes, (guint) length);
  if (grow)
    {
      fixture_truncate (upload, LENGTH);
      g_byte_array_set_size (bytes, LENGTH);
      memset (bytes->data + length, 0, LENGTH - length);
    }
  fixture_commit (upload);
  assert_saved (f, bytes);
}

static void
truncation_cuts_what_is_being_encoded (void **state)
{
  const gsize lengths[] = { 0, 1, STORED_CHUNK, 5 * STORED_CHUNK + 7, LENGTH - STORED_CHUNK, LENGTH - 1 };

  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++)
    {
      cut (*state, lengths[i], FALSE);
      cut (*state, lengths[i], TRUE);
    }
}

static void
upload_goes_on_after_a_commit_of_what_was_being_encoded (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  g_autoptr (GByteArray) bytes = make_bytes (1);
  g_autoptr (GByteArray) more = make_bytes (2);

  write_all (upload, bytes);
  fixture_commit (upload);
  assert_saved (f, bytes);
  memcpy (bytes->data, more->data, LENGTH / 2);
  write_part (upload, bytes, 0, LENGTH / 2);
  fixture_commit (upload);
  assert_saved (f, bytes);
}

static void
abandoning_while_chunks_are_encoded_saves_nothing (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GByteArray) bytes = make_bytes (1);

  for (guint round = 0; round < ROUNDS; round++)
    {
      CauUpload *upload = fixture_begin (f->store, f->id, "a", 0);

      write_all (upload, bytes);
      if (round % 2 == 0)
        cau_upload_abandon (upload);
      cau_upload_unref (upload);
      fixture_assert_absent (f->store, f->id, "a");
    }
}

static void
upload_that_fails_while_chunks_are_encoded_is_over (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (GByteArray) bytes = make_bytes (1);
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", 0);

  assert_done (cau_store_set_limits (f->store, 0, LENGTH, &error), &error);
  write_all (upload, bytes);
  assert_failed (cau_upload_write (upload, LENGTH, "x", 1, &error), &error, CAU_STORE_ERROR_TOO_BIG);
  assert_failed (cau_upload_write (upload, 0, "x", 1, &error), &error, CAU_STORE_ERROR_TOO_BIG);
  assert_failed (cau_upload_commit (upload, NULL, &error), &error, CAU_STORE_ERROR_TOO_BIG);
  fixture_assert_absent (f->store, f->id, "a");
}

/* They share the encoders, and one that is dropped leaves the others alone. */
static void
uploads_are_encoded_side_by_side (void **state)
{
  enum
  {
    N = 5
  };
  StoreFixture *f = *state;
  CauUpload    *uploads[N];
  GByteArray   *bytes[N];

  for (guint i = 0; i < N; i++)
    {
      g_autofree char *name = g_strdup_printf ("report-%u", i);

      uploads[i] = fixture_begin (f->store, f->id, name, 0);
      bytes[i] = make_bytes (i * 100);
    }
  for (gsize offset = 0; offset < LENGTH; offset += STORED_CHUNK)
    for (guint i = 0; i < N; i++)
      write_part (uploads[i], bytes[i], offset, STORED_CHUNK);
  for (guint i = 0; i < N; i++)
    {
      g_autofree char *name = g_strdup_printf ("report-%u", i);
      g_autoptr (GBytes) expected = g_bytes_new (bytes[i]->data, bytes[i]->len);

      if (i != 0)
        {
          fixture_commit (uploads[i]);
          fixture_assert_report (f->store, f->id, name, expected);
        }
      cau_upload_unref (uploads[i]);
      g_byte_array_unref (bytes[i]);
    }
  fixture_assert_absent (f->store, f->id, "report-0");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (chunk_written_again_while_it_is_encoded_has_the_last_bytes),
    STORE_TEST (part_written_again_while_its_chunk_is_encoded_keeps_the_rest),
    STORE_TEST (upload_reads_back_what_is_being_encoded),
    STORE_TEST (truncation_cuts_what_is_being_encoded),
    STORE_TEST (upload_goes_on_after_a_commit_of_what_was_being_encoded),
    STORE_TEST (abandoning_while_chunks_are_encoded_saves_nothing),
    STORE_TEST (upload_that_fails_while_chunks_are_encoded_is_over),
    STORE_TEST (uploads_are_encoded_side_by_side),
  };

  return cmocka_run_group_tests_name ("store-encoding", tests, NULL, NULL);
}

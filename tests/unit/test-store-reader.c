/* SPDX-License-Identifier: MIT */
#include "store-fixture.h"

#include <string.h>

/* Reads all chunks, checking their numbers, sizes and timestamps. Returns: what they hold together. */
static GBytes *
read_chunks (CauReader *reader, guint64 chunk_size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GByteArray) all = g_byte_array_new ();
  const CauReportInfo *info = cau_reader_get_info (reader);
  guint32              number = 0;

  for (;;)
    {
      g_autoptr (CauChunk) chunk = cau_reader_next_chunk (reader, &error);
      gsize size;

      assert_null (error);
      if (chunk == NULL)
        break;
      size = g_bytes_get_size (chunk->data);
      assert_int_equal (chunk->sequence_number, number++);
      assert_int_equal (chunk->timestamp, info->timestamp);
      assert_int_equal (size, MIN (chunk_size, info->size - all->len));
      g_byte_array_append (all, g_bytes_get_data (chunk->data, NULL), (guint) size);
    }
  assert_int_equal (number, MAX (1, (info->size + chunk_size - 1) / chunk_size));
  assert_null (cau_reader_next_chunk (reader, &error));
  assert_null (error);
  return g_byte_array_free_to_bytes (g_steal_pointer (&all));
}

static void
assert_chunks (StoreFixture *f, GBytes *bytes, guint64 chunk_size)
{
  g_autoptr (CauReader) reader = fixture_get_report (f->store, f->id, "a", chunk_size);
  g_autoptr (GBytes) actual = read_chunks (reader, chunk_size);

  assert_bytes_equal (actual, bytes);
}

static void
chunks_are_of_the_size_asked_for (void **state)
{
  const guint64 chunk_sizes[] = { 1000,
                                  4096,
                                  STORED_CHUNK - 1,
                                  STORED_CHUNK,
                                  STORED_CHUNK + 1,
                                  2 * STORED_CHUNK,
                                  3 * STORED_CHUNK + 7,
                                  (guint64) G_MAXUINT32 + 1 };
  const gsize   sizes[] = { 1, 999, STORED_CHUNK - 1, STORED_CHUNK, STORED_CHUNK + 1, 3 * STORED_CHUNK + 7 };
  StoreFixture *f = *state;

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    {
      g_autoptr (GBytes) bytes = fixture_bytes (i, sizes[i]);

      fixture_save (f->store, f->id, "a", bytes);
      for (guint k = 0; k < G_N_ELEMENTS (chunk_sizes); k++)
        assert_chunks (f, bytes, chunk_sizes[k]);
    }
}

static void
chunks_may_be_tiny (void **state)
{
  StoreFixture *f = *state;

  for (guint size = 1; size <= 9; size++)
    {
      g_autoptr (GBytes) bytes = fixture_bytes (size, size);

      fixture_save (f->store, f->id, "a", bytes);
      for (guint64 chunk_size = 1; chunk_size <= 10; chunk_size++)
        assert_chunks (f, bytes, chunk_size);
    }
}

static void
chunks_of_one_byte_cross_stored_chunks (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = fixture_bytes (1, STORED_CHUNK + 3);

  fixture_save (f->store, f->id, "a", bytes);
  assert_chunks (f, bytes, 1);
}

static void
chunks_may_be_larger_than_any_report (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = fixture_bytes (1, STORED_CHUNK + 3);
  g_autoptr (CauReader) reader = NULL;
  g_autoptr (GBytes) actual = NULL;

  fixture_save (f->store, f->id, "a", bytes);
  reader = fixture_get_report (f->store, f->id, "a", G_MAXUINT64);
  actual = fixture_read (reader);
  assert_bytes_equal (actual, bytes);
}

static void
empty_report_is_one_empty_chunk (void **state)
{
  const guint64 chunk_sizes[] = { 1, STORED_CHUNK, G_MAXUINT64 };
  StoreFixture *f = *state;

  fixture_save_text (f->store, f->id, "a", "");
  for (guint i = 0; i < G_N_ELEMENTS (chunk_sizes); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (CauReader) reader = fixture_get_report (f->store, f->id, "a", chunk_sizes[i]);
      g_autoptr (CauChunk) chunk = cau_reader_next_chunk (reader, &error);

      assert_done (chunk != NULL, &error);
      assert_int_equal (chunk->sequence_number, 0);
      assert_int_equal (g_bytes_get_size (chunk->data), 0);
      assert_null (cau_reader_next_chunk (reader, &error));
      assert_null (error);
    }
}

static void
chunk_size_zero_is_an_error (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReader) by_name = NULL;
  g_autoptr (CauReader) by_version = NULL;

  fixture_save_text (f->store, f->id, "a", "1");
  by_name = cau_store_get_report (f->store, f->id, "a", 0, &error);
  assert_failed (by_name != NULL, &error, CAU_STORE_ERROR_INVALID);
  by_version = cau_store_open_version (f->store, fixture_version (f->store, f->id, "a"), 0, &error);
  assert_failed (by_version != NULL, &error, CAU_STORE_ERROR_INVALID);
}

/* Zeros, which are not stored: what this costs is the SHA-256 of four gigabytes. */
static void
chunks_are_as_many_as_32_bits_number (void **state)
{
  StoreFixture *f = *state;
  const guint64 most = G_GUINT64_CONSTANT (1) << 32;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  g_autoptr (CauReader) tiny = NULL;
  g_autoptr (CauReader) too_many = NULL;
  g_autoptr (CauReader) fewer = NULL;

  fixture_truncate (upload, most);
  fixture_commit (upload);
  tiny = fixture_get_report (f->store, f->id, "a", 1);
  assert_int_equal (cau_reader_get_info (tiny)->size, most);
  fixture_truncate (upload, most + 1);
  fixture_commit (upload);
  too_many = cau_store_get_report (f->store, f->id, "a", 1, &error);
  assert_failed (too_many != NULL, &error, CAU_STORE_ERROR_TOO_BIG);
  fewer = fixture_get_report (f->store, f->id, "a", 2);
}

static void
chunk_owns_its_data (void **state)
{
  g_autoptr (GBytes) bytes = fixture_text ("text");
  g_autoptr (CauChunk) chunk = cau_chunk_new (77, 3, bytes);

  (void) state;
  g_clear_pointer (&bytes, g_bytes_unref);
  assert_int_equal (chunk->timestamp, 77);
  assert_int_equal (chunk->sequence_number, 3);
  assert_int_equal (g_bytes_get_size (chunk->data), 4);
  assert_memory_equal (g_bytes_get_data (chunk->data, NULL), "text", 4);
}

/* ---- reading at offsets ---- */

static void
assert_read_at (CauReader *reader, GBytes *bytes, guint64 offset, gsize length)
{
  g_autoptr (GError) error = NULL;
  gsize              size = g_bytes_get_size (bytes);
  gsize              expected = offset >= size ? 0 : MIN (length, size - (gsize) offset);
  gsize              n_read = 12345;
  g_autofree guint8 *buffer = g_malloc0 (length + 1);

  buffer[length] = 0xA5;
  assert_done (cau_reader_read (reader, offset, buffer, length, &n_read, &error), &error);
  assert_int_equal (n_read, expected);
  if (expected > 0)
    assert_memory_equal (buffer, (const guint8 *) g_bytes_get_data (bytes, NULL) + offset, expected);
  assert_int_equal (buffer[length], 0xA5);
}

static void
read_at_the_edges (void **state)
{
  const gsize   size = 3 * STORED_CHUNK + 7;
  const guint64 offsets[] = {
    0,        1,    STORED_CHUNK - 1, STORED_CHUNK,      STORED_CHUNK + 1,     2 * STORED_CHUNK, 3 * STORED_CHUNK,
    size - 1, size, size + 1,         10 * STORED_CHUNK, (guint64) G_MAXINT64, G_MAXUINT64
  };
  const gsize   lengths[] = { 0, 1, 2, STORED_CHUNK - 1, STORED_CHUNK, STORED_CHUNK + 1, size, size + 1 };
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = fixture_bytes (5, size);
  g_autoptr (CauReader) reader = NULL;

  fixture_save (f->store, f->id, "a", bytes);
  reader = fixture_get_report (f->store, f->id, "a", STORED_CHUNK);
  for (guint i = 0; i < G_N_ELEMENTS (offsets); i++)
    for (guint k = 0; k < G_N_ELEMENTS (lengths); k++)
      assert_read_at (reader, bytes, offsets[i], lengths[k]);
}

static void
read_of_an_empty_report (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = fixture_text ("");
  g_autoptr (CauReader) reader = NULL;

  fixture_save (f->store, f->id, "a", bytes);
  reader = fixture_get_report (f->store, f->id, "a", 1);
  assert_read_at (reader, bytes, 0, 0);
  assert_read_at (reader, bytes, 0, 100);
  assert_read_at (reader, bytes, 1, 100);
}

static void
read_at_random (void **state)
{
  const gsize   size = 5 * STORED_CHUNK + 12345;
  StoreFixture *f = *state;
  g_autoptr (GRand) rand = g_rand_new_with_seed (fixture_seed ());
  g_autoptr (GBytes) bytes = fixture_bytes (6, size);
  g_autoptr (CauReader) reader = NULL;

  fixture_save (f->store, f->id, "a", bytes);
  reader = fixture_get_report (f->store, f->id, "a", 1);
  for (guint i = 0; i < 500; i++)
    assert_read_at (reader, bytes, (guint64) g_rand_int_range (rand, 0, (gint32) size + 10),
                    (gsize) g_rand_int_range (rand, 0, i % 5 == 0 ? (gint32) size : 5000));
}

static void
reading_at_offsets_leaves_the_chunks_alone (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = fixture_bytes (7, 100);
  g_autoptr (CauReader) reader = NULL;
  g_autoptr (GBytes) actual = NULL;

  fixture_save (f->store, f->id, "a", bytes);
  reader = fixture_get_report (f->store, f->id, "a", 30);
  assert_read_at (reader, bytes, 50, 10);
  actual = read_chunks (reader, 30);
  assert_bytes_equal (actual, bytes);
  assert_read_at (reader, bytes, 0, 100);
}

static void
holes_read_as_zeros (void **state)
{
  const gsize   size = 4 * STORED_CHUNK + 10;
  StoreFixture *f = *state;
  g_autoptr (GBytes) zeros = g_bytes_new_take (g_malloc0 (size), size);
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

  fixture_truncate (upload, size);
  fixture_commit (upload);
  fixture_assert_report (f->store, f->id, "a", zeros);
  assert_chunks (f, zeros, STORED_CHUNK + 1);
}

/* ---- many readers ---- */

#define MANY 2000
#define MANY_CHUNKS 600
#define BLOCK ((gsize) 4096)

/* Readers that have each read the start of a chunk, and may go on. */
static GPtrArray *
begin_reading (StoreFixture *f, guint n, GBytes *bytes)
{
  GPtrArray *readers = g_ptr_array_new_with_free_func ((GDestroyNotify) cau_reader_unref);

  for (guint i = 0; i < n; i++)
    {
      g_ptr_array_add (readers, fixture_get_report (f->store, f->id, "a", STORED_CHUNK));
      assert_read_at (readers->pdata[i], bytes, i % MANY_CHUNKS * STORED_CHUNK, BLOCK);
    }
  return readers;
}

static void
readers_of_parts_of_chunks_keep_little_memory (void **state)
{
  const gsize   size = MANY_CHUNKS * STORED_CHUNK;
  StoreFixture *f = *state;
  g_autoptr (GBytes) zeros = g_bytes_new_take (g_malloc0 (size), size);
  g_autoptr (GPtrArray) readers = NULL;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  guint64 before, peak;

  fixture_truncate (upload, size);
  fixture_commit (upload);
  fixture_forget_peak_memory ();
  before = fixture_peak_memory ();
  readers = begin_reading (f, MANY, zeros);
  peak = fixture_peak_memory ();
  print_message ("# %d readers of a part: %d KiB more memory at the peak\n", MANY, (int) ((peak - before) / 1024));
  /* A chunk of each would be 250 MiB. */
  assert_true (peak - before < 48 * 1024 * 1024 + FIXTURE_MEMORY_SLACK);
}

static void
many_readers_read_the_parts_of_chunks_in_turns (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = fixture_bytes (9, MANY_CHUNKS * STORED_CHUNK);
  g_autoptr (GPtrArray) readers = NULL;

  fixture_save (f->store, f->id, "a", bytes);
  readers = begin_reading (f, MANY_CHUNKS, bytes);
  for (guint block = 1; block < STORED_CHUNK / BLOCK; block += 10)
    for (guint i = 0; i < readers->len; i++)
      assert_read_at (readers->pdata[i], bytes, i * STORED_CHUNK + block * BLOCK, BLOCK);
}

static void
parts_are_of_the_version_that_is_read (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) first = fixture_bytes (10, STORED_CHUNK + 10);
  g_autoptr (GBytes) second = fixture_bytes (11, STORED_CHUNK + 10);
  g_autoptr (CauReader) old = NULL;
  g_autoptr (CauReader) new = NULL;

  fixture_save (f->store, f->id, "a", first);
  old = fixture_get_report (f->store, f->id, "a", STORED_CHUNK);
  assert_read_at (old, first, 10, 100);
  fixture_save (f->store, f->id, "a", second);
  new = fixture_get_report (f->store, f->id, "a", STORED_CHUNK);
  assert_read_at (new, second, 10, 100);
  assert_read_at (old, first, 110, STORED_CHUNK - 110);
  assert_read_at (new, second, 110, STORED_CHUNK - 110);
}

/* ---- several threads ---- */

typedef struct
{
  CauReader *reader;
  GBytes    *bytes;
  gint       seed; /* atomic, as all below */
  gint       n_wrong;
  gint       n_chunks;
  gint       sum; /* of the sequence numbers */
} ThreadedRead;

static gpointer
read_in_thread (gpointer data)
{
  ThreadedRead *self = data;
  g_autoptr (GRand) rand = g_rand_new_with_seed ((guint32) g_atomic_int_add (&self->seed, 1));
  gsize         size;
  const guint8 *expected = g_bytes_get_data (self->bytes, &size);

  for (guint i = 0; i < 100; i++)
    {
      guint8  buffer[3000];
      guint64 offset = (guint64) g_rand_int_range (rand, 0, (gint32) (size - sizeof buffer));
      gsize   n_read;

      if (!cau_reader_read (self->reader, offset, buffer, sizeof buffer, &n_read, NULL) || n_read != sizeof buffer
          || memcmp (buffer, expected + offset, n_read) != 0)
        g_atomic_int_inc (&self->n_wrong);
    }
  return NULL;
}

static gpointer
take_chunks_in_thread (gpointer data)
{
  ThreadedRead *self = data;
  const guint8 *expected = g_bytes_get_data (self->bytes, NULL);
  CauChunk     *chunk;

  while ((chunk = cau_reader_next_chunk (self->reader, NULL)) != NULL)
    {
      gsize       size;
      const void *bytes = g_bytes_get_data (chunk->data, &size);

      if (memcmp (bytes, expected + chunk->sequence_number * (gsize) 1000, size) != 0)
        g_atomic_int_inc (&self->n_wrong);
      g_atomic_int_inc (&self->n_chunks);
      g_atomic_int_add (&self->sum, (gint) chunk->sequence_number);
      cau_chunk_free (chunk);
    }
  return NULL;
}

static void
run_threads (GThreadFunc function, ThreadedRead *shared)
{
  GThread *threads[4];

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("reader", function, shared);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

static void
threads_share_a_reader (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GBytes) bytes = fixture_bytes (8, 300 * 1000);
  g_autoptr (CauReader) reader = NULL;
  ThreadedRead shared = { .bytes = bytes, .seed = (gint) fixture_seed () };

  fixture_save (f->store, f->id, "a", bytes);
  shared.reader = reader = fixture_get_report (f->store, f->id, "a", 1000);
  run_threads (read_in_thread, &shared);
  assert_int_equal (shared.n_wrong, 0);
  run_threads (take_chunks_in_thread, &shared);
  assert_int_equal (shared.n_wrong, 0);
  assert_int_equal (shared.n_chunks, 300);
  assert_int_equal (shared.sum, 299 * 300 / 2);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (chunks_are_of_the_size_asked_for),
    STORE_TEST (chunks_may_be_tiny),
    STORE_TEST (chunks_of_one_byte_cross_stored_chunks),
    STORE_TEST (chunks_may_be_larger_than_any_report),
    STORE_TEST (empty_report_is_one_empty_chunk),
    STORE_TEST (chunk_size_zero_is_an_error),
    STORE_TEST (chunks_are_as_many_as_32_bits_number),
    STORE_TEST (chunk_owns_its_data),
    STORE_TEST (read_at_the_edges),
    STORE_TEST (read_of_an_empty_report),
    STORE_TEST (read_at_random),
    STORE_TEST (reading_at_offsets_leaves_the_chunks_alone),
    STORE_TEST (holes_read_as_zeros),
    STORE_TEST (readers_of_parts_of_chunks_keep_little_memory),
    STORE_TEST (many_readers_read_the_parts_of_chunks_in_turns),
    STORE_TEST (parts_are_of_the_version_that_is_read),
    STORE_TEST (threads_share_a_reader),
  };

  return cmocka_run_group_tests_name ("store-reader", tests, NULL, NULL);
}

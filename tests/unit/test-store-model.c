/* SPDX-License-Identifier: MIT */
/* Random operations on one report, compared with arrays of bytes. CAU_TEST_SEED repeats a run; a failure
 * found that way becomes a sequence of its own in test-store-upload.c. */
#include "store-fixture.h"

#include <string.h>

#define MAX_READERS 4

/* A reader of a version that was current once, and what that version has. */
typedef struct
{
  CauReader *reader;
  GBytes    *bytes;
} Pinned;

typedef struct
{
  StoreFixture *f;
  GRand        *rand;
  gsize         largest; /* bytes of a report, about */
  gboolean      dense;   /* bytes that do not compress: large reports are staged in parts */
  CauUpload    *upload;
  GByteArray   *staged; /* what a commit would save */
  GByteArray   *saved;  /* what the report has; NULL: there is none */
  Pinned        pinned[MAX_READERS];
} Model;

static gsize
random_below (Model *self, gsize limit)
{
  return (gsize) g_rand_int_range (self->rand, 0, (gint32) limit);
}

/* Mostly near a multiple of the stored chunk, where slips are. */
static gsize
random_offset (Model *self)
{
  if (random_below (self, 3) == 0)
    return random_below (self, self->largest);
  return random_below (self, self->largest / STORED_CHUNK) * STORED_CHUNK + random_below (self, 5)
         + (random_below (self, 2) == 0 ? 0 : STORED_CHUNK - 3);
}

static gsize
random_length (Model *self)
{
  const gsize limits[] = { 2, 10, 5000, STORED_CHUNK + 5, 2 * STORED_CHUNK + 5, self->largest / 3 };

  return random_below (self, limits[random_below (self, G_N_ELEMENTS (limits))]);
}

static GBytes *
random_bytes (Model *self, gsize length)
{
  guint32 seed = g_rand_int (self->rand);

  return self->dense ? fixture_dense_bytes (seed, length) : fixture_bytes (seed, length);
}

static void
resize (GByteArray *array, gsize size)
{
  guint old = array->len;

  g_byte_array_set_size (array, (guint) size);
  if (size > old)
    memset (array->data + old, 0, size - old);
}

static GBytes *
array_bytes (GByteArray *array)
{
  return g_bytes_new (array->data, array->len);
}

static void
model_write (Model *self)
{
  gsize offset = random_offset (self), length = random_length (self);
  g_autoptr (GBytes) bytes = random_bytes (self, length);

  fixture_write (self->upload, offset, bytes);
  if (length == 0)
    return;
  if (offset + length > self->staged->len)
    resize (self->staged, offset + length);
  memcpy (self->staged->data + offset, g_bytes_get_data (bytes, NULL), length);
}

static void
model_append (Model *self)
{
  g_autoptr (GError) error = NULL;
  gsize length = random_length (self);
  g_autoptr (GBytes) bytes = random_bytes (self, length);

  if (self->staged->len > self->largest)
    return;
  assert_done (cau_upload_append (self->upload, g_bytes_get_data (bytes, NULL), length, &error), &error);
  g_byte_array_append (self->staged, g_bytes_get_data (bytes, NULL), (guint) length);
}

static void
model_truncate (Model *self)
{
  gsize size = random_offset (self);

  fixture_truncate (self->upload, size);
  resize (self->staged, size);
}

static void
model_read (Model *self)
{
  g_autoptr (GError) error = NULL;
  gsize              offset = random_offset (self), length = random_length (self), n_read = 0;
  gsize              expected = offset >= self->staged->len ? 0 : MIN (length, self->staged->len - offset);
  g_autofree guint8 *buffer = g_malloc (length + 1);

  assert_done (cau_upload_read (self->upload, offset, buffer, length, &n_read, &error), &error);
  assert_int_equal (n_read, expected);
  if (expected > 0)
    assert_memory_equal (buffer, self->staged->data + offset, expected);
}

static void
model_check_upload (Model *self)
{
  g_autoptr (GBytes) actual = fixture_read_upload (self->upload);
  g_autoptr (GBytes) expected = array_bytes (self->staged);

  assert_bytes_equal (actual, expected);
}

static void
model_check_report (Model *self)
{
  g_autoptr (GBytes) expected = NULL;

  if (self->saved == NULL)
    {
      fixture_assert_absent (self->f->store, self->f->id, "a");
      return;
    }
  expected = array_bytes (self->saved);
  fixture_assert_report (self->f->store, self->f->id, "a", expected);
}

static void
model_commit (Model *self)
{
  fixture_commit (self->upload);
  if (self->saved == NULL)
    self->saved = g_byte_array_new ();
  g_byte_array_set_size (self->saved, 0);
  g_byte_array_append (self->saved, self->staged->data, self->staged->len);
  model_check_report (self);
}

static void
model_begin_again (Model *self)
{
  gboolean truncate = random_below (self, 4) == 0;

  g_clear_pointer (&self->upload, cau_upload_unref);
  model_check_report (self);
  self->upload = fixture_begin (self->f->store, self->f->id, "a", truncate ? CAU_UPLOAD_TRUNCATE : 0);
  g_byte_array_set_size (self->staged, 0);
  if (!truncate && self->saved != NULL)
    g_byte_array_append (self->staged, self->saved->data, self->saved->len);
  model_check_upload (self);
}

static void
model_unpin (Pinned *pinned)
{
  g_autoptr (GBytes) actual = NULL;

  if (pinned->reader == NULL)
    return;
  actual = fixture_read (pinned->reader);
  assert_bytes_equal (actual, pinned->bytes);
  g_clear_pointer (&pinned->reader, cau_reader_unref);
  g_clear_pointer (&pinned->bytes, g_bytes_unref);
}

/* Lets one reader go, after a last look, and opens another. */
static void
model_pin (Model *self)
{
  Pinned *pinned = &self->pinned[random_below (self, MAX_READERS)];

  model_unpin (pinned);
  if (self->saved == NULL)
    return;
  pinned->reader = fixture_get_report (self->f->store, self->f->id, "a", 1);
  pinned->bytes = array_bytes (self->saved);
}

static void
model_collect (Model *self)
{
  g_autoptr (GError) error = NULL;

  assert_done (cau_store_collect (self->f->store, NULL, &error), &error);
}

static void
model_step (Model *self)
{
  gsize dice = random_below (self, 100);

  if (dice < 45)
    model_write (self);
  else if (dice < 60)
    model_append (self);
  else if (dice < 70)
    model_truncate (self);
  else if (dice < 90)
    model_read (self);
  else if (dice < 91)
    model_check_upload (self);
  else if (dice < 93)
    model_pin (self);
  else if (dice < 94)
    model_collect (self);
  else if (dice < 98)
    model_commit (self);
  else
    model_begin_again (self);
}

static void
run_model (StoreFixture *f, guint32 seed, gsize largest, gboolean dense, guint n_steps)
{
  Model model = { .f = f, .rand = g_rand_new_with_seed (seed), .largest = largest, .dense = dense };

  model.staged = g_byte_array_new ();
  model.upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  for (guint i = 0; i < n_steps; i++)
    model_step (&model);
  model_check_upload (&model);
  model_commit (&model);
  cau_upload_unref (model.upload);
  model_check_report (&model);
  fixture_remove (f->store, f->id, "a");
  for (guint i = 0; i < MAX_READERS; i++)
    model_unpin (&model.pinned[i]);
  g_byte_array_unref (model.staged);
  g_byte_array_unref (model.saved);
  g_rand_free (model.rand);
}

static void
small_upload_agrees_with_the_model (void **state)
{
  for (guint32 seed = 1; seed <= 4; seed++)
    run_model (*state, seed, 6 * STORED_CHUNK, FALSE, 200);
  run_model (*state, fixture_seed (), 6 * STORED_CHUNK, FALSE, 500);
}

static void
upload_of_one_chunk_agrees_with_the_model (void **state)
{
  for (guint32 seed = 11; seed <= 14; seed++)
    run_model (*state, seed, STORED_CHUNK, FALSE, 200);
  run_model (*state, fixture_seed (), STORED_CHUNK, FALSE, 500);
}

static void
large_upload_agrees_with_the_model (void **state)
{
  for (guint32 seed = 21; seed <= 22; seed++)
    run_model (*state, seed, 40 * STORED_CHUNK, TRUE, 200);
  run_model (*state, fixture_seed (), 40 * STORED_CHUNK, TRUE, 300);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (small_upload_agrees_with_the_model),
    STORE_TEST (upload_of_one_chunk_agrees_with_the_model),
    STORE_TEST (large_upload_agrees_with_the_model),
  };

  return cmocka_run_group_tests_name ("store-model", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* The chunk codec. The input: what to do, the chunk's number and length, the seed, and bytes: those of the chunk, repeated to its
 * length, or those of a stored row, with the checksum that they need to be looked at. */

#include "fuzz.h"

#include "cau-codec.h"

#include <string.h>
#include <xxhash.h>

static gboolean
decode (guint64 seed, const CauStoredChunk *chunk, guint8 *raw, gsize length)
{
  g_autoptr (GError) error = NULL;
  gboolean ok = fuzz_result (cau_codec_decode (seed, chunk, raw, length, &error), &error, CAU_STORE_ERROR);

  return ok;
}

static guint8 *
repeat (const guint8 *bytes, gsize size, gsize length)
{
  guint8 *raw = g_malloc (length);

  memset (raw, 0, length);
  for (gsize at = 0; size > 0 && at < length; at += size)
    memcpy (raw + at, bytes, MIN (size, length - at));
  return raw;
}

/* Damage of one bit, in the data or in what the checksum goes with, must be met. */
static void
check_damage (guint64 seed, CauStoredChunk *chunk, gsize length, guint64 position)
{
  gsize              size;
  const guint8      *data = chunk->data != NULL ? g_bytes_get_data (chunk->data, &size) : NULL;
  g_autofree guint8 *raw = g_malloc (length);
  CauStoredChunk     damaged = *chunk;

  damaged.number++;
  fuzz_check (!decode (seed, &damaged, raw, length));
  damaged = *chunk;
  damaged.checksum ^= G_GUINT64_CONSTANT (1) << (position % 64);
  fuzz_check (!decode (seed, &damaged, raw, length));
  if (data != NULL)
    {
      guint8 *copy = g_memdup2 (data, size);

      copy[position / 8 % size] ^= (guint8) (1u << (position % 8));
      damaged = *chunk;
      damaged.data = g_bytes_new_take (copy, size);
      fuzz_check (!decode (seed, &damaged, raw, length));
      g_bytes_unref (damaged.data);
    }
}

static void
check_round_trip (guint64 seed, guint64 number, const guint8 *bytes, gsize size, gsize length)
{
  g_autofree guint8 *raw = repeat (bytes, size, length);
  g_autofree guint8 *copy = g_memdup2 (raw, length);
  g_autofree guint8 *back = g_malloc (length);
  g_autoptr (CauStoredChunk) chunk = cau_codec_encode (seed, number, &raw, length);

  fuzz_check (chunk->number == number);
  fuzz_check (chunk->data == NULL || g_bytes_get_size (chunk->data) <= length);
  fuzz_check (decode (seed, chunk, back, length));
  fuzz_check (memcmp (back, copy, length) == 0);
  check_damage (seed, chunk, length, seed ^ length);
}

static void
check_hostile (guint64 seed, guint64 number, const guint8 *bytes, gsize size, gsize length)
{
  CauStoredChunk     chunk = { .number = number, .data = g_bytes_new (bytes, size) };
  g_autofree guint8 *raw = g_malloc (length);
  g_autofree guint8 *again = g_malloc (length);

  chunk.checksum = XXH3_64bits_withSeed (size > 0 ? bytes : NULL, size, seed + number);
  memset (raw, 0x55, length);
  memset (again, 0xaa, length);
  if (decode (seed, &chunk, raw, length))
    {
      /* All of it was written. */
      fuzz_check (decode (seed, &chunk, again, length));
      fuzz_check (memcmp (raw, again, length) == 0);
    }
  g_bytes_unref (chunk.data);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  gboolean  is_hostile = fuzz_input_byte (&input) & 1;
  guint64   number = fuzz_input_number (&input, 3);
  gsize     length = fuzz_input_number (&input, 3) % CAU_STORED_CHUNK_SIZE + 1;
  guint64   seed = fuzz_input_number (&input, 8);

  if (is_hostile)
    check_hostile (seed, number, input.at, input.left, length);
  else
    check_round_trip (seed, number, input.at, input.left, length);
  return 0;
}

/* SPDX-License-Identifier: MIT */
/* A store whose log was damaged: the input's first bit says whether its checksums are made right again, so that SQLite reads what was
 * changed; the rest, how it is changed. The layout is that of sqlite.org/fileformat2.html, "WAL File Format". */

#include "fuzz-store.h"

#include <string.h>

#define WAL_HEADER ((gsize) 32)
#define FRAME_HEADER ((gsize) 24)
#define FRAME (FRAME_HEADER + 4096)

static GByteArray *base_db;
static GByteArray *base_log;

int
LLVMFuzzerInitialize (int *argc G_GNUC_UNUSED, char ***argv G_GNUC_UNUSED)
{
  base_db = base_load ("base-wal");
  base_log = base_load ("base-wal-log");
  store_init ();
  return 0;
}

/* Adds @length bytes to the running checksum. Words are in the byte order that the log's magic number names. */
static void
add_checksum (guint32 sum[2], const guint8 *data, gsize length, gboolean is_big_endian)
{
  for (gsize i = 0; i + 8 <= length; i += 8)
    {
      guint32 words[2];

      memcpy (words, data + i, sizeof words);
      for (guint j = 0; j < 2; j++)
        {
          words[j] = is_big_endian ? GUINT32_FROM_BE (words[j]) : GUINT32_FROM_LE (words[j]);
          sum[j] += words[j] + sum[1 - j];
        }
    }
}

static void
put_checksum (guint8 *at, const guint32 sum[2])
{
  guint32 words[2] = { GUINT32_TO_BE (sum[0]), GUINT32_TO_BE (sum[1]) };

  memcpy (at, words, sizeof words);
}

static void
make_right (GByteArray *log)
{
  guint32  sum[2] = { 0, 0 };
  gboolean is_big_endian;

  if (log->len < WAL_HEADER)
    return;
  is_big_endian = (log->data[3] & 1) != 0;
  add_checksum (sum, log->data, 24, is_big_endian);
  put_checksum (log->data + 24, sum);
  for (gsize at = WAL_HEADER; at + FRAME <= log->len; at += FRAME)
    {
      guint8 *frame = log->data + at;

      memcpy (frame + 8, log->data + 16, 8); /* the salts */
      add_checksum (sum, frame, 8, is_big_endian);
      add_checksum (sum, frame + FRAME_HEADER, 4096, is_big_endian);
      put_checksum (frame + 16, sum);
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  gboolean  is_right = (fuzz_input_byte (&input) & 1) != 0;
  g_autoptr (GByteArray) log = g_byte_array_new ();

  g_byte_array_append (log, base_log->data, base_log->len);
  mutate_bytes (log, &input);
  if (is_right)
    make_right (log);
  store_place (base_db, log);
  store_exercise (STORE_KNOWN_BYTES);
  return 0;
}

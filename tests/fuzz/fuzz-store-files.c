/* SPDX-License-Identifier: MIT */
#include "fuzz-store.h"

#include "../unit/scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

/* What an input can make of a file. */
#define FILE_MAX ((gsize) 8 << 20)

#define PAGE ((gsize) 4096)

static char *folder;
static char *path;

static void
remove_folder (void)
{
  (void) scratch_remove (folder);
  g_clear_pointer (&folder, g_free);
  g_clear_pointer (&path, g_free);
}

void
store_init (void)
{
  g_autoptr (GError) error = NULL;

  folder = g_dir_make_tmp ("cau-fuzz-XXXXXX", &error);
  fuzz_check (folder != NULL);
  path = g_build_filename (folder, "store.db", NULL);
  atexit (remove_folder);
}

const char *
store_path (void)
{
  return path;
}

GByteArray *
base_load (const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *file = g_strdup_printf (BASES "/%s.zst", name);
  g_autofree char *packed = NULL;
  GByteArray      *bytes = g_byte_array_new ();
  gsize            packed_size, size;

  fuzz_check (g_file_get_contents (file, &packed, &packed_size, &error));
  g_byte_array_set_size (bytes, (guint) ZSTD_getFrameContentSize (packed, packed_size));
  size = ZSTD_decompress (bytes->data, bytes->len, packed, packed_size);
  fuzz_check (size == bytes->len);
  return bytes;
}

static void
place (const char *suffix, const GByteArray *bytes)
{
  g_autofree char *name = g_strconcat (path, suffix, NULL);
  FILE            *file;

  remove (name);
  if (bytes == NULL)
    return;
  file = fopen (name, "w");
  fuzz_check (file != NULL && fwrite (bytes->data, 1, bytes->len, file) == bytes->len && fclose (file) == 0);
}

void
store_place (const GByteArray *db, const GByteArray *wal)
{
  place ("-shm", NULL);
  place ("-pins", NULL);
  place ("-wal", wal);
  place ("", db);
}

/* ---- mutations ---- */

typedef enum
{
  MUTATE_SET,
  MUTATE_FILL,
  MUTATE_COPY,
  MUTATE_SWAP_PAGES,
  MUTATE_FLIP,
  MUTATE_RESIZE,
  N_MUTATIONS,
} Mutation;

static gsize
take_offset (GByteArray *bytes, FuzzInput *input)
{
  return fuzz_input_number (input, 3) % MAX (bytes->len, 1);
}

static void
swap_pages (GByteArray *bytes, FuzzInput *input)
{
  gsize  n_pages = MAX (bytes->len / PAGE, 1);
  gsize  a = fuzz_input_byte (input) % n_pages * PAGE, b = fuzz_input_byte (input) % n_pages * PAGE;
  guint8 page[PAGE];

  if (MAX (a, b) + PAGE > bytes->len)
    return;
  memcpy (page, bytes->data + a, PAGE);
  memmove (bytes->data + a, bytes->data + b, PAGE);
  memcpy (bytes->data + b, page, PAGE);
}

static void
set_range (GByteArray *bytes, FuzzInput *input, gboolean fills)
{
  gsize         at = take_offset (bytes, input), length;
  guint         times = fills ? fuzz_input_byte (input) + 1 : 1;
  const guint8 *value = fuzz_input_bytes (input, 64, &length);

  for (; times > 0 && length > 0 && at + length <= bytes->len; times--, at += length)
    memcpy (bytes->data + at, value, length);
}

static void
mutate_once (GByteArray *bytes, FuzzInput *input)
{
  gsize from, to, length;

  switch ((Mutation) (fuzz_input_byte (input) % N_MUTATIONS))
    {
    case MUTATE_SET:
      set_range (bytes, input, FALSE);
      break;
    case MUTATE_FILL:
      set_range (bytes, input, TRUE);
      break;
    case MUTATE_COPY:
      from = take_offset (bytes, input);
      to = take_offset (bytes, input);
      length = fuzz_input_number (input, 2);
      length = MIN (length, bytes->len - MIN (MAX (from, to), bytes->len));
      memmove (bytes->data + to, bytes->data + from, length);
      break;
    case MUTATE_SWAP_PAGES:
      swap_pages (bytes, input);
      break;
    case MUTATE_FLIP:
      to = take_offset (bytes, input);
      if (to < bytes->len)
        bytes->data[to] ^= fuzz_input_byte (input);
      break;
    case MUTATE_RESIZE:
    case N_MUTATIONS:
      from = bytes->len;
      to = fuzz_input_number (input, 3);
      to = MIN (to, FILE_MAX);
      g_byte_array_set_size (bytes, (guint) to);
      if (to > from)
        memset (bytes->data + from, 0, to - from);
      break;
    }
}

void
mutate_bytes (GByteArray *bytes, FuzzInput *input)
{
  while (input->left > 0)
    mutate_once (bytes, input);
}

/* SPDX-License-Identifier: MIT */
#include "store-damage.h"

#include <stdio.h>

void
damage_write_file (const char *path, GBytes *bytes)
{
  g_autoptr (GError) error = NULL;
  gsize       length;
  const char *data = g_bytes_get_data (bytes, &length);

  assert_done (g_file_set_contents (path, data, (gssize) length, &error), &error);
}

GBytes *
damage_read_file (const char *path)
{
  g_autoptr (GError) error = NULL;
  char *data;
  gsize length;

  assert_done (g_file_get_contents (path, &data, &length, &error), &error);
  return g_bytes_new_take (data, length);
}

gboolean
damage_is_reported (const GError *error)
{
  return g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT)
         || g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_IO);
}

void
damage_assert_reported (const GError *error)
{
  assert_non_null (error);
  if (!damage_is_reported (error))
    fail_msg ("not an error of damage: %s %d: %s", g_quark_to_string (error->domain), error->code, error->message);
}

void
damage_replace_store (StoreFixture *f, GBytes *bytes)
{
  static const char *const suffixes[] = { "-wal", "-shm" };

  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *path = g_strconcat (f->path, suffixes[i], NULL);

      remove (path);
    }
  damage_write_file (f->path, bytes);
}

GBytes *
damage_flip (GBytes *bytes, gsize position, guint8 bits)
{
  gsize   length = g_bytes_get_size (bytes);
  guint8 *data = g_memdup2 (g_bytes_get_data (bytes, NULL), length);

  data[position] ^= bits;
  return g_bytes_new_take (data, length);
}

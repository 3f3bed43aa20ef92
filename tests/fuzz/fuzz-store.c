/* SPDX-License-Identifier: MIT */
/* A store whose file was damaged: the input says how the file of a good one is changed. */

#include "fuzz-store.h"

static GByteArray *base;

int
LLVMFuzzerInitialize (int *argc G_GNUC_UNUSED, char ***argv G_GNUC_UNUSED)
{
  base = base_load ("base-store");
  store_init ();
  return 0;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  g_autoptr (GByteArray) db = g_byte_array_new ();

  g_byte_array_append (db, base->data, base->len);
  mutate_bytes (db, &input);
  store_place (db, NULL);
  store_exercise (STORE_KNOWN_BYTES);
  return 0;
}

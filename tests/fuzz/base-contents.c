/* SPDX-License-Identifier: MIT */
#include "base-contents.h"

#include <string.h>

/* From this seed on all bytes are noise, which does not shrink. */
#define NOISE 100

const char *const base_guids[] = { "0f6e1d2c-3b4a-4958-8776-a5b4c3d2e1f0", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
                                   "00000000-0000-0000-0000-000000000001" };
const guint       n_base_guids = G_N_ELEMENTS (base_guids);

/* Chunks of all kinds: none, small, compressed, as they are, a hole, several, shared between versions. */
const BaseVersion base_versions[] = {
  { 0, "CauReport-20120920203244.xml", 1, 700, FALSE },
  { 0, "CauReport-20240109030000.xml", 2, 5000, FALSE },
  { 0, "empty", 3, 0, FALSE },
  { 0, "zeros", 0, 200000, FALSE },
  { 0, "large.xml", 4, 300000, FALSE },
  { 0, "one chunk", 5, 131072, FALSE },
  { 0, "grows.log", 6, 140000, FALSE },
  { 0, "grows.log", 6, 150000, TRUE },
  { 0, "replaced", 7, 900, FALSE },
  { 0, "replaced", 8, 20000, FALSE },
  { 0, "noise", NOISE, 9000, FALSE },
  { 0, "r\303\251union \342\202\254", 9, 10, FALSE },
  { 1, "CauReport-20240109030000.xml", 10, 3000, FALSE },
  { 1, "removed", 11, 30000, FALSE },
  { 1, "a", 12, 1, FALSE },
  { 1, "b", 13, 64, FALSE },
  { 1, "c", 14, 65, FALSE },
  { 1, "d", 15, 4096, FALSE },
  { 1, "e", 16, 4000, FALSE },
  /* base-wal: from here on in the log */
  { 0, "replaced", 17, 1200, FALSE },
  { 0, "grows.log", 6, 150100, TRUE },
  { 1, "new", 18, 6000, FALSE },
  { 1, "a", 19, 2, FALSE },
};
const guint n_base_versions = G_N_ELEMENTS (base_versions);
const guint n_base_checkpointed = 19;
const guint base_removed = 13;

/* Text of sorts, which shrinks well, with a KiB of noise here and there. */
guint8
base_byte (guint32 seed, gsize offset)
{
  guint32 x = (guint32) offset * 2654435761u ^ seed * 2246822519u;

  if (seed == 0)
    return 0;
  if (seed < NOISE && offset / 1024 % 32 != 3)
    return (guint8) ('a' + (seed + offset / 64) % 26);
  x = (x ^ x >> 15) * 2246822519u;
  return (guint8) (x >> 13);
}

GBytes *
base_bytes (guint32 seed, gsize from, gsize size)
{
  guint8 *data = g_malloc (size - from);

  for (gsize i = from; i < size; i++)
    data[i - from] = base_byte (seed, i);
  return g_bytes_new_take (data, size - from);
}

/* The bytes of version @index; made once. Borrowed. */
static GBytes *
bytes_of (guint index)
{
  static GBytes *bytes[G_N_ELEMENTS (base_versions)];

  if (bytes[index] == NULL)
    bytes[index] = base_bytes (base_versions[index].seed, 0, base_versions[index].size);
  return bytes[index];
}

static gboolean
is_version (guint index, const guint8 *data, gsize size)
{
  GBytes *bytes = bytes_of (index);

  return g_bytes_get_size (bytes) == size && (size == 0 || memcmp (g_bytes_get_data (bytes, NULL), data, size) == 0);
}

gboolean
base_has_version (const CauGuid *guid, const char *name, const guint8 *data, gsize size)
{
  char text[CAU_GUID_TEXT_LEN + 1] = "";

  if (guid != NULL)
    cau_guid_format (guid, text);
  for (guint i = 0; i < n_base_versions; i++)
    if ((guid == NULL || strcmp (base_guids[base_versions[i].orchestrator], text) == 0)
        && strcmp (base_versions[i].name, name) == 0 && is_version (i, data, size))
      return TRUE;
  return FALSE;
}

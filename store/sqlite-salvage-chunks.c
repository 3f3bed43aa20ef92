/* SPDX-License-Identifier: MIT */
#include "cau-codec.h"
#include "sqlite-salvage-private.h"
#include "sqlite-scan.h"

/* Rows that are tried in place of one that is lost. */
#define TRIES_MAX 64

gint
cau_inherited_compare (gconstpointer a, gconstpointer b)
{
  const InheritedRow *x = a, *y = b;
  gint                order = cau_compare_u64 (x->version, y->version);

  return order != 0 ? order : cau_compare_u64 (x->number, y->number);
}

/* One search for a chunk. */
typedef struct
{
  CauSalvage          *salvage;
  const CauReportInfo *info;
  guint64              number;
  guint8              *raw;
  gsize                length;
  CauStoredChunk      *found;
  CauStoredChunk      *doubtful;
  guint                n_tries;
} Search;

/* The chunk that @row keeps. Returns: (transfer full): NULL when it cannot be read. */
static CauStoredChunk *
load_row (CauSalvage *self, const ChunkRow *row, guint64 number)
{
  g_autoptr (GBytes) payload = NULL;
  CauRecord       record;
  CauStoredChunk *chunk;
  const CauField *data = &record.fields[2];

  cau_image_look_beyond (self->image, row->beyond);
  payload = cau_scan_load (self->image, row->page, row->offset, &record);
  if (payload == NULL || record.n_fields != 3 || (data->type != CAU_FIELD_NULL && data->data == NULL))
    return NULL;
  chunk = g_new0 (CauStoredChunk, 1);
  chunk->number = number;
  chunk->checksum = (guint64) record.fields[1].integer;
  if (data->type != CAU_FIELD_NULL)
    chunk->data = g_bytes_new (data->data, (gsize) data->length);
  return chunk;
}

static gboolean
try_row (Search *search, const ChunkRow *row)
{
  g_autoptr (CauStoredChunk) chunk = load_row (search->salvage, row, search->number);
  guint64 seed = search->info->seed;

  search->n_tries++;
  if (chunk == NULL)
    return FALSE;
  if (cau_codec_decode (seed, chunk, search->raw, search->length, NULL))
    {
      search->found = g_steal_pointer (&chunk);
      return TRUE;
    }
  chunk->checksum = cau_codec_checksum (seed, chunk);
  if (search->doubtful == NULL && cau_codec_decode (seed, chunk, search->raw, search->length, NULL))
    search->doubtful = g_steal_pointer (&chunk);
  return FALSE;
}

/* The first row of at least @id. */
static guint
lower_bound (GArray *chunks, guint64 id)
{
  guint from = 0, to = chunks->len;

  while (from < to)
    {
      guint middle = from + (to - from) / 2;

      if (g_array_index (chunks, ChunkRow, middle).id < id)
        from = middle + 1;
      else
        to = middle;
    }
  return from;
}

static gboolean
try_id (Search *search, guint64 id)
{
  GArray *chunks = search->salvage->chunks;

  for (guint i = lower_bound (chunks, id); i < chunks->len && search->n_tries < TRIES_MAX; i++)
    {
      const ChunkRow *row = &g_array_index (chunks, ChunkRow, i);

      if (row->id != id)
        return FALSE;
      if (try_row (search, row))
        return TRUE;
    }
  return FALSE;
}

static gboolean
try_inherited (Search *search)
{
  GArray      *rows = search->salvage->inherited;
  InheritedRow wanted = { search->info->version, search->number, 0 };
  guint        at;

  if (!g_array_binary_search (rows, &wanted, cau_inherited_compare, &at))
    return FALSE;
  while (at > 0 && cau_inherited_compare (&g_array_index (rows, InheritedRow, at - 1), &wanted) == 0)
    at--;
  for (; at < rows->len && cau_inherited_compare (&g_array_index (rows, InheritedRow, at), &wanted) == 0; at++)
    if (try_id (search, g_array_index (rows, InheritedRow, at).chunk))
      return TRUE;
  return FALSE;
}

/* With the row that names it lost: what has this number in an older version of the report, or in one that is not known any
 * more. The seed of its checksum tells whether it is shared. */
static gboolean
try_older (Search *search)
{
  const CauReportInfo *info = search->info;
  GArray              *chunks = search->salvage->chunks;

  for (guint i = lower_bound (chunks, info->report << NUMBER_BITS); i < chunks->len && search->n_tries < TRIES_MAX; i++)
    {
      const ChunkRow      *row = &g_array_index (chunks, ChunkRow, i);
      guint64              version = row->id >> NUMBER_BITS;
      const CauReportInfo *owner;

      if (version >= info->version)
        return FALSE;
      if ((row->id & NUMBER_MASK) != search->number)
        continue;
      owner = g_hash_table_lookup (search->salvage->by_id, &version);
      if ((owner == NULL || owner->report == info->report) && try_row (search, row))
        return TRUE;
    }
  return FALSE;
}

CauChunkState
cau_salvage_read_chunk (CauSalvage *self, const CauReportInfo *info, guint64 number, guint8 *raw, gsize length,
                        CauStoredChunk **chunk)
{
  Search search = { self, info, number, raw, length, NULL, NULL, 0 };

  *chunk = NULL;
  if (try_id (&search, (info->version << NUMBER_BITS) + number) || try_inherited (&search) || try_older (&search))
    {
      g_clear_pointer (&search.doubtful, cau_stored_chunk_free);
      *chunk = search.found;
      return CAU_CHUNK_GOOD;
    }
  *chunk = search.doubtful;
  if (search.doubtful == NULL || !cau_codec_decode (info->seed, search.doubtful, raw, length, NULL))
    return CAU_CHUNK_LOST;
  return CAU_CHUNK_DOUBTFUL;
}

/* SPDX-License-Identifier: MIT */
#include "cau-codec.h"
#include "sqlite-salvage-private.h"
#include "sqlite-scan.h"

/* Rows that are tried in place of one that is lost. */
#define TRIES_MAX 64

static gint
compare_chunks (gconstpointer a, gconstpointer b)
{
  return cau_compare_u64 (((const ChunkRow *) a)->id, ((const ChunkRow *) b)->id);
}

static gint
compare_inherited (gconstpointer a, gconstpointer b)
{
  const InheritedRow *x = a, *y = b;

  return x->version != y->version ? cau_compare_u64 (x->version, y->version) : cau_compare_u64 (x->number, y->number);
}

void
cau_salvage_sort_chunks (CauSalvage *self)
{
  g_array_sort (self->chunks, compare_chunks);
  g_array_sort (self->inherited, compare_inherited);
}

/* The first element that is not before @wanted. */
static guint
lower_bound (GArray *array, gconstpointer wanted, GCompareFunc compare)
{
  gsize size = g_array_get_element_size (array);
  guint from = 0, to = array->len;

  while (from < to)
    {
      guint middle = from + (to - from) / 2;

      if (compare (array->data + middle * size, wanted) < 0)
        from = middle + 1;
      else
        to = middle;
    }
  return from;
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

static gboolean
try_id (Search *search, guint64 id)
{
  GArray        *chunks = search->salvage->chunks;
  const ChunkRow wanted = { .id = id };

  for (guint i = lower_bound (chunks, &wanted, compare_chunks); i < chunks->len && search->n_tries < TRIES_MAX; i++)
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
  GArray            *rows = search->salvage->inherited;
  const InheritedRow wanted = { search->info->version, search->number, 0 };

  for (guint i = lower_bound (rows, &wanted, compare_inherited); i < rows->len; i++)
    {
      const InheritedRow *row = &g_array_index (rows, InheritedRow, i);

      if (compare_inherited (row, &wanted) != 0)
        return FALSE;
      if (try_id (search, row->chunk))
        return TRUE;
    }
  return FALSE;
}

/* ---- with the row that names the chunk lost ---- */

/* A chunk that another version than its own could share. */
typedef struct
{
  guint64 report; /* 0: its version is not known any more */
  guint64 number, version;
  guint   row; /* in the list of chunks */
} SharedRow;

static gint
compare_shared (gconstpointer a, gconstpointer b)
{
  const SharedRow *x = a, *y = b;

  return x->report != y->report   ? cau_compare_u64 (x->report, y->report)
         : x->number != y->number ? cau_compare_u64 (x->number, y->number)
                                  : cau_compare_u64 (x->version, y->version);
}

/* report -> its newest version, whose chunks no other can have from it. */
static GHashTable *
find_newest (CauSalvage *self)
{
  GHashTable    *newest = g_hash_table_new (g_int64_hash, g_int64_equal);
  GHashTableIter iter;
  gpointer       value;

  g_hash_table_iter_init (&iter, self->by_id);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      CauReportInfo       *info = value;
      const CauReportInfo *other = g_hash_table_lookup (newest, &info->report);

      if (other == NULL || other->version < info->version)
        g_hash_table_replace (newest, &info->report, info);
    }
  return newest;
}

static GArray *
list_shared (CauSalvage *self)
{
  g_autoptr (GHashTable) newest = find_newest (self);
  GArray *shared = g_array_new (FALSE, FALSE, sizeof (SharedRow));

  for (guint i = 0; i < self->chunks->len; i++)
    {
      guint64              id = g_array_index (self->chunks, ChunkRow, i).id;
      SharedRow            row = { 0, id & NUMBER_MASK, id >> NUMBER_BITS, i };
      const CauReportInfo *owner = g_hash_table_lookup (self->by_id, &row.version);

      if (owner != NULL && g_hash_table_lookup (newest, &owner->report) == owner)
        continue;
      row.report = owner != NULL ? owner->report : 0;
      g_array_append_val (shared, row);
    }
  g_array_sort (shared, compare_shared);
  return shared;
}

/* Tries the chunks of this number that versions from @search's report on wrote, as far as they are of @report. */
static gboolean
try_shared (Search *search, guint64 report)
{
  GArray         *shared = search->salvage->shared;
  const SharedRow first = { report, search->number, search->info->report, 0 };

  for (guint i = lower_bound (shared, &first, compare_shared); i < shared->len && search->n_tries < TRIES_MAX; i++)
    {
      const SharedRow *row = &g_array_index (shared, SharedRow, i);

      if (row->report != report || row->number != search->number || row->version >= search->info->version)
        return FALSE;
      if (try_row (search, &g_array_index (search->salvage->chunks, ChunkRow, row->row)))
        return TRUE;
    }
  return FALSE;
}

/* What has this number in an older version of the report, or in one that is not known any more. The seed of its checksum tells
 * whether it is shared. */
static gboolean
try_older (Search *search)
{
  if (search->salvage->shared == NULL)
    search->salvage->shared = list_shared (search->salvage);
  return try_shared (search, search->info->report) || try_shared (search, 0);
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

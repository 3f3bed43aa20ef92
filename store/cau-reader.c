/* SPDX-License-Identifier: MIT */
#include "cau-codec.h"
#include "cau-store-private.h"

#include <string.h>

/* How often a name is looked up again when its version goes before it is pinned: about 10 s in all. */
#define OPEN_TRIES 10000

struct _CauReader
{
  gatomicrefcount ref_count;
  CauStore       *store;
  CauReportInfo   info; /* immutable; its version is pinned */
  guint64         chunk_size;
  gint            left_chunks; /* in the store's cache; atomic */

  GMutex   lock;        /* guards what follows */
  guint64  next_offset; /* of cau_reader_next_chunk() */
  guint32  next_number;
  gboolean finished;
};

CauReader *
cau_reader_new (CauStore *store, const CauReportInfo *info, guint64 chunk_size)
{
  CauReader *self = g_new0 (CauReader, 1);

  g_atomic_ref_count_init (&self->ref_count);
  self->store = cau_store_ref (store);
  cau_report_info_copy (info, &self->info);
  self->chunk_size = chunk_size;
  g_mutex_init (&self->lock);
  return self;
}

CauReader *
cau_reader_ref (CauReader *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

void
cau_reader_unref (CauReader *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;
  if (g_atomic_int_get (&self->left_chunks))
    cau_chunk_cache_forget (self->store->chunks, self->info.version);
  self->store->backend->klass->unpin (self->store->backend, self->info.version);
  cau_report_info_clear (&self->info);
  g_mutex_clear (&self->lock);
  cau_store_unref (self->store);
  g_free (self);
}

const CauReportInfo *
cau_reader_get_info (CauReader *self)
{
  return &self->info;
}

/* ---- opening ---- */

static gboolean
check_chunk_size (guint64 chunk_size, guint64 size, GError **error)
{
  if (chunk_size == 0)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_INVALID, "a chunk size of 0 is not possible");
  else if (size > 0 && (size - 1) / chunk_size > G_MAXUINT32)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_TOO_BIG,
                 "a report of %" G_GUINT64_FORMAT " bytes has too many chunks of %" G_GUINT64_FORMAT " bytes", size,
                 chunk_size);
  else
    return TRUE;
  return FALSE;
}

CauReader *
cau_store_open_version (CauStore *self, guint64 version, guint64 chunk_size, GError **error)
{
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  /* First the pin, then the look: a version that is seen while it is pinned stays. */
  if (!self->backend->klass->pin (self->backend, version, error))
    return NULL;
  if (!self->backend->klass->get_version (self->backend, version, &info, error)
      || !check_chunk_size (chunk_size, info.size, error))
    {
      self->backend->klass->unpin (self->backend, version);
      return NULL;
    }
  return cau_reader_new (self, &info, chunk_size);
}

/* Opens what a name (@name) or a report id (@name NULL) leads to. */
static CauReader *
open_current (CauStore *self, guint64 id, const char *name, guint64 chunk_size, GError **error)
{
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  guint n_tries = 0;

  if (!check_chunk_size (chunk_size, 0, error))
    return NULL;
  /* A replacement can come between the look and the pin; then it leads elsewhere now, or will when the transaction of
   * the collector that has claimed the version is seen. */
  for (;;)
    {
      g_autoptr (GError) local = NULL;
      CauReader *reader;

      if (name != NULL ? !self->backend->klass->find_report (self->backend, id, name, &info, error)
                       : !self->backend->klass->get_report (self->backend, id, &info, error))
        return NULL;
      reader = cau_store_open_version (self, info.version, chunk_size, &local);
      if (reader != NULL)
        return reader;
      if (!g_error_matches (local, CAU_STORE_ERROR, CAU_STORE_ERROR_STALE) || ++n_tries == OPEN_TRIES)
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return NULL;
        }
      g_usleep (MIN (n_tries, 10) * 100);
    }
}

CauReader *
cau_store_get_report (CauStore *self, guint64 id, const char *name, guint64 chunk_size, GError **error)
{
  return open_current (self, id, name, chunk_size, error);
}

CauReader *
cau_store_open_report (CauStore *self, guint64 report, guint64 chunk_size, GError **error)
{
  return open_current (self, report, NULL, chunk_size, error);
}

guint64
cau_store_get_current_version (CauStore *self, guint64 report)
{
  g_autoptr (CauReader) reader = cau_store_open_report (self, report, CAU_STORED_CHUNK_SIZE, NULL);

  return reader != NULL ? cau_reader_get_info (reader)->version : 0;
}

/* ---- bytes ---- */

static gsize
chunk_length (CauReader *self, guint64 number)
{
  return (gsize) MIN (self->info.size - number * CAU_STORED_CHUNK_SIZE, CAU_STORED_CHUNK_SIZE);
}

static void
prefix_report (CauReader *self, GError **error)
{
  g_prefix_error (error, "report %s, version %" G_GUINT64_FORMAT ": ",
                  self->info.name != NULL ? self->info.name : "(replaced or removed)", self->info.version);
}

/* Decodes chunk @number into @raw, which has room for all of it. */
static gboolean
load_chunk (CauReader *self, guint64 number, guint8 *raw, GError **error)
{
  g_autoptr (GError) local = NULL;

  if (cau_codec_load (self->store->backend, self->info.version, self->info.seed, number, raw,
                      chunk_length (self, number), &local))
    return TRUE;
  if (g_error_matches (local, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND))
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT,
                 "chunk %" G_GUINT64_FORMAT " is damaged: it is missing", number);
  else
    g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

/* Returns: (transfer full): all of chunk @number, of which a part was asked for. @is_end: so was its end, so that a sequential
 * reader is done with it. */
static GBytes *
get_chunk (CauReader *self, guint64 number, gboolean is_end, GError **error)
{
  CauChunkCache     *cache = self->store->chunks;
  gsize              length = chunk_length (self, number);
  g_autofree guint8 *raw = NULL;
  GBytes            *chunk = cau_chunk_cache_find (cache, self->info.version, number, is_end);

  if (chunk != NULL)
    return chunk;
  raw = g_malloc (length);
  if (!load_chunk (self, number, raw, error))
    return NULL;
  chunk = g_bytes_new_take (g_steal_pointer (&raw), length);
  if (is_end)
    return chunk;
  cau_chunk_cache_add (cache, self->info.version, number, chunk);
  g_atomic_int_set (&self->left_chunks, TRUE);
  return chunk;
}

/* Reads @length bytes, which lie within one stored chunk. No lock is held over the store's I/O: the kernel reads ahead with
 * several requests at once. */
static gboolean
read_part (CauReader *self, guint64 offset, guint8 *buffer, gsize length, GError **error)
{
  guint64 number = offset / CAU_STORED_CHUNK_SIZE;
  gsize   at = offset % CAU_STORED_CHUNK_SIZE, whole = chunk_length (self, number);
  g_autoptr (GBytes) chunk = NULL;

  if (length == whole)
    return load_chunk (self, number, buffer, error);
  chunk = get_chunk (self, number, at + length == whole, error);
  if (chunk == NULL)
    return FALSE;
  memcpy (buffer, (const guint8 *) g_bytes_get_data (chunk, NULL) + at, length);
  return TRUE;
}

gboolean
cau_reader_read (CauReader *self, guint64 offset, void *buffer, gsize length, gsize *n_read, GError **error)
{
  guint8 *to = buffer;

  *n_read = 0;
  if (offset >= self->info.size)
    return TRUE;
  length = (gsize) MIN (length, self->info.size - offset);
  while (*n_read < length)
    {
      gsize part = MIN (length - *n_read, CAU_STORED_CHUNK_SIZE - (gsize) (offset % CAU_STORED_CHUNK_SIZE));

      if (!read_part (self, offset, to + *n_read, part, error))
        {
          prefix_report (self, error);
          return FALSE;
        }
      *n_read += part;
      offset += part;
    }
  return TRUE;
}

/* ---- chunks ---- */

CauChunk *
cau_chunk_new (CauDatetime timestamp, guint32 sequence_number, GBytes *data)
{
  CauChunk *self = g_new0 (CauChunk, 1);

  self->timestamp = timestamp;
  self->sequence_number = sequence_number;
  self->data = g_bytes_ref (data);
  return self;
}

void
cau_chunk_free (CauChunk *self)
{
  g_bytes_unref (self->data);
  g_free (self);
}

/* Claims the next range of bytes, so that several threads get different chunks. */
static gboolean
claim_chunk (CauReader *self, guint64 *offset, gsize *length, guint32 *number)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  if (self->finished)
    return FALSE;
  *offset = self->next_offset;
  *length = (gsize) MIN (self->info.size - *offset, self->chunk_size);
  *number = self->next_number++;
  self->next_offset += *length;
  self->finished = self->next_offset >= self->info.size;
  return TRUE;
}

CauChunk *
cau_reader_next_chunk (CauReader *self, GError **error)
{
  g_autoptr (GBytes) bytes = NULL;
  g_autofree guint8 *data = NULL;
  guint64            offset;
  gsize              length, n_read;
  guint32            number;

  if (!claim_chunk (self, &offset, &length, &number))
    return NULL;
  data = g_try_malloc (MAX (length, 1));
  if (data == NULL)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_TOO_BIG,
                   "there is no memory for a chunk of %" G_GSIZE_FORMAT " bytes", length);
      return NULL;
    }
  if (!cau_reader_read (self, offset, data, length, &n_read, error))
    return NULL;
  bytes = g_bytes_new_take (g_steal_pointer (&data), length);
  return cau_chunk_new (self->info.timestamp, number, bytes);
}

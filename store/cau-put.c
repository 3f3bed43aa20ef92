/* SPDX-License-Identifier: MIT */
#include "cau-store-private.h"

/* PutReport on top of an upload: chunks have no offsets on the wire, so theirs are the sums of the sizes before. */

#define MOVE_BYTES (64u * 1024u)

static guint64
sum_of (const GArray *sizes, guint n)
{
  guint64 sum = 0;

  for (guint i = 0; i < n; i++)
    sum += g_array_index (sizes, gsize, i);
  return sum;
}

/* Moves @length bytes within the upload; the ranges may overlap. */
static gboolean
move_bytes (CauUpload *upload, guint64 from, guint64 to, guint64 length, GError **error)
{
  g_autofree guint8 *buffer = g_malloc (MOVE_BYTES);
  guint64            moved = 0;

  while (moved < length)
    {
      gsize   part = (gsize) MIN (length - moved, MOVE_BYTES), n_read;
      guint64 at = from < to ? length - moved - part : moved;

      if (!cau_upload_read (upload, from + at, buffer, part, &n_read, error)
          || !cau_upload_write (upload, to + at, buffer, n_read, error))
        return FALSE;
      moved += part;
    }
  return TRUE;
}

/* A retry may have another size: what was put behind it moves. */
static gboolean
make_room (CauUpload *upload, GArray *sizes, guint number, gsize size, GError **error)
{
  guint64 start = sum_of (sizes, number), total = sum_of (sizes, sizes->len);
  gsize   old = g_array_index (sizes, gsize, number);
  guint64 tail = total - start - old;

  if (size == old)
    return TRUE;
  if (!move_bytes (upload, start + old, start + size, tail, error)
      || !cau_upload_truncate (upload, start + size + tail, error))
    return FALSE;
  g_array_index (sizes, gsize, number) = size;
  return TRUE;
}

static gboolean
put_chunk (CauUpload *upload, GArray *sizes, const CauChunk *chunk, GError **error)
{
  gsize       size;
  const void *data = g_bytes_get_data (chunk->data, &size);

  if (chunk->sequence_number > sizes->len)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_INCOMPLETE,
                   "chunk %u was put when chunk %u was expected: a chunk is missing", chunk->sequence_number,
                   sizes->len);
      return FALSE;
    }
  if (chunk->sequence_number < sizes->len)
    {
      if (!make_room (upload, sizes, chunk->sequence_number, size, error))
        return FALSE;
    }
  else
    g_array_append_val (sizes, size);
  return cau_upload_write (upload, sum_of (sizes, chunk->sequence_number), data, size, error);
}

gboolean
cau_store_put_report (G_GNUC_UNUSED CauStore *self, CauUpload *upload, guint64 report_size, const CauChunk *chunk,
                      gboolean last_chunk, GError **error)
{
  GArray *sizes = cau_upload_get_put_sizes (upload);
  guint64 sum;

  if (!put_chunk (upload, sizes, chunk, error))
    return FALSE;
  if (!last_chunk)
    return TRUE;
  sum = sum_of (sizes, sizes->len);
  if (sum != report_size)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_INCOMPLETE,
                   "the chunks have %" G_GUINT64_FORMAT " bytes, the report size given is %" G_GUINT64_FORMAT
                   ": nothing was saved",
                   sum, report_size);
      return FALSE;
    }
  return cau_upload_commit (upload, NULL, error);
}

/* SPDX-License-Identifier: MIT */
#include "cau-store-private.h"

/* PutReport on top of an upload: chunks have no offsets on the wire, so theirs are the sums of the sizes before. */

#define MOVE_BYTES (64u * 1024u)

/* The offset at which chunk @number starts. */
static guint64
start_of (const GArray *ends, guint number)
{
  return number == 0 ? 0 : g_array_index (ends, guint64, number - 1);
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
make_room (CauUpload *upload, GArray *ends, guint number, gsize size, GError **error)
{
  guint64 old = g_array_index (ends, guint64, number), new = start_of (ends, number) + size;
  guint64 total = start_of (ends, ends->len);

  if (new == old)
    return TRUE;
  if (!move_bytes (upload, old, new, total - old, error) || !cau_upload_truncate (upload, new + total - old, error))
    return FALSE;
  for (guint i = number; i < ends->len; i++)
    g_array_index (ends, guint64, i) += new - old;
  return TRUE;
}

static gboolean
put_chunk (CauUpload *upload, GArray *ends, const CauChunk *chunk, GError **error)
{
  guint       number = chunk->sequence_number;
  gsize       size;
  const void *data = g_bytes_get_data (chunk->data, &size);

  if (number > ends->len)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_INCOMPLETE,
                   "chunk %u was put when chunk %u was expected: a chunk is missing", number, ends->len);
      return FALSE;
    }
  if (number < ends->len && !make_room (upload, ends, number, size, error))
    return FALSE;
  if (!cau_upload_write (upload, start_of (ends, number), data, size, error))
    return FALSE;
  if (number == ends->len)
    {
      guint64 end = start_of (ends, number) + size;

      g_array_append_val (ends, end);
    }
  return TRUE;
}

gboolean
cau_store_put_report (G_GNUC_UNUSED CauStore *self, CauUpload *upload, guint64 report_size, const CauChunk *chunk,
                      gboolean last_chunk, GError **error)
{
  GArray *ends = cau_upload_get_put_ends (upload);
  guint64 sum;

  if (!put_chunk (upload, ends, chunk, error))
    return FALSE;
  if (!last_chunk)
    return TRUE;
  sum = start_of (ends, ends->len);
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

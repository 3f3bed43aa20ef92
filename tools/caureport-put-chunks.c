/* SPDX-License-Identifier: MIT */
#include "caureport-chunks.h"
#include "caureport-put.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* A report that comes in as chunks. */
typedef struct
{
  CaureportPut        *put; /* borrowed */
  Caureport           *app; /* borrowed */
  CaureportChunkInput *input;
  CauUpload           *upload; /* NULL before the first chunk */
  char                *name;   /* of the report; likewise */
  CauDatetime          timestamp;
  gboolean             says_last_chunk; /* a line has had that member */
  gboolean             has_report_size;
  guint64              report_size;
  GArray              *sizes; /* of guint64, by number: a chunk put again may be of another size */
  guint64              sum;   /* of @sizes */
} CaureportImport;

static void
caureport_import_clear (CaureportImport *self)
{
  g_clear_pointer (&self->input, caureport_chunk_input_free);
  g_clear_pointer (&self->upload, cau_upload_unref);
  g_clear_pointer (&self->name, g_free);
  g_clear_pointer (&self->sizes, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CaureportImport, caureport_import_clear)

static char *
caureport_name_from_timestamp (CauDatetime timestamp)
{
  char text[CAU_DATETIME_TEXT_LEN + 1];

  cau_datetime_format (timestamp, text);
  return g_strdup_printf ("CauReport-%.14s.xml", text);
}

static gboolean
caureport_import_begin (CaureportImport *self, const CauChunk *first, GError **error)
{
  self->timestamp = first->timestamp;
  self->name = self->put->name != NULL ? g_strdup (self->put->name) : caureport_name_from_timestamp (first->timestamp);
  self->upload = caureport_put_begin (self->put, self->name, 0666 & ~self->app->umask, error);
  return self->upload != NULL;
}

static gboolean
caureport_import_check_line (CaureportImport *self, const CaureportChunkLine *line, GError **error)
{
  const char *wrong = NULL;

  if (line->chunk->timestamp != self->timestamp)
    wrong = "its Timestamp is not that of the lines before it";
  else if (line->has_report_size && self->has_report_size && line->report_size != self->report_size)
    wrong = "its ReportSize is not what was said before";
  if (wrong != NULL)
    {
      g_set_error_literal (error, CAUREPORT_ERROR, CAUREPORT_ERROR_FAILED, wrong);
      return FALSE;
    }
  if (line->has_report_size)
    {
      self->has_report_size = TRUE;
      self->report_size = line->report_size;
    }
  self->says_last_chunk |= line->has_last_chunk;
  return TRUE;
}

/* Accounts for a chunk. One whose number leaves a gap is for the store to refuse. */
static void
caureport_import_count (CaureportImport *self, const CauChunk *chunk)
{
  guint64 size = g_bytes_get_size (chunk->data);

  self->sum += size;
  if (chunk->sequence_number < self->sizes->len)
    {
      guint64 *old = &g_array_index (self->sizes, guint64, chunk->sequence_number);

      self->sum -= *old;
      *old = size;
    }
  else
    g_array_append_val (self->sizes, size);
}

static gboolean
caureport_import_put (CaureportImport *self, const CaureportChunkLine *line, gboolean last_chunk, GError **error)
{
  GError *failure = NULL;

  caureport_import_count (self, line->chunk);
  if (cau_store_put_report (self->put->store, self->upload, self->has_report_size ? self->report_size : self->sum,
                            line->chunk, last_chunk, &failure))
    return TRUE;
  caureport_put_fail (self->put, self->name, failure, error);
  caureport_chunk_input_prefix_error (self->input, line->number, error);
  return FALSE;
}

/* Takes the line read last. What came before it, @pending, is now known not to be the last chunk. */
static gboolean
caureport_import_take (CaureportImport *self, CaureportChunkLine *pending, CaureportChunkLine *line, GError **error)
{
  if (pending->chunk != NULL && pending->last_chunk)
    {
      g_set_error (error, CAUREPORT_ERROR, CAUREPORT_ERROR_FAILED,
                   "it follows line %" G_GUINT64_FORMAT ", whose LastChunk is true", pending->number);
      caureport_chunk_input_prefix_error (self->input, line->number, error);
      return FALSE;
    }
  if (self->upload == NULL && !caureport_import_begin (self, line->chunk, error))
    return FALSE;
  if (!caureport_import_check_line (self, line, error))
    {
      caureport_chunk_input_prefix_error (self->input, line->number, error);
      return FALSE;
    }
  if (pending->chunk != NULL && !caureport_import_put (self, pending, FALSE, error))
    return FALSE;
  caureport_chunk_line_clear (pending);
  *pending = *line;
  memset (line, 0, sizeof *line);
  return TRUE;
}

static gboolean
caureport_import_finish (CaureportImport *self, const CaureportChunkLine *pending, GError **error)
{
  const char *wrong = NULL;

  if (pending->chunk == NULL)
    wrong = "there is no chunk in it";
  else if (self->says_last_chunk && !pending->last_chunk)
    wrong = "it ends without a chunk whose LastChunk is true";
  if (wrong == NULL)
    return caureport_import_put (self, pending, TRUE, error);
  g_set_error (error, CAUREPORT_ERROR, CAUREPORT_ERROR_FAILED, "%s: %s: nothing is saved",
               self->put->input != NULL ? self->put->input : "standard input", wrong);
  return FALSE;
}

/* Reads one line ahead: which chunk is the last is seen only when no other follows. */
static gboolean
caureport_import_run (CaureportImport *self, GError **error)
{
  g_auto (CaureportChunkLine) pending = { 0 };
  g_auto (CaureportChunkLine) line = { 0 };

  for (;;)
    {
      if (!caureport_chunk_input_next (self->input, &line, error))
        return FALSE;
      if (line.chunk == NULL)
        break;
      if (!caureport_import_take (self, &pending, &line, error))
        return FALSE;
    }
  if (!caureport_import_finish (self, &pending, error))
    return FALSE;
  if (self->put->name == NULL)
    puts (self->name);
  return TRUE;
}

gboolean
caureport_put_chunks (CaureportPut *self, Caureport *app, GError **error)
{
  g_auto (CaureportImport) import = { 0 };
  int      fd = STDIN_FILENO;
  gboolean ok;

  import.put = self;
  import.app = app;
  import.sizes = g_array_new (FALSE, FALSE, sizeof (guint64));
  import.has_report_size = self->report_size != NULL;
  if (import.has_report_size
      && !caureport_parse_bytes (self->report_size, "--report-size", 0, G_MAXINT64, &import.report_size, error))
    return FALSE;
  if (self->input != NULL && (fd = open (self->input, O_RDONLY | O_CLOEXEC)) < 0)
    {
      caureport_set_error_from_errno (error, errno, "cannot read %s", self->input);
      return FALSE;
    }
  import.input = caureport_chunk_input_new (fd, self->input != NULL ? self->input : "standard input");
  ok = caureport_import_run (&import, error);
  if (fd != STDIN_FILENO)
    close (fd);
  return ok;
}

/* SPDX-License-Identifier: MIT */
#include "caureport-chunks.h"
#include "caureport-progress.h"
#include "caureport-target.h"

#define GET_CHUNK_SIZE ((guint64) 1024 * 1024) /* of a plain copy; large enough to make each call count */
#define GET_DEFAULT_CHUNK_SIZE ((guint64) 64 * 1024)

typedef struct
{
  gboolean chunks;
  char    *chunk_size; /* owned; as given, or NULL */
  char    *output;     /* owned; a path, or NULL for standard output */
} CaureportGet;

static void
caureport_get_clear (CaureportGet *self)
{
  g_clear_pointer (&self->chunk_size, g_free);
  g_clear_pointer (&self->output, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CaureportGet, caureport_get_clear)

static gboolean
caureport_get_copy (CaureportGet *self, const CaureportTarget *target, CauReader *reader, CaureportOutput *output,
                    GError **error)
{
  guint64 done = 0;
  g_auto (CaureportProgress) progress = { 0 };

  caureport_progress_begin (&progress, target->name, cau_reader_get_info (reader)->size);
  for (;;)
    {
      GError *next_error = NULL;
      g_autoptr (CauChunk) chunk = cau_reader_next_chunk (reader, &next_error);

      if (next_error != NULL)
        {
          caureport_prefix_error (&next_error, &target->guid, target->name);
          g_propagate_error (error, next_error);
          return FALSE;
        }
      if (chunk == NULL)
        return TRUE;
      if (!(self->chunks ? caureport_chunk_write (chunk, output, error)
                         : caureport_output_write (output, g_bytes_get_data (chunk->data, NULL),
                                                   g_bytes_get_size (chunk->data), error)))
        return FALSE;
      done += g_bytes_get_size (chunk->data);
      if (self->output != NULL)
        caureport_progress_show (&progress, done);
    }
}

/* Opens the report to be read in chunks of @chunk_size, which are the lines when @self->chunks. */
static CauReader *
caureport_get_open (CaureportGet *self, Caureport *app, const CaureportTarget *target, guint64 chunk_size,
                    GError **error)
{
  CauOrchestratorInfo orchestrator;
  CauStore *store = caureport_target_open_orchestrator (target, app, CAU_STORE_OPEN_READ_ONLY, &orchestrator, error);
  g_autoptr (CauReader) reader = NULL;

  if (store == NULL)
    return NULL;
  reader = cau_store_get_report (store, orchestrator.id, target->name, chunk_size, error);
  if (reader == NULL)
    {
      caureport_prefix_error (error, &target->guid, target->name);
      return NULL;
    }
  if (self->chunks && MIN (chunk_size, cau_reader_get_info (reader)->size) > CAUREPORT_CHUNK_MAX)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_TOO_BIG,
                   "report '%s' in chunks of %" G_GUINT64_FORMAT
                   " bytes: the largest chunk that fits in a line is %" G_GUINT64_FORMAT " bytes",
                   target->name, chunk_size, CAUREPORT_CHUNK_MAX);
      return NULL;
    }
  return g_steal_pointer (&reader);
}

static gboolean
caureport_get_do (CaureportGet *self, Caureport *app, const CaureportTarget *target, GError **error)
{
  guint64 chunk_size = self->chunks ? GET_DEFAULT_CHUNK_SIZE : GET_CHUNK_SIZE;
  g_autoptr (CauReader) reader = NULL;
  g_autoptr (CaureportOutput) output = NULL;

  if (self->chunk_size != NULL
      && !caureport_parse_bytes (self->chunk_size, "--chunk-size", 1, G_MAXUINT32, &chunk_size, error))
    return FALSE;
  if (self->chunk_size != NULL && !self->chunks)
    {
      g_set_error_literal (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE, "--chunk-size goes with --chunks");
      return FALSE;
    }
  reader = caureport_get_open (self, app, target, chunk_size, error);
  if (reader == NULL)
    return FALSE;
  output = caureport_output_open (self->output, error);
  return output != NULL && caureport_get_copy (self, target, reader, output, error)
         && caureport_output_finish (output, error);
}

gboolean
caureport_run_get (Caureport *self, int n_words, char **words, GError **error)
{
  g_auto (CaureportGet) get = { FALSE, NULL, NULL };
  GOptionEntry entries[] = {
    { "output", 'o', 0, G_OPTION_ARG_FILENAME, &get.output, "Write to this file, which becomes whole or stays",
      "FILE" },
    { "chunks", 'c', 0, G_OPTION_ARG_NONE, &get.chunks, "Write one JSON object a line and chunk", NULL },
    { "chunk-size", 'z', 0, G_OPTION_ARG_STRING, &get.chunk_size, "Bytes of a chunk (default: 65536)", "N" },
    G_OPTION_ENTRY_NULL,
  };
  g_auto (GStrv) rest = caureport_parse_options (self, entries, n_words, words, error);
  g_auto (CaureportTarget) target = CAUREPORT_TARGET_INIT;
  char **next = rest;

  return rest != NULL && caureport_target_take_report (&target, self, &next, error) && caureport_parse_end (next, error)
         && caureport_get_do (&get, self, &target, error);
}

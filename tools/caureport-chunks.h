/* SPDX-License-Identifier: MIT */
#pragma once

/* Chunks as lines of JSON: an object with the members of MSFT_CAURun_Report_Chunk, Timestamp (a CIM datetime),
 * SequenceNumber and Data (base64), and of the parameters of PutReport, ReportSize and LastChunk, which may
 * be left out. */

#include "cau-store.h"
#include "caureport-output.h"

G_BEGIN_DECLS

/* Bytes of the largest chunk that is read from or written to a line: lines are held in memory. */
#define CAUREPORT_CHUNK_MAX ((guint64) 256 * 1024 * 1024)

/* Writes @chunk as one line. */
gboolean caureport_chunk_write (const CauChunk *chunk, CaureportOutput *output,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef struct
{
  guint64   number; /* of the line, from 1 */
  CauChunk *chunk;  /* owned */
  gboolean  has_report_size;
  guint64   report_size;
  gboolean  has_last_chunk;
  gboolean  last_chunk;
} CaureportChunkLine;

void caureport_chunk_line_clear (CaureportChunkLine *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CaureportChunkLine, caureport_chunk_line_clear)

/* Reads lines from a file descriptor. */
typedef struct _CaureportChunkInput CaureportChunkInput;

/* @fd: borrowed. @name: of what it reads, for messages. */
CaureportChunkInput *caureport_chunk_input_new (int fd, const char *name);

/* Reads the next line that is not blank into @line; its chunk is NULL at the end. Errors, in
 * CAUREPORT_ERROR and naming the line: what is no such object. */
gboolean caureport_chunk_input_next (CaureportChunkInput *self, CaureportChunkLine *line,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Puts the name of the input and the number of the line before the text of @error. */
void caureport_chunk_input_prefix_error (CaureportChunkInput *self, guint64 number, GError **error);
void caureport_chunk_input_free (CaureportChunkInput *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CaureportChunkInput, caureport_chunk_input_free)

G_END_DECLS
